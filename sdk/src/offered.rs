//! One tool as the server sees it: its descriptor, and a way to begin a call, with the author's
//! types behind it.

use std::{future::Future, pin::Pin, sync::Arc};

use agent_proto::tool::v1 as wire;

use crate::{
    arguments::Form, call::CallCx, descriptor, failure::Failure, output::Output, tool::Tool,
};

/// A call's work, not yet polled.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Output, Failure>> + Send>>;
/// Begins the work once the call is accepted.
pub(crate) type Start = Box<dyn FnOnce(CallCx) -> Work + Send>;

type Prepare = Box<dyn Fn(&str) -> Result<Start, Failure> + Send + Sync>;

/// A tool with its types erased.
pub(crate) struct Offered {
    pub(crate) descriptor: wire::ToolDescriptor,
    prepare: Prepare,
}

impl Offered {
    /// Wraps an author's tool.
    ///
    /// # Errors
    /// A sentence when it cannot be described.
    pub(crate) fn new<T: Tool>(tool: T) -> Result<Self, String> {
        let spec = tool.spec();
        let schema = descriptor::input_schema::<T::Args>()
            .map_err(|fault| format!("tool {}: {fault}", spec.name))?;
        let descriptor = descriptor::descriptor(spec, &schema);
        let form = Form::new(&schema, &descriptor.sensitive_arguments);
        let tool = Arc::new(tool);
        let prepare = move |json: &str| {
            let arguments = form.read::<T::Args>(json)?;
            let tool = Arc::clone(&tool);
            let start: Start =
                Box::new(move |cx| Box::pin(async move { tool.call(cx, arguments).await }));
            Ok(start)
        };
        Ok(Self { descriptor, prepare: Box::new(prepare) })
    }

    /// Whether it changes nothing outside the plugin.
    pub(crate) fn is_read_only(&self) -> bool {
        self.descriptor.side_effect() == wire::SideEffect::ReadOnly
    }

    /// Whether calls with one idempotency key have one effect.
    pub(crate) fn is_keyed(&self) -> bool {
        self.descriptor.idempotency() == wire::Idempotency::Keyed
    }

    /// Examples that the tool itself would refuse, a sentence for each.
    pub(crate) fn wrong_examples(&self) -> Vec<String> {
        let faults = self.descriptor.examples.iter().filter_map(|example| {
            let failure = self.prepare(&example.arguments_json).err()?;
            Some(format!(
                "tool {}: its example {:?} is wrong: {}",
                self.descriptor.name, example.title, failure.message
            ))
        });
        faults.collect()
    }

    /// Reads the arguments; a panic of the author's `Deserialize` is a defect like any other.
    ///
    /// # Errors
    /// The failure to answer with; nothing has been changed.
    pub(crate) fn prepare(&self, arguments: &str) -> Result<Start, Failure> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.prepare)(arguments)))
            .unwrap_or_else(|_| Err(Failure::bug("PANIC", "reading the arguments panicked")))
    }
}

//! What an author says of tools that are out of order for now. The lease tells agentd, which then
//! asks others or waits; nothing is refused here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

/// A handle to say which tools are out of order for now, such as while their backend is down. From
/// [`Plugin::readiness`](crate::Plugin::readiness); cheap to clone. agentd hears of a change at once
/// and sends such a tool no calls; those that run go on.
#[derive(Debug, Clone)]
pub struct ToolReadiness(Arc<watch::Sender<Unready>>);

/// What is out of order, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unready {
    tools: BTreeMap<String, String>,
    whole: Option<String>,
}

impl Default for ToolReadiness {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Unready::default()).0))
    }
}

impl ToolReadiness {
    /// The tool is out of order; `why` is logged.
    pub fn tool_unready(&self, tool: &str, why: &str) {
        self.change(|unready| {
            let known = unready.tools.insert(tool.to_owned(), why.to_owned());
            if known.is_none() {
                tracing::warn!(tool, why, "a tool is out of order for now");
            }
        });
    }

    /// The tool works again.
    pub fn tool_ready(&self, tool: &str) {
        self.change(|unready| {
            if unready.tools.remove(tool).is_some() {
                tracing::info!(tool, "a tool is in order again");
            }
        });
    }

    /// No tool of the plugin takes calls for now; `why` is logged.
    pub fn unready(&self, why: &str) {
        self.change(|unready| {
            if unready.whole.replace(why.to_owned()).is_none() {
                tracing::warn!(why, "the plugin takes no calls for now");
            }
        });
    }

    /// Everything works again.
    pub fn all_ready(&self) {
        self.change(|unready| {
            if std::mem::take(unready) != Unready::default() {
                tracing::info!("all tools are in order again");
            }
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Unready> {
        self.0.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Unready)) {
        self.0.send_if_modified(|unready| {
            let before = unready.clone();
            change(unready);
            *unready != before
        });
    }
}

impl Unready {
    /// Names of the tools that are out of order.
    pub(crate) fn tools(&self) -> Vec<String> {
        self.tools.keys().cloned().collect()
    }

    /// Whether nothing is left of a plugin that `offers` tools.
    pub(crate) fn is_whole<'a>(&self, offers: impl IntoIterator<Item = &'a str>) -> bool {
        let left: BTreeSet<_> =
            offers.into_iter().filter(|tool| !self.tools.contains_key(*tool)).collect();
        self.whole.is_some() || left.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

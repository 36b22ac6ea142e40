//! What one process of the plugin holds, and which rule it breaks.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use agent_proto::tool::v1::{Failure, FailureClass, PluginCatalog};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{Settings, catalog};

/// The little world that the tools change.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) counter: i64,
    pub(crate) value: i64,
    /// Text of the last `echo`, for a plugin that mixes calls.
    pub(crate) last_text: String,
}

/// What came of a key: its arguments, and the result once it is there.
pub(crate) type Kept = (String, watch::Receiver<Option<String>>);

pub(crate) struct Plugin {
    pub(crate) settings: Settings,
    pub(crate) instance_id: String,
    pub(crate) caller_token: String,
    pub(crate) catalog: PluginCatalog,
    pub(crate) world: Mutex<World>,
    pub(crate) keys: Mutex<HashMap<String, Kept>>,
    pub(crate) digests: Mutex<HashMap<String, String>>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) running: AtomicUsize,
    pub(crate) draining: CancellationToken,
    /// A lease is held.
    pub(crate) ready: AtomicBool,
    has_happened: AtomicBool,
}

impl Plugin {
    pub(crate) fn new(settings: Settings) -> Self {
        let draw = || uuid::Uuid::new_v4();
        let instance_id = match settings.fault.as_str() {
            "REG-01" => "instance-1".to_owned(),
            "REG-01:same" => "7e0a55d8-3a55-4c54-9d58-3f2f0b9a4b11".to_owned(),
            _ => draw().to_string(),
        };
        let capacity = if settings.mode == "relay" { settings.slots } else { catalog::CALLS };
        Self {
            instance_id,
            caller_token: format!("{}{}", draw().simple(), draw().simple()),
            catalog: catalog::catalog(&settings.fault),
            world: Mutex::default(),
            keys: Mutex::default(),
            digests: Mutex::default(),
            places: Arc::new(Semaphore::new(capacity)),
            running: AtomicUsize::new(0),
            draining: CancellationToken::new(),
            ready: AtomicBool::new(false),
            has_happened: AtomicBool::new(false),
            settings,
        }
    }

    /// Whether this is the rule to break.
    pub(crate) fn breaks(&self, fault: &str) -> bool {
        self.settings.fault == fault
    }

    /// As [`Self::breaks`], once in the life of the process.
    pub(crate) fn breaks_once(&self, fault: &str) -> bool {
        self.breaks(fault) && !self.has_happened.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_relay(&self) -> bool {
        self.settings.mode == "relay"
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// A failure without effects.
pub(crate) fn failure(class: FailureClass, code: i32, reason: &str, message: &str) -> Failure {
    Failure {
        failure_class: class.into(),
        code,
        reason: reason.to_owned(),
        message: message.to_owned(),
        domain: "broken".to_owned(),
        effects: agent_proto::tool::v1::EffectState::None.into(),
        ..Failure::default()
    }
}

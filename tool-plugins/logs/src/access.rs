//! The tool `check_access` of this plugin: beside the rights on the cluster, whether the store of logs
//! answers and by which names it tells pods apart.

use std::{sync::Arc, time::Duration};

use agent_sdk::{CallCx, Failure, Output, Spec, Tool};
use plugin_cluster::{
    CheckAccess,
    access::{Access, Args},
};

use crate::store::Store;

/// The store may take this long; the cluster has the rest.
const WITHIN: Duration = Duration::from_secs(8);

/// See the module.
#[derive(Debug, Clone)]
pub struct LogAccess {
    cluster: CheckAccess,
    store: Option<Arc<Store>>,
}

// === impl LogAccess ===

impl LogAccess {
    /// The tool beside the cluster's own.
    #[must_use]
    pub fn new(cluster: CheckAccess, store: Option<Arc<Store>>) -> Self {
        Self { cluster, store }
    }
}

impl Tool for LogAccess {
    type Args = Args;

    fn spec(&self) -> Spec {
        self.cluster.spec()
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let mut access = self.cluster.look(&cx, &args).await?;
        match &self.store {
            Some(store) => look(store, &mut access).await,
            None => {
                let says = "no store of logs is named (--loki-url, --elasticsearch-url): of pods \
                            that are gone nothing is read";
                access.found.push(says.to_owned());
            }
        }
        access.told()
    }
}

async fn look(store: &Store, access: &mut Access) {
    let looked = async { store.talk(WITHIN)?.look(access.now()).await }.await;
    let outcome = looked.as_ref().map(|_| ());
    access.permit(store.permission(), &["get_logs", "find_error_patterns"], outcome);
    match looked {
        Ok(look) => {
            let names = look.names.join("; ");
            access.found.push(format!("{} tells pods apart by {names}", store.shown()));
        }
        Err(failure) => {
            let says = "logs of pods that are gone, and what was rotated away";
            access.blind.push(format!("{says}: {}", failure.message));
            let title = store.title();
            access
                .mend
                .push(format!("see that {title} answers at the address given: {}", failure.reason));
        }
    }
}

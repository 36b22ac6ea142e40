//! The tool `check_access`, which each plugin that reads a cluster offers: whether the cluster
//! answers, and which of the rights that its tools name are there, found by asking for one object
//! of each. It asks only for what it reports on and changes nothing: whoever may not even ask
//! "may I" is served as well.

use std::{collections::BTreeMap, time::Duration};

use agent_sdk::{CallCx, Failure, FailureClass, Output, Spec, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cluster, Kind, Span};

/// Reason of a failure that says that a right lacks, and nothing else.
const FORBIDDEN: &str = "FORBIDDEN";

/// See the module.
#[derive(Debug, Clone)]
pub struct CheckAccess {
    cluster: Cluster,
    /// By permission the tools that need it.
    needs: BTreeMap<String, Vec<String>>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Args {
    /// Namespace to try rights in; empty tries them for the whole cluster.
    pub namespace: String,
}

/// What was found; a plugin that asks others beside the cluster adds what it found there.
#[derive(Debug, Clone, Serialize)]
pub struct Access {
    /// Which cluster, and as whom as far as it is known here.
    pub source: String,
    /// By permission.
    pub permissions: Vec<Permission>,
    /// Whether all namespaces are read, or only the alerted one and what it names.
    pub reads_whole_cluster: bool,
    /// Seconds by which the server's clock is ahead.
    pub clock_ahead_seconds: i64,
    /// What there is beside it, a line each.
    pub found: Vec<String>,
    /// What cannot be seen, a line each.
    pub blind: Vec<String>,
    /// How to mend that, a line each.
    pub mend: Vec<String>,
    #[serde(skip)]
    now: jiff::Timestamp,
}

/// One permission.
#[derive(Debug, Clone, Serialize)]
pub struct Permission {
    /// Such as `k8s:pods/list`.
    pub permission: String,
    /// Which tools need it.
    pub tools: Vec<String>,
    /// `yes`, `no`, or `unknown` when it could not be tried.
    pub allowed: &'static str,
    /// Why not.
    pub says: String,
}

/// Why rights could not be tried: by reason the first message, and how many there are like it.
#[derive(Default)]
struct Troubles(BTreeMap<String, (String, usize)>);

// === impl Troubles ===

impl Troubles {
    /// Notes one and gives its message.
    fn add(&mut self, failure: Failure) -> String {
        let known = self.0.entry(failure.reason).or_insert((failure.message.clone(), 0));
        known.1 += 1;
        failure.message
    }

    fn told(self) -> Vec<String> {
        let line = |(message, count): (String, usize)| match count {
            1 => message,
            more => format!("{message} (and so with {} other rights)", more - 1),
        };
        self.0.into_values().map(line).collect()
    }
}

// === impl CheckAccess ===

impl CheckAccess {
    /// The tool for a plugin with these tools.
    #[must_use]
    pub fn new(cluster: Cluster, tools: &[Spec]) -> Self {
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, permissions) in tools.iter().map(Spec::needs) {
            for permission in permissions {
                needs.entry(permission.clone()).or_default().push(name.to_owned());
            }
        }
        Self { cluster, needs }
    }

    /// What the tool tells, for a plugin that adds to it.
    ///
    /// # Errors
    /// CANCELLED.
    pub async fn look(&self, cx: &CallCx, args: &Args) -> Result<Access, Failure> {
        let cluster = self.cluster.view();
        let namespace = Some(args.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let mut permissions = Vec::new();
        let mut troubles = Troubles::default();
        for (permission, tools) in &self.needs {
            if cx.is_cancelled() {
                return Err(Failure::new(FailureClass::Cancelled, "WITHDRAWN", "withdrawn"));
            }
            let tried = try_one(&cluster, permission, namespace).await;
            let (allowed, says) = match tried {
                Some(Ok(())) => ("yes", String::new()),
                Some(Err(failure)) if failure.reason == FORBIDDEN => ("no", failure.message),
                // Nobody knows what would be permitted once that is mended.
                Some(Err(failure)) => ("unknown", troubles.add(failure)),
                None => ("unknown", "there is nothing here to try it on".to_owned()),
            };
            permissions.push(Permission {
                permission: permission.clone(),
                tools: tools.clone(),
                allowed,
                says,
            });
        }
        Ok(Access {
            source: cluster.source(),
            permissions,
            reads_whole_cluster: cluster.is_small().await,
            clock_ahead_seconds: cluster.clock_ahead(),
            found: Vec::new(),
            blind: troubles.told(),
            mend: Vec::new(),
            now: cluster.now(),
        })
    }
}

// === impl Access ===

impl Access {
    /// Adds a permission of another source than the cluster, or says how it went with one that is
    /// there.
    pub fn permit(&mut self, permission: &str, tools: &[&str], outcome: Result<(), &Failure>) {
        let (allowed, says) = match outcome {
            Ok(()) => ("yes", String::new()),
            Err(failure) => ("no", failure.message.clone()),
        };
        let known = self.permissions.iter_mut().find(|known| known.permission == permission);
        if let Some(known) = known {
            (known.allowed, known.says) = (allowed, says);
            return;
        }
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        self.permissions.push(Permission {
            permission: permission.to_owned(),
            tools,
            allowed,
            says,
        });
    }

    /// The cluster's time.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.now
    }

    /// As the tool's answer.
    ///
    /// # Errors
    /// A bug, when it cannot be written as JSON.
    pub fn told(&self) -> Result<Output, Failure> {
        let lacking = self.permissions.iter().filter(|p| p.allowed == "no").count();
        let summary =
            format!("{}: {lacking} of {} rights lack", self.source, self.permissions.len());
        Ok(Output::new(self)?.summary(summary).observed_at(self.now))
    }
}

impl Tool for CheckAccess {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "check_access",
            "Tells whether the cluster answers and which rights this plugin has and lacks, with \
             the tools that need them. Use it when a report has gaps.",
        )
        .title("Check access")
        .timeout(Duration::from_secs(30))
        .example("For a namespace", r#"{"namespace":"my-namespace"}"#)
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        self.look(&cx, &args).await?.told()
    }
}

/// Whether a permission such as `k8s:pods/list` is there; nothing where it cannot be tried.
async fn try_one(
    cluster: &Cluster,
    permission: &str,
    namespace: Option<&str>,
) -> Option<Result<(), Failure>> {
    let (resource, verb) = permission.strip_prefix("k8s:")?.split_once('/')?;
    if (resource, verb) == ("pods", "log") {
        let files = match cluster.log_files(namespace).await {
            Ok(files) => files,
            Err(failure) => return Some(Err(failure)),
        };
        let file = files.iter().find(|file| !file.previous)?;
        let tried = cluster.logs(file, Span { lines: Some(1), since: None }).await;
        return Some(tried.map(|_| ()));
    }
    let kind = Kind::of_plural(resource)?;
    Some(cluster.probe(kind, namespace).await)
}

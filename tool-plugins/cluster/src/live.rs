//! A live cluster behind its API server. Reads only, within bounds that do not grow with what lies
//! in other namespaces.
//!
//! A question about the whole cluster ([`Live::around`]) is answered in full where the cluster is
//! small. Where it is large, it is answered for the namespace that the call is about and for those
//! that this one names as hosts.

mod answer;
mod asker;
mod cache;
pub(crate) mod connect;
mod door;
mod login;
pub(crate) mod logs;
mod near;
mod pages;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use agent_sdk::Failure;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use self::{
    answer::{Refused, Trouble},
    asker::Asker,
    cache::Recent,
    door::Door,
    logs::Span,
    pages::{Listed, MOST, Which},
};
use crate::{
    kind::Kind,
    log::{LogFile, LogReader},
    object::Object,
    pod,
    refusal::Asked,
};

/// Pods up to which a cluster counts as small: it is read whole, kind by kind.
const SMALL: usize = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct Live {
    asker: Arc<Asker>,
    lists: Arc<Recent<(Kind, Which), Listed>>,
    /// How many objects of a kind there are in the cluster.
    counts: Recent<Kind, usize>,
    /// Server and context, for people.
    source: String,
    _sweeper: AbortOnDropHandle<()>,
}

/// Objects, and why there may be more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) objects: Vec<Object>,
    pub(crate) cut: Option<Failure>,
    /// Whether the server knows the kind.
    pub(crate) served: bool,
}

// === impl Live ===

impl Live {
    fn new(door: Door, source: String) -> Self {
        let lists = Arc::new(Recent::default());
        let swept: Arc<Recent<(Kind, Which), Listed>> = Arc::clone(&lists);
        let sweeper = AbortOnDropHandle::new(tokio::spawn(async move { swept.sweep().await }));
        let counts = Recent::default();
        Self { asker: Arc::new(Asker::new(door)), lists, counts, source, _sweeper: sweeper }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.asker.now()
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Seconds by which the server's clock is ahead of ours.
    pub(crate) fn clock_ahead(&self) -> i64 {
        self.asker.ahead()
    }

    /// Asks for one object of a kind.
    pub(crate) async fn probe(&self, kind: Kind, namespace: Option<&str>) -> Result<(), Failure> {
        let asked = pages::list(&self.asker, kind, &which(kind, namespace), 1).await;
        let namespace = namespace.unwrap_or_default();
        asked.map(|_| ()).map_err(|trouble| told(trouble, kind, namespace))
    }

    /// Requests sent since the start.
    pub(crate) fn requests(&self) -> u64 {
        self.asker.sent()
    }

    /// All objects of a kind, in one namespace or everywhere.
    pub(crate) async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Found, Failure> {
        let listed = self.listed(kind, which(kind, namespace), MOST).await;
        let namespace = namespace.unwrap_or_default();
        listed.map(found).map_err(|trouble| told(trouble, kind, namespace))
    }

    /// The objects of a kind that are called `name`, in all namespaces.
    pub(crate) async fn named(&self, kind: Kind, name: &str) -> Result<Found, Failure> {
        let fields = format!("metadata.name={name}");
        let which = Which { fields, ..Which::default() };
        let listed = self.listed(kind, which, MOST).await;
        listed.map(found).map_err(|trouble| told(trouble, kind, ""))
    }

    /// The pods on one node.
    pub(crate) async fn pods_on(&self, node: &str) -> Result<Found, Failure> {
        let fields = format!("spec.nodeName={node}");
        let which = Which { fields, ..Which::default() };
        let listed = self.listed(Kind::Pod, which, MOST).await;
        listed.map(found).map_err(|trouble| told(trouble, Kind::Pod, ""))
    }

    /// The objects of a kind in all namespaces of a small cluster; of a large one those in `home`
    /// and in the namespaces that it names.
    pub(crate) async fn around(&self, kind: Kind, home: &str) -> Result<Found, Failure> {
        if kind == Kind::Secret {
            // Nobody needs those of others, and few may read them.
            return self.list(kind, Some(home)).await;
        }
        if self.is_small().await {
            let listed = self.listed(kind, which(kind, None), SMALL).await;
            match listed {
                Ok(listed) if listed.cut.is_none() => return Ok(found(listed)),
                Ok(_) | Err(Trouble::Refused(Refused { status: 401 | 403, .. })) => {}
                Err(trouble) => return Err(told(trouble, kind, "")),
            }
        }
        let mut all = self.list(kind, Some(home)).await?;
        for namespace in self.near(home).await {
            // What may not be read elsewhere costs only what could be seen there.
            if let Ok(more) = self.list(kind, Some(&namespace)).await {
                all.objects.extend(more.objects);
                all.cut = all.cut.or(more.cut);
            }
        }
        if kind == Kind::Event {
            all.objects.extend(self.events_of_nodes(home).await);
        }
        all.objects.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(all)
    }

    /// Whether [`Self::around`] tells of the whole cluster.
    pub(crate) async fn is_small(&self) -> bool {
        let counted = self.counts.get(Kind::Pod, || pages::count(&self.asker, Kind::Pod)).await;
        counted.is_ok_and(|pods| *pods <= SMALL)
    }

    /// The containers of a namespace that have a log.
    pub(crate) async fn log_files(&self, namespace: &str) -> Result<Vec<LogFile>, Failure> {
        let pods = self.list(Kind::Pod, Some(namespace)).await?;
        Ok(log_files(&pods.objects))
    }

    /// Opens a log; `None` when there is none.
    pub(crate) async fn logs(
        &self,
        file: &LogFile,
        span: Span,
    ) -> Result<Option<LogReader>, Failure> {
        let opened = logs::open(&self.asker, file, span).await;
        let opened = opened.map_err(|trouble| trouble.failure(logs::asked(file)))?;
        Ok(opened.map(|pieces| LogReader::live(pieces, file.to_string(), self.now())))
    }

    async fn listed(&self, kind: Kind, which: Which, most: usize) -> Result<Arc<Listed>, Trouble> {
        if let Some(namespace) = &which.namespace
            && !is_name(namespace)
        {
            // Nothing can lie there, and it must not become part of a path.
            return Ok(Arc::new(Listed { served: true, ..Listed::default() }));
        }
        let read = || pages::list(&self.asker, kind, &which, most);
        self.lists.get((kind, which.clone()), read).await
    }

    /// Events about what lies in no namespace are kept in `default`.
    async fn events_of_nodes(&self, home: &str) -> Vec<Object> {
        if home == "default" {
            return Vec::new();
        }
        let which = Which {
            namespace: Some("default".to_owned()),
            fields: "involvedObject.kind=Node".to_owned(),
        };
        let listed = self.listed(Kind::Event, which, MOST).await;
        listed.map(|listed| listed.objects.clone()).unwrap_or_default()
    }

    async fn near(&self, home: &str) -> BTreeSet<String> {
        let known: Option<BTreeSet<String>> = self
            .list(Kind::Namespace, None)
            .await
            .ok()
            .map(|all| all.objects.iter().map(|n| n.name().to_owned()).collect());
        let mut objects = Vec::new();
        for kind in [Kind::Pod, Kind::ConfigMap, Kind::Service] {
            objects.extend(self.list(kind, Some(home)).await.unwrap_or_default().objects);
        }
        near::named(&objects, home, known.as_ref())
    }
}

/// The containers of `pods` that have run, with their runs before.
pub(crate) fn log_files(pods: &[Object]) -> Vec<LogFile> {
    let mut files = Vec::new();
    for pod in pods {
        for container in pod::containers(pod) {
            let file = |previous| LogFile {
                namespace: pod.namespace().to_owned(),
                pod: pod.name().to_owned(),
                container: container.name.to_owned(),
                previous,
            };
            let restarted = container.restarts() > 0;
            if restarted {
                files.push(file(true));
            }
            if restarted || !matches!(container.state(), pod::State::Waiting { .. }) {
                files.push(file(false));
            }
        }
    }
    files.sort();
    files
}

fn which(kind: Kind, namespace: Option<&str>) -> Which {
    // Helm keeps whole releases in Secrets: large, and of no use here.
    let fields = if kind == Kind::Secret { "type!=helm.sh/release.v1" } else { "" };
    let namespace = namespace.filter(|_| kind.is_namespaced()).map(str::to_owned);
    Which { namespace, fields: fields.to_owned() }
}

fn found(listed: Arc<Listed>) -> Found {
    Found { objects: listed.objects.clone(), cut: listed.cut.clone(), served: listed.served }
}

fn told(trouble: Trouble, kind: Kind, namespace: &str) -> Failure {
    trouble.failure(Asked { target: kind.plural(), verb: "list", namespace })
}

/// Whether text can be the name of a namespace (RFC 1123 label).
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

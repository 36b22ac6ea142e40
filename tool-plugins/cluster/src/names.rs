//! The one rule by which a name becomes objects: exact name, then the labels
//! `app.kubernetes.io/name` and `app`, then prefix. The namespace is the one asked for, else the
//! only one where the name is found. A Service stands for the workloads its selector matches.
//! Nothing found answers with the nearest names, never with a guess.

mod distance;

pub use distance::between as distance;

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Failure, Observation};

use crate::{Cluster, kind::Kind, object::Object, owners::Owners, selector};

/// How a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An object is called so.
    Exact,
    /// Objects carry the name as label.
    Label,
    /// Objects' names begin with it, or it begins with theirs, as a pod's does.
    Prefix,
}

impl How {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Label => "label",
            Self::Prefix => "prefix",
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// The name asked for; empty when none was.
    pub asked: String,
    /// Where to look: the namespace asked for or found; `None` means the whole cluster.
    pub namespace: Option<String>,
    /// How it was found; `None` when it was not.
    pub how: Option<How>,
    /// The objects that answer to the name: workloads, Services, pods, rarely others.
    pub found: Vec<Object>,
    /// The workloads meant: found ones, those that a found Service selects, those above a found
    /// pod.
    pub workloads: Vec<Entity>,
    /// The nearest names when nothing was found, or all answers when several namespaces have one;
    /// Whether nothing at all lies in the namespace: most likely its name is a slip.
    pub is_empty_there: bool,
    /// with their namespace where it is not the one asked for.
    pub nearest: Vec<String>,
    /// Kinds that could not be searched.
    pub gaps: Vec<(String, Failure)>,
}

impl Cluster {
    /// Resolves `service` in `namespace`; both may be empty. Never fails: what could not be
    /// searched is among the gaps of the answer.
    pub async fn resolve(&self, namespace: &str, service: &str) -> Resolution {
        let mut answer = Resolution {
            asked: service.trim().to_owned(),
            namespace: Some(namespace.trim().to_owned()).filter(|ns| !ns.is_empty()),
            ..Resolution::default()
        };
        answer.namespace.iter().for_each(|namespace| self.settle(namespace));
        if answer.asked.is_empty() {
            return answer;
        }
        if answer.namespace.is_none() {
            answer.namespace = self.home_of(&answer.asked).await;
        }
        let here = answer.namespace.clone();
        let named = candidates(self, &NAMED, here.as_deref(), &mut answer.gaps).await;
        search(&mut answer, &named);
        if answer.is_missing() {
            let rest = candidates(self, &RARELY_NAMED, here.as_deref(), &mut answer.gaps).await;
            let rest: Vec<Object> = rest.into_iter().filter(|o| o.name() == answer.asked).collect();
            search(&mut answer, &rest);
        }
        if answer.is_missing() {
            // Only now other namespaces matter, and only to name what was perhaps meant.
            let anywhere = candidates(self, &NAMED, None, &mut answer.gaps).await;
            answer.nearest = nearest(&answer, &anywhere);
            let lies = |ns: &String| anywhere.iter().any(|o| o.namespace() == ns.as_str());
            answer.is_empty_there = here.as_ref().is_some_and(|ns| !lies(ns));
        }
        answer.namespace.iter().for_each(|namespace| self.settle(namespace));
        let owners = Owners::read(self, answer.namespace.as_deref()).await;
        answer.workloads = workloads(&answer.found, &named, &owners);
        answer
    }

    /// The only namespace where something is called `name`, asked for by that name: of a large
    /// cluster not everything is listed for that.
    async fn home_of(&self, name: &str) -> Option<String> {
        if self.is_small().await {
            return None;
        }
        let mut homes = BTreeSet::new();
        for kind in NAMED {
            let named = self.named(kind, name).await.unwrap_or_default();
            homes.extend(named.iter().map(|object| object.namespace().to_owned()));
        }
        homes.pop_first().filter(|_| homes.is_empty())
    }
}

/// What alerts mostly name.
const NAMED: [Kind; 7] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Job,
    Kind::Service,
    Kind::Pod,
];

/// Alerts name these too, if seldom.
const RARELY_NAMED: [Kind; 8] = [
    Kind::Ingress,
    Kind::HorizontalPodAutoscaler,
    Kind::PersistentVolumeClaim,
    Kind::ResourceQuota,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::ReplicaSet,
    Kind::Node,
];

async fn candidates(
    cluster: &Cluster,
    kinds: &[Kind],
    namespace: Option<&str>,
    gaps: &mut Vec<(String, Failure)>,
) -> Vec<Object> {
    let mut found = Vec::new();
    for kind in kinds {
        let namespace = namespace.filter(|_| *kind != Kind::Node);
        match cluster.list(*kind, namespace).await {
            Ok(objects) => found.extend(objects),
            Err(failure) if gaps.iter().all(|(known, _)| known != kind.plural()) => {
                gaps.push((kind.plural().to_owned(), failure));
            }
            Err(_) => {}
        }
    }
    found
}

type Fits<'a> = &'a dyn Fn(&Object) -> bool;

/// The first step of the rule that finds something decides.
fn search(answer: &mut Resolution, all: &[Object]) {
    let here: Vec<&Object> = all
        .iter()
        .filter(|o| o.namespace().is_empty() || in_namespace(o, answer.namespace.as_deref()))
        .collect();
    let asked = answer.asked.clone();
    let asked = asked.as_str();
    let labelled = |o: &Object| {
        let labels = o.labels();
        ["app.kubernetes.io/name", "app"]
            .iter()
            .any(|key| labels.get(*key).is_some_and(|v| v == asked))
    };
    let begins = |o: &Object| o.kind() != "Pod" && continues(o.name(), asked);
    let longest = here.iter().filter(|o| continues(asked, o.name())).map(|o| o.name().len()).max();
    let begun_by = |o: &Object| continues(asked, o.name()) && Some(o.name().len()) == longest;
    let steps: [(How, Fits); 4] = [
        (How::Exact, &|o| o.name() == asked),
        (How::Label, &labelled),
        (How::Prefix, &begins),
        (How::Prefix, &begun_by),
    ];
    for (how, fits) in steps {
        let found: Vec<Object> = here.iter().filter(|o| fits(o)).map(|o| (*o).clone()).collect();
        if !found.is_empty() {
            settle(answer, how, found);
            return;
        }
    }
}

/// Whether `name` is `start` followed by a dash and more.
fn continues(name: &str, start: &str) -> bool {
    !start.is_empty() && name.strip_prefix(start).is_some_and(|rest| rest.starts_with('-'))
}

/// Several namespaces with an answer are no answer.
fn settle(answer: &mut Resolution, how: How, found: Vec<Object>) {
    let namespaces: BTreeSet<&str> = found.iter().map(Object::namespace).collect();
    if namespaces.len() > 1 {
        let names = found.iter().map(|o| format!("{}/{}", o.namespace(), o.name()));
        answer.nearest = names.collect::<BTreeSet<_>>().into_iter().take(8).collect();
        return;
    }
    if let Some(namespace) = namespaces.first().filter(|ns| !ns.is_empty()) {
        answer.namespace = Some((*namespace).to_owned());
    }
    answer.how = Some(how);
    answer.found = found;
}

fn in_namespace(object: &Object, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|ns| object.namespace() == ns)
}

fn workloads(found: &[Object], all: &[Object], owners: &Owners) -> Vec<Entity> {
    let mut tops = BTreeSet::new();
    for object in found {
        match Kind::of(object.kind()) {
            Some(Kind::Service) => {
                let wanted = object.map("/spec/selector");
                for other in all.iter().filter(|o| o.namespace() == object.namespace()) {
                    let labels = template_labels(other);
                    if selector::pairs_match(&wanted, &labels) {
                        tops.insert(owners.top(other));
                    }
                }
            }
            Some(Kind::Pod | Kind::ReplicaSet) => {
                tops.insert(owners.top(object));
            }
            kind if kind.is_some_and(|kind| Kind::WORKLOADS.contains(&kind)) => {
                tops.insert(object.entity());
            }
            _ => {}
        }
    }
    tops.into_iter().collect()
}

/// The labels that a Service would see: those of a pod, or of the pods a workload makes.
fn template_labels(object: &Object) -> BTreeMap<String, String> {
    match object.kind() {
        "Pod" => object.labels(),
        "Service" => BTreeMap::new(),
        _ => object.map("/spec/template/metadata/labels"),
    }
}

/// The nearest names: in the namespace asked for, then anywhere.
fn nearest(answer: &Resolution, all: &[Object]) -> Vec<String> {
    let mut ranked: Vec<(usize, bool, String)> = all
        .iter()
        .filter(|o| o.kind() != "Pod")
        .filter_map(|o| {
            let elsewhere = !in_namespace(o, answer.namespace.as_deref());
            let steps = distance::between(&answer.asked, o.name());
            let near = steps <= (answer.asked.len() / 2).max(2);
            let shown = if elsewhere || answer.namespace.is_none() {
                format!("{}/{}", o.namespace(), o.name())
            } else {
                o.name().to_owned()
            };
            near.then_some((steps, elsewhere, shown))
        })
        .collect();
    ranked.sort();
    ranked.dedup_by(|a, b| a.2 == b.2);
    ranked.into_iter().map(|(.., name)| name).take(5).collect()
}

// === impl Resolution ===

impl Resolution {
    /// The pods of the workloads meant, of the pods found themselves; empty when nothing was
    /// found.
    ///
    /// # Errors
    /// As for [`Cluster::list`] of pods.
    pub async fn pods(&self, cluster: &Cluster) -> Result<Vec<Object>, Failure> {
        if self.how.is_none() {
            return Ok(Vec::new());
        }
        let namespace = self.namespace.as_deref();
        let owners = Owners::read(cluster, namespace).await;
        let mut pods = cluster.list(Kind::Pod, namespace).await?;
        pods.retain(|pod| owners.chain(pod).iter().any(|step| self.workloads.contains(step)));
        Ok(pods)
    }

    /// Whether nothing answers so far, not even in several namespaces.
    fn is_missing(&self) -> bool {
        self.how.is_none() && self.nearest.is_empty()
    }

    /// Whether the name was asked for and not found.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        !self.asked.is_empty() && self.how.is_none()
    }

    /// What the name stands for, as facts: `target.resolved` per object, or `target.unknown`.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        if self.is_unknown() {
            return vec![self.unknown()];
        }
        let Some(how) = self.how else { return Vec::new() };
        let named = self.found.iter().filter(|o| o.kind() != "Pod").map(Object::entity);
        let subjects: BTreeSet<Entity> = named.chain(self.workloads.iter().cloned()).collect();
        let subjects = subjects.into_iter().take(8);
        subjects
            .map(|subject| {
                let says = format!(
                    "\"{}\" stands for {} {} ({} match)",
                    self.asked,
                    subject.kind,
                    subject.name,
                    how.word()
                );
                Observation::new("target.resolved", subject, says)
                    .attr("asked", self.asked.as_str())
                    .attr("how", how.word())
            })
            .collect()
    }

    fn unknown(&self) -> Observation {
        let namespace = self.namespace.clone().unwrap_or_default();
        let place = if namespace.is_empty() {
            "the cluster".to_owned()
        } else {
            format!("namespace {namespace}")
        };
        let nearest = self.nearest.join(", ");
        let empty = if self.is_empty_there { namespace.as_str() } else { "" };
        let hint = if nearest.is_empty() { String::new() } else { format!("; nearest: {nearest}") };
        let empty = empty.to_owned();
        let says = format!("nothing in {place} answers to \"{}\"{hint}", self.asked);
        // An observation is about something: of no namespace means of all of them.
        let searched = if namespace.is_empty() { "*".to_owned() } else { namespace };
        Observation::new("target.unknown", Entity::cluster_wide("Namespace", searched), says)
            .attr("asked", self.asked.as_str())
            .attr("nearest", nearest)
            .attr("empty_namespace", empty)
    }
}

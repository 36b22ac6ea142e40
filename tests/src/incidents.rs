//! Incidents made by seed, with the truth known by construction: a small simulated cluster that
//! can be written down as a recording. It examines the product and must know nothing of its rules:
//! what goes wrong here is what goes wrong in clusters, in the words of the programs that say so.
//!
//! # How to write a form
//!
//! A form is one way in which a category of fault shows itself: a function that tells a story in a
//! [`cluster::Cluster`] and gives back what is true of it. Forms of a category live in
//! `forms/<category>.rs`; its `FORMS` lists them, and `forms.rs` has a `mod` and a line for it.
//! What several forms of one category share stays in its file; what several categories need goes
//! into a file of its own beside [`mishap`].
//!
//! 1. Build what is there: `cluster.app(hops)` (a gate, a chain of services behind it, services
//!    beside it; give calls with `cluster.call`), `cluster.service`, `cluster.worker`,
//!    `cluster.store`, `cluster.outside` (a third party), `cluster.draft` + `cluster.add` for
//!    anything else, `cluster.config_map`, `cluster.secret`, `cluster.scaler`, and
//!    `cluster.objects.meta` + `put` for any other kind. Draw names from `cluster.names` only.
//! 2. Let it happen, in seconds relative to the alert ([`clock`]: alert at 0, now at 300, metrics
//!    from -3300). `cluster.roll` and `cluster.stick` (rollouts), `replace_all`, `scale`;
//!    [`mishap`] for pods that do not come up (then call the `…_events` function beside it);
//!    `cluster.traffic.harm` / `harm_call` for errors and latency (they travel to callers and into
//!    their metrics and logs by themselves; a workload without a ready pod refuses by itself);
//!    `cluster[id].sayings` and `crash` for log lines; `cluster.events` for what other components
//!    say; `cluster.metrics` (with [`series::along`]) for gauges of pools, queues, caches;
//!    `cpu_course`, `memory_course`, `memory_run` of a workload; `ills`, `taints`, `disk_free`,
//!    `silent` of a node; `volume_stats` of a claim; `cluster[id].pods` for anything
//!    about pods. Statuses, endpoints, restarts, counters and ordinary events follow by themselves.
//! 3. Say what is true with [`truth::Truth`]. The culprit is the object that a person would change
//!    or replace; `accept` everything that names it as well. The words of `mention` must be
//!    findable in what the recording shows.
//!
//! The severity is that of the effect: `cluster.effect(gate)` tells it from the traffic. P1 must
//! be met exactly by a report, so claim it only where users plainly cannot be served.
//!
//! Look at what you made: `generate_incidents DIR 1 3 <form>`; `cargo test -p agent-tests --test
//! incidents` checks every form. A form may not take part in the answer it asks for: do not read
//! the rules, think of clusters.
//!
//! Draw as much as possible from `cluster.dice` (depth, times, wording, sources that are missing:
//! [`cluster::Lacks`]), so that seeds differ materially. Dialects of logs, naming of metrics,
//! noise, nodes and labels are drawn by themselves. No object and no log may name the category.

pub mod app;
pub mod batch;
pub mod checks;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod dice;
pub mod drawn;
pub mod edge;
pub mod event;
pub mod forms;
pub mod gauges;
pub mod kubelet;
pub mod mishap;
pub mod node;
pub mod noise;
pub mod object;
pub mod pressure;
pub mod program;
pub mod queues;
pub mod recording;
pub mod red;
pub mod rights;
pub mod rollout;
pub mod saying;
pub mod scaling;
pub mod series;
pub mod storage;
pub mod talk;
pub mod traffic;
pub mod truth;
pub mod voice;
pub mod words;
pub mod workload;

use cluster::Cluster;
use recording::Incident;
use traffic::Id;

/// One way in which a category of fault shows itself.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Category, of the scorer's vocabulary.
    pub category: &'static str,
    /// Its own name within the category.
    pub name: &'static str,
    /// The story.
    pub tell: forms::Tale,
}

impl Form {
    /// The incident of this form for `seed`: the same for the same seed.
    #[must_use]
    pub fn incident(&self, seed: u64) -> Incident {
        // The same seed gives every form another cluster.
        let word = format!("{}/{}", self.category, self.name);
        let mut dice = dice::Dice::new(seed).fork(&word);
        let mut cluster =
            Cluster::new(u64::try_from(dice.between(0, i64::MAX - 1)).unwrap_or(seed));
        let truth = (self.tell)(&mut cluster);
        let quiet = touched(&cluster, &truth);
        noise::add(&mut cluster, &quiet);
        let id = format!("g{seed}-{}-{}", self.category, self.name);
        recording::record(cluster, truth, (id, self.category))
    }
}

/// Workloads that the truth names: noise leaves them alone.
fn touched(cluster: &Cluster, truth: &truth::Truth) -> Vec<Id> {
    let named = |id: &Id| {
        let own = [cluster.reference(*id), cluster.front_of(*id)];
        let also = truth.also.as_ref().map(|(_, culprit, _)| culprit);
        own.iter()
            .any(|one| *one == truth.culprit || truth.accept.contains(one) || also == Some(one))
    };
    (0..cluster.workloads.len()).map(Id).filter(named).collect()
}

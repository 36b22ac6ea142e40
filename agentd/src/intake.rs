//! Alerts that machines push at us: Prometheus Alertmanager and plain JSON over HTTP. One clerk takes
//! them in, one message after the other, so that two about the same trouble never race; an answer is
//! given when what it says is durable.
//!
//! Invariant: what was answered as taken is on disk; what could not be taken is answered so that the
//! sender comes again, and what it then repeats is recognised.

mod alert;
mod alertmanager;
pub mod door;
mod fault;
mod labels;
pub mod own;
mod troubles;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::{
    alert::Alert,
    engine::{self, Engine, Life, Wishes},
    investigation::{InvestigationId, event::Attached},
    journal::{self, Journal},
    telemetry::metrics::Metrics,
};
use troubles::{Troubles, Verdict};

/// Label of an investigation with the trouble that it was begun for.
const TROUBLE: &str = "agentd_trouble";
/// Messages that may wait for the clerk; further ones are asked to come again.
const QUEUE: usize = 32;
/// Alerts that join one investigation and are kept whole; of further ones only what tells them apart.
const WHOLE: u32 = 20;
/// Investigations looked at when the index is made anew.
const LOOKED_AT: usize = 1000;

/// What the intake is bounded by, and what it leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long after its end an investigation is still joined.
    pub window: SignedDuration,
    /// Investigations at work or waiting, beyond which no further one is begun.
    pub most_open: usize,
    /// Types of alert that are never investigated.
    pub ignored: Vec<String>,
}

/// A message: alerts of one sender.
#[derive(Debug)]
struct Batch {
    source: &'static str,
    notices: Vec<Notice>,
    /// Alerts that the sender left out.
    truncated: u64,
}

/// One alert, or word that it is over.
#[derive(Debug, Clone)]
struct Notice {
    alert: Alert,
    resolved: bool,
    /// The sender's key of its group; empty without one.
    group: String,
    /// The trouble as it was kept with the investigation.
    stored: Option<String>,
}

/// What became of a message, told to its sender. Durable when it is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Alerts in it.
    pub received: usize,
    /// Investigations that were begun.
    pub started: Vec<String>,
    /// Alerts that joined an investigation, by its name.
    pub attached: BTreeMap<String, usize>,
    /// Words that an alert is over, by the investigation's name.
    pub resolved: BTreeMap<String, usize>,
    /// Alerts that were told before.
    pub repeated: usize,
    /// Alerts that are left alone, by reason.
    pub ignored: BTreeMap<String, usize>,
    /// Alerts that were not taken: send them again.
    pub waiting: usize,
    /// Alerts that the sender left out itself.
    pub left_out_by_sender: u64,
}

/// Why a message was not taken. Nothing of it is lost when it is sent again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many messages wait.
    #[error("too many messages wait to be taken in; send it again")]
    Busy,
    /// The engine did not take it.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

struct Job {
    batch: Batch,
    answer: oneshot::Sender<Result<Answer, Error>>,
}

/// A handle on the intake; clones share it.
#[derive(Clone)]
pub struct Intake {
    jobs: mpsc::Sender<Job>,
}

/// Takes alerts in. Lives as a task of its own, so that a sender who leaves breaks nothing.
pub struct Clerk {
    config: Config,
    engine: Engine,
    journal: Journal,
    metrics: Metrics,
    clock: fn() -> Timestamp,
    troubles: Troubles,
    jobs: mpsc::Receiver<Job>,
}

/// What the intake works with.
pub struct Parts {
    /// Begins investigations.
    pub engine: Engine,
    /// Where the index is made from.
    pub journal: Journal,
    /// Numbers for operators.
    pub metrics: Metrics,
    /// Wall time.
    pub clock: fn() -> Timestamp,
}

// === impl Intake ===

impl Intake {
    /// An intake and its clerk, who knows what is stored.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn open(config: Config, parts: Parts) -> Result<(Self, Clerk), Error> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let troubles = remembered(&config, &parts)?;
        let Parts { engine, journal, metrics, clock } = parts;
        let clerk = Clerk { config, engine, journal, metrics, clock, troubles, jobs: waiting };
        Ok((Self { jobs }, clerk))
    }

    async fn take(&self, batch: Batch) -> Result<Answer, Error> {
        let (answer, heard) = oneshot::channel();
        self.jobs.try_send(Job { batch, answer }).map_err(|_| Error::Busy)?;
        heard.await.unwrap_or(Err(Error::Engine(engine::Error::Stopping)))
    }
}

/// The index as the journal has it: what alerts began within the last day, and what joined.
fn remembered(config: &Config, parts: &Parts) -> Result<Troubles, Error> {
    let mut troubles = Troubles::new(config.window);
    let now = (parts.clock)();
    let lately = |created: Timestamp| now.duration_since(created) <= troubles::KEPT;
    let page = parts.journal.list(None, LOOKED_AT, |_| true)?;
    let began = page.investigations.into_iter().filter(|one| lately(one.created));
    let mut began: Vec<_> = began.collect();
    began.reverse();
    for one in began {
        let Some(trouble) = one.labels.get(TROUBLE) else { continue };
        let notice = |alert, resolved| Notice {
            alert,
            resolved,
            group: String::new(),
            stored: Some(trouble.clone()),
        };
        troubles.took(one.id, &notice(one.alert.clone(), false), one.created);
        for (at, Attached { alert, resolved }) in parts.journal.joined(one.id, 0, usize::MAX)? {
            troubles.took(one.id, &notice(alert, resolved), at);
        }
    }
    Ok(troubles)
}

// === impl Clerk ===

impl Clerk {
    /// Works until the last handle is gone.
    pub async fn run(mut self) {
        while let Some(Job { batch, answer }) = self.jobs.recv().await {
            let taken = self.take(batch).await;
            if let Err(error) = &taken {
                tracing::warn!(%error, "alerts were not taken in; their sender is asked to come again");
            }
            // A sender who left comes again, and what it says is known then.
            let _ = answer.send(taken);
        }
    }

    async fn take(&mut self, batch: Batch) -> Result<Answer, Error> {
        let now = (self.clock)();
        self.troubles.forget(now);
        let source = batch.source;
        let mut answer = Answer {
            received: batch.notices.len(),
            left_out_by_sender: batch.truncated,
            ..Answer::default()
        };
        let mut taking = Taking::default();
        for mut notice in batch.notices {
            notice.alert.cut();
            notice.alert.fingerprint = notice.alert.identity();
            if let Some(why) = self.left_alone(&notice.alert) {
                *answer.ignored.entry(why).or_default() += 1;
            } else {
                self.place(notice, (source, now), &mut taking, &mut answer).await?;
            }
        }
        self.join(taking, now, &mut answer).await?;
        self.count(source, &answer);
        Ok(answer)
    }

    /// Why an alert is never investigated; `None` when it may be.
    fn left_alone(&self, alert: &Alert) -> Option<String> {
        if !alert.violations().is_empty() {
            return Some("it says nothing that could be investigated".to_owned());
        }
        if self.config.ignored.contains(&alert.kind) {
            return Some(format!("{} is in intake.ignored_types", alert.kind));
        }
        own::doing(alert).map(str::to_owned)
    }

    async fn place(
        &mut self,
        notice: Notice,
        (source, now): (&str, Timestamp),
        taking: &mut Taking,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        if !taking.met.insert((notice.alert.fingerprint.clone(), notice.resolved)) {
            answer.repeated += 1;
            return Ok(());
        }
        let verdict = {
            let lives = std::cell::RefCell::new(&mut taking.lives);
            self.troubles.judge(&notice, now, |id| {
                if let Some(known) = lives.borrow().get(&id) {
                    return Ok(*known);
                }
                let life = self.engine.life(id)?;
                lives.borrow_mut().insert(id, life);
                Ok::<_, engine::Error>(life)
            })?
        };
        match verdict {
            Verdict::Start if self.engine.active() >= self.config.most_open => answer.waiting += 1,
            Verdict::Start => {
                let wishes = Wishes {
                    labels: [(TROUBLE.to_owned(), notice.trouble())].into(),
                    principal: format!("webhook:{source}"),
                    ..Wishes::default()
                };
                let id = self.engine.investigate(notice.alert.clone(), wishes).await?;
                self.troubles.took(id, &notice, now);
                taking.lives.insert(id, Life::Open);
                answer.started.push(id.resource());
            }
            Verdict::Join(id) => taking.joining.entry(id).or_default().push(notice),
            Verdict::Known(_) => answer.repeated += 1,
            Verdict::Stray => {
                let why = "it is over, and nobody looked at it".to_owned();
                *answer.ignored.entry(why).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Writes what joins, all of one investigation at once, and only then knows of it.
    async fn join(
        &mut self,
        taking: Taking,
        now: Timestamp,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        for (id, notices) in taking.joining {
            let mut alerts = self.journal.tally(id)?.alerts;
            let mut joined = Vec::with_capacity(notices.len());
            for Notice { alert, resolved, .. } in &notices {
                let told = if *resolved { &mut answer.resolved } else { &mut answer.attached };
                *told.entry(id.resource()).or_default() += 1;
                let whole = !resolved && alerts < WHOLE;
                alerts += u32::from(!resolved);
                let alert = if whole { alert.clone() } else { slim(alert) };
                joined.push(Attached { alert, resolved: *resolved });
            }
            self.engine.attach(id, joined).await?;
            for notice in &notices {
                self.troubles.took(id, notice, now);
            }
        }
        Ok(())
    }

    fn count(&self, source: &str, answer: &Answer) {
        let sum = |of: &BTreeMap<String, usize>| of.values().sum();
        for (outcome, alerts) in [
            ("started", answer.started.len()),
            ("attached", sum(&answer.attached)),
            ("resolved", sum(&answer.resolved)),
            ("repeated", answer.repeated),
            ("ignored", sum(&answer.ignored)),
            ("refused", answer.waiting),
        ] {
            self.metrics.alerts(source, outcome, alerts);
        }
    }
}

/// What is known while one message is taken in.
#[derive(Default)]
struct Taking {
    /// Fingerprints of this message, with whether they are over.
    met: HashSet<(String, bool)>,
    lives: HashMap<InvestigationId, Life>,
    joining: BTreeMap<InvestigationId, Vec<Notice>>,
}

/// What tells an alert apart, without its words.
fn slim(alert: &Alert) -> Alert {
    Alert {
        description: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        ..alert.clone()
    }
}

#[cfg(test)]
mod tests;

//! The planner by rules: which questions to ask next, from nothing but what tools say of
//! themselves (their applicabilities) and what is suspected. It knows no tool by name; a
//! stranger's tool is planned for exactly like a bundled one. Pure: same input, same plan.

mod opening;
pub mod question;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    alert::Alert,
    fact::Entity,
    investigation::{
        finding::EpisodeMatch,
        plan::{Plan, Question, Step},
    },
    reasoner::{
        Assessment, Suspect, any_matches,
        catalogue::{Catalogue, matches_any},
    },
    tool::{Applicability, ToolSpec},
};

use opening::opening;
use question::Window;

/// Most questions in one follow-up round: each is chosen by what the ones before it gave.
const FOLLOW_UPS: usize = 6;

/// Most questions to the tools of one plugin in one round, so that none takes all the calls.
const PER_PLUGIN: usize = 10;

/// A question that failed, and what it might have told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Tool, as people read it.
    pub tool: String,
    /// Signals that stayed unseen.
    pub emits: Vec<String>,
}

/// Everything a plan is made from, frozen.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What came in.
    pub alert: &'a Alert,
    /// Tools that can be called now.
    pub tools: &'a [Arc<ToolSpec>],
    /// The cause catalogue.
    pub catalogue: &'a Catalogue,
    /// The earlier case that is checked first, if there is one.
    pub recalled: Option<&'a EpisodeMatch>,
    /// The questions that its verdict rested on; none where that is not known.
    pub rested_on: &'a [Question],
    /// Where the reasoning stands; none before the first round.
    pub assessment: Option<&'a Assessment>,
    /// Questions asked so far, as tool and arguments.
    pub asked: &'a BTreeSet<(String, String)>,
    /// Questions that failed since the last plan.
    pub failed: &'a [Failed],
    /// Tools that are not set up to answer anything, as they said: not asked again.
    pub unusable: &'a BTreeSet<String>,
    /// Time the questions are about.
    pub window: Window,
    /// Number of the plan to make, from 1.
    pub revision: u32,
    /// Tool calls left.
    pub calls_left: usize,
}

/// One possible question, with why and how much an answer is worth.
struct Candidate {
    tool: Arc<ToolSpec>,
    arguments: String,
    /// Object it asks about; none where that is what the alert is about.
    about: Option<Entity>,
    purpose: String,
    worth: f64,
}

/// The next plan; none when nothing is left to ask.
#[must_use]
pub fn plan(input: &Input<'_>) -> Option<Plan> {
    let (mut candidates, mut reason) = match input.assessment {
        None => opening(input),
        Some(assessment) if assessment.settled => refute(input, assessment),
        Some(assessment) => follow_up(input, assessment),
    };
    let left_out = cap_each_plugin(&mut candidates);
    if left_out > 0 {
        reason.push_str(&format!(
            "; {left_out} left out, as no plugin is asked more than {PER_PLUGIN} at once"
        ));
    }
    let steps: Vec<Step> = candidates
        .into_iter()
        .take(input.calls_left)
        .enumerate()
        .map(|(index, candidate)| Step {
            id: format!("s{}.{}", input.revision, index.saturating_add(1)),
            purpose: candidate.purpose,
            tool: candidate.tool.id.clone(),
            arguments: candidate.arguments,
            about: candidate.about,
            needs: Vec::new(),
        })
        .collect();
    (!steps.is_empty()).then_some(Plan { revision: input.revision, steps, reason })
}

/// Keeps the first questions to each plugin; tells how many were left out.
fn cap_each_plugin(candidates: &mut Vec<Candidate>) -> usize {
    let before = candidates.len();
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    candidates.retain(|candidate| {
        let count = asked.entry(candidate.tool.id.plugin.clone()).or_default();
        *count += 1;
        *count <= PER_PLUGIN
    });
    before - candidates.len()
}

fn broad(input: &Input<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (tool, applies) in applicable(input) {
        if !applies.after_signals.is_empty() || !applies.subject_kinds.is_empty() {
            continue;
        }
        let arguments = question::about_alert(applies, input.alert, input.window);
        if let Some(arguments) = arguments.filter(|a| !asked(input, tool, a)) {
            found.push(Candidate {
                tool: Arc::clone(tool),
                arguments,
                about: None,
                purpose: format!("look at {}", subject(input.alert)),
                worth: 1.0 / cost(tool),
            });
        }
    }
    sorted(found)
}

/// Later rounds: the questions that best separate the leading hypotheses, about the objects under
/// suspicion; what a failed tool would have told, from another; the broad ones still open.
fn follow_up(input: &Input<'_>, assessment: &Assessment) -> (Vec<Candidate>, String) {
    let mut found = instead(input, assessment);
    let replaced = found.len();
    for suspect in assessment.suspects.iter().take(12) {
        for (tool, applies) in applicable(input) {
            if let Some(candidate) = about(input, assessment, suspect, tool, applies) {
                found.push(candidate);
            }
        }
    }
    found.extend(after_signals(input, assessment));
    let reason = match (replaced, assessment.hypotheses.first()) {
        (0, Some(best)) => format!("to confirm or refute: {}", best.statement),
        (0, None) => "to look further at what is not well".to_owned(),
        (n, _) => format!("{n} question(s) anew to other tools, as one failed"),
    };
    // Checking a recalled case first left the broad questions open; they come now.
    let open: Vec<Candidate> = broad(input);
    let room = FOLLOW_UPS.max(open.len());
    let mut all = sorted(found);
    all.extend(open);
    let mut once = BTreeSet::new();
    all.retain(|c| once.insert((c.tool.id.to_string(), c.arguments.clone())));
    all.truncate(room);
    (all, reason)
}

/// Questions about the alerted object that are worth asking once a signal was seen anywhere near.
fn after_signals(input: &Input<'_>, assessment: &Assessment) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (tool, applies) in applicable(input) {
        let seen = assessment.suspects.iter().flat_map(|suspect| &suspect.signals);
        if applies.subject_kinds.is_empty()
            && !applies.after_signals.is_empty()
            && any_matches(&applies.after_signals, seen)
            && let Some(arguments) = question::about_alert(applies, input.alert, input.window)
            && !asked(input, tool, &arguments)
        {
            found.push(Candidate {
                tool: Arc::clone(tool),
                arguments,
                about: None,
                purpose: format!("follow up on {}", applies.after_signals.join(", ")),
                worth: 0.8 / cost(tool),
            });
        }
    }
    found
}

fn about(
    input: &Input<'_>,
    assessment: &Assessment,
    suspect: &Suspect,
    tool: &Arc<ToolSpec>,
    applies: &Applicability,
) -> Option<Candidate> {
    let fits = !applies.subject_kinds.is_empty()
        && applies.subject_kinds.contains(&suspect.entity.kind)
        && (applies.after_signals.is_empty()
            || any_matches(&applies.after_signals, &suspect.signals))
        // What a tool has told of an object it need not be asked again.
        && !suspect.told_by.contains(&tool.id.to_string());
    if !fits || swept(input, tool, applies, &suspect.entity) {
        return None;
    }
    let arguments = question::about_object(applies, input.alert, &suspect.entity, input.window)?;
    if asked(input, tool, &arguments) {
        return None;
    }
    let separates = emits_any(tool, &assessment.wanted);
    Some(Candidate {
        tool: Arc::clone(tool),
        arguments,
        about: Some(suspect.entity.clone()),
        purpose: format!("look at {}", suspect.entity),
        worth: suspect.urgency * if separates { 2.0 } else { 1.0 } / cost(tool),
    })
}

/// Whether a question that names no object, only where to look, was answered there already: the
/// broad one looked at the alert's namespace.
fn swept(input: &Input<'_>, tool: &ToolSpec, applies: &Applicability, entity: &Entity) -> bool {
    let id = tool.id.to_string();
    !question::names_object(applies)
        && entity.namespace == input.alert.namespace
        && input.asked.iter().any(|(asked, _)| *asked == id)
}

/// Before a verdict stands: what might refute it, from tools that were not asked anything yet.
fn refute(input: &Input<'_>, assessment: &Assessment) -> (Vec<Candidate>, String) {
    let fresh = |tool: &ToolSpec| {
        let id = tool.id.to_string();
        !input.asked.iter().any(|(asked, _)| *asked == id)
    };
    let mut found = Vec::new();
    for (tool, applies) in applicable(input) {
        if fresh(tool) && any_matches(&applies.emits, &assessment.refuting) {
            let suspects = assessment.suspects.iter();
            found.extend(suspects.filter_map(|s| about(input, assessment, s, tool, applies)));
        }
    }
    let mut once = BTreeSet::new();
    let mut all = sorted(found);
    all.retain(|candidate| once.insert(candidate.tool.id.to_string()));
    (all, "to refute what seems settled".to_owned())
}

/// For each failed question, one other tool that may give the same signals.
fn instead(input: &Input<'_>, assessment: &Assessment) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for failed in input.failed {
        let other = applicable(input)
            .filter(|(tool, _)| tool.id.to_string() != failed.tool)
            .filter(|(tool, _)| emits_any(tool, &failed.emits))
            .find_map(|(tool, applies)| {
                let fits = |s: &&Suspect| applies.subject_kinds.contains(&s.entity.kind);
                let about = assessment.suspects.iter().find(fits).map(|s| s.entity.clone());
                let arguments = asking(input, applies, about.as_ref())?;
                (!asked(input, tool, &arguments)).then_some((Arc::clone(tool), arguments, about))
            });
        if let Some((tool, arguments, about)) = other {
            let purpose = format!("instead of {}, which failed", failed.tool);
            found.push(Candidate { tool, arguments, about, purpose, worth: 10.0 });
        }
    }
    found
}

/// Every tool with each of its applicabilities that fits the alert's type.
fn applicable<'a>(
    input: &Input<'a>,
) -> impl Iterator<Item = (&'a Arc<ToolSpec>, &'a Applicability)> {
    let kind = input.alert.kind.clone();
    input
        .tools
        .iter()
        .filter(|tool| !input.unusable.contains(&tool.id.to_string()))
        .flat_map(|tool| tool.applies.iter().map(move |applies| (tool, applies)))
        .filter(move |(_, applies)| {
            applies.alert_types.is_empty() || matches_any(&applies.alert_types, &kind)
        })
}

/// The arguments for asking about an object, or about what the alert is about where there is none;
/// `None` where the tool is not asked about that.
fn asking(input: &Input<'_>, applies: &Applicability, about: Option<&Entity>) -> Option<String> {
    match about {
        None if applies.subject_kinds.is_empty() => {
            question::about_alert(applies, input.alert, input.window)
        }
        Some(entity) if applies.subject_kinds.contains(&entity.kind) => {
            question::about_object(applies, input.alert, entity, input.window)
        }
        None | Some(_) => None,
    }
}

fn asked(input: &Input<'_>, tool: &ToolSpec, arguments: &str) -> bool {
    input.asked.contains(&(tool.id.to_string(), arguments.to_owned()))
}

fn emits_any(tool: &ToolSpec, signals: &[String]) -> bool {
    tool.applies
        .iter()
        .any(|applies| any_matches(signals, &applies.emits) || any_matches(&applies.emits, signals))
}

/// What asking costs, in seconds of its usual latency and a fixed share for the call itself.
fn cost(tool: &ToolSpec) -> f64 {
    0.5 + tool.typical_latency.as_secs_f64()
}

fn subject(alert: &Alert) -> String {
    if !alert.service.is_empty() {
        alert.service.clone()
    } else if !alert.namespace.is_empty() {
        format!("namespace {}", alert.namespace)
    } else {
        "the cluster".to_owned()
    }
}

fn sorted(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| {
        b.worth
            .total_cmp(&a.worth)
            .then_with(|| (&a.tool.id, &a.arguments).cmp(&(&b.tool.id, &b.arguments)))
    });
    candidates
}

#[cfg(test)]
mod tests;

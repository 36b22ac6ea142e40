//! What a run makes of what memory recalled: which cause it checks first, when it may stop there,
//! and what its report says of it. Memory only moves a cause forward: belief comes from evidence
//! alone, and a run that looked at little may end early only where the evidence says again what it
//! said before.

use crate::{
    fact::Entity,
    investigation::{
        finding::{Check, EpisodeMatch, Hypothesis, RootCause, Verdict},
        report::{Conclusion, MemoryOutcome},
    },
    memory::Recalled,
    reasoner::Assessment,
};

/// Likeness from which a recalled case is checked before anything else is asked.
const RECALL_FIRST: f64 = 0.7;
/// How much less sure a verdict may be than the recalled one to count as borne out again.
const LESS: f64 = 0.05;
/// Most causes named as not confirmed.
const NAMED: usize = 3;

/// What a report on memory is made from.
pub(super) struct Outcome<'a> {
    /// What was recalled.
    pub(super) recalled: &'a Recalled,
    /// What was concluded.
    pub(super) conclusion: &'a Conclusion,
    /// Candidate causes as believed last.
    pub(super) hypotheses: &'a [Hypothesis],
    /// Tool calls made.
    pub(super) calls: u32,
}

/// Whether what stands after a round is asked about no further, but for what might refute it.
pub(super) fn stands(recalled: &Recalled, round: u32, now: &Assessment) -> bool {
    is_as_then(recalled, now)
        || if round > 1 {
            now.settled || now.conclusion.verdict == Verdict::Healthy
        } else {
            now.settled && may_end(recalled, &now.conclusion)
        }
}

/// Whether a verdict that stands after the first round may end the run. With a recalled cause the
/// first round asks little: that is enough where the very cause that was found before stands again.
/// A cause that people told, or another one than recalled, calls for the questions left out.
fn may_end(recalled: &Recalled, conclusion: &Conclusion) -> bool {
    match leading(recalled) {
        None => true,
        Some(case) => {
            !case.corrected
                && conclusion.root_causes.first().is_some_and(|cause| is_same(case, cause))
        }
    }
}

/// Whether all is as it was when the leading case was concluded, by what was seen now: the same
/// verdict, about as sure, and nothing at the alerted object that was not there or not open then.
/// What was asked after that brought nothing then.
fn is_as_then(recalled: &Recalled, now: &Assessment) -> bool {
    let Some(case) = leading(recalled) else { return false };
    let Some(then) = recalled.known.get(&case.episode) else { return false };
    let concluded = &now.conclusion;
    let verdict = match concluded.root_causes.first() {
        None => then.healthy && concluded.verdict == Verdict::Healthy,
        Some(cause) => {
            is_same(case, cause)
                && cause.confidence >= then.confidence - LESS
                && concluded.root_causes.len() <= then.causes
        }
    };
    verdict && !then.rested_on.is_empty() && now.unexplained.is_subset(&then.unexplained)
}

/// The case whose verdict is checked first.
pub(super) fn leading(recalled: &Recalled) -> Option<&EpisodeMatch> {
    let healthy =
        |case: &EpisodeMatch| recalled.known.get(&case.episode).is_some_and(|known| known.healthy);
    recalled.cases.iter().find(|case| {
        case.similarity >= RECALL_FIRST && (!case.category.is_empty() || healthy(case))
    })
}

/// What was recalled, in a line.
pub(super) fn in_short(recalled: &Recalled) -> String {
    let mut summary = match recalled.cases.first() {
        None => "no earlier case is like this".to_owned(),
        Some(best) => format!(
            "{} earlier case(s) are like this, the best {:.0} %: {}",
            recalled.cases.len(),
            best.similarity * 100.0,
            best.reason
        ),
    };
    if let Some(pattern) = recalled.patterns.first() {
        summary.push_str(&format!("; {}", pattern.statement));
    }
    summary
}

/// What is recalled `now` and was not `before`, in a line.
pub(super) fn news(before: &Recalled, now: &Recalled) -> Option<String> {
    let pattern = now.patterns.iter().find(|pattern| !before.patterns.contains(pattern));
    match (further(before, now), pattern) {
        (None, None) => None,
        (Some(case), _) => {
            Some(format!("by what was seen, a further case is like this: {}", case.reason))
        }
        (None, Some(pattern)) => Some(format!("by what was seen: {}", pattern.statement)),
    }
}

/// The cases of `before`, unless there is a further one `now`; the patterns of `now`.
pub(super) fn joined(before: Recalled, now: Recalled) -> Recalled {
    if further(&before, &now).is_some() {
        return now;
    }
    Recalled { patterns: now.patterns, ..before }
}

fn further<'a>(before: &Recalled, now: &'a Recalled) -> Option<&'a EpisodeMatch> {
    let known = |m: &EpisodeMatch| before.cases.iter().any(|old| old.episode == m.episode);
    now.cases.iter().find(|m| !known(m))
}

/// Whether a case had this cause. People may leave the object or its namespace out.
fn is_same(case: &EpisodeMatch, cause: &RootCause) -> bool {
    let object = match &case.culprit {
        None => case.corrected,
        Some(told) => is_object(told, &cause.culprit, case.corrected),
    };
    case.category == cause.category && object
}

fn is_object(told: &Entity, found: &Entity, loosely: bool) -> bool {
    let placed = told.namespace == found.namespace || (loosely && told.namespace.is_empty());
    told.kind == found.kind && told.name == found.name && placed
}

// === impl Outcome ===

impl Outcome<'_> {
    /// What the report says of memory; names of episodes are the caller's.
    pub(super) fn told(&self) -> MemoryOutcome {
        let mut similar = self.recalled.cases.clone();
        for case in &mut similar {
            case.check = self.check(case);
        }
        let again = similar
            .iter()
            .filter(|case| case.check == Check::Confirmed || self.as_well_again(case));
        let saved = again.map(|case| case.tool_calls.saturating_sub(self.calls)).max();
        let saved = saved.unwrap_or_default();
        MemoryOutcome {
            statement: self.statement(&similar, saved),
            patterns: self.recalled.patterns.clone(),
            tool_calls_saved: saved,
            similar,
            ..MemoryOutcome::default()
        }
    }

    /// Whether nothing was wrong in a case, and nothing is wrong now.
    fn as_well_again(&self, case: &EpisodeMatch) -> bool {
        let known = self.recalled.known.get(&case.episode);
        self.conclusion.verdict == Verdict::Healthy
            && case.category.is_empty()
            && known.is_some_and(|known| known.healthy)
    }

    fn check(&self, case: &EpisodeMatch) -> Check {
        let conclusion = self.conclusion;
        if case.category.is_empty() || conclusion.verdict == Verdict::Inconclusive {
            Check::Open
        } else if conclusion.root_causes.iter().any(|cause| is_same(case, cause)) {
            Check::Confirmed
        } else {
            Check::NotConfirmed
        }
    }

    /// What came of it: the cause that stands again, those that do not, what helped then.
    fn statement(&self, similar: &[EpisodeMatch], saved: u32) -> String {
        let mut parts = Vec::new();
        let calls = if saved == 1 { "call" } else { "calls" };
        let saved = if saved > 0 { format!("; {saved} tool {calls} saved") } else { String::new() };
        if let Some(case) = similar.iter().find(|case| self.as_well_again(case)) {
            parts.push(format!("Nothing is wrong, as in {}{saved}.", case.episode));
        }
        if let Some(case) = similar.iter().find(|case| case.check == Check::Confirmed) {
            parts.push(format!(
                "The same as in {}: {}, confirmed again by what was seen{saved}.",
                case.episode,
                named(case)
            ));
            if !case.resolution.is_empty() {
                parts.push(format!("What helped then: {}", ended(&case.resolution)));
            }
        }
        parts.extend(self.not_confirmed(similar));
        let open = similar.iter().find(|case| case.check == Check::Open);
        if let Some(case) = open.filter(|case| parts.is_empty() && !case.category.is_empty()) {
            let told = named(case);
            parts
                .push(format!("It was {told} in {}; this time that is not decided.", case.episode));
        }
        parts.join(" ")
    }

    /// One sentence on the recalled causes that do not stand.
    fn not_confirmed(&self, similar: &[EpisodeMatch]) -> Option<String> {
        let mut causes: Vec<(String, &EpisodeMatch, usize)> = Vec::new();
        for case in similar.iter().filter(|case| case.check == Check::NotConfirmed) {
            let name = named(case);
            match causes.iter_mut().find(|(known, ..)| *known == name) {
                Some((.., cases)) => *cases += 1,
                None => causes.push((name, case, 1)),
            }
        }
        if causes.is_empty() {
            return None;
        }
        let told = causes.iter().take(NAMED).map(|(name, case, cases)| {
            let source = if case.corrected { "as people told it in" } else { "as in" };
            let more = if *cases > 1 { format!(" and {} more", cases - 1) } else { String::new() };
            format!("{name}, {source} {}{more}: {}", case.episode, self.against(case))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let left = causes.len().saturating_sub(NAMED);
        let left = if left > 0 { format!("; and {left} other causes") } else { String::new() };
        let now = match self.conclusion.root_causes.first() {
            Some(cause) => format!("the cause is {} of {}", cause.category, cause.culprit),
            None => "nothing is wrong".to_owned(),
        };
        Some(format!("Not confirmed this time: {told}{left}. This time {now}."))
    }

    /// Why a recalled cause does not stand.
    fn against(&self, case: &EpisodeMatch) -> String {
        let of = |hypothesis: &&Hypothesis| {
            hypothesis.category == case.category
                && case
                    .culprit
                    .as_ref()
                    .is_none_or(|told| is_object(told, &hypothesis.culprit, case.corrected))
        };
        match self.hypotheses.iter().find(of) {
            None => "nothing that was seen speaks for it".to_owned(),
            Some(one) if one.rejection.is_empty() => {
                format!("what was seen carries it to {:.0} % only", one.confidence * 100.0)
            }
            Some(one) => one.rejection.clone(),
        }
    }
}

/// A recalled cause in short.
fn named(case: &EpisodeMatch) -> String {
    match &case.culprit {
        Some(culprit) => format!("{} of {culprit}", case.category),
        None => case.category.clone(),
    }
}

/// A sentence with its full stop.
fn ended(said: &str) -> String {
    let said = said.trim();
    if said.ends_with(['.', '!', '?']) { said.to_owned() } else { format!("{said}.") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        investigation::plan::Question,
        journal::testing::{alert, concluded, id},
        memory::episode::Known,
    };

    fn conclusion(category: &str) -> Conclusion {
        let done = concluded(id(1), &alert("high_memory", "cart"), category, &[], 1);
        done.report.unwrap().conclusion
    }

    fn case(category: &str, corrected: bool) -> EpisodeMatch {
        EpisodeMatch {
            episode: "episodes/e".to_owned(),
            similarity: 0.9,
            category: category.to_owned(),
            culprit: Some(Entity::new("Deployment", "shop", "cart")),
            root_cause: String::new(),
            resolution: String::new(),
            reason: String::new(),
            tool_calls: 9,
            corrected,
            check: Check::Open,
        }
    }

    fn recalled(cases: Vec<EpisodeMatch>) -> Recalled {
        Recalled { cases, ..Recalled::default() }
    }

    fn told(cases: Vec<EpisodeMatch>, category: &str) -> MemoryOutcome {
        let (recalled, conclusion) = (recalled(cases), conclusion(category));
        Outcome { recalled: &recalled, conclusion: &conclusion, hypotheses: &[], calls: 4 }.told()
    }

    #[test]
    fn a_run_ends_after_few_questions_only_where_the_evidence_says_the_same_again() {
        let lowly = EpisodeMatch { similarity: 0.5, ..case("disk_full", false) };
        let table = [
            (vec![], true),
            (vec![lowly], true),
            (vec![case("oom_killed", false)], true),
            (vec![case("disk_full", false)], false),
            // What people told was never shown by evidence.
            (vec![case("oom_killed", true)], false),
            (vec![case("disk_full", true), case("oom_killed", false)], false),
        ];
        for (cases, may) in table {
            assert_eq!(
                may_end(&recalled(cases.clone()), &conclusion("oom_killed")),
                may,
                "{cases:?}"
            );
        }
        assert!(!may_end(&recalled(vec![case("oom_killed", false)]), &conclusion("healthy")));
    }

    fn assessment(conclusion: Conclusion, unexplained: BTreeSet<String>) -> Assessment {
        Assessment {
            hypotheses: Vec::new(),
            wanted: Vec::new(),
            refuting: Vec::new(),
            suspects: Vec::new(),
            settled: false,
            unexplained,
            unknown: None,
            conclusion,
        }
    }

    /// Recalled with what the verdict of the first case rested on.
    fn traced(case: EpisodeMatch, known: Known) -> Recalled {
        let known = BTreeMap::from([(case.episode.clone(), known)]);
        Recalled { known, ..recalled(vec![case]) }
    }

    fn then() -> Known {
        Known {
            healthy: false,
            confidence: 0.8,
            causes: 1,
            unexplained: ["log.error_pattern".to_owned()].into(),
            rested_on: vec![Question { tool: "probe.look".to_owned(), about: None }],
        }
    }

    #[test]
    fn all_is_as_then_only_with_the_same_verdict_as_sure_and_no_harm_that_is_new() {
        let now = |category: &str, confidence: f64, unexplained: &str| {
            let mut conclusion = conclusion(category);
            for cause in &mut conclusion.root_causes {
                cause.confidence = confidence;
            }
            let unexplained = unexplained.split_whitespace().map(str::to_owned).collect();
            assessment(conclusion, unexplained)
        };
        let table = [
            (now("oom_killed", 0.8, ""), true),
            (now("oom_killed", 0.76, "log.error_pattern"), true),
            (now("oom_killed", 0.74, ""), false),
            (now("oom_killed", 0.8, "log.error_pattern node.not_ready"), false),
            (now("disk_full", 0.8, ""), false),
            (now("healthy", 0.0, ""), false),
            (now("", 0.0, ""), false),
        ];
        for (now, expected) in &table {
            let same = is_as_then(&traced(case("oom_killed", false), then()), now);
            assert_eq!(same, *expected, "{now:?}");
        }
        let [(same, _), ..] = &table;
        let further = Known { causes: 0, ..then() };
        assert!(!is_as_then(&traced(case("oom_killed", false), further), same), "a further cause");
        let old = Known { rested_on: Vec::new(), ..then() };
        assert!(!is_as_then(&traced(case("oom_killed", false), old), same), "nothing is known");
        // What people told is not known of here at all.
        assert!(!is_as_then(&recalled(vec![case("oom_killed", true)]), same));
        let well = Known { healthy: true, ..then() };
        let well = traced(EpisodeMatch { culprit: None, ..case("", false) }, well);
        assert!(is_as_then(&well, &now("healthy", 0.0, "")));
        assert!(!is_as_then(&well, same), "a cause where nothing was wrong");
    }

    #[test]
    fn a_saving_is_told_of_an_all_clear_as_well() {
        let case = EpisodeMatch { culprit: None, ..case("", false) };
        let recalled = traced(case, Known { healthy: true, ..then() });
        let conclusion = conclusion("healthy");
        let told =
            Outcome { recalled: &recalled, conclusion: &conclusion, hypotheses: &[], calls: 4 };
        let told = told.told();
        assert_eq!(told.tool_calls_saved, 5);
        assert_eq!(told.statement, "Nothing is wrong, as in episodes/e; 5 tool calls saved.");
    }

    #[test]
    fn a_cause_that_stands_again_is_told_with_what_it_saved_and_what_helped() {
        let helped =
            EpisodeMatch { resolution: "raised the limit".to_owned(), ..case("oom_killed", false) };
        let told = told(vec![helped], "oom_killed");
        assert_eq!(told.similar.first().unwrap().check, Check::Confirmed);
        assert_eq!(told.tool_calls_saved, 5);
        assert_eq!(
            told.statement,
            "The same as in episodes/e: oom_killed of Deployment shop/cart, confirmed again by what \
             was seen; 5 tool calls saved. What helped then: raised the limit."
        );
    }

    #[test]
    fn a_cause_that_does_not_stand_is_named_once_however_many_cases_tell_it() {
        let lies = vec![case("memory_leak", true); 3];
        let told = told(lies, "oom_killed");
        assert!(told.similar.iter().all(|case| case.check == Check::NotConfirmed));
        assert_eq!(told.tool_calls_saved, 0);
        assert_eq!(
            told.statement,
            "Not confirmed this time: memory_leak of Deployment shop/cart, as people told it in \
             episodes/e and 2 more: nothing that was seen speaks for it. This time the cause is \
             oom_killed of Deployment shop/cart."
        );
        let well = super::tests::told(vec![case("memory_leak", false)], "healthy");
        assert!(well.statement.ends_with("This time nothing is wrong."), "{}", well.statement);
    }

    #[test]
    fn without_a_verdict_nothing_is_confirmed_or_denied() {
        let told = told(vec![case("memory_leak", false)], "");
        assert_eq!(told.similar.first().unwrap().check, Check::Open);
        assert!(told.statement.ends_with("this time that is not decided."), "{}", told.statement);
        assert_eq!(super::tests::told(vec![], "oom_killed").statement, "");
    }
}

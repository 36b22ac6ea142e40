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
    planner::RECALL_FIRST,
};

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

/// Whether a verdict that stands after the first round may end the run. With a recalled cause the
/// first round asks little: that is enough where the very cause that was found before stands again.
/// A cause that people told, or another one than recalled, calls for the questions left out.
pub(super) fn may_end(recalled: &Recalled, conclusion: &Conclusion) -> bool {
    match first(recalled) {
        None => true,
        Some(case) => {
            !case.corrected
                && conclusion.root_causes.first().is_some_and(|cause| is_same(case, cause))
        }
    }
}

/// The case whose cause is checked first.
fn first(recalled: &Recalled) -> Option<&EpisodeMatch> {
    recalled.cases.iter().find(|case| case.similarity >= RECALL_FIRST && !case.category.is_empty())
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
        let again = similar.iter().filter(|case| case.check == Check::Confirmed);
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
        if let Some(case) = similar.iter().find(|case| case.check == Check::Confirmed) {
            let calls = if saved == 1 { "call" } else { "calls" };
            let saved =
                if saved > 0 { format!("; {saved} tool {calls} saved") } else { String::new() };
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

    use super::*;
    use crate::journal::testing::{alert, concluded, id};

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
        Recalled { cases, patterns: Vec::new() }
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

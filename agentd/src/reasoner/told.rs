//! The hypotheses in the words of the domain: each with what became of it and why.

use super::{
    account,
    case::Case,
    conclude::{CITED, cite},
    select::{Choice, Rejection},
    template::fill,
    weigh::Weighed,
    words::values,
};
use crate::investigation::finding::Hypothesis;

/// Most candidates told at all, beside those that stand.
const KEPT: usize = 64;

/// The hypotheses in the words of the domain, strongest first.
pub(super) fn hypotheses(
    case: &Case<'_>,
    weighed: &[Weighed<'_>],
    choice: &Choice,
) -> Vec<Hypothesis> {
    let of = |index: &usize| weighed.get(*index).map(|w| w.id.clone()).unwrap_or_default();
    let stands = |index: usize| choice.standing.iter().any(|(standing, _)| *standing == index);
    let mut list: Vec<Hypothesis> = weighed
        .iter()
        .enumerate()
        .filter(|(index, _)| *index < KEPT || stands(*index))
        .map(|(index, w)| {
            let rejected = choice.rejected.get(&index);
            let confidence = choice.confidence.get(index).copied().unwrap_or_default();
            Hypothesis {
                id: w.id.clone(),
                statement: fill(&w.cause.statement, &values(case, w)),
                confidence,
                category: w.cause.category().to_owned(),
                culprit: w.culprit.clone(),
                evidence: cite(case, w.evidence.iter().map(|(i, _)| *i).take(CITED)),
                against: cite(case, w.against.iter().copied()),
                rejection: rejected.map(|r| why(weighed, r)).unwrap_or_default(),
                explained_by: match rejected {
                    Some(
                        Rejection::ExplainedBy(by)
                        | Rejection::SameThing(by)
                        | Rejection::OtherEnd(by),
                    ) => of(by),
                    Some(Rejection::Weak | Rejection::Apart | Rejection::Partial) | None => {
                        String::new()
                    }
                },
                missing_signals: missing(case, w),
                account: Some(Box::new(account::of(case, w, confidence))),
            }
        })
        .collect();
    list.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.id.cmp(&b.id)));
    list
}

fn why(weighed: &[Weighed<'_>], rejection: &Rejection) -> String {
    let name = |index: &usize| {
        weighed
            .get(*index)
            .map_or_else(String::new, |w| format!("{} of {}", w.cause.category(), w.culprit))
    };
    match rejection {
        Rejection::ExplainedBy(by) => {
            format!("all that speaks for it is explained by {}", name(by))
        }
        Rejection::SameThing(by) => format!("{} is the more exact word for it", name(by)),
        Rejection::OtherEnd(by) => format!("{} is the same trouble from its other end", name(by)),
        Rejection::Weak => "the evidence for it is too weak".to_owned(),
        Rejection::Apart => "it lies apart from the alert".to_owned(),
        Rejection::Partial => "it is no fault, and does not explain all that hurts".to_owned(),
    }
}

fn missing(case: &Case<'_>, weighed: &Weighed<'_>) -> Vec<String> {
    let has = |clause: &super::catalogue::Clause| {
        weighed.evidence.iter().any(|(index, _)| {
            case.facts.seen().get(*index).is_some_and(|seen| clause.matches(&seen.observation))
        })
    };
    let lacking = weighed.cause.speaks_for.iter().filter(|c| c.weight >= 0.3 && !has(c));
    lacking.map(|clause| clause.any.join(" or ")).collect()
}

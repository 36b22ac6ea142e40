//! What is believed and why: root causes, hypotheses, accounts. Accounts are missing in what earlier
//! versions stored, and that is no fault.

use agent_proto::v1;

use super::{Unreadable, count, int};
use crate::{
    investigation::finding::{Account, Factor, Hypothesis, RootCause, Share},
    plugin::wire,
};

pub(super) fn write_cause(cause: &RootCause) -> v1::RootCause {
    v1::RootCause {
        statement: cause.statement.clone(),
        category: cause.category.clone(),
        culprit: Some(wire::entity_to(&cause.culprit)),
        confidence: cause.confidence,
        evidence_ids: cause.evidence.clone(),
        affected: cause.affected.iter().map(wire::entity_to).collect(),
        hypothesis_id: cause.hypothesis.clone(),
        against_evidence_ids: cause.against.clone(),
        start_time: cause.start.map(wire::timestamp_to),
        path: cause.path.iter().map(wire::relation_to).collect(),
        confirm_command: cause.confirm_command.clone(),
        account: cause.account.as_deref().map(write),
    }
}

pub(super) fn read_cause(message: v1::RootCause) -> Result<RootCause, Unreadable> {
    Ok(RootCause {
        statement: message.statement,
        category: message.category,
        culprit: wire::entity_from(message.culprit.ok_or(Unreadable::missing("culprit"))?),
        confidence: message.confidence,
        evidence: message.evidence_ids,
        against: message.against_evidence_ids,
        affected: message.affected.into_iter().map(wire::entity_from).collect(),
        hypothesis: message.hypothesis_id,
        start: message.start_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))),
        path: message.path.into_iter().filter_map(wire::relation_from).collect(),
        confirm_command: message.confirm_command,
        account: message.account.map(|account| Box::new(read(account))),
    })
}

/// A candidate cause as messages have it.
#[must_use]
pub fn write_hypothesis(hypothesis: &Hypothesis) -> v1::Hypothesis {
    v1::Hypothesis {
        id: hypothesis.id.clone(),
        statement: hypothesis.statement.clone(),
        confidence: hypothesis.confidence,
        evidence_ids: hypothesis.evidence.clone(),
        category: hypothesis.category.clone(),
        culprit: Some(wire::entity_to(&hypothesis.culprit)),
        rejection: hypothesis.rejection.clone(),
        against_evidence_ids: hypothesis.against.clone(),
        explained_by: hypothesis.explained_by.clone(),
        missing_signals: hypothesis.missing_signals.clone(),
        account: hypothesis.account.as_deref().map(write),
    }
}

pub(super) fn read_hypothesis(message: v1::Hypothesis) -> Hypothesis {
    Hypothesis {
        id: message.id,
        statement: message.statement,
        confidence: message.confidence,
        category: message.category,
        culprit: message.culprit.map(wire::entity_from).unwrap_or_default(),
        evidence: message.evidence_ids,
        against: message.against_evidence_ids,
        rejection: message.rejection,
        explained_by: message.explained_by,
        missing_signals: message.missing_signals,
        account: message.account.map(|account| Box::new(read(account))),
    }
}

/// An account as messages have it.
fn write(account: &Account) -> v1::Account {
    let factor = |f: &Factor| v1::Factor { name: f.name.clone(), value: f.value };
    let share = |s: &Share| v1::EvidenceShare { evidence_id: s.evidence.clone(), weight: s.weight };
    v1::Account {
        factors: account.factors.iter().map(factor).collect(),
        belief: account.belief,
        rivals: account.rivals,
        shares: account.shares.iter().map(share).collect(),
        explained_evidence_ids: account.explained.clone(),
        explained_count: int(account.explained_count),
        unseen_tools: account.unseen.clone(),
        question: account.question.clone(),
        start_time: account.start.map(wire::timestamp_to),
        path: account.path.iter().flatten().map(wire::relation_to).collect(),
        reached: account.path.is_some(),
        source: account.source.clone(),
    }
}

/// A stored account.
fn read(message: v1::Account) -> Account {
    let factor = |f: v1::Factor| Factor { name: f.name, value: f.value };
    let share = |s: v1::EvidenceShare| Share { evidence: s.evidence_id, weight: s.weight };
    let path = message.path.into_iter().filter_map(wire::relation_from).collect();
    Account {
        factors: message.factors.into_iter().map(factor).collect(),
        belief: message.belief,
        rivals: message.rivals,
        shares: message.shares.into_iter().map(share).collect(),
        explained: message.explained_evidence_ids,
        explained_count: count(message.explained_count),
        unseen: message.unseen_tools,
        question: message.question,
        start: message.start_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))),
        path: message.reached.then_some(path),
        source: message.source,
    }
}

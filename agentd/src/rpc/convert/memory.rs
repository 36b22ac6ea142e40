//! What memory tells: recalled cases, patterns, episodes and judgements.

use agent_proto::v1;

use super::{count, int, known};
use crate::{
    investigation::{
        finding::{Check, EpisodeMatch, Judgement, LearnedPattern},
        report::MemoryOutcome,
    },
    memory::{Hit, case::Case, episode},
    plugin::wire,
};

/// What a report says of memory, as messages have it.
#[must_use]
pub fn write_memory(memory: &MemoryOutcome) -> v1::MemoryOutcome {
    v1::MemoryOutcome {
        episode: memory.episode.clone(),
        similar: memory.similar.iter().map(write_match).collect(),
        patterns: memory.patterns.iter().map(write_pattern).collect(),
        total_episodes: int(memory.total_episodes),
        tool_calls_saved: int(memory.tool_calls_saved),
        statement: memory.statement.clone(),
    }
}

pub(super) fn read_memory(message: v1::MemoryOutcome) -> MemoryOutcome {
    MemoryOutcome {
        episode: message.episode,
        similar: message.similar.into_iter().map(read_match).collect(),
        patterns: message.patterns.into_iter().filter_map(read_pattern).collect(),
        statement: message.statement,
        total_episodes: count(message.total_episodes),
        tool_calls_saved: count(message.tool_calls_saved),
    }
}

/// An earlier case as messages have it.
#[must_use]
pub fn write_match(found: &EpisodeMatch) -> v1::EpisodeMatch {
    v1::EpisodeMatch {
        episode: found.episode.clone(),
        similarity: found.similarity,
        root_cause: found.root_cause.clone(),
        resolution: found.resolution.clone(),
        reason: found.reason.clone(),
        category: found.category.clone(),
        culprit: found.culprit.as_ref().map(wire::entity_to),
        tool_calls: int(found.tool_calls),
        corrected: found.corrected,
        check: match found.check {
            Check::Open => v1::EpisodeCheck::Unspecified,
            Check::Confirmed => v1::EpisodeCheck::Confirmed,
            Check::NotConfirmed => v1::EpisodeCheck::NotConfirmed,
        }
        .into(),
    }
}

pub(super) fn read_match(message: v1::EpisodeMatch) -> EpisodeMatch {
    EpisodeMatch {
        episode: message.episode,
        similarity: message.similarity,
        category: message.category,
        culprit: message.culprit.map(wire::entity_from),
        root_cause: message.root_cause,
        resolution: message.resolution,
        reason: message.reason,
        tool_calls: count(message.tool_calls),
        corrected: message.corrected,
        check: match known::<v1::EpisodeCheck>(message.check) {
            v1::EpisodeCheck::Unspecified => Check::Open,
            v1::EpisodeCheck::Confirmed => Check::Confirmed,
            v1::EpisodeCheck::NotConfirmed => Check::NotConfirmed,
        },
    }
}

/// A pattern as messages have it.
#[must_use]
pub fn write_pattern(pattern: &LearnedPattern) -> v1::LearnedPattern {
    v1::LearnedPattern {
        statement: pattern.statement.clone(),
        support: int(pattern.seen),
        share: pattern.share,
        confirmed: int(pattern.confirmed),
        contradicted: int(pattern.contradicted),
        alert_type: pattern.kind.clone(),
        service: pattern.service.clone(),
        namespace: pattern.namespace.clone(),
        category: pattern.category.clone(),
        culprit: pattern.culprit.as_ref().map(wire::entity_to),
        signals: pattern.signals.clone(),
        last_seen_time: Some(wire::timestamp_to(pattern.last)),
    }
}

/// One without a time is of an earlier version, which had none to tell.
pub(super) fn read_pattern(message: v1::LearnedPattern) -> Option<LearnedPattern> {
    let last = wire::timestamp_from(message.last_seen_time.as_ref())?;
    Some(LearnedPattern {
        statement: message.statement,
        kind: message.alert_type,
        service: message.service,
        namespace: message.namespace,
        category: message.category,
        culprit: message.culprit.map(wire::entity_from),
        signals: message.signals,
        seen: count(message.support),
        confirmed: count(message.confirmed),
        contradicted: count(message.contradicted),
        share: message.share,
        last,
    })
}

/// A judgement as messages have it.
#[must_use]
pub fn write_judgement(judged: Option<Judgement>) -> v1::Judgement {
    match judged {
        None => v1::Judgement::Unspecified,
        Some(Judgement::Correct) => v1::Judgement::Correct,
        Some(Judgement::Partly) => v1::Judgement::PartlyCorrect,
        Some(Judgement::Incorrect) => v1::Judgement::Incorrect,
    }
}

/// A judgement from a message; `None` for none.
#[must_use]
pub fn read_judgement(judged: v1::Judgement) -> Option<Judgement> {
    match judged {
        v1::Judgement::Unspecified => None,
        v1::Judgement::Correct => Some(Judgement::Correct),
        v1::Judgement::PartlyCorrect => Some(Judgement::Partly),
        v1::Judgement::Incorrect => Some(Judgement::Incorrect),
    }
}

/// A case that was found, as messages have it.
#[must_use]
pub fn write_episode(hit: &Hit, case: &Case) -> v1::Episode {
    let told = &case.episode;
    let about = if told.about.is_empty() { &told.kind } else { &told.about };
    v1::Episode {
        name: episode::resource(case.id()),
        investigation: case.id().resource(),
        similarity: hit.similarity,
        summary: about.clone(),
        root_cause: case.cause(),
        resolution: case.resolution.clone(),
        judgement: write_judgement(case.judgement()).into(),
        create_time: Some(wire::timestamp_to(told.ended)),
        alert_type: told.kind.clone(),
        service: told.service.clone(),
        namespace: told.namespace.clone(),
        category: case.category().to_owned(),
        culprit: case.culprit().as_ref().map(wire::entity_to),
        reason: case.reason(&hit.reason),
        found_root_cause: if case.corrected() { told.cause.clone() } else { String::new() },
        comment: case.feedback.as_ref().map(|said| said.comment.clone()).unwrap_or_default(),
        judgement_count: int(case.judgements()),
        tool_calls: int(told.tool_calls),
    }
}

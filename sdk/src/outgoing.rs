//! From an author's [`Output`] or [`Failure`] to what goes over the wire: masked, cut to the
//! limits, in pieces that each fit. Nothing leaves a plugin but through here and `call.rs`.

use agent_proto::tool::v1::{self as wire, call_response::Update};
use prost::Message as _;

use crate::{
    failure::Failure,
    limits::{
        MAX_ENTRIES, MAX_LINE, MAX_NAME, MAX_OBSERVATIONS, MAX_RELATIONS, MAX_SUMMARY, MAX_UPDATE,
        MAX_VALUE, PIECE, cut_middle,
    },
    observation::{MAX_QUOTE, to_wire_time},
    output::Output,
    redact::{redact, redact_json, redact_value},
};

/// Space left in the last update for everything that is not `result_json` or facts.
const ENVELOPE: usize = 128 * 1024;

/// The updates that end a successful call: pieces first, then the result.
pub(crate) fn result_updates(output: Output, result_bytes: usize) -> Vec<Update> {
    let mut truncated = output.truncated
        || output.observations.len() > MAX_OBSERVATIONS
        || output.relations.len() > MAX_RELATIONS
        || output.gaps.len() > MAX_ENTRIES
        || output.links.len() > MAX_ENTRIES;
    let json = redact_json(&output.result_json);
    let mut total_bytes = 0;
    let json = if json.len() > result_bytes {
        truncated = true;
        total_bytes = i64::try_from(json.len()).unwrap_or(i64::MAX);
        head_of(&json, result_bytes)
    } else {
        json
    };
    let facts = facts_of(output.observations, output.relations);
    let mut result = wire::CallResult {
        summary: cut_middle(&redact(&output.summary), MAX_SUMMARY),
        truncated,
        total_bytes,
        next_page_token: output.next_page,
        gaps: output.gaps.into_iter().take(MAX_ENTRIES).map(gap).collect(),
        links: output.links.into_iter().take(MAX_ENTRIES).map(link).collect(),
        observe_time: output.observed_at.map(to_wire_time),
        ..wire::CallResult::default()
    };
    let mut updates = Vec::new();
    if json.len() + facts.encoded_len() <= MAX_UPDATE - ENVELOPE {
        result.result_json = json;
        result.observations = facts.observations;
        result.relations = facts.relations;
    } else {
        updates.extend(fact_pieces(facts).into_iter().map(Update::Facts));
        if json.len() <= PIECE {
            result.result_json = json;
        } else {
            updates.extend(json_pieces(&json));
        }
    }
    while result.encoded_len() > MAX_UPDATE - MAX_LINE
        && (result.gaps.pop().is_some() || result.links.pop().is_some())
    {
        result.truncated = true;
    }
    updates.push(Update::Result(result));
    updates
}

/// The update that ends a failed call; `domain` is the plugin's name.
pub(crate) fn failure_update(failure: Failure, domain: &str) -> Update {
    let mut failure = failure.into_wire();
    domain.clone_into(&mut failure.domain);
    Update::Failure(failure)
}

/// A valid JSON document of at most `max` bytes that holds the beginning of `json` as text.
fn head_of(json: &str, max: usize) -> String {
    const BEFORE: &str = r#"{"truncated":true,"head":""#;
    const AFTER: &str = r#""}"#;
    let Some(room) = max.checked_sub(BEFORE.len() + AFTER.len()) else {
        return if max >= 2 { "{}".to_owned() } else { String::new() };
    };
    let mut text = String::with_capacity(max);
    text.push_str(BEFORE);
    let end = BEFORE.len() + room;
    for character in json.chars() {
        let escape = matches!(character, '"' | '\\');
        if text.len() + character.len_utf8() + usize::from(escape) > end {
            break;
        }
        // JSON text holds no raw control characters, so these two are all there is to escape.
        if character.is_control() {
            continue;
        }
        if escape {
            text.push('\\');
        }
        text.push(character);
    }
    text.push_str(AFTER);
    text
}

fn json_pieces(json: &str) -> Vec<Update> {
    let mut pieces = Vec::new();
    let mut rest = json;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        pieces.push(Update::Chunk(wire::ResultChunk { json_fragment: piece.to_owned() }));
        rest = after;
    }
    pieces
}

fn facts_of(
    observations: Vec<crate::Observation>,
    relations: Vec<crate::Relation>,
) -> wire::ResultFacts {
    wire::ResultFacts {
        observations: observations
            .into_iter()
            .take(MAX_OBSERVATIONS)
            .map(|observation| tidy_observation(observation.into_wire()))
            .collect(),
        relations: relations
            .into_iter()
            .take(MAX_RELATIONS)
            .map(|relation| {
                let mut relation = relation.into_wire();
                relation.from.iter_mut().chain(relation.to.iter_mut()).for_each(tidy_entity);
                relation
            })
            .collect(),
    }
}

fn fact_pieces(facts: wire::ResultFacts) -> Vec<wire::ResultFacts> {
    let mut pieces = Vec::new();
    let mut piece = wire::ResultFacts::default();
    let mut size = 0;
    for observation in facts.observations {
        let more = observation.encoded_len() + 8;
        close_piece(&mut pieces, &mut piece, &mut size, more);
        piece.observations.push(observation);
    }
    for relation in facts.relations {
        let more = relation.encoded_len() + 8;
        close_piece(&mut pieces, &mut piece, &mut size, more);
        piece.relations.push(relation);
    }
    if size > 0 {
        pieces.push(piece);
    }
    pieces
}

fn close_piece(
    pieces: &mut Vec<wire::ResultFacts>,
    piece: &mut wire::ResultFacts,
    size: &mut usize,
    more: usize,
) {
    if *size > 0 && *size + more > PIECE {
        pieces.push(std::mem::take(piece));
        *size = 0;
    }
    *size += more;
}

fn tidy_observation(mut observation: wire::Observation) -> wire::Observation {
    observation.signal = cut_middle(&observation.signal, MAX_NAME);
    observation.statement = cut_middle(&redact(&observation.statement), MAX_LINE);
    observation.quote = cut_middle(&redact(&observation.quote), MAX_QUOTE);
    observation.unit = cut_middle(&observation.unit, MAX_NAME);
    // What is not a number tells nothing and spoils every comparison behind it.
    observation.value = observation.value.filter(|value| value.is_finite());
    observation.baseline = observation.baseline.filter(|value| value.is_finite());
    observation.subject.iter_mut().chain(observation.peer.iter_mut()).for_each(tidy_entity);
    observation.attributes = std::mem::take(&mut observation.attributes)
        .into_iter()
        .take(MAX_ENTRIES)
        .map(|(key, value)| {
            let value = cut_middle(&redact_value(&key, &value), MAX_VALUE);
            (cut_middle(&key, MAX_NAME), value)
        })
        .collect();
    // Both instants came from the source, so the span between them is what it told.
    if let (Some(start), Some(end)) = (&observation.start_time, &observation.end_time)
        && (start.seconds, start.nanos) > (end.seconds, end.nanos)
    {
        std::mem::swap(&mut observation.start_time, &mut observation.end_time);
    }
    observation
}

fn tidy_entity(entity: &mut wire::EntityRef) {
    for name in [
        &mut entity.kind,
        &mut entity.namespace,
        &mut entity.name,
        &mut entity.cluster,
        &mut entity.container,
    ] {
        if name.len() > MAX_NAME {
            *name = cut_middle(name, MAX_NAME);
        }
    }
}

fn gap((subject, failure): (String, Failure)) -> wire::ResultGap {
    wire::ResultGap {
        subject: cut_middle(&redact(&subject), MAX_LINE),
        failure: Some(failure.into_wire()),
    }
}

fn link((title, uri): (String, String)) -> wire::ResultLink {
    wire::ResultLink {
        title: cut_middle(&redact(&title), MAX_LINE),
        uri: cut_middle(&redact(&uri), MAX_VALUE),
    }
}

#[cfg(test)]
mod tests;

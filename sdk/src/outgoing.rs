//! From an author's [`Output`] or [`Failure`] to what goes over the wire: masked, cut to the
//! limits, in pieces that each fit. Nothing leaves a plugin but through here and `call.rs`.

use agent_proto::tool::v1::{self as wire, call_response::Update};
use prost::Message as _;

use crate::{
    failure::{Effects, Failure},
    limits::{
        MAX_ENTRIES, MAX_LINE, MAX_NAME, MAX_OBSERVATIONS, MAX_RELATIONS, MAX_SUMMARY, MAX_UPDATE,
        MAX_VALUE, PIECE, cut_middle,
    },
    observation::{MAX_QUOTE, to_wire_time},
    output::{Output, Undo, Usage},
    redact::{redact, redact_json, redact_value},
};

/// Space left in the last update for everything that is not `result_json` or facts.
const ENVELOPE: usize = 128 * 1024;
/// Largest arguments of all undos of a result together, in bytes: they go with the last update.
const UNDOS: usize = 64 * 1024;

/// The updates that end a successful call: pieces first, then the result.
pub(crate) fn result_updates(output: Output, result_bytes: usize) -> Vec<Update> {
    let mut truncated = output.truncated
        || output.observations.len() > MAX_OBSERVATIONS
        || output.relations.len() > MAX_RELATIONS
        || output.gaps.len() > MAX_ENTRIES
        || output.links.len() > MAX_ENTRIES
        || output.planned.len() > MAX_ENTRIES;
    let json = redact_json(&output.result_json);
    let mut total_bytes = 0;
    let json = if json.len() > result_bytes {
        truncated = true;
        total_bytes = i64::try_from(json.len()).unwrap_or(i64::MAX);
        head_of(&json, result_bytes)
    } else {
        json
    };
    let (compensations, lost) = undos(output.undos);
    let facts = facts_of(output.observations, output.relations);
    let mut result = wire::CallResult {
        summary: cut_middle(&redact(&output.summary), MAX_SUMMARY),
        truncated,
        total_bytes,
        next_page_token: output.next_page,
        // An undo that is lost is told before anything else that is missing.
        gaps: lost.into_iter().chain(output.gaps).take(MAX_ENTRIES).map(gap).collect(),
        links: output.links.into_iter().take(MAX_ENTRIES).map(link).collect(),
        compensations,
        planned_effects: output
            .planned
            .iter()
            .take(MAX_ENTRIES)
            .map(|effect| cut_middle(&redact(effect), MAX_LINE))
            .collect(),
        usage: output.usage.map(usage),
        observe_time: output.observed_at.map(to_wire_time),
        ..wire::CallResult::default()
    };
    let mut updates = Vec::new();
    let undos: usize = result.compensations.iter().map(prost::Message::encoded_len).sum();
    if json.len() + facts.encoded_len() + undos <= MAX_UPDATE - ENVELOPE {
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
        && (result.planned_effects.pop().is_some()
            || result.links.pop().is_some()
            || result.gaps.pop().is_some())
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

/// The undos that can be sent, and the gaps for those that cannot: to mask or cut arguments would
/// make the undo do something else.
fn undos(undos: Vec<Undo>) -> (Vec<wire::Compensation>, Vec<(String, Failure)>) {
    let (mut sent, mut lost) = (Vec::new(), Vec::new());
    let mut room = UNDOS;
    for undo in undos {
        let arguments = undo.arguments.to_string();
        let why = if sent.len() == MAX_ENTRIES || arguments.len() > room {
            "there are too many undos, or their arguments are too large"
        } else if redact_json(&arguments) != arguments {
            "its arguments hold what looks like a secret; take it from the backend instead"
        } else {
            room -= arguments.len();
            sent.push(wire::Compensation {
                tool: undo.tool,
                arguments_json: arguments,
                summary: cut_middle(&redact(&undo.summary), MAX_LINE),
                expire_time: undo.expires.map(to_wire_time),
            });
            continue;
        };
        let failure = Failure::bug("UNDO_NOT_SENT", why).effects(Effects::Applied);
        lost.push((format!("undo by {}", undo.tool), failure));
    }
    (sent, lost)
}

fn usage(usage: Usage) -> wire::CallUsage {
    wire::CallUsage {
        backend_requests: i32::try_from(usage.backend_requests).unwrap_or(i32::MAX),
        cost_usd: if usage.cost_usd.is_finite() { usage.cost_usd } else { 0.0 },
        backend_time: usage.backend_time.try_into().ok(),
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

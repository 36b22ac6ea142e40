//! ARG: what a plugin does with what it is given.

use agent_proto::tool::v1::FailureClass;
use serde_json::{Value, json};

use super::calls::well_formed;
use crate::{
    fixtures::Arguments,
    schema::{Bad, Schema},
    stage::Stage,
    verdict::{Found, demand, passed, skip},
};

/// Most wrong calls of one tool.
const TRIED: usize = 12;
/// Bytes of the largest arguments.
const LARGEST: usize = 256 * 1024;
/// Above 2^53: a double cannot hold it.
const LARGE: i64 = 9_007_199_254_740_993;
/// Line ends, quotes, an escape, combining and 4-byte characters.
const ODD: &str =
    "tab\there \u{1}\u{1f} \"quoted\" back\\slash\nline e\u{301} 漢字 \u{1f980}\u{10348}";

/// ARG-01: a wrong argument is named.
pub(super) async fn wrong(stage: &Stage) -> Found {
    let mut tried = 0;
    for tool in stage.read_only() {
        let Ok(schema) = Schema::of_arguments(&tool.input_schema_json) else { continue };
        let Some(good) = stage.good(tool).into_iter().next() else { continue };
        let mut bad = schema.bad(&good);
        draw(&mut bad, stage.means.options.seed.unwrap_or_default());
        for Bad { what, field, arguments } in bad {
            let seen = stage.call(stage.ask(tool, &arguments)).await;
            tried += 1;
            demand(seen.is_class(FailureClass::InvalidArgument), &seen, || {
                format!("{}: a {what} argument {field} must be INVALID_ARGUMENT", tool.name)
            })?;
            let names = seen.failure().is_some_and(|failure| {
                failure.violations.iter().any(|violation| violation.field.contains(&field))
            });
            demand(names, &seen, || {
                format!("{}: no violation names the {what} argument {field}", tool.name)
            })?;
            demand(seen.is_without_effects(), &seen, || {
                format!("{}: a {what} argument must have effects NONE", tool.name)
            })?;
        }
    }
    if tried == 0 {
        skip("no read-only tool takes arguments that could be wrong")
    } else {
        passed()
    }
}

/// Leaves a handful in, drawn by the seed.
fn draw(bad: &mut Vec<Bad>, seed: u64) {
    let mut state = seed;
    while bad.len() > TRIED {
        // A step of splitmix64: enough to pick, and the same on every machine.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let at = usize::try_from(mixed >> 33).unwrap_or_default() % bad.len();
        bad.swap_remove(at);
    }
}

/// ARG-02: integers above 2^53 are not turned into others.
pub(super) async fn integer(stage: &Stage) -> Found {
    let mut asked = Vec::new();
    if let Some((name, argument)) = stage.fixtures().first(|tool| tool.number.as_deref()) {
        let tool = stage.tool(name)?;
        let mut arguments = stage.good(tool).into_iter().next().unwrap_or_default();
        arguments.insert(argument.to_owned(), json!(LARGE));
        asked.push((tool, arguments));
    } else {
        for tool in stage.read_only() {
            let Ok(schema) = Schema::of_arguments(&tool.input_schema_json) else { continue };
            let integers =
                schema.properties().filter(|(_, p)| p.get("type") == Some(&json!("integer")));
            for (argument, _) in integers {
                let Some(good) = stage.good(tool).into_iter().next() else { continue };
                asked
                    .extend(schema.placed(&good, &json!(LARGE), Some(argument)).map(|a| (tool, a)));
            }
        }
    }
    let mut came = false;
    for (tool, arguments) in asked {
        let seen = stage.call(stage.ask(tool, &arguments)).await;
        let text = seen.text();
        let other =
            ["9007199254740992", "9007199254740994", "9.007199254740992", "9.007199254740994"];
        demand(!other.iter().any(|other| text.contains(other)), &seen, || {
            format!("{}: 9007199254740993 came back as another number", tool.name)
        })?;
        came |= text.contains("9007199254740993");
    }
    if came {
        return passed();
    }
    skip(
        "no integer came back; needs fixtures: tools.NAME.number, the name of an argument that does",
    )
}

/// ARG-03: large and odd arguments.
pub(super) async fn large(stage: &Stage) -> Found {
    let texts = |value: &Value| {
        stage.read_only().find_map(|tool| {
            let schema = Schema::of_arguments(&tool.input_schema_json).ok()?;
            let good = stage.good(tool).into_iter().next()?;
            Some((tool, schema.placed(&good, value, None)?))
        })
    };
    let Some((tool, _)) = texts(&json!("x".repeat(LARGEST - 1024))) else {
        return skip("no read-only tool takes a text of any length");
    };
    let schema =
        Schema::of_arguments(&tool.input_schema_json).map_err(crate::verdict::Stop::Skipped)?;
    let good = stage.good(tool).into_iter().next().unwrap_or_default();
    let filled = |length: usize| schema.placed(&good, &json!("x".repeat(length)), None);
    let measure = |arguments: &Arguments| Value::Object(arguments.clone()).to_string().len();
    let bare = filled(1024).map_or(0, |arguments| measure(&arguments).saturating_sub(1024));
    let full = filled(LARGEST.saturating_sub(bare)).unwrap_or_default();
    let seen = stage.call(stage.ask(tool, &full)).await;
    well_formed(&seen, stage.means.is_basic())?;
    demand(!seen.is_class(FailureClass::Bug), &seen, || {
        format!(
            "{}: arguments of {} bytes must be taken, or refused cleanly",
            tool.name,
            measure(&full)
        )
    })?;
    let odd = json!(ODD);
    let echo = stage.fixtures().first(|tool| tool.echo.as_deref());
    let (tool, arguments, echoes) = match echo {
        Some((name, argument)) => {
            let tool = stage.tool(name)?;
            let mut arguments = stage.good(tool).into_iter().next().unwrap_or_default();
            arguments.insert(argument.to_owned(), odd);
            (tool, arguments, true)
        }
        None => (tool, schema.placed(&good, &odd, None).unwrap_or_default(), false),
    };
    let seen = stage.call(stage.ask(tool, &arguments)).await;
    well_formed(&seen, stage.means.is_basic())?;
    demand(!seen.is_class(FailureClass::Bug), &seen, || {
        format!("{}: odd characters are a bug", tool.name)
    })?;
    if !echoes {
        return Ok(
            "without fixtures.tools.NAME.echo it was not seen that characters survive".to_owned()
        );
    }
    let read: Option<Value> = serde_json::from_str(&seen.json()).ok();
    demand(read.as_ref().is_some_and(holds_odd), &seen, || {
        format!("{}: control characters and 4-byte UTF-8 did not survive", tool.name)
    })?;
    passed()
}

fn holds_odd(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(ODD),
        Value::Array(items) => items.iter().any(holds_odd),
        Value::Object(fields) => fields.values().any(holds_odd),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

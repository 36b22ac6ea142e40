//! IDEM, DRY and COMP: what tools change, how often, and how it is undone.

use agent_proto::tool::v1::{FailureClass, Idempotency, SideEffect, ToolDescriptor};
use serde_json::Value;

use super::catalog::{dry, shown};
use crate::{
    exchange::Exchange,
    fixtures::Arguments,
    later::CallRequest,
    stage::Stage,
    verdict::{Found, Stop, demand, passed, skip},
};

const ALREADY_EXISTS: i32 = 6;

fn keyed(stage: &Stage) -> Result<(&ToolDescriptor, Vec<Arguments>), Stop> {
    let keyed = stage.changing().filter(|tool| tool.idempotency() == Idempotency::Keyed);
    let mut names = Vec::new();
    for tool in keyed {
        let good = stage.good(tool);
        if !good.is_empty() {
            may_act(stage, &tool.name)?;
            return Ok((tool, good));
        }
        names.push(tool.name.clone());
    }
    if names.is_empty() {
        return skip("no tool is IDEMPOTENCY_KEYED");
    }
    skip(format!("needs fixtures: tools.{}.calls", names.join(" or ")))
}

fn may_act(stage: &Stage, tool: &str) -> Result<(), Stop> {
    if stage.means.options.allow_mutations {
        return Ok(());
    }
    skip(format!("{tool} changes something; give --allow-mutations to let it act"))
}

fn with_key(stage: &Stage, tool: &ToolDescriptor, arguments: &Arguments, key: &str) -> CallRequest {
    CallRequest { idempotency_key: key.to_owned(), ..stage.ask(tool, arguments) }
}

fn key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// What a counter was moved by; nothing when the state is no number.
fn moved(before: &Value, after: &Value) -> Option<i64> {
    Some(after.as_i64()? - before.as_i64()?)
}

fn worked(seen: &Exchange) -> Result<String, Stop> {
    demand(seen.result().is_some(), seen, || "the call has no result".to_owned())?;
    Ok(seen.json())
}

/// IDEM-01: one key, one effect.
pub(super) async fn repeated(stage: &Stage) -> Found {
    let (tool, good) = keyed(stage)?;
    let Some(arguments) = good.first() else { return skip("no arguments") };
    let start = stage.state().await?;
    let row = key();
    let first = stage.call(with_key(stage, tool, arguments, &row)).await;
    let answer = worked(&first)?;
    let once = stage.state().await?;
    demand(once != start, &first, || {
        format!(
            "the fixture's state stayed {}: it does not show what {} does",
            shown(&once),
            tool.name
        )
    })?;
    let second = stage.call(with_key(stage, tool, arguments, &row)).await;
    let again = worked(&second)?;
    let twice = stage.state().await?;
    demand(twice == once, &second, || {
        format!(
            "the same key in a row had a second effect: {} then {}",
            shown(&once),
            shown(&twice)
        )
    })?;
    demand(again == answer, &second, || format!("the same key gave another result than {answer}"))?;
    let both = key();
    let (left, right) = tokio::join!(
        stage.call(with_key(stage, tool, arguments, &both)),
        stage.call(with_key(stage, tool, arguments, &both))
    );
    let (one, other) = (worked(&left)?, worked(&right)?);
    let after = stage.state().await?;
    demand(one == other, &right, || {
        format!("the same key at once gave another result than {one}")
    })?;
    let (by_one, by_both) = (moved(&start, &once), moved(&twice, &after));
    demand(by_one.is_none() || by_one == by_both, &right, || {
        format!("the same key at once moved the state by {by_both:?}, one call by {by_one:?}")
    })?;
    Ok(if by_one.is_some() {
        String::new()
    } else {
        "the state is no number: that two at once have one effect was seen by their results only"
            .to_owned()
    })
}

/// IDEM-02: a key belongs to its arguments.
pub(super) async fn reused(stage: &Stage) -> Found {
    let (tool, good) = keyed(stage)?;
    let [one, other, ..] = good.as_slice() else {
        return skip(format!(
            "needs fixtures: tools.{}.calls, a second one with other arguments",
            tool.name
        ));
    };
    let key = key();
    worked(&stage.call(with_key(stage, tool, one, &key)).await)?;
    let before = stage.state().await?;
    let seen = stage.call(with_key(stage, tool, other, &key)).await;
    let code = seen.failure().map(|failure| failure.code);
    let refused = seen.is_class(FailureClass::InvalidArgument) && code == Some(ALREADY_EXISTS);
    demand(refused, &seen, || {
        "the same key with other arguments must be INVALID_ARGUMENT with code 6 AlreadyExists"
            .to_owned()
    })?;
    let after = stage.state().await?;
    demand(before == after, &seen, || {
        format!("the same key with other arguments changed {} to {}", shown(&before), shown(&after))
    })?;
    passed()
}

/// A dry run is dry; tells which fixtures were missing.
async fn dry_run(stage: &Stage, tool: &ToolDescriptor) -> Result<Vec<&'static str>, Stop> {
    let mut unseen = Vec::new();
    if let Some(arguments) = stage.good(tool).first() {
        let before = stage.state().await.ok();
        let seen = stage.call(dry(stage, tool, arguments)).await;
        let planned = seen.result().is_some_and(|result| !result.planned_effects.is_empty());
        demand(planned, &seen, || format!("{}: the dry run lists no planned_effects", tool.name))?;
        match before {
            Some(before) => {
                let after = stage.state().await?;
                demand(before == after, &seen, || {
                    format!(
                        "{}: the dry run changed {} to {}",
                        tool.name,
                        shown(&before),
                        shown(&after)
                    )
                })?;
            }
            None => unseen.push("state"),
        }
    }
    match stage.fixtures().tools.get(&tool.name).and_then(|fixture| fixture.impossible.as_ref()) {
        Some(arguments) => {
            let seen = stage.call(dry(stage, tool, arguments)).await;
            demand(seen.failure().is_some(), &seen, || {
                format!("{}: the dry run of what is impossible must fail", tool.name)
            })?;
        }
        None => unseen.push("tools.NAME.impossible"),
    }
    Ok(unseen)
}

/// DRY-01 of every tool that claims it.
pub(super) async fn dry_runs(stage: &Stage) -> Found {
    let claiming: Vec<_> = stage.changing().filter(|tool| tool.supports_dry_run).collect();
    if claiming.is_empty() {
        return skip("no tool that changes something claims a dry run");
    }
    let mut unseen = Vec::new();
    for tool in claiming {
        unseen.extend(dry_run(stage, tool).await?);
    }
    unseen.sort_unstable();
    unseen.dedup();
    Ok(if unseen.is_empty() {
        String::new()
    } else {
        format!("partly looked at without fixtures: {}", unseen.join(" and "))
    })
}

/// COMP-01: done and undone.
pub(super) async fn undone(stage: &Stage) -> Found {
    let reversible: Vec<_> =
        stage.changing().filter(|tool| tool.side_effect() == SideEffect::Reversible).collect();
    if reversible.is_empty() {
        return skip("no tool is REVERSIBLE");
    }
    let mut looked = 0;
    for tool in reversible {
        let Some(arguments) = stage.good(tool).into_iter().next() else { continue };
        may_act(stage, &tool.name)?;
        looked += 1;
        let before = stage.state().await?;
        let seen = stage.call(stage.ask(tool, &arguments)).await;
        worked(&seen)?;
        let changed = stage.state().await?;
        let undoes = seen.result().map(|result| result.compensations.clone()).unwrap_or_default();
        demand(changed == before || !undoes.is_empty(), &seen, || {
            format!("{}: changed the state and lists no compensation", tool.name)
        })?;
        for undo in undoes.iter().rev() {
            let by = stage.catalog.tools.iter().find(|tool| tool.name == undo.tool);
            demand(by.is_some(), &seen, || {
                format!("the compensation {:?} is no tool of the plugin", undo.tool)
            })?;
            let arguments: Option<Arguments> = serde_json::from_str(&undo.arguments_json).ok();
            demand(arguments.is_some(), &seen, || {
                "the compensation's arguments are no JSON object".to_owned()
            })?;
            if let (Some(by), Some(arguments)) = (by, arguments) {
                worked(&stage.call(stage.ask(by, &arguments)).await)?;
            }
        }
        let after = stage.state().await?;
        demand(after == before, &seen, || {
            format!(
                "{}: the state was {}, after its undoing it is {}",
                tool.name,
                shown(&before),
                shown(&after)
            )
        })?;
        demand(changed != before, &seen, || {
            format!("the fixture's state does not show what {} does", tool.name)
        })?;
    }
    if looked == 0 { skip("needs fixtures: calls of a REVERSIBLE tool") } else { passed() }
}

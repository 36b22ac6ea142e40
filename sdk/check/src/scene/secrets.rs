//! AUTH-01 and ERR-05: who may call, and what must never come out.

use tonic::Code;

use super::catalog::{any_tool, shown};
use crate::{
    agentd::Deed,
    line::Presented,
    stage::{CALL, Stage},
    verdict::{Found, Stop, demand, fail, passed, skip},
};

/// AUTH-01: a stranger's call is refused, and tokens stay out of the logs.
pub(super) async fn token(stage: &Stage) -> Found {
    registered(stage)?;
    let note = if stage.line.is_relay() { on_slots(stage)? } else { refused(stage).await? };
    quiet(stage)?;
    Ok(note)
}

/// It registered with the token that it was given.
fn registered(stage: &Stage) -> Result<(), Stop> {
    let agentd = stage.agentd()?;
    let state = agentd.state();
    let is_bare = |deed: &Deed| matches!(deed, Deed::Registered { token, .. } if token.as_deref() != Some(stage.means.token.as_str()));
    if state.events.iter().any(|event| is_bare(&event.deed)) {
        return fail("registered without the registration token that the plugin was given");
    }
    Ok(())
}

/// In relay the connection is the plugin's own: it presents its registration token on each slot.
fn on_slots(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let state = agentd.state();
    let is_bare = |deed: &Deed| matches!(deed, Deed::Parked { token } if token.as_deref() != Some(stage.means.token.as_str()));
    if state.events.iter().any(|event| is_bare(&event.deed)) {
        return fail("a slot was opened without the registration token that the plugin was given");
    }
    passed()
}

async fn refused(stage: &Stage) -> Found {
    let (tool, arguments) = any_tool(stage)?;
    if stage.caller_token().is_empty() {
        return fail("registered without a caller_token: anybody who reaches the port can call it");
    }
    for (what, presented) in
        [("without a token", Presented::Nothing), ("with a wrong token", Presented::Wrong)]
    {
        let call = stage.line.begin(stage.ask(tool, &arguments), presented).await;
        let seen = call.finish(CALL).await;
        let code = seen.status().map(tonic::Status::code);
        demand(code == Some(Code::Unauthenticated) && seen.updates.is_empty(), &seen, || {
            format!("a call {what} must end with UNAUTHENTICATED before anything else")
        })?;
    }
    let changing = stage.changing().find_map(|t| Some((t, stage.good(t).into_iter().next()?)));
    if let (Some((tool, arguments)), true) = (changing, stage.means.options.allow_mutations)
        && let Ok(before) = stage.state().await
    {
        let call = stage.line.begin(stage.ask(tool, &arguments), Presented::Wrong).await;
        let seen = call.finish(CALL).await;
        let after = stage.state().await?;
        demand(before == after, &seen, || {
            format!("a call with a wrong token changed {} to {}", shown(&before), shown(&after))
        })?;
    }
    passed()
}

fn quiet(stage: &Stage) -> Result<(), Stop> {
    let Some(program) = &stage.program else { return Ok(()) };
    let said = program.said();
    let secrets = [
        ("registration token", stage.means.token.as_str()),
        ("caller_token", stage.caller_token()),
    ];
    for (what, secret) in secrets {
        if let Some(line) = said.lines().find(|line| !secret.is_empty() && line.contains(secret)) {
            let exchange = format!("said  {}", line.replace(secret, "[masked]"));
            return Err(Stop::Failed { why: format!("the {what} stands in its log"), exchange });
        }
    }
    Ok(())
}

/// ERR-05: secrets of the environment came back in no update.
pub(super) async fn canaries(stage: &Stage) -> Found {
    // Every kind of failure is a way out; the checks before have gone the others.
    for request in stage.harmless() {
        stage.call(request).await;
    }
    for (name, fixture) in &stage.fixtures().tools {
        let told = [&fixture.not_found, &fixture.dead_backend, &fixture.panic];
        for arguments in told.into_iter().flatten() {
            stage.call(stage.ask(stage.tool(name)?, arguments)).await;
        }
    }
    match stage.leak() {
        Some((name, exchange)) => {
            Err(Stop::Failed { why: format!("the value of {name} came back"), exchange })
        }
        None if stage.means.canaries.is_empty() => {
            skip("with --target the plugin was not given any secret by this command")
        }
        None => passed(),
    }
}

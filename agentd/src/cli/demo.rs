//! `agentd demo`: daemon, plugins and client on this machine alone, over a bundled recorded
//! incident. The client's way is the one any client goes.

use agent_proto::v1::{Alert, Investigation};

use super::{
    Error, INTERRUPTED,
    args::Demo,
    live::View,
    local::{Local, Port, Wanted},
    out::{self, Style},
    render,
    run::{self, Followed, terminated},
    scenario,
    text::bare,
};
use crate::config::Environment;

pub(super) async fn run(args: Demo, environment: &Environment, style: Style) -> Result<u8, Error> {
    let wanted = Wanted {
        plugin_dir: args.plugin_dir.clone(),
        data_dir: None,
        causes_dir: None,
        port: Port::Usual,
    };
    let mut local = Local::start(environment, wanted).await?;
    let ended = told(&mut local, &args, style).await;
    local.stop().await?;
    ended
}

async fn told(local: &mut Local, args: &Demo, style: Style) -> Result<u8, Error> {
    let snapshot = local.place("incident");
    let scenario = scenario::unpack(args.scenario.as_deref(), &snapshot)?;
    let fleet = tokio::select! {
        fleet = local.plugins(&snapshot) => fleet?,
        () = terminated() => return Ok(INTERRUPTED),
    };
    let ended = tokio::select! {
        ended = shown(local, &scenario, args, style) => ended,
        () = terminated() => Ok(INTERRUPTED),
    };
    fleet.stop().await;
    ended
}

async fn shown(
    local: &mut Local,
    scenario: &scenario::Scenario,
    args: &Demo,
    style: Style,
) -> Result<u8, Error> {
    let client = local.client().await?;
    out::line(&style.bold(&format!("{}: {}", scenario.id, scenario.title)))?;
    out::line(&format!(
        "a recorded incident; daemon on {}, four plugins beside it\n",
        local.grpc()
    ))?;
    let mut view = View::on_stdout(style);
    let alert = scenario.alert();
    let work = run::investigate(&client, alert.clone(), &mut view);
    let found = match local.during(work).await? {
        Followed::Finished(found) => found,
        Followed::Left { .. } => return Ok(INTERRUPTED),
    };
    out::write(&format!("\n{}", render::investigation(&found, style)))?;
    if args.keep {
        out::write(&lines_to_try(local, &alert, &found))?;
        local
            .during(async {
                terminated().await;
                Ok(())
            })
            .await?;
    }
    Ok(run::exit_code(&found))
}

/// Lines to type in another window.
fn lines_to_try(local: &Local, alert: &Alert, found: &Investigation) -> String {
    let at = local.grpc();
    let (kind, service) = (&alert.r#type, &alert.service);
    // As the person typed it: it need not be on their PATH.
    let program = std::env::args().next().unwrap_or_else(|| "agentd".to_owned());
    let call = |method: &str, asked: &str| {
        format!("  grpcurl -plaintext -d '{asked}' {at} agentd.v1.{method}")
    };
    let asked = format!(r#"{{"alert":{{"type":"{kind}","service":"{service}"}}}}"#);
    let followed = format!(r#"{{"name":"{}","afterSequence":0}}"#, bare(&found.name));
    let mut lines = vec![
        format!("\nServing on {at} until interrupted. In another window:\n"),
        call("AgentService/Investigate", &asked),
        call("AgentService/StreamEvents", &followed),
        call("CatalogService/ListTools", "{}"),
        format!("  {program} investigate --type {kind} --service {service} --server http://{at}"),
    ];
    lines.extend(local.http().map(|http| format!("  curl http://{http}/metrics")));
    lines.join("\n") + "\n"
}

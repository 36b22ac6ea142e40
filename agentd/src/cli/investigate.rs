//! `agentd investigate`: an alert goes to a daemon, or with a snapshot to one in this process.

use agent_proto::v1::{Alert, Investigation};
use jiff::{SignedDuration, Timestamp};

use super::{
    Error, INTERRUPTED,
    args::Investigate,
    connect, json,
    live::View,
    local::{Local, Port, Wanted},
    out::{self, Style},
    render,
    run::{self, Followed, interrupted},
    text::{bare, stamp},
};
use crate::{app::clock, config::Environment};

pub(super) async fn run(
    args: Investigate,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    let alert = alert(&args, clock())?;
    let mut view = if args.json { View::aside(style) } else { View::on_stdout(style) };
    let followed = match &args.snapshot {
        Some(_) if args.server.server.is_none() => {
            at_once(&args, environment, alert, &mut view).await?
        }
        Some(_) => return Err(Error::Missing(SNAPSHOT_AND_SERVER.to_owned())),
        None => {
            let client = connect(&args.server, environment).await?;
            Some(run::investigate(&client, alert, &mut view).await?)
        }
    };
    match followed {
        Some(Followed::Finished(found)) => {
            print(&found, &args, style)?;
            Ok(run::exit_code(&found))
        }
        Some(Followed::Left { name, after }) => {
            let id = bare(&name);
            out::aside(&format!("the work goes on: agentd watch {id} --after {after}"));
            Ok(INTERRUPTED)
        }
        None => {
            out::aside("interrupted; nothing goes on");
            Ok(INTERRUPTED)
        }
    }
}

const SNAPSHOT_AND_SERVER: &str = "--snapshot is looked at in this process: leave --server away, \
                                   or give the snapshot to the plugins of that server";

/// Daemon and plugins for this one question. Nothing when the person interrupts: the daemon ends
/// with this process.
async fn at_once(
    args: &Investigate,
    environment: &Environment,
    alert: Alert,
    view: &mut View,
) -> Result<Option<Followed>, Error> {
    let Some(snapshot) = &args.snapshot else { return Ok(None) };
    std::fs::read_dir(snapshot).map_err(Error::file(snapshot, "read"))?;
    let wanted = Wanted {
        plugin_dir: args.plugin_dir.clone(),
        data_dir: args.data_dir.clone(),
        causes_dir: args.causes_dir.clone(),
        port: Port::Any,
    };
    let mut local = Local::start(environment, wanted).await?;
    let fleet = tokio::select! {
        fleet = local.plugins(snapshot) => fleet,
        () = interrupted() => {
            local.stop().await?;
            return Ok(None);
        }
    };
    let fleet = match fleet {
        Ok(fleet) => fleet,
        Err(error) => {
            local.stop().await?;
            return Err(error);
        }
    };
    let client = local.client().await?;
    let followed = local.during(run::investigate(&client, alert, view)).await;
    fleet.stop().await;
    local.stop().await?;
    match followed? {
        Followed::Left { .. } => Ok(None),
        finished @ Followed::Finished(_) => Ok(Some(finished)),
    }
}

fn print(found: &Investigation, args: &Investigate, style: Style) -> Result<(), Error> {
    if args.json {
        let value = json::investigation(found)?;
        return out::line(&format!("{value:#}"));
    }
    out::write(&format!("\n{}", render::investigation(found, style)))
}

/// The alert that the words of the command line make.
fn alert(args: &Investigate, now: Timestamp) -> Result<Alert, Error> {
    let part = |given: &Option<String>| given.clone().unwrap_or_default();
    let (kind, service, description) = (part(&args.kind), part(&args.service), part(&args.text));
    if kind.is_empty() && service.is_empty() && description.is_empty() {
        let said = "say what is wrong: in words, or by --type, or by --service; \
                    `agentd investigate --help` has examples";
        return Err(Error::Missing(said.to_owned()));
    }
    let since = args.since.map(|since| {
        let span = SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO);
        stamp(now.saturating_sub(span).unwrap_or(now))
    });
    Ok(Alert {
        r#type: kind,
        service,
        namespace: part(&args.namespace),
        description,
        start_time: since,
        source: "agentd-cli".to_owned(),
        ..Alert::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, args::Command};

    fn parsed(words: &[&str]) -> Investigate {
        let cli = Cli::parse_from([&["agentd", "investigate"], words].concat());
        let Command::Investigate(args) = cli.command else { unreachable!("another command") };
        args
    }

    #[test]
    fn the_words_of_the_command_line_make_an_alert() {
        let now = Timestamp::from_second(10_000).unwrap();
        let args = parsed(&["it is slow", "--type", "t", "--service", "s", "--since", "30m"]);
        let alert = alert(&args, now).unwrap();
        assert_eq!((alert.description.as_str(), alert.r#type.as_str()), ("it is slow", "t"));
        assert_eq!(alert.start_time.unwrap().seconds, 10_000 - 1800);
    }

    #[test]
    fn nothing_said_is_answered_with_what_to_say() {
        let said = alert(&parsed(&["--namespace", "n"]), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(said.to_string().contains("--service"), "{said}");
    }
}

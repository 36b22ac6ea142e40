//! `agentd list`: what was investigated and what was found, newest first.

use agent_proto::v1::{Investigation, InvestigationState, Report, Verdict};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    DONE, Error,
    args::List,
    client::Client,
    connect,
    live::transcript::about,
    out,
    text::{bare, columns, cut, minute, object, percent, time},
};
use crate::config::Environment;

/// Reports that are asked for at once: a page of the list has none.
const AT_ONCE: usize = 8;

pub(super) async fn run(args: &List, environment: &Environment) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let newest = client.newest(args.limit).await?;
    if newest.is_empty() {
        out::line("nothing was investigated yet; `agentd investigate --help` says how to begin")?;
        return Ok(DONE);
    }
    let full: Vec<Investigation> = stream::iter(newest)
        .map(|one| with_report(&client, one))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let rows: Vec<Vec<String>> = full.iter().map(row).collect();
    out::write(&columns(&["ID", "CREATED", "ALERT", "FOUND"], &rows))?;
    Ok(DONE)
}

async fn with_report(client: &Client, one: Investigation) -> Result<Investigation, Error> {
    match one.end_time {
        Some(_) => client.investigation(&one.name).await,
        None => Ok(one),
    }
}

fn row(of: &Investigation) -> Vec<String> {
    vec![
        bare(&of.name).to_owned(),
        time(of.create_time.as_ref()).map(minute).unwrap_or_default(),
        of.alert.as_ref().map(|alert| cut(&about(alert), 44)).unwrap_or_default(),
        found(of),
    ]
}

fn found(of: &Investigation) -> String {
    match of.state() {
        InvestigationState::Queued => return "(waits)".to_owned(),
        InvestigationState::Running
        | InvestigationState::AwaitingApproval
        | InvestigationState::RollingBack => return "(at work)".to_owned(),
        InvestigationState::Failed => return "(failed: the store was lost)".to_owned(),
        InvestigationState::Unspecified
        | InvestigationState::Succeeded
        | InvestigationState::Partial
        | InvestigationState::Cancelled => {}
    }
    let verdict = of.report.as_ref().map(Report::verdict);
    let cause = of.report.as_ref().and_then(|report| report.root_causes.first());
    match (verdict, cause) {
        (Some(Verdict::RootCauseFound), Some(cause)) => {
            let culprit = cause.culprit.as_ref().map(object).unwrap_or_default();
            format!("{} of {culprit}, {}", cause.category, percent(cause.confidence))
        }
        (Some(Verdict::Healthy), _) => "nothing is wrong".to_owned(),
        (Some(_), _) => "no conclusion".to_owned(),
        (None, _) => "(no report)".to_owned(),
    }
}

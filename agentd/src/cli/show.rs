//! `agentd show ID`: the report of an investigation, or how far it is.

use super::{DONE, Error, args::Show, connect, json, out, out::Style, render};
use crate::config::Environment;

pub(super) async fn run(args: &Show, environment: &Environment, style: Style) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let found = client.investigation(&args.id).await?;
    if args.json {
        out::line(&format!("{:#}", json::investigation(&found)?))?;
    } else {
        out::write(&render::investigation(&found, style))?;
    }
    Ok(DONE)
}

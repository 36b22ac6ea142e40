//! `agentd explain ID`: why this cause and not the others, from the log of the investigation.

use super::{DONE, Error, args::Show, connect, json, out, out::Style, render};
use crate::config::Environment;

pub(super) async fn run(args: &Show, environment: &Environment, style: Style) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let found = client.explanation(&args.id).await?;
    if args.json {
        out::line(&format!("{:#}", json::explanation(&found)?))?;
    } else {
        out::write(&render::explanation(&found, style, out::width()))?;
    }
    Ok(DONE)
}

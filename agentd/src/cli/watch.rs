//! `agentd watch ID`: the events of an investigation, a line each, to the last one.

use super::{
    DONE, Error, INTERRUPTED,
    args::Watch,
    connect,
    live::View,
    out,
    run::{Followed, follow},
    text::bare,
};
use crate::config::Environment;

pub(super) async fn run(args: &Watch, environment: &Environment) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let events = client.events(&args.id, args.after);
    match follow(events, &args.id, &mut View::Lines).await? {
        Followed::Finished(_) => Ok(DONE),
        Followed::Left { name, after } => {
            let id = bare(&name);
            out::aside(&format!("the work goes on: agentd watch {id} --after {after}"));
            Ok(INTERRUPTED)
        }
    }
}

//! `agentd tools watch`: what happens to plugins and tools, a line each.

use agent_proto::v1::{PluginEvent, watch_plugins_response::Item};

use crate::app::clock;
use crate::cli::{
    Error,
    client::Client,
    out,
    text::{moment, time},
};

/// Prints until the daemon ends it.
pub(super) async fn run(client: &Client, once: bool) -> Result<(), Error> {
    let mut stream = client.watch_plugins(once).await?;
    while let Some(response) = client.told(stream.message().await)? {
        if let Some(Item::Event(event)) = response.item {
            out::line(&line(&event))?;
        }
    }
    Ok(())
}

/// One event, with the instance where it is about one.
fn line(event: &PluginEvent) -> String {
    let when = time(event.time.as_ref()).map(|when| moment(when, clock())).unwrap_or_default();
    let instance: String = event.instance_id.chars().take(8).collect();
    let who = if instance.is_empty() { String::new() } else { format!(" ({instance})") };
    format!("{when}  {}{who}", event.summary)
}

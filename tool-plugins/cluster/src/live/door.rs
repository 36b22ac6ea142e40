//! The client, and when it is made anew: its proof runs out, or the server takes it no more. Then
//! the kubeconfig, the token's file or the login program is asked again, so that a new login is
//! seen by a plugin that runs. Invariant: it is the same server every time.

use std::time::Duration;

use http::Uri;
use jiff::Timestamp;
use kube::{Client, Config};
use tokio::{sync::Mutex, time::Instant};

use super::{
    answer::Trouble,
    asker::words,
    connect::{Read, Way, broken},
    login::log_in,
};
use agent_sdk::Failure;

/// A login that failed is not tried again for as long: a call asks many things, and would wait for
/// it each time. Nor is a proof that was made anew and refused again.
const SPARED: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Door {
    /// `None` when the client is all there is.
    way: Option<(Way, Uri)>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    client: Option<Client>,
    /// Which client this is.
    number: u64,
    /// When it is to be made anew.
    due: Option<Timestamp>,
    /// When a refused one was made anew.
    renewed: Option<Instant>,
    failed: Option<(Instant, String)>,
}

// === impl Door ===

impl Door {
    /// A door to the server that was read. The proof of a login program is not there yet.
    pub(super) fn new(way: Way, read: Read) -> Result<Self, Failure> {
        let url = read.config.cluster_url.clone();
        // Tells what is wrong with certificates, also before a program is run.
        let client =
            made(read.config).map_err(|says| broken(&format!("cannot be used: {says}")))?;
        let client = read.login.is_none().then_some(client);
        let held = Mutex::new(Held { client, ..Held::default() });
        Ok(Self { way: Some((way, url)), held })
    }

    /// A client that stays as it is.
    #[cfg(test)]
    pub(super) fn of(client: Client) -> Self {
        Self { way: None, held: Mutex::new(Held { client: Some(client), ..Held::default() }) }
    }

    /// The client, and its number for [`Self::renew`].
    pub(super) async fn client(&self) -> Result<(Client, u64), Trouble> {
        let mut held = self.held.lock().await;
        let is_due = held.due.is_some_and(|due| due <= Timestamp::now());
        let spared = held.failed.as_ref().filter(|(at, _)| at.elapsed() < SPARED);
        match (&held.client, spared) {
            (Some(client), None) if !is_due => return Ok((client.clone(), held.number)),
            // Due is before it runs out: it is shown until the server takes it no more.
            (Some(client), Some(_)) => return Ok((client.clone(), held.number)),
            (None, Some((_, says))) => return Err(Trouble::NoLogin(says.clone())),
            (_, None) => {}
        }
        match self.read().await {
            Ok((client, due)) => {
                *held = Held {
                    client: Some(client.clone()),
                    number: held.number + 1,
                    due,
                    renewed: held.renewed,
                    failed: None,
                };
                Ok((client, held.number))
            }
            Err(says) => {
                held.failed = Some((Instant::now(), says.clone()));
                match &held.client {
                    Some(client) => Ok((client.clone(), held.number)),
                    None => Err(Trouble::NoLogin(says)),
                }
            }
        }
    }

    /// Whether it is worth asking again after the server did not know who asks: another proof than
    /// that of client `number` may be there.
    pub(super) async fn renew(&self, number: u64) -> bool {
        let mut held = self.held.lock().await;
        if held.number != number {
            // Somebody was faster.
            return true;
        }
        if self.way.is_none() || held.renewed.is_some_and(|at| at.elapsed() < SPARED) {
            return false;
        }
        held.renewed = Some(Instant::now());
        held.client = None;
        true
    }

    async fn read(&self) -> Result<(Client, Option<Timestamp>), String> {
        let Some((way, url)) = &self.way else { return Err("there is no client".to_owned()) };
        let Read { mut config, login } = way.read().await.map_err(|failure| failure.message)?;
        if config.cluster_url != *url {
            return Err(format!(
                "the kubeconfig now names {} instead of {url}; start the plugin anew to read that",
                config.cluster_url
            ));
        }
        let due = match login {
            Some(login) => log_in(&login, &mut config.auth_info).await?,
            None => None,
        };
        made(config).map(|client| (client, due))
    }
}

fn made(config: Config) -> Result<Client, String> {
    Client::try_from(config).map_err(|error| words(&error))
}

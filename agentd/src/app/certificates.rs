//! The certificates of the doors and of the way to plugins: read at the start, and again when a file of them changes. Files
//! that do not fit together, as in the moment between two writes, leave those before in force.

use std::{path::PathBuf, time::SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::tokens::{LOOK, stamp};
use crate::{
    config::Config,
    transport::{Error, Tls, dial::Dialler},
};

/// Protocols that the gRPC door and the HTTP door speak.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS of the two doors and of the way to plugins; none where plain text is spoken.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates {
    pub(super) grpc: Option<Tls>,
    pub(super) http: Option<Tls>,
    pub(super) plugins: Option<Dialler>,
}

impl Certificates {
    /// Those of the configuration.
    pub(super) fn load(config: &Config) -> Result<Self, Error> {
        let plugins = config.plugins.tls().map(Dialler::load).transpose()?;
        let Some([grpc, http]) = config.tls() else {
            return Ok(Self { plugins, ..Self::default() });
        };
        let [h2, http1] = PROTOCOLS;
        let (grpc, http) = (Tls::load(grpc, &[h2])?, Tls::load(http, &[http1])?);
        Ok(Self { grpc: Some(grpc), http: Some(http), plugins })
    }

    /// Keeps them as the files have them, until it is dropped.
    pub(super) async fn keep(self) {
        let mut known = self.stamps();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = self.stamps();
            if now == known {
                continue;
            }
            let plugins = self.plugins.iter().map(Dialler::reload);
            let read = self.doors().map(Tls::reload).chain(plugins);
            // All are read, whatever is wrong with one of them.
            let faults: Vec<Error> = read.filter_map(Result::err).collect();
            for error in &faults {
                // Looked at again in a moment: the other half of a change may be on its way.
                tracing::error!(%error, "certificates were not read again; those before stay in force");
            }
            if faults.is_empty() {
                tracing::info!("certificates were read again");
                known = now;
            }
        }
    }

    fn doors(&self) -> impl Iterator<Item = &Tls> {
        [&self.grpc, &self.http].into_iter().flatten()
    }

    fn stamps(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let doors = self.doors().flat_map(|tls| tls.files().map(PathBuf::from).collect::<Vec<_>>());
        let ways = self.plugins.iter().flat_map(|way| way.files().map(PathBuf::from));
        doors.chain(ways).map(|file| (file.clone(), stamp(&file))).collect()
    }
}

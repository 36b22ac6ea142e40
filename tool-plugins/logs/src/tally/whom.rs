//! Whom a mechanism is about: by the message, by the settings of who speaks, or as the only server
//! of its kind around.

use agent_sdk::Entity;
use plugin_cluster::{sayings, server};

use super::{Tally, about};
use crate::{
    origin, peer,
    signals::{Mechanism, words},
};

impl Tally<'_> {
    pub(super) fn peer(&self, mechanism: &Mechanism, text: &str) -> Option<Entity> {
        if !about::has_peer(mechanism.signal) {
            return None;
        }
        if mechanism.signal == "log.stale_data" {
            return peer::bringer(text, self.speaker, self.peers);
        }
        // The API server refused; what looks like a host there is an API group.
        if mechanism.signal == "log.permission_denied" && sayings::forbidden(text).is_some() {
            return None;
        }
        // A server speaks of those who call it; they are not whom it calls.
        let of_clients = matches!(
            mechanism.signal,
            "log.auth_failure" | "log.pool_exhausted" | "log.lock_wait" | "log.slow_statement"
        );
        if of_clients && self.speaker.server.is_some() {
            return None;
        }
        // What a resolver cannot resolve it does not call; it calls whom it forwards to.
        if mechanism.signal == "log.dns_failure" && self.speaker.is_resolver {
            let forwarded = text.split_once("->")?.1.split([' ', ',']).next()?;
            return self.peers.host(forwarded.trim_end_matches(':'), &self.speaker.namespace);
        }
        // Who misses a cache or is held back seldom says by whom; its settings do.
        let kind = match mechanism.signal {
            "log.cache_full" | "log.cache_bypassed" | "log.cache_refused" => &origin::CACHES,
            "log.broker_blocked" => &origin::BROKERS,
            "log.pool_exhausted"
            | "log.lock_wait"
            | "log.slow_statement"
            | "log.transaction_open" => {
                return self.database(text);
            }
            "log.no_space" => {
                return words::is_of_databases_disk(text).then(|| self.database(text))?;
            }
            _ => {
                return peer::of(text, self.speaker, self.peers).or_else(|| self.spoken_of(text));
            }
        };
        if self.speaker.server.is_some() {
            return None;
        }
        peer::server(text, self.speaker, self.peers, kind)
    }

    /// The database that a client speaks of: the one it names, that its settings give, or the only
    /// one of its namespace.
    fn database(&self, text: &str) -> Option<Entity> {
        let speaker = self.speaker;
        if speaker.server.is_some() {
            return None;
        }
        let only = || match server::spoken_of(text) {
            Some(_) => self.spoken_of(text),
            None => self.peers.only_server(&speaker.namespace, server::DATABASES),
        };
        peer::of(text, speaker, self.peers)
            .or_else(|| peer::server(text, speaker, self.peers, &origin::DATABASES))
            .or_else(only)
    }

    /// The only server of its namespace of the kind that a client speaks of.
    fn spoken_of(&self, text: &str) -> Option<Entity> {
        let speaker = self.speaker;
        let kind = server::spoken_of(text).filter(|_| speaker.server.is_none())?;
        self.peers.only_server(&speaker.namespace, &[kind])
    }
}

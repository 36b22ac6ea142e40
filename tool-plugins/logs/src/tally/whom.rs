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
        let spoken = server::spoken_of(text);
        peer::of(text, speaker, self.peers).or_else(|| match &spoken {
            Some(kind) => self.only(text, &[kind], &origin::DATABASES),
            None => self.only(text, server::DATABASES, &origin::DATABASES),
        })
    }

    /// The server of the kind that a client's words speak of.
    fn spoken_of(&self, text: &str) -> Option<Entity> {
        let kind = server::spoken_of(text).filter(|_| self.speaker.server.is_none())?;
        let given = match kind {
            kind if server::is_cache(kind) => &origin::CACHES,
            kind if server::is_broker(kind) => &origin::BROKERS,
            _ => &origin::DATABASES,
        };
        self.only(text, &[kind], given)
    }

    /// The server that the settings give, else the only one of these kinds in the namespace: but not
    /// where a Secret tells which, since that may be any.
    fn only(&self, text: &str, kinds: &[&str], given: &origin::Servers) -> Option<Entity> {
        let speaker = self.speaker;
        let hidden = speaker.origins.hides(given);
        let only = || self.peers.only_server(&speaker.namespace, kinds).filter(|_| !hidden);
        peer::server(text, speaker, self.peers, given).or_else(only)
    }
}

//! Who a line of a server's log is about, and which object that is: found by its address, else by
//! the name or the user it logged in with. What several share names nobody.

use std::collections::BTreeMap;

use agent_sdk::Entity;
use plugin_cluster::{Clients, Peers};

use crate::signals::words;

/// Who a session belongs to, as far as the log tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Its address, without the port.
    pub address: String,
    /// The user it logged in as.
    pub user: String,
    /// What it calls itself.
    pub application: String,
}

/// Where the facts are about.
pub struct Place<'a> {
    /// The server's workload, or its pod.
    pub database: Entity,
    /// Namespace of the server.
    pub namespace: &'a str,
    /// Names of the cluster.
    pub peers: &'a Peers,
    /// Top owners of pods.
    pub tops: &'a BTreeMap<Entity, Entity>,
    /// Names by which workloads go at servers.
    pub clients: &'a Clients,
}

// === impl Who ===

impl Who {
    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.address.is_empty() && self.user.is_empty() && self.application.is_empty()
    }

    /// Adds what a further line tells.
    pub fn learn(&mut self, told: &Self) {
        for (own, new) in [
            (&mut self.address, &told.address),
            (&mut self.user, &told.user),
            (&mut self.application, &told.application),
        ] {
            if own.is_empty() {
                own.clone_from(new);
            }
        }
    }

    /// What to call it.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let named = [&self.application, &self.user, &self.address];
        named.into_iter().find(|name| !name.is_empty()).cloned()
    }
}

// === impl Place ===

impl Place<'_> {
    /// The object behind a client. The name it gives itself comes first: between it and the server
    /// may stand a pooler, whose address the server sees.
    #[must_use]
    pub fn resolve(&self, who: &Who) -> Option<Entity> {
        let by_address = || self.peers.address(&who.address).filter(|e| e.kind == "Pod");
        let found =
            self.named(&who.application).or_else(by_address).or_else(|| self.named(&who.user))?;
        let top = self.tops.get(&found).cloned().unwrap_or(found);
        (top != self.database && top.name != self.database.name).then_some(top)
    }

    fn named(&self, name: &str) -> Option<Entity> {
        if name.len() < 3 {
            return None;
        }
        let known = self.peers.known(name, self.namespace).filter(|e| e.kind != "Node");
        known
            .or_else(|| self.clients.named(name, self.namespace))
            .or_else(|| self.peers.unique(name))
    }
}

/// Who a line is about: `host=10.1.2.3`, `remote=10.1.2.3:5`, `user=x`, `x@db`, `x@db/program`,
/// `db/x@10.1.2.3:5` of a pooler, `app=x`, and an address in the prefix.
#[must_use]
pub(super) fn who_of(text: &str, head: &str) -> Who {
    let both = format!("{head}\n{text}");
    let after = |marks: &[&str]| {
        marks.iter().find_map(|mark| {
            let rest = both.split_once(mark)?.1.trim_start_matches(['"', '\'', '[', ' ']);
            let end = rest.find(|c: char| {
                c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '(' | ')' | ']' | '[')
            });
            let word = rest.get(..end.unwrap_or(rest.len()))?;
            (!word.is_empty() && word != "unknown").then(|| word.to_owned())
        })
    };
    let told = after(&["host=", "client=", "remote=", "remote_host\":", "client_addr="]);
    let address = told.or_else(|| {
        let parts = |c: char| !(c.is_ascii_digit() || c == '.');
        let is_ip = |word: &&str| word.parse::<std::net::Ipv4Addr>().is_ok();
        head.split(parts).find(is_ip).map(str::to_owned)
    });
    let address = address.map(|a| a.split(':').next().unwrap_or_default().to_owned());
    let (at_user, at_program) = prefix(head).unwrap_or_default();
    let user = after(&["user=", "User@Host: ", "\"user\":"]).unwrap_or(at_user);
    let application = words::application(&both).unwrap_or(at_program);
    Who { address: address.unwrap_or_default(), user, application }
}

/// User and program of `user@database`, `user@database/program`, and of `database/user@address`.
fn prefix(head: &str) -> Option<(String, String)> {
    let word = head.split([' ', '\t']).find(|word| {
        word.split_once('@').is_some_and(|(user, db)| !user.is_empty() && !db.is_empty())
    })?;
    let (before, behind) = word.split_once('@')?;
    let user = before.rsplit([':', '[', ']', '/', '(']).next().filter(|user| !user.is_empty())?;
    let program = behind.split_once('/').map_or("", |(_, program)| program);
    let program = program.trim_end_matches([':', ']', ')', ',']);
    // "[unknown]" is what a server calls a program without a name.
    let program = if program.contains("unknown") { "" } else { program };
    Some((user.to_owned(), program.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_read_from_the_prefixes_that_servers_write() {
        let who = |address: &str, user: &str, application: &str| Who {
            address: address.into(),
            user: user.into(),
            application: application.into(),
        };
        for (head, expected) in [
            ("2025-06-30 20:10:00.000 UTC [81] bi@shop LOG:  x", who("", "bi", "")),
            ("2025-06-30 20:10:00 UTC [81] bi@shop/report LOG:  x", who("", "bi", "report")),
            ("2025-06-30 20:10:00 UTC [81] bi@shop/[unknown] LOG:  x", who("", "bi", "")),
            (
                "2025-06-30 20:10:00 UTC:10.1.2.3(5001):bi@shop:[81]:LOG:  x",
                who("10.1.2.3", "bi", ""),
            ),
            (
                "2025-06-30 20:10:00 UTC [81] user=bi,db=shop,app=report,client=10.1.2.3 LOG:  x",
                who("10.1.2.3", "bi", "report"),
            ),
            (
                r#"{"pid":81,"user":"bi","dbname":"shop","remote_host":"10.1.2.3","application_name":"report"}"#,
                who("10.1.2.3", "bi", "report"),
            ),
            (
                "LOG C-0x55b18: shop/bi@10.1.2.3:4308 login attempt: db=shop user=bi",
                who("10.1.2.3", "bi", ""),
            ),
            ("# User@Host: bi[bi] @  [10.1.2.3]  Id:    77", who("10.1.2.3", "bi", "")),
        ] {
            assert_eq!(who_of("", head), expected, "{head}");
        }
    }
}

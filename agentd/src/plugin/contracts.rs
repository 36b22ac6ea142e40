//! Which descriptors people, or the first sight of them, have let in. A descriptor that changes
//! under the same version, or claims to be more harmless than the one before, waits for a person
//! (PROTOCOL 4.4, trap 14): what was looked at is what is called. Pure; who holds it keeps its
//! records.

mod change;

use std::collections::BTreeMap;

use agent_proto::tool::v1 as pb;
use prost::Message as _;

use super::{admission::descriptor::Checked, semver::Version};
use crate::tool::ToolRef;

/// Versions of one tool that are remembered.
const VERSIONS: usize = 16;
/// Tools that are remembered, and those of one plugin.
const TOOLS: usize = 5000;
const TOOLS_OF_ONE: usize = 400;

/// Plugin and tool.
pub(crate) type Name = (String, String);

/// What stands in the way of a tool, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Free,
    /// A person must accept the descriptor first, for this reason.
    Quarantined(String),
    /// A person switched it off, for this reason.
    Disabled(String),
}

/// One record to be kept: the key, and its bytes or none when it is to be forgotten.
pub(crate) type Record = (String, Option<Vec<u8>>);

/// All that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Contracts {
    known: BTreeMap<Name, Known>,
    serial: u64,
}

/// What is remembered of a tool.
#[derive(Clone, PartialEq, prost::Message)]
struct Known {
    /// Versions, oldest first.
    #[prost(message, repeated, tag = "1")]
    versions: Vec<Seen>,
    /// Switched off by a person.
    #[prost(bool, tag = "2")]
    disabled: bool,
    /// Why.
    #[prost(string, tag = "3")]
    reason: String,
    /// Grows with each change of any tool.
    #[prost(uint64, tag = "4")]
    serial: u64,
}

/// One version of a tool.
#[derive(Clone, PartialEq, prost::Message)]
struct Seen {
    #[prost(string, tag = "1")]
    digest: String,
    /// With its version.
    #[prost(message, optional, tag = "2")]
    descriptor: Option<pb::ToolDescriptor>,
    #[prost(bool, tag = "3")]
    accepted: bool,
    /// Why it waits.
    #[prost(string, tag = "4")]
    reason: String,
}

/// Why a standing cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No tool of that name was ever registered.
    #[error("no tool {0} was ever registered")]
    Unknown(String),
    /// The digest is not the one that waits.
    #[error("{}", stale(tool, waiting.as_deref(), given))]
    Stale {
        /// The tool.
        tool: String,
        /// What waits; none when nothing does.
        waiting: Option<String>,
        /// What was given.
        given: String,
    },
}

fn stale(tool: &str, waiting: Option<&str>, given: &str) -> String {
    let again = format!("look at it again with agentd tools show {tool}");
    match (waiting, given) {
        (Some(waiting), "") => {
            format!("{tool} waits for a person: agentd tools accept {tool} {waiting}")
        }
        (Some(waiting), given) => {
            format!("{tool} waits for {waiting} to be accepted, not for {given}; {again}")
        }
        (None, given) => {
            format!(
                "{given} is no digest of {tool}, of which nothing waits to be accepted; {again}"
            )
        }
    }
}

// === impl Seen ===

impl Seen {
    fn version(&self) -> Option<Version> {
        self.descriptor.as_ref()?.version.parse().ok()
    }

    /// Whether both have the same number; build metadata makes no other one.
    fn is_same_version(&self, other: &Self) -> bool {
        self.version().zip(other.version()).is_some_and(|(one, other)| one.cmp(&other).is_eq())
    }
}

impl Known {
    /// Forgets the version that is missed least: one that waits before any that was accepted, and
    /// never the newest accepted one, with which all others are compared.
    fn forget_one(&mut self) {
        let newest = self.versions.iter().filter(|seen| seen.accepted).max_by_key(|s| s.version());
        let newest = newest.map(|seen| seen.digest.clone());
        let waits = self.versions.iter().position(|seen| !seen.accepted);
        let old = self.versions.iter().position(|seen| Some(&seen.digest) != newest.as_ref());
        if let Some(at) = waits.or(old) {
            self.versions.remove(at);
        } else {
            self.versions.truncate(1);
        }
    }

    /// Accepts the version with this digest, in place of one with the same number.
    fn accept(&mut self, digest: &str) {
        let named = self.versions.iter().find(|seen| seen.digest == digest);
        let Some(named) = named.cloned() else { return };
        // What was accepted before is no word about what waits.
        if named.accepted {
            return;
        }
        self.versions.retain(|seen| seen.digest == digest || !seen.is_same_version(&named));
        for seen in self.versions.iter_mut().filter(|seen| seen.digest == digest) {
            seen.accepted = true;
            seen.reason.clear();
        }
    }

    /// Whether a person ever let any version in.
    fn is_accepted(&self) -> bool {
        self.versions.iter().any(|seen| seen.accepted)
    }
}

// === impl Contracts ===

impl Contracts {
    /// What records say. Those that cannot be read are passed over.
    pub(crate) fn read(records: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let mut contracts = Self::default();
        for (key, bytes) in records {
            let (Some((plugin, tool)), Ok(known)) =
                (key.split_once('.'), Known::decode(bytes.as_slice()))
            else {
                tracing::warn!(key, "a record of a tool's contract cannot be read; left out");
                continue;
            };
            contracts.serial = contracts.serial.max(known.serial);
            contracts.known.insert((plugin.to_owned(), tool.to_owned()), known);
        }
        contracts
    }

    /// Looks at a tool that registers: notes it, adds to its warnings, and tells what is to be kept.
    /// What is `trusted` may change its mind. Refuses one tool more than can be remembered, since one
    /// that is forgotten could change unseen.
    pub(crate) fn admit(&mut self, tool: &mut Checked, trusted: bool) -> Vec<Record> {
        let name = (tool.id.plugin.clone(), tool.id.tool.clone());
        let of_plugin = || self.known.keys().filter(|(plugin, _)| *plugin == name.0).count();
        let full = self.known.len() >= TOOLS || of_plugin() >= TOOLS_OF_ONE;
        if full && !self.known.contains_key(&name) {
            tool.refuse(
                "TOO_MANY_TOOLS",
                "is one tool more than this daemon remembers; give tools \
                         of your plugin the names they had, or clear the data directory",
            );
            return Vec::new();
        }
        let known = self.known.entry(name.clone()).or_default();
        if let Some(seen) = known.versions.iter_mut().find(|seen| seen.digest == tool.id.digest) {
            if !trusted || seen.accepted {
                return Vec::new();
            }
            seen.accepted = true;
            return self.keep(name);
        }
        let reason = if trusted { None } else { suspicion(known, tool) };
        let accepted = |seen: &Seen| seen.accepted && is_version(seen, tool);
        // Of one that changed under its number the number says nothing; it waits, and is told why.
        let is_changed = known.versions.iter().any(accepted);
        if let Some(before) = newest(known, tool).filter(|_| !is_changed) {
            tool.warnings.extend(change::warnings(before, &tool.descriptor));
        }
        known.versions.retain(|seen| {
            // What waits gives way to what waits now; what was accepted stays, to be compared with.
            seen.accepted || !is_version(seen, tool)
        });
        if trusted {
            known.versions.retain(|seen| !is_version(seen, tool));
        }
        known.versions.push(Seen {
            digest: tool.id.digest.clone(),
            descriptor: Some(tool.descriptor.clone()),
            accepted: reason.is_none(),
            reason: reason.unwrap_or_default(),
        });
        while known.versions.len() > VERSIONS {
            known.forget_one();
        }
        self.keep(name)
    }

    /// What stands in the way of `tool`.
    pub(crate) fn held(&self, tool: &ToolRef) -> Held {
        let name = (tool.plugin.clone(), tool.tool.clone());
        let Some(known) = self.known.get(&name) else { return Held::Free };
        if known.disabled {
            return Held::Disabled(known.reason.clone());
        }
        match known.versions.iter().find(|seen| seen.digest == tool.digest) {
            Some(seen) if seen.accepted => Held::Free,
            Some(seen) => Held::Quarantined(seen.reason.clone()),
            // Forgotten among too many versions that wait.
            None => Held::Quarantined(
                "another descriptor took its place under this version, or it was forgotten among \
                 too many; have it register again"
                    .to_owned(),
            ),
        }
    }

    /// Without a digest: switches a tool on again, and accepts nothing. With one: accepts the
    /// descriptor that has it, and switches nothing on, since who looked at a contract has not
    /// decided that the tool may run.
    ///
    /// # Errors
    /// That it was never seen, or that the digest is none of its; without one, that its first
    /// descriptor still waits.
    pub(crate) fn activate(&mut self, name: &Name, digest: &str) -> Result<Vec<Record>, Error> {
        let said = format!("{}.{}", name.0, name.1);
        let known = self.known.get_mut(name).ok_or_else(|| Error::Unknown(said.clone()))?;
        let is_known = known.versions.iter().any(|seen| seen.digest == digest);
        let needs_one = !known.disabled && !known.is_accepted();
        if !is_known && (!digest.is_empty() || needs_one) {
            let waiting = known.versions.iter().rfind(|seen| !seen.accepted);
            let waiting = waiting.map(|seen| seen.digest.clone());
            return Err(Error::Stale { tool: said, waiting, given: digest.to_owned() });
        }
        if is_known {
            known.accept(digest);
        } else {
            known.disabled = false;
            known.reason.clear();
        }
        Ok(self.keep(name.clone()))
    }

    /// Whether a person switched the tool off.
    pub(crate) fn is_disabled(&self, name: &Name) -> bool {
        self.known.get(name).is_some_and(|known| known.disabled)
    }

    /// The contract that one which waits is compared with, if any was accepted: that of the same
    /// version, else the last one.
    pub(crate) fn accepted_before(&self, tool: &ToolRef) -> Option<pb::ToolDescriptor> {
        let known = self.known.get(&(tool.plugin.clone(), tool.tool.clone()))?;
        let waits = known.versions.iter().find(|seen| seen.digest == tool.digest)?;
        if waits.accepted {
            return None;
        }
        let accepted = || known.versions.iter().filter(|seen| seen.accepted);
        let same = accepted().find(|seen| seen.is_same_version(waits));
        same.or_else(|| accepted().next_back())?.descriptor.clone()
    }

    /// Switches a tool off.
    ///
    /// # Errors
    /// That it was never seen.
    pub(crate) fn disable(&mut self, name: &Name, reason: &str) -> Result<Vec<Record>, Error> {
        let said = || Error::Unknown(format!("{}.{}", name.0, name.1));
        let known = self.known.get_mut(name).ok_or_else(said)?;
        known.disabled = true;
        reason.clone_into(&mut known.reason);
        Ok(self.keep(name.clone()))
    }

    /// The record of a tool that changed.
    fn keep(&mut self, name: Name) -> Vec<Record> {
        self.serial = self.serial.saturating_add(1);
        let serial = self.serial;
        let mut records = Vec::new();
        if let Some(known) = self.known.get_mut(&name) {
            known.serial = serial;
            records.push((key(&name), Some(known.encode_to_vec())));
        }
        records
    }
}

fn key((plugin, tool): &Name) -> String {
    format!("{plugin}.{tool}")
}

/// Whether both say the same version; build metadata makes no other one.
fn is_version(seen: &Seen, tool: &Checked) -> bool {
    let given = tool.descriptor.version.parse::<Version>().ok();
    seen.version().zip(given).is_some_and(|(held, given)| held.cmp(&given).is_eq())
}

/// The accepted contract that a new one is compared with: the newest of its major version.
fn newest<'a>(known: &'a Known, tool: &Checked) -> Option<&'a pb::ToolDescriptor> {
    let major = tool.descriptor.version.parse::<Version>().ok()?.major();
    let held = known.versions.iter().filter(|seen| seen.accepted);
    let alike = held.filter(|seen| seen.version().is_some_and(|held| held.major() == major));
    alike.max_by_key(|seen| seen.version())?.descriptor.as_ref()
}

/// Verbs of permissions that change something, as the last part of `k8s:pods/delete`.
const WRITING: [&str; 14] = [
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "write",
    "exec",
    "bind",
    "escalate",
    "impersonate",
    "restart",
    "scale",
    "evict",
    "*",
];

/// A permission that a tool which only reads has no use for.
pub(crate) fn writes(descriptor: &pb::ToolDescriptor) -> Option<&str> {
    let reads = descriptor.side_effect() == pb::SideEffect::ReadOnly;
    let verb = |right: &&String| {
        let last = right.rsplit(['/', ':', '.']).next().unwrap_or_default();
        WRITING.contains(&last.to_ascii_lowercase().as_str())
    };
    descriptor.permissions.iter().find(verb).filter(|_| reads).map(String::as_str)
}

/// Why a descriptor must be looked at by a person first.
fn suspicion(known: &Known, tool: &Checked) -> Option<String> {
    if let Some(right) = writes(&tool.descriptor) {
        return Some(format!("says it is READ_ONLY and asks for {right}, which changes something"));
    }
    if !known.is_accepted() && !known.versions.is_empty() {
        return Some("no version of it was ever accepted, and one waits".to_owned());
    }
    let accepted: Vec<&Seen> = known.versions.iter().filter(|seen| seen.accepted).collect();
    if let Some(same) = accepted.iter().find(|seen| is_version(seen, tool)) {
        let fields = change::fields(same.descriptor.as_ref()?, &tool.descriptor);
        return Some(format!(
            "version {} changed without a new number, which is the tool's own and not the plugin's: {}",
            tool.descriptor.version,
            fields.join(", ")
        ));
    }
    let last = accepted.last()?.descriptor.as_ref()?;
    let softer = change::softer(last, &tool.descriptor);
    (!softer.is_empty()).then(|| {
        let (from, to) = (&last.version, &tool.descriptor.version);
        format!("version {to} claims to be more harmless than {from}: {}", softer.join(", "))
    })
}

#[cfg(test)]
mod tests;

//! The check of a registration: everything that is wrong is told at once, with how to mend it.
//! What is wrong with the announcement refuses it; what is wrong with one tool refuses that tool
//! only, and that is `descriptor`'s. Pure but for the look-up of the endpoint's name.

pub(crate) mod descriptor;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use agent_proto::tool::v1 as pb;
use pb::register_request::Transport;
use prost::Message as _;
use uuid::Uuid;

use self::descriptor::Checked;
use super::{
    registry::{Caller, Config, Error},
    relay::MAX_SLOTS,
    schema::Known,
    secured::{self, Way},
    semver::Version,
};
use crate::{
    reasoner::catalogue::{
        Catalogue, Polarity,
        guest::{Guest, Offered},
    },
    tool::{Violation, is_plugin_name},
};

/// Revision of `agentd.tool.v1` that this daemon speaks.
pub(crate) const PROTOCOL: i32 = 1;
/// Most tools of one plugin.
pub(crate) const MAX_TOOLS: usize = 200;
/// Largest catalog, in bytes.
const MAX_CATALOG: usize = 2 * 1024 * 1024;
/// Calls at once when the instance does not say.
const DEFAULT_CALLS: u32 = 8;
/// Most calls at once, whatever it says.
const MAX_CALLS: u32 = 1024;
/// Share of calls when the instance does not say.
const DEFAULT_WEIGHT: u32 = 100;
/// Largest share of calls.
const MAX_WEIGHT: u32 = 10_000;
/// Names that no plugin may take.
const RESERVED: [&str; 4] = ["agentd", "mcp", "system", "internal"];

/// A registration that may be entered.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) instance_id: String,
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) reach: Reach,
    pub(crate) max_calls: u32,
    /// Its share of calls beside that of others; 1 to 10,000.
    pub(crate) weight: u32,
    pub(crate) tools: Vec<Checked>,
    /// What of its signals and causes counts.
    pub(crate) guest: Guest,
}

/// How calls reach an instance.
#[derive(Debug)]
pub(crate) enum Reach {
    /// We dial it.
    Direct {
        /// An address, looked up once and for all.
        address: SocketAddr,
        /// How to dial by TLS; none in plain text.
        way: Option<Way>,
        /// What it wants to be shown.
        caller_token: String,
    },
    /// It parks slots.
    Relay,
}

/// The address of a caller on another machine.
fn elsewhere(caller: &Caller) -> Option<IpAddr> {
    caller.peer.map(|peer| peer.ip().to_canonical()).filter(|ip| !local(*ip))
}

/// Whether `caller` may announce `plugin` at all: looked at before anything is counted, kept, or told
/// to a stranger.
///
/// # Errors
/// That it may not, or that this is no name.
pub(crate) fn may_enter(plugin: &str, caller: &Caller, config: &Config) -> Result<(), Error> {
    let foreign = |ip: IpAddr| !config.networks.iter().any(|network| network.holds(ip));
    if elsewhere(caller).is_some_and(foreign) {
        return Err(Error::NotLocal);
    }
    if plugin_name(plugin).is_ok() {
        config.may_register(plugin, caller)?;
    }
    Ok(())
}

/// Checks an announcement of somebody who may make it, as [`may_enter`] tells.
///
/// # Errors
/// All that is wrong with it, at once; or that it is to be dialled where it may not be; or that no
/// common protocol is spoken.
pub(crate) async fn check(
    request: pb::RegisterRequest,
    caller: &Caller,
    config: &Config,
    (catalogue, known): (&Catalogue, &Arc<Known>),
) -> Result<Admitted, Error> {
    let elsewhere = elsewhere(caller);
    let mut wrong = Vec::new();
    check_numbers(&request, &mut wrong);
    let catalog = request.catalog.unwrap_or_default();
    check_catalog(&catalog, &mut wrong);
    let given = u32::try_from(request.max_concurrent_calls).unwrap_or_default();
    let max_calls = if given == 0 { DEFAULT_CALLS } else { given.min(MAX_CALLS) };
    let weight = match u32::try_from(request.weight).unwrap_or_default() {
        0 => DEFAULT_WEIGHT,
        some => some.min(MAX_WEIGHT),
    };
    let wanted = transport(request.transport, caller, &mut wrong);
    let way = match &wanted {
        Some(Wanted::Direct(target, _)) => {
            let way = config.secured.way(&catalog.plugin, (target.secure, &target.host), elsewhere);
            way.map_err(|fault| wrong.push(fault)).ok().flatten()
        }
        Some(Wanted::Relay(_)) | None => None,
    };
    if !wrong.is_empty() {
        return Err(Error::Invalid { violations: wrong });
    }
    protocol(&catalog)?;
    let (reach, max_calls) = match wanted {
        Some(Wanted::Direct(Target { host, port, .. }, caller_token)) => {
            let address = resolve(&host, port, elsewhere).await?;
            (Reach::Direct { address, way, caller_token }, max_calls)
        }
        // A slot carries one call, so that more can never run at once.
        Some(Wanted::Relay(slots)) if given == 0 => (Reach::Relay, slots),
        Some(Wanted::Relay(slots)) => (Reach::Relay, max_calls.min(slots)),
        None => return Err(Error::Invalid { violations: wrong }),
    };
    let guest = catalogue.admit(&offered(&catalog));
    let mut words = catalogue.clone();
    words.host(&guest);
    // Schemas of a stranger are compiled: not on a thread that serves.
    let known = Arc::clone(known);
    let looked_at = tokio::task::spawn_blocking(move || {
        let tools = descriptor::check_all(&catalog, &words, &known);
        (catalog, tools)
    });
    let (catalog, tools) = looked_at.await.map_err(|_| Error::Stopping)?;
    Ok(Admitted {
        instance_id: request.instance_id,
        plugin: catalog.plugin,
        version: catalog.version,
        reach,
        max_calls,
        weight,
        tools,
        guest,
    })
}

/// What the instance says of itself beside its catalog.
fn check_numbers(request: &pb::RegisterRequest, wrong: &mut Vec<Violation>) {
    if Uuid::parse_str(&request.instance_id).is_err() {
        wrong.push(violation("instance_id", "NOT_A_UUID", "draw a UUID when the process starts"));
    }
    if request.max_concurrent_calls < 0 {
        wrong.push(violation("max_concurrent_calls", "NEGATIVE", "give 0 or more"));
    }
    if request.weight < 0 {
        wrong.push(violation("weight", "NEGATIVE", "give 0 or more"));
    }
}

/// The words that a plugin brings, as they came.
fn offered(catalog: &pb::PluginCatalog) -> Offered {
    let polarity = |signal: &pb::SignalDescriptor| match signal.polarity() {
        pb::SignalPolarity::Unspecified | pb::SignalPolarity::Neutral => Polarity::Neutral,
        pb::SignalPolarity::Harm => Polarity::Harm,
        pb::SignalPolarity::Health => Polarity::Health,
        pb::SignalPolarity::Change => Polarity::Change,
    };
    let signals = catalog.signals.iter();
    Offered {
        plugin: catalog.plugin.clone(),
        version: catalog.version.clone(),
        signals: signals.map(|s| (s.name.clone(), s.meaning.clone(), polarity(s))).collect(),
        documents: catalog.cause_documents.clone(),
    }
}

fn check_catalog(catalog: &pb::PluginCatalog, wrong: &mut Vec<Violation>) {
    if let Err(said) = plugin_name(&catalog.plugin) {
        wrong.push(violation("catalog.plugin", "BAD_NAME", said));
    }
    if catalog.version.parse::<Version>().is_err() {
        let said = "is not a semantic version such as 1.4.0";
        wrong.push(violation("catalog.version", "BAD_VERSION", said));
    }
    if catalog.tools.is_empty() {
        wrong.push(violation("catalog.tools", "REQUIRED", "offer at least one tool"));
    }
    if catalog.tools.len() > MAX_TOOLS {
        let said = format!("has {} tools; offer at most {MAX_TOOLS}", catalog.tools.len());
        wrong.push(violation("catalog.tools", "TOO_MANY", &said));
    }
    let size = catalog.encoded_len();
    if size > MAX_CATALOG {
        let said = format!("has {size} bytes; send at most {MAX_CATALOG}");
        wrong.push(violation("catalog", "TOO_LARGE", &said));
    }
    if range(catalog).is_none() {
        let said = "min_protocol is above max_protocol";
        wrong.push(violation("catalog.min_protocol", "BAD_RANGE", said));
    }
}

/// Lowest and highest revision spoken; none when they are turned round or negative.
fn range(catalog: &pb::PluginCatalog) -> Option<(i32, i32)> {
    let or_one = |given: i32| if given == 0 { 1 } else { given };
    let (low, high) = (or_one(catalog.min_protocol), or_one(catalog.max_protocol));
    (0 < low && low <= high).then_some((low, high))
}

fn protocol(catalog: &pb::PluginCatalog) -> Result<(), Error> {
    match range(catalog) {
        Some((low, high)) if (low..=high).contains(&PROTOCOL) => Ok(()),
        other => {
            let (low, high) = other.unwrap_or_default();
            Err(Error::Protocol { plugin: catalog.plugin.clone(), low, high })
        }
    }
}

/// What the instance says of how calls reach it.
#[derive(Debug)]
enum Wanted {
    /// Where it listens, and what it wants to be shown.
    Direct(Target, String),
    /// Slots that it will park.
    Relay(u32),
}

fn transport(
    given: Option<Transport>,
    caller: &Caller,
    wrong: &mut Vec<Violation>,
) -> Option<Wanted> {
    match given {
        Some(Transport::Direct(direct)) => {
            let target = endpoint(&direct, caller, wrong)?;
            Some(Wanted::Direct(target, direct.caller_token))
        }
        Some(Transport::Relay(relay)) => {
            let slots = u32::try_from(relay.slots).ok().filter(|slots| *slots > 0);
            let slots =
                slots.filter(|_| usize::try_from(relay.slots).is_ok_and(|n| n <= MAX_SLOTS));
            if slots.is_none() {
                let said = format!("park 1 to {MAX_SLOTS} slots; each carries one call at a time");
                wrong.push(violation("relay.slots", "OUT_OF_RANGE", &said));
            }
            slots.map(Wanted::Relay)
        }
        None => {
            let said = "say how calls reach the instance: direct with its endpoint, or relay with \
                        the slots it will park";
            wrong.push(violation("transport", "REQUIRED", said));
            None
        }
    }
}

/// Where an instance says it listens.
#[derive(Debug)]
struct Target {
    host: String,
    port: u16,
    /// By TLS.
    secure: bool,
}

fn endpoint(
    direct: &pb::DirectTransport,
    caller: &Caller,
    wrong: &mut Vec<Violation>,
) -> Option<Target> {
    const FIELD: &str = "direct.endpoint";
    if direct.caller_token.len() > 4096
        || !direct.caller_token.bytes().all(|b| b.is_ascii_graphic())
    {
        let said = "use at most 4096 visible ASCII characters";
        wrong.push(violation("direct.caller_token", "BAD_TOKEN", said));
    }
    if direct.endpoint.starts_with("unix:") {
        let said = "unix sockets are not dialled yet; listen on 127.0.0.1 and give \":port\"";
        wrong.push(violation(FIELD, "UNIX_UNSERVED", said));
        return None;
    }
    let (secure, place) = secured::split(&direct.endpoint);
    let split = place.rsplit_once(':').filter(|_| !place.contains("://"));
    let Some((host, Some(port))) = split.map(|(host, port)| (host, port.parse().ok())) else {
        let said = "give \"host:port\", or \":port\" for the address the plugin calls from; \
                    with \"https://\" before it where TLS is served";
        wrong.push(violation(FIELD, "BAD_ENDPOINT", said));
        return None;
    };
    let host = if host.is_empty() {
        caller
            .peer
            .map_or_else(|| "127.0.0.1".to_owned(), |peer| peer.ip().to_canonical().to_string())
    } else {
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    };
    if port == 0 || host.len() > 253 {
        wrong.push(violation(FIELD, "BAD_ENDPOINT", "give the port it listens on, and a host"));
        return None;
    }
    Some(Target { host, port, secure })
}

/// The address to dial: this machine, or for a plugin elsewhere the very address that it calls from,
/// so that nobody is made to dial a third. A name must stand for that only, and is looked up now and
/// never again, so that it cannot come to mean something else later.
async fn resolve(host: &str, port: u16, elsewhere: Option<IpAddr>) -> Result<SocketAddr, Error> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(literal) => vec![SocketAddr::new(literal, port)],
        // What cannot be looked up stands for nothing.
        Err(_) => {
            let found = tokio::net::lookup_host((host, port)).await;
            found.map(Iterator::collect).unwrap_or_default()
        }
    };
    allowed(host, &found, elsewhere)
}

/// The one to dial of the addresses that `host` stands for, where it may be dialled at all.
fn allowed(
    host: &str,
    found: &[SocketAddr],
    elsewhere: Option<IpAddr>,
) -> Result<SocketAddr, Error> {
    let refused = || Error::EndpointNotAllowed { host: host.to_owned() };
    let own = |ip: IpAddr| elsewhere.map_or_else(|| local(ip), |peer| ip.to_canonical() == peer);
    if !found.iter().all(|address| own(address.ip())) {
        return Err(refused());
    }
    // Plugins listen on IPv4 unless they say otherwise, and a name often stands for both.
    found.iter().find(|a| a.is_ipv4()).or(found.first()).copied().ok_or_else(refused)
}

fn local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether `name` may name a plugin.
fn plugin_name(name: &str) -> Result<(), &'static str> {
    if RESERVED.contains(&name) {
        return Err("agentd, mcp, system and internal are reserved; take another name");
    }
    if !is_plugin_name(name) {
        return Err("use 2 to 24 of a-z, 0-9 and _, beginning with a letter, without __");
    }
    Ok(())
}

pub(crate) fn violation(field: &str, reason: &str, description: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        description: description.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;

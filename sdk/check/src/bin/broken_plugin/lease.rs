//! Register, Renew, and the farewell.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use agent_proto::tool::v1::{
    DeregisterRequest, DirectTransport, InstanceDirective, InstanceState, RegisterRequest,
    RegisterResponse, RelayTransport, RenewRequest,
    plugin_registry_service_client::PluginRegistryServiceClient as Registry,
    register_request::Transport, tool_service_server::ToolServiceServer,
};
use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::health_server::HealthServer;

use crate::{
    catalog::CALLS,
    plugin::{Plugin, locked, say},
    relay,
    serve::{Served, Told},
};

struct Lease {
    id: String,
    ttl: Duration,
    interval: Duration,
    renewed: Instant,
    over: CancellationToken,
}

/// How a lease was lost.
enum Lost {
    Unknown,
    Expired,
    Asked,
    Stopped,
}

/// From start to end; the code to exit with.
pub(crate) async fn live(plugin: &Arc<Plugin>) -> anyhow::Result<u8> {
    if plugin.breaks("AUTH-01:log") {
        say(&format!("my token is {}", plugin.settings.token));
    }
    let endpoint = if plugin.is_relay() { String::new() } else { listen(plugin).await? };
    let channel = Endpoint::from_shared(plugin.settings.agentd_url.clone())?.connect_lazy();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut lease = None;
    let ended = tokio::select! {
        ended = hold(plugin, &channel, &endpoint, &mut lease) => ended.map(|()| 0),
        _ = terminate.recv() => Ok(if plugin.breaks("DRAIN-01") { 3 } else { 0 }),
    };
    let code = ended?;
    farewell(plugin, &channel, lease).await;
    Ok(code)
}

async fn listen(plugin: &Arc<Plugin>) -> anyhow::Result<String> {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?).context("cannot listen")?;
    let address = incoming.local_addr()?;
    say(&format!("listens on {address}"));
    let served = Server::builder()
        .add_service(ToolServiceServer::new(Served(Arc::clone(plugin))))
        .add_service(HealthServer::new(Told(Arc::clone(plugin))))
        .serve_with_incoming(incoming.with_nodelay(Some(true)));
    tokio::spawn(served);
    Ok(address.to_string())
}

pub(crate) fn authorised<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

async fn hold(
    plugin: &Arc<Plugin>,
    channel: &Channel,
    endpoint: &str,
    kept: &mut Option<Lease>,
) -> anyhow::Result<()> {
    let mut times = 0;
    loop {
        let lease = kept.insert(register(plugin, channel, endpoint, &mut times).await?);
        let lost = renew(plugin, channel, lease).await;
        lease.over.cancel();
        match lost {
            Lost::Stopped => return Ok(()),
            Lost::Unknown if plugin.breaks_once("LEASE-02") => {
                tokio::time::sleep(Duration::from_millis(3600)).await;
            }
            Lost::Expired | Lost::Unknown => plugin.ready.store(false, Ordering::SeqCst),
            Lost::Asked => {}
        }
    }
}

async fn register(
    plugin: &Arc<Plugin>,
    channel: &Channel,
    endpoint: &str,
    times: &mut usize,
) -> anyhow::Result<Lease> {
    let mut ceiling = 0.2_f64;
    loop {
        let asked = authorised(announcement(plugin, endpoint, *times), &plugin.settings.token);
        let began = Instant::now();
        match Registry::new(channel.clone()).register(asked).await {
            Ok(answer) => {
                *times += 1;
                return Ok(taken(plugin, channel, answer.into_inner(), began));
            }
            Err(status) if is_final(&status) => {
                if !plugin.breaks("REG-03") {
                    anyhow::bail!("agentd refuses the plugin: {}", status.message());
                }
                tokio::time::sleep(Duration::from_millis(1500)).await;
            }
            Err(_) => {
                plugin.ready.store(false, Ordering::SeqCst);
                let share =
                    f64::from(u32::try_from(uuid::Uuid::new_v4().as_u128() >> 96).unwrap_or(0))
                        / f64::from(u32::MAX);
                let pause = if plugin.breaks("REG-02") { 0.2 } else { (ceiling * share).max(0.02) };
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                ceiling = (ceiling * 2.0).min(5.0);
            }
        }
    }
}

fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::InvalidArgument
    )
}

fn announcement(plugin: &Plugin, endpoint: &str, times: usize) -> RegisterRequest {
    let mut catalog = plugin.catalog.clone();
    if plugin.breaks("REG-05") && times % 2 == 1 {
        catalog.tools.reverse();
    }
    let transport = if plugin.is_relay() {
        let slots = i32::try_from(plugin.settings.slots).unwrap_or(1);
        Transport::Relay(RelayTransport { slots })
    } else {
        Transport::Direct(DirectTransport {
            endpoint: endpoint.to_owned(),
            caller_token: plugin.caller_token.clone(),
            ..DirectTransport::default()
        })
    };
    RegisterRequest {
        instance_id: plugin.instance_id.clone(),
        catalog: Some(catalog),
        transport: Some(transport),
        max_concurrent_calls: i32::try_from(CALLS).unwrap_or_default(),
        ..RegisterRequest::default()
    }
}

fn taken(
    plugin: &Arc<Plugin>,
    channel: &Channel,
    answer: RegisterResponse,
    began: Instant,
) -> Lease {
    let span = |d: Option<prost_types::Duration>| {
        d.and_then(|d| Duration::try_from(d).ok()).unwrap_or_default()
    };
    let is_rejected = answer.verdicts.iter().any(|verdict| !verdict.accepted);
    {
        let mut digests = locked(&plugin.digests);
        digests.clear();
        let accepted = answer.verdicts.iter().filter(|verdict| verdict.accepted);
        if !(is_rejected && plugin.breaks("REG-04")) {
            digests.extend(
                accepted.filter_map(|v| v.tool.clone()).map(|tool| (tool.tool, tool.digest)),
            );
        }
    }
    let over = CancellationToken::new();
    if plugin.is_relay() {
        for _ in 0..plugin.settings.slots {
            let (plugin, channel) = (Arc::clone(plugin), channel.clone());
            tokio::spawn(relay::keep(plugin, channel, answer.lease_id.clone(), over.clone()));
        }
    }
    plugin.ready.store(true, Ordering::SeqCst);
    Lease {
        id: answer.lease_id,
        ttl: span(answer.lease_ttl),
        interval: span(answer.renew_interval),
        renewed: began,
        over,
    }
}

async fn renew(plugin: &Plugin, channel: &Channel, lease: &mut Lease) -> Lost {
    loop {
        let slow = plugin.breaks("LEASE-01") && plugin.in_flight() > 5;
        tokio::time::sleep(lease.interval * if slow { 13 } else { 5 } / 5).await;
        if lease.renewed.elapsed() > lease.ttl && !plugin.breaks("LEASE-05") {
            return Lost::Expired;
        }
        let began = Instant::now();
        match say_so(plugin, channel, lease, InstanceState::Ready).await {
            Ok(directive) => {
                lease.renewed = began;
                match directive {
                    InstanceDirective::Stop if !plugin.breaks("LEASE-04") => return Lost::Stopped,
                    InstanceDirective::Reregister => return Lost::Asked,
                    InstanceDirective::Stop
                    | InstanceDirective::Continue
                    | InstanceDirective::Unspecified => {}
                }
            }
            Err(status) if status.code() == Code::NotFound => return Lost::Unknown,
            // Away for good, as far as a plugin with this fault is concerned.
            Err(_) if plugin.breaks("LEASE-03") => std::future::pending::<()>().await,
            Err(_) => {}
        }
    }
}

async fn say_so(
    plugin: &Plugin,
    channel: &Channel,
    lease: &Lease,
    state: InstanceState,
) -> Result<InstanceDirective, Status> {
    let asked = RenewRequest {
        lease_id: lease.id.clone(),
        state: state.into(),
        calls_in_flight: i32::try_from(plugin.in_flight()).unwrap_or(i32::MAX),
        ..RenewRequest::default()
    };
    let asked = authorised(asked, &plugin.settings.token);
    Ok(Registry::new(channel.clone()).renew(asked).await?.into_inner().directive())
}

async fn farewell(plugin: &Plugin, channel: &Channel, lease: Option<Lease>) {
    plugin.draining.cancel();
    let Some(lease) = lease else { return };
    let _ = say_so(plugin, channel, &lease, InstanceState::Draining).await;
    let until = Instant::now() + Duration::from_secs(25);
    while plugin.in_flight() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A moment for the last updates, and for agentd to end the slots given back.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = DeregisterRequest { lease_id: lease.id, reason: "stopping".to_owned() };
    let _ =
        Registry::new(channel.clone()).deregister(authorised(asked, &plugin.settings.token)).await;
}

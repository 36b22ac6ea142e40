//! Keeps an instance known to agentd: Register, Renew at the pace agentd gives, Register again
//! when the lease is lost, goodbye at the end. It is ready exactly while a lease is held by its
//! own clock. It never gives up on an agentd that is away, and stops for one that says no.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    DeregisterRequest, DirectTransport, InstanceDirective, InstanceState, RegisterRequest,
    RegisterResponse, RelayTransport, RenewRequest, RenewResponse,
    plugin_registry_service_client as registry, register_request::Transport,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};

use crate::{
    error::Error,
    instance::Instance,
    lease::{
        held::{DEFAULT_RENEWAL, DEFAULT_TTL, Lease, SHORTEST_RENEWAL},
        pause::Backoff,
        pending::Pending,
    },
    limits::MAX_WIRE,
    readiness::Unready,
    relay::{Berth, Moorings},
    server::Readiness,
};

mod held;
pub(crate) mod pause;
mod pending;
mod verdict;

/// Opens a new connection to agentd; each call looks the address up anew.
pub(crate) type Dial = Box<dyn Fn() -> Channel + Send + Sync>;

type Client = registry::PluginRegistryServiceClient<Channel>;

/// How long one request may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long a goodbye may take; agentd may be gone already.
const GOODBYE: Duration = Duration::from_secs(2);
/// Failures after which the connection itself is doubted.
const STALE_AFTER: u32 = 2;
/// How long further changes of what is out of order are waited for before the first is told.
const TOGETHER: Duration = Duration::from_millis(100);

/// Where agentd is and what it is told.
pub(crate) struct Announcement {
    pub(crate) agentd_url: String,
    /// Registration token; empty means none.
    pub(crate) token: String,
    pub(crate) reach: Reach,
}

/// How calls reach the instance.
pub(crate) enum Reach {
    /// agentd dials it there.
    Direct { endpoint: String },
    /// It parks so many slots at agentd.
    Relay { slots: u16 },
}

/// Keeps the lease of one instance.
pub(crate) struct Keeper {
    instance: Arc<Instance>,
    readiness: Readiness,
    announcement: Announcement,
    dial: Dial,
    channel: Channel,
    backoff: Backoff,
    failures: u32,
    lease: Option<Lease>,
    pending: Pending,
    berth: watch::Sender<Option<Berth>>,
    doubt: Arc<Notify>,
    unready: watch::Receiver<Unready>,
}

/// How a lease was lost.
enum Lost {
    /// agentd does not know it, or not us.
    Unknown,
    /// agentd wants the catalog again; the lease itself is good.
    Outdated,
    /// No renewal came through in time.
    Expired,
    /// agentd wants the plugin to stop.
    Unwanted,
}

impl Keeper {
    pub(crate) fn new(
        instance: Arc<Instance>,
        readiness: Readiness,
        announcement: Announcement,
        dial: Dial,
    ) -> Self {
        let (channel, unready) = (dial(), instance.unready.watch());
        Self {
            instance,
            readiness,
            announcement,
            dial,
            channel,
            backoff: Backoff::default(),
            failures: 0,
            lease: None,
            pending: Pending::default(),
            berth: watch::channel(None).0,
            doubt: Arc::default(),
            unready,
        }
    }

    /// What slots need to know of the lease.
    pub(crate) fn moorings(&self) -> Moorings {
        Moorings { berth: self.berth.subscribe(), doubt: Arc::clone(&self.doubt) }
    }

    /// Registers and renews until agentd wants the plugin to stop. May be dropped at any await;
    /// [`Self::announce_drain`] and [`Self::leave`] then still speak for the lease held.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::NoToolAccepted`]: trying again would not mend it.
    pub(crate) async fn run(&mut self) -> Result<(), Error> {
        loop {
            self.register().await?;
            let lost = self.hold().await;
            let renewal = self.lease.as_ref().map_or(DEFAULT_RENEWAL, |lease| lease.renewal);
            if matches!(lost, Lost::Unknown | Lost::Expired) {
                self.berth.send_replace(None);
            }
            match lost {
                Lost::Unwanted => {
                    tracing::info!("agentd wants the plugin to stop");
                    return Ok(());
                }
                Lost::Unknown => {
                    tracing::info!("agentd does not know the lease; registering again");
                    self.readiness.set(false).await;
                    tokio::time::sleep(pause::jitter(renewal / 2)).await;
                }
                Lost::Outdated => tokio::time::sleep(pause::jitter(renewal / 2)).await,
                Lost::Expired => {
                    tracing::warn!("the lease ran out; registering again");
                    self.readiness.set(false).await;
                }
            }
        }
    }

    /// Tells agentd to send no new calls, if it can be told.
    pub(crate) async fn announce_drain(&mut self) {
        // Of a registration under way too: it takes the place of the lease before.
        if let Some(response) = self.pending.unheard(GOODBYE).await {
            self.lease = Some(Lease::of(&response, Instant::now()));
        }
        if self.lease.is_some() {
            let told = tokio::time::timeout(GOODBYE, self.renew_as(InstanceState::Draining)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::debug!("agentd could not be told that the plugin is draining");
            }
        }
    }

    /// Ends the lease, if agentd can be told.
    pub(crate) async fn leave(&mut self, reason: &str) {
        if let Some(lease) = self.lease.take() {
            let message = DeregisterRequest { lease_id: lease.id, reason: reason.to_owned() };
            let request = self.request(message);
            let told = tokio::time::timeout(GOODBYE, self.client().deregister(request)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::debug!("agentd could not be told that the plugin has gone");
            }
        }
    }

    async fn register(&mut self) -> Result<(), Error> {
        loop {
            let (mut client, request) = (self.client(), self.request(self.registration()));
            let asked_at = Instant::now();
            let asking = async move { within_attempt(client.register(request)).await };
            let answer = self.pending.answer(asking).await;
            let url = &self.announcement.agentd_url;
            match answer {
                Ok(response) => {
                    // What is given is given back, whatever is wrong with it.
                    self.lease = Some(Lease::of(&response, asked_at));
                    verdict::check(&response, url)?;
                    self.take_lease(&response).await;
                    return Ok(());
                }
                Err(status) => {
                    if let Some(refused) = verdict::refusal(&status, url) {
                        return Err(refused);
                    }
                    // Whatever was held before, agentd cannot be shown to know us now.
                    self.readiness.set(false).await;
                    let pause = self.note_failure("register", &status);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn take_lease(&mut self, response: &RegisterResponse) {
        self.instance.learn_digests(&response.verdicts);
        self.note_success();
        self.moor();
        self.readiness.set(true).await;
        tracing::info!(
            plugin = self.instance.catalog.plugin,
            agentd = self.announcement.agentd_url,
            tools = self.instance.catalog.tools.len(),
            "registered"
        );
    }

    /// Tells the slots where to go.
    fn moor(&self) {
        let channel = &self.channel;
        let berth = self
            .lease
            .as_ref()
            .map(|lease| Berth { lease_id: lease.id.clone(), channel: channel.clone() });
        self.berth.send_replace(berth);
    }

    /// Renews until the lease is lost.
    async fn hold(&mut self) -> Lost {
        let mut pause = self.lease.as_ref().map_or(Duration::ZERO, |lease| lease.renewal);
        // Registering does not tell what is out of order.
        if !self.unready.borrow_and_update().is_empty() {
            pause = Duration::ZERO;
        }
        loop {
            let Some(ends) = self.lease.as_ref().map(|lease| lease.ends) else {
                return Lost::Unknown;
            };
            let due = ends.min(Instant::now() + pause);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => {}
                // Several changes at once are told together.
                Ok(()) = self.unready.changed() => tokio::time::sleep(TOGETHER).await,
                // A slot was told that agentd does not know the lease.
                () = self.doubt.notified() => {}
            }
            // A process that was stopped for long wakes up here, with a lease of the past.
            if Instant::now() >= ends {
                return Lost::Expired;
            }
            let asked_at = Instant::now();
            let renewed = tokio::time::timeout_at(ends, self.renew_as(InstanceState::Ready)).await;
            match renewed {
                Err(_) => return Lost::Expired,
                Ok(Ok(response)) => match self.take_renewal(&response, asked_at) {
                    Ok(renewal) => pause = renewal,
                    Err(lost) => return lost,
                },
                Ok(Err(status)) if verdict::is_lease_lost(status.code()) => return Lost::Unknown,
                Ok(Err(status)) => pause = self.note_failure("renew", &status),
            }
        }
    }

    fn take_renewal(
        &mut self,
        response: &RenewResponse,
        asked_at: Instant,
    ) -> Result<Duration, Lost> {
        self.note_success();
        verdict::advise(&response.warnings);
        let ttl = verdict::span(response.lease_ttl).unwrap_or(DEFAULT_TTL);
        let Some(lease) = &mut self.lease else { return Err(Lost::Unknown) };
        lease.ends = asked_at + ttl;
        lease.renewal = verdict::span(response.renew_interval)
            .unwrap_or(lease.renewal)
            .min(ttl / 2)
            .max(SHORTEST_RENEWAL);
        match response.directive() {
            InstanceDirective::Stop => Err(Lost::Unwanted),
            InstanceDirective::Reregister => Err(Lost::Outdated),
            InstanceDirective::Continue | InstanceDirective::Unspecified => Ok(lease.renewal),
        }
    }

    async fn renew_as(&mut self, state: InstanceState) -> Result<RenewResponse, Status> {
        let Some(lease) = &self.lease else { return Err(Status::not_found("no lease is held")) };
        let (state, unready_tools) = {
            let unready = self.unready.borrow_and_update();
            let mut offered = self.instance.catalog.tools.iter().map(|tool| tool.name.as_str());
            let is_unready = state == InstanceState::Ready && unready.is_whole(&mut offered);
            (if is_unready { InstanceState::Unready } else { state }, unready.tools())
        };
        let message = RenewRequest {
            lease_id: lease.id.clone(),
            catalog_digest: lease.catalog_digest.clone(),
            state: state.into(),
            calls_in_flight: i32::try_from(self.instance.in_flight()).unwrap_or(i32::MAX),
            unready_tools,
        };
        let request = self.request(message);
        within_attempt(self.client().renew(request)).await
    }

    fn registration(&self) -> RegisterRequest {
        let transport = match &self.announcement.reach {
            Reach::Direct { endpoint } => Transport::Direct(DirectTransport {
                endpoint: endpoint.clone(),
                caller_token: self.instance.caller_token.clone(),
                ..DirectTransport::default()
            }),
            Reach::Relay { slots } => Transport::Relay(RelayTransport { slots: i32::from(*slots) }),
        };
        RegisterRequest {
            instance_id: self.instance.id.clone(),
            catalog: Some(self.instance.catalog.clone()),
            transport: Some(transport),
            max_concurrent_calls: i32::from(self.instance.capacity.min(i16::MAX.unsigned_abs())),
            ..RegisterRequest::default()
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = authorised(message, &self.announcement.token);
        request.set_timeout(ATTEMPT);
        request
    }

    fn client(&self) -> Client {
        Client::new(self.channel.clone())
            .max_decoding_message_size(MAX_WIRE)
            .max_encoding_message_size(MAX_WIRE)
    }

    /// Counts a failure, dials anew when the connection is doubtful, and says how long to pause.
    fn note_failure(&mut self, what: &'static str, status: &Status) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let (code, url) = (status.code(), &self.announcement.agentd_url);
        let why = verdict::why(status);
        if self.failures == 1 {
            tracing::warn!(agentd = url, ?code, why, "cannot {what}; trying on");
        } else {
            tracing::debug!(agentd = url, ?code, why, "cannot {what} yet");
        }
        if self.failures.is_multiple_of(STALE_AFTER) {
            self.channel = (self.dial)();
            self.moor();
        }
        self.backoff.next()
    }

    fn note_success(&mut self) {
        self.failures = 0;
        self.backoff = Backoff::default();
    }
}

/// A request that shows the registration token, where there is one.
pub(crate) fn authorised<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty()
        && let Ok(mut value) = MetadataValue::try_from(format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    request
}

async fn within_attempt<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(ATTEMPT, answer).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

#[cfg(test)]
mod tests;

//! A plugin that is there to be called: registered with a played agentd, or dialled. Scenes play on
//! stages; with `--exec` each scene has its own, with a process of its own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1::{
    PluginCatalog, RegisterRequest, register_request::Transport,
    tool_service_client::ToolServiceClient,
};
use tokio::time::Instant;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    agentd::{Agentd, Pace},
    exchange::Exchange,
    fixtures::Fixtures,
    later::CallRequest,
    line::{Call, Line, Presented, authorised},
    means::Means,
    options::Mode,
    program::Program,
    verdict::{Stop, fail, skip},
};

mod asking;

/// Longest time of one ordinary call.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// How long a plugin may take to register.
const REGISTERS: Duration = Duration::from_secs(10);

/// What to do where a plugin wants a token.
const NO_TOKEN: &str = "\nPlugins on an SDK draw a token at each start and tell it to their agentd \
    only: let this command be that agentd, by --exec or --listen. One with a token of its own is asked \
    with --caller-token";

/// A plugin on a played agentd, or one that is dialled.
pub(crate) struct Stage {
    pub(crate) means: Arc<Means>,
    pub(crate) agentd: Option<Arc<Agentd>>,
    pub(crate) program: Option<Program>,
    pub(crate) line: Line,
    pub(crate) catalog: PluginCatalog,
    pub(crate) registered: Option<Box<RegisterRequest>>,
    /// From start to registration.
    pub(crate) took: Duration,
    /// Calls in which a secret came back.
    leaks: Mutex<Vec<(String, String)>>,
}

// === impl Stage ===

impl Stage {
    /// A stage of its own, with a process of its own.
    pub(crate) async fn open(means: &Arc<Means>, pace: Pace) -> Result<Self, Stop> {
        let agentd = means.agentd(pace).await.or_else(|fault| fail(format!("{fault:#}")))?;
        let program = means.start(&agentd.url())?;
        Self::registered(means, agentd, Some(program), REGISTERS).await
    }

    /// A stage for a plugin that registers, started by us or by somebody else.
    pub(crate) async fn registered(
        means: &Arc<Means>,
        agentd: Agentd,
        program: Option<Program>,
        limit: Duration,
    ) -> Result<Self, Stop> {
        let began = agentd.began;
        let came = agentd.registration(began, limit).await;
        let words = || program.as_ref().map(Program::last_words).unwrap_or_default();
        let Some((at, request)) = came else {
            let why = format!("no Register came within {limit:?}");
            return Err(Stop::Failed { why, exchange: words() });
        };
        let agentd = Arc::new(agentd);
        let line = line_to(means.mode, &agentd, &request)?;
        let stage = Self {
            means: Arc::clone(means),
            agentd: Some(agentd),
            program,
            line,
            catalog: request.catalog.clone().unwrap_or_default(),
            registered: Some(request),
            took: at - began,
            leaks: Mutex::default(),
        };
        stage.ready().await;
        Ok(stage)
    }

    /// A stage for a plugin that is dialled and does not register.
    ///
    /// # Errors
    /// When it does not tell its catalog.
    pub(crate) async fn dialled(means: &Arc<Means>, endpoint: &str) -> anyhow::Result<Self> {
        let line = Line::dial(endpoint, means.options.caller_token.clone())?;
        let mut stage = Self {
            means: Arc::clone(means),
            agentd: None,
            program: None,
            line,
            catalog: PluginCatalog::default(),
            registered: None,
            took: Duration::ZERO,
            leaks: Mutex::default(),
        };
        stage.catalog = stage
            .told_catalog()
            .await
            .map_err(|status| anyhow::anyhow!("--target: {}", untold(endpoint, &status)))?;
        // Its catalog may be for everybody; its tools are not.
        let seen = stage.call(CallRequest::default()).await;
        if let Some(status) = seen.status().filter(|status| is_a_stranger(status)) {
            anyhow::bail!("--target: a call at {endpoint}: {}{NO_TOKEN}", status.message());
        }
        Ok(stage)
    }

    /// Waits until calls can be taken: the plugin has read the answer to its registration.
    async fn ready(&self) {
        let until = Instant::now() + Duration::from_secs(3);
        match &self.line {
            Line::Relay(agentd) => {
                agentd
                    .wait_for(Duration::from_secs(3), |state| {
                        (!state.idle.is_empty()).then_some(())
                    })
                    .await;
            }
            Line::Direct { .. } => {
                while Instant::now() < until {
                    match self.health("").await {
                        Ok(false) => tokio::time::sleep(Duration::from_millis(20)).await,
                        Ok(true) | Err(_) => break,
                    }
                }
                // Those without health have nothing that tells; a moment to read the answer.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    pub(crate) async fn told_catalog(&self) -> Result<PluginCatalog, tonic::Status> {
        let Line::Direct { channel, token } = &self.line else {
            return Err(tonic::Status::unavailable("there is no port in relay"));
        };
        let asked = agent_proto::tool::v1::GetCatalogRequest {};
        let asked = authorised(asked, token.as_deref(), Presented::Registered);
        let mut client = ToolServiceClient::new(channel.clone());
        Ok(client.get_catalog(asked).await?.into_inner().catalog.unwrap_or_default())
    }

    /// Whether health says SERVING.
    pub(crate) async fn health(&self, service: &str) -> Result<bool, tonic::Status> {
        let Line::Direct { channel, .. } = &self.line else {
            return Err(tonic::Status::unavailable("there is no port in relay"));
        };
        let asked = HealthCheckRequest { service: service.to_owned() };
        let mut client = HealthClient::new(channel.clone());
        let asked = tokio::time::timeout(Duration::from_secs(3), client.check(asked)).await;
        let late = |_| tonic::Status::deadline_exceeded("no answer within 3 s");
        Ok(asked.map_err(late)??.into_inner().status == 1)
    }

    pub(crate) fn agentd(&self) -> Result<&Arc<Agentd>, Stop> {
        match &self.agentd {
            Some(agentd) => Ok(agentd),
            None => skip("with --target no plugin registers"),
        }
    }

    pub(crate) fn program(&self) -> Result<&Program, Stop> {
        match &self.program {
            Some(program) => Ok(program),
            None => skip("needs --exec: the command must own the plugin's process"),
        }
    }

    pub(crate) fn fixtures(&self) -> &Fixtures {
        &self.means.fixtures
    }

    /// The calls that the plugin says it takes at once.
    pub(crate) fn capacity(&self) -> usize {
        let Some(request) = &self.registered else { return 8 };
        let stated = match (&request.transport, request.max_concurrent_calls) {
            (Some(Transport::Relay(relay)), _) => relay.slots,
            (_, 0) => 8,
            (_, stated) => stated,
        };
        usize::try_from(stated).unwrap_or(8).clamp(1, 256)
    }

    /// Begins a call with what was registered.
    pub(crate) async fn begin(&self, request: CallRequest) -> Call {
        self.line.begin(request, Presented::Registered).await
    }

    /// One whole call.
    pub(crate) async fn call(&self, request: CallRequest) -> Exchange {
        let seen = self.begin(request).await.finish(CALL + Duration::from_secs(1)).await;
        self.listen(&seen);
        seen
    }

    /// Looks for secrets in what came.
    pub(crate) fn listen(&self, seen: &Exchange) {
        let text = seen.text();
        let tokens = [
            ("AGENTD_PLUGIN_TOKEN", self.means.token.as_str()),
            ("caller_token", self.caller_token()),
        ];
        let canaries =
            self.means.canaries.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in canaries.chain(tokens) {
            if !value.is_empty() && text.contains(value) {
                let mut leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
                leaks.push((name.to_owned(), seen.show().replace(value, "[masked]")));
            }
        }
    }

    pub(crate) fn leak(&self) -> Option<(String, String)> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// The plugin's own secret, empty when it has none.
    pub(crate) fn caller_token(&self) -> &str {
        match self.registered.as_ref().and_then(|request| request.transport.as_ref()) {
            Some(Transport::Direct(direct)) => &direct.caller_token,
            Some(Transport::Relay(_)) | None => "",
        }
    }
}

/// Why a plugin that is dialled does not tell its catalog.
fn untold(endpoint: &str, status: &tonic::Status) -> String {
    let mut causes = vec![status.message().to_owned()];
    let mut next = std::error::Error::source(status);
    let mut is_refused = false;
    while let Some(cause) = next {
        let known = cause.downcast_ref::<std::io::Error>();
        is_refused |= known.is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
        causes.push(cause.to_string());
        next = cause.source();
    }
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    if causes.iter().any(|cause| cause.contains("dns error")) {
        return format!("{host} cannot be resolved; it takes HOST:PORT of a plugin");
    }
    if is_refused {
        return format!("nobody answers at {endpoint}: connection refused");
    }
    let hint = if is_a_stranger(status) { NO_TOKEN } else { "" };
    format!("GetCatalog of {endpoint}: {:?} {}{hint}", status.code(), status.message())
}

fn is_a_stranger(status: &tonic::Status) -> bool {
    status.code() == tonic::Code::Unauthenticated
}

fn line_to(mode: Mode, agentd: &Arc<Agentd>, request: &RegisterRequest) -> Result<Line, Stop> {
    match (&request.transport, mode) {
        (Some(Transport::Relay(_)), Mode::Relay) => Ok(Line::Relay(Arc::clone(agentd))),
        (Some(Transport::Direct(direct)), Mode::Direct | Mode::Both) => {
            let endpoint = match direct.endpoint.strip_prefix(':') {
                Some(port) => format!("127.0.0.1:{port}"),
                None => direct.endpoint.clone(),
            };
            let dials = endpoint.contains("://") || endpoint.starts_with("unix:");
            let token = (!direct.caller_token.is_empty()).then(|| direct.caller_token.clone());
            match Line::dial(&endpoint, token) {
                Ok(line) if !dials => Ok(line),
                _ => fail(format!(
                    "cannot dial the endpoint {endpoint:?}: host:port without TLS is dialled here"
                )),
            }
        }
        (Some(Transport::Direct(_)), Mode::Relay) => {
            fail("registered for direct calls although PLUGIN_MODE=relay was given")
        }
        (Some(Transport::Relay(_)), Mode::Direct | Mode::Both) => {
            fail("registered for relay although PLUGIN_MODE=direct was given")
        }
        (None, _) => fail("registered without a transport"),
    }
}

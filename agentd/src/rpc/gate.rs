//! Who may ask, once for all services: a bearer token of the right kind, where tokens are asked for.
//! Plugins register with theirs, everybody else asks with a caller's. Health is open to all, since
//! those who probe it carry no token and learn no more than yes or no.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::Either;
use http::{Request, Response, header::AUTHORIZATION};
use tonic::{Status, body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service};

use super::status::{Kind, Problem};
use crate::{
    guard::{
        rate::Bucket,
        tokens::{Pass, Refused, Tokens, Who},
    },
    tool::RateLimit,
};

/// What plugins ask; everything else is for callers.
const PLUGINS: &str = "/agentd.tool.v1.";
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Refusals that are told in the log: anybody may knock as often as they like.
const TOLD: RateLimit = RateLimit {
    calls: 20,
    period: Duration::from_mins(1),
    burst: 19,
    max_concurrent: 0,
    shared: false,
};

/// The layer.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    tokens: Tokens,
    told: Option<Bucket>,
}

/// A service behind it.
#[derive(Debug, Clone)]
pub(super) struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl Gate {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, told: Bucket::new(TOLD) }
    }

    /// Tells the log who was not let in: one who holds no token is in no other list.
    fn tell<B>(&self, refused: Refused, request: &Request<B>) {
        if self.told.as_ref().is_some_and(|told| told.take().is_ok()) {
            let peer = request.extensions().get::<TcpConnectInfo>();
            let peer = peer.and_then(TcpConnectInfo::remote_addr).map(|peer| peer.to_string());
            let (asked, mend) = (request.uri().path(), refused.mend());
            tracing::warn!(asked, peer, mend, "not let in: {refused}");
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let pass = if path.starts_with(PLUGINS) { Pass::Plugin } else { Pass::Caller };
        let header = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        if path.starts_with(HEALTH) {
            return Either::Left(self.inner.call(request));
        }
        match self.gate.tokens.pass(pass, header) {
            Ok(who) => {
                request.extensions_mut().insert(who);
                Either::Left(self.inner.call(request))
            }
            Err(refused) => {
                self.gate.tell(refused, &request);
                Either::Right(ready(Ok(status(refused).into_http())))
            }
        }
    }
}

/// Who asks, as the gate let them in.
pub(super) fn who<T>(request: &tonic::Request<T>) -> Who {
    request.extensions().get::<Who>().cloned().unwrap_or_default()
}

/// On whose behalf things are done for who asks: the name of their token. Where no tokens are asked
/// for, everybody is one.
pub(super) fn principal<T>(request: &tonic::Request<T>) -> String {
    who(request).name().unwrap_or("local").to_owned()
}

fn status(refused: Refused) -> Status {
    let reason = match refused {
        Refused::Missing => "TOKEN_MISSING",
        Refused::Wrong => "TOKEN_INVALID",
    };
    Problem::new(Kind::Stranger, reason, format!("{refused}; {}", refused.mend())).into()
}

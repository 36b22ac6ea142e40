//! The HTTP door for alerts: `POST /webhooks/alertmanager` and `POST /webhooks/alert`. Reads, hands
//! to the clerk, answers: 200 when it is durable, 4xx when sending it again would not help, 503 with
//! Retry-After when it would.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Serialize;

use super::{Answer, Batch, Error, Intake, alert, alertmanager, fault::Fault, own};
use crate::guard::tokens::{Pass, Refused, Tokens};

/// Largest message, in bytes: some thousand alerts.
const MOST_BYTES: usize = 4 << 20;
/// How long a sender may take to send one.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how many seconds a sender should come again.
const RETRY_AFTER: &str = "10";

/// What the door needs.
#[derive(Clone)]
pub struct Doors {
    /// Where alerts go.
    pub intake: Intake,
    /// Who may send them.
    pub tokens: Tokens,
}

/// How one kind of message is read.
type Reader = fn(&[u8]) -> Result<Batch, Fault>;

/// The routes of the door.
pub fn routes(doors: Doors) -> Router {
    let doors = Arc::new(doors);
    let route = |reader: Reader| {
        post(move |State(doors): State<Arc<Doors>>, request: Request| async move {
            answer(&doors, request, reader).await.unwrap_or_else(Refusal::into_response)
        })
    };
    Router::new()
        .route("/webhooks/alertmanager", route(alertmanager::read))
        .route("/webhooks/alert", route(alert::read))
        .with_state(doors)
}

async fn answer(doors: &Doors, request: Request, reader: Reader) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    doors.tokens.pass(Pass::Webhook, authorization(&head.headers)).map_err(Refusal::Stranger)?;
    let body = whole(body).await?;
    if ours(&body) {
        let mut answer = Answer { received: 1, ..Answer::default() };
        answer.ignored.insert("it is a message of ours".to_owned(), 1);
        return Ok(Json(answer).into_response());
    }
    let batch = reader(&body).map_err(Refusal::Wrong)?;
    let answer = doors.intake.take(batch).await.map_err(Refusal::Later)?;
    if answer.waiting > 0 {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, again(), Json(answer)).into_response());
    }
    Ok(Json(answer).into_response())
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, MOST_BYTES)).await;
    read.map_err(|_| Refusal::Slow)?.map_err(|_| Refusal::TooLarge)
}

/// Whether this is what we ourselves send when an investigation ends, sent back to us.
fn ours(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: String,
    }
    serde_json::from_slice::<Head>(body).is_ok_and(|head| head.schema.starts_with(own::SCHEMA))
}

fn again() -> [(header::HeaderName, &'static str); 1] {
    [(header::RETRY_AFTER, RETRY_AFTER)]
}

/// Why nothing was taken.
enum Refusal {
    Stranger(Refused),
    Slow,
    TooLarge,
    Wrong(Fault),
    Later(Error),
}

#[derive(Serialize)]
struct Told<T> {
    error: T,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let fault = |at: &str, what: &str, mend: &str| {
            Json(Told {
                error: Fault { at: at.to_owned(), what: what.to_owned(), mend: mend.to_owned() },
            })
        };
        match self {
            Self::Stranger(refused) => {
                let demand = [(header::WWW_AUTHENTICATE, "Bearer")];
                let told = fault("header authorization", &refused.to_string(), refused.mend());
                (StatusCode::UNAUTHORIZED, demand, told).into_response()
            }
            Self::Slow => {
                let told = fault("the body", "did not arrive within 30 s", "send it faster");
                (StatusCode::REQUEST_TIMEOUT, told).into_response()
            }
            Self::TooLarge => {
                let told = fault(
                    "the body",
                    "is larger than 4 MiB",
                    "send fewer alerts at once, with max_alerts in Alertmanager's webhook_configs",
                );
                (StatusCode::PAYLOAD_TOO_LARGE, told).into_response()
            }
            Self::Wrong(fault) => {
                (StatusCode::BAD_REQUEST, Json(Told { error: fault })).into_response()
            }
            Self::Later(error) => {
                let told = fault("agentd", &error.to_string(), "send the same again");
                (StatusCode::SERVICE_UNAVAILABLE, again(), told).into_response()
            }
        }
    }
}

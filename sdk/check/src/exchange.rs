//! One call as it was seen: what was sent, what came and when, how it ended.

use std::{fmt::Write as _, time::Duration};

use agent_proto::tool::v1::{
    CallMode, CallResponse, CallResult, EffectState, Failure, FailureClass, call_response::Update,
};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::{later::CallRequest, verdict::cut};

/// Longest shown text of one message, in bytes.
const MAX_LINE: usize = 400;
/// Most updates shown at the beginning and at the end.
const SHOWN: usize = 6;

/// How a call ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The plugin closed it.
    Ok,
    /// With a status.
    Status(Status),
    /// We left.
    Left,
    /// It did not end in the time given.
    Silent,
}

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    sent: String,
    began: Instant,
    pub(crate) updates: Vec<(Duration, CallResponse)>,
    pub(crate) end: Option<End>,
    pub(crate) took: Duration,
}

impl Exchange {
    pub(crate) fn sent(request: &CallRequest) -> Self {
        let tool = request.tool.clone().unwrap_or_default();
        let mut sent = format!(
            "Call {} {} {}",
            cut(&tool.tool, MAX_LINE),
            mode_word(request.mode),
            cut(&request.arguments_json, MAX_LINE / 2)
        );
        if !tool.digest.is_empty() {
            let _ = write!(sent, " digest {}…", tool.digest.get(..15).unwrap_or(&tool.digest));
        }
        if let Some(limits) = &request.limits {
            let _ = write!(sent, " limits {}", limits_words(limits));
        }
        let key = request.idempotency_key.get(..8).unwrap_or(&request.idempotency_key);
        for (what, value) in [("key", key), ("page_token", request.page_token.as_str())] {
            if !value.is_empty() {
                let _ = write!(sent, " {what} {}", cut(value, 60));
            }
        }
        Self { sent, began: Instant::now(), updates: Vec::new(), end: None, took: Duration::ZERO }
    }

    pub(crate) fn push(&mut self, update: CallResponse) {
        self.updates.push((self.began.elapsed(), update));
    }

    pub(crate) fn end(&mut self, end: End) {
        self.took = self.began.elapsed();
        self.end = Some(end);
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Update> {
        self.updates.iter().filter_map(|(_, update)| update.update.as_ref())
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.kinds().any(|update| matches!(update, Update::Accepted(_)))
    }

    pub(crate) fn result(&self) -> Option<&CallResult> {
        self.kinds().find_map(|u| if let Update::Result(result) = u { Some(result) } else { None })
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.kinds()
            .find_map(|u| if let Update::Failure(failure) = u { Some(failure) } else { None })
    }

    pub(crate) fn status(&self) -> Option<&Status> {
        if let Some(End::Status(status)) = &self.end { Some(status) } else { None }
    }

    pub(crate) fn is_class(&self, class: FailureClass) -> bool {
        self.failure().is_some_and(|failure| failure.failure_class() == class)
    }

    /// Whether the plugin said that nothing was changed.
    pub(crate) fn is_without_effects(&self) -> bool {
        self.failure().is_some_and(|failure| failure.effects() == EffectState::None)
    }

    /// `result_json`, its pieces put together.
    pub(crate) fn json(&self) -> String {
        self.kinds()
            .map(|update| {
                if let Update::Chunk(chunk) = update {
                    chunk.json_fragment.as_str()
                } else if let Update::Result(result) = update {
                    result.result_json.as_str()
                } else {
                    ""
                }
            })
            .collect()
    }

    /// All text that came, for a search.
    pub(crate) fn text(&self) -> String {
        let updates: Vec<_> = self.kinds().collect();
        format!("{updates:?} {:?}", self.status())
    }

    /// For people, bounded.
    pub(crate) fn show(&self) -> String {
        let mut shown = format!("sent  {}", self.sent);
        let hidden = self.updates.len().saturating_sub(2 * SHOWN);
        for (number, (at, update)) in self.updates.iter().enumerate() {
            if hidden > 0 && number == SHOWN {
                let _ = write!(shown, "\ncame  … {hidden} more …");
            }
            if number >= SHOWN && number < SHOWN + hidden {
                continue;
            }
            let _ = write!(
                shown,
                "\ncame  +{:.3} s #{} {}",
                at.as_secs_f64(),
                update.sequence,
                cut(&words(update.update.as_ref()), MAX_LINE)
            );
        }
        let end = match &self.end {
            Some(End::Ok) => "OK".to_owned(),
            Some(End::Status(status)) => {
                format!("{:?}: {}", status.code(), cut(status.message(), MAX_LINE))
            }
            Some(End::Left) => "left by plugin-check".to_owned(),
            Some(End::Silent) => "not ended by the plugin".to_owned(),
            None => "still running".to_owned(),
        };
        let _ = write!(shown, "\nend   +{:.3} s {end}", self.took.as_secs_f64());
        shown
    }
}

fn mode_word(mode: i32) -> &'static str {
    match CallMode::try_from(mode) {
        Ok(CallMode::Execute) => "EXECUTE",
        Ok(CallMode::DryRun) => "DRY_RUN",
        Ok(CallMode::Unspecified) | Err(_) => "mode unset",
    }
}

fn limits_words(limits: &agent_proto::tool::v1::CallLimits) -> String {
    let mut words = Vec::new();
    if let Some(timeout) = &limits.timeout {
        words.push(format!("timeout {timeout}"));
    }
    if limits.max_result_bytes != 0 {
        words.push(format!("max_result_bytes {}", limits.max_result_bytes));
    }
    if let Some(interval) = &limits.min_progress_interval {
        words.push(format!("min_progress_interval {interval}"));
    }
    words.join(", ")
}

fn words(update: Option<&Update>) -> String {
    match update {
        None => "an update of no known kind".to_owned(),
        Some(Update::Accepted(accepted)) => format!("accepted by {}", accepted.instance_id),
        Some(Update::Progress(progress)) => {
            format!("progress {} {:?}", progress.done, progress.message)
        }
        Some(Update::Log(log)) => format!("log {:?}", log.message),
        Some(Update::Chunk(chunk)) => format!("chunk of {} bytes", chunk.json_fragment.len()),
        Some(Update::Facts(facts)) => format!("facts, {} observations", facts.observations.len()),
        Some(Update::Result(result)) => format!(
            "result {} summary {:?}{}",
            cut(&result.result_json, MAX_LINE / 2),
            cut(&result.summary, 80),
            if result.truncated { " truncated" } else { "" }
        ),
        Some(Update::Failure(failure)) => format!(
            "failure {} code {} {} effects {} {:?}{}{}",
            failure.failure_class().as_str_name().trim_start_matches("FAILURE_CLASS_"),
            code_words(failure.code),
            failure.reason,
            failure.effects().as_str_name().trim_start_matches("EFFECT_STATE_"),
            cut(&failure.message, 160),
            if failure.resource.is_empty() { "" } else { " resource " },
            cut(&failure.resource, 60),
        ),
    }
}

/// A code as people read it.
pub(crate) fn code_words(code: i32) -> String {
    format!("{code} {:?}", Code::from(code))
}

//! Logs of containers from the API server. How much is asked for follows from how long the lines
//! are: the kubelet cuts at the newest end when bytes run out, so lines are what bounds a request.

use agent_sdk::Failure;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    answer::{Refused, Trouble},
    asker::Asker,
    pages::escaped,
};
use crate::{log::LogFile, refusal::Asked};

/// Lines of the first, small request. Most logs that matter are longer, most others are not.
const TASTE: usize = 200;
/// Bytes that one log may come to; about as much as a tool reads of one.
const MAX_BYTES: usize = 24 * 1024 * 1024;
/// Bytes that are asked for, by the length of the last lines: those before may be longer.
const WANTED: usize = MAX_BYTES / 8 * 7;
/// Lines at most, however short.
const MAX_LINES: usize = 200_000;
/// Pieces between the connection and who reads; each is about 16 KiB.
const PIECES: usize = 32;
/// As long as a log may say nothing while it is read.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(6);

/// How much of a log is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Lines from the end; all that fit the bounds when left out.
    pub lines: Option<usize>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
}

/// A log as it comes in.
pub(crate) type Pieces = mpsc::Receiver<Result<Bytes, Failure>>;

/// Opens a log. `None` when there is none: the container never ran, or not before.
pub(super) async fn open(
    asker: &std::sync::Arc<Asker>,
    file: &LogFile,
    span: Span,
) -> Result<Option<Pieces>, Trouble> {
    let wanted = span.lines.unwrap_or(MAX_LINES).min(MAX_LINES);
    let first = wanted.min(TASTE);
    let tasted = match asker.get(&path(file, first, span.since, asker.now())).await {
        Ok(tasted) => tasted,
        Err(trouble) if is_absence(&trouble) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    let lines = tasted.iter().filter(|b| **b == b'\n').count();
    let (sender, pieces) = mpsc::channel(PIECES);
    if lines < first || wanted <= first {
        // All there is, or all that is wanted.
        let _ = sender.try_send(Ok(tasted));
        return Ok(Some(pieces));
    }
    let fit = WANTED / (tasted.len() / lines).max(1);
    let asked = path(file, wanted.min(fit.max(first)), span.since, asker.now());
    let stream = asker.stream(&asked).await?;
    let name = file.to_string();
    // Ends with the body, with its reader, or when nothing more comes.
    tokio::spawn(pass_on(stream, sender, name, tasted));
    Ok(Some(pieces))
}

/// Passes a log on up to [`MAX_BYTES`]. Of one that comes to more, as its earlier lines are longer
/// than its last, the middle is left out: `end`, its last lines, are what matters most.
async fn pass_on(
    stream: impl Stream<Item = Result<Bytes, kube::Error>> + Send,
    sender: mpsc::Sender<Result<Bytes, Failure>>,
    name: String,
    end: Bytes,
) {
    let mut stream = std::pin::pin!(stream);
    let (mut room, mut newest) = (MAX_BYTES, None);
    loop {
        let piece = match tokio::time::timeout(PATIENCE, stream.next()).await {
            Ok(None) => return,
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(Some(Err(error))) => Err(super::asker::words(&error)),
            Err(_) => Err(format!("nothing more came within {} s", PATIENCE.as_secs())),
        };
        let piece = piece.map_err(|says| {
            Failure::external("LOG_BROKE_OFF", format!("log of {name} broke off: {says}"))
        });
        let failed = piece.is_err();
        if let Ok(piece) = &piece {
            match room.checked_sub(piece.len()) {
                Some(left) => room = left,
                None => return leave_out(piece, sender, &name, unsaid(&end, newest)).await,
            }
            newest = last_time(piece).or(newest);
        }
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// When the last line began that begins in `piece`, as the kubelet puts it before each.
fn last_time(piece: &[u8]) -> Option<Timestamp> {
    let begins = piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    begins.filter_map(|(at, _)| time_of(piece.get(at + 1..)?)).next()
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    let word = line.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Those lines of `end` that are newer than what was passed on.
fn unsaid(end: &Bytes, newest: Option<Timestamp>) -> Bytes {
    let mut from = 0;
    for line in end.split_inclusive(|byte| *byte == b'\n') {
        if time_of(line).zip(newest).is_none_or(|(time, newest)| time > newest) {
            break;
        }
        from += line.len();
    }
    end.slice(from..)
}

/// Ends a log that is too long: the line that was begun, its last lines, and that some are missing.
async fn leave_out(
    piece: &Bytes,
    sender: mpsc::Sender<Result<Bytes, Failure>>,
    name: &str,
    end: Bytes,
) {
    let begun = piece.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let says = format!(
        "log of {name}: its lines are too long for all that was asked for; between about {} MiB and \
         its last lines nothing was read",
        MAX_BYTES / (1024 * 1024)
    );
    let middle = Failure::external("LOG_TOO_LONG", says);
    // A line that does not end here is ended.
    let begun = if begun == 0 { Bytes::from_static(b"\n") } else { piece.slice(..begun) };
    for piece in [Ok(begun), Ok(end), Err(middle)] {
        if sender.send(piece).await.is_err() {
            return;
        }
    }
}

/// Whether the answer only says that there is no such log. The kubelet says so with 400.
fn is_absence(trouble: &Trouble) -> bool {
    let Trouble::Refused(Refused { status, said, .. }) = trouble else { return false };
    match status {
        404 => true,
        400 => ["waiting to start", "not found", "is terminated", "not available", "is not valid"]
            .iter()
            .any(|words| said.contains(words)),
        _ => false,
    }
}

fn path(file: &LogFile, lines: usize, since: Option<Timestamp>, now: Timestamp) -> String {
    let (namespace, pod) = (escaped(&file.namespace), escaped(&file.pod));
    let mut path = format!(
        "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={}&timestamps=true&tailLines={lines}",
        escaped(&file.container)
    );
    if file.previous {
        path.push_str("&previous=true");
    }
    if let Some(since) = since {
        // The API takes whole seconds and refuses less than one.
        let seconds = now.duration_since(since).as_secs().saturating_add(1).max(1);
        path.push_str(&format!("&sinceSeconds={seconds}"));
    }
    path
}

/// What was asked, for the words of a failure.
pub(super) fn asked(file: &LogFile) -> Asked<'_> {
    Asked { target: "logs", verb: "get", namespace: &file.namespace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_asked_for_by_lines_from_its_end_with_times() {
        let file = LogFile {
            namespace: "n".to_owned(),
            pod: "p/../x".to_owned(),
            container: "c".to_owned(),
            previous: true,
        };
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let since = "2026-01-01T09:59:00Z".parse().ok();
        assert_eq!(
            path(&file, 7, since, now),
            "/api/v1/namespaces/n/pods/p%2F..%2Fx/log?container=c&timestamps=true&tailLines=7\
             &previous=true&sinceSeconds=61"
        );
    }

    #[test]
    fn a_container_that_never_ran_has_no_log_and_a_silent_node_is_a_fault() {
        let refused = |status, said: &str| {
            let said = said.to_owned();
            Trouble::Refused(Refused { status, said, retry_after: None, go_on: None })
        };
        let waits = "container \"c\" in pod \"p\" is waiting to start: ImagePullBackOff";
        assert!(is_absence(&refused(400, waits)));
        let before = "previous terminated container \"c\" in pod \"p\" not found";
        assert!(is_absence(&refused(400, before)));
        assert!(!is_absence(&refused(500, "dial tcp 10.0.0.1:10250: i/o timeout")));
        assert!(!is_absence(&refused(403, "forbidden")));
    }
}

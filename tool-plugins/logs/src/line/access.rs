//! Access logs in the common and combined form of Apache and nginx. A status of 500 and above is
//! an error of whoever answered; 4xx are the callers' and stay normal.

use super::Line;
use crate::{level::Level, time};

pub(super) fn understand(text: &str) -> Option<Line> {
    let (before, rest) = text.split_once(" \"")?;
    if !before.ends_with(']') {
        return None;
    }
    let (request, after) = rest.split_once("\" ")?;
    let status: u16 = after.split(' ').next()?.parse().ok()?;
    if !(100..600).contains(&status) {
        return None;
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let mut words = after.split(' ').skip(1);
    if let Some(said) = words.next().and_then(flags) {
        // A mesh proxy tells how it fared with the one behind it, and whom it asked.
        let message = format!("{method} {path} answered with status {status}: {said} {after}");
        return Some(Line::new(Level::Error, message));
    }
    let level = if status >= 500 { Level::Error } else { Level::Info };
    // Of refused requests the path is whatever a caller made up; it would flood the templates.
    let message = if (400..500).contains(&status) {
        format!("{method} refused with status {status}")
    } else {
        format!("{method} {path} answered with status {status}")
    };
    let mut line = Line::new(level, message);
    line.time = time::bracketed(before);
    line.status = Some(status);
    Some(line)
}

/// What the response flags of Envoy say.
fn flags(word: &str) -> Option<&'static str> {
    const FLAGS: &[(&str, &str)] = &[
        ("UH", "no healthy upstream"),
        ("UF", "upstream connection refused"),
        ("UT", "upstream request timeout"),
        ("UC", "upstream connection terminated unexpectedly"),
        ("UO", "upstream overflow, circuit breaker is open"),
        ("NR", "no route to a cluster"),
        ("URX", "upstream request failed after retries"),
        ("LR", "connection reset by peer"),
        ("UR", "upstream connection was closed"),
        ("RL", "rate limit reached"),
        ("UAEX", "unauthorized by the authorization service"),
    ];
    let set: Vec<&str> = word.split(',').collect();
    FLAGS.iter().find(|(flag, _)| set.contains(flag)).map(|(_, said)| *said)
}

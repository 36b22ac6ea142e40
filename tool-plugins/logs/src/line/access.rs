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

//! What "now" is in a recording that does not say: the latest of event times, container state
//! times and the kubelet's times in logs. Never metrics (they may run on), never dates in specs.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::Value;

use super::files;
use crate::{event::Event, kind::Kind, log::split_time, object::Object, object::time_of};

/// As much of a log's end as is looked at: the last line must start in it.
const TAIL: usize = 64 * 1024;

pub(super) fn latest<'a>(
    objects: Option<&BTreeMap<Kind, Vec<Object>>>,
    logs: impl Iterator<Item = &'a PathBuf>,
) -> Option<Timestamp> {
    let of = |kind| objects.and_then(|o| o.get(&kind)).into_iter().flatten();
    let events = of(Kind::Event).filter_map(|o| Event::of(o, Timestamp::MAX).last);
    let states = of(Kind::Pod).flat_map(state_times);
    let lines = logs.filter_map(|path| last_line_time(path));
    events.chain(states).chain(lines).max()
}

fn state_times(pod: &Object) -> Vec<Timestamp> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .flat_map(|list| pod.list(list))
        .flat_map(|status| [status.get("state"), status.get("lastState")])
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|state| state.values())
        .flat_map(|state| [time_of(state.get("startedAt")), time_of(state.get("finishedAt"))])
        .flatten()
        .collect()
}

/// The kubelet's time on the last line that has one.
fn last_line_time(path: &Path) -> Option<Timestamp> {
    let tail = tail(path).ok()?;
    let text = String::from_utf8_lossy(&tail);
    text.lines().rev().find_map(|line| split_time(line).time)
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    if path.extension().is_some_and(|e| e == "gz") {
        return compressed_tail(path);
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let tail = u64::try_from(TAIL).unwrap_or(u64::MAX);
    file.seek(SeekFrom::Start(length.saturating_sub(tail)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Compressed text has no end to jump to: it runs through, keeping the end only.
fn compressed_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut source = files::open(path)?;
    let mut kept = Vec::new();
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() {
            return Ok(kept);
        }
        let read = chunk.len();
        kept.extend_from_slice(chunk);
        source.consume(read);
        if kept.len() > 4 * TAIL {
            kept.drain(..kept.len().saturating_sub(TAIL));
        }
    }
}

//! The rule of numbers, one for all backends: what may follow what is stored. Pure.

use bytes::Bytes;

use super::{Entry, Head, Refusal};
use crate::investigation::event::Seq;

/// Before the first event.
pub(super) const UNBORN: Head = Head { last: 0, finished: None };

/// The entries that are still to be written. Those already stored must be stored byte for byte.
pub(super) fn fresh<E: From<Refusal>>(
    head: Head,
    entries: &[Entry],
    mut stored: impl FnMut(Seq) -> Result<Option<Bytes>, E>,
) -> Result<&[Entry], E> {
    let Some(first) = entries.first() else { return Ok(entries) };
    let id = first.investigation;
    let (mut last, mut ended, mut known) = (head.last, head.finished.is_some(), 0);
    let mut previous = first.seq.saturating_sub(1);
    for entry in entries {
        let got = entry.seq;
        if entry.investigation != id {
            return Err(Refusal::Mixed { id, other: entry.investigation }.into());
        }
        if got != previous.saturating_add(1) || got > last.saturating_add(1) {
            return Err(Refusal::Hole { id, last: last.max(previous), got }.into());
        }
        previous = got;
        if got <= head.last {
            if stored(got)?.as_ref() != Some(&entry.bytes) {
                return Err(Refusal::Hole { id, last, got }.into());
            }
            known += 1;
            continue;
        }
        if ended {
            return Err(Refusal::AfterEnd { id, got }.into());
        }
        (last, ended) = (got, entry.last);
    }
    Ok(entries.get(known..).unwrap_or_default())
}

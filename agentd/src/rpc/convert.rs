//! Domain ↔ messages of `agentd.v1`, both ways, for every variant. Reading is strict where it
//! decides something and lenient where it only shows: unknown enum numbers read as their zero
//! value, unknown event payloads as [`Kind::Unknown`](crate::investigation::event::Kind::Unknown).

pub mod alert;
pub mod belief;
pub mod event;
pub mod memory;
pub mod report;

use bytes::Bytes;
use prost::Message as _;

use agent_proto::v1;

use crate::investigation::event::Event;

/// Encodes an event as it is stored and streamed.
#[must_use]
pub fn encode(event: &Event) -> Bytes {
    event::write(event).encode_to_vec().into()
}

/// Decodes a stored event.
///
/// # Errors
/// When the bytes are not an event of a known form.
pub fn decode(stored: &Bytes) -> Result<Event, Unreadable> {
    let message = v1::Event::decode(stored.clone())
        .map_err(|source| Unreadable { what: "event", source: Some(source) })?;
    event::read(message)
}

/// Something stored or sent that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read")]
pub struct Unreadable {
    /// What it should have been.
    pub what: &'static str,
    /// Why not, when the bytes themselves are wrong.
    #[source]
    pub source: Option<prost::DecodeError>,
}

impl Unreadable {
    pub(crate) fn missing(what: &'static str) -> Self {
        Self { what, source: None }
    }
}

/// An enum number, with the zero value for numbers not known.
pub(crate) fn known<T: TryFrom<i32> + Default>(number: i32) -> T {
    T::try_from(number).unwrap_or_default()
}

/// A count as the wire has it.
pub(crate) fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A count as the wire had it; negative ones read as 0.
pub(crate) fn count(int: i32) -> u32 {
    u32::try_from(int).unwrap_or(0)
}

#[cfg(test)]
mod tests;

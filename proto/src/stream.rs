//! `agentd.v1.StreamEventsResponse`, written by hand with one difference to what would be
//! generated: the event is kept as the bytes of an encoded [`crate::v1::Event`]. On the wire a
//! message field and a bytes field look the same, so a stored event is streamed exactly as it was
//! stored, and is decoded by readers only.

use bytes::Bytes;
use prost::Message as _;

/// One item of the stream.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct StreamEventsResponse {
    /// What it is.
    #[prost(oneof = "stream_events_response::Item", tags = "1, 2")]
    pub item: Option<stream_events_response::Item>,
}

/// Parts of [`StreamEventsResponse`].
pub mod stream_events_response {
    use bytes::Bytes;

    /// What an item is.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Item {
        /// An encoded `agentd.v1.Event`.
        #[prost(bytes = "bytes", tag = "1")]
        Event(Bytes),
        /// Nothing happened for a while.
        #[prost(message, tag = "2")]
        KeepAlive(crate::v1::KeepAlive),
    }
}

impl StreamEventsResponse {
    /// An item with a stored event.
    #[must_use]
    pub fn event(stored: Bytes) -> Self {
        Self { item: Some(stream_events_response::Item::Event(stored)) }
    }

    /// The event of this item, if it is one.
    ///
    /// # Errors
    /// When the bytes are not an encoded event.
    pub fn decode_event(&self) -> Result<Option<crate::v1::Event>, prost::DecodeError> {
        match &self.item {
            Some(stream_events_response::Item::Event(bytes)) => {
                crate::v1::Event::decode(bytes.clone()).map(Some)
            }
            Some(stream_events_response::Item::KeepAlive(_)) | None => Ok(None),
        }
    }
}

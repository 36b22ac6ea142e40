//! A record of memory as the journal keeps it: an episode, or a feedback on one. Records outlive
//! the events they were made from and are never changed: what memory knows is their fold, in the
//! order in which they came in.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{episode::Episode, feedback::Feedback};

/// One record. Fields may be added; what is missing reads as its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Record {
    /// What a finished investigation taught.
    Episode(Box<Episode>),
    /// What people said of it afterwards.
    Feedback(Box<Feedback>),
}

impl Record {
    /// The stored form, JSON.
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads the stored form; `None` when it is none, or of a kind that a newer version wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        investigation::finding::Judgement,
        journal::testing::{alert, concluded, id, minute},
        memory::feedback::TrueCause,
    };

    #[test]
    fn records_survive_their_encoding_and_what_is_unknown_is_none() {
        let done = concluded(id(1), &alert("high_memory", "cart"), "oom_killed", &["x.y"], 5);
        let feedback = Feedback {
            id: id(1).0,
            judgement: Judgement::Partly,
            cause: TrueCause::read("category:a Node/n and words", |_| false).unwrap(),
            resolution: "restart".to_owned(),
            comment: "two\nlines".to_owned(),
            principal: "p".to_owned(),
            given: minute(7),
        };
        for record in [
            Record::Episode(Box::new(Episode::of(&done).unwrap())),
            Record::Feedback(Box::new(feedback)),
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        for strange in [b"".as_slice(), b"{}", br#"{"record":"later","id":1}"#] {
            assert_eq!(Record::decode(strange), None);
        }
    }

    #[test]
    fn an_episode_of_the_first_version_is_read() {
        let old = br#"{"record":"episode","id":"01930000-0000-0000-0000-000000000001","kind":"k",
            "service":"s","namespace":"n","cluster":"","fingerprint":"f","labels":{},"signals":[],
            "outcome":"cause","category":"c","culprit":null,"cause":"x","confidence":0.5,
            "severity":"P2","tool_calls":3,"ended":"2026-01-02T03:04:05Z"}"#;
        let Some(Record::Episode(episode)) = Record::decode(old) else {
            panic!("not read");
        };
        assert_eq!((episode.tool_calls, episode.calls_saved), (3, 0));
        assert_eq!(episode.known().rested_on, [], "what was not kept then is not known");
    }
}

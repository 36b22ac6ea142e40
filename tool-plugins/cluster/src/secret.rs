//! What may be kept of a Secret: its name, its keys, and the public part of certificates. The one
//! door that every object passes, recorded or live.

use serde_json::Value;

use crate::certificate;

/// Drops the values of a Secret. Of certificates in it dates and names are kept: they are public,
/// every client is shown them. Of annotations only points in time are, such as a date of expiry.
pub(crate) fn without_values(mut value: Value) -> Value {
    if value.get("kind").and_then(Value::as_str) != Some("Secret") {
        return value;
    }
    let mut kept = Vec::new();
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some(data) = value.get_mut(field) else { continue };
        kept.extend(certificate::kept_of_secret(data, encoded));
        for (_, secret) in data.as_object_mut().into_iter().flatten() {
            *secret = Value::String(String::new());
        }
    }
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        // `kubectl apply` keeps a copy of the data there.
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.retain(|_, note| {
                note.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
            });
        }
    }
    if let Some(fields) = value.as_object_mut() {
        // Only what was read here counts, not a field of that name in the recording.
        fields.insert(certificate::KEPT.to_owned(), Value::Array(kept));
    }
    value
}

//! Cutting an alert to what may be taken. A door where a person waits refuses what is too long; one
//! that a machine pushes at cuts and marks, since a refusal there would lose the alert.

use std::collections::BTreeMap;

use super::{Alert, MAX_ENTRIES, MAX_NAME, MAX_TEXT, MAX_VALUE};

/// Annotation that tells what was cut, by field.
const CUT: &str = "agentd_cut";
/// Stands where a text was cut.
const MARK: &str = "… [cut]";

impl Alert {
    /// Cuts what is too long, and says so in the annotation `agentd_cut`. Nothing violates the bounds
    /// afterwards but an alert that says nothing at all.
    pub fn cut(&mut self) {
        let mut fields = Vec::new();
        for (field, text, max) in [
            ("type", &mut self.kind, MAX_NAME),
            ("service", &mut self.service, MAX_NAME),
            ("namespace", &mut self.namespace, MAX_NAME),
            ("cluster", &mut self.cluster, MAX_NAME),
            ("environment", &mut self.environment, MAX_NAME),
            ("fingerprint", &mut self.fingerprint, MAX_NAME),
            ("source", &mut self.source, MAX_NAME),
            ("description", &mut self.description, MAX_TEXT),
        ] {
            if shorten(text, max) {
                fields.push(field);
            }
        }
        if pairs(&mut self.labels, MAX_ENTRIES) {
            fields.push("labels");
        }
        // One place is kept for the mark itself.
        if pairs(&mut self.annotations, MAX_ENTRIES - 1) {
            fields.push("annotations");
        }
        if !fields.is_empty() {
            self.annotations.insert(CUT.to_owned(), fields.join(", "));
        }
    }
}

/// Cuts a text to at most `max` bytes, mark included. True when something was cut.
fn shorten(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    let end = text.floor_char_boundary(max.saturating_sub(MARK.len()));
    text.truncate(end);
    text.push_str(MARK);
    true
}

fn pairs(entries: &mut BTreeMap<String, String>, most: usize) -> bool {
    let mut cut = false;
    while entries.len() > most {
        entries.pop_last();
        cut = true;
    }
    let long: Vec<String> = entries.keys().filter(|key| key.len() > MAX_NAME).cloned().collect();
    for key in long {
        if let Some(value) = entries.remove(&key) {
            let mut shorter = key;
            cut = shorten(&mut shorter, MAX_NAME);
            entries.insert(shorter, value);
        }
    }
    for value in entries.values_mut() {
        cut |= shorten(value, MAX_VALUE);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_in_fits_after_the_cut_and_says_what_was_cut() {
        let mut alert = Alert {
            kind: "t".repeat(MAX_NAME + 1),
            description: "ä".repeat(MAX_TEXT),
            labels: (0..100).map(|n| (format!("l{n:03}"), "v".to_owned())).collect(),
            annotations: [("k".repeat(MAX_NAME + 9), "ö".repeat(MAX_VALUE))].into(),
            ..Alert::default()
        };
        alert.cut();
        assert_eq!(alert.violations(), []);
        let told = alert.annotations.get(CUT).map(String::as_str);
        assert_eq!(told, Some("type, description, labels, annotations"));
        assert!(alert.description.ends_with(MARK));
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let mut alert = Alert { kind: "slow".to_owned(), ..Alert::default() };
        let before = alert.clone();
        alert.cut();
        assert_eq!(alert, before);
    }
}

//! The key `notify.webhooks`: a list of receivers, each a table. All faults of all of them are told
//! together; what is secret stays in files, and of an address only the host is shown.

use std::path::PathBuf;

use super::keys::{Raw, kind, quoted};
use crate::{
    investigation::finding::Severity,
    nearest::nearest,
    notify::{Template, Webhook, When, address},
};

/// Settings of a receiver.
const KNOWN: [&str; 9] = [
    "name",
    "url",
    "url_file",
    "secret_file",
    "token_file",
    "ca_file",
    "template",
    "when",
    "min_severity",
];
/// Longest name.
const MOST_NAME: usize = 64;

/// The receivers of a list, or of the text of one.
pub(super) fn read(raw: Raw<'_>) -> Result<Vec<Webhook>, String> {
    let wanted = "wants a list of receivers, as [[notify.webhooks]] with name and url";
    let of_text: toml::Table;
    let list = match raw {
        Raw::Typed(value) => value,
        Raw::Words(text) => {
            of_text = format!("it = {text}").parse().map_err(|_| wanted.to_owned())?;
            of_text.get("it").ok_or(wanted)?
        }
    };
    let Some(list) = list.as_array() else { return Err(format!("{wanted}, not {}", kind(list))) };
    let (mut read, mut faults): (Vec<Webhook>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, value) in (1..).zip(list) {
        let Some(table) = value.as_table() else {
            faults.push(format!("receiver {number} is {}, not a table", kind(value)));
            continue;
        };
        let mut reading = Reading { number, table, faults: Vec::new() };
        let webhook = reading.webhook();
        if read.iter().any(|other| other.name == webhook.name) {
            reading.fault("name", &format!("{:?} is taken by another receiver", webhook.name));
        }
        faults.append(&mut reading.faults);
        read.push(webhook);
    }
    if faults.is_empty() { Ok(read) } else { Err(faults.join("; ")) }
}

struct Reading<'a> {
    number: usize,
    table: &'a toml::Table,
    faults: Vec<String>,
}

impl Reading<'_> {
    fn webhook(&mut self) -> Webhook {
        for key in self.table.keys() {
            if !KNOWN.contains(&key.as_str()) {
                let meant = nearest(key, KNOWN.iter().copied());
                let meant = meant.map(|it| format!("; did you mean {it}?")).unwrap_or_default();
                self.fault(key, &format!("is no setting of a receiver{meant}"));
            }
        }
        let path = |text: Option<String>| text.map(PathBuf::from);
        let webhook = Webhook {
            name: self.text("name").unwrap_or_default(),
            url: self.text("url"),
            url_file: path(self.text("url_file")),
            secret_file: path(self.text("secret_file")),
            token_file: path(self.text("token_file")),
            ca_file: path(self.text("ca_file")),
            template: self
                .word("template", &[("json", Template::Json), ("slack", Template::Slack)]),
            when: self
                .word("when", &[("finished", When::Finished), ("needs_person", When::NeedsPerson)]),
            min_severity: self.severity(),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if webhook.name.is_empty()
            || webhook.name.len() > MOST_NAME
            || !webhook.name.chars().all(plain)
        {
            self.fault("name", "wants up to 64 letters, digits, dashes, dots");
        }
        match (&webhook.url, &webhook.url_file) {
            (Some(url), None) => {
                if let Err(said) = address(url) {
                    self.fault("url", &said);
                }
            }
            (None, Some(_)) => {}
            _ => self.fault("url", "give either url or url_file"),
        }
        webhook
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.table.get(key)?;
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            self.fault(key, &format!("wants a text in quotes, not {}", kind(value)));
        }
        text
    }

    fn word<T: Copy + Default>(&mut self, key: &str, known: &[(&str, T)]) -> T {
        let Some(text) = self.text(key) else { return T::default() };
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        self.fault(key, &format!("{text:?} is none of {}", words.join(", ")));
        T::default()
    }

    fn severity(&mut self) -> Option<Severity> {
        let text = self.text("min_severity")?;
        let read = Severity::from_word(&text);
        if read.is_none() {
            self.fault("min_severity", &format!("{text:?} is none of P1, P2, P3, P4"));
        }
        read
    }

    fn fault(&mut self, key: &str, said: &str) {
        self.faults.push(format!("receiver {}, {key}: {said}", self.number));
    }
}

/// The receivers as TOML. Of an address only what is no secret.
pub(super) fn shown(webhooks: &[Webhook]) -> String {
    let all: Vec<String> = webhooks.iter().map(one).collect();
    format!("[{}]", all.join(", "))
}

fn one(webhook: &Webhook) -> String {
    let mut parts = vec![("name", webhook.name.clone())];
    if let Some(url) = &webhook.url {
        let host = address(url).map(|url| url.origin().ascii_serialization());
        parts.push(("url", format!("{}/…", host.unwrap_or_default())));
    }
    for (key, file) in [
        ("url_file", &webhook.url_file),
        ("secret_file", &webhook.secret_file),
        ("token_file", &webhook.token_file),
        ("ca_file", &webhook.ca_file),
    ] {
        if let Some(file) = file {
            parts.push((key, file.display().to_string()));
        }
    }
    if webhook.template == Template::Slack {
        parts.push(("template", "slack".to_owned()));
    }
    if webhook.when == When::NeedsPerson {
        parts.push(("when", "needs_person".to_owned()));
    }
    if let Some(severity) = webhook.min_severity {
        parts.push(("min_severity", severity.as_str().to_owned()));
    }
    let parts: Vec<String> =
        parts.into_iter().map(|(key, value)| format!("{key} = {}", quoted(&value))).collect();
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read_file(text: &str) -> Result<Vec<Webhook>, String> {
        let table: toml::Table = text.parse().unwrap();
        read(Raw::Typed(&table["webhooks"]))
    }

    #[test]
    fn receivers_are_read_from_a_file_and_from_a_variable() {
        let file = "[[webhooks]]\nname = \"on-call\"\nurl = \"https://a.example/T0/secret\"\n\
                    template = \"slack\"\nwhen = \"needs_person\"\nmin_severity = \"high\"\n";
        let read_one = read_file(file).unwrap();
        assert_eq!(read_one[0].min_severity, Some(Severity::P2));
        let words = "[{name = \"on-call\", url = \"https://a.example/T0/secret\", \
                     template = \"slack\", when = \"needs_person\", min_severity = \"P2\"}]";
        assert_eq!(read(Raw::Words(words)).unwrap(), read_one);
        let shown = shown(&read_one);
        assert!(!shown.contains("secret") && shown.contains("https://a.example/…"), "{shown}");
    }

    #[test]
    fn every_fault_of_every_receiver_is_told() {
        let said = read_file(
            "[[webhooks]]\nname = \"a b\"\nurl = \"http://example.com/\"\n\
             [[webhooks]]\nname = \"x\"\ntemplat = \"json\"\nwhen = \"never\"\n\
             [[webhooks]]\nname = \"x\"\nurl = \"https://a/\"\nmin_severity = 1\n",
        )
        .unwrap_err();
        for part in [
            "receiver 1, name",
            "receiver 1, url: is http to example.com",
            "receiver 2, templat: is no setting of a receiver; did you mean template?",
            "receiver 2, when: \"never\" is none of finished, needs_person",
            "receiver 2, url: give either",
            "receiver 3, min_severity: wants a text",
            "receiver 3, name: \"x\" is taken",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

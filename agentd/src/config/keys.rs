//! Every key once: its path, what it means, how it is read and shown. File, environment, flags,
//! `config show` and the reference in OPERATING.md all go through this table.

mod reading;

use std::time::Duration;

use reading::{
    address, address_or_off, duration, duration_between, file, list, number, origins, path, ranges,
    server_name, shown_duration, spelled_origins, spelled_ranges, switch, text, words,
};
pub(super) use reading::{kind, quoted};
pub use reading::{parse_duration, spelled};

use super::{Config, webhooks};
use crate::telemetry::{self, Format};

/// How variables that set keys begin.
pub const PREFIX: &str = "AGENTD__";

/// A value as it stands in a source.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    /// From a file, with its type.
    Typed(&'a toml::Value),
    /// From the environment or a flag.
    Words(&'a str),
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`.
    pub path: &'static str,
    /// Meaning, unit and bounds.
    pub meaning: &'static str,
    /// Further variables that set it, beside `AGENTD__SECTION__KEY`; that one wins.
    pub also: &'static [&'static str],
    /// Takes a value; the error says what is wanted.
    pub(super) read: fn(&mut Config, Raw<'_>) -> Result<(), String>,
    /// The value as TOML; none when it is unset.
    pub(super) show: fn(&Config) -> Option<String>,
}

/// All keys, by section.
pub static KEYS: [Key; 33] = [
    Key {
        path: "grpc.listen",
        meaning: "Address of the gRPC door, for clients and plugins; port 0 takes a free one",
        also: &[],
        read: |c, raw| address(raw).map(|v| c.grpc.listen = v),
        show: |c| Some(quoted(&c.grpc.listen.to_string())),
    },
    Key {
        path: "grpc.web_origins",
        meaning: "Pages of browsers that may ask by gRPC-Web, as origins such as \
                  [\"https://console.example\"], a list or words with commas",
        also: &[],
        read: |c, raw| origins(raw).map(|v| c.grpc.web_origins = v),
        show: |c| Some(list(&spelled_origins(&c.grpc.web_origins))),
    },
    Key {
        path: "http.listen",
        meaning: "Address of /healthz, /readyz and /metrics; \"off\" closes the door",
        also: &[],
        read: |c, raw| address_or_off(raw).map(|v| c.http.listen = v),
        show: |c| Some(quoted(&c.http.listen.map_or("off".to_owned(), |at| at.to_string()))),
    },
    Key {
        path: "data.dir",
        meaning: "Directory of journal and memory, held by one process",
        also: &["AGENTD_DATA_DIR"],
        read: |c, raw| path(raw).map(|v| c.data_dir = v),
        show: |c| Some(quoted(&c.data_dir.display().to_string())),
    },
    Key {
        path: "plugins.dir",
        meaning: "Where programs of plugins are looked for first; unset: beside agentd, then PATH",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.plugins.dir = Some(v)),
        show: |c| c.plugins.dir.as_ref().map(|dir| quoted(&dir.display().to_string())),
    },
    Key {
        path: "plugins.lease_ttl",
        meaning: "How long a plugin is believed in after a sign of life; 1s to 1h",
        also: &[],
        read: |c, raw| duration(raw, 1, 3600).map(|v| c.plugins.lease_ttl = v),
        show: |c| Some(shown_duration(c.plugins.lease_ttl)),
    },
    Key {
        path: "plugins.renew_interval",
        meaning: "How often a plugin is asked for a sign of life; 100ms to half of lease_ttl",
        also: &[],
        read: |c, raw| {
            duration_between(raw, Duration::from_millis(100), Duration::from_secs(1800))
                .map(|v| c.plugins.renew_interval = v)
        },
        show: |c| Some(shown_duration(c.plugins.renew_interval)),
    },
    Key {
        path: "plugins.accept_changes",
        meaning: "Whether a tool may change under the same version number without a person accepting it \
                  (agentd tools accept): true for those who write plugins",
        also: &[],
        read: |c, raw| switch(raw).map(|v| c.plugins.accept_changes = v),
        show: |c| Some(c.plugins.accept_changes.to_string()),
    },
    Key {
        path: "plugins.networks",
        meaning: "Where plugins may call from beside this machine, as ranges such as [\"10.0.0.0/8\"], a \
                  list or words with commas; each is dialled at the address that it calls from",
        also: &[],
        read: |c, raw| ranges(raw).map(|v| c.plugins.networks = v),
        show: |c| Some(list(&spelled_ranges(&c.plugins.networks))),
    },
    Key {
        path: "plugins.ca_file",
        meaning: "Authorities of plugins that serve TLS; needed with plugins.networks, where no plain \
                  text is allowed. Unset: plugins serve plain text",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.plugins.ca_file = Some(v)),
        show: |c| file(&c.plugins.ca_file),
    },
    Key {
        path: "plugins.cert_file",
        meaning: "Certificates that are shown to plugins that ask for one, the own one first",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.plugins.cert_file = Some(v)),
        show: |c| file(&c.plugins.cert_file),
    },
    Key {
        path: "plugins.key_file",
        meaning: "Its private key in PEM",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.plugins.key_file = Some(v)),
        show: |c| file(&c.plugins.key_file),
    },
    Key {
        path: "plugins.server_name",
        meaning: "Name that a plugin's certificate must be for, such as \"plugin-{plugin}.agentd.svc\"; \
                  unset: the host that it registers with",
        also: &[],
        read: |c, raw| server_name(raw).map(|v| c.plugins.server_name = Some(v)),
        show: |c| c.plugins.server_name.as_deref().map(quoted),
    },
    Key {
        path: "investigation.max_duration",
        meaning: "Wall time of one investigation; 1s to 1h",
        also: &[],
        read: |c, raw| duration(raw, 1, 3600).map(|v| c.investigation.max_duration = v),
        show: |c| Some(shown_duration(c.investigation.max_duration)),
    },
    Key {
        path: "investigation.max_tool_calls",
        meaning: "Tool calls of one investigation, retries included; 1 to 1000",
        also: &[],
        read: |c, raw| number(raw, 1, 1000).map(|v| c.investigation.max_tool_calls = v),
        show: |c| Some(c.investigation.max_tool_calls.to_string()),
    },
    Key {
        path: "investigation.max_rounds",
        meaning: "Rounds of asking and weighing; 1 to 50",
        also: &[],
        read: |c, raw| number(raw, 1, 50).map(|v| c.investigation.max_rounds = v),
        show: |c| Some(c.investigation.max_rounds.to_string()),
    },
    Key {
        path: "investigation.concurrent",
        meaning: "Investigations worked on at once, further ones wait; 1 to 1000",
        also: &[],
        read: |c, raw| number(raw, 1, 1000).map(|v| c.investigation.concurrent = v),
        show: |c| Some(c.investigation.concurrent.to_string()),
    },
    Key {
        path: "investigation.parallel_calls",
        meaning: "Tool calls in flight at once within one investigation; 1 to 64",
        also: &[],
        read: |c, raw| number(raw, 1, 64).map(|v| c.investigation.parallel_calls = v),
        show: |c| Some(c.investigation.parallel_calls.to_string()),
    },
    Key {
        path: "investigation.causes_dir",
        meaning: "Directory of your own causes (*.yaml) and signals (signals.yaml), which add to the \
                  catalogue or replace what has the same id; unset: the catalogue alone",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.investigation.causes_dir = Some(v)),
        show: |c| c.investigation.causes_dir.as_ref().map(|d| quoted(&d.display().to_string())),
    },
    Key {
        path: "memory.notes_ttl",
        meaning: "How long a short note on an ended investigation is told; 1s to 30 days (720h)",
        also: &[],
        read: |c, raw| duration(raw, 1, 30 * 24 * 3600).map(|v| c.memory.notes_ttl = v),
        show: |c| Some(shown_duration(c.memory.notes_ttl)),
    },
    Key {
        path: "intake.attach_window",
        meaning: "How long after its end an investigation is joined by alerts of the same trouble, \
                  unless that was over in between; 0s to 24h",
        also: &[],
        read: |c, raw| duration(raw, 0, 24 * 3600).map(|v| c.intake.attach_window = v),
        show: |c| Some(shown_duration(c.intake.attach_window)),
    },
    Key {
        path: "intake.max_open",
        meaning: "Investigations at work or waiting, beyond which alerts begin no further one and \
                  their sender is asked to come again; 1 to 10000",
        also: &[],
        read: |c, raw| number(raw, 1, 10_000).map(|v| c.intake.max_open = v),
        show: |c| Some(c.intake.max_open.to_string()),
    },
    Key {
        path: "intake.ignored_types",
        meaning: "Types of alert that are never investigated; a list, or words with commas",
        also: &[],
        read: |c, raw| words(raw).map(|v| c.intake.ignored_types = v),
        show: |c| Some(list(&c.intake.ignored_types)),
    },
    Key {
        path: "notify.webhooks",
        meaning: "Receivers that are told when an investigation ends, as [[notify.webhooks]] with name, \
                  url or url_file, secret_file, token_file, ca_file, template (json, slack), \
                  when (finished, needs_person), min_severity",
        also: &[],
        read: |c, raw| webhooks::read(raw).map(|v| c.webhooks = v),
        show: |c| Some(webhooks::shown(&c.webhooks)),
    },
    Key {
        path: "tls.cert_file",
        meaning: "Certificates of the doors in PEM, the own one first; read again when they change. \
                  Unset: plain text",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.tls.cert_file = Some(v)),
        show: |c| file(&c.tls.cert_file),
    },
    Key {
        path: "tls.key_file",
        meaning: "Its private key in PEM",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.tls.key_file = Some(v)),
        show: |c| file(&c.tls.key_file),
    },
    Key {
        path: "tls.client_ca_file",
        meaning: "Authorities of client certificates, asked of everybody at the gRPC door; unset: none",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.tls.client_ca_file = Some(v)),
        show: |c| file(&c.tls.client_ca_file),
    },
    Key {
        path: "tls.http_client_ca_file",
        meaning: "The same at the HTTP door, probes and scrapers included; unset: none",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.tls.http_client_ca_file = Some(v)),
        show: |c| file(&c.tls.http_client_ca_file),
    },
    Key {
        path: "tls.insecure_allow_plaintext",
        meaning: "Serves plain text off the loopback, as where a mesh encrypts",
        also: &[],
        read: |c, raw| switch(raw).map(|v| c.tls.insecure_allow_plaintext = v),
        show: |c| Some(c.tls.insecure_allow_plaintext.to_string()),
    },
    Key {
        path: "auth.tokens_file",
        meaning: "File of the SHA-256 of bearer tokens: caller, plugin or webhook, a name, the digest; \
                  read again when it changes. Unset: doors on the loopback are open",
        also: &[],
        read: |c, raw| path(raw).map(|v| c.auth.tokens_file = Some(v)),
        show: |c| file(&c.auth.tokens_file),
    },
    Key {
        path: "auth.insecure_allow_anonymous",
        meaning: "Serves everybody off the loopback without asking who",
        also: &[],
        read: |c, raw| switch(raw).map(|v| c.auth.insecure_allow_anonymous = v),
        show: |c| Some(c.auth.insecure_allow_anonymous.to_string()),
    },
    Key {
        path: "log.format",
        meaning: "Form of log lines on stderr: \"text\" or \"json\"",
        also: &[],
        read: |c, raw| {
            let word = text(raw)?;
            let wanted = || format!("{word:?} is none of {}", Format::WORDS.join(", "));
            c.log.format = Format::from_word(&word).ok_or_else(wanted)?;
            Ok(())
        },
        show: |c| Some(quoted(c.log.format.as_str())),
    },
    Key {
        path: "log.level",
        meaning: "Least level of log lines, or directives such as \"agentd=debug,info\"",
        also: &["RUST_LOG"],
        read: |c, raw| {
            let word = text(raw)?;
            telemetry::check_level(&word).map_err(|_| {
                format!("{word:?} is no level (error, warn, info, debug, trace) and no directives")
            })?;
            c.log.level = word;
            Ok(())
        },
        show: |c| Some(quoted(&c.log.level)),
    },
];

// === impl Key ===

impl Key {
    /// The variable that sets it: `AGENTD__SECTION__KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', "__").to_uppercase())
    }

    /// Its section and its name therein.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }

    /// Its value in `config` as TOML; none when it is unset.
    #[must_use]
    pub fn shown(&self, config: &Config) -> Option<String> {
        (self.show)(config)
    }
}

/// The key at a path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        let config = Config::with_data_dir(PathBuf::from("C:\\data \"x\""));
        for key in &KEYS {
            let Some(shown) = key.shown(&config) else { continue };
            let table: toml::Table = format!("it = {shown}").parse().unwrap();
            let mut again = Config::with_data_dir(PathBuf::from("elsewhere"));
            (key.read)(&mut again, Raw::Typed(table.get("it").unwrap())).unwrap();
            assert_eq!(key.shown(&again), Some(shown), "{}", key.path);
        }
    }

    #[test]
    fn paths_and_variables_are_told_apart() {
        let mut names: Vec<String> = KEYS.iter().map(Key::variable).collect();
        names.extend(KEYS.iter().flat_map(|key| key.also).map(|name| (*name).to_owned()));
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
        let lease = find("plugins.lease_ttl").unwrap();
        assert_eq!(lease.variable(), "AGENTD__PLUGINS__LEASE_TTL");
    }

    #[test]
    fn durations_have_a_unit_and_no_sign() {
        for (text, seconds) in [
            ("30s", Some(30.0)),
            ("5m", Some(300.0)),
            ("1h 30m", Some(5400.0)),
            ("250ms", Some(0.25)),
            ("30", None),
            ("-5s", None),
            ("soon", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_secs_f64()), seconds, "{text}");
        }
    }
}

//! Which store of logs is meant, as arguments of the command line and variables of the environment.

use std::path::PathBuf;

use agent_sdk::Failure;
use plugin_http::Source;

/// A Loki, for the words of failures.
pub(crate) const LOKI: Source = Source {
    title: "Loki",
    flag: "loki",
    code: "LOKI",
    api: "/loki/api/v1",
    // Its limits are its own.
    patience: "",
};

/// An Elasticsearch, for the words of failures.
pub(crate) const ELASTICSEARCH: Source = Source {
    title: "Elasticsearch",
    flag: "elasticsearch",
    code: "ELASTICSEARCH",
    api: "",
    patience: "",
};

/// Where agents write by themselves: Elastic's own, Filebeat, Fluent Bit, and what imitates Logstash.
const INDEX: &str = "logs-*,filebeat-*,fluent-bit*,logstash-*";

plugin_http::flags!(
    /// Which Loki is meant and how to be let in.
    Loki,
    LOKI,
    "loki",
    "LOKI",
    "Address of a Loki that keeps logs of containers: asked for what the API server has no more"
);

plugin_http::flags!(
    /// Which Elasticsearch is meant and how to be let in.
    Elasticsearch,
    ELASTICSEARCH,
    "elasticsearch",
    "ELASTICSEARCH",
    "Address of an Elasticsearch or OpenSearch that keeps logs of containers: asked for what the \
     API server has no more"
);

/// Which store is meant.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// A Loki.
    #[command(flatten)]
    pub loki: Loki,
    /// An Elasticsearch.
    #[command(flatten)]
    pub elasticsearch: Elasticsearch,
    /// File with an API key for Elasticsearch, encoded as it was given out
    #[arg(long, value_name = "FILE", env = "ELASTICSEARCH_API_KEY_FILE")]
    pub elasticsearch_api_key_file: Option<PathBuf>,
    /// Indices and data streams that hold logs; logs-*,filebeat-*,fluent-bit*,logstash-* when not
    /// said
    #[arg(long, value_name = "PATTERN", env = "ELASTICSEARCH_INDEX")]
    pub elasticsearch_index: Option<String>,
}

// === impl Settings ===

impl Settings {
    pub(super) fn elasticsearch(&self) -> plugin_http::Settings {
        let api_key_file = self.elasticsearch_api_key_file.clone();
        plugin_http::Settings { api_key_file, ..self.elasticsearch.settings() }
    }

    /// The pattern of indices, which becomes part of a path.
    pub(super) fn index(&self) -> Result<String, Failure> {
        let given = self.elasticsearch_index.as_deref().map(str::trim);
        let index = given.filter(|index| !index.is_empty()).unwrap_or(INDEX);
        // A leading underscore or dot names what is not an index: `_all`, `_security`, `..`.
        let is_one = |part: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*:@".contains(c);
            !part.is_empty() && !part.starts_with(['_', '.']) && part.chars().all(fits)
        };
        if index.split(',').all(is_one) {
            return Ok(index.to_owned());
        }
        Err(ELASTICSEARCH.config("--elasticsearch-index is no list of names of indices"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_pattern_of_indices_is_names_only() {
        let of = |index: &str| Settings {
            elasticsearch_index: Some(index.to_owned()),
            ..Settings::default()
        };
        assert_eq!(of(" ").index().unwrap(), INDEX);
        assert_eq!(of("far:logs-*,mine").index().unwrap(), "far:logs-*,mine");
        for bad in ["../_security", "a/_delete_by_query", "a,,b", "a?x=1", "_all", "a b"] {
            assert!(of(bad).index().is_err(), "{bad}");
        }
    }
}

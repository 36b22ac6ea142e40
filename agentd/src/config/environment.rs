//! The environment of the process, read once at the start; everybody else is given this value.

use std::{collections::BTreeMap, path::PathBuf};

/// Name of the variable with the configuration file.
pub const CONFIG_FILE: &str = "AGENTD_CONFIG";
/// Name of the variable with the daemon that clients talk to.
pub const URL: &str = "AGENTD_URL";
/// The daemon that clients talk to when nothing is said.
const DEFAULT_URL: &str = "http://127.0.0.1:50051";

/// Variables that may matter. An empty value counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

// === impl Environment ===

impl Environment {
    /// That of this process. Variables that are no text are left out.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, unless it is unset or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables whose name begins like this, in order of name.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .iter()
            .filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Where the daemon keeps its data when nothing is said: the state directory of the person, so
    /// that a second run from another folder remembers the first.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        if let Some(state) = self.get("XDG_STATE_HOME") {
            return PathBuf::from(state).join("agentd");
        }
        match self.get("HOME").or_else(|| self.get("USERPROFILE")) {
            Some(home) => PathBuf::from(home).join(".local/state/agentd"),
            None => PathBuf::from("agentd-data"),
        }
    }

    /// The daemon that clients talk to when no flag says another.
    #[must_use]
    pub fn url(&self) -> &str {
        self.get(URL).unwrap_or(DEFAULT_URL)
    }

    /// Whether output should stay without colours and bold letters (see no-color.org).
    #[must_use]
    pub fn plain(&self) -> bool {
        self.get("NO_COLOR").is_some() || self.get("TERM") == Some("dumb")
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_kept_in_the_state_directory() {
        for (set, expected) in [
            (vec![("XDG_STATE_HOME", "/s"), ("HOME", "/h")], "/s/agentd"),
            (vec![("XDG_STATE_HOME", ""), ("HOME", "/h")], "/h/.local/state/agentd"),
            (vec![], "agentd-data"),
        ] {
            let environment: Environment = set.into_iter().collect();
            assert_eq!(environment.state_dir(), PathBuf::from(expected));
        }
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        let environment: Environment = [(URL, ""), ("NO_COLOR", "")].into_iter().collect();
        assert_eq!(environment.url(), DEFAULT_URL);
        assert!(!environment.plain());
        assert_eq!(environment.with_prefix("AGENTD").count(), 0);
    }
}

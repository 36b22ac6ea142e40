//! The configuration for people: as TOML with where each value was set, and as the reference table.

use std::fmt::Write as _;

use super::{
    Config, Environment, Loaded, Origin,
    keys::{KEYS, Key},
};

/// The values in force as a TOML file that would set them, with where each comes from.
#[must_use]
pub fn toml(loaded: &Loaded) -> String {
    let mut out = String::new();
    let mut section = "";
    for key in &KEYS {
        let (of, name) = key.parts();
        if of != section {
            let _ = writeln!(out, "{}[{of}]", if section.is_empty() { "" } else { "\n" });
            section = of;
        }
        let origin = loaded.origins.get(key.path).unwrap_or(&Origin::Default);
        let set = match key.shown(&loaded.config) {
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} is unset"),
        };
        let _ = writeln!(out, "{set:<44}  # {origin}");
    }
    out
}

/// The reference of all keys as a Markdown table.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| key | default | meaning | variable |\n|---|---|---|---|\n");
    for key in &KEYS {
        let mut variables = vec![key.variable()];
        variables.extend(key.also.iter().map(|name| (*name).to_owned()));
        let variables: Vec<String> = variables.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            key.path,
            default(key),
            key.meaning,
            variables.join(", ")
        );
    }
    out
}

/// What holds when nothing is set.
#[must_use]
pub fn defaults(environment: &Environment) -> Loaded {
    let config = Config::with_data_dir(environment.state_dir());
    Loaded { config, origins: std::collections::BTreeMap::new() }
}

fn default(key: &Key) -> String {
    if key.path == "data.dir" {
        // Differs from machine to machine.
        return "`$XDG_STATE_HOME/agentd`, else `~/.local/state/agentd`".to_owned();
    }
    let shown = key.shown(&Config::with_data_dir(std::path::PathBuf::new()));
    shown.map_or("unset".to_owned(), |value| format!("`{value}`"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::{Sources, load::load};

    #[test]
    fn what_is_shown_is_a_file_that_sets_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let environment: Environment = [
            ("AGENTD__PLUGINS__LEASE_TTL", "90s"),
            ("AGENTD_DATA_DIR", "/data"),
            ("AGENTD__HTTP__LISTEN", "off"),
        ]
        .into_iter()
        .collect();
        let sources = Sources { environment, ..Sources::default() };
        let first = load(&sources).unwrap();
        let file = dir.path().join("agentd.toml");
        std::fs::write(&file, toml(&first)).unwrap();
        let again = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        assert_eq!(again.config, first.config);
    }

    #[test]
    fn each_value_is_shown_with_where_it_comes_from() {
        let environment: Environment =
            [("RUST_LOG", "debug"), ("HOME", "/h")].into_iter().collect();
        let loaded = load(&Sources { environment, ..Sources::default() }).unwrap();
        let shown = toml(&loaded);
        let line = |of: &str| shown.lines().find(|l| l.starts_with(of)).unwrap().to_owned();
        assert!(line("level").ends_with("# RUST_LOG"), "{shown}");
        assert!(line("max_rounds").ends_with("# default"), "{shown}");
        assert!(shown.contains("# dir is unset"), "{shown}");
    }

    #[test]
    fn the_reference_has_every_key_and_the_rule_for_where_data_is_kept() {
        let table = markdown();
        for key in &KEYS {
            assert!(table.contains(&format!("| `{}` |", key.path)), "{}", key.path);
        }
        assert_eq!(table.lines().count(), 2 + KEYS.len());
        assert!(table.contains("| `data.dir` | `$XDG_STATE_HOME/agentd`, else"), "{table}");
    }
}

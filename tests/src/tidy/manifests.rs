//! Who may depend on whom, by the manifests; and rules on texts that are not Rust alone: machine
//! paths, metrics that nobody explains, tool names where none may stand.

use std::collections::BTreeSet;

use super::{
    Fault,
    rust::{blanked, production},
    tree::File,
};

/// Our own crates that each crate may depend on. The tests may use everything.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("proto/Cargo.toml", &[]),
    ("sdk/redact/Cargo.toml", &[]),
    ("sdk/Cargo.toml", &["agent-proto", "agent-redact"]),
    ("sdk/client/Cargo.toml", &["agent-proto"]),
    // The wire alone: a fault that the SDK or the daemon shares with a plugin must not hide in it.
    ("sdk/check/Cargo.toml", &["agent-proto"]),
    ("agentd/Cargo.toml", &["agent-proto", "agent-redact"]),
    // Its own kit, in its own tests.
    ("tool-plugins/cluster/Cargo.toml", &["agent-sdk", "plugin-cluster"]),
    ("tool-plugins/http/Cargo.toml", &["agent-sdk"]),
    ("tool-plugins/pods/Cargo.toml", &["agent-sdk", "plugin-cluster"]),
    ("tool-plugins/events/Cargo.toml", &["agent-sdk", "plugin-cluster"]),
    ("tool-plugins/logs/Cargo.toml", &["agent-sdk", "plugin-cluster", "plugin-http"]),
    ("tool-plugins/metrics/Cargo.toml", &["agent-sdk", "plugin-cluster", "plugin-http"]),
    (
        "tests/Cargo.toml",
        &[
            "agent-proto",
            "agent-sdk",
            "agentd",
            "plugin-cluster",
            "plugin-pods",
            "plugin-events",
            "plugin-logs",
            "plugin-metrics",
        ],
    ),
];

/// Beginnings of paths that exist on one machine only.
const MACHINES: [&str; 4] = ["/root/", "/home/", "/Users/", "/mnt/"];

/// Crates of ours that a manifest may not depend on, or a manifest that is not in the table.
#[must_use]
pub fn dependency_faults(manifest: &File) -> Vec<Fault> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(path, _)| *path == manifest.path) else {
        return vec![format!("{}: is not in tidy's table of crates", manifest.path)];
    };
    let mut faults = Vec::new();
    let mut section = "";
    for line in manifest.text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        if !section.contains("dependencies") {
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let ours = name.starts_with("agent-") || name.starts_with("plugin-") || name == "agentd";
        if ours && !allowed.contains(&name) {
            faults.push(format!("{}: may not depend on {name}", manifest.path));
        }
    }
    faults
}

/// Paths that are true on one machine only.
#[must_use]
pub fn machine_faults(file: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for path in MACHINES {
            let stands = line.match_indices(path).any(|(at, _)| {
                let before = line.get(..at).and_then(|text| text.chars().next_back());
                !before.is_some_and(|c| c.is_alphanumeric() || "._-}~".contains(c))
            });
            if stands {
                faults.push(format!("{}:{}: names the path {path}…", file.path, number + 1));
            }
        }
    }
    faults
}

/// Names of tools that stand in code which must not know any.
#[must_use]
pub fn tool_name_faults(file: &File, tools: &BTreeSet<String>) -> Vec<Fault> {
    let production = production(&file.text);
    tools
        .iter()
        .filter(|tool| production.contains(tool.as_str()))
        .map(|tool| format!("{}: names the tool {tool}; plan by what tools declare", file.path))
        .collect()
}

/// Names of the tools that a plugin's sources declare: `Spec::read_only("name", …)`, perhaps
/// through a function `spec`.
#[must_use]
pub fn tools_declared(file: &File) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for call in ["Spec::read_only(", " spec("] {
        for part in file.text.split(call).skip(1) {
            let name = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            // Shorter ones are words of the language as well.
            found.extend(name.filter(|name| name.len() > 5).map(str::to_owned));
        }
    }
    found
}

/// Metrics whose name stands nowhere in `documents`. A metric is named by a literal that begins
/// with `agentd_`.
#[must_use]
pub fn metric_faults(file: &File, documents: &str) -> Vec<Fault> {
    // Literals are wanted here, so only test-only items are taken out, by what is left blanked.
    let kept = production(&file.text);
    let mut faults = Vec::new();
    for literal in kept.split("\"agentd_").skip(1) {
        let rest = literal.split(|c: char| !c.is_ascii_lowercase() && c != '_').next();
        let name = format!("agentd_{}", rest.unwrap_or_default());
        if !documents.contains(&name) {
            faults.push(format!("{}: {name} is explained in no document", file.path));
        }
    }
    faults
}

/// Whether a file has code at all, comments and literals left out.
#[must_use]
pub fn has_code(file: &File) -> bool {
    !blanked(&file.text).trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_forbidden_dependency_is_found_however_it_is_written() {
        for (path, text, expected) in [
            ("agentd/Cargo.toml", "[dependencies]\nagent-sdk.workspace = true", 1),
            ("agentd/Cargo.toml", "[dev-dependencies]\nagent-sdk = { path = \"x\" }", 1),
            ("sdk/Cargo.toml", "[dependencies]\nagentd.workspace = true", 1),
            ("sdk/check/Cargo.toml", "[dependencies]\nagent-sdk.workspace = true", 1),
            ("tool-plugins/pods/Cargo.toml", "[dependencies]\nagentd = \"1\"", 1),
            ("tool-plugins/pods/Cargo.toml", "[dependencies]\nagent-sdk = \"1\"", 0),
            ("agentd/Cargo.toml", "[package]\nname = \"agentd\"\n[dependencies]\ntonic = \"1\"", 0),
            ("newcomer/Cargo.toml", "", 1),
        ] {
            assert_eq!(dependency_faults(&file(path, text)).len(), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for (text, expected) in [
            ("see /mnt/main/x", 1),
            ("cd \"/root/x\"", 1),
            ("https://example.com/home/x and ../home/x", 0),
            ("network/home/x", 0),
        ] {
            assert_eq!(machine_faults(&file("a.md", text)).len(), expected, "{text}");
        }
    }

    #[test]
    fn a_tool_name_in_the_planner_is_found() {
        let plugin =
            file("p.rs", "Spec::read_only(\n    \"check_pods\", \"x\") Spec::read_only(\"me\")");
        let tools = tools_declared(&plugin);
        assert_eq!(tools.iter().collect::<Vec<_>>(), ["check_pods"]);
        let planner = file("planner.rs", "if tool == \"pods.check_pods\" {}");
        assert_eq!(tool_name_faults(&planner, &tools).len(), 1);
        assert_eq!(tool_name_faults(&file("planner.rs", "check()"), &tools).len(), 0);
    }

    #[test]
    fn a_metric_without_a_word_of_explanation_is_found() {
        let metrics =
            file("metrics.rs", "counter(\"agentd_calls_total\"); gauge(\"agentd_depth\");");
        assert_eq!(metric_faults(&metrics, "agentd_depth: how deep").len(), 1);
        assert_eq!(metric_faults(&metrics, "agentd_depth agentd_calls_total").len(), 0);
    }
}

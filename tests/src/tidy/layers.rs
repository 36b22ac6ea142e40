//! Imports of the daemon go down only, and each outside library has its doors. The map of the
//! layers is the one in ARCHITECTURE.md.

use std::collections::BTreeSet;

use super::{
    Fault,
    rust::{blanked, production},
    tree::File,
};

/// Layers from the words up to the roof, by top module of `agentd/src`.
const LAYERS: [&[&str]; 6] = [
    // `eval` is pure and hangs beside the words: it scores answers.
    &["alert", "fact", "investigation", "nearest", "tool", "eval"],
    &["store", "journal", "audit", "redact", "guard", "llm", "telemetry", "transport"],
    &["plugin", "memory", "planner", "reasoner"],
    &["engine"],
    &["rpc", "http", "intake", "notify", "answers"],
    &["app", "config", "cli", "fleet", "main", "lib"],
];

/// A library and the modules that may name it.
struct Door {
    library: &'static str,
    places: &'static [&'static str],
}

const DOORS: [Door; 11] = [
    Door { library: "tonic", places: &["rpc", "plugin", "app", "cli"] },
    Door { library: "tonic_health", places: &["rpc", "plugin", "app", "cli"] },
    Door { library: "agent_proto", places: &["rpc", "plugin", "app", "cli"] },
    Door { library: "axum", places: &["http", "intake"] },
    Door { library: "rustls", places: &["transport", "notify"] },
    Door { library: "tokio_rustls", places: &["transport"] },
    Door { library: "redb", places: &["store"] },
    Door { library: "sled", places: &["store/sled"] },
    Door { library: "tokio_postgres", places: &["store"] },
    Door { library: "redis", places: &["store"] },
    Door { library: "reqwest", places: &["llm", "notify"] },
];

/// Where the environment may be read.
const ENVIRONMENT: [&str; 2] = ["config", "sdk/src/options"];

/// Faults of one file below `agentd/src`: imports that go up, and libraries that do not belong.
#[must_use]
pub fn faults(file: &File) -> Vec<Fault> {
    let Some(module) = module_of(&file.path) else { return Vec::new() };
    let text = production(&blanked(&file.text));
    let mut faults = upwards(file, &module, &text);
    for door in &DOORS {
        if names_library(&text, door.library) && !within(&module, door.places) {
            faults.push(format!(
                "{}: names {}, which belongs in {} only",
                file.path,
                door.library,
                door.places.join(", ")
            ));
        }
    }
    faults
}

/// Places of any crate that read the environment and are no configuration.
#[must_use]
pub fn environment_faults(file: &File) -> Vec<Fault> {
    let text = production(&blanked(&file.text));
    let reads = ["env::var", "env::vars", "env::var_os", "env::vars_os", "env::set_var"];
    let module = module_of(&file.path).unwrap_or_else(|| file.path.trim_end_matches(".rs").into());
    let read = reads.iter().any(|call| text.contains(call));
    if read && !within(&module, &ENVIRONMENT) {
        return vec![format!("{}: reads the environment, which only config may", file.path)];
    }
    Vec::new()
}

fn upwards(file: &File, module: &str, text: &str) -> Vec<Fault> {
    let top = module.split('/').next().unwrap_or_default();
    let Some(own) = layer(top) else {
        return vec![format!("{}: module {top} has no layer; give it one in tidy", file.path)];
    };
    let mut faults = Vec::new();
    for used in used_modules(module, text) {
        match layer(&used) {
            Some(other) if other > own => faults.push(format!(
                "{}: {top} (layer {own}) uses {used} (layer {other}); imports go down only",
                file.path
            )),
            Some(_) | None => {}
        }
    }
    faults
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `agentd/src/plugin/registry.rs` is the module `plugin/registry`.
fn module_of(path: &str) -> Option<String> {
    Some(path.strip_prefix("agentd/src/")?.strip_suffix(".rs")?.to_owned())
}

/// Whether `module` is one of `places` or below one.
fn within(module: &str, places: &[&str]) -> bool {
    places.iter().any(|place| {
        module == *place || module.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
    })
}

/// Whether blanked code names a library at the start of a path.
fn names_library(text: &str, library: &str) -> bool {
    let path = format!("{library}::");
    text.match_indices(&path).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let inside = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        // `::tonic::…` begins at the root, too.
        before.ends_with(" ::") || (!inside && !in_group(before))
    })
}

/// Whether what follows `before` stands in the braces of a `use a::{…}`.
fn in_group(before: &str) -> bool {
    let statement = before.rsplit(';').next().unwrap_or_default();
    statement
        .rsplit_once("use ")
        .is_some_and(|(_, path)| path.contains("::{") && !path.starts_with('{'))
}

/// Top modules that blanked production code of `module` names by `crate::` or by `super::` up to
/// the root.
fn used_modules(module: &str, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, path) in text.match_indices("crate::") {
        heads(text.get(at + path.len()..).unwrap_or_default(), &mut found);
    }
    let root = "super::".repeat(module.split('/').count());
    for (at, path) in text.match_indices(&root) {
        let longer = text.get(..at).is_some_and(|before| before.ends_with("super::"));
        if !longer {
            heads(text.get(at + path.len()..).unwrap_or_default(), &mut found);
        }
    }
    found
}

/// First names of the path or the `{…}` group at the beginning of `text`.
fn heads(text: &str, found: &mut BTreeSet<String>) {
    let Some(group) = text.strip_prefix('{') else {
        found.extend(word(text));
        return;
    };
    let (mut depth, mut begins) = (0_usize, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !letter.is_whitespace() => {
                found.extend(group.get(at..).and_then(word));
                begins = false;
            }
            _ => {}
        }
    }
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = text.get(..end)?;
    // Types and constants of the root are no modules.
    word.starts_with(|c: char| c.is_ascii_lowercase()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_import_that_goes_up_is_found_however_it_is_written() {
        for text in [
            "use crate::engine::Engine;",
            "use crate::{alert::Alert, engine::{Engine, Config}};",
            "fn f() { crate::rpc::serve(); }",
            "use super::super::engine::Engine;",
            "use crate::{\n    fact,\n    app::App,\n};",
        ] {
            let found = faults(&file("agentd/src/planner/rules.rs", text));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
        }
    }

    #[test]
    fn what_goes_down_or_stays_is_fine() {
        for text in [
            "use crate::{alert::Alert, guard::Cleared, reasoner::Reasoning};",
            "use super::question;",
            "// use crate::engine::Engine;",
            "const TEXT: &str = \"crate::engine\";",
            "#[cfg(test)]\nmod tests { use crate::engine::Engine; }",
        ] {
            assert_eq!(faults(&file("agentd/src/planner/rules.rs", text)), Vec::<Fault>::new());
        }
    }

    #[test]
    fn a_library_outside_its_door_is_found() {
        for (path, text, expected) in [
            ("agentd/src/engine.rs", "use tonic::Status;", 1),
            ("agentd/src/fleet.rs", "use agent_proto::v1;", 1),
            ("agentd/src/rpc/status.rs", "use tonic::Status; use axum::Router;", 1),
            ("agentd/src/rpc/status.rs", "use tonic::Status;", 0),
            ("agentd/src/http.rs", "use axum::Router;", 0),
            ("agentd/src/store/redb.rs", "let db: sled::Db;", 1),
            ("agentd/src/store/sled.rs", "let db: sled::Db;", 0),
            ("agentd/src/memory/keeper.rs", "use redb::Database; use crate::store::redb::X;", 1),
            ("agentd/src/memory/keeper.rs", "use crate::{\n store::{Error, sled::Memory},\n};", 0),
            ("agentd/src/cli/watch.rs", "fn f() -> reqwest::Client {}", 1),
            ("agentd/src/newcomer.rs", "", 1),
        ] {
            assert_eq!(faults(&file(path, text)).len(), expected, "{path}: {text}");
        }
    }

    #[test]
    fn the_environment_is_read_in_config_only() {
        for (path, expected) in [
            ("agentd/src/engine.rs", 1),
            ("agentd/src/config/environment.rs", 0),
            ("sdk/src/options.rs", 0),
            ("tool-plugins/pods/src/main.rs", 1),
        ] {
            let found = environment_faults(&file(path, "let v = std::env::var(NAME);"));
            assert_eq!(found.len(), expected, "{path}");
        }
    }
}

//! The house rules, run over the workspace. The rules themselves, and that each can fail, are in
//! `agent_tests::tidy`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test: what cannot be read is a failed test"
)]

use std::collections::BTreeSet;

use agentd::reasoner::catalogue::markdown;

use agent_tests::tidy::{
    Fault, incidents, layers, manifests, names,
    rust::{blanked, modules_for_tests},
    tree::{self, File},
};

/// Folders with Rust of ours.
const CRATES: [&str; 5] = ["proto", "sdk", "agentd", "tool-plugins", "tests"];

fn rust_files() -> Vec<File> {
    CRATES.iter().flat_map(|folder| tree::rust(folder).unwrap()).collect()
}

fn none(faults: Vec<Fault>) {
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

/// Paths of files that only tests are built from: `tests/` of a crate, and modules declared under
/// `cfg(test)` with all below them.
fn only_for_tests(files: &[File]) -> BTreeSet<String> {
    let mut roots = Vec::new();
    for file in files {
        let dir = module_dir(&file.path);
        for module in modules_for_tests(&blanked(&file.text)) {
            roots.push(format!("{dir}/{module}.rs"));
            roots.push(format!("{dir}/{module}/"));
        }
    }
    let within = |path: &str| {
        path.contains("/tests/")
            || roots
                .iter()
                .any(|root| path == root || root.ends_with('/') && path.starts_with(root))
    };
    files.iter().map(|file| file.path.clone()).filter(|path| within(path)).collect()
}

/// Where the submodules of a file stand: beside `lib.rs` and `main.rs`, else in its folder.
fn module_dir(path: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    match stem.rsplit_once('/') {
        Some((dir, "lib" | "main")) => dir.to_owned(),
        _ => stem.to_owned(),
    }
}

#[test]
fn imports_of_the_daemon_go_down_only_and_libraries_stay_behind_their_doors() {
    let files = tree::rust("agentd/src").unwrap();
    let tests = only_for_tests(&files);
    let production = files.iter().filter(|file| !tests.contains(&file.path));
    none(production.flat_map(layers::faults).collect());
}

#[test]
fn the_environment_is_read_in_one_place_of_each_program() {
    let mut files = tree::rust("agentd/src").unwrap();
    files.extend(tree::rust("sdk/src").unwrap());
    files.extend(tree::rust("sdk/client/src").unwrap());
    files.extend(tree::rust("tool-plugins").unwrap());
    let tests = only_for_tests(&files);
    let production = files.iter().filter(|file| !tests.contains(&file.path));
    none(production.flat_map(layers::environment_faults).collect());
}

#[test]
fn files_are_headed_short_and_well_named() {
    let files = rust_files();
    let tests = only_for_tests(&files);
    none(files.iter().flat_map(|file| names::faults(file, tests.contains(&file.path))).collect());
}

#[test]
fn crates_depend_on_what_they_may() {
    let mut files: Vec<File> = CRATES.iter().flat_map(|f| tree::files(f).unwrap()).collect();
    files.retain(|file| file.path.ends_with("/Cargo.toml"));
    assert!(files.len() >= 10, "only {} manifests were found", files.len());
    none(files.iter().flat_map(manifests::dependency_faults).collect());
}

#[test]
fn planner_and_reasoner_know_no_tool_by_name() {
    let tools: BTreeSet<String> =
        tree::rust("tool-plugins").unwrap().iter().flat_map(manifests::tools_declared).collect();
    assert!(tools.len() >= 8, "only these tools were found: {tools:?}");
    let mut files = tree::rust("agentd/src").unwrap();
    let tests = only_for_tests(&files);
    files.retain(|file| {
        let below = file.path.strip_prefix("agentd/src/").unwrap_or_default();
        let part = below.split(['/', '.']).next().unwrap_or_default();
        ["planner", "reasoner", "engine", "memory"].contains(&part) && !tests.contains(&file.path)
    });
    assert!(files.len() > 10, "only {} files were looked at", files.len());
    none(files.iter().flat_map(|file| manifests::tool_name_faults(file, &tools)).collect());
}

#[test]
fn no_name_of_a_recorded_incident_stands_in_code_or_catalogues() {
    let mut recorded = tree::files("agentd/incidents").unwrap();
    recorded.extend(tree::files("tests/scenarios").unwrap());
    let known: BTreeSet<String> = recorded.iter().flat_map(incidents::names).collect();
    assert!(known.len() > 500, "only {} names were found", known.len());
    let mut code = tree::files("agentd/catalogue").unwrap();
    for folder in ["agentd/src", "tool-plugins", "sdk/src", "sdk/redact/src"] {
        code.extend(tree::files(folder).unwrap());
    }
    let tests = only_for_tests(&code);
    code.retain(|file| !tests.contains(&file.path));
    assert!(code.len() > 150, "only {} files were looked at", code.len());
    none(code.iter().flat_map(|file| incidents::faults(file, &known)).collect());
}

#[test]
fn every_metric_is_explained_in_a_document() {
    let documents: String =
        ["README.md", "OPERATING.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(read).concat();
    let files = tree::rust("agentd/src").unwrap();
    let telemetry = files.iter().filter(|file| file.path.contains("/telemetry"));
    none(telemetry.flat_map(|file| manifests::metric_faults(file, &documents)).collect());
}

#[test]
fn no_path_of_one_machine_stands_in_the_project() {
    let files = tree::files("").unwrap();
    let recorded = ["tests/scenarios/", "agentd/incidents/"];
    // The rule's own table has to name them.
    let rule = "tests/src/tidy/manifests.rs";
    let looked = files
        .iter()
        .filter(|file| !recorded.iter().any(|r| file.path.starts_with(r)) && file.path != rule);
    none(looked.flat_map(manifests::machine_faults).collect());
}

fn read(name: &str) -> String {
    std::fs::read_to_string(tree::root().join(name)).unwrap_or_default()
}

#[test]
fn the_reference_of_signals_and_causes_is_what_the_catalogues_say() {
    let words = agentd::reasoner::catalogue::Catalogue::embedded().unwrap();
    let (signals, causes) = (markdown::signals(&words), markdown::causes(&words));
    let kept = std::fs::read_to_string(tree::root().join("CATALOGUE.md")).unwrap();
    assert!(
        kept == format!("{signals}\n{causes}"),
        "CATALOGUE.md is behind the catalogues; `just catalogue` makes it anew, that is\n  \
         (agentd signals --markdown; echo; agentd causes --markdown) > CATALOGUE.md"
    );
}

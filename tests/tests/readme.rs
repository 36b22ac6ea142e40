//! The documents show what is there: the plugin, the table of keys and the rest are the project's own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn the_smallest_plugin_of_the_readme_is_the_one_that_is_tested() {
    let plugin = read("tests/python/smallest_plugin.py");
    assert!(plugin.lines().count() <= 30, "{} lines", plugin.lines().count());
    assert!(read("README.md").contains(plugin.trim_end()));
}

#[test]
fn the_check_of_signatures_that_is_shown_is_the_one_that_is_tested() {
    assert!(read("OPERATING.md").contains(read("tests/python/verify_signature.py").trim_end()));
}

#[test]
fn the_readme_is_short_enough_to_be_read() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 260, "{lines} lines: details belong to OPERATING.md and EVALUATION.md");
}

#[test]
fn the_keys_that_are_shown_are_those_of_the_program() {
    assert!(read("OPERATING.md").contains(agentd::config::show::markdown().trim_end()));
}

#[test]
fn the_cause_of_ones_own_that_is_shown_is_a_sound_document() {
    let shown = read("OPERATING.md");
    let (_, section) = shown.split_once("## Your own causes\n").unwrap();
    let (_, block) = section.split_once("```yaml\n").unwrap();
    let (document, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tariff.yaml"), document).unwrap();
    let catalogue =
        agentd::reasoner::catalogue::Catalogue::with_folder(Some(folder.path())).unwrap();
    assert!(catalogue.cause("tariff_book_too_large").is_some());
}

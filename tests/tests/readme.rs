//! The README shows what is there: the plugin and the table of keys are the project's own.

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
fn the_check_of_signatures_in_the_readme_is_the_one_that_is_tested() {
    assert!(read("README.md").contains(read("tests/python/verify_signature.py").trim_end()));
}

#[test]
fn the_keys_of_the_readme_are_those_of_the_program() {
    assert!(read("README.md").contains(agentd::config::show::markdown().trim_end()));
}

#[test]
fn the_cause_of_ones_own_in_the_readme_is_a_sound_document() {
    let readme = read("README.md");
    let (_, block) = readme.split_once("```yaml\n").unwrap();
    let (document, _) = block.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tariff.yaml"), document).unwrap();
    let catalogue =
        agentd::reasoner::catalogue::Catalogue::with_folder(Some(folder.path())).unwrap();
    assert!(catalogue.cause("tariff_book_too_large").is_some());
}

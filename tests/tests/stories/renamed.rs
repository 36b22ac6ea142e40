//! The answer is found, not known: the bundled incident under other names and in another year.

use std::{fs, path::Path};

use agent_tests::{
    alert::Scenario,
    fleet::Fleet,
    renamed::{mapping, renamed},
    staged::{Staged, bundled},
    told::{in_short, is_true, report},
};

use crate::LONG;

#[tokio::test]
async fn the_same_cause_is_found_under_other_names_and_in_another_year() {
    for seed in 1..=4 {
        let staged = renamed(&bundled(), seed).unwrap();
        let truth = staged.scenario.culprit.clone().unwrap();
        nothing_is_left(&staged, seed);
        let fleet = Fleet::on(staged.path()).await.unwrap();
        let found =
            fleet.client().unwrap().investigate(staged.scenario.alert(), LONG).await.unwrap();
        let report = report(&found);
        assert!(is_true(report, &staged.scenario), "seed {seed}, {truth:?}: {}", in_short(report));
    }
}

/// The copy tells nothing of the original's names and days: else the test would test nothing.
fn nothing_is_left(staged: &Staged, seed: u64) {
    let original = Scenario::read(&bundled()).unwrap();
    let names = mapping(&bundled(), seed);
    assert!(names.len() > 20, "only {} names were found", names.len());
    let (old, new) = (original.culprit.clone().unwrap(), staged.scenario.culprit.clone().unwrap());
    assert_eq!(names.get(&old.name), Some(&new.name));
    assert_eq!(names.get(&old.namespace), Some(&new.namespace));
    let fired = |scenario: &Scenario| scenario.alert().start_time.unwrap().seconds;
    let moved = fired(&staged.scenario) - fired(&original);
    assert_eq!(moved.abs(), 365 * 24 * 3600);
    let mut texts = format!("{:?}\n", staged.scenario.alert());
    read(staged.path(), &mut texts);
    let old = names.keys().filter(|name| name.contains('-')).map(String::as_str);
    for word in old.chain(["2025-11"]) {
        let line = texts.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word} is left");
    }
}

/// Names and texts of all files below `dir`.
fn read(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        into.push_str(&path.file_name().unwrap().to_string_lossy());
        into.push('\n');
        if path.is_dir() {
            read(&path, into);
        } else {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

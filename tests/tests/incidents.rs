//! Every form writes a recording that can be read, says the same for the same seed, and gives its
//! answer away nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{collections::BTreeSet, fs};

use agent_tests::{
    incidents::{Form, checks, forms, recording::Incident},
    tidy::{incidents::names, tree},
};
use serde_json::Value;

const SEEDS: u64 = 2;

fn each(mut look: impl FnMut(&Form, u64, Incident)) {
    for form in forms::all() {
        for seed in 1..=SEEDS {
            look(&form, seed, form.incident(seed));
        }
    }
}

#[test]
fn the_same_seed_tells_the_same_and_another_seed_something_else() {
    let files = |incident: &Incident| {
        format!(
            "{}{:?}{:?}{:?}",
            incident.scenario, incident.objects, incident.logs, incident.metrics
        )
    };
    for form in forms::all() {
        let first = files(&form.incident(1));
        assert!(first == files(&form.incident(1)), "{}/{}", form.category, form.name);
        assert!(first != files(&form.incident(2)), "{}/{}", form.category, form.name);
    }
}

#[test]
fn every_form_holds_what_a_recording_must_hold() {
    each(|form, seed, incident| {
        let faults = checks::faults(&incident, form.category);
        assert!(faults.is_empty(), "{}/{} seed {seed}: {faults:#?}", form.category, form.name);
    });
}

#[test]
fn every_form_has_its_own_name() {
    let all = forms::all();
    let own: BTreeSet<_> = all.iter().map(|form| (form.category, form.name)).collect();
    assert_eq!(own.len(), all.len(), "two forms have one name");
}

#[test]
fn files_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for form in forms::all() {
        let home = form.incident(1).write(dir.path()).unwrap();
        let read = |path: &std::path::Path| -> Value {
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
        };
        assert_eq!(read(&home.join("scenario.json"))["category"], form.category);
        for file in fs::read_dir(home.join("kube")).unwrap() {
            let list = read(&file.unwrap().path());
            assert!(list.as_array().unwrap().iter().all(|o| o["metadata"]["name"].is_string()));
        }
        for line in fs::read_to_string(home.join("metrics.om")).unwrap_or_default().lines() {
            let sample = line.rsplit(' ').next().unwrap();
            assert!(line.starts_with('#') || sample.parse::<i64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn no_name_of_a_given_incident_is_drawn() {
    let given: BTreeSet<String> =
        tree::files("tests/scenarios").unwrap().iter().flat_map(names).collect();
    assert!(given.len() > 300, "only {} names were found", given.len());
    each(|form, seed, incident| {
        let owners = ["deployment", "statefulset", "daemonset", "namespace", "node", "service"];
        for object in owners.iter().filter_map(|kind| incident.objects.get(*kind)).flatten() {
            let name = object["metadata"]["name"].as_str().unwrap();
            assert!(
                !given.contains(name),
                "{}/{} seed {seed} has {name}",
                form.category,
                form.name
            );
        }
    });
}

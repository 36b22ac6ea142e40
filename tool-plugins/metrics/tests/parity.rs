//! The recorded incidents from a real Prometheus: the same facts as from their files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "servers/real.rs"]
mod real;

use std::{collections::BTreeMap, fmt::Write as _, io::Read as _, path::Path, sync::Arc};

use agent_sdk::{
    kit::Harness,
    wire::{EntityRef, Observation},
};
use plugin_cluster::kit::{self, corpus};
use plugin_metrics::recording::Recording;
use real::Prometheus;
use serde_json::{Value, json};

fn dump(scenario: &Path) -> String {
    let file = std::fs::File::open(scenario.join("metrics.om.xz")).unwrap();
    let mut text = String::new();
    lzma_rust2::XzReader::new(file, true).read_to_string(&mut text).unwrap();
    text
}

fn entity(of: Option<&EntityRef>) -> String {
    of.map_or_else(String::new, |e| {
        format!("{}/{}/{}/{}", e.kind, e.namespace, e.name, e.container)
    })
}

/// What a fact is, apart from its numbers.
fn key(fact: &Observation) -> String {
    let told = ["metric", "series", "mountpoint", "what", "application", "cache"];
    let told: Vec<&str> =
        told.iter().filter_map(|k| fact.attributes.get(*k)).map(String::as_str).collect();
    let (subject, peer) = (entity(fact.subject.as_ref()), entity(fact.peer.as_ref()));
    format!("{} {subject} {peer} {}", fact.signal, told.join(" "))
}

/// What differs between two answers, a line each.
fn differences(recorded: &[Observation], live: &[Observation]) -> Vec<String> {
    let by_key = |facts: &[Observation]| -> BTreeMap<String, Observation> {
        facts.iter().map(|f| (key(f), f.clone())).collect()
    };
    let (recorded, live) = (by_key(recorded), by_key(live));
    let mut found = Vec::new();
    for (key, fact) in &recorded {
        let Some(other) = live.get(key) else {
            found.push(format!("only recorded: {} [{key}]", fact.statement));
            continue;
        };
        if let (Some(a), Some(b)) = (fact.value, other.value)
            && (a - b).abs() > 0.1 * a.abs().max(b.abs()).max(0.001)
        {
            found.push(format!("other value: {} | {}", fact.statement, other.statement));
        }
        let start = |f: &Observation| f.start_time.as_ref().map(|t| t.seconds);
        if let (Some(a), Some(b)) = (start(fact), start(other))
            && (a - b).abs() > 120
        {
            found.push(format!("other time: {} | {}", fact.statement, other.statement));
        }
    }
    for (key, fact) in live.iter().filter(|(key, _)| !recorded.contains_key(*key)) {
        found.push(format!("only live: {} [{key}]", fact.statement));
    }
    found
}

async fn recorded(scenario: &Path) -> Harness {
    let cluster = kit::open(scenario).unwrap();
    let recording = Arc::new(Recording::new(cluster));
    Harness::new(plugin_metrics::plugin(&recording)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_tells_of_each_incident_what_its_file_tells() {
    if !real::is_there("metrics from a real Prometheus") {
        return;
    }
    let mut table =
        String::from("scenario tool           facts requests series samples differences\n");
    let mut all = Vec::new();
    for scenario in corpus::scenarios() {
        let (namespace, service) = corpus::alerted(&scenario);
        let prometheus = Prometheus::start(&dump(&scenario), &[]).await;
        let live = real::over(&scenario, &prometheus.url).await;
        let recorded = recorded(&scenario).await;
        let name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        let calls = [
            ("get_metrics", json!({"namespace": namespace, "service": service})),
            ("find_anomalies", json!({"namespace": namespace})),
        ];
        for (tool, arguments) in calls {
            let outcome = recorded.call(tool, arguments.clone()).await;
            let Ok(expected) = outcome.result() else {
                // The recording says that its metrics did not answer; a server that does is no
                // contradiction.
                writeln!(table, "{name:8} {tool:14} source failed in the recording").unwrap();
                continue;
            };
            let outcome = live.call(tool, arguments).await;
            let found = outcome.result().unwrap_or_else(|f| panic!("{name} {tool}: {f:?}"));
            for gap in &found.gaps {
                all.push(format!("{name} {tool}: gap {gap:?}"));
            }
            let differences = differences(&expected.observations, &found.observations);
            let asked: Value = serde_json::from_str(&found.result_json).unwrap();
            let asked = &asked["prometheus"];
            writeln!(
                table,
                "{name:8} {tool:14} {:5} {:8} {:6} {:7} {}",
                found.observations.len(),
                asked["requests"],
                asked["series"],
                asked["samples"],
                differences.len()
            )
            .unwrap();
            all.extend(differences.into_iter().map(|d| format!("{name} {tool}: {d}")));
            let relations = |r: &agent_sdk::wire::CallResult| {
                let mut all: Vec<String> = r.relations.iter().map(|r| format!("{r:?}")).collect();
                all.sort();
                all
            };
            assert_eq!(relations(expected), relations(found), "{name} {tool}");
        }
    }
    println!("{table}\n{}", all.join("\n"));
    assert!(all.is_empty(), "{table}\n{}", all.join("\n"));
}

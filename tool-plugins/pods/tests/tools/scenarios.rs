//! Every tool over every recorded incident: none fails, and none says a word that is not in the
//! catalogue or that it did not announce.

use std::{collections::BTreeSet, fs, path::Path};

use agent_sdk::{Observation, Output};
use plugin_cluster::Source;
use plugin_pods::{args::Where, nodes, pods, policies, rollouts, services, storage, tools};

fn catalogue() -> BTreeSet<String> {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agentd/catalogue/signals.yaml"),
    );
    let words = text.unwrap();
    let words = words.lines().filter_map(|l| l.strip_prefix("- { signal: ")?.split_once(','));
    words.map(|(word, _)| word.to_owned()).collect()
}

fn holds(tool: &str, output: &Output, announced: &[&str]) {
    let catalogue = catalogue();
    for signal in output.observations().iter().map(Observation::signal) {
        assert!(catalogue.contains(signal), "{tool} says {signal}, which the catalogue lacks");
        assert!(announced.contains(&signal), "{tool} says {signal} without announcing it");
    }
}

#[test]
fn what_the_tools_announce_is_in_the_catalogue() {
    let catalogue = catalogue();
    for signal in tools::POD_SIGNALS
        .iter()
        .chain(&tools::ROLLOUT_SIGNALS)
        .chain(&tools::SERVICE_SIGNALS)
        .chain(&tools::NODE_SIGNALS)
        .chain(&tools::POLICY_SIGNALS)
        .chain(&tools::STORAGE_SIGNALS)
    {
        assert!(catalogue.contains(*signal), "{signal}");
    }
}

#[tokio::test]
async fn no_tool_fails_on_a_recorded_incident_or_leaves_the_catalogue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let Ok(entries) = fs::read_dir(&root) else {
        eprintln!("skipped: no recorded incidents in {}", root.display());
        return;
    };
    for dir in entries.map(|e| e.unwrap().path()).filter(|p| p.join("kube").is_dir()) {
        let cluster = Source::recorded(dir.clone()).open().await.expect("a readable recording");
        let args = Where::default();
        let output = pods::check_pods(&cluster, &args).await.expect("pods");
        holds("check_pods", &output, &tools::POD_SIGNALS);
        let output = rollouts::check_rollouts(&cluster, &args).await.expect("rollouts");
        holds("check_rollouts", &output, &tools::ROLLOUT_SIGNALS);
        let output = services::check_service(&cluster, &args).await.expect("services");
        holds("check_service", &output, &tools::SERVICE_SIGNALS);
        let output = policies::check_policies(&cluster, &args).await.expect("policies");
        holds("check_policies", &output, &tools::POLICY_SIGNALS);
        if let Ok(output) = storage::check_storage(&cluster, &args).await {
            holds("check_storage", &output, &tools::STORAGE_SIGNALS);
        }
        let output = nodes::check_nodes(&cluster).await.expect("nodes");
        holds("check_nodes", &output, &tools::NODE_SIGNALS);
    }
}

//! The tool over every recorded incident: it does not fail unless the recording says that events
//! did, and says no word that is not in the catalogue or that it did not announce.

use std::{collections::BTreeSet, fs, path::Path};

use agent_sdk::FailureClass;
use plugin_cluster::Source;
use plugin_events::{args::Where, events::check_events, tools};

fn catalogue() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agentd/catalogue/signals.yaml");
    let text = fs::read_to_string(path).unwrap();
    let words = text.lines().filter_map(|l| l.strip_prefix("- { signal: ")?.split_once(','));
    words.map(|(word, _)| word.to_owned()).collect()
}

#[test]
fn what_the_tool_announces_is_in_the_catalogue() {
    let catalogue = catalogue();
    for signal in tools::SIGNALS {
        assert!(catalogue.contains(signal), "{signal}");
    }
}

#[tokio::test]
async fn the_tool_does_not_fail_on_a_recorded_incident_or_leave_the_catalogue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let Ok(entries) = fs::read_dir(&root) else {
        eprintln!("skipped: no recorded incidents in {}", root.display());
        return;
    };
    let catalogue = catalogue();
    for dir in entries.map(|e| e.unwrap().path()).filter(|p| p.join("kube").is_dir()) {
        let cluster = Source::recorded(dir.clone()).open().await.expect("a readable recording");
        let output = match check_events(&cluster, &Where::default()).await {
            Ok(output) => output,
            Err(failure) => {
                assert_eq!(failure.class, FailureClass::External, "{}", dir.display());
                continue;
            }
        };
        for signal in output.observations().iter().map(agent_sdk::Observation::signal) {
            assert!(catalogue.contains(signal), "{signal} is not in the catalogue");
            assert!(tools::SIGNALS.contains(&signal), "{signal} was not announced");
        }
    }
}

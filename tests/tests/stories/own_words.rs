//! Signals and causes of a third party's plugin, and of the operator: found, shown with who brought
//! them, bounded, and told to their authors when they do not count.

use std::{fs, process::Command, time::Duration};

use agent_proto::v1::{Alert, Verdict};
use agent_tests::{
    build,
    fleet::{BUNDLED, Fleet, SHORT_LEASES},
    process::{self, Ended},
    staged::Staged,
    told::{in_short, is_true, report},
    wait::wait_until,
};

use crate::LONG;

/// The third party's plugin, called `licences`.
fn start_licences(fleet: &mut Fleet, namespace: &str, workload: &str, how: &[&str]) {
    let mut command = Command::new(build::programs().unwrap().join("licence_plugin"));
    command.args(["licences", namespace, workload]).args(how);
    fleet.start_stranger("licences", command).unwrap();
}

/// Runs agentd against the fleet's daemon.
async fn agentd(fleet: &Fleet, arguments: &[&str]) -> Ended {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(arguments).env("AGENTD_URL", fleet.url()).env("NO_COLOR", "1");
    let ended = process::run(command, LONG).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    ended
}

fn alert() -> Alert {
    Alert {
        r#type: "high_error_rate".to_owned(),
        service: "press".to_owned(),
        namespace: "print".to_owned(),
        ..Alert::default()
    }
}

#[tokio::test]
async fn a_cause_of_a_plugins_own_is_found_without_a_model_and_explained() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    start_licences(&mut fleet, "print", "press", &[]);
    fleet.ready(&["licences"]).await.unwrap();
    let found = fleet.client().unwrap().investigate(alert(), LONG).await.unwrap();
    let told = report(&found);
    assert_eq!(told.verdict(), Verdict::RootCauseFound, "{}", in_short(told));
    let cause = &told.root_causes[0];
    let culprit = cause.culprit.clone().unwrap();
    assert_eq!(cause.category, "licence_expired", "{}", in_short(told));
    assert_eq!((culprit.kind.as_str(), culprit.name.as_str()), ("Deployment", "press"));
    assert!(cause.confidence <= 0.85, "{}", in_short(told));
    assert!(cause.statement.contains("ran out on Friday"), "{}", cause.statement);
    assert_eq!(cause.account.clone().unwrap().source, "plugin licences 2.1.0");
    // What nobody declared is kept and shown, and carries nothing.
    assert_eq!(told.unknown_signals, ["licences.hummed"]);
    let hums = told.evidence.iter().find(|one| one.statement == "it hums").unwrap();
    assert!(hums.weight.abs() < f64::EPSILON, "{hums:?}");

    let why = agentd(&fleet, &["explain", found.name.rsplit('/').next().unwrap()]).await.stdout;
    for said in [
        "Why licence_expired of Deployment print/press: very likely, ",
        "0.75  licences.refused: press has no licence since yesterday",
        "From     plugin licences 2.1.0",
        "Belief   support ",
        "Seen, but in no catalogue: without weight\n  - licences.hummed: it hums",
    ] {
        assert!(why.contains(said), "{said:?} is not in\n{why}");
    }
    let causes = agentd(&fleet, &["causes"]).await.stdout;
    let line = causes.lines().find(|line| line.starts_with("licence_expired")).unwrap();
    assert!(line.contains("plugin licences 2.1.0"), "{line}");
    let shown = agentd(&fleet, &["causes", "show", "licence_expired"]).await.stdout;
    assert!(shown.contains("# The vendor's server answers"), "{shown}");
    let signals = agentd(&fleet, &["signals"]).await.stdout;
    for (signal, tells) in [("licences.refused", " harm "), ("licences.hummed", " nothing ")] {
        let line = signals.lines().find(|line| line.starts_with(signal)).unwrap();
        assert!(line.contains(tells) && line.contains("plugin licences"), "{line}");
    }
}

#[tokio::test]
async fn the_author_of_an_unknown_signal_is_told_once_wherever_he_looks() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    start_licences(&mut fleet, "print", "press", &[]);
    fleet.ready(&["licences"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    for kind in ["high_error_rate", "slow"] {
        let alert = Alert { r#type: kind.to_owned(), ..alert() };
        client.investigate(alert, LONG).await.unwrap();
    }
    let plugins = client.plugins().await.unwrap();
    let warnings = plugins[0].warnings.join("\n");
    assert!(warnings.contains("signal licences.hummed is in no catalogue"), "{warnings}");
    let shown = agentd(&fleet, &["tools", "show", "licences.check_licence"]).await.stdout;
    assert!(shown.contains("For the plugin's author to mend"), "{shown}");
    // In the daemon's log, and with the next sign of life in the plugin's own.
    let unknown = |log: &str| log.lines().filter(|line| line.contains("licences.hummed")).count();
    let log = fleet.log("agentd");
    assert_eq!(unknown(&log), 1, "{log}");
    wait_until("advice in the plugin's log", Duration::from_secs(10), async || {
        let log = fleet.log("licences");
        if unknown(&log) == 1 { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_a_plugin_brings_goes_when_it_goes() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    start_licences(&mut fleet, "print", "press", &[]);
    fleet.ready(&["licences"]).await.unwrap();
    assert!(agentd(&fleet, &["causes"]).await.stdout.contains("licence_expired"));
    fleet.kill_plugin("licences").unwrap();
    wait_until("the cause to go with its plugin", Duration::from_secs(20), async || {
        let causes = agentd(&fleet, &["causes"]).await.stdout;
        if causes.contains("licence_expired") { Err(causes) } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_greedy_plugin_takes_no_cause_from_the_evidence() {
    let staged = Staged::bundled().unwrap();
    let alert = staged.scenario.alert();
    let truth = staged.scenario.culprit.clone().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT_LEASES).await.unwrap();
    let alone = fleet.client().unwrap().investigate(alert.clone(), LONG).await.unwrap();
    let alone = report(&alone).root_causes[0].confidence;
    start_licences(&mut fleet, &truth.namespace, &truth.name, &["greedy"]);
    fleet.ready(&["licences"]).await.unwrap();
    let plugins = fleet.client().unwrap().plugins().await.unwrap();
    let own = plugins.iter().find(|plugin| plugin.name == "plugins/licences").unwrap();
    let warnings = own.warnings.join("\n");
    for refused in ["[1]:5: * takes in", "[1]:10: a command is one line", "oom_killed is taken"] {
        assert!(warnings.contains(refused), "{refused:?} is not in\n{warnings}");
    }
    // Another type of alert: of a case that it remembers, the daemon asks less.
    let alert = Alert { r#type: "oom_kills".to_owned(), ..alert };
    let found = fleet.client().unwrap().investigate(alert, LONG).await.unwrap();
    let told = report(&found);
    assert!(is_true(told, &staged.scenario), "{}", in_short(told));
    let with = told.root_causes[0].confidence;
    assert!((with - alone).abs() < 0.01, "{with} beside a greedy plugin, {alone} without");
    let accused = |name: &str| told.root_causes.iter().any(|cause| cause.statement.contains(name));
    assert!(!accused("bystander"), "{}", in_short(told));
    let mut loud = told.root_causes.iter().filter(|cause| cause.category == "mostly_mine");
    assert!(loud.all(|cause| cause.confidence <= 0.85), "{}", in_short(told));
}

#[tokio::test]
async fn an_operators_directory_adds_causes_and_a_faulty_one_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    file(
        "signals.yaml",
        "- {signal: site.cold, polarity: harm, about: Pod, meaning: it is cold}\n",
    );
    let cold = "id: cold\ntitle: it is cold\nculprit: workload\n\
                for: [{any: [site.cold], weight: 0.8, required: true}]\nexplains: {own: [site.cold]}\n\
                statement: cold\nconfirm: ''\nquestion: Is it cold?\n";
    file("cold.yaml", cold);
    let path = dir.path().to_str().unwrap();
    let config = format!("[investigation]\ncauses_dir = {path:?}\n");
    let fleet = Fleet::start(&config).await.unwrap();
    let causes = agentd(&fleet, &["causes"]).await.stdout;
    let line = causes.lines().find(|line| line.starts_with("cold ")).unwrap();
    assert!(line.contains("cold.yaml"), "{line}");
    let checked = agentd(&fleet, &["causes", "check", path]).await.stdout;
    assert!(checked.ends_with("1 cause and 1 signal are sound\n"), "{checked}");

    file("cold.yaml", &cold.replace("0.8", "8"));
    file("typo.yaml", &cold.replace("id: cold", "id: cool").replace("[site.cold]", "[site.colt]"));
    let data = tempfile::tempdir().unwrap();
    for arguments in [
        vec!["causes", "check", path],
        vec!["config", "check", "--causes-dir", path],
        vec!["serve", "--listen", "127.0.0.1:0", "--http", "off", "--causes-dir", path],
    ] {
        let mut command = Command::new(build::programs().unwrap().join("agentd"));
        command.args(&arguments).env("AGENTD_DATA_DIR", data.path());
        let ended = process::run(command, LONG).await.unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {}", ended.stdout);
        for said in [
            "cold.yaml:4: weight 8 of [\"site.cold\"] is not within 0 and 1",
            "typo.yaml:4: there is no signal site.colt; did you mean site.cold?",
        ] {
            assert!(ended.stderr.contains(said), "{arguments:?}: {said}\n{}", ended.stderr);
        }
    }
}

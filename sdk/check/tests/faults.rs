//! The checks, checked: an honest plugin passes all of them, and one that breaks a rule fails the
//! check of that rule and no other.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    thread,
};

use serde_json::Value;

/// Runs at once: they mostly wait.
const AT_ONCE: usize = 12;

/// A rule to break in one mode, and what must fail. Where more than the check of the rule itself
/// must fail, it stands here with the reason.
struct Case {
    fault: &'static str,
    mode: &'static str,
}

/// Faults that are seen in both modes.
const BOTH: [&str; 49] = [
    "REG-01",
    "REG-01:same",
    "REG-02",
    "REG-03",
    "REG-04",
    "REG-05",
    "LEASE-01",
    "LEASE-02",
    "LEASE-03",
    "LEASE-04",
    "LEASE-05",
    "CAT-01",
    "CAT-03",
    "CAT-03:absent",
    "CAT-04",
    "CAT-05",
    "CALL-01",
    "CALL-01:twice",
    "CALL-01:after",
    "CALL-02",
    "CALL-02:json",
    "CALL-03",
    "CALL-04",
    "CALL-05",
    "CALL-06",
    "CALL-06:fast",
    "CALL-07",
    "ARG-01",
    "ARG-02",
    "ARG-03",
    "ERR-01",
    "ERR-02",
    "ERR-03",
    "ERR-04",
    "ERR-05",
    "TIME-01",
    "TIME-02",
    "CAN-01",
    "CAN-02",
    "CAN-03",
    "LIM-01",
    "LIM-02",
    "LIM-03",
    "IDEM-01",
    "IDEM-02",
    "DRY-01",
    "COMP-01",
    "DRAIN-01",
    "AUTH-01:log",
];
/// Faults of a port.
const DIRECT: [&str; 4] = ["CAT-02", "HLTH-01", "HLTH-01:draining", "AUTH-01"];
/// Faults of slots.
const RELAY: [&str; 3] = ["RELAY-01", "RELAY-01:late", "RELAY-01:crossing"];

fn fixtures() -> String {
    format!("{}/tests/fixtures.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn check(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-check"));
    command.args(["--report", "json", "--fixtures", &fixtures()]).args(arguments);
    command.stdin(Stdio::null());
    command
}

fn broken() -> &'static str {
    env!("CARGO_BIN_EXE_broken-plugin")
}

/// Outcomes by check, of each mode.
fn outcomes(output: &Output) -> Vec<BTreeMap<String, String>> {
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {said}"));
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let modes = report["modes"].as_array().unwrap().iter();
    let rows = |mode: &Value| mode["checks"].as_array().unwrap().clone();
    modes
        .map(|mode| rows(mode).iter().map(|row| (text(row, "id"), text(row, "outcome"))).collect())
        .collect()
}

fn ids<'a>(rows: &'a BTreeMap<String, String>, outcome: &str) -> BTreeSet<&'a str> {
    rows.iter().filter(|(_, came)| *came == outcome).map(|(id, _)| id.as_str()).collect()
}

#[test]
fn an_honest_plugin_passes_all_checks_in_both_modes() {
    let output = check(&["--mode", "both", "--strict", "--allow-mutations", "--exec", broken()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let modes = outcomes(&output);
    assert_eq!(modes.len(), 2, "{said}");
    for (mode, skipped) in modes.iter().zip([vec!["RELAY-01"], vec!["CAT-02", "HLTH-01"]]) {
        assert_eq!(mode.len(), 46, "{said}");
        assert_eq!(ids(mode, "failed"), BTreeSet::new(), "{said}");
        assert_eq!(ids(mode, "skipped"), skipped.into_iter().collect(), "{said}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn checks_that_could_not_run_leave_a_report_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = folder.path().join("fixtures.yaml");
    std::fs::write(&fixtures, "tools: {ehco: {}}\n").unwrap();
    let run = |form: &str, arguments: &[&str]| {
        let file = folder.path().join(form);
        std::fs::write(&file, "of yesterday").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_plugin-check"));
        command.args(["--report", form, "--output"]).arg(&file).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        std::fs::read_to_string(file).unwrap()
    };
    let misspelt = ["--fixtures", fixtures.to_str().unwrap(), "--exec", broken()];
    let junit = run("junit", &misspelt);
    assert!(junit.contains("<error message=\"--fixtures: the plugin has no tool ehco"), "{junit}");
    let json: Value = serde_json::from_str(&run("json", &misspelt)).unwrap();
    assert!(json["error"].as_str().unwrap().contains("did you mean echo?"), "{json}");
    let table = run("table", &["--target", "host.invalid:1"]);
    assert!(table.contains("host.invalid cannot be resolved"), "{table}");
    let table = run("table", &["--target", "nonsense"]);
    assert!(table.contains("nonsense is no address"), "{table}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let table = run("table", &["--target", &address]);
    assert!(table.contains(&format!("nobody answers at {address}: connection refused")), "{table}");
}

#[test]
fn each_broken_rule_fails_its_own_check_and_no_other() {
    let both = BOTH.iter().flat_map(|fault| ["direct", "relay"].map(|mode| Case { fault, mode }));
    let direct = DIRECT.iter().map(|fault| Case { fault, mode: "direct" });
    let relay = RELAY.iter().map(|fault| Case { fault, mode: "relay" });
    let cases: Vec<Case> = both.chain(direct).chain(relay).collect();
    // A check that no fault can fail would be none.
    let covered: BTreeSet<&str> = cases.iter().map(Case::id).collect();
    assert_eq!(covered.len(), 46);
    let open = Mutex::new(cases);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let case = open.lock().unwrap().pop();
                    let Some(case) = case else { return };
                    if let Some(fault) = case.fault_of_check() {
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

impl Case {
    fn id(&self) -> &'static str {
        self.fault.split(':').next().unwrap()
    }

    /// Plays the checks that share a plugin process with the one of the rule: those are what a fault
    /// could disturb.
    fn fault_of_check(&self) -> Option<String> {
        let only = plugin_check::played_with(self.id()).join(",");
        let arguments = [
            "--mode",
            self.mode,
            "--allow-mutations",
            "--strict",
            "--only",
            &only,
            "--exec",
            broken(),
        ];
        let output = check(&arguments).args(["--break", self.fault]).output().unwrap();
        let failed: BTreeSet<String> = outcomes(&output)
            .iter()
            .flat_map(|mode| ids(mode, "failed"))
            .map(str::to_owned)
            .collect();
        let expected = BTreeSet::from([self.id().to_owned()]);
        let code = output.status.code();
        (failed != expected || code != Some(1)).then(|| {
            format!("{} in {}: failed were {failed:?}, exit {code:?}", self.fault, self.mode)
        })
    }
}

#[test]
fn the_smallest_level_asks_less() {
    let output = check(&["--level", "basic", "--only", "REG-01,CALL,CAT", "--exec", broken()])
        .args(["--break", "CAT-02"])
        .output()
        .unwrap();
    let modes = outcomes(&output);
    assert_eq!(ids(&modes[0], "failed"), BTreeSet::new());
    assert!(!modes[0].contains_key("CAT-02") && modes[0].contains_key("CALL-01"), "{modes:?}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_should_counts_with_strict_only() {
    for (strict, code) in [(&["--strict"][..], 1), (&[], 0)] {
        let output = check(strict)
            .args(["--only", "CAT-04", "--exec", broken(), "--break", "CAT-04"])
            .output();
        assert_eq!(output.unwrap().status.code(), Some(code), "{strict:?}");
    }
}

#[test]
fn a_check_that_is_required_and_skipped_fails_the_run_by_name() {
    let run = |mode: &str| {
        let only = ["--only", "RELAY-01", "--require", "RELAY-01", "--mode", mode];
        check(&only).args(["--exec", broken()]).output().unwrap()
    };
    let direct = run("direct");
    assert_eq!(direct.status.code(), Some(1), "{direct:?}");
    let report: Value = serde_json::from_slice(&direct.stdout).unwrap();
    assert_eq!(report["unmet"], serde_json::json!(["RELAY-01"]));
    assert_eq!(run("both").status.code(), Some(0), "one mode that looked at it is enough");
}

#[test]
fn what_cannot_run_ends_with_2_and_says_why() {
    for (arguments, said) in [
        (&["--exec", "no-such-program-anywhere"][..], "cannot start"),
        (&["--exec", "false"], "before it registered"),
        (&["--only", "NONE-01", "--exec", "true"], "there is no check NONE-01"),
        (&["--mode", "both"], "needs --exec"),
        (&["--fixtures", "no-such-file", "--exec", "true"], "cannot be used multiple times"),
        (&["--target", "127.0.0.1:1"], "nobody answers at 127.0.0.1:1"),
        (&["--require", "NONE-01", "--exec", "true"], "--require: there is no check NONE-01"),
    ] {
        let output = check(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
        assert!(words.contains(said), "{arguments:?}: {words}");
    }
}

#[test]
fn a_plugin_that_somebody_else_starts_is_waited_for() {
    let mut waiting = check(&["--only", "REG-01,REG-03,CALL-01,LEASE-02,LEASE-04,AUTH-01"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut plugin = Command::new(broken());
    for line in BufReader::new(waiting.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("export ").and_then(|line| line.split_once('=')) {
            Some((name, value)) => plugin.env(name, value),
            None => break,
        };
    }
    let mut plugin = plugin.stderr(Stdio::null()).spawn().unwrap();
    let output = waiting.wait_with_output().unwrap();
    let ended = plugin.wait().unwrap();
    let modes = outcomes(&output);
    assert_eq!(
        ids(&modes[0], "passed"),
        BTreeSet::from(["AUTH-01", "CALL-01", "LEASE-02", "LEASE-04", "REG-01"])
    );
    assert_eq!(ids(&modes[0], "skipped"), BTreeSet::from(["REG-03"]));
    assert!(ended.success(), "STOP ends it: {ended}");
}

/// A plugin that tries to register where nobody listens, and where it listens itself.
fn alone(arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(broken());
    command.args(["--agentd-url", "http://127.0.0.1:1"]).args(arguments);
    let mut plugin = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(plugin.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.trim().strip_prefix("listens on ").unwrap().to_owned();
    (plugin, address)
}

#[test]
fn a_plugin_that_wants_a_token_nobody_has_is_not_looked_at_and_the_way_is_told() {
    let (mut plugin, address) = alone(&[]);
    let output = check(&["--target", &address]).output().unwrap();
    plugin.kill().unwrap();
    plugin.wait().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--exec or --listen") && said.contains("--caller-token"), "{said}");
}

#[test]
fn a_plugin_that_does_not_register_is_dialled() {
    let (mut plugin, address) = alone(&["--break", "AUTH-01"]);
    let output = check(&["--target", &address]).output().unwrap();
    plugin.kill().unwrap();
    plugin.wait().unwrap();
    let modes = outcomes(&output);
    assert_eq!(ids(&modes[0], "failed"), BTreeSet::new());
    let groups: BTreeSet<&str> = modes[0].keys().filter_map(|id| id.split('-').next()).collect();
    assert_eq!(groups, BTreeSet::from(["CALL", "CAN", "CAT", "ERR", "LIM"]));
    assert!(ids(&modes[0], "passed").len() > 12, "{modes:?}");
    assert_eq!(output.status.code(), Some(0));
}

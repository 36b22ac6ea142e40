//! Login programs of a kubeconfig (`exec`): run with nobody at a terminal, within a time, and what
//! they print taken as the proof. Nothing of them is left running, and what they print as the
//! proof is in no message.

use std::{collections::HashMap, process::Stdio, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

/// As long as a program may take. Tools have 20 s.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest part of a program's own words that is passed on, bytes.
const MAX_SAID: usize = 400;
/// A proof is asked for anew this long before it runs out, or after three quarters of its time.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// Shortest time for which a proof is shown.
const LEAST: SignedDuration = SignedDuration::from_secs(5);
/// Bytes at most that are read of what a program prints.
const MAX_PRINTED: u64 = 1024 * 1024;

/// What a program prints.
#[derive(Deserialize)]
struct Credential {
    status: Option<Proof>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Runs the program and puts its proof into `into`. Until when that is good, where it says so.
pub(super) async fn log_in(
    exec: &ExecConfig,
    into: &mut AuthInfo,
) -> Result<Option<Timestamp>, String> {
    let name = exec.command.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err("the kubeconfig names a login program without a command".to_owned());
    }
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(format!(
            "the login program {name} wants a terminal (interactiveMode: Always), and a plugin has \
             none; use a kubeconfig with a token, a certificate or a program that asks nobody"
        ));
    }
    let printed = run(exec, name).await?;
    let credential: Credential = serde_saphyr::from_slice(&printed)
        .map_err(|_| format!("what the login program {name} prints is no ExecCredential"))?;
    let proof = credential
        .status
        .ok_or_else(|| format!("the login program {name} printed no status with a proof"))?;
    match (proof.client_certificate_data, proof.client_key_data) {
        (Some(certificate), Some(key)) => {
            into.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
            into.client_key_data = Some(BASE64_STANDARD.encode(key).into());
        }
        _ if proof.token.is_none() => {
            return Err(format!("the login program {name} printed no token and no certificate"));
        }
        _ => {}
    }
    into.token = proof.token.map(|token| token.trim().to_owned().into());
    let until = proof.expiration_timestamp.map(|at| at.parse::<Timestamp>()).transpose();
    let until = until
        .map_err(|e| format!("the login program {name} says no time it is good until: {e}"))?;
    Ok(until.map(|until| due(Timestamp::now(), until)))
}

/// When a proof is to be asked for anew: before it runs out, and not at once when it has, as where
/// clocks differ. The server says whether it takes it.
fn due(now: Timestamp, until: Timestamp) -> Timestamp {
    let left = until.duration_since(now);
    let due = until.checked_sub(EARLY.min(left / 4)).unwrap_or(until);
    due.max(now.checked_add(LEAST).unwrap_or(due))
}

async fn run(exec: &ExecConfig, name: &str) -> Result<Vec<u8>, String> {
    let hint = exec.install_hint.as_deref().map_or_else(String::new, |hint| format!("; {hint}"));
    let mut child = command(exec, name)
        .spawn()
        .map_err(|error| format!("the login program {name} cannot be started: {error}{hint}"))?;
    let _group = child.id().map(Group);
    let mut held = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut said) = (Vec::new(), Vec::new());
    let whole = async {
        tokio::try_join!(all(held.0.as_mut(), &mut printed), all(held.1.as_mut(), &mut said))?;
        child.wait().await
    };
    let status = match timeout(PATIENCE, whole).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(format!("the login program {name} broke off: {error}")),
        Err(_) => {
            return Err(format!(
                "the login program {name} did not end within {} s; if it asks somebody, log in by \
                 hand first{}",
                PATIENCE.as_secs(),
                last_words(&said)
            ));
        }
    };
    if status.success() {
        return Ok(printed);
    }
    Err(format!("the login program {name} failed ({status}){}", last_words(&said)))
}

fn command(exec: &ExecConfig, name: &str) -> Command {
    let mut command = Command::new(name);
    command.args(exec.args.iter().flatten());
    let variables = exec.env.iter().flatten();
    let pair = |one: &HashMap<String, String>| {
        Some((one.get("name")?.to_owned(), one.get("value")?.to_owned()))
    };
    command.envs(variables.filter_map(pair));
    let mut spec = json!({ "interactive": false });
    if let (Some(cluster), Some(spec)) = (&exec.cluster, spec.as_object_mut()) {
        spec.insert("cluster".to_owned(), json!(cluster));
    }
    let wanted = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    command.env("KUBERNETES_EXEC_INFO", wanted.to_string());
    // Ours to the daemon is none of its business.
    command.env_remove("AGENTD_PLUGIN_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // In a group of its own it ends with all that it started, and gets nothing from a terminal.
    command.process_group(0).kill_on_drop(true);
    command
}

async fn all(
    from: Option<&mut (impl tokio::io::AsyncRead + Unpin)>,
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    match from {
        Some(from) => from.take(MAX_PRINTED).read_to_end(into).await.map(|_| ()),
        None => Ok(()),
    }
}

fn last_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return String::new();
    }
    format!("; it said: {}", agent_sdk::limits::cut_middle(&words, MAX_SAID))
}

/// The processes of a program; they end with this.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Mostly nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ExecConfig {
        serde_json::from_value(json!({ "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh", "args": ["-c", script],
            "env": [{ "name": "PASSWORD", "value": "hunter2" }] }))
        .unwrap()
    }

    async fn failed(exec: &ExecConfig) -> String {
        log_in(exec, &mut AuthInfo::default()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_program_is_told_that_nobody_is_there_and_its_proof_is_taken_in_json_and_yaml() {
        let mut proof = AuthInfo::default();
        let json = r#"read line; test -z "$line" || exit 3
            case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) exit 4;; esac
            echo '{"kind":"ExecCredential","status":{"token":"t1"}}'"#;
        assert_eq!(log_in(&shell(json), &mut proof).await, Ok(None));
        assert!(proof.token.is_some());
        let yaml =
            "printf 'status:\\n  token: t2\\n  expirationTimestamp: \"2999-01-01T00:00:00Z\"\\n'";
        let until = log_in(&shell(yaml), &mut proof).await.unwrap().unwrap();
        assert_eq!(until.to_string(), "2998-12-31T23:59:00Z");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_program_is_said_without_its_secrets() {
        let said = failed(&shell("echo sso session has expired >&2; echo hunter2; exit 7")).await;
        assert!(
            said.contains("exit status: 7") && said.ends_with("sso session has expired"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
        let said = failed(&shell("echo '{\"status\":{\"token\":\"hunter2\"'")).await;
        assert!(said.contains("no ExecCredential") && !said.contains("hunter2"), "{said}");
        let mut absent = shell("");
        absent.command = Some("no-such-program-of-ours".to_owned());
        absent.install_hint = Some("install it from example.com".to_owned());
        let said = failed(&absent).await;
        assert!(said.contains("cannot be started") && said.contains("example.com"), "{said}");
        let mut asks = shell("");
        asks.interactive_mode = Some(ExecInteractiveMode::Always);
        assert!(failed(&asks).await.contains("wants a terminal"));
    }

    #[test]
    fn a_proof_is_asked_for_anew_before_it_runs_out() {
        let now: Timestamp = "2026-01-01T10:00:00Z".parse().unwrap();
        let at = |seconds| now + SignedDuration::from_secs(seconds);
        assert_eq!(due(now, at(3600)), at(3540));
        assert_eq!(due(now, at(40)), at(30));
        assert_eq!(
            due(now, at(-300)),
            at(5),
            "a clock that differs makes no program run each time"
        );
    }
}

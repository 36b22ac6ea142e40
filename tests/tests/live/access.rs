//! The ways to log in to a cluster, each on the real API server: a pod's own account, a login
//! program, contexts and merged kubeconfigs; and what is said when one does not lead there.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, path::PathBuf, process::Command};

use agent_proto::v1::CallToolRequest;
use agent_tests::{
    build,
    control_plane::{ControlPlane, SOON, identities::Proof},
    fleet::Fleet,
    live, process, rung,
    wait::wait_until,
    web::Web,
};
use http::StatusCode;
use serde_json::{Value, json};

/// What kube reads in a pod, and nothing can be told otherwise.
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A folder for a test's files, gone with it.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A kubeconfig with one context `test` and this user.
fn kubeconfig(plane: &ControlPlane, dir: &Path, user: &Value) -> PathBuf {
    let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://{}", plane.address()),
            "certificate-authority-data": encoded(&plane.authority().pem()) } }],
        "users": [{ "name": "somebody", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "somebody" } }] });
    let file = dir.join("kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    file
}

fn encoded(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(text)
}

fn by_program(program: &Path) -> Value {
    json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "IfAvailable", "command": program } })
}

/// What the plugin `pods` says of its access: by right whether it has it, and what is blind.
async fn access(fleet: &Fleet) -> Value {
    let mut client = fleet.client().unwrap();
    let request = CallToolRequest {
        name: "tools/pods.check_access".to_owned(),
        arguments_json: "{}".to_owned(),
        ..CallToolRequest::default()
    };
    let answer = client.catalog.call_tool(request).await.unwrap().into_inner();
    let result = answer.result.unwrap_or_else(|| panic!("{:?}", answer.failure));
    serde_json::from_str(&result.result_json).unwrap()
}

fn may_list_pods(access: &Value) -> bool {
    let rights = access["permissions"].as_array().unwrap();
    rights.iter().any(|r| r["permission"] == "k8s:pods/list" && r["allowed"] == "yes")
}

/// What `agentd doctor` ends with and says, with only these variables of ours.
async fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.arg("doctor").args(arguments).env_remove("KUBECONFIG").env("NO_COLOR", "1");
    command.envs(variables.iter().copied());
    let ended = process::run(command, SOON).await.unwrap();
    // Lines are wrapped.
    let said = format!("{}\n{}", ended.stdout, ended.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    (ended.status.code(), said)
}

/// A token that ends with the Secret `name`.
async fn token_bound_to(plane: &ControlPlane, name: &str) -> String {
    let api = plane.api().unwrap();
    let base = format!("/api/v1/namespaces/{}", live::NAMESPACE);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
    let secret = api.post(&format!("{base}/secrets"), &secret).await.unwrap().good().unwrap();
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": { "expirationSeconds": 3600, "boundObjectRef": { "apiVersion": "v1",
            "kind": "Secret", "name": name, "uid": secret["metadata"]["uid"] } } });
    let path = format!("{base}/serviceaccounts/plugin-pods/token");
    let made = api.post(&path, &request).await.unwrap().good().unwrap();
    made["status"]["token"].as_str().unwrap().to_owned()
}

/// Takes a token away, and waits until the API server takes it no more: it remembers for 10 s.
async fn revoke(plane: &ControlPlane, name: &str, token: &str) {
    let path = format!("/api/v1/namespaces/{}/secrets/{name}", live::NAMESPACE);
    plane.api().unwrap().delete(&path).await.unwrap();
    let bearer = Web::trusting(&plane.address(), &plane.authority().pem(), None).unwrap();
    let bearer = bearer.bearing(token);
    wait_until("a token that is refused", SOON, async || {
        let status = bearer.get("/api/v1/pods?limit=1").await.map_err(|e| e.to_string())?.status;
        if status == StatusCode::UNAUTHORIZED { Ok(()) } else { Err(status.to_string()) }
    })
    .await
    .unwrap();
}

/// A command that runs `plugin` with `account` where a pod has its own.
fn in_a_pod(plane: &ControlPlane, plugin: &str, account: &Path) -> Option<Command> {
    let may = Command::new("unshare").args(["-rm", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        let how = "run as root or allow user namespaces, with util-linux installed";
        rung::skip("a pod's own account", "no mount namespace can be made here", how);
        return None;
    }
    let script = format!(
        "mount -t tmpfs tmpfs /var/run && mkdir -p {MOUNTED} && mount --bind \"$1\" {MOUNTED} && \
         exec \"$2\""
    );
    let (host, port) =
        plane.address().rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned()))?;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script, "sh"]).arg(account);
    command.arg(build::programs().unwrap().join(format!("plugin-{plugin}")));
    command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
    command.env_remove("KUBECONFIG").env("HOME", account.join("no-home"));
    Some(command)
}

#[tokio::test]
async fn a_pods_own_account_is_used_and_a_token_that_was_written_anew_is_seen_at_once() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    live::grant(plane).await.unwrap();
    let dir = folder();
    let write = |token: &str| {
        fs::write(dir.path().join("next"), token).unwrap();
        fs::rename(dir.path().join("next"), dir.path().join("token")).unwrap();
    };
    fs::write(dir.path().join("ca.crt"), plane.authority().pem()).unwrap();
    fs::write(dir.path().join("namespace"), live::NAMESPACE).unwrap();
    let first = token_bound_to(plane, "first-of-pod").await;
    write(&first);
    let Some(command) = in_a_pod(plane, "pods", dir.path()) else { return };
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_stranger("pods", command).unwrap();
    fleet.ready(&["pods"]).await.unwrap();
    let mark = plane.audit_mark().unwrap();
    let found = access(&fleet).await;
    assert!(may_list_pods(&found), "{found}");
    assert!(found["source"].as_str().unwrap().contains(&plane.address()), "{found}");
    let asked = plane.audit_since(mark, &live::account("pods")).unwrap();
    assert!(asked.iter().any(|asked| asked.resource == "pods"), "{asked:?}");
    // The kubelet writes a new token long before the old one ends; here the old one ends first.
    revoke(plane, "first-of-pod", &first).await;
    write(&token_bound_to(plane, "second-of-pod").await);
    let found = access(&fleet).await;
    assert!(may_list_pods(&found), "{found}\n{}", fleet.logs());
}

#[tokio::test]
async fn a_login_program_gives_the_proof_and_is_asked_again_when_that_is_refused() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    live::grant(plane).await.unwrap();
    let dir = folder();
    let first = token_bound_to(plane, "first-of-program").await;
    let proof = dir.path().join("proof");
    let write = |token: &str| {
        let credential = json!({ "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential", "status": { "token": token } });
        fs::write(&proof, credential.to_string()).unwrap();
    };
    write(&first);
    // It reads what is typed, notes that it ran, and prints the proof.
    let script = r#"cd "$(dirname "$0")"; cat; echo run >> runs; cat proof"#;
    let config = kubeconfig(plane, dir.path(), &by_program(&program(dir.path(), "login", script)));
    let runs = || fs::read_to_string(dir.path().join("runs")).unwrap_or_default().lines().count();
    let mut fleet = Fleet::start("").await.unwrap();
    live::start_plugin(&mut fleet, "pods", config).unwrap();
    fleet.ready(&["pods"]).await.unwrap();
    for _ in 0..2 {
        let found = access(&fleet).await;
        assert!(may_list_pods(&found), "{found}");
    }
    assert_eq!(runs(), 1, "a proof that is good is kept");
    revoke(plane, "first-of-program", &first).await;
    write(&token_bound_to(plane, "second-of-program").await);
    let found = access(&fleet).await;
    assert!(may_list_pods(&found), "{found}");
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn a_login_program_that_fails_is_told_in_its_own_words_and_works_after_a_new_login() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    live::grant(plane).await.unwrap();
    let dir = folder();
    let script = r#"cd "$(dirname "$0")"; test -f proof && exec cat proof
        echo "The SSO session has expired: run cloud login" >&2; exit 255"#;
    let config = kubeconfig(plane, dir.path(), &by_program(&program(dir.path(), "login", script)));
    let (code, said) = doctor(&["--kubeconfig", config.to_str().unwrap()], &[]).await;
    assert_eq!(code, Some(4), "{said}");
    for words in ["login failed (exit status: 255)", "The SSO session has expired: run cloud login"]
    {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    // Rights are not what lacks.
    assert!(!said.contains("create clusterrole"), "{said}");

    let mut fleet = Fleet::start("").await.unwrap();
    live::start_plugin(&mut fleet, "pods", config).unwrap();
    fleet.ready(&["pods"]).await.unwrap();
    assert!(!may_list_pods(&access(&fleet).await));
    let token = plane.token(live::NAMESPACE, "plugin-pods").await.unwrap();
    let credential = json!({ "status": { "token": token } });
    fs::write(dir.path().join("proof"), credential.to_string()).unwrap();
    wait_until("a plugin that is logged in", SOON, async || {
        let found = access(&fleet).await;
        if may_list_pods(&found) { Ok(()) } else { Err(found["blind"].to_string()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_login_program_that_waits_for_somebody_is_ended_with_all_that_it_started() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let dir = folder();
    let held = dir.path().join("held").display().to_string();
    let script =
        format!("echo 'Code from your phone:' >&2; sh -c 'sleep 600; : {held}'; echo {{}}");
    let config = kubeconfig(plane, dir.path(), &by_program(&program(dir.path(), "asks", &script)));
    let mut fleet = Fleet::start("").await.unwrap();
    live::start_plugin(&mut fleet, "pods", config).unwrap();
    fleet.ready(&["pods"]).await.unwrap();
    let found = access(&fleet).await;
    let blind = found["blind"].to_string();
    assert!(blind.contains("did not end within 8 s"), "{found}");
    assert!(blind.contains("it said: Code from your phone:"), "{found}");
    let left = process::told(&held);
    assert!(left.is_empty(), "{left:?}");
}

/// Two contexts of one server in files of their own: `reader` may read, `nobody` may not.
async fn two_files(plane: &ControlPlane, dir: &Path) -> [PathBuf; 2] {
    live::grant(plane).await.unwrap();
    let token = plane.token(live::NAMESPACE, "plugin-pods").await.unwrap();
    let nobody = plane.authority().client("two-files", "two-files", &[]).unwrap();
    [("nobody", Proof::Certificate(nobody)), ("reader", Proof::Token(token))].map(
        |(name, proof)| {
            let user = match proof {
                Proof::Token(token) => json!({ "token": token }),
                Proof::Certificate(pair) => json!({ "client-certificate": pair.certificate,
                "client-key": pair.key }),
            };
            let file = kubeconfig(plane, dir, &user);
            let text = fs::read_to_string(&file).unwrap();
            // Names that do not meet when files are merged; the server is told by the first file only.
            let mut config: Value = serde_json::from_str(&text).unwrap();
            config["current-context"] = json!(name);
            config["users"][0]["name"] = json!(name);
            config["contexts"][0] = json!({ "name": name,
            "context": { "cluster": "test", "user": name } });
            if name == "reader" {
                config["clusters"] = json!([]);
            }
            let own = dir.join(format!("{name}.yaml"));
            fs::write(&own, config.to_string()).unwrap();
            own
        },
    )
}

#[tokio::test]
async fn merged_kubeconfigs_are_one_and_a_context_is_picked_by_its_name() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let dir = folder();
    let [nobody, reader] = two_files(plane, dir.path()).await;
    let absent = dir.path().join("absent");
    let merged = std::env::join_paths([&nobody, &absent, &reader]).unwrap();
    let merged = [("KUBECONFIG", merged.to_str().unwrap())];
    // The first file's current context holds: it may nothing, and is told by name.
    let (code, said) = doctor(&[], &merged).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("create clusterrolebinding"), "{said}");
    assert!(said.contains("--user=two-files"), "{said}");
    // The second file's context reaches the server of the first.
    let (_, said) = doctor(&["--context", "reader", "--json"], &merged).await;
    let address = format!("https://{}/, context reader", plane.address());
    assert!(said.contains(&address), "{said}");
    let (code, said) = doctor(&["--context", "raeder"], &merged).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("raeder"), "{said}");
    assert!(said.contains("its contexts: nobody, reader"), "{said}");
    // A file named wins over the variable, and its faults are told, not passed over.
    let arguments = ["--kubeconfig", absent.to_str().unwrap()];
    let (code, said) = doctor(&arguments, &merged).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("absent cannot be read"), "{said}");
}

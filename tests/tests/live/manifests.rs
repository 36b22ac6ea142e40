//! What lies in `k8s/` against a real API server, its PodSecurity admission and its controllers; and
//! against the programs: their flags, variables, keys and metrics.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use agent_tests::{
    build,
    control_plane::{
        ControlPlane, SOON,
        namespace::{at, items, name_of},
    },
    environment,
    manifests::{Held, Manifests, know_the_operator, list, path},
    process, rung,
    tidy::tree,
    wait::wait_until,
};
use agentd::{config::keys, telemetry::metrics};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const OVERLAYS: [&str; 2] = ["overlays/production", "overlays/dev"];
/// A cluster of these tests alone, as the namespace has a name that others use.
async fn cluster() -> Option<&'static ControlPlane> {
    static OWN: OnceCell<Option<ControlPlane>> = OnceCell::const_new();
    let made = OWN.get_or_try_init(async || {
        let Some(plane) = ControlPlane::start().await? else { return Ok(None) };
        know_the_operator(&plane).await?;
        kubectl(&plane, &["apply", "-f", &path("base/namespace.yaml")?]).await;
        anyhow::Ok(Some(plane))
    });
    made.await.unwrap().as_ref()
}

/// Runs kubectl as the administrator; it must do well and warn of nothing.
async fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> String {
    let ended = plane.kubectl(&plane.kubeconfig_admin().unwrap(), arguments).await.unwrap();
    assert!(ended.status.success(), "kubectl {arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr, "", "kubectl {arguments:?} warns");
    ended.stdout
}

async fn objects(plane: &ControlPlane, kind: &str) -> Vec<Value> {
    let told = kubectl(plane, &["-n", "agentd", "get", kind, "-o", "json"]).await;
    items(serde_json::from_str(&told).unwrap())
}

/// A quota that asks every pod to say what it needs.
const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: { name: all, namespace: agentd }
spec:
  hard: { pods: '12', requests.cpu: '2', requests.memory: 4Gi, limits.memory: 8Gi }
";

#[tokio::test]
async fn the_api_server_takes_every_overlay_without_a_warning_and_its_pods_under_the_strictest_rules()
 {
    let Some(plane) = cluster().await else { return };
    plane.apply(QUOTA).await.unwrap();
    for overlay in OVERLAYS {
        let folder = path(overlay).unwrap();
        let told = kubectl(plane, &["apply", "--dry-run=server", "-k", &folder]).await;
        let manifests = Manifests::of(plane, overlay).await.unwrap();
        assert_eq!(told.lines().count(), manifests.objects.len(), "{told}");
        // Now in earnest: the controllers make the pods, and admission judges each.
        kubectl(plane, &["apply", "-k", &folder]).await;
        let count = |workload: &Value| at(workload, "/spec/replicas").as_u64().unwrap();
        let wanted: u64 = manifests.workloads().map(count).sum();
        let pods = wait_until("all pods", SOON, async || {
            let pods = objects(plane, "pods").await;
            if pods.len() as u64 == wanted { Ok(pods) } else { Err(failed(plane).await) }
        });
        for pod in pods.await.unwrap() {
            let volumes = list(at(&pod, "/spec/volumes"));
            let token = volumes.iter().any(|one| name_of_volume(one).starts_with("kube-api-acc"));
            let daemon = name_of(&pod).starts_with("agentd-");
            assert_eq!(token, !daemon, "only plugins speak to the API server: {pod}");
        }
        assert_eq!(failed(plane).await, "", "{overlay}");
        kubectl(plane, &["-n", "agentd", "delete", "statefulsets,deployments", "--all"]).await;
        wait_until("the end of all pods", SOON, async || {
            let left = objects(plane, "pods").await.len();
            if left == 0 { Ok(()) } else { Err(left.to_string()) }
        })
        .await
        .unwrap();
    }
    let component = path("components/read-secrets/rights.yaml").unwrap();
    kubectl(plane, &["apply", "--dry-run=server", "-f", &component]).await;
}

fn name_of_volume(volume: &Value) -> &str {
    at(volume, "/name").as_str().unwrap_or_default()
}

/// What controllers could not make, in their words.
async fn failed(plane: &ControlPlane) -> String {
    let events = objects(plane, "events").await;
    let failed = events.iter().filter(|event| at(event, "/reason") == "FailedCreate");
    failed.map(|event| at(event, "/message").to_string()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_the_namespace_forbids_is_refused_there() {
    let Some(plane) = cluster().await else { return };
    let root = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "root" },
        "spec": { "containers": [{ "name": "c", "image": "c", "securityContext": { "privileged": true } }] } });
    let api = plane.api().unwrap();
    let answer = api.post("/api/v1/namespaces/agentd/pods?dryRun=All", &root).await.unwrap();
    assert!(
        answer.text.contains(r#"violates PodSecurity \"restricted:latest\""#),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn the_daemon_takes_the_settings_of_every_overlay() {
    let Some(plane) = cluster().await else { return };
    for overlay in OVERLAYS {
        let manifests = Manifests::of(plane, overlay).await.unwrap();
        let config = manifests.named("ConfigMap", "agentd-config").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agentd.toml");
        fs::write(&file, at(config, "/data/agentd.toml").as_str().unwrap()).unwrap();
        let all = manifests.containers();
        let daemon = all.iter().find(|held| held.program() == "agentd").unwrap();
        assert_eq!(daemon.arguments(), ["serve", "--config", "/etc/agentd/agentd.toml"]);
        let mut command = Command::new(build::programs().unwrap().join("agentd"));
        command.args(["config", "check", "--config"]).arg(&file).env_clear();
        let known: BTreeSet<String> = keys::KEYS.iter().map(keys::Key::variable).collect();
        for (name, value) in daemon.variables() {
            assert!(known.contains(name), "{overlay}: {name} sets nothing");
            command.env(name, value.unwrap());
        }
        let ended = process::run(command, SOON).await.unwrap();
        assert!(ended.status.success(), "{overlay}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn programs_flags_and_variables_are_those_of_the_workspace() {
    let Some(plane) = cluster().await else { return };
    let copied = fs::read_to_string(path("root").unwrap()).unwrap();
    for overlay in OVERLAYS {
        let manifests = Manifests::of(plane, overlay).await.unwrap();
        for held in manifests.containers() {
            let program = held.program();
            let file = build::programs().unwrap().join(program);
            assert!(file.is_file(), "{overlay}: there is no program {program}");
            assert!(copied.contains(program), "the image does not hold {program}");
            let mut command = Command::new(file);
            command.args(held.arguments().first()).arg("--help");
            let help = process::run(command, SOON).await.unwrap().stdout;
            for flag in held.arguments().iter().filter(|argument| argument.starts_with("--")) {
                assert!(help.contains(flag), "{overlay}: {program} knows no {flag}");
            }
            if program != "agentd" {
                variables_of_plugin(&held, &help);
            }
        }
    }
}

/// Names are read by the SDK or told by `--help`, and what one is made of stands before it.
fn variables_of_plugin(held: &Held<'_>, help: &str) {
    let asked = RefCell::new(BTreeSet::new());
    let given: BTreeMap<&str, Option<&str>> = held.variables().into_iter().collect();
    let options = agent_sdk::Options::from_variables(|name| {
        asked.borrow_mut().insert(name.to_owned());
        // Files are the cluster's; what is made of a pod's address is read below.
        let plain = |value: &&str| !value.starts_with('/') && !value.contains("$(");
        given.get(name).copied().flatten().filter(plain).map(str::to_owned)
    });
    let options = options.unwrap();
    let port = u64::from(options.listen.port());
    assert_eq!(at(held.container, "/ports/0/containerPort"), port);
    let mut before: Vec<&str> = Vec::new();
    for (name, value) in held.variables() {
        let told = help.contains(&format!("[env: {name}="));
        let known = asked.borrow().contains(name) || told || name == "POD_IP";
        assert!(known, "{} does not read {name}", held.program());
        let made_of = value.and_then(|value| value.split("$(").nth(1)?.split(')').next());
        assert!(made_of.is_none_or(|other| before.contains(&other)), "{name} in {before:?}");
        before.push(name);
    }
    assert_eq!(given["PLUGIN_ADVERTISE"], Some(format!("$(POD_IP):{port}").as_str()));
}

/// Metrics that an expression names.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("agentd_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn rules_ask_for_metrics_that_exist_and_promtool_takes_them() {
    let Some(plane) = cluster().await else { return };
    let manifests = Manifests::of(plane, "overlays/production").await.unwrap();
    let rules = manifests.named("PrometheusRule", "agentd").unwrap();
    let mut exposed = BTreeSet::new();
    for row in metrics::TABLE {
        let endings: &[&str] =
            if row.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        exposed.extend(endings.iter().map(|ending| format!("{}{ending}", row.name)));
    }
    let mut seen = BTreeSet::new();
    for rule in list(at(rules, "/spec/groups/0/rules")) {
        // The daemon knows by it that an alert is about itself.
        assert_eq!(at(rule, "/labels/job"), "agentd", "{rule}");
        seen.extend(named(at(rule, "/expr").as_str().unwrap()));
    }
    assert!(seen.len() > 4 && seen.is_subset(&exposed), "{seen:?} of {exposed:?}");
    let service = manifests.named("Service", "agentd").unwrap();
    let ports = list(at(service, "/spec/ports")).iter();
    let ports: Vec<&Value> = ports.map(|port| at(port, "/name")).collect();
    let monitor = manifests.named("ServiceMonitor", "agentd").unwrap();
    assert!(ports.contains(&at(monitor, "/spec/endpoints/0/port")), "{ports:?}");
    let beside = environment::prometheus().map(|program| program.with_file_name("promtool"));
    let Some(promtool) = beside.or_else(|| environment::on_path("promtool")) else {
        return rung::skip("rung 3 (promtool)", "no promtool", "apt-get install prometheus");
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    fs::write(&file, at(rules, "/spec").to_string()).unwrap();
    let mut command = Command::new(promtool);
    command.args(["check", "rules"]).arg(&file);
    let ended = process::run(command, SOON).await.unwrap();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn every_secret_that_is_mounted_is_made_with_the_keys_that_are_read() {
    let Some(plane) = cluster().await else { return };
    if environment::on_path("openssl").is_none() {
        return rung::skip("rung 3 (Secrets)", "no openssl", "apt-get install openssl");
    }
    let script = Command::new(tree::root().join("k8s/secrets"));
    let made = process::run(script, SOON).await.unwrap();
    assert!(made.status.success(), "{}", made.stderr);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets.yaml");
    fs::write(&file, &made.stdout).unwrap();
    let file = file.to_str().unwrap();
    // The API server looks into those of type tls.
    let told = kubectl(plane, &["apply", "--dry-run=server", "-o", "json", "-f", file]).await;
    let secrets = items(serde_json::from_str(&told).unwrap());
    let manifests = Manifests::of(plane, "overlays/production").await.unwrap();
    let mut mounted = 0;
    for held in manifests.containers() {
        for (folder, name) in held.secrets() {
            let secret = secrets.iter().find(|secret| name_of(secret) == name);
            let secret = secret.unwrap_or_else(|| panic!("nobody makes {name}"));
            for (variable, value) in held.variables() {
                let key = value.and_then(|value| value.strip_prefix(folder)?.strip_prefix('/'));
                let there = key.is_none_or(|key| secret.pointer(&format!("/data/{key}")).is_some());
                assert!(there, "{variable} of {}: not in {name}", held.program());
                mounted += u32::from(key.is_some());
            }
        }
    }
    assert!(mounted >= 20, "only {mounted} files are read");
}

#[tokio::test]
async fn nobody_is_let_in_or_out_but_where_a_policy_says_so() {
    let Some(plane) = cluster().await else { return };
    for overlay in OVERLAYS {
        let manifests = Manifests::of(plane, overlay).await.unwrap();
        let deny = manifests.named("NetworkPolicy", "default-deny").unwrap();
        assert_eq!(
            at(deny, "/spec"),
            &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })
        );
        for held in manifests.containers() {
            let labels = at(held.workload, "/spec/template/metadata/labels");
            let mut open = BTreeSet::new();
            for policy in manifests.kind("NetworkPolicy") {
                let wanted = at(policy, "/spec/podSelector/matchLabels").as_object();
                if wanted.is_none_or(|all| all.iter().all(|(k, v)| labels.get(k) == Some(v))) {
                    for rule in list(at(policy, "/spec/ingress")) {
                        assert!(!list(at(rule, "/from")).is_empty(), "open to everybody: {rule}");
                        open.extend(
                            list(at(rule, "/ports")).iter().map(|p| at(p, "/port").as_u64()),
                        );
                    }
                }
            }
            let ports = list(at(held.container, "/ports")).iter();
            let served: BTreeSet<_> = ports.map(|p| at(p, "/containerPort").as_u64()).collect();
            assert_eq!(open, served, "{overlay}: {}", held.program());
        }
    }
}

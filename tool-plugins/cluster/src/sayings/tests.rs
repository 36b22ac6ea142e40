//! The sentences as they are met in the field, and what must be read from them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

#[test]
fn missing_objects_and_keys_are_told_apart() {
    for (said, kind, name, key) in [
        ("configmap \"app-settings\" not found", "ConfigMap", "app-settings", ""),
        ("Error: secret \"db-login\" not found", "Secret", "db-login", ""),
        (
            "couldn't find key API_URL in ConfigMap shop/app-settings",
            "ConfigMap",
            "app-settings",
            "API_URL",
        ),
        ("Error: couldn't find key token in Secret shop/db-login", "Secret", "db-login", "token"),
        (
            "MountVolume.SetUp failed for volume \"certs\" : secret \"edge-tls\" not found",
            "Secret",
            "edge-tls",
            "",
        ),
    ] {
        let found = missing(said).unwrap();
        assert_eq!(
            (found.kind, found.name.as_str(), found.key.as_str()),
            (kind, name, key),
            "{said}"
        );
    }
    assert_eq!(missing("pod \"x\" not found"), None);
    assert_eq!(missing("secret volume is fine"), None);
    assert_eq!(
        missing_volume_key(
            "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: tls.crt"
        ),
        Some("tls.crt")
    );
    assert_eq!(
        volume("MountVolume.SetUp failed for volume \"certs\" : secret \"x\" not found"),
        Some("certs")
    );
}

#[test]
fn a_failed_probe_tells_port_path_and_why() {
    let read = |said| probe_failure(said).unwrap();
    let refused = read(
        "Liveness probe failed: Get \"http://10.1.0.4:8081/livez\": dial tcp 10.1.0.4:8081: connect: connection refused",
    );
    assert_eq!(
        (refused.probe, refused.port.as_str(), refused.path.as_str(), refused.why),
        ("liveness", "8081", "/livez", "refused")
    );
    let slow = read(
        "Readiness probe failed: Get \"http://10.1.0.4:8080/healthz?full=1\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
    );
    assert_eq!(
        (slow.port.as_str(), slow.path.as_str(), slow.why),
        ("8080", "/healthz?full=1", "timeout")
    );
    let status = read("Startup probe failed: HTTP probe failed with statuscode: 503");
    assert_eq!((status.probe, status.why, status.status.as_str()), ("startup", "status", "503"));
    let tcp = read("Liveness probe failed: dial tcp 10.1.0.4:5432: connect: connection refused");
    assert_eq!((tcp.port.as_str(), tcp.why), ("5432", "refused"));
    assert_eq!(probe_failure("Back-off restarting failed container"), None);
}

#[test]
fn the_schedulers_sentence_is_read_without_its_preemption_part() {
    let said = "0/5 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match pod anti-affinity rules, \
        1 node(s) had untolerated taint {dedicated: gpu}, 1 node(s) were unschedulable. \
        preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.";
    let read = unschedulable(said).unwrap();
    assert_eq!(read.nodes, 5);
    assert_eq!(read.why(), "resources,affinity,taint,cordoned");
    assert_eq!(read.what("taint"), "dedicated=gpu");
    assert_eq!(read.what("resources"), "cpu");
    assert_eq!(read.exclusions.iter().map(|e| e.nodes).sum::<u32>(), 5);
}

#[test]
fn selectors_volumes_and_bare_taints_are_reasons_of_their_own() {
    for (said, why, what) in [
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "selector",
            "",
        ),
        ("0/2 nodes are available: 2 node(s) had volume node affinity conflict.", "volume", ""),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            "volume",
            "",
        ),
        ("pod has unbound immediate PersistentVolumeClaims", "volume", ""),
        (
            "0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }.",
            "node_pressure",
            "node.kubernetes.io/disk-pressure",
        ),
        (
            "0/2 nodes are available: 2 node(s) had taint {a: b}, that the pod didn't tolerate.",
            "taint",
            "a=b",
        ),
        ("0/2 nodes are available: 2 Too many pods.", "resources", "pods"),
    ] {
        let read = unschedulable(said).unwrap();
        assert_eq!(read.why(), why, "{said}");
        assert_eq!(read.what(why), what, "{said}");
    }
    assert_eq!(unschedulable("no idea"), None);
    let full = "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 3 Insufficient cpu.";
    assert_eq!(unschedulable(full).unwrap().why(), "resources");
    let lost = "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) didn't have free ports for the requested pod ports.";
    assert_eq!(unschedulable(lost).unwrap().why(), "node_down,resources");
}

#[test]
fn refused_creations_name_who_refused() {
    for (said, signal, by) in [
        (
            "pods \"a-1\" is forbidden: exceeded quota: team-quota, requested: limits.memory=1Gi, used: limits.memory=8Gi, limited: limits.memory=8Gi",
            "policy.quota_exceeded",
            "team-quota",
        ),
        (
            "pods \"a-1\" is forbidden: failed quota: team-quota: must specify limits.cpu",
            "policy.quota_exceeded",
            "team-quota",
        ),
        (
            "Internal error occurred: failed calling webhook \"check.policy.example\": failed to call webhook: Post \"https://x\": connection refused",
            "policy.webhook_failed",
            "check.policy.example",
        ),
        (
            "admission webhook \"deny.example\" denied the request: no",
            "policy.webhook_failed",
            "deny.example",
        ),
        (
            "pods \"a-1\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
            "policy.forbidden",
            "PodSecurity",
        ),
        (
            "pods \"a-1\" is forbidden: unable to validate against any security context constraint: [provider \"anyuid\": Forbidden]",
            "policy.forbidden",
            "SecurityContextConstraints",
        ),
        (
            "pods \"a-\" is forbidden: error looking up service account n/a: serviceaccount \"a\" not found",
            "policy.forbidden",
            "ServiceAccount",
        ),
        (
            "pods \"a-\" is forbidden: no PriorityClass with name high was found",
            "policy.forbidden",
            "PriorityClass",
        ),
        (
            "pods \"a-1\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: no limits",
            "policy.webhook_failed",
            "limits",
        ),
    ] {
        let read = refusal(said).unwrap();
        assert_eq!((read.signal, read.by.as_str()), (signal, by), "{said}");
    }
    assert_eq!(refusal("all is well"), None);
}

#[test]
fn evictions_tell_what_the_node_was_short_of() {
    for (said, want) in [
        ("The node was low on resource: memory. Threshold quantity: 100Mi", "memory"),
        ("The node was low on resource: ephemeral-storage.", "ephemeral-storage"),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
            "ephemeral-storage",
        ),
        ("Usage of EmptyDir volume \"spool\" exceeds the limit \"1Gi\".", "ephemeral-storage"),
        ("gone", ""),
    ] {
        assert_eq!(evicted_for(said), want, "{said}");
    }
}

#[test]
fn start_failures_are_told_apart() {
    for (said, why) in [
        ("exec /app/run: exec format error", "exec_format"),
        ("exec: \"/bin/runn\": stat /bin/runn: no such file or directory", "no_such_file"),
        ("exec: \"./run\": permission denied", "permission"),
        ("something else", "other"),
    ] {
        assert_eq!(start_failure(said), why, "{said}");
    }
}

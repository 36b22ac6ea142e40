//! `check_policies` on certificates.

use agent_sdk::Output;
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{fact, facts, merge, peer, pod, speaking, start};

/// Base64 of the PEM of a certificate for api.example.com that ended at 2025-05-01T11:00:00Z.
const ENDED: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJaVENDQVF1Z0F3SUJBZ0lCQnpBS0JnZ3Foa2pPUFFRREFqQWRNUnN3R1FZRFZRUUREQkpGZUdGdGNHeGwKSUVsemMzVnBibWNnUTBFd0hoY05NalV3TVRNeE1Ea3dNREF3V2hjTk1qVXdOVEF4TVRFd01EQXdXakFhTVJndwpGZ1lEVlFRRERBOWhjR2t1WlhoaGJYQnNaUzVqYjIwd1dUQVRCZ2NxaGtqT1BRSUJCZ2dxaGtqT1BRTUJCd05DCkFBU1N5ZE96dkUxL0lQR2cySUpENXBBQUVuSDQxdThYN29ZcnFLcFR5K3BXcWlhcTVHQjl4dkRDQmRkM1pERUIKOFE2ckVPUk1Oak5SZUlwL0R0K0piY3Ezb3o4d1BUQXRCZ05WSFJFRUpqQWtnZzloY0drdVpYaGhiWEJzWlM1agpiMjJDRVNvdVlYQnBMbVY0WVcxd2JHVXVZMjl0TUF3R0ExVWRFd0VCL3dRQ01BQXdDZ1lJS29aSXpqMEVBd0lEClNBQXdSUUlnWE9TbUE4Z2R6b1NtSG10YmlhNnd0UitDN0dVNUkvZE5seFRjdFJMVFNqOENJUURxMTY1b0pMSHkKNm1MWXpVQ2t6cVgwVHk2anhiQ2E5YTdXYUwvNXJKam5Wdz09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

fn secret(part: &Value) -> Value {
    let mut made = json!({"kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "front-tls", "namespace": "shop", "creationTimestamp": "2025-01-31T09:00:00Z"}});
    merge(&mut made, part);
    made
}

/// The server, which mounts the Secret, a Service before it, and a caller.
fn shop() -> Vec<Value> {
    let server = pod(
        "web-7d-a",
        &json!({"spec": {"volumes": [{"name": "tls", "secret": {"secretName": "front-tls"}}]}, "status": {"startTime": "2025-04-01T00:00:00Z"}}),
    );
    let mut caller = pod("caller-1", &json!({"metadata": {"labels": {"app": "caller"}}}));
    caller["metadata"]["ownerReferences"] = json!([]);
    vec![
        server,
        caller,
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 443}]}}),
    ]
}

async fn check(objects: &[Value], log: &str) -> Output {
    let mut all = shop();
    all.extend(objects.iter().cloned());
    let (_dir, cluster) = speaking(&all, &[("shop/caller-1/app.log", log)]);
    check_policies(&cluster, &Where { namespace: "shop".to_owned(), service: String::new() })
        .await
        .unwrap()
}

const COMPLAINT: &str = "2025-05-01T11:05:00Z ERROR Get \"https://web.shop.svc:443/x\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2025-05-01T11:05:00Z is after 2025-05-01T11:00:00Z\n";

#[tokio::test]
async fn a_certificate_that_ended_is_told_by_its_dates_and_nothing_else_is_kept() {
    let output =
        check(&[secret(&json!({"data": {"tls.crt": ENDED, "tls.key": "c2VjcmV0"}}))], "").await;
    let seen = fact(&output, "certificate.expired");
    assert_eq!(start(seen), "2025-05-01T11:00:00Z");
    for (key, want) in [
        ("why", "expired"),
        ("names", "api.example.com,*.api.example.com"),
        ("issuer", "Example Issuing CA"),
        ("source", "secret"),
    ] {
        assert_eq!(seen.attributes[key], want);
    }
    assert_eq!(peer(seen), "Deployment/web");
    assert!(!format!("{output:?}").contains("c2VjcmV0"));
}

#[tokio::test]
async fn without_readable_secrets_callers_tell_which_one_it_is() {
    for secrets in [vec![], vec![secret(&json!({}))]] {
        let output = check(&secrets, COMPLAINT).await;
        let seen = fact(&output, "certificate.expired");
        assert_eq!(seen.subject.as_ref().unwrap().name, "front-tls");
        assert_eq!(
            (start(seen).as_str(), seen.attributes["source"].as_str()),
            ("2025-05-01T11:00:00Z", "logs")
        );
    }
}

#[tokio::test]
async fn a_renewed_secret_that_the_server_did_not_read_is_the_servers_matter() {
    let renewed = secret(
        &json!({"metadata": {"managedFields": [{"manager": "renewer", "time": "2025-04-30T10:00:00Z", "fieldsV1": {"f:data": {}}}]}}),
    );
    let output = check(&[renewed], COMPLAINT).await;
    let seen = fact(&output, "certificate.not_reloaded");
    assert_eq!(
        (seen.subject.as_ref().unwrap().name.as_str(), peer(seen).as_str()),
        ("web", "Secret/front-tls")
    );
    assert!(facts(&output, "certificate.expired").is_empty());
}

#[tokio::test]
async fn an_exchanged_certificate_is_blamed_for_what_began_after_it() {
    let changed = secret(
        &json!({"metadata": {"managedFields": [{"manager": "someone", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:data": {}}}]}}),
    );
    let line = |at: &str| {
        format!(
            "2025-05-01T{at}Z ERROR Get \"https://web.shop.svc/x\": x509: certificate signed by unknown authority\n"
        )
    };
    for (at, told) in [("11:02:00", 1), ("10:02:00", 0)] {
        let output = check(std::slice::from_ref(&changed), &line(at)).await;
        assert_eq!(facts(&output, "certificate.untrusted").len(), told, "{at}");
    }
}

#[tokio::test]
async fn what_cert_manager_could_not_renew_is_told_with_its_reason() {
    let certificate = |until: &str| {
        json!({"kind": "Certificate", "apiVersion": "cert-manager.io/v1", "metadata": {"name": "front", "namespace": "shop"},
            "spec": {"secretName": "front-tls", "dnsNames": ["api.example.com"], "issuerRef": {"name": "le"}},
            "status": {"notAfter": until, "conditions": [{"type": "Ready", "status": "False", "reason": "Expired", "message": "Certificate expired on Thu"},
                {"type": "Issuing", "status": "False", "reason": "Failed", "message": "the issuer refused the order: 403"}]}})
    };
    let output = check(&[certificate("2025-05-01T11:00:00Z")], "").await;
    let seen = fact(&output, "certificate.expired");
    assert_eq!(
        (seen.subject.as_ref().unwrap().kind.as_str(), peer(seen).as_str()),
        ("Secret", "Certificate/front")
    );
    assert_eq!(seen.attributes["renewal"], "Failed: the issuer refused the order: 403");
    let output = check(&[certificate("2025-05-02T11:00:00Z")], "").await;
    assert_eq!(facts(&output, "certificate.expiring").len(), 1);
}

#[tokio::test]
async fn a_certificate_for_a_name_within_the_cluster_is_linked_with_that_service() {
    let certificate = |name: &str| {
        json!({"kind": "Certificate", "apiVersion": "cert-manager.io/v1", "metadata": {"name": "front", "namespace": "shop"},
            "spec": {"secretName": "front-tls", "dnsNames": [name], "issuerRef": {"name": "le"}},
            "status": {"notAfter": "2025-07-01T11:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]}})
    };
    for (name, linked) in
        [("front", 1), ("front.shop.svc.cluster.local", 1), ("front.example.com", 0), ("*.shop", 0)]
    {
        let output = check(&[certificate(name)], "").await;
        let told = output.relations().iter().filter(|edge| edge.from.kind == "Service");
        assert_eq!(told.count(), linked, "{name}");
    }
}

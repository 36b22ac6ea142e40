//! Certificates that are no longer valid.

mod client;

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{DAY, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    edge::Way,
    object::{Edit, Ref},
    series::along,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("inner_serving_certificate", inner_serving_certificate),
    ("certificate_at_the_edge", certificate_at_the_edge),
    ("certificate_of_a_partner", certificate_of_a_partner),
    ("client_shows_an_old_one", client::client_shows_an_old_one),
];

/// What the library of a caller says of a certificate that ended at `end`, as of `now`.
fn expired(runtime: Runtime, (now, end): (&str, &str)) -> String {
    match runtime {
        Runtime::Go => format!(
            "x509: certificate has expired or is not yet valid: current time {now} is after {end}"
        ),
        Runtime::Java => format!(
            "PKIX path validation failed: java.security.cert.CertPathValidatorException: validity check failed: NotAfter: {end}"
        ),
        Runtime::DotNet => "The remote certificate is invalid because of errors in the certificate chain: NotTimeValid".to_owned(),
        Runtime::Ruby => "certificate verify failed (certificate has expired)".to_owned(),
        Runtime::Rust => "Expired".to_owned(),
        Runtime::Proxy | Runtime::Store => "10:certificate has expired".to_owned(),
        Runtime::Python | Runtime::Node | Runtime::Php => "certificate has expired".to_owned(),
    }
}

/// From `at` on, handshakes from `from` to `to` fail because the other side's certificate ended
/// then. The time that some libraries name moves on.
fn refuse(cluster: &mut Cluster, (from, to): (Id, Peer), at: Sec, share: f64) {
    let end = cluster.clock.rfc(at);
    let way = cluster.way(from, to);
    let mut since = at + 5;
    while since < NOW {
        let now = cluster.clock.rfc(since + 7);
        let runtime = cluster[from].runtime;
        let said = runtime.wording(&Why::Tls(expired(runtime, (&now, &end))), &way);
        let until = if since + 240 >= NOW { Sec::MAX } else { since + 240 };
        let harm = Harm { until, ..Harm::errors(since, share, Why::Said(said.text.clone())) };
        // Some libraries name the reason in the trace only.
        let why = if said.trace.is_empty() {
            harm.why.clone()
        } else {
            Why::Tls(expired(runtime, (&now, &end)))
        };
        cluster.traffic.harm_call(from, to, &Harm { why, ..harm });
        since += 240;
    }
}

/// A Certificate of cert-manager that could not be renewed and ended at `at`.
fn unrenewed(cluster: &mut Cluster, (space, name, secret): (&str, &str, &str), at: Sec) -> Ref {
    let named = Ref::new("Certificate", space, name);
    let issuer = cluster.dice.pick(&["internal-ca", "vault-pki", "letsencrypt-prod"]);
    let made = -DAY * cluster.dice.between(100, 300);
    let clock = cluster.clock;
    let edits = [Edit::new(made, cluster.habits.deployer, &["f:spec"])];
    let meta = cluster.objects.meta(&named, made, &edits);
    let (end, tried) = (clock.rfc(at), clock.rfc(-cluster.dice.between(600, 3000)));
    let refused = cluster.dice.pick(&[
        "The certificate request has failed to complete and will be retried: Vault failed to sign certificate: failed to sign certificate by vault: Error making API request. Code: 403. Errors: permission denied",
        "The certificate request has failed to complete and will be retried: Failed to wait for order resource to become ready: order is in \"invalid\" state",
        "The certificate request has failed to complete and will be retried: Referenced secret resource not found: secrets \"ca-key-pair\" not found",
    ]);
    let conditions = json!([
        {"type": "Ready", "status": "False", "reason": "Expired", "observedGeneration": 1,
            "lastTransitionTime": end, "message": format!("Certificate expired on {end}")},
        {"type": "Issuing", "status": "False", "reason": "Failed", "observedGeneration": 1,
            "lastTransitionTime": tried, "message": refused},
    ]);
    let body = json!({"spec": {"secretName": secret, "duration": "2160h0m0s", "renewBefore": "360h0m0s",
        "dnsNames": [name], "issuerRef": {"name": issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"}},
        "status": {"conditions": conditions, "notBefore": clock.rfc(at - 90 * DAY), "notAfter": end,
        "renewalTime": clock.rfc(at - 15 * DAY), "failedIssuanceAttempts": 11, "lastFailureTime": tried, "revision": 3}});
    cluster.objects.put("Certificate", meta, body);
    let last = -cluster.dice.between(400, 3000);
    cluster.warn(
        (&named, "cert-manager-certificates-issuing"),
        ("Failed", refused.to_owned()),
        (last, last, 1),
    );
    let pairs = [("exported_namespace", space), ("name", name), ("issuer_name", issuer)];
    let value = along(&[(0, (clock.fired + at) as f64)]);
    cluster.metrics.gauge("certmanager_certificate_expiration_timestamp_seconds", &pairs, value);
    named
}

/// Lets `id` serve over TLS at 8443 with what lies in `secret`.
fn serve_tls(cluster: &mut Cluster, id: Id, secret: &str) {
    cluster[id].port = 8443;
    if let Some(front) = &mut cluster[id].front {
        (front.port, front.target) = (443, json!(8443));
    }
    cluster[id].always(|template| {
        template.mount("tls", "/etc/tls", json!({"secret": {"secretName": secret}}));
        for probe in [&mut template.readiness, &mut template.liveness].into_iter().flatten() {
            if let Some(Value::Object(get)) = probe.pointer_mut("/httpGet") {
                get.insert("port".into(), json!(8443));
                get.insert("scheme".into(), json!("HTTPS"));
            }
        }
    });
}

/// The certificate of an inner service ended; its renewal fails since weeks. The service itself is
/// well and ready; only its callers say so. Somebody's release just before is innocent.
fn inner_serving_certificate(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4) + 1;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let (space, name) = (cluster.home(), cluster[id].called().to_owned());
    let secret = format!("{name}{}", cluster.dice.pick(&["-tls", "-serving-cert", "-cert"]));
    serve_tls(cluster, id, &secret);
    let at = cluster.minutes_ago(6, 45);
    let issued = Edit::new(
        at - 90 * DAY,
        "cert-manager-certificates-issuing",
        &["f:data.f:tls.crt", "f:data.f:tls.key"],
    );
    cluster.secret((&space, &secret), "kubernetes.io/tls", &["tls.crt", "tls.key"], &[issued]);
    let mut accept = vec![cluster.reference(id)];
    accept.extend(cluster.parts(id));
    if cluster.dice.chance(0.6) {
        accept.push(unrenewed(cluster, (&space, &format!("{name}-cert"), &secret), at));
    }
    if cluster.dice.chance(0.4) {
        cluster.objects.hide("secret");
    }
    let share = cluster.dice.range(0.9, 1.0);
    for caller in cluster.callers(id) {
        refuse(cluster, (caller, Peer::In(id)), at, share);
    }
    if cluster[id].runtime == Runtime::Go {
        let line =
            "http: TLS handshake error from 10.244.2.8:4{n}: remote error: tls: bad certificate";
        cluster[id].sayings.push(Saying::new(at + 6, 9, Level::Warn, line));
    }
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 240, |template| template.tag = newer(&template.tag));
    }
    Truth::new(cluster, "high_error_rate", gate, Ref::new("Secret", &space, &secret))
        .accept(accept)
        .told(
            "The certificate of an inner service ended",
            &format!("{} answers with errors since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The serving certificate of {name} in Secret {secret} expired, so its callers refuse the handshake; {name} itself runs and is ready."),
        )
        .rated(["easy", "medium", "hard"].get(hops - 1).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&["certificate", "x509", "TLS", "handshake"])
        .mention(&["expired", "expir", "no longer valid", "NotTimeValid"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "traffic spike"])
}

/// The certificate that users see ended: they turn away before they ask anything, so nothing
/// fails inside, and less and less arrives.
fn certificate_at_the_edge(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let gate = app.gate();
    let edge = cluster.edge(gate);
    let (space, front) = (cluster.home(), cluster[gate].called().to_owned());
    let secret = format!("{}-tls", edge.host.replace('.', "-"));
    let at = cluster.minutes_ago(8, 40);
    let issued =
        Edit::new(at - 365 * DAY, "kubectl-create", &["f:data.f:tls.crt", "f:data.f:tls.key"]);
    cluster.secret((&space, &secret), "kubernetes.io/tls", &["tls.crt", "tls.key"], &[issued]);
    let port = cluster[gate].front.as_ref().map_or(80, |front| front.port);
    let name = format!("{front}-public");
    let way = Way {
        name: &name,
        class: edge.class,
        host: &edge.host,
        path: "/",
        to: (&front, json!(port)),
        tls: &secret,
        notes: json!({"nginx.ingress.kubernetes.io/ssl-redirect": "true"}),
    };
    let ingress = cluster.ingress(&space, &way, &[]);
    let left = cluster.dice.range(0.03, 0.12);
    if let Some(station) = cluster.traffic.station(edge.controller) {
        station.surges.push((at, Sec::MAX, 240, left));
    }
    let points = vec![(at, edge.rps), (at + 240, edge.rps * left)];
    cluster.edge_counts((&space, &way), &[(200, points)]);
    let pairs = [
        ("host", edge.host.as_str()),
        ("namespace", space.as_str()),
        ("secret_name", secret.as_str()),
    ];
    let end = along(&[(0, (cluster.clock.fired + at) as f64)]);
    cluster.metrics.gauge("nginx_ingress_controller_ssl_expire_time_seconds", &pairs, end);
    let target = format!("https://{}/", edge.host);
    let probe = [("instance", target.as_str()), ("job", "blackbox")];
    let success = along(&[(at, 1.0), (at + 1, 0.0)]);
    cluster.metrics.gauge("probe_success", &probe, success);
    let line = format!(
        "SSL certificate for server \"{}\" is about to expire ({} UTC)",
        edge.host,
        cluster.clock.rfc(at).replace(['T', 'Z'], " ").trim_end()
    );
    for said in [-2400, -1200, 0] {
        let line = cluster.klog(said, 'W', ("controller.go:1396", &line));
        cluster[edge.controller].sayings.push(Saying::new(said, 0, Level::Warn, &line));
    }
    let alert = cluster.dice.pick(&["endpoint_down", "traffic_drop", "probe_failed"]);
    Truth::new(cluster, alert, gate, Ref::new("Secret", &space, &secret))
        .accept([ingress])
        .told(
            "Users turn away from an expired certificate",
            &format!("Probes of {target} fail and the traffic of {front} has fallen by more than 80%."),
            &format!("The certificate in Secret {secret} that Ingress {name} serves for {} expired: browsers and clients refuse the handshake, so hardly a request arrives. Inside nothing is wrong.", edge.host),
        )
        .rated("medium", "P1")
        .mention(&["certificate", "x509", "TLS", "handshake"])
        .mention(&["expired", "expir", "no longer valid", "ended"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "scaled to zero"])
}

/// The certificate of a partner outside ended.
fn certificate_of_a_partner(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let (place, host) = cluster.outside(id, true);
    let at = cluster.minutes_ago(6, 35);
    refuse(cluster, (id, Peer::Out(place)), at, 1.0);
    cluster.roll(id, at - cluster.dice.clone().between(1500, 2400), |template| {
        template.tag = newer(&template.tag);
    });
    Truth::new(cluster, "high_error_rate", gate, Ref::new("External", "", &host))
        .told(
            "The certificate of a partner ended",
            &format!("{} fails for many users.", cluster[gate].called()),
            &format!("The certificate of {host} expired: every call of {} ends in a failed handshake. It is the partner's to renew.", cluster[id].name),
        )
        .rated(["easy", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&[&host, host.split('.').nth(1).unwrap_or(&host)])
        .mention(&["expired", "expir", "certificate", "TLS", "handshake"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "credentials"])
        .or_category(&["downstream_dependency_failure"])
}

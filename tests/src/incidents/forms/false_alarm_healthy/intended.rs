//! Alerts about what is set up so, or will be done in time.

use serde_json::json;

use super::told;
use crate::incidents::{
    clock::DAY, cluster::Cluster, drawn::newer, object::Ref, scaling::Scaler, series::along,
    truth::Truth,
};

/// An autoscaler is at its upper bound, as it has been for weeks: both bounds are the same number,
/// and the pods have little to do.
pub(super) fn both_bounds_are_one(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(cluster.dice.below(app.path.len())).copied().unwrap_or(app.gate());
    let (home, called) = (cluster.home(), cluster[id].called().to_owned());
    let many = cluster[id].replicas;
    cluster[id].always(|template| template.cpu_request = 400);
    let mut scaler = Scaler::calm((many, many), many);
    scaler.usage = (Some(cluster.dice.between(14, 31)), 70);
    let object = cluster.scaler(id, &called, &scaler);
    let pairs = [("namespace", home.as_str()), ("horizontalpodautoscaler", called.as_str())];
    for name in [
        "spec_min_replicas",
        "spec_max_replicas",
        "status_current_replicas",
        "status_desired_replicas",
    ] {
        let name = format!("kube_horizontalpodautoscaler_{name}");
        cluster.metrics.constant(&name, &pairs, many as f64);
    }
    if let Some(&side) = app.sides.first() {
        let other = cluster.minutes_ago(4, 50);
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    let alert = cluster.dice.pick(&["KubeHpaMaxedOut", "HpaAtMaxReplicas"]);
    let cause = format!(
        "HorizontalPodAutoscaler {called} is set to exactly {many} pods (minReplicas = maxReplicas) for weeks; its pods use little CPU and requests are served as usual."
    );
    told(
        cluster,
        alert,
        id,
        (
            &format!(
                "HPA {home}/{called} has been running at max replicas for longer than 15 minutes."
            ),
            &cause,
        ),
    )
    .accept([object])
    .mention(&[
        "minReplicas",
        "maxReplicas",
        "same",
        "fixed",
        "as usual",
        "by design",
        "low cpu",
        "utilization",
        "normal",
    ])
}

/// A certificate ends within weeks, and its renewal is set for before that: it is in order.
pub(super) fn renewal_is_set(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let gate = app.gate();
    let (home, front) = (cluster.home(), cluster[gate].called().to_owned());
    let secret = format!("{front}-tls");
    cluster.secret((&home, &secret), "kubernetes.io/tls", &["tls.crt", "tls.key"], &[]);
    let left = cluster.dice.between(17, 20) * DAY;
    let clock = cluster.clock;
    let named = Ref::new("Certificate", &home, &front);
    let meta = cluster.objects.meta(&named, -DAY * 160, &[]);
    let since = clock.rfc(left - 90 * DAY);
    let conditions = json!([{"type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": 1,
        "lastTransitionTime": since, "message": "Certificate is up to date and has not expired"}]);
    let body = json!({"spec": {"secretName": secret, "duration": "2160h0m0s", "renewBefore": "360h0m0s",
        "dnsNames": [front], "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer", "group": "cert-manager.io"}},
        "status": {"conditions": conditions, "notBefore": since, "notAfter": clock.rfc(left),
        "renewalTime": clock.rfc(left - 15 * DAY), "revision": 4}});
    cluster.objects.put("Certificate", meta, body);
    let pairs = [
        ("exported_namespace", home.as_str()),
        ("name", front.as_str()),
        ("issuer_name", "letsencrypt"),
    ];
    for (name, when) in [("expiration", left), ("renewal", left - 15 * DAY)] {
        let name = format!("certmanager_certificate_{name}_timestamp_seconds");
        let value = along(&[(0, (clock.fired + when) as f64)]);
        cluster.metrics.gauge(&name, &pairs, value);
    }
    let ready = [pairs[0], pairs[1], ("condition", "True")];
    cluster.metrics.constant("certmanager_certificate_ready_status", &ready, 1.0);
    let other = cluster.minutes_ago(5, 45);
    cluster.roll(app.last(), other, |template| template.tag = newer(&template.tag));
    let alert = cluster.dice.pick(&[
        "CertManagerCertExpirySoon",
        "certificate_expiring",
        "SslCertExpiresSoon",
    ]);
    let days = left / DAY;
    let cause = format!(
        "The certificate {front} is valid for {days} more days and Ready; cert-manager renews it 15 days before its end, which is not yet due. Requests are served as usual."
    );
    told(
        cluster,
        alert,
        gate,
        (&format!("Certificate {home}/{front} expires in less than 21 days."), &cause),
    )
    .accept([named, Ref::new("Secret", &home, &secret)])
    .mention(&["renew", "valid", "not expired", "not yet", "up to date", "days", "as usual"])
}

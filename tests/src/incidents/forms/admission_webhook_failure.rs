//! Webhooks of admission that cannot be reached or are not believed.

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{DAY, HOUR, MIN, Sec},
    cluster::Cluster,
    object::{Edit, Ref},
    traffic::Id,
    truth::Truth,
    voice::{Level, Runtime, Voice},
    workload::{Saying, Template},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("nobody_behind_the_webhook", nobody_behind_the_webhook),
    ("webhook_not_believed", webhook_not_believed),
];

/// Whose webhook it is: namespace, workload, name of the configuration, name of the webhook, path.
const KEEPERS: [[&str; 5]; 4] = [
    [
        "policy-system",
        "policy-controller",
        "policy-checks",
        "pods.checks.policy.example",
        "validate",
    ],
    ["image-guard", "image-verifier", "image-verifier", "verify.images.guard.example", "v1/verify"],
    ["mesh-system", "sidecar-injector", "sidecar-injector", "inject.mesh.example", "inject"],
    ["conformity", "pod-gatekeeper", "pod-gatekeeper-hook", "gate.conformity.example", "admit"],
];

/// A workload that answers the API server, with the configuration that sends pods to it.
struct Hook {
    backend: Id,
    config: Ref,
    webhook: &'static str,
    post: String,
}

fn hook(cluster: &mut Cluster) -> Hook {
    let place = cluster.dice.below(KEEPERS.len());
    let [space, name, config, webhook, path] = KEEPERS.get(place).copied().unwrap_or(KEEPERS[0]);
    let kind = if name == "sidecar-injector" {
        "MutatingWebhookConfiguration"
    } else {
        "ValidatingWebhookConfiguration"
    };
    let backend = cluster.service(space, name);
    (cluster[backend].runtime, cluster[backend].voice) = (Runtime::Go, Voice::Klog);
    if let Some(station) = cluster.traffic.station(backend) {
        station.rps = 0.3;
    }
    cluster[backend].port = 9443;
    if let Some(front) = &mut cluster[backend].front {
        (front.port, front.target) = (443, json!(9443));
    }
    let wait = cluster.dice.pick(&[10, 5, 30]);
    let named = Ref::new(kind, "", config);
    let made = -DAY * cluster.dice.between(40, 200);
    let edits = [Edit::new(made, "helm", &["f:webhooks"])];
    let meta = cluster.objects.meta(&named, made, &edits);
    let front = cluster[backend].called().to_owned();
    let apart: Vec<Value> = vec![json!("kube-system"), json!(space)];
    let body = json!({"webhooks": [{"name": webhook, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": wait,
        "clientConfig": {"service": {"name": front, "namespace": space, "path": format!("/{path}"), "port": 443}, "caBundle": "LS0tLS1pbnZlbnRlZC0tLS0t"},
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": apart}]},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}]}]});
    cluster.objects.put(kind, meta, body);
    let post = format!("Post \"https://{front}.{space}.svc:443/{path}?timeout={wait}s\"");
    Hook { backend, config: named, webhook, post }
}

impl Hook {
    fn fails(&self, why: &str) -> String {
        format!(
            "Internal error occurred: failed calling webhook \"{}\": failed to call webhook: {}: {why}",
            self.webhook, self.post
        )
    }
}

/// What runs behind a webhook was scaled to nothing hours ago; nobody noticed until pods had to be
/// replaced, and none may be made. The alert comes from the gate or from the workload.
fn nobody_behind_the_webhook(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let hook = hook(cluster);
    let emptied = cluster.hours_ago(1, 30);
    cluster.scale(hook.backend, 0, emptied);
    let at = cluster.minutes_ago(8, 40);
    let front = cluster[hook.backend].called().to_owned();
    let said = hook.fails(&format!("no endpoints available for service \"{front}\""));
    let left = if cluster.dice.chance(0.6) { 0 } else { 1 };
    cluster.refuse_pods(id, (at, left), None::<fn(&mut Template)>, &said);
    let (alert, service, severity) = if left == 0 {
        ("high_error_rate", gate, cluster.effect(gate))
    } else {
        ("deployment_replicas_mismatch", id, "P3")
    };
    let name = cluster[id].name.clone();
    let truth = told(
        cluster,
        (alert, service),
        &hook,
        at,
        &format!(
            "{} asks {front} about every new pod, but that was scaled to zero {} hours ago: the API server refuses new pods, so {name} gets no successors for those it lost.",
            hook.config.name,
            -emptied / HOUR
        ),
    );
    truth.rated(if left == 0 { "hard" } else { "medium" }, severity).mention(&[
        &front,
        &hook.config.name,
        hook.webhook,
        "no endpoints",
    ])
}

/// The webhook's own certificate was renewed by another authority than the configuration trusts;
/// a rollout gets none of its pods.
fn webhook_not_believed(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    let hook = hook(cluster);
    let space = cluster[hook.backend].namespace.clone();
    let renewed: Sec = cluster.hours_ago(1, 12);
    let secret = format!("{}-certs", cluster[hook.backend].called());
    let edit = Edit::new(
        renewed,
        "cert-manager-certificates-issuing",
        &["f:data.f:tls.crt", "f:data.f:tls.key", "f:data.f:ca.crt"],
    );
    cluster.secret(
        (&space, &secret),
        "kubernetes.io/tls",
        &["ca.crt", "tls.crt", "tls.key"],
        &[edit],
    );
    cluster[hook.backend].always(|template| {
        template.mount("certs", "/certs", json!({"secret": {"secretName": secret}}));
    });
    let at = cluster.minutes_ago(13, 50);
    let line = "http: TLS handshake error from 10.20.0.4:4{n}: remote error: tls: bad certificate";
    cluster[hook.backend].sayings.push(Saying::new(at, 120, Level::Error, line));
    let said = hook
        .fails("tls: failed to verify certificate: x509: certificate signed by unknown authority");
    let tag = crate::incidents::drawn::newer(&cluster[id].template().tag);
    cluster.refuse_pods(id, (at, 0), Some(|template: &mut Template| template.tag = tag), &said);
    let (name, alert) = (
        cluster[id].name.clone(),
        cluster.dice.pick(&["rollout_stuck", "deployment_replicas_mismatch"]),
    );
    let truth = told(
        cluster,
        (alert, id),
        &hook,
        at,
        &format!(
            "The certificate of the webhook {} was renewed and the caBundle in {} does not know who signed it: the API server cannot call it and refuses the new pods of {name}. The old ones serve.",
            hook.webhook, hook.config.name
        ),
    );
    cluster.lacks.metrics = cluster.dice.chance(0.3);
    let secret = [Ref::new("Secret", &space, &secret)];
    truth.accept(secret).rated("medium", "P3").mention(&[
        "certificate",
        "x509",
        "caBundle",
        "unknown authority",
        "TLS",
    ])
}

fn told(
    cluster: &Cluster,
    (alert, service): (&'static str, Id),
    hook: &Hook,
    at: Sec,
    cause: &str,
) -> Truth {
    let called = cluster[service].called();
    Truth::new(cluster, alert, service, hook.config.clone())
        .accept([cluster.reference(hook.backend), cluster.front_of(hook.backend)])
        .told(
            "A webhook keeps new pods out",
            &format!("{called} is not as it should be since about {} minutes.", -at / MIN),
            cause,
        )
        .mention(&["webhook", "admission"])
        .not_claim(&["OOM", "quota", "insufficient memory", "image pull", "dns failure", "taint"])
}

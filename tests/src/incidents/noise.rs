//! What is always going on in a cluster and has nothing to do with the story: strangers in other
//! namespaces, warnings that mean nothing, changes that did no harm, old failures.

use serde_json::json;

use super::{
    clock::{BEGIN, DAY, NOW, Sec},
    cluster::Cluster,
    dice::Dice,
    drawn::newer,
    event::Happening,
    object::{Edit, Ref},
    scaling::Scaler,
    traffic::Id,
    voice::{Runtime, Voice},
    workload::{Ended, Kind, State},
};

/// Adds noise drawn from the seed. `home` are the workloads of the story; those in `quiet` are
/// left alone.
pub fn add(cluster: &mut Cluster, quiet: &[Id]) {
    let mut dice = cluster.dice.fork("noise");
    let story: Vec<Id> = (0..cluster.workloads.len()).map(Id).collect();
    system(cluster);
    let strangers: Vec<Id> =
        (0..dice.between(2, 4)).map(|_| stranger(cluster, &mut dice)).collect();
    for id in story.iter().filter(|id| !quiet.contains(id)) {
        settings(cluster, *id, &mut dice);
        if dice.chance(0.15) && !cluster.settled {
            innocent(cluster, *id, &mut dice);
        }
    }
    for id in &strangers {
        settings(cluster, *id, &mut dice);
        if dice.chance(0.5) {
            innocent(cluster, *id, &mut dice);
        }
    }
    if let Some(id) = strangers.first() {
        let home = cluster[*id].namespace.clone();
        cluster.roomy_quota(&home);
        cluster.open_policy(&home);
        let scaler = Scaler::calm((1, 6), cluster[*id].replicas);
        let name = cluster[*id].name.clone();
        cluster.scaler(*id, &name, &scaler);
        if dice.chance(0.5) {
            old_job(cluster, *id, &mut dice);
        }
    }
    warnings(cluster, &strangers, &mut dice);
}

/// DNS and metrics, as everywhere.
fn system(cluster: &mut Cluster) {
    let has = |cluster: &Cluster, name: &str| cluster.workloads.iter().any(|w| w.name == name);
    if !has(cluster, "coredns") {
        cluster.dns();
    }
    if !has(cluster, "metrics-server") {
        let mut server = cluster.draft("kube-system", "metrics-server", Kind::Deployment);
        server.always(|template| {
            "registry.k8s.io/metrics-server/metrics-server".clone_into(&mut template.image);
            "v0.7.2".clone_into(&mut template.tag);
        });
        (server.runtime, server.voice, server.replicas) = (Runtime::Go, Voice::Klog, 1);
        server.routine = vec![
            "\"Scraped node\" node=\"n{n}\" duration=\"{ms}ms\"".to_owned(),
            "\"Storing metrics\" count={n}".to_owned(),
        ];
        cluster.add(server);
    }
}

impl Cluster {
    /// The cluster's DNS: Deployment, Service and its ConfigMap.
    pub fn dns(&mut self) -> Id {
        let mut dns = self.draft("kube-system", "coredns", Kind::Deployment);
        dns.always(|template| {
            "registry.k8s.io/coredns/coredns".clone_into(&mut template.image);
            "v1.11.3".clone_into(&mut template.tag);
            template.mount(
                "config-volume",
                "/etc/coredns",
                json!({"configMap": {"name": "coredns"}}),
            );
        });
        dns.labels = vec![("k8s-app".to_owned(), "kube-dns".to_owned())];
        (dns.runtime, dns.voice, dns.replicas, dns.port) = (Runtime::Go, Voice::Plain, 2, 53);
        "coredns".clone_into(&mut dns.container);
        let name = self.home();
        dns.routine = vec![format!(
            "[INFO] 10.244.1.{{n}}:4{{n}} - {{n}} \"A IN app.{name}.svc.cluster.local. udp 52 false 1232\" NOERROR qr,aa,rd 118 0.000{{n}}s"
        )];
        let front = super::workload::Front {
            name: "kube-dns".to_owned(),
            port: 53,
            target: json!(53),
            selector: None,
            edited: None,
        };
        dns.front = Some(front);
        let corefile = ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }\n    prometheus :9153\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n    cache 30\n    loop\n    reload\n    loadbalance\n}\n";
        self.config_map(("kube-system", "coredns"), &[("Corefile", corefile.to_owned())], &[]);
        self.add(dns)
    }
}

fn stranger(cluster: &mut Cluster, dice: &mut Dice) -> Id {
    let (space, name) = cluster.names.stranger();
    let id = cluster.service(&space, &name);
    let wanted = dice.below(2) + 1;
    cluster[id].replicas = wanted;
    cluster[id].pods.truncate(wanted);
    let rps = dice.range(0.4, 6.0);
    if let Some(station) = cluster.traffic.station(id) {
        station.rps = rps;
    }
    id
}

/// Settings of a workload, long as they are, or with an edit that did no harm.
fn settings(cluster: &mut Cluster, id: Id, dice: &mut Dice) {
    if !dice.chance(0.4) || cluster[id].kind != Kind::Deployment {
        return;
    }
    let (space, name) = (cluster[id].namespace.clone(), format!("{}-env", cluster[id].called()));
    if cluster.objects.holds(&Ref::new("ConfigMap", &space, &name)) {
        return;
    }
    let pairs = [
        ("LOG_LEVEL", dice.pick(&["info", "warn"]).to_owned()),
        ("REGION", dice.pick(&["eu-1", "north", "us-2"]).to_owned()),
        ("FEATURE_BANNER", dice.pick(&["on", "off"]).to_owned()),
        ("CACHE_TTL", format!("{}s", dice.between(10, 300))),
    ];
    let editor = cluster.habits.editor;
    let edits = if dice.chance(0.12) {
        vec![Edit::new(-dice.between(400, 2 * DAY), editor, &["f:data.f:FEATURE_BANNER"])]
    } else {
        Vec::new()
    };
    cluster.config_map((&space, &name), &pairs, &edits);
    cluster[id].always(|template| template.env_from_map(&name));
}

/// A rollout or a scaling that did no harm, before or after the fault; or a restart long ago.
fn innocent(cluster: &mut Cluster, id: Id, dice: &mut Dice) {
    let healthy = cluster[id].present().all(|pod| pod.ready(NOW) && pod.runs.is_empty());
    if cluster[id].kind != Kind::Deployment || !healthy {
        return;
    }
    let at: Sec = dice.between(BEGIN + 200, NOW - 150);
    match dice.below(3) {
        0 => {
            cluster.roll(id, at, |template| template.tag = newer(&template.tag));
        }
        1 => {
            let wanted = cluster[id].replicas + 1;
            cluster.scale(id, wanted, at);
        }
        _ => {
            let finished = -DAY * dice.between(2, 12);
            if let Some(pod) =
                cluster[id].pods.first_mut().filter(|pod| pod.created < finished - 4000)
            {
                pod.restarts = 1;
                pod.last = Some(Ended {
                    exit: 143,
                    reason: "Error",
                    message: String::new(),
                    started: pod.created + 3,
                    finished,
                });
                pod.state = State::Running(finished + 2);
                pod.ready_from = finished + 14;
            }
        }
    }
}

/// A Job of somebody else that failed days ago.
fn old_job(cluster: &mut Cluster, near: Id, dice: &mut Dice) {
    let space = cluster[near].namespace.clone();
    let name = format!("{}-cleanup-{}", cluster[near].name, dice.between(28_800_000, 29_200_000));
    let mut job = cluster.draft(&space, &name, Kind::Job);
    let at = -DAY * dice.between(3, 9);
    let clock = cluster.clock;
    job.created = at;
    job.revisions.iter_mut().for_each(|revision| revision.at = at);
    "cleanup".clone_into(&mut job.container);
    job.crash = vec![(
        super::voice::Level::Error,
        "cleanup failed: partition of last month is already gone".to_owned(),
        Vec::new(),
    )];
    job.job = Some(
        json!({"startTime": clock.rfc(at), "failed": 1, "conditions": [{"type": "Failed", "status": "True",
        "lastProbeTime": clock.rfc(at + 90), "lastTransitionTime": clock.rfc(at + 90), "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit"}]}),
    );
    let mut pod = cluster.pod(&job, 0, 0, at);
    pod.state = State::Over(Ended {
        exit: 1,
        reason: "Error",
        message: String::new(),
        started: at + 3,
        finished: at + 80,
    });
    (pod.ready_from, pod.ready_until) = (Sec::MAX, at + 80);
    job.pods = vec![pod];
    cluster.add(job);
}

/// Warnings that are always there.
fn warnings(cluster: &mut Cluster, strangers: &[Id], dice: &mut Dice) {
    if let Some(node) = cluster.nodes.first().map(|node| node.name.clone()) {
        let object = Ref::new("Node", "", &node);
        let message = "invalid capacity 0 on image filesystem".to_owned();
        let event = Happening::warning(object, "kubelet", "InvalidDiskCapacity", message);
        cluster.events.push(event.on(&node).at(dice.between(BEGIN, -600)));
    }
    for id in strangers {
        let workload = cluster[*id].clone();
        let at = dice.between(BEGIN, NOW - 60);
        match (dice.below(4), workload.pods.first()) {
            (0, Some(pod)) => {
                let message = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.20.0.2 10.20.0.3 10.20.0.4".to_owned();
                cluster.warn_pod(*id, pod, ("DNSConfigForming", message), (at, 600));
            }
            (1, _) => {
                let name = workload.called();
                let message = format!(
                    "Error updating Endpoint Slices for Service {name}: failed to update {name} EndpointSlice: Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again"
                );
                let object = cluster.front_of(*id);
                cluster.events.push(
                    Happening::warning(
                        object,
                        "endpoint-slice-controller",
                        "FailedToUpdateEndpointSlices",
                        message,
                    )
                    .at(at),
                );
            }
            (2, Some(pod)) => {
                let object = Ref::new("Pod", &workload.namespace, &pod.name);
                let message = format!(
                    "Readiness probe failed: Get \"http://{}:{}{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                    pod.ip, workload.port, cluster.habits.probe
                );
                let event = Happening::warning(object, "kubelet", "Unhealthy", message);
                cluster.events.push(event.on(&pod.node).of_container(&workload.container).at(at));
            }
            _ => {}
        }
    }
}

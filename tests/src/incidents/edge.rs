//! What stands between users and an application: an ingress controller, its class, and the
//! Ingress that leads to the gate.

use serde_json::{Value, json};

use super::{
    clock::{DAY, Sec},
    cluster::Cluster,
    object::{Edit, Ref},
    series::{Type, along},
    traffic::{Id, Peer},
    voice::{Runtime, Voice},
    workload::Kind,
};

/// The way from users to a gate.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The ingress controller.
    pub controller: Id,
    /// Its class.
    pub class: &'static str,
    /// Host that users ask for.
    pub host: String,
    /// Requests per second.
    pub rps: f64,
}

/// An Ingress with one rule: its name, its class, where it leads, and its TLS Secret if it has one.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// Name.
    pub name: &'a str,
    /// Class.
    pub class: &'a str,
    /// Host.
    pub host: &'a str,
    /// Path, for all below it.
    pub path: &'a str,
    /// Service and port: a number or a name.
    pub to: (&'a str, Value),
    /// Secret with the certificate; empty is none.
    pub tls: &'a str,
    /// Annotations.
    pub notes: Value,
}

impl Cluster {
    /// Lets the users of `gate` come through an ingress controller, with its class.
    pub fn edge(&mut self, gate: Id) -> Edge {
        let (space, name, class) = self.dice.pick(&[
            ("ingress-nginx", "ingress-nginx-controller", "nginx"),
            ("edge-system", "nginx-public", "public"),
            ("kube-ingress", "ingress-controller", "nginx-external"),
        ]);
        let host =
            format!("{}.{}.example", self.dice.pick(&["www", "app", "my", "api"]), self.names.firm);
        let mut draft = self.draft(space, name, Kind::Deployment);
        draft.always(|template| {
            "registry.k8s.io/ingress-nginx/controller".clone_into(&mut template.image);
            "v1.11.3".clone_into(&mut template.tag);
            template.command = ["/nginx-ingress-controller", &format!("--ingress-class={class}")]
                .map(str::to_owned)
                .to_vec();
        });
        (draft.runtime, draft.voice, draft.replicas) = (Runtime::Proxy, Voice::Plain, 2);
        "controller".clone_into(&mut draft.container);
        draft.instrumented = false;
        draft.port = 80;
        draft.routine = vec![self.line_of(gate, &host, 200)];
        let controller = self.add(draft);
        let rps =
            self.traffic.station(gate).map_or(20.0, |station| std::mem::take(&mut station.rps));
        self.traffic.stations.push(super::traffic::Station {
            id: controller,
            rps,
            latency: 1.0,
            harms: Vec::new(),
            surges: Vec::new(),
            capacity: 0.0,
        });
        self.call(controller, Peer::In(gate), true);
        for call in self.traffic.calls.iter_mut().filter(|call| call.from == controller) {
            (call.share, call.timeout) = (1.0, 60_000.0);
        }
        let made = self[controller].created;
        let meta = self.objects.meta(&Ref::new("IngressClass", "", class), made, &[]);
        self.objects.put(
            "IngressClass",
            meta,
            json!({"spec": {"controller": "k8s.io/ingress-nginx"}}),
        );
        Edge { controller, class, host, rps }
    }

    /// The controller's access line for a request to the application of `gate`.
    #[must_use]
    pub fn line_of(&self, gate: Id, host: &str, status: u16) -> String {
        let (front, space) = (self[gate].called(), &self[gate].namespace);
        let port = self[gate].front.as_ref().map_or(80, |front| front.port);
        let (upstream, answer) = if status == 200 {
            (format!("{space}-{front}-{port}"), "200")
        } else {
            (String::new(), "-")
        };
        json!({"remote_addr": "203.0.113.{n}", "host": host, "request": "GET /v1/items/{n} HTTP/1.1",
            "status": status, "body_bytes_sent": 190, "proxy_upstream_name": upstream,
            "upstream_status": answer, "req_id": "{id}"})
        .to_string()
    }

    /// A line as the controller's own code writes it.
    #[must_use]
    pub fn klog(&self, at: Sec, letter: char, (file, text): (&str, &str)) -> String {
        let moment = self.clock.moment(at, 417_000_000);
        let civil = moment.civil();
        format!(
            "{letter}{:02}{:02} {}.417000       7 {file}] {text}",
            civil.month,
            civil.day,
            civil.time()
        )
    }

    /// An Ingress made long ago and changed by `edits` since.
    pub fn ingress(&mut self, space: &str, way: &Way<'_>, edits: &[Edit]) -> Ref {
        let made = -DAY * self.dice.between(60, 300);
        let mut whole = vec![Edit::new(
            made,
            self.habits.deployer,
            &["f:spec.f:rules", "f:spec.f:ingressClassName"],
        )];
        whole.extend(edits.iter().cloned());
        let named = Ref::new("Ingress", space, way.name);
        let mut meta = self.objects.meta(&named, made, &whole);
        meta.insert("annotations".into(), way.notes.clone());
        let port = if way.to.1.is_number() {
            json!({"number": way.to.1})
        } else {
            json!({"name": way.to.1})
        };
        let backend = json!({"service": {"name": way.to.0, "port": port}});
        let mut spec = json!({"ingressClassName": way.class, "rules": [{"host": way.host, "http": {"paths":
            [{"path": way.path, "pathType": "Prefix", "backend": backend}]}}]});
        if let (Value::Object(spec), false) = (&mut spec, way.tls.is_empty()) {
            spec.insert("tls".into(), json!([{"hosts": [way.host], "secretName": way.tls}]));
        }
        let status = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.24"}]}});
        self.objects.put("Ingress", meta, json!({"spec": spec, "status": status}));
        named
    }

    /// Requests as the controller counts them, by status over time, for the Ingress `way`.
    pub fn edge_counts(
        &mut self,
        (space, way): (&str, &Way<'_>),
        counts: &[(u16, Vec<(Sec, f64)>)],
    ) {
        let start = self.dice.range(50_000.0, 400_000.0);
        for (status, points) in counts {
            let status = status.to_string();
            let pairs = [
                ("host", way.host),
                ("ingress", way.name),
                ("namespace", space),
                ("status", status.as_str()),
            ];
            let name = "nginx_ingress_controller_requests";
            let first = if points.first().is_some_and(|point| point.1 > 0.0) { start } else { 0.0 };
            self.metrics.growing((name, Type::Unknown, name), &pairs, first, &along(points));
        }
    }
}

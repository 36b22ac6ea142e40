//! Workloads as they would look without a story: language, layout of logs, resources, labels,
//! image, history and pods drawn from the seed.

use serde_json::json;

use super::{
    clock::{DAY, Sec},
    cluster::Cluster,
    dice::count,
    node::Machine,
    traffic::{Id, Station},
    voice,
    workload::{Front, Kind, Pod, Revision, State, Template, Workload},
};

impl Cluster {
    /// A stateless service with a Deployment, pods and a Service, serving requests.
    pub fn service(&mut self, namespace: &str, name: &str) -> Id {
        let end = self.dice.pick(&["", "", "", "-server", "-web", "-main", "-deployment"]);
        let mut workload = self.draft(namespace, &format!("{name}{end}"), Kind::Deployment);
        workload.port = self.dice.pick(&[8080, 8080, 3000, 8000, 9000, 5000]);
        workload.front = Some(self.front(name, workload.port));
        let (path, port) = (self.habits.probe, workload.port);
        workload.always(|template| {
            let probe = |delay: i64, period: i64| {
                json!({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, "initialDelaySeconds": delay,
                    "timeoutSeconds": 1, "periodSeconds": period, "successThreshold": 1, "failureThreshold": 3})
            };
            template.readiness = Some(probe(5, 10));
            template.liveness = Some(probe(15, 20));
        });
        let id = self.add(workload);
        let latency = self.dice.range(6.0, 60.0);
        self.traffic.stations.push(Station {
            id,
            rps: 0.0,
            latency,
            harms: Vec::new(),
            surges: Vec::new(),
            capacity: 0.0,
        });
        id
    }

    /// A worker with a Deployment and pods, but without Service and requests.
    pub fn worker(&mut self, namespace: &str, name: &str) -> Id {
        let workload = self.draft(namespace, name, Kind::Deployment);
        self.add(workload)
    }

    /// A workload as it would look without a story: drawn, not yet added. Give it to
    /// [`Cluster::add`] when it is as you want it.
    pub fn draft(&mut self, namespace: &str, name: &str, kind: Kind) -> Workload {
        let dice = &mut self.dice;
        let (runtime, voice) = voice::draw(dice);
        let replicas = match kind {
            Kind::Job => 1,
            Kind::DaemonSet => self.nodes.len(),
            Kind::Deployment | Kind::StatefulSet => dice.pick(&[2, 2, 3, 3, 4]),
        };
        let created = -DAY * dice.between(40, 400) - dice.between(0, DAY);
        let template = self.template(name);
        let dice = &mut self.dice;
        let past = -DAY * dice.between(3, 35) - dice.between(0, DAY);
        let older = Template { tag: older(&template.tag), ..template.clone() };
        let deployer = self.habits.deployer;
        let mut revisions =
            vec![Revision { at: created, by: deployer, template: older, hash: dice.ending(10) }];
        if kind != Kind::Job {
            revisions.push(Revision { at: past, by: deployer, template, hash: dice.ending(10) });
        }
        Workload {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            container: if dice.chance(0.8) {
                name.to_owned()
            } else {
                dice.pick(&["app", "main", "server"]).to_owned()
            },
            labels: labels(self.habits.labels, name, namespace),
            replicas,
            created,
            revisions,
            runtime,
            voice,
            routine: super::talk::routine(name, &mut self.dice),
            cpu_used: self.dice.range(30.0, 140.0),
            memory_used: self.dice.range(90.0, 210.0),
            instrumented: true,
            logged: true,
            ..Workload::default()
        }
    }

    fn template(&mut self, name: &str) -> Template {
        let dice = &mut self.dice;
        let tag = match dice.below(5) {
            0 => dice.hex(7),
            1 => format!("v{}.{}.{}", dice.between(1, 9), dice.between(0, 40), dice.between(0, 12)),
            2 => format!("2025.{}.{}", dice.between(1, 12), dice.between(1, 90)),
            3 => format!("main-{}", dice.between(1200, 9800)),
            _ => format!("{}.{}.{}", dice.between(1, 9), dice.between(0, 40), dice.between(0, 12)),
        };
        let memory_limit = dice.pick(&[384, 512, 512, 768, 1024]);
        Template {
            image: format!("{}/{name}", self.names.registry),
            tag,
            env: vec![json!({"name": "LOG_LEVEL", "value": "info"})],
            cpu_request: dice.pick(&[100, 150, 200, 250]),
            cpu_limit: dice.pick(&[0, 500, 1000, 1000]),
            memory_request: memory_limit / 2,
            memory_limit,
            ..Template::default()
        }
    }

    fn front(&mut self, name: &str, port: i64) -> Front {
        let target = if self.dice.chance(0.5) { json!("http") } else { json!(port) };
        let port = if self.dice.chance(0.7) { 80 } else { port };
        Front { name: name.to_owned(), port, target, selector: None, edited: None }
    }

    /// Adds a drafted workload, with running pods where it has none yet.
    pub fn add(&mut self, mut workload: Workload) -> Id {
        let newest = workload.revisions.len().saturating_sub(1);
        let since = workload.revisions.last().map_or(workload.created, |revision| revision.at);
        if workload.pods.is_empty() && workload.kind != Kind::Job {
            for number in 0..workload.replicas {
                let pod = self.pod(&workload, number, newest, since + 4 * count(number));
                workload.pods.push(pod);
            }
        }
        self.workloads.push(workload);
        Id(self.workloads.len() - 1)
    }

    /// A pod that started well at `created` and became ready.
    pub fn pod(
        &mut self,
        workload: &Workload,
        number: usize,
        revision: usize,
        created: Sec,
    ) -> Pod {
        let hash = workload.revisions.get(revision).map(|r| r.hash.clone()).unwrap_or_default();
        let ending = self.dice.ending(5);
        let name = match workload.kind {
            Kind::Deployment => format!("{}-{hash}-{ending}", workload.name),
            Kind::StatefulSet => format!("{}-{number}", workload.name),
            Kind::DaemonSet | Kind::Job => format!("{}-{ending}", workload.name),
        };
        let everywhere = workload.kind == Kind::DaemonSet;
        // The scheduler leaves out what is ill, cordoned or tainted, if anything else is left.
        let fit = |node: &&Machine| everywhere || node.takes_pods();
        let names = |nodes: Vec<&Machine>| nodes.iter().map(|node| node.name.clone()).collect();
        let mut nodes: Vec<String> = names(self.nodes.iter().filter(fit).collect());
        if nodes.is_empty() {
            nodes = names(self.nodes.iter().collect());
        }
        let shift = if everywhere { 0 } else { self.dice.below(nodes.len()) };
        let place = (number + shift) % nodes.len().max(1);
        let node = nodes.get(place).cloned().unwrap_or_default();
        Pod {
            name,
            uid: self.dice.uid(),
            node,
            ip: self.address(),
            created,
            revision,
            state: State::Running(created + 3),
            ready_from: created + 3 + self.dice.between(6, 14),
            ready_until: Sec::MAX,
            restarts: 0,
            last: None,
            runs: Vec::new(),
            warm: None,
            lost: None,
            memory: Vec::new(),
            gone: None,
        }
    }
}

fn labels(habit: usize, name: &str, namespace: &str) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    match habit {
        0 => vec![pair("app", name)],
        1 => vec![
            pair("app.kubernetes.io/name", name),
            pair("app.kubernetes.io/instance", namespace),
        ],
        2 => vec![pair("k8s-app", name)],
        _ => vec![pair("app", name), pair("component", "server")],
    }
}

/// A tag that might have come before `tag`.
fn older(tag: &str) -> String {
    match tag.rsplit_once(['.', '-']) {
        Some((head, last)) => {
            let mark = tag.get(head.len()..=head.len()).unwrap_or(".");
            let number = last.parse::<i64>().unwrap_or(7);
            if number > 0 {
                format!("{head}{mark}{}", number - 1)
            } else {
                format!("{head}{mark}0-rc2")
            }
        }
        None => super::object::digest(tag).get(..7).unwrap_or_default().to_owned(),
    }
}

/// A tag that might come after `tag`.
#[must_use]
pub fn newer(tag: &str) -> String {
    match tag.rsplit_once(['.', '-']) {
        Some((head, last)) => {
            let mark = tag.get(head.len()..=head.len()).unwrap_or(".");
            format!("{head}{mark}{}", last.parse::<i64>().unwrap_or(1) + 1)
        }
        None => super::object::digest(&format!("{tag}+")).get(..7).unwrap_or_default().to_owned(),
    }
}

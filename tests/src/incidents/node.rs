//! Nodes and their metrics.

use serde_json::{Map, Value, json};

use super::{
    clock::{DAY, NOW, Sec},
    dice::{Dice, count},
    kubelet::host_ip,
    object::{Objects, Ref},
    words::Names,
};

/// A condition of a node that is not as it should be.
#[derive(Debug, Clone)]
pub struct Ill {
    /// Type, such as `DiskPressure` or `Ready`.
    pub kind: &'static str,
    /// Status: `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Reason.
    pub reason: &'static str,
    /// Message.
    pub message: String,
    /// Since when.
    pub since: Sec,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Name.
    pub name: String,
    /// Zone.
    pub zone: String,
    /// CPU cores.
    pub cores: i64,
    /// Memory in GiB.
    pub memory: i64,
    /// Taints: key, value, effect.
    pub taints: Vec<(String, String, &'static str)>,
    /// Further labels.
    pub labels: Vec<(String, String)>,
    /// Whether it is cordoned.
    pub cordoned: bool,
    /// Conditions that are not as they should be.
    pub ills: Vec<Ill>,
    /// Share of its disk that is free over time, where it is not as usual.
    pub disk_free: Vec<(Sec, f64)>,
    /// Share of its memory that is available over time, where it is not as usual.
    pub memory_free: Vec<(Sec, f64)>,
    /// When its metrics ended, if they did.
    pub silent: Option<Sec>,
    /// Last word of its kubelet.
    pub heartbeat: Sec,
}

impl Machine {
    /// Whether an ordinary new pod may be put there.
    #[must_use]
    pub fn takes_pods(&self) -> bool {
        self.taints.is_empty() && self.ills.is_empty() && !self.cordoned
    }
}

/// Draws three to six nodes with the naming of one provider.
#[must_use]
pub fn draw(names: &mut Names, dice: &mut Dice) -> Vec<Machine> {
    let style = dice.below(5);
    let tree = names.tree();
    let region = dice.pick(&[
        "eu-central-1",
        "europe-west4",
        "westeurope",
        "us-east-2",
        "ap-south-1",
        "dc-north",
    ]);
    let pool = dice.hex(8);
    let (cores, memory) = dice.pick(&[(4, 16), (8, 32), (8, 64), (16, 64)]);
    (0..dice.between(3, 6))
        .map(|number| {
            let name = match style {
                0 => format!(
                    "ip-10-{}-{}-{}.{region}.compute.internal",
                    dice.between(0, 40),
                    dice.between(0, 250),
                    dice.between(4, 250)
                ),
                1 => format!("gke-{tree}-pool-1-{pool}-{}", dice.ending(4)),
                2 => format!("aks-nodepool1-{}-vmss00000{number}", 30_112_000 + count(pool.len())),
                3 => format!("{tree}-n{}", number + 1),
                _ => format!("worker-{:02}.{tree}.example", number + 1),
            };
            let zone = format!(
                "{region}{}",
                ["a", "b", "c"]
                    .iter()
                    .cycle()
                    .nth(usize::try_from(number).unwrap_or(0))
                    .unwrap_or(&"a")
            );
            Machine {
                name,
                zone,
                cores,
                memory,
                taints: Vec::new(),
                labels: Vec::new(),
                cordoned: false,
                ills: Vec::new(),
                disk_free: Vec::new(),
                memory_free: Vec::new(),
                silent: None,
                heartbeat: NOW - dice.between(2, 40),
            }
        })
        .collect()
}

/// Writes down a node.
pub fn write(objects: &mut Objects, machine: &Machine) {
    let clock = objects.clock();
    let made = -DAY * 120;
    let mut meta = objects.meta(&Ref::new("Node", "", &machine.name), made, &[]);
    let mut labels = Map::new();
    let region = machine.zone.get(..machine.zone.len().saturating_sub(1)).unwrap_or_default();
    for (key, value) in [
        ("kubernetes.io/hostname", machine.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("topology.kubernetes.io/zone", &machine.zone),
        ("topology.kubernetes.io/region", region),
    ] {
        labels.insert(key.into(), json!(value));
    }
    labels.extend(machine.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    meta.insert("labels".into(), Value::Object(labels));
    let mut spec = Map::new();
    let mut taints: Vec<Value> = machine
        .taints
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    if machine.cordoned {
        spec.insert("unschedulable".into(), json!(true));
        taints.push(json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}));
    }
    if !taints.is_empty() {
        spec.insert("taints".into(), Value::Array(taints));
    }
    let conditions: Vec<Value> = [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "KubeletReady", "kubelet is posting ready status"),
    ]
    .into_iter()
    .map(|(kind, reason, message)| {
        let beat = clock.rfc(machine.heartbeat);
        match machine.ills.iter().find(|ill| ill.kind == kind) {
            Some(ill) => json!({"type": kind, "status": ill.status, "lastHeartbeatTime": beat,
                "lastTransitionTime": clock.rfc(ill.since), "reason": ill.reason, "message": ill.message}),
            None => json!({"type": kind, "status": if kind == "Ready" { "True" } else { "False" },
                "lastHeartbeatTime": beat, "lastTransitionTime": clock.rfc(made + 40),
                "reason": reason, "message": message}),
        }
    })
    .collect();
    let (cpu, memory) = (machine.cores, machine.memory * 1024 * 1024);
    objects.put("Node", meta, json!({"spec": spec, "status": {
        "capacity": {"cpu": cpu.to_string(), "memory": format!("{memory}Ki"), "pods": "110", "ephemeral-storage": "102350Mi"},
        "allocatable": {"cpu": format!("{}m", cpu * 1000 - 110), "memory": format!("{}Ki", memory - 1_100_000), "pods": "110", "ephemeral-storage": "94311Mi"},
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": host_ip(&machine.name)}, {"type": "Hostname", "address": machine.name}],
        "nodeInfo": {"kernelVersion": "6.1.0-28-amd64", "osImage": "Debian GNU/Linux 12 (bookworm)",
            "containerRuntimeVersion": "containerd://1.7.24", "kubeletVersion": "v1.31.4",
            "operatingSystem": "linux", "architecture": "amd64"}}}));
}

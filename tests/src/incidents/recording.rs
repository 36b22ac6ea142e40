//! A story written down: objects, logs and metrics as files, and the truth beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    cluster::Cluster, controllers, event, gauges, kubelet, node, red, talk, traffic::Id,
    truth::Truth,
};

/// An incident as files, not yet on disk.
#[derive(Debug)]
pub struct Incident {
    /// Name, such as `g17-image_pull_failure-missing_tag`.
    pub id: String,
    /// Alert and truth.
    pub scenario: Value,
    /// Objects by the file's name without ending.
    pub objects: BTreeMap<String, Vec<Value>>,
    /// Logs by path below `logs/`.
    pub logs: BTreeMap<String, String>,
    /// OpenMetrics text; none where metrics are missing.
    pub metrics: Option<String>,
    /// Truth as the form told it.
    pub truth: Truth,
}

/// Writes a finished cluster down.
#[must_use]
pub fn record(
    mut cluster: Cluster,
    truth: Truth,
    (id, category): (String, &'static str),
) -> Incident {
    let spaces: BTreeSet<String> = cluster
        .workloads
        .iter()
        .map(|w| w.namespace.clone())
        .chain(["default".to_owned()])
        .collect();
    for space in &spaces {
        cluster.objects.namespace(space);
    }
    for machine in cluster.nodes.clone() {
        node::write(&mut cluster.objects, &machine);
    }
    let workloads = std::mem::take(&mut cluster.workloads);
    for workload in &workloads {
        controllers::write(&mut cluster.objects, workload);
        cluster.events.extend(workload.pods.iter().flat_map(|pod| kubelet::life(workload, pod)));
    }
    cluster.workloads = workloads;
    for place in 0..cluster.workloads.len() {
        let said = cluster.comings(Id(place));
        cluster.events.extend(said);
    }
    if !cluster.lacks.events {
        for happening in std::mem::take(&mut cluster.events) {
            let modern = cluster.habits.modern && happening.by == "default-scheduler";
            event::write(&mut cluster.objects, &happening, modern);
        }
    }
    let mut chance = cluster.dice.fork("traffic");
    let played = cluster.traffic.play(&cluster.workloads, &mut chance);
    let metrics = (!cluster.lacks.metrics).then(|| {
        let mut metrics = std::mem::take(&mut cluster.metrics);
        gauges::write(&cluster, &played, &mut metrics, &mut chance);
        red::write(&cluster, &played, &mut metrics, &mut chance);
        metrics.text(cluster.clock)
    });
    let logs = if cluster.lacks.logs {
        BTreeMap::new()
    } else {
        talk::write(&cluster, &played, &cluster.dice.fork("logs"))
    };
    let scenario = truth.value((&id, category), cluster.clock, &cluster.lacks.faults);
    Incident { id, scenario, objects: cluster.objects.lists().clone(), logs, metrics, truth }
}

impl Incident {
    /// Writes the files into a folder of its own below `dir`, and gives that folder.
    ///
    /// # Errors
    /// If a folder or file cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<PathBuf> {
        let home = dir.join(&self.id);
        fs::create_dir_all(home.join("kube"))?;
        let mut scenario = format!("{:#}", self.scenario);
        scenario.push('\n');
        fs::write(home.join("scenario.json"), scenario)?;
        for (kind, list) in &self.objects {
            // The text is made inside of serde_json, which is optimised in every build.
            let text: Vec<String> = list.iter().map(Value::to_string).collect();
            fs::write(
                home.join("kube").join(format!("{kind}.json")),
                format!("[\n{}\n]\n", text.join(",\n")),
            )?;
        }
        for (path, text) in &self.logs {
            let path = home.join("logs").join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        if let Some(metrics) = &self.metrics {
            fs::write(home.join("metrics.om"), metrics)?;
        }
        Ok(home)
    }
}

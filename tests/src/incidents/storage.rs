//! Claims, volumes and classes, and StatefulSets that use them.

use serde_json::{Value, json};

use super::{
    clock::{DAY, Sec},
    cluster::Cluster,
    object::{Edit, Ref},
    series::along,
    traffic::{Id, Station},
    voice::{Runtime, Voice},
    workload::{Front, Kind},
};

/// What a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Store {
    #[default]
    Postgres,
    Mysql,
    Redis,
    Kafka,
    Rabbit,
    Mongo,
}

impl Store {
    /// Image, port, layout of log lines, and routine lines.
    #[must_use]
    pub fn nature(self) -> (&'static str, i64, Voice, &'static [&'static str]) {
        match self {
            Self::Postgres => (
                "postgres:16.4",
                5432,
                Voice::Postgres,
                &[
                    "checkpoint starting: time",
                    "checkpoint complete: wrote {n} buffers (0.4%); 0 WAL file(s) added, 0 removed, 1 recycled",
                    "automatic vacuum of table \"app.public.items\": index scans: 1",
                ],
            ),
            Self::Mysql => (
                "mysql:8.4",
                3306,
                Voice::Mysql,
                &[
                    "Buffer pool(s) load completed at {n}",
                    "page_cleaner: 1000ms intended loop took {ms}ms",
                ],
            ),
            Self::Redis => (
                "redis:7.4",
                6379,
                Voice::Redis,
                &[
                    "{n} changes in 60 seconds. Saving...",
                    "Background saving terminated with success",
                    "DB saved on disk",
                ],
            ),
            Self::Kafka => (
                "bitnami/kafka:3.8",
                9092,
                Voice::Kafka,
                &[
                    "[GroupCoordinator 1]: Preparing to rebalance group",
                    "Rolled new log segment at offset {n} in {ms} ms.",
                    "Deleted segment files for topic partition",
                ],
            ),
            Self::Rabbit => (
                "rabbitmq:3.13-management",
                5672,
                Voice::Rabbit,
                &["accepting AMQP connection <0.{n}.0>", "connection <0.{n}.0> closed normally"],
            ),
            Self::Mongo => (
                "mongo:7.0",
                27017,
                Voice::Mongo,
                &["Connection accepted", "Connection ended", "WiredTiger message checkpoint {n}"],
            ),
        }
    }
}

impl Cluster {
    /// A store with a StatefulSet, a Service and bound claims of `size` GiB.
    pub fn store(
        &mut self,
        namespace: &str,
        name: &str,
        (store, replicas, size): (Store, usize, i64),
    ) -> Id {
        let class = format!(
            "{}-{}",
            self.names.tree(),
            self.dice.pick(&["ssd", "block", "nvme", "standard"])
        );
        self.storage_class(&class, "WaitForFirstConsumer", true);
        let (image, port, voice, routine) = store.nature();
        let mut workload = self.draft(namespace, name, Kind::StatefulSet);
        let (image, tag) = image.split_once(':').unwrap_or((image, "latest"));
        workload.always(|template| {
            image.clone_into(&mut template.image);
            tag.clone_into(&mut template.tag);
            template.memory_limit = 2048;
            template.memory_request = 1024;
            template.cpu_limit = 2000;
            template.cpu_request = 500;
            template.mounts.push(json!({"name": "data", "mountPath": "/var/lib/data"}));
        });
        workload.replicas = replicas;
        (workload.runtime, workload.voice, workload.port) = (Runtime::Store, voice, port);
        workload.routine = routine.iter().map(|&line| line.to_owned()).collect();
        workload.front = Some(Front {
            name: name.to_owned(),
            port,
            target: json!(port),
            selector: None,
            edited: None,
        });
        workload.instrumented = false;
        workload.memory_used = 700.0;
        workload.claims = vec![
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "creationTimestamp": null},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": format!("{size}Gi")}},
            "storageClassName": class, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
        ];
        let made = workload.created;
        for number in 0..replicas {
            let claim = format!("data-{name}-{number}");
            self.bound_claim(
                Ref::new("PersistentVolumeClaim", namespace, &claim),
                (&class, size),
                made,
            );
        }
        let id = self.add(workload);
        self.traffic.stations.push(Station {
            id,
            rps: 0.0,
            latency: 3.0,
            harms: Vec::new(),
            surges: Vec::new(),
            capacity: 0.0,
        });
        id
    }

    /// A storage class.
    pub fn storage_class(&mut self, name: &str, binding: &str, default: bool) {
        let mut meta = self.objects.meta(&Ref::new("StorageClass", "", name), -DAY * 300, &[]);
        if default {
            meta.insert(
                "annotations".into(),
                json!({"storageclass.kubernetes.io/is-default-class": "true"}),
            );
        }
        let driver = self.provisioner();
        self.objects.put(
            "StorageClass",
            meta,
            json!({"provisioner": driver, "reclaimPolicy": "Delete",
            "volumeBindingMode": binding, "allowVolumeExpansion": true}),
        );
    }

    /// The driver that makes volumes in this cluster.
    #[must_use]
    pub fn provisioner(&self) -> &'static str {
        match self.nodes.first().map(|node| node.name.get(..3).unwrap_or_default()) {
            Some("ip-") => "ebs.csi.aws.com",
            Some("gke") => "pd.csi.storage.gke.io",
            Some("aks") => "disk.csi.azure.com",
            _ => "rook-ceph.rbd.csi.ceph.com",
        }
    }

    /// A claim with its volume, bound since `made`.
    pub fn bound_claim(&mut self, claim: Ref, (class, size): (&str, i64), made: Sec) {
        let meta = self.objects.meta(
            &claim,
            made,
            &[Edit::new(made, "kube-controller-manager", &["f:spec.f:volumeName"])],
        );
        let uid = meta.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let volume = format!("pvc-{uid}");
        let capacity = json!({"storage": format!("{size}Gi")});
        let modes = json!(["ReadWriteOnce"]);
        self.objects.put("PersistentVolumeClaim", meta, json!({"spec": {"accessModes": modes,
            "resources": {"requests": capacity}, "storageClassName": class, "volumeMode": "Filesystem",
            "volumeName": volume}, "status": {"phase": "Bound", "accessModes": modes, "capacity": capacity}}));
        let meta = self.objects.meta(&Ref::new("PersistentVolume", "", &volume), made, &[]);
        let driver = self.provisioner();
        self.objects.put("PersistentVolume", meta, json!({"spec": {"capacity": capacity, "accessModes": modes,
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": claim.namespace, "name": claim.name, "uid": uid},
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": class, "volumeMode": "Filesystem",
            "csi": {"driver": driver, "volumeHandle": volume}}, "status": {"phase": "Bound"}}));
    }

    /// What the kubelet measures of a claim's volume of `size` GiB: `used` is the share of it that
    /// is full over time.
    pub fn volume_stats(&mut self, claim: &Ref, size: i64, used: &[(Sec, f64)]) {
        let pairs =
            [("namespace", claim.namespace.as_str()), ("persistentvolumeclaim", &claim.name)];
        let whole = size as f64 * 1_073_741_824.0;
        let free = along(used).into_iter().map(|share| (whole * (1.0 - share)).max(0.0)).collect();
        self.metrics.constant("kubelet_volume_stats_capacity_bytes", &pairs, whole);
        self.metrics.gauge("kubelet_volume_stats_available_bytes", &pairs, free);
    }

    /// A claim that waits since `made`. `class` empty is no class at all.
    pub fn pending_claim(&mut self, claim: &Ref, (class, size): (&str, i64), made: Sec) {
        let meta = self.objects.meta(
            claim,
            made,
            &[Edit::new(made, "kube-controller-manager", &["f:spec"])],
        );
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": format!("{size}Gi")}}});
        if let (false, Some(spec)) = (class.is_empty(), spec.as_object_mut()) {
            spec.insert("storageClassName".into(), json!(class));
        }
        self.objects.put(
            "PersistentVolumeClaim",
            meta,
            json!({"spec": spec, "status": {"phase": "Pending"}}),
        );
    }
}

//! The kinds of object the plugins ask for. Not every kind of the API: a recording may hold
//! more, and what nobody asks for is not read.

/// A kind of Kubernetes object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the Kubernetes API")]
pub enum Kind {
    Pod,
    Node,
    Event,
    Service,
    Endpoints,
    EndpointSlice,
    ConfigMap,
    Secret,
    Namespace,
    ServiceAccount,
    PersistentVolumeClaim,
    PersistentVolume,
    StorageClass,
    VolumeAttachment,
    PriorityClass,
    Lease,
    ResourceQuota,
    LimitRange,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    ControllerRevision,
    Job,
    CronJob,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    NetworkPolicy,
    Ingress,
    IngressClass,
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
    Certificate,
    ValidatingWebhookConfiguration,
    MutatingWebhookConfiguration,
}

const TABLE: [(Kind, &str, &str); 37] = [
    (Kind::Pod, "Pod", "pods"),
    (Kind::Node, "Node", "nodes"),
    (Kind::Event, "Event", "events"),
    (Kind::Service, "Service", "services"),
    (Kind::Endpoints, "Endpoints", "endpoints"),
    (Kind::EndpointSlice, "EndpointSlice", "endpointslices"),
    (Kind::ConfigMap, "ConfigMap", "configmaps"),
    (Kind::Secret, "Secret", "secrets"),
    (Kind::Namespace, "Namespace", "namespaces"),
    (Kind::ServiceAccount, "ServiceAccount", "serviceaccounts"),
    (Kind::PersistentVolumeClaim, "PersistentVolumeClaim", "persistentvolumeclaims"),
    (Kind::PersistentVolume, "PersistentVolume", "persistentvolumes"),
    (Kind::StorageClass, "StorageClass", "storageclasses"),
    (Kind::VolumeAttachment, "VolumeAttachment", "volumeattachments"),
    (Kind::PriorityClass, "PriorityClass", "priorityclasses"),
    (Kind::Lease, "Lease", "leases"),
    (Kind::ResourceQuota, "ResourceQuota", "resourcequotas"),
    (Kind::LimitRange, "LimitRange", "limitranges"),
    (Kind::Deployment, "Deployment", "deployments"),
    (Kind::ReplicaSet, "ReplicaSet", "replicasets"),
    (Kind::StatefulSet, "StatefulSet", "statefulsets"),
    (Kind::DaemonSet, "DaemonSet", "daemonsets"),
    (Kind::ControllerRevision, "ControllerRevision", "controllerrevisions"),
    (Kind::Job, "Job", "jobs"),
    (Kind::CronJob, "CronJob", "cronjobs"),
    (Kind::HorizontalPodAutoscaler, "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    (Kind::PodDisruptionBudget, "PodDisruptionBudget", "poddisruptionbudgets"),
    (Kind::NetworkPolicy, "NetworkPolicy", "networkpolicies"),
    (Kind::Ingress, "Ingress", "ingresses"),
    (Kind::IngressClass, "IngressClass", "ingressclasses"),
    (Kind::Role, "Role", "roles"),
    (Kind::ClusterRole, "ClusterRole", "clusterroles"),
    (Kind::RoleBinding, "RoleBinding", "rolebindings"),
    (Kind::ClusterRoleBinding, "ClusterRoleBinding", "clusterrolebindings"),
    // Of cert-manager.io; a recording seldom has others of that name.
    (Kind::Certificate, "Certificate", "certificates"),
    (
        Kind::ValidatingWebhookConfiguration,
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    (
        Kind::MutatingWebhookConfiguration,
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
];

impl Kind {
    /// What a person deploys: the objects that own pods and are owned by nobody.
    pub const WORKLOADS: [Self; 5] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Job];

    /// The kind as objects spell it, such as `ConfigMap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// The kind as the API's paths and permissions spell it, such as `configmaps`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        TABLE.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., plural)| plural)
    }

    /// The kind that an object's `kind` names, when it is one of ours.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }

    /// The kind that a recording's file is named after: `configmap` or `configmaps`.
    pub(crate) fn named_by_file(stem: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(_, name, plural)| *plural == stem || name.eq_ignore_ascii_case(stem))
            .map(|(kind, ..)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_itself_by_its_name() {
        for (kind, name, plural) in TABLE {
            assert_eq!(Kind::of(name), Some(kind));
            assert_eq!((kind.name(), kind.plural()), (name, plural));
        }
        assert_eq!(Kind::of("Widget"), None);
    }
}

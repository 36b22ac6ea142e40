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

// Where the API serves them, in the versions that are stable since Kubernetes 1.23 or earlier.
const CORE: &str = "api/v1";
const DISCOVERY: &str = "apis/discovery.k8s.io/v1";
const STORAGE: &str = "apis/storage.k8s.io/v1";
const SCHEDULING: &str = "apis/scheduling.k8s.io/v1";
const COORDINATION: &str = "apis/coordination.k8s.io/v1";
const APPS: &str = "apis/apps/v1";
const BATCH: &str = "apis/batch/v1";
const AUTOSCALING: &str = "apis/autoscaling/v2";
const POLICY: &str = "apis/policy/v1";
const NETWORKING: &str = "apis/networking.k8s.io/v1";
const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";
const CERT_MANAGER: &str = "apis/cert-manager.io/v1";
const ADMISSION: &str = "apis/admissionregistration.k8s.io/v1";

/// Kind, its name, its plural, where it is served, whether it lies in namespaces.
type Row = (Kind, &'static str, &'static str, &'static str, bool);

const TABLE: [Row; 37] = [
    (Kind::Pod, "Pod", "pods", CORE, true),
    (Kind::Node, "Node", "nodes", CORE, false),
    (Kind::Event, "Event", "events", CORE, true),
    (Kind::Service, "Service", "services", CORE, true),
    (Kind::Endpoints, "Endpoints", "endpoints", CORE, true),
    (Kind::EndpointSlice, "EndpointSlice", "endpointslices", DISCOVERY, true),
    (Kind::ConfigMap, "ConfigMap", "configmaps", CORE, true),
    (Kind::Secret, "Secret", "secrets", CORE, true),
    (Kind::Namespace, "Namespace", "namespaces", CORE, false),
    (Kind::ServiceAccount, "ServiceAccount", "serviceaccounts", CORE, true),
    (Kind::PersistentVolumeClaim, "PersistentVolumeClaim", "persistentvolumeclaims", CORE, true),
    (Kind::PersistentVolume, "PersistentVolume", "persistentvolumes", CORE, false),
    (Kind::StorageClass, "StorageClass", "storageclasses", STORAGE, false),
    (Kind::VolumeAttachment, "VolumeAttachment", "volumeattachments", STORAGE, false),
    (Kind::PriorityClass, "PriorityClass", "priorityclasses", SCHEDULING, false),
    (Kind::Lease, "Lease", "leases", COORDINATION, true),
    (Kind::ResourceQuota, "ResourceQuota", "resourcequotas", CORE, true),
    (Kind::LimitRange, "LimitRange", "limitranges", CORE, true),
    (Kind::Deployment, "Deployment", "deployments", APPS, true),
    (Kind::ReplicaSet, "ReplicaSet", "replicasets", APPS, true),
    (Kind::StatefulSet, "StatefulSet", "statefulsets", APPS, true),
    (Kind::DaemonSet, "DaemonSet", "daemonsets", APPS, true),
    (Kind::ControllerRevision, "ControllerRevision", "controllerrevisions", APPS, true),
    (Kind::Job, "Job", "jobs", BATCH, true),
    (Kind::CronJob, "CronJob", "cronjobs", BATCH, true),
    (
        Kind::HorizontalPodAutoscaler,
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        AUTOSCALING,
        true,
    ),
    (Kind::PodDisruptionBudget, "PodDisruptionBudget", "poddisruptionbudgets", POLICY, true),
    (Kind::NetworkPolicy, "NetworkPolicy", "networkpolicies", NETWORKING, true),
    (Kind::Ingress, "Ingress", "ingresses", NETWORKING, true),
    (Kind::IngressClass, "IngressClass", "ingressclasses", NETWORKING, false),
    (Kind::Role, "Role", "roles", RBAC, true),
    (Kind::ClusterRole, "ClusterRole", "clusterroles", RBAC, false),
    (Kind::RoleBinding, "RoleBinding", "rolebindings", RBAC, true),
    (Kind::ClusterRoleBinding, "ClusterRoleBinding", "clusterrolebindings", RBAC, false),
    // Not every cluster has it.
    (Kind::Certificate, "Certificate", "certificates", CERT_MANAGER, true),
    (
        Kind::ValidatingWebhookConfiguration,
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        ADMISSION,
        false,
    ),
    (
        Kind::MutatingWebhookConfiguration,
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        ADMISSION,
        false,
    ),
];

impl Kind {
    /// What a person deploys: the objects that own pods and are owned by nobody.
    pub const WORKLOADS: [Self; 5] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Job];

    /// The kind as objects spell it, such as `ConfigMap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The kind as the API's paths and permissions spell it, such as `configmaps`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        self.row().2
    }

    /// Whether its objects lie in namespaces.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        self.row().4
    }

    /// The path of its list, such as `/apis/apps/v1/namespaces/shop/deployments`; of all
    /// namespaces without one.
    #[must_use]
    pub fn path(self, namespace: Option<&str>) -> String {
        let (_, _, plural, api, namespaced) = self.row();
        match namespace.filter(|_| *namespaced) {
            Some(namespace) => format!("/{api}/namespaces/{namespace}/{plural}"),
            None => format!("/{api}/{plural}"),
        }
    }

    /// Group and version of its API, such as `apps/v1` or `v1`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        let api = self.row().3;
        api.strip_prefix("apis/").or_else(|| api.strip_prefix("api/")).unwrap_or(api)
    }

    fn row(self) -> &'static Row {
        // Every kind has a row; the test below holds it.
        TABLE.iter().find(|(kind, ..)| *kind == self).unwrap_or(&TABLE[0])
    }

    /// The kind that an object's `kind` names, when it is one of ours.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, ..)| *known == name).map(|(kind, ..)| *kind)
    }

    /// The kind that the API's paths and permissions spell so.
    #[must_use]
    pub fn of_plural(plural: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == plural).map(|(kind, ..)| *kind)
    }

    /// The kind that a recording's file is named after: `configmap` or `configmaps`.
    pub(crate) fn named_by_file(stem: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(_, name, plural, ..)| *plural == stem || name.eq_ignore_ascii_case(stem))
            .map(|(kind, ..)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_itself_by_its_name() {
        for (kind, name, plural, ..) in TABLE {
            assert_eq!(Kind::of(name), Some(kind));
            assert_eq!((kind.name(), kind.plural()), (name, plural));
        }
        assert_eq!(Kind::of("Widget"), None);
    }

    #[test]
    fn a_list_is_served_under_its_group_and_its_namespace() {
        assert_eq!(Kind::Pod.path(Some("a")), "/api/v1/namespaces/a/pods");
        assert_eq!(Kind::Pod.path(None), "/api/v1/pods");
        assert_eq!(Kind::Node.path(Some("a")), "/api/v1/nodes");
        assert_eq!(Kind::Deployment.path(Some("a")), "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(Kind::Deployment.api_version(), "apps/v1");
        assert_eq!(Kind::Pod.api_version(), "v1");
    }
}

//! Which rights each tool uses. Every tool begins by finding out what a name stands for, so the kinds
//! that alerts name are in each. A test holds them against `k8s/base/rights.yaml`.

/// Of `check_pods`.
pub(super) const PODS: [&str; 14] = [
    "k8s:configmaps/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:events/list",
    "k8s:jobs/list",
    "k8s:namespaces/list",
    "k8s:nodes/list",
    "k8s:pods/list",
    "k8s:pods/log",
    "k8s:replicasets/list",
    "k8s:secrets/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
];

/// Of `check_rollouts`.
pub(super) const ROLLOUTS: [&str; 18] = [
    "k8s:configmaps/list",
    "k8s:controllerrevisions/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:events/list",
    "k8s:jobs/list",
    "k8s:limitranges/list",
    "k8s:mutatingwebhookconfigurations/list",
    "k8s:namespaces/list",
    "k8s:nodes/list",
    "k8s:pods/list",
    "k8s:replicasets/list",
    "k8s:resourcequotas/list",
    "k8s:secrets/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
    "k8s:validatingwebhookconfigurations/list",
];

/// Of `check_service`.
pub(super) const SERVICE: [&str; 16] = [
    "k8s:configmaps/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:endpoints/list",
    "k8s:endpointslices/list",
    "k8s:ingressclasses/list",
    "k8s:ingresses/list",
    "k8s:jobs/list",
    "k8s:namespaces/list",
    "k8s:pods/list",
    "k8s:pods/log",
    "k8s:replicasets/list",
    "k8s:secrets/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
];

/// Of `check_nodes`.
pub(super) const NODES: [&str; 5] =
    ["k8s:jobs/list", "k8s:leases/list", "k8s:nodes/list", "k8s:pods/list", "k8s:replicasets/list"];

/// Of `check_policies`.
pub(super) const POLICIES: [&str; 29] = [
    "k8s:certificates/list",
    "k8s:clusterrolebindings/list",
    "k8s:clusterroles/list",
    "k8s:configmaps/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:endpoints/list",
    "k8s:events/list",
    "k8s:horizontalpodautoscalers/list",
    "k8s:ingresses/list",
    "k8s:jobs/list",
    "k8s:limitranges/list",
    "k8s:mutatingwebhookconfigurations/list",
    "k8s:namespaces/list",
    "k8s:networkpolicies/list",
    "k8s:nodes/list",
    "k8s:poddisruptionbudgets/list",
    "k8s:pods/list",
    "k8s:pods/log",
    "k8s:replicasets/list",
    "k8s:resourcequotas/list",
    "k8s:rolebindings/list",
    "k8s:roles/list",
    "k8s:secrets/list",
    "k8s:serviceaccounts/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
    "k8s:validatingwebhookconfigurations/list",
];

/// Of `check_storage`.
pub(super) const STORAGE: [&str; 15] = [
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:events/list",
    "k8s:jobs/list",
    "k8s:namespaces/list",
    "k8s:nodes/list",
    "k8s:persistentvolumeclaims/list",
    "k8s:persistentvolumes/list",
    "k8s:pods/list",
    "k8s:replicasets/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
    "k8s:storageclasses/list",
    "k8s:volumeattachments/list",
];

//! Which pods are controllers that take requests in from outside and send them where Ingresses
//! say: told by their labels, their image or what they are started with, since charts name them
//! freely.

use plugin_cluster::Object;

/// Words that stand in labels or images of no other program.
const NAMES: [&str; 14] = [
    "ingress-nginx",
    "nginx-ingress",
    "traefik",
    "haproxy-ingress",
    "haproxy-kubernetes-ingress",
    "kubernetes-ingress",
    "contour",
    "kong",
    "apisix-ingress",
    "skipper",
    "emissary",
    "istio-ingressgateway",
    "ingress-controller",
    "ingressgateway",
];

/// What only such a controller is started with.
const FLAGS: [&str; 7] = [
    "nginx-ingress-controller",
    "--ingress-class",
    "--controller-class",
    "--providers.kubernetesingress",
    "--providers.kubernetescrd",
    "--ingress-class-name",
    "-kubernetes-ingress-class",
];

/// Whether a pod is a controller that sends what Ingresses take in to their backends.
pub(crate) fn serves(pod: &Object) -> bool {
    let labels = pod.labels();
    let named = ["app.kubernetes.io/name", "app", "k8s-app", "istio"]
        .iter()
        .filter_map(|key| labels.get(*key))
        .any(|name| name.as_str() == "envoy" || NAMES.contains(&name.as_str()));
    named
        || pod.list("/spec/containers").first().is_some_and(|main| {
            let image = main.get("image").and_then(|i| i.as_str()).unwrap_or_default();
            let words = ["command", "args"]
                .iter()
                .filter_map(|key| main.get(*key)?.as_array())
                .flatten()
                .filter_map(|word| word.as_str());
            of_image(image) || words.into_iter().any(|word| FLAGS.iter().any(|f| word.contains(f)))
        })
}

/// Whether the path of an image, without its host and its tag, has such a word as one of its parts.
fn of_image(image: &str) -> bool {
    let untagged = image.split('@').next().unwrap_or_default();
    untagged.split('/').any(|part| {
        let part = part.split(':').next().unwrap_or_default();
        NAMES.contains(&part)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(labels: &Value, container: &Value) -> Object {
        Object::new(json!({"kind": "Pod",
            "metadata": {"name": "p", "namespace": "edge", "labels": labels},
            "spec": {"containers": [container]}}))
    }

    #[test]
    fn a_controller_is_known_by_its_label_its_image_or_its_flags() {
        for (labels, container, is) in [
            (json!({"app.kubernetes.io/name": "ingress-nginx"}), json!({"image": "x"}), true),
            (
                json!({"app": "edge"}),
                json!({"image": "registry.k8s.io/ingress-nginx/controller:v1"}),
                true,
            ),
            (json!({"app": "edge"}), json!({"image": "docker.io/library/traefik:v3.1"}), true),
            (json!({"app": "edge"}), json!({"image": "nginx/nginx-ingress:3.4"}), true),
            (
                json!({"app": "edge"}),
                json!({"image": "x", "args": ["--ingress-class=public"]}),
                true,
            ),
            (
                json!({"app": "edge"}),
                json!({"image": "x", "args": ["--providers.kubernetesingress"]}),
                true,
            ),
            (json!({"istio": "ingressgateway"}), json!({"image": "istio/proxyv2:1.22"}), true),
            (json!({"app": "web"}), json!({"image": "docker.io/library/nginx:1.27"}), false),
            (json!({"app": "web"}), json!({"image": "kingkong/api:1"}), false),
        ] {
            assert_eq!(serves(&pod(&labels, &container)), is, "{labels} {container}");
        }
    }
}

//! Who may do what, and what the audit log says about who did.

use agent_tests::{control_plane::ControlPlane, process, web::Web};
use http::StatusCode;

const READER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: reader, namespace: NAMESPACE }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader, namespace: NAMESPACE }
rules: [{ apiGroups: [''], resources: [pods], verbs: [get, list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader, namespace: NAMESPACE }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects: [{ kind: ServiceAccount, name: reader, namespace: NAMESPACE }]
";

#[tokio::test]
async fn an_account_without_rights_is_known_and_refused() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let kubeconfig = plane.kubeconfig_without_rights().unwrap();
    let ended = plane.kubectl(&kubeconfig, &["get", "pods"]).await.unwrap();
    assert!(!ended.status.success());
    let said = r#"pods is forbidden: User "nobody" cannot list resource "pods""#;
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let stranger = Web::trusting(&plane.address(), &plane.authority().pem(), None).unwrap();
    let bad = stranger.bearing("invented").get("/api/v1/pods").await.unwrap();
    assert_eq!(bad.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_service_account_may_what_its_role_says_and_the_audit_log_tells_what_it_did() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let here = plane.namespace("audited").await.unwrap();
    here.apply(READER).await.unwrap();
    let kubeconfig = plane.kubeconfig_for_service_account(here.name(), "reader").await.unwrap();
    let mark = plane.audit_mark().unwrap();
    let may = plane.kubectl(&kubeconfig, &["get", "pods"]).await.unwrap();
    assert!(may.status.success(), "{}", may.stderr);
    let may_not = plane.kubectl(&kubeconfig, &["delete", "secret", "any"]).await.unwrap();
    assert!(may_not.stderr.contains("cannot delete resource"), "{}", may_not.stderr);
    let user = format!("system:serviceaccount:{}:reader", here.name());
    let asked = plane.audit_since(mark, &user).unwrap();
    let told: Vec<_> = asked
        .iter()
        .filter(|asked| !asked.resource.is_empty())
        .map(|asked| (asked.verb.as_str(), asked.resource.as_str(), asked.code))
        .collect();
    assert_eq!(told, [("list", "pods", 200), ("delete", "secrets", 403)]);
    assert!(asked.iter().all(|asked| asked.resource.is_empty() || asked.namespace == here.name()));
}

#[tokio::test]
async fn the_kubectl_of_the_plane_is_of_its_version() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let kubeconfig = plane.kubeconfig_admin().unwrap();
    let ended: process::Ended = plane.kubectl(&kubeconfig, &["version"]).await.unwrap();
    let version = |of: &str| {
        let line = ended.stdout.lines().find(|line| line.starts_with(of));
        line.and_then(|line| line.split_whitespace().last()).map(str::to_owned)
    };
    assert_eq!(version("Client"), version("Server"), "{}", ended.stdout);
}

//! Accounts, Roles and Bindings, network policies and webhook configurations as objects: what a
//! story allows and forbids, without a word on whether it is right.

use serde_json::{Value, json};

use super::{
    clock::Sec,
    cluster::Cluster,
    object::{Edit, Ref},
    traffic::Id,
    voice::Runtime,
};

/// What somebody wants of the API.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Verb, such as `list`.
    pub verb: &'static str,
    /// Group; empty is the core.
    pub group: &'static str,
    /// Resource, such as `configmaps`.
    pub resource: &'static str,
    /// Kind of its objects.
    pub kind: &'static str,
}

impl Wish {
    /// The API server's answer to a ServiceAccount that may not.
    #[must_use]
    pub fn forbidden(&self, (space, account): (&str, &str)) -> String {
        let Self { verb, group, resource, .. } = self;
        let whole =
            if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
        // What is about one object names it.
        let one = if *verb == "list" { String::new() } else { format!(" \"{account}\"") };
        format!(
            "{whole}{one} is forbidden: User \"system:serviceaccount:{space}:{account}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the namespace \"{space}\""
        )
    }

    /// How a client library hands that answer on: text and trace.
    #[must_use]
    pub fn reported(
        &self,
        runtime: Runtime,
        (space, account): (&str, &str),
    ) -> (String, Vec<String>) {
        let said = self.forbidden((space, account));
        let (resource, kind) = (self.resource, self.kind);
        let api = if self.group.is_empty() {
            "api/v1".to_owned()
        } else {
            format!("apis/{}/v1", self.group)
        };
        let url = format!("https://10.96.0.1:443/{api}/namespaces/{space}/{resource}");
        let escaped = said.replace('"', "\\\"");
        match runtime {
            Runtime::Java => (
                format!("Failure executing: GET at: {url}. Message: {said}."),
                vec![format!("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: GET at: {url}. Message: {said}. Received status: Status(code=403, kind=Status, message={said}, reason=Forbidden, status=Failure).")],
            ),
            Runtime::Python => (
                format!("could not read {resource} from the API"),
                vec![
                    "Traceback (most recent call last):".to_owned(),
                    "  File \"/usr/lib/python3.12/site-packages/kubernetes/client/rest.py\", line 238, in request".to_owned(),
                    "kubernetes.client.exceptions.ApiException: (403)".to_owned(),
                    "Reason: Forbidden".to_owned(),
                    format!("HTTP response body: {{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"{escaped}\",\"reason\":\"Forbidden\",\"code\":403}}"),
                ],
            ),
            Runtime::Rust => (format!("ApiError: {said}: Forbidden (ErrorResponse {{ status: \"Failure\", reason: \"Forbidden\", code: 403 }})"), Vec::new()),
            Runtime::DotNet => (format!("k8s.Autorest.HttpOperationException: Operation returned an invalid status code 'Forbidden', response body {{\"message\":\"{escaped}\",\"reason\":\"Forbidden\",\"code\":403}}"), Vec::new()),
            Runtime::Go if self.verb != "list" => (format!("failed to {} {resource}: {said}", self.verb), Vec::new()),
            Runtime::Go => (
                format!("\"Unhandled Error\" err=\"k8s.io/client-go@v0.31.1/tools/cache/reflector.go:243: Failed to watch *v1.{kind}: failed to list *v1.{kind}: {escaped}\" logger=\"UnhandledError\""),
                Vec::new(),
            ),
            Runtime::Node | Runtime::Ruby | Runtime::Php | Runtime::Proxy | Runtime::Store => {
                (format!("HTTP-Code: 403 Message: {said}"), Vec::new())
            }
        }
    }
}

impl Cluster {
    /// A ServiceAccount.
    pub fn account(&mut self, space: &str, name: &str, made: Sec) -> Ref {
        let named = Ref::new("ServiceAccount", space, name);
        let meta = self.objects.meta(&named, made, &[]);
        self.objects.put("ServiceAccount", meta, json!({}));
        named
    }

    /// A Role or ClusterRole with these rules, made long ago and changed by `edits` since.
    pub fn role(&mut self, named: &Ref, rules: Value, (made, edits): (Sec, &[Edit])) {
        let mut whole = vec![Edit::new(made, self.habits.deployer, &["f:rules"])];
        whole.extend(edits.iter().cloned());
        let meta = self.objects.meta(named, made, &whole);
        self.objects.put(&named.kind, meta, json!({"rules": rules}));
    }

    /// A binding of `role` to the ServiceAccount `account`.
    pub fn binding(
        &mut self,
        named: &Ref,
        role: &Ref,
        account: &Ref,
        (made, edits): (Sec, &[Edit]),
    ) {
        let mut whole = vec![Edit::new(made, self.habits.deployer, &["f:roleRef", "f:subjects"])];
        whole.extend(edits.iter().cloned());
        let meta = self.objects.meta(named, made, &whole);
        let subject =
            json!({"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace});
        let body = json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.kind, "name": role.name},
            "subjects": [subject]});
        self.objects.put(&named.kind, meta, body);
    }

    /// A NetworkPolicy with this spec, made at `made` and changed by `edits` since.
    pub fn policy(&mut self, named: &Ref, spec: &Value, (made, edits): (Sec, &[Edit])) {
        let mut whole = vec![Edit::new(
            made,
            self.habits.deployer,
            &["f:spec.f:podSelector", "f:spec.f:policyTypes"],
        )];
        whole.extend(edits.iter().cloned());
        let meta = self.objects.meta(named, made, &whole);
        self.objects.put("NetworkPolicy", meta, json!({"spec": spec}));
    }

    /// The selector of `id`'s pods.
    #[must_use]
    pub fn selector_of(&self, id: Id) -> Value {
        let pairs = self[id].labels.iter().map(|(key, value)| (key.clone(), json!(value)));
        json!({"matchLabels": pairs.collect::<serde_json::Map<String, Value>>()})
    }
}

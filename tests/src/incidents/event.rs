//! Events as the API server keeps them: for an hour, repeated ones counted, in the older form
//! (first and last time, source) or the newer one (eventTime, series, reporting component).

use serde_json::{Map, Value, json};

use super::{
    clock::{EVENTS_SINCE, NOW, Sec},
    object::{Objects, Ref, api_of},
};

/// Something a component said of an object.
#[derive(Debug, Clone)]
pub struct Happening {
    /// Of what.
    pub object: Ref,
    /// Identifier of the object.
    pub uid: String,
    /// Container, where the event is about one.
    pub container: String,
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason, such as `FailedScheduling`.
    pub reason: &'static str,
    /// Message.
    pub message: String,
    /// Who said it, such as `kubelet`.
    pub by: &'static str,
    /// On which node, where it was the kubelet.
    pub host: String,
    /// First time.
    pub first: Sec,
    /// Last time.
    pub last: Sec,
    /// How often.
    pub count: i64,
}

impl Happening {
    /// A warning, once, at `at`.
    #[must_use]
    pub fn warning(object: Ref, by: &'static str, reason: &'static str, message: String) -> Self {
        Self {
            object,
            uid: String::new(),
            container: String::new(),
            warning: true,
            reason,
            message,
            by,
            host: String::new(),
            first: NOW,
            last: NOW,
            count: 1,
        }
    }

    /// A normal event, once.
    #[must_use]
    pub fn normal(object: Ref, by: &'static str, reason: &'static str, message: String) -> Self {
        Self { warning: false, ..Self::warning(object, by, reason, message) }
    }

    /// Once, at `at`.
    #[must_use]
    pub fn at(mut self, at: Sec) -> Self {
        (self.first, self.last, self.count) = (at, at, 1);
        self
    }

    /// From `first` to `last`, `count` times.
    #[must_use]
    pub fn times(mut self, first: Sec, last: Sec, count: i64) -> Self {
        (self.first, self.last, self.count) = (first, last.max(first), count.max(1));
        self
    }

    /// On the node `host`.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// About the container `name` of the pod.
    #[must_use]
    pub fn of_container(mut self, name: &str) -> Self {
        name.clone_into(&mut self.container);
        self
    }
}

/// Writes down what is still kept. `modern` is the newer form, as the scheduler and newer
/// controllers write it.
pub fn write(objects: &mut Objects, happening: &Happening, modern: bool) {
    if happening.last < EVENTS_SINCE || happening.first > NOW {
        return;
    }
    let clock = objects.clock();
    let h = happening;
    let last = h.last.min(NOW);
    let space = if h.object.namespace.is_empty() { "default" } else { &h.object.namespace };
    let ending = objects.uid().replace('-', "").get(..16).unwrap_or_default().to_owned();
    let name = format!("{}.{ending}", h.object.name);
    let mut meta = objects.meta(&Ref::new("Event", space, &name), h.first, &[]);
    meta.insert("resourceVersion".into(), json!(objects.version(last)));
    let body = if modern {
        let series =
            (h.count > 1).then(|| json!({"count": h.count, "lastObservedTime": clock.micro(last)}));
        json!({
            "reason": h.reason, "message": h.message, "source": {}, "firstTimestamp": null,
            "lastTimestamp": null, "type": kind_of(h), "eventTime": clock.micro(h.first),
            "series": series, "action": action(h.reason), "reportingComponent": h.by,
            "reportingInstance": instance(h),
        })
    } else {
        json!({
            "reason": h.reason, "message": h.message, "source": source(h),
            "firstTimestamp": clock.rfc(h.first), "lastTimestamp": clock.rfc(last),
            "count": h.count, "type": kind_of(h), "eventTime": null,
            "reportingComponent": h.by, "reportingInstance": h.host,
        })
    };
    let mut whole = Map::new();
    whole.insert("involvedObject".into(), involved(h));
    if let Value::Object(body) = body {
        whole.extend(body.into_iter().filter(|(key, value)| key != "series" || !value.is_null()));
    }
    objects.put("Event", meta, Value::Object(whole));
}

fn kind_of(h: &Happening) -> &'static str {
    if h.warning { "Warning" } else { "Normal" }
}

fn action(reason: &str) -> &'static str {
    match reason {
        "FailedScheduling" | "Scheduled" => "Binding",
        _ => "Reconcile",
    }
}

fn instance(h: &Happening) -> String {
    if h.host.is_empty() { format!("{}-0", h.by) } else { h.host.clone() }
}

fn source(h: &Happening) -> Value {
    if h.host.is_empty() {
        json!({"component": h.by})
    } else {
        json!({"component": h.by, "host": h.host})
    }
}

fn involved(h: &Happening) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), json!(h.object.kind));
    if !h.object.namespace.is_empty() {
        object.insert("namespace".into(), json!(h.object.namespace));
    }
    object.insert("name".into(), json!(h.object.name));
    let uid = if h.uid.is_empty() { &h.object.name } else { &h.uid };
    object.insert("uid".into(), json!(uid));
    object.insert("apiVersion".into(), json!(api_of(&h.object.kind)));
    if !h.container.is_empty() {
        object.insert("fieldPath".into(), json!(format!("spec.containers{{{}}}", h.container)));
    }
    Value::Object(object)
}

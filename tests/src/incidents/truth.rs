//! What is true of an incident: what `scenario.json` tells and the scorer compares with.

use serde_json::{Map, Value, json};

use super::{
    clock::{Clock, NOW},
    cluster::Cluster,
    object::Ref,
    traffic::{Id, step_of},
};

/// The alert and the truth of one incident.
#[derive(Debug, Clone)]
pub struct Truth {
    /// A line about what happened.
    pub title: String,
    /// `easy`, `medium` or `hard`.
    pub difficulty: &'static str,
    /// Type of the alert, such as `high_error_rate`.
    pub alert: &'static str,
    /// Service that the alert names.
    pub service: String,
    /// Namespace that the alert names.
    pub namespace: String,
    /// Severity that the alert claims: `critical` or `warning`.
    pub claimed: &'static str,
    /// What the alert says.
    pub description: String,
    /// The cause in a sentence.
    pub root_cause: String,
    /// The origin: what a person would change or replace.
    pub culprit: Ref,
    /// Objects that name the origin as well.
    pub accept: Vec<Ref>,
    /// One word of each group has to be said.
    pub mention: Vec<Vec<String>>,
    /// Tempting wrong causes.
    pub not_claim: Vec<String>,
    /// Texts that must appear nowhere.
    pub not_leak: Vec<String>,
    /// Severity by effect on users: `P1` to `P4`.
    pub severity: &'static str,
    /// Categories beside the form's own that name it as well.
    pub categories: Vec<&'static str>,
    /// A second, unrelated fault: category, culprit, groups of words.
    pub also: Option<(&'static str, Ref, Vec<Vec<String>>)>,
    /// Words about missing sources that have to be said.
    pub gaps: Vec<Vec<String>>,
    /// Whether nothing is wrong at all.
    pub healthy: bool,
}

impl Truth {
    /// An alert of type `alert` on the Service of `id`; `culprit` is at fault.
    #[must_use]
    pub fn new(cluster: &Cluster, alert: &'static str, id: Id, culprit: Ref) -> Self {
        let workload = &cluster[id];
        Self {
            title: String::new(),
            difficulty: "medium",
            alert,
            service: workload.called().to_owned(),
            namespace: workload.namespace.clone(),
            claimed: "critical",
            description: String::new(),
            root_cause: String::new(),
            culprit,
            accept: Vec::new(),
            mention: Vec::new(),
            not_claim: Vec::new(),
            not_leak: Vec::new(),
            severity: "P2",
            categories: Vec::new(),
            also: None,
            gaps: Vec::new(),
            healthy: false,
        }
    }

    /// Title, description of the alert, and the cause in a sentence.
    #[must_use]
    pub fn told(mut self, title: &str, description: &str, root_cause: &str) -> Self {
        title.clone_into(&mut self.title);
        description.clone_into(&mut self.description);
        root_cause.clone_into(&mut self.root_cause);
        self
    }

    /// How hard it is, and how bad for users.
    #[must_use]
    pub fn rated(mut self, difficulty: &'static str, severity: &'static str) -> Self {
        (self.difficulty, self.severity) = (difficulty, severity);
        self
    }

    /// What the alert claims of its severity.
    #[must_use]
    pub fn claimed(mut self, claimed: &'static str) -> Self {
        self.claimed = claimed;
        self
    }

    /// Objects that name the origin as well.
    #[must_use]
    pub fn accept(mut self, objects: impl IntoIterator<Item = Ref>) -> Self {
        self.accept.extend(objects);
        self
    }

    /// One of these words has to be said.
    #[must_use]
    pub fn mention(mut self, words: &[&str]) -> Self {
        self.mention.push(words.iter().map(|&word| word.to_owned()).collect());
        self
    }

    /// None of these may be claimed.
    #[must_use]
    pub fn not_claim(mut self, words: &[&str]) -> Self {
        self.not_claim.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// What may not be claimed. A second fault has to be named, so its words are free.
    fn wrong_claims(&self) -> Vec<&str> {
        let bare = |text: &str| text.to_lowercase().replace(' ', "");
        let second: Vec<String> = self
            .also
            .iter()
            .flat_map(|(_, _, words)| words)
            .flatten()
            .map(|word| bare(word))
            .collect();
        let claims = self.not_claim.iter().map(String::as_str);
        claims.filter(|claim| !second.iter().any(|word| word.contains(&bare(claim)))).collect()
    }

    /// These categories name it as well.
    #[must_use]
    pub fn or_category(mut self, categories: &[&'static str]) -> Self {
        self.categories.extend(categories);
        self
    }

    /// `scenario.json`.
    #[must_use]
    pub fn value(
        &self,
        (id, category): (&str, &'static str),
        clock: Clock,
        faults: &[(&str, u16, &str)],
    ) -> Value {
        let name: String = self.alert.split('_').map(capital).collect();
        let mut whole = Map::new();
        whole.insert("id".into(), json!(id));
        whole.insert("title".into(), json!(self.title));
        whole.insert("difficulty".into(), json!(self.difficulty));
        whole.insert(
            "alert".into(),
            json!({"type": self.alert, "service": self.service,
            "namespace": self.namespace, "severity": self.claimed, "description": self.description,
            "labels": {"cluster": "prod", "alertname": name}, "fired_at": clock.rfc(0)}),
        );
        whole.insert("root_cause".into(), json!(self.root_cause));
        whole.insert("category".into(), json!(category));
        whole.insert("culprit".into(), self.culprit.value());
        let mut accept: Vec<&Ref> = Vec::new();
        for one in self.accept.iter().filter(|one| **one != self.culprit) {
            if !accept.contains(&one) {
                accept.push(one);
            }
        }
        whole.insert("culprit_accept".into(), accept.iter().map(|one| one.value()).collect());
        whole.insert("must_mention".into(), json!(self.mention));
        whole.insert("must_not_claim".into(), json!(self.wrong_claims()));
        whole.insert("must_not_leak".into(), json!(self.not_leak));
        whole.insert("expected_severity".into(), json!(self.severity));
        if let Some((category, culprit, words)) = &self.also {
            let second =
                json!({"category": category, "culprit": culprit.value(), "must_mention": words});
            whole.insert("also".into(), json!([second]));
        }
        if !self.gaps.is_empty() {
            whole.insert("expected_gaps".into(), json!(self.gaps));
        }
        let mut categories = vec![category];
        categories.extend(&self.categories);
        whole.insert("category_accept".into(), json!(categories));
        if self.healthy {
            whole.insert("no_fault".into(), json!(true));
        }
        if !faults.is_empty() {
            let list: Vec<Value> = faults.iter()
                .map(|(target, status, message)| json!({"target": target, "status": status, "message": message})).collect();
            whole.insert("source_faults".into(), Value::Array(list));
        }
        Value::Object(whole)
    }
}

impl Cluster {
    /// How bad it is for the users of `id` by now: by the share of requests that fail.
    #[must_use]
    pub fn effect(&self, id: Id) -> &'static str {
        let played = self.traffic.play(&self.workloads, &mut self.dice.fork("effect"));
        let place = self.traffic.stations.iter().position(|station| station.id == id);
        let course = place.and_then(|place| played.stations.get(place));
        let share =
            course.and_then(|course| course.errors.get(step_of(NOW))).copied().unwrap_or(0.0);
        match share {
            share if share >= 0.5 => "P1",
            share if share >= 0.04 => "P2",
            _ => "P3",
        }
    }

    /// What names a workload as well as its own name: its pods and the Service before it.
    #[must_use]
    pub fn parts(&self, id: Id) -> Vec<Ref> {
        let workload = &self[id];
        let space = &workload.namespace;
        let mut parts: Vec<Ref> =
            workload.present().map(|pod| Ref::new("Pod", space, &pod.name)).collect();
        if workload.front.is_some() {
            parts.push(self.front_of(id));
        }
        parts
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

//! Reads the scheduler's sentence: `0/4 nodes are available: 2 node(s) had untolerated taint
//! {dedicated: gpu}, 2 Insufficient memory. preemption: …`.

/// One reason why some nodes do not take a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// How many nodes.
    pub nodes: u32,
    /// `resources`, `taint`, `affinity`, `selector`, `volume`, `cordoned`, `node_down` or
    /// `node_pressure` (the cluster's own taints for what ails a node), `control_plane` (nodes
    /// that are for the cluster itself, as ever) or `other`.
    pub why: &'static str,
    /// The resource, or the taint as `key=value`; empty when not told.
    pub what: String,
}

/// The sentence in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unschedulable {
    /// Nodes there are.
    pub nodes: u32,
    /// Why each lot of them is excluded.
    pub exclusions: Vec<Exclusion>,
}

impl Unschedulable {
    /// The kinds of reason, each once, comma list. That control plane nodes are not for everybody
    /// is told only when there is no other reason.
    #[must_use]
    pub fn why(&self) -> String {
        let ordinary = |e: &&Exclusion| e.why == "control_plane";
        let why = joined(self.exclusions.iter().filter(|e| !ordinary(e)).map(|e| e.why));
        if why.is_empty() && self.exclusions.iter().any(|e| ordinary(&e)) {
            return "taint".to_owned();
        }
        why
    }

    /// What is said about one kind of reason, such as the taints, comma list.
    #[must_use]
    pub fn what(&self, why: &str) -> String {
        joined(self.exclusions.iter().filter(|e| e.why == why).map(|e| e.what.as_str()))
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen.join(",")
}

/// Reads a scheduler's sentence; `None` when it is not one.
#[must_use]
pub fn unschedulable(message: &str) -> Option<Unschedulable> {
    // What follows is about preemption, and counts the same nodes again.
    let text = message.split(" preemption:").next().unwrap_or(message);
    let Some((head, reasons)) = text.split_once("nodes are available:") else {
        return unbound_claim(text);
    };
    let nodes = head.trim().rsplit('/').next().and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    let exclusions = pieces(reasons).into_iter().filter_map(exclusion).collect();
    Some(Unschedulable { nodes, exclusions })
}

/// Some sentences come without a count of nodes.
fn unbound_claim(text: &str) -> Option<Unschedulable> {
    let (why, what) = classified(text);
    (why == "volume")
        .then(|| Unschedulable { nodes: 0, exclusions: vec![Exclusion { nodes: 0, why, what }] })
}

/// Splits at commas outside of braces: taints carry commas in some versions.
fn pieces(reasons: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut start = 0;
    let mut pieces = Vec::new();
    for (at, c) in reasons.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(reasons.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(reasons.get(start..).unwrap_or_default());
    pieces
}

fn exclusion(piece: &str) -> Option<Exclusion> {
    let piece = piece.trim().trim_end_matches('.');
    let (why, what) = classified(piece);
    // Claims are told without a count: they hold for all nodes.
    let counted = piece.split_once(' ').and_then(|(count, _)| count.parse().ok());
    match counted {
        Some(nodes) => Some(Exclusion { nodes, why, what }),
        None => (why == "volume").then_some(Exclusion { nodes: 0, why, what }),
    }
}

fn classified(piece: &str) -> (&'static str, String) {
    let lower = piece.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if let Some((_, resource)) = piece.split_once("Insufficient ") {
        return ("resources", resource.trim().to_owned());
    }
    if says(&["too many pods"]) {
        return ("resources", "pods".to_owned());
    }
    if says(&["taint"]) {
        let taint = super::between(piece, "{", "}").map(taint).unwrap_or_default();
        return (of_taint(&taint), taint);
    }
    if says(&["free ports"]) {
        return ("resources", "host ports".to_owned());
    }
    let why = if says(&["unschedulable"]) {
        "cordoned"
    } else if says(&["volume", "persistentvolumeclaim", "storage"]) {
        "volume"
    } else if says(&["node affinity", "node selector", "nodeselector"]) {
        "selector"
    } else if says(&["affinity", "topology spread"]) {
        "affinity"
    } else {
        "other"
    };
    (why, String::new())
}

/// What a taint stands for: the cluster puts its own on nodes that ail.
fn of_taint(taint: &str) -> &'static str {
    let key = taint.split('=').next().unwrap_or_default();
    match key {
        "node.kubernetes.io/not-ready"
        | "node.kubernetes.io/unreachable"
        | "node.kubernetes.io/network-unavailable"
        | "node.kubernetes.io/out-of-service" => "node_down",
        "node.kubernetes.io/disk-pressure"
        | "node.kubernetes.io/memory-pressure"
        | "node.kubernetes.io/pid-pressure" => "node_pressure",
        "node.kubernetes.io/unschedulable" => "cordoned",
        "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master" => {
            "control_plane"
        }
        _ => "taint",
    }
}

/// `dedicated: gpu` as `dedicated=gpu`, `key: ` as `key`.
fn taint(braced: &str) -> String {
    match braced.split_once(':') {
        Some((key, value)) if !value.trim().is_empty() => {
            format!("{}={}", key.trim(), value.trim())
        }
        Some((key, _)) => key.trim().to_owned(),
        None => braced.trim().to_owned(),
    }
}

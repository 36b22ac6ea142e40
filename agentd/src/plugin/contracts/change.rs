//! What a change of a descriptor means for who calls the tool, and which version number says so
//! (PROTOCOL 4.4): a patch for words, a minor one for what callers need not know, a major one for
//! all else.

use agent_proto::tool::v1 as pb;
use serde_json::Value;

use crate::plugin::{
    semver::Version,
    wire::spec::{risk_from, side_effect_from},
};

/// The part of a version number that must grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bump {
    Patch,
    Minor,
    Major,
}

/// Names of the fields that differ.
pub(super) fn fields(old: &pb::ToolDescriptor, new: &pb::ToolDescriptor) -> Vec<&'static str> {
    let same = [
        ("title", old.title == new.title),
        ("description", old.description == new.description),
        ("input_schema_json", json(&old.input_schema_json) == json(&new.input_schema_json)),
        ("output_schema_json", json(&old.output_schema_json) == json(&new.output_schema_json)),
        ("side_effect", old.side_effect == new.side_effect),
        ("risk", old.risk == new.risk),
        ("approval", old.approval == new.approval),
        ("idempotency", old.idempotency == new.idempotency),
        ("permissions", old.permissions == new.permissions),
        ("timeout", old.timeout == new.timeout),
        ("retry", old.retry == new.retry),
        ("rate_limit", old.rate_limit == new.rate_limit),
        ("cost", old.cost == new.cost),
        ("cache", old.cache == new.cache),
        ("compensation", old.compensation == new.compensation),
        ("supports_dry_run", old.supports_dry_run == new.supports_dry_run),
        ("reports_progress", old.reports_progress == new.reports_progress),
        ("sensitive_arguments", old.sensitive_arguments == new.sensitive_arguments),
        ("labels", old.labels == new.labels),
        ("deprecation", old.deprecation == new.deprecation),
        ("examples", old.examples == new.examples),
        ("applies", old.applies == new.applies),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

/// What the author should know about the number that was chosen.
pub(super) fn warnings(old: &pb::ToolDescriptor, new: &pb::ToolDescriptor) -> Vec<String> {
    let (Ok(from), Ok(to)) = (old.version.parse::<Version>(), new.version.parse::<Version>())
    else {
        return Vec::new();
    };
    if to <= from {
        return vec![format!(
            "VERSION_RULE: {} does not come after {}, which was accepted before",
            new.version, old.version
        )];
    }
    let given = if to.major() > from.major() {
        Bump::Major
    } else if to.minor() > from.minor() {
        Bump::Minor
    } else {
        Bump::Patch
    };
    let mut said = Vec::new();
    for (needed, what) in changes(old, new) {
        if needed > given {
            let number = match needed {
                Bump::Major => format!("{}.0.0", from.major() + 1),
                Bump::Minor | Bump::Patch => format!("{}.{}.0", from.major(), from.minor() + 1),
            };
            said.push(format!(
                "VERSION_RULE: {} to {} {what}; that is version {number}",
                old.version, new.version
            ));
        }
    }
    said
}

/// Each change that is more than words, with the number it needs.
fn changes(old: &pb::ToolDescriptor, new: &pb::ToolDescriptor) -> Vec<(Bump, String)> {
    let mut found = arguments(&json(&old.input_schema_json), &json(&new.input_schema_json));
    if json(&old.output_schema_json) != json(&new.output_schema_json) {
        found.push((Bump::Minor, "changes output_schema_json".to_owned()));
    }
    let higher = side_effect_from(new.side_effect()) > side_effect_from(old.side_effect());
    if higher {
        found.push((Bump::Major, "raises side_effect".to_owned()));
    }
    if old.idempotency != new.idempotency {
        found.push((Bump::Major, "changes idempotency".to_owned()));
    }
    let words = ["title", "description", "cost", "examples"];
    let told = ["input_schema_json", "output_schema_json", "idempotency"];
    for field in fields(old, new) {
        let named = words.contains(&field) || told.contains(&field);
        let told_above = named || (field == "side_effect" && higher);
        if !told_above {
            found.push((Bump::Minor, format!("changes {field}")));
        }
    }
    found
}

/// Claims by which the new descriptor would be asked about less, or may do more.
pub(super) fn softer(old: &pb::ToolDescriptor, new: &pb::ToolDescriptor) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if side_effect_from(new.side_effect()) < side_effect_from(old.side_effect()) {
        fields.push("side_effect");
    }
    if risk_from(new.risk()) < risk_from(old.risk()) {
        fields.push("risk");
    }
    let always = pb::ApprovalRequirement::Always;
    if old.approval() == always && new.approval() != always {
        fields.push("approval");
    }
    let safe = |tool: &pb::ToolDescriptor| {
        matches!(tool.idempotency(), pb::Idempotency::Keyed | pb::Idempotency::Natural)
    };
    if safe(new) && !safe(old) {
        fields.push("idempotency");
    }
    let masked = |name: &String| new.sensitive_arguments.contains(name);
    if !old.sensitive_arguments.iter().all(masked) {
        fields.push("sensitive_arguments");
    }
    let shared = |tool: &pb::ToolDescriptor| {
        tool.cache.as_ref().is_some_and(|cache| cache.scope() == pb::CacheScope::Shared)
    };
    if shared(new) && !shared(old) {
        fields.push("cache");
    }
    if !new.permissions.iter().all(|right| old.permissions.contains(right)) {
        fields.push("permissions");
    }
    fields
}

/// What changed for who gives arguments.
fn arguments(old: &Value, new: &Value) -> Vec<(Bump, String)> {
    let mut found = Vec::new();
    let (was, is) = (properties(old), properties(new));
    for (name, before) in &was {
        match is.iter().find(|(other, _)| other == name) {
            None => found.push((Bump::Major, format!("removes the argument {name}"))),
            Some((_, after)) if plain(before) == plain(after) => {}
            Some((_, after)) if is_wider(before, after) => {
                found.push((Bump::Minor, format!("widens the argument {name}")));
            }
            Some(_) => found.push((Bump::Major, format!("changes the argument {name}"))),
        }
    }
    let (needed, needs) = (required(old), required(new));
    for name in needs.iter().filter(|name| !needed.contains(name)) {
        found.push((Bump::Major, format!("requires the argument {name}")));
    }
    for (name, _) in is.iter().filter(|(name, _)| !was.iter().any(|(other, _)| other == name)) {
        if !needs.contains(&name.as_str()) {
            found.push((Bump::Minor, format!("adds the argument {name}")));
        }
    }
    found
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn properties(schema: &Value) -> Vec<(&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect()
}

fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// A schema without what is only said to people.
fn plain(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(fields) = &mut schema {
        for word in ["description", "title", "examples", "$comment"] {
            fields.shift_remove(word);
        }
    }
    schema
}

/// Whether all that differs is that more types are taken.
fn is_wider(old: &Value, new: &Value) -> bool {
    let (mut was, mut is) = (plain(old), plain(new));
    let (Some(before), Some(after)) = (taken_type(&mut was), taken_type(&mut is)) else {
        return false;
    };
    was == is && before.iter().all(|kind| after.contains(kind))
}

fn taken_type(schema: &mut Value) -> Option<Vec<Value>> {
    let kind = schema.as_object_mut()?.shift_remove("type")?;
    Some(kind.as_array().cloned().unwrap_or_else(|| vec![kind]))
}

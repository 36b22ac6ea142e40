//! From an author's [`Spec`] and argument type to the descriptor that is registered. The schema
//! comes from the type alone, so what is announced and what is read cannot drift apart.

use std::time::Duration;

use agent_proto::tool::v1 as wire;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use crate::tool::{Applies, RateLimit, Risk, SideEffect, Spec};

/// JSON Schema 2020-12 of `A`, closed against arguments it does not know.
///
/// # Errors
/// A sentence when `A` is not an object, which the contract demands.
pub(crate) fn input_schema<A: JsonSchema>() -> Result<Value, String> {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<A>().to_value();
    let root = schema.as_object_mut().filter(|root| {
        root.get("type").is_some_and(|t| t == "object") || root.contains_key("properties")
    });
    let Some(root) = root else {
        return Err("its arguments must be a struct with named fields".to_owned());
    };
    root.entry("type").or_insert_with(|| "object".into());
    // Closing a root that is a choice would refuse the fields of its branches.
    let is_choice = ["oneOf", "anyOf", "allOf", "$ref"].iter().any(|word| root.contains_key(*word));
    if !is_choice && !root.contains_key("unevaluatedProperties") {
        root.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    Ok(schema)
}

/// The descriptor of a tool whose arguments have `schema`.
pub(crate) fn descriptor(spec: Spec, schema: &Value) -> wire::ToolDescriptor {
    let read_only = spec.side_effect == SideEffect::ReadOnly;
    let idempotency = if read_only { wire::Idempotency::Natural } else { wire::Idempotency::None };
    let approval = if spec.always_ask {
        wire::ApprovalRequirement::Always
    } else {
        wire::ApprovalRequirement::ByPolicy
    };
    wire::ToolDescriptor {
        name: spec.name,
        version: spec.version,
        title: spec.title,
        description: spec.description,
        input_schema_json: schema.to_string(),
        side_effect: side_effect(spec.side_effect).into(),
        risk: risk(spec.risk).into(),
        approval: approval.into(),
        idempotency: idempotency.into(),
        permissions: spec.permissions,
        timeout: span(spec.timeout),
        retry: (spec.max_attempts > 0).then(|| wire::RetryPolicy {
            max_attempts: small(spec.max_attempts),
            ..wire::RetryPolicy::default()
        }),
        rate_limit: spec.rate_limit.map(rate_limit),
        cost: spec
            .typical_latency
            .map(|latency| wire::CostHint { typical_latency: span(latency), ..Default::default() }),
        reports_progress: spec.reports_progress,
        sensitive_arguments: spec.sensitive_arguments,
        examples: spec
            .examples
            .into_iter()
            .map(|(title, arguments_json)| wire::ToolExample { title, arguments_json })
            .collect(),
        applies: spec.applies.into_iter().map(applicability).collect(),
        ..wire::ToolDescriptor::default()
    }
}

fn side_effect(side_effect: SideEffect) -> wire::SideEffect {
    match side_effect {
        SideEffect::ReadOnly => wire::SideEffect::ReadOnly,
        SideEffect::Additive => wire::SideEffect::Additive,
        SideEffect::Reversible => wire::SideEffect::Reversible,
        SideEffect::Destructive => wire::SideEffect::Destructive,
    }
}

fn risk(risk: Risk) -> wire::RiskLevel {
    match risk {
        Risk::Low => wire::RiskLevel::Low,
        Risk::Medium => wire::RiskLevel::Medium,
        Risk::High => wire::RiskLevel::High,
        Risk::Critical => wire::RiskLevel::Critical,
    }
}

fn rate_limit(limit: RateLimit) -> wire::RateLimit {
    wire::RateLimit {
        calls: small(limit.calls),
        period: span(limit.period),
        burst: small(limit.burst),
        max_concurrent: small(limit.max_concurrent),
        shared_across_instances: false,
    }
}

fn applicability(applies: Applies) -> wire::Applicability {
    wire::Applicability {
        alert_types: applies.alert_types,
        after_signals: applies.after_signals,
        subject_kinds: applies.subject_kinds,
        arguments_template_json: applies.arguments,
        emits: applies.emits,
    }
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn span(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        dead_code,
        reason = "tests; types that only have a schema"
    )]
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct Arguments {
        /// Namespace to look in.
        namespace: String,
        limit: Option<u32>,
        #[serde(default)]
        deep: bool,
    }

    #[test]
    fn a_schema_is_a_closed_object_of_draft_2020_12() {
        let schema = input_schema::<Arguments>().unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["namespace"]));
        assert_eq!(schema["properties"]["namespace"]["description"], "Namespace to look in.");
    }

    #[derive(Deserialize, JsonSchema)]
    struct Open {
        #[serde(flatten)]
        rest: BTreeMap<String, String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    enum Choice {
        A { x: u32 },
        B { y: u32 },
    }

    #[test]
    fn a_type_that_takes_other_fields_is_not_closed() {
        assert_ne!(input_schema::<Open>().unwrap()["additionalProperties"], false);
        if let Ok(schema) = input_schema::<Choice>() {
            assert_ne!(schema["additionalProperties"], false);
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_refused() {
        assert!(input_schema::<String>().is_err());
        assert!(input_schema::<Vec<u8>>().is_err());
        assert!(input_schema::<()>().is_err());
    }

    #[test]
    fn a_read_only_tool_is_naturally_idempotent_and_a_changing_one_claims_nothing() {
        let schema = input_schema::<Arguments>().unwrap();
        let reading = descriptor(Spec::read_only("look", "Looks."), &schema);
        assert_eq!(reading.idempotency(), wire::Idempotency::Natural);
        assert_eq!(reading.side_effect(), wire::SideEffect::ReadOnly);
        assert_eq!(reading.timeout.unwrap().seconds, 30);
        assert!(reading.retry.is_none() && reading.rate_limit.is_none());
        let spec = Spec::read_only("cut", "Cuts.")
            .changes(SideEffect::Destructive, Risk::Critical)
            .always_ask()
            .max_attempts(1);
        let changing = descriptor(spec, &schema);
        assert_eq!(changing.idempotency(), wire::Idempotency::None);
        assert_eq!(changing.approval(), wire::ApprovalRequirement::Always);
        assert_eq!(changing.retry.unwrap().max_attempts, 1);
    }

    #[test]
    fn the_same_type_gives_the_same_schema_text_every_time() {
        let texts: Vec<_> =
            (0..5).map(|_| input_schema::<Arguments>().unwrap().to_string()).collect();
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

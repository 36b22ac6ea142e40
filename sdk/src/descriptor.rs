//! From an author's [`Spec`] and argument type to the descriptor that is registered. The schema
//! comes from the type alone, so what is announced and what is read cannot drift apart.

use std::time::Duration;

use agent_proto::tool::v1 as wire;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use crate::{
    failure::wire_class,
    tool::{Applies, Idempotency, RateLimit, Retry, Risk, Scope, SideEffect, Spec},
};

pub(crate) mod faults;

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

/// JSON Schema 2020-12 of a result of type `T`, as text.
pub(crate) fn output_schema<T: JsonSchema>() -> String {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
        .to_string()
}

/// The descriptor of a tool whose arguments have `schema`.
pub(crate) fn descriptor(spec: Spec, schema: &Value) -> wire::ToolDescriptor {
    let approval = if spec.always_ask {
        wire::ApprovalRequirement::Always
    } else {
        wire::ApprovalRequirement::ByPolicy
    };
    let cost = cost(&spec);
    let idempotency = idempotency(&spec);
    wire::ToolDescriptor {
        name: spec.name,
        version: spec.version,
        title: spec.title,
        description: spec.description,
        input_schema_json: schema.to_string(),
        output_schema_json: spec.output_schema.unwrap_or_default(),
        side_effect: side_effect(spec.side_effect).into(),
        risk: risk(spec.risk).into(),
        approval: approval.into(),
        idempotency: idempotency.into(),
        permissions: spec.permissions,
        timeout: span(spec.timeout),
        retry: spec.retry.filter(|retry| *retry != Retry::attempts(0)).map(retry),
        rate_limit: spec.rate_limit.map(|limit| rate_limit(limit, spec.rate_shared)),
        cost,
        cache: spec.cached.map(|(ttl, scope)| cache(ttl, scope)),
        compensation: spec
            .undo
            .map(|(tool, accepts_call_id)| wire::CompensationSpec { tool, accepts_call_id }),
        supports_dry_run: spec.dry_run,
        reports_progress: spec.reports_progress,
        sensitive_arguments: spec.sensitive_arguments,
        labels: spec.labels,
        deprecation: spec.deprecation,
        examples: spec
            .examples
            .into_iter()
            .map(|(title, arguments_json)| wire::ToolExample { title, arguments_json })
            .collect(),
        applies: spec.applies.into_iter().map(applicability).collect(),
    }
}

fn idempotency(spec: &Spec) -> wire::Idempotency {
    match spec.idempotency {
        Some(Idempotency::None) => wire::Idempotency::None,
        Some(Idempotency::Keyed) => wire::Idempotency::Keyed,
        Some(Idempotency::Natural) => wire::Idempotency::Natural,
        None if spec.side_effect == SideEffect::ReadOnly => wire::Idempotency::Natural,
        None => wire::Idempotency::None,
    }
}

fn cost(spec: &Spec) -> Option<wire::CostHint> {
    let cost = wire::CostHint {
        typical_latency: spec.typical_latency.and_then(span),
        typical_result_bytes: small(spec.typical_result_bytes),
        usd_per_call: spec.usd_per_call,
    };
    (cost != wire::CostHint::default()).then_some(cost)
}

fn cache(ttl: Duration, scope: Scope) -> wire::CachePolicy {
    let scope = match scope {
        Scope::Private => wire::CacheScope::Private,
        Scope::Shared => wire::CacheScope::Shared,
    };
    wire::CachePolicy { ttl: span(ttl), scope: scope.into() }
}

fn retry(retry: Retry) -> wire::RetryPolicy {
    let pause = |pause: Duration| if pause.is_zero() { None } else { span(pause) };
    wire::RetryPolicy {
        max_attempts: small(retry.max_attempts),
        initial_backoff: pause(retry.initial_backoff),
        max_backoff: pause(retry.max_backoff),
        backoff_multiplier: retry.multiplier,
        retryable_classes: retry.classes.into_iter().map(|c| wire_class(c).0.into()).collect(),
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

fn rate_limit(limit: RateLimit, shared: bool) -> wire::RateLimit {
    wire::RateLimit {
        calls: small(limit.calls),
        period: span(limit.period),
        burst: small(limit.burst),
        max_concurrent: small(limit.max_concurrent),
        shared_across_instances: shared,
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

    #[derive(serde::Serialize, JsonSchema)]
    struct Booked {
        number: u64,
    }

    #[test]
    fn what_an_author_declares_stands_in_the_descriptor() {
        let schema = input_schema::<Arguments>().unwrap();
        let retry = Retry::attempts(4)
            .backoff(Duration::from_millis(500), Duration::from_secs(8), 2.5)
            .classes(&[crate::FailureClass::External]);
        let limit =
            RateLimit { calls: 10, period: Duration::from_secs(1), burst: 2, max_concurrent: 3 };
        let spec = Spec::reversible("book", "Books.")
            .risk(Risk::Critical)
            .keyed()
            .compensated_by("unbook", true)
            .supports_dry_run()
            .returns::<Booked>()
            .retry(retry)
            .rate_limit(limit)
            .shared_across_instances()
            .label("domain", "money")
            .deprecated("use 2.0.0")
            .typical_result_bytes(64)
            .usd_per_call(0.25);
        let book = descriptor(spec, &schema);
        assert_eq!(book.side_effect(), wire::SideEffect::Reversible);
        assert_eq!(book.risk(), wire::RiskLevel::Critical);
        assert_eq!(book.idempotency(), wire::Idempotency::Keyed);
        assert_eq!(book.compensation.unwrap().tool, "unbook");
        assert!(book.supports_dry_run && book.rate_limit.unwrap().shared_across_instances);
        assert!(book.output_schema_json.contains(r#""required":["number"]"#));
        let retry = book.retry.unwrap();
        assert_eq!((retry.max_attempts, retry.initial_backoff.unwrap().nanos), (4, 500_000_000));
        assert_eq!(retry.retryable_classes, [i32::from(wire::FailureClass::External)]);
        assert_eq!((book.labels["domain"].as_str(), &*book.deprecation), ("money", "use 2.0.0"));
        assert_eq!(book.cost.unwrap().typical_result_bytes, 64);
        let read = Spec::read_only("look", "Looks.").cached(Duration::from_secs(9), Scope::Shared);
        let cache = descriptor(read, &schema).cache.unwrap();
        assert_eq!((cache.ttl.unwrap().seconds, cache.scope), (9, 2));
        assert_eq!(descriptor(Spec::additive("a", "A."), &schema).risk(), wire::RiskLevel::Medium);
    }

    #[test]
    fn the_same_type_gives_the_same_schema_text_every_time() {
        let texts: Vec<_> =
            (0..5).map(|_| input_schema::<Arguments>().unwrap().to_string()).collect();
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

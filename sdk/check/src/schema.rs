//! JSON Schemas of tools: compiled as 2020-12 with a regex engine of linear time and nothing
//! fetched, looked at for the rules of the contract, and read to make arguments that fit or do not.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use crate::fixtures::Arguments;

const MAX_DEPTH: usize = 16;
const MAX_SUBSCHEMAS: usize = 512;
const MAX_PATTERN: usize = 256;
/// Deepest nesting when arguments are made.
const MAX_MADE: usize = 8;

/// A compiled schema.
pub(crate) struct Schema {
    pub(crate) root: Value,
    validator: Validator,
}

/// Arguments that break the schema in one place.
pub(crate) struct Bad {
    pub(crate) what: &'static str,
    pub(crate) field: String,
    pub(crate) arguments: Arguments,
}

// === impl Schema ===

impl Schema {
    /// Compiles the schema of a tool's arguments; nothing means no arguments. Unknown arguments are
    /// forbidden at the root unless it says otherwise.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn of_arguments(text: &str) -> Result<Self, String> {
        let text = if text.trim().is_empty() { r#"{"type":"object"}"# } else { text };
        let mut root: Value =
            serde_json::from_str(text).map_err(|fault| format!("is not JSON: {fault}"))?;
        match root.as_object_mut() {
            Some(root) if root.get("type") == Some(&json!("object")) => {
                root.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            _ => return Err("the root must say \"type\": \"object\"".to_owned()),
        }
        Self::compile(root)
    }

    /// Compiles the schema of a result.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(crate) fn of_result(text: &str) -> Result<Self, String> {
        Self::compile(serde_json::from_str(text).map_err(|fault| format!("is not JSON: {fault}"))?)
    }

    fn compile(root: Value) -> Result<Self, String> {
        shape(&root)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(&root)
            .map_err(|fault| format!("does not compile as 2020-12: {fault}"))?;
        Ok(Self { root, validator })
    }

    /// The first fault of `value`.
    pub(crate) fn fault(&self, value: &Value) -> Option<String> {
        self.validator.iter_errors(value).next().map(|fault| {
            let at = fault.instance_path().to_string();
            let at = if at.is_empty() { "the root" } else { at.as_str() };
            format!("at {at}: {fault}")
        })
    }

    pub(crate) fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Properties at the root.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.root.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    /// Arguments that fit, made from the schema, if that can be done.
    pub(crate) fn made(&self) -> Option<Arguments> {
        let made = self.make(&self.root, 0)?;
        self.is_valid(&made).then(|| made.as_object().cloned()).flatten()
    }

    /// Arguments that break the schema in one place each: one missing, one too many, one of a wrong
    /// type.
    pub(crate) fn bad(&self, good: &Arguments) -> Vec<Bad> {
        let mut bad = Vec::new();
        let required = self.root.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let mut arguments = good.clone();
            arguments.remove(name);
            bad.push(Bad { what: "missing", field: name.to_owned(), arguments });
        }
        let mut arguments = good.clone();
        arguments.insert("not_an_argument".to_owned(), json!(1));
        bad.push(Bad { what: "extra", field: "not_an_argument".to_owned(), arguments });
        for (name, property) in self.properties() {
            let kind = self.resolved(property).and_then(|p| p.get("type")).cloned();
            let wrong = if kind == Some(json!("string")) { json!(7) } else { json!("x y") };
            let mut arguments = good.clone();
            arguments.insert(name.clone(), wrong);
            bad.push(Bad { what: "wrongly typed", field: name.clone(), arguments });
        }
        bad.retain(|bad| !self.is_valid(&Value::Object(bad.arguments.clone())));
        bad
    }

    /// `good` with `value` in a place where the schema takes it: that of `name`, or any.
    pub(crate) fn placed(
        &self,
        good: &Arguments,
        value: &Value,
        name: Option<&str>,
    ) -> Option<Arguments> {
        let names = self.properties().map(|(name, _)| name);
        names.filter(|own| name.is_none_or(|name| name == *own)).find_map(|own| {
            let mut arguments = good.clone();
            arguments.insert(own.clone(), value.clone());
            self.is_valid(&Value::Object(arguments.clone())).then_some(arguments)
        })
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.root.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    fn make(&self, schema: &Value, depth: usize) -> Option<Value> {
        if depth > MAX_MADE {
            return None;
        }
        let schema = self.resolved(schema)?;
        for key in ["const", "default"] {
            if let Some(value) = schema.get(key) {
                return Some(value.clone());
            }
        }
        for key in ["examples", "enum"] {
            if let Some(value) = schema.get(key).and_then(|values| values.get(0)) {
                return Some(value.clone());
            }
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(arm) = schema.get(key).and_then(|arms| arms.get(0)) {
                return self.make(arm, depth + 1);
            }
        }
        let kind = schema.get("type")?;
        let kind = kind.as_array().map_or(Some(kind), |kinds| kinds.first())?.as_str()?;
        let number = |key: &str| schema.get(key).and_then(Value::as_i64);
        match kind {
            "object" => {
                let mut made = Map::new();
                let required = schema.get("required").and_then(Value::as_array);
                for name in required.into_iter().flatten().filter_map(Value::as_str) {
                    let property = schema.get("properties")?.get(name)?;
                    made.insert(name.to_owned(), self.make(property, depth + 1)?);
                }
                Some(Value::Object(made))
            }
            "array" => {
                let least = number("minItems").unwrap_or(0).clamp(0, 8);
                let items = (0..least).map(|_| self.make(schema.get("items")?, depth + 1));
                items.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            "string" => {
                let least = usize::try_from(number("minLength").unwrap_or(0)).unwrap_or(0);
                Some(json!(if least > 5 { "check".repeat(least / 5 + 1) } else { "check".into() }))
            }
            "integer" | "number" => {
                let most = number("maximum").unwrap_or(i64::MAX);
                Some(json!(number("minimum").unwrap_or(1).min(most)))
            }
            "boolean" => Some(json!(false)),
            "null" => Some(Value::Null),
            _ => None,
        }
    }
}

/// Rules on the form of a schema.
fn shape(root: &Value) -> Result<(), String> {
    let mut open = vec![(root, 1_usize)];
    let mut count = 0;
    while let Some((value, depth)) = open.pop() {
        match value {
            Value::Object(fields) => {
                count += 1;
                if depth > MAX_DEPTH * 2 {
                    return Err(format!("is nested deeper than {MAX_DEPTH}"));
                }
                if let Some(Value::String(to)) = fields.get("$ref")
                    && !to.starts_with('#')
                {
                    return Err(format!("has a $ref out of itself: {to}"));
                }
                if let Some(Value::String(pattern)) = fields.get("pattern")
                    && pattern.len() > MAX_PATTERN
                {
                    return Err(format!("has a pattern of {} bytes", pattern.len()));
                }
                open.extend(fields.values().map(|inner| (inner, depth + 1)));
            }
            Value::Array(items) => open.extend(items.iter().map(|inner| (inner, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    // Keyword objects count as well, so twice the rule is asked for: no honest schema comes near.
    if count > MAX_SUBSCHEMAS * 2 {
        return Err(format!("has more than {MAX_SUBSCHEMAS} subschemas"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{"type":"object","required":["name","kind"],
        "properties":{"name":{"type":"string"},"kind":{"$ref":"#/$defs/kind"},
        "at":{"type":"integer","minimum":3},"many":{"type":"array","items":{"type":"string"}}},
        "$defs":{"kind":{"enum":["a","b"]}}}"##;

    #[test]
    fn arguments_are_made_that_fit_and_that_break_one_place_each() {
        let schema = Schema::of_arguments(SCHEMA).unwrap();
        let good = schema.made().unwrap();
        assert_eq!(Value::Object(good.clone()), json!({"name":"check","kind":"a"}));
        let bad = schema.bad(&good);
        let seen: Vec<_> = bad.iter().map(|bad| (bad.what, bad.field.as_str())).collect();
        let expected = [
            ("missing", "name"),
            ("missing", "kind"),
            ("extra", "not_an_argument"),
            ("wrongly typed", "name"),
            ("wrongly typed", "kind"),
            ("wrongly typed", "at"),
            ("wrongly typed", "many"),
        ];
        assert_eq!(seen, expected);
        let large = json!(9_007_199_254_740_993_i64);
        assert_eq!(schema.placed(&good, &large, None).unwrap().get("at"), Some(&large));
    }

    #[test]
    fn a_schema_that_breaks_a_rule_is_told() {
        for (schema, said) in [
            ("{", "is not JSON"),
            ("{}", "the root must say"),
            (
                r#"{"type":"object","properties":{"a":{"$ref":"https://x.test/s"}}}"#,
                "out of itself",
            ),
            (r#"{"type":"object","properties":{"a":{"pattern":"("}}}"#, "does not compile"),
            (r#"{"type":"object","properties":{"a":{"type":"strang"}}}"#, "does not compile"),
            (r#"{"type":"object","properties":{"a":{"pattern":"(?=a)"}}}"#, "does not compile"),
        ] {
            let fault = Schema::of_arguments(schema).err().unwrap_or_default();
            assert!(fault.contains(said), "{schema}: {fault}");
        }
    }
}

//! Reading the arguments of a call into the author's type. Every fault names its field, so that a
//! model can mend it; all missing and unknown fields are told at once.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    failure::{Failure, FailureClass},
    limits::MAX_ARGUMENTS,
};

/// What a schema says about the root, and which values must not be repeated in a failure.
#[derive(Debug, Default)]
pub(crate) struct Form {
    known: Option<Vec<String>>,
    required: Vec<String>,
    sensitive: Vec<String>,
}

impl Form {
    /// The form of arguments with `schema`.
    pub(crate) fn new(schema: &Value, sensitive: &[String]) -> Self {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let names = || match schema.get("properties") {
            Some(Value::Object(properties)) => properties.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let required = match schema.get("required") {
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Self { known: closed.then(names), required, sensitive: sensitive.to_vec() }
    }

    /// Reads `json` (empty means no arguments).
    ///
    /// # Errors
    /// A failure of class `INVALID_ARGUMENT` with a violation for each wrong field.
    pub(crate) fn read<A: DeserializeOwned>(&self, json: &str) -> Result<A, Failure> {
        if json.len() > MAX_ARGUMENTS {
            return Err(Failure::invalid_argument(
                "arguments",
                format!("has {} bytes, at most {MAX_ARGUMENTS} are taken", json.len()),
            ));
        }
        let json = if json.trim().is_empty() { "{}" } else { json };
        let value: Value = serde_json::from_str(json).map_err(|fault| {
            Failure::invalid_argument("arguments", format!("is not JSON: {fault}"))
        })?;
        let Value::Object(root) = &value else {
            return Err(Failure::invalid_argument("arguments", "must be a JSON object"));
        };
        let violations = self.violations(root);
        if !violations.is_empty() {
            return Err(invalid(violations));
        }
        serde_path_to_error::deserialize(value).map_err(|fault| {
            let path = fault.path().to_string();
            let field = match path.as_str() {
                "." | "" => "arguments".to_owned(),
                path => format!("arguments.{path}"),
            };
            let root = path.split(['.', '[']).next().unwrap_or_default();
            let how = if self.sensitive.iter().any(|name| name == root) {
                "has the wrong type or value".to_owned()
            } else {
                fault.inner().to_string()
            };
            invalid(vec![(field, how)])
        })
    }

    fn violations(&self, root: &Map<String, Value>) -> Vec<(String, String)> {
        let missing = self
            .required
            .iter()
            .filter(|name| !root.contains_key(*name))
            .map(|name| (format!("arguments.{name}"), "is required".to_owned()));
        let unknown = self.known.iter().flat_map(|known| {
            root.keys().filter(|key| !known.contains(key)).map(|key| {
                let how = match known.as_slice() {
                    [] => "is not known; this tool takes no arguments".to_owned(),
                    known => format!("is not known; known are {}", known.join(", ")),
                };
                (format!("arguments.{key}"), how)
            })
        });
        missing.chain(unknown).collect()
    }
}

fn invalid(violations: Vec<(String, String)>) -> Failure {
    let message =
        violations.iter().map(|(field, how)| format!("{field}: {how}")).collect::<Vec<_>>();
    let mut failure =
        Failure::new(FailureClass::InvalidArgument, "INVALID_ARGUMENT", message.join("; "));
    failure.violations = violations;
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::descriptor::input_schema;

    #[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
    struct Arguments {
        namespace: String,
        #[serde(default)]
        number: u64,
        #[serde(default)]
        nested: Vec<Nested>,
        #[serde(default)]
        pin: u32,
    }

    #[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
    struct Nested {
        port: u16,
    }

    fn read(json: &str) -> Result<Arguments, Failure> {
        let schema = input_schema::<Arguments>().unwrap();
        Form::new(&schema, &["pin".to_owned()]).read(json)
    }

    #[test]
    fn each_fault_names_its_field() {
        for (json, fields) in [
            ("{}", vec!["arguments.namespace"]),
            ("", vec!["arguments.namespace"]),
            (r#"{"a":1,"b":2}"#, vec!["arguments.namespace", "arguments.a", "arguments.b"]),
            (r#"{"namespace":7}"#, vec!["arguments.namespace"]),
            (
                r#"{"namespace":"n","nested":[{"port":1},{"port":99999}]}"#,
                vec!["arguments.nested[1].port"],
            ),
            ("[]", vec!["arguments"]),
            ("{", vec!["arguments"]),
        ] {
            let failure = read(json).unwrap_err();
            assert_eq!(failure.class, FailureClass::InvalidArgument, "{json}");
            let named: Vec<_> = failure.violations.iter().map(|(f, _)| f.as_str()).collect();
            assert_eq!(named, fields, "{json}");
        }
    }

    #[test]
    fn integers_beyond_two_to_the_53_arrive_unchanged() {
        let read = read(r#"{"namespace":"n","number":9007199254740993}"#).unwrap();
        assert_eq!(read.number, 9_007_199_254_740_993);
    }

    #[test]
    fn a_sensitive_value_is_not_repeated_in_the_failure() {
        let failure = read(r#"{"namespace":"n","pin":"four-two"}"#).unwrap_err();
        assert!(!failure.message.contains("four"), "{}", failure.message);
    }

    #[test]
    fn arguments_that_are_too_large_are_refused_cleanly() {
        let json = format!(r#"{{"namespace":"{}"}}"#, "x".repeat(MAX_ARGUMENTS));
        assert_eq!(read(&json).unwrap_err().class, FailureClass::InvalidArgument);
    }

    proptest::proptest! {
        #[test]
        fn what_fits_the_type_is_read_as_it_was(namespace in ".*", number: u64, port: u16) {
            let sent = Arguments { namespace, number, nested: vec![Nested { port }], pin: 3 };
            let json = serde_json::to_string(&sent).unwrap();
            proptest::prop_assert_eq!(read(&json).unwrap(), sent);
        }
    }
}

//! What a tool promises of its arguments and results: JSON Schema 2020-12 within bounds, compiled
//! once when it is registered, checked before each call and after it. A stranger writes both the
//! schema and the result that is held against it, so that nothing of either may cost much: no
//! references outside, expressions that match in linear time, and no way to have one value looked
//! at again and again ([`growth`]).

mod growth;
mod known;
mod walk;

use jsonschema::{
    Draft, PatternOptions, Regex, ValidationError, Validator, error::ValidationErrorKind as Kind,
};
use serde_json::{Map, Value};

pub(crate) use self::known::Known;
use super::admission::violation;
use crate::tool::{Failure, FailureClass, Violation};

/// Largest schema, in bytes.
pub(crate) const MAX_SCHEMA: usize = 64 * 1024;
/// Largest arguments, in bytes.
pub(crate) const MAX_ARGUMENTS: usize = 256 * 1024;
/// Arguments up to this size have all their faults told; larger ones only the first.
const TOLD_IN_FULL: usize = 16 * 1024;
/// Most faults that are told.
const MAX_FAULTS: usize = 16;
/// Largest compiled expression, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// The one dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Which of the two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Of the arguments: the root is an object, closed unless it says otherwise.
    Arguments,
    /// Of the result: anything.
    Result,
}

/// What a tool promises, ready to be checked.
#[derive(Debug)]
pub(crate) struct Contract {
    arguments: Validator,
    /// None for results without structure.
    result: Option<Validator>,
}

// === impl Side ===

impl Side {
    fn field(self) -> &'static str {
        match self {
            Self::Arguments => "input_schema_json",
            Self::Result => "output_schema_json",
        }
    }
}

// === impl Contract ===

impl Contract {
    /// Reads both schemas. An empty one of the arguments means none; an empty one of the result
    /// means anything.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub(crate) fn read(arguments: &str, result: &str) -> Result<Self, Vec<Violation>> {
        let given = if arguments.is_empty() { r#"{"type":"object"}"# } else { arguments };
        let arguments = compiled(given, Side::Arguments);
        let result = (!result.is_empty()).then(|| compiled(result, Side::Result)).transpose();
        match (arguments, result) {
            (Ok(arguments), Ok(result)) => Ok(Self { arguments, result }),
            (arguments, result) => {
                Err([arguments.err(), result.err()].into_iter().flatten().flatten().collect())
            }
        }
    }

    /// Holds arguments against their schema.
    ///
    /// # Errors
    /// A failure of class INVALID_ARGUMENT that names each field.
    pub(crate) fn check_arguments(&self, text: &str) -> Result<(), Failure> {
        if text.len() > MAX_ARGUMENTS {
            let said = format!("have {} bytes; send at most {MAX_ARGUMENTS}", text.len());
            return Err(refused(vec![violation("arguments", "TOO_LARGE", &said)]));
        }
        let read: Value = serde_json::from_str(text).map_err(|error| {
            let said = format!("are not JSON (line {}, column {})", error.line(), error.column());
            refused(vec![violation("arguments", "NOT_JSON", &said)])
        })?;
        // Who asks for all faults holds all of them in memory.
        let faults: Vec<Violation> = if text.len() <= TOLD_IN_FULL {
            self.arguments.iter_errors(&read).flat_map(fault).take(MAX_FAULTS).collect()
        } else {
            self.arguments.validate(&read).err().into_iter().flat_map(fault).collect()
        };
        if faults.is_empty() { Ok(()) } else { Err(refused(faults)) }
    }

    /// Whether results are held against anything.
    pub(crate) fn checks_results(&self) -> bool {
        self.result.is_some()
    }

    /// Where a result breaks its schema, in words; none when it does not. May take a while: a stranger
    /// made both.
    pub(crate) fn fault_of_result(&self, text: &str) -> Option<String> {
        let schema = self.result.as_ref()?;
        let read: Value = serde_json::from_str(text).ok()?;
        let error = schema.validate(&read).err()?;
        let told = fault(error).next()?;
        Some(format!("{} {}", told.field.replacen("arguments", "result", 1), told.description))
    }
}

fn refused(faults: Vec<Violation>) -> Failure {
    let said: Vec<String> =
        faults.iter().map(|fault| format!("{}: {}", fault.field, fault.description)).collect();
    let mut failure = Failure::ours(FailureClass::InvalidArgument, "ARGUMENTS", said.join("; "));
    failure.violations = faults;
    failure
}

/// Compiles a schema that keeps within all bounds.
fn compiled(text: &str, side: Side) -> Result<Validator, Vec<Violation>> {
    let field = side.field();
    let wrong = |reason, said: &str| violation(field, reason, said);
    if text.len() > MAX_SCHEMA {
        let said = format!("has {} bytes; send at most {MAX_SCHEMA}", text.len());
        return Err(vec![wrong("TOO_LARGE", &said)]);
    }
    let mut schema: Value = serde_json::from_str(text).map_err(|error| {
        let said = format!("is not JSON (line {}, column {})", error.line(), error.column());
        vec![wrong("NOT_JSON", &said)]
    })?;
    let Value::Object(root) = &mut schema else {
        return Err(vec![wrong("ROOT_NOT_OBJECT", "is not a JSON Schema: its root is no object")]);
    };
    if side == Side::Arguments && root.get("type").and_then(Value::as_str) != Some("object") {
        let said = "the root of the schema needs \"type\": \"object\"";
        return Err(vec![wrong("ROOT_NOT_OBJECT", said)]);
    }
    let dialect = root.get("$schema").and_then(Value::as_str);
    if dialect.is_some_and(|dialect| dialect.trim_end_matches('#') != DIALECT) {
        let said = format!("must be JSON Schema 2020-12: $schema is {DIALECT} or left out");
        return Err(vec![wrong("WRONG_DIALECT", &said)]);
    }
    let faults = walk::faults(&schema, field);
    if !faults.is_empty() {
        return Err(faults);
    }
    if side == Side::Arguments
        && let Value::Object(root) = &mut schema
    {
        close(root);
    }
    growth::check(&schema).map_err(|said| vec![wrong("TOO_COSTLY", &said)])?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns())
        .build(&schema)
        .map_err(|error| {
            let at = dotted(error.instance_path().as_str());
            let said = format!("is no JSON Schema 2020-12 at {field}{at}: {error}");
            vec![wrong("BAD_SCHEMA", &cut(said))]
        })
}

fn patterns() -> PatternOptions<Regex> {
    PatternOptions::regex().size_limit(MAX_COMPILED).dfa_size_limit(4 * MAX_COMPILED)
}

/// Closes a root that does not say whether it is open: models make arguments up.
fn close(root: &mut Map<String, Value>) {
    if root.contains_key("additionalProperties") || root.contains_key("unevaluatedProperties") {
        return;
    }
    // Without it, what is unknown would not be named.
    root.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    // Behind a choice only the later keyword sees what the branches allow.
    let choice = ["$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"];
    let word = if choice.iter().any(|word| root.contains_key(*word)) {
        "unevaluatedProperties"
    } else {
        "additionalProperties"
    };
    root.insert(word.to_owned(), Value::Bool(false));
}

/// One fault of a value, as one or more wrong fields.
#[expect(clippy::wildcard_enum_match_arm, reason = "another library's, and the rest is told alike")]
fn fault(error: ValidationError<'_>) -> impl Iterator<Item = Violation> + use<> {
    let at = format!("arguments{}", dotted(error.instance_path().as_str()));
    let below = |name: &str| format!("{at}.{name}");
    let told = |field: String, reason: &str, said: String| violation(&field, reason, &said);
    let faults = match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let unknown = |name: &String| {
                told(below(name), "UNKNOWN", "is not an argument of this tool; leave it out".into())
            };
            unexpected.iter().take(MAX_FAULTS).map(unknown).collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![told(below(name), "REQUIRED", "is missing".into())]
        }
        Kind::FalseSchema => {
            vec![told(at, "UNKNOWN", "is not an argument of this tool; leave it out".into())]
        }
        Kind::Type { .. } => vec![told(at, "WRONG_TYPE", cut(error.to_string()))],
        _ => vec![told(at, "INVALID", cut(error.to_string()))],
    };
    faults.into_iter()
}

/// A JSON pointer as people write a path: `/a/0/b` is `.a[0].b`.
fn dotted(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|part| match part.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!(".{}", part.replace("~1", "/").replace("~0", "~")),
        })
        .collect()
}

/// Faults quote the value they are about.
fn cut(mut text: String) -> String {
    if text.len() > 300 {
        text.truncate(text.floor_char_boundary(300));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;

//! The form of a schema: how deep, how many parts, where references go, how long expressions are.
//! Knows which keywords of JSON Schema 2020-12 hold schemas, and says so to [`super::growth`].

use serde_json::{Map, Value};

use crate::{plugin::admission::violation, tool::Violation};

/// Deepest nesting of schemas.
const MAX_DEPTH: usize = 16;
/// Most schemas in one.
const MAX_PARTS: usize = 512;
/// Most expressions: compiling one can take as long as a whole schema without.
const MAX_PATTERNS: usize = 32;
/// Longest expression, in bytes.
const MAX_PATTERN: usize = 256;

/// Whether a part is held against the same value as the schema it stands in, or against a part of
/// that value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The same value.
    Same,
    /// A part of it: a property, an item.
    Below,
    /// Nothing until it is referred to.
    Aside,
}

/// Keywords with one schema.
const ONE: [(&str, Place); 11] = [
    ("not", Place::Same),
    ("if", Place::Same),
    ("then", Place::Same),
    ("else", Place::Same),
    ("items", Place::Below),
    ("contains", Place::Below),
    ("propertyNames", Place::Below),
    ("additionalProperties", Place::Below),
    ("unevaluatedItems", Place::Below),
    ("unevaluatedProperties", Place::Below),
    ("contentSchema", Place::Aside),
];
/// Keywords with a list of schemas.
const MANY: [(&str, Place); 4] = [
    ("allOf", Place::Same),
    ("anyOf", Place::Same),
    ("oneOf", Place::Same),
    ("prefixItems", Place::Below),
];
/// Keywords with schemas by name.
const NAMED: [(&str, Place); 5] = [
    ("properties", Place::Below),
    ("patternProperties", Place::Below),
    ("dependentSchemas", Place::Same),
    ("$defs", Place::Aside),
    ("definitions", Place::Aside),
];

/// Keywords whose values are data, not schemas.
const DATA: [&str; 8] = [
    "type",
    "enum",
    "const",
    "default",
    "examples",
    "required",
    "dependentRequired",
    "$vocabulary",
];

/// Whether a keyword is one that is looked at here. What is not could hide schemas that others read.
fn is_known(word: &str) -> bool {
    let schemas = ONE.iter().chain(&MANY).chain(&NAMED).map(|(known, _)| *known);
    schemas.chain(DATA).any(|known| known == word) || word.starts_with("x-")
}

/// The schemas that stand directly in `schema`, each with its keyword.
pub(super) fn parts(schema: &Map<String, Value>) -> Vec<(&'static str, Place, &Value)> {
    let mut found = Vec::new();
    for (word, place) in ONE {
        found.extend(schema.get(word).map(|part| (word, place, part)));
    }
    for (word, place) in MANY {
        let parts = schema.get(word).and_then(Value::as_array).into_iter().flatten();
        found.extend(parts.map(|part| (word, place, part)));
    }
    for (word, place) in NAMED {
        let parts = schema.get(word).and_then(Value::as_object).into_iter().flatten();
        found.extend(parts.map(|(_, part)| (word, place, part)));
    }
    found
}

/// Everything about the form of `schema` that is not allowed.
pub(super) fn faults(schema: &Value, field: &str) -> Vec<Violation> {
    let mut seen = Seen { field, root: schema, parts: 0, patterns: 0, faults: Vec::new() };
    seen.look(schema, 1);
    if seen.parts > MAX_PARTS {
        let said = format!("has {} schemas inside; use at most {MAX_PARTS}", seen.parts);
        seen.faults.push(violation(field, "TOO_MANY_PARTS", &said));
    }
    if seen.patterns > MAX_PATTERNS {
        let said = format!("has {} patterns; use at most {MAX_PATTERNS}", seen.patterns);
        seen.faults.push(violation(field, "TOO_MANY_PATTERNS", &said));
    }
    seen.faults
}

struct Seen<'a> {
    field: &'a str,
    root: &'a Value,
    parts: usize,
    patterns: usize,
    faults: Vec<Violation>,
}

impl Seen<'_> {
    fn look(&mut self, schema: &Value, depth: usize) {
        self.parts = self.parts.saturating_add(1);
        if depth > MAX_DEPTH {
            let said = format!("nests schemas deeper than {MAX_DEPTH}; put parts into $defs");
            return self.tell("TOO_DEEP", &said);
        }
        // True and false are schemas, too.
        let Value::Object(schema) = schema else { return };
        for word in ["$ref", "$dynamicRef"] {
            if let Some(to) = schema.get(word).and_then(Value::as_str) {
                self.reference(to);
            }
        }
        for (word, value) in schema {
            let nested = value.is_object() || value.is_array();
            if nested && !is_known(word) {
                let said = format!("has {word:?}, which JSON Schema 2020-12 does not know");
                self.tell("UNKNOWN_KEYWORD", &said);
            }
        }
        if depth > 1 && schema.contains_key("$id") {
            self.tell("NESTED_ID", "has an $id inside, which moves what $ref means; leave it out");
        }
        self.expressions(schema);
        for (_, _, part) in parts(schema) {
            self.look(part, depth + 1);
        }
    }

    fn reference(&mut self, to: &str) {
        // Other readers decode what is escaped by percent, and would come out elsewhere.
        let inside = (to == "#" || to.starts_with("#/")) && !to.contains('%');
        if !inside {
            let said = format!("refers to {to:?}; a $ref begins with #/ and stays inside");
            self.tell("REMOTE_REF", &said);
        } else if target(self.root, to).is_none() {
            let said = format!("refers to {to:?}, and nothing is there");
            self.tell("DANGLING_REF", &said);
        }
    }

    fn expressions(&mut self, schema: &Map<String, Value>) {
        let named = schema.get("patternProperties").and_then(Value::as_object);
        let names = named.into_iter().flat_map(Map::keys).map(String::as_str);
        let own = schema.get("pattern").and_then(Value::as_str);
        let long: Vec<usize> =
            names.chain(own).map(str::len).filter(|length| *length > MAX_PATTERN).collect();
        self.patterns = self.patterns.saturating_add(
            usize::from(schema.contains_key("pattern")) + named.map_or(0, Map::len),
        );
        for length in long {
            let said = format!("has a pattern of {length} bytes; use at most {MAX_PATTERN}");
            self.tell("PATTERN_TOO_LONG", &said);
        }
    }

    fn tell(&mut self, reason: &str, said: &str) {
        // One hostile schema needs no thousand words.
        if self.faults.len() < 8 {
            self.faults.push(violation(self.field, reason, said));
        }
    }
}

/// What a reference inside of `root` points to.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

//! What a schema may be, and what is told of values that break it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

fn reasons(schema: &str) -> Vec<String> {
    let told = Contract::read(schema, "").err().unwrap_or_default();
    assert!(told.iter().all(|fault| fault.field == "input_schema_json"));
    told.into_iter().map(|fault| fault.reason).collect()
}

/// A schema of arguments with these members beside its type.
fn with(members: &str) -> String {
    format!(r##"{{"type":"object",{members}}}"##)
}

fn nested(levels: usize) -> String {
    (0..levels).fold(r#"{"type":"string"}"#.to_owned(), |inner, _| {
        format!(r#"{{"type":"object","properties":{{"a":{inner}}}}}"#)
    })
}

#[test]
fn a_schema_keeps_within_its_bounds_or_is_refused_with_the_reason() {
    let parts = |count: usize| {
        let each: Vec<String> = (0..count).map(|at| format!(r#""p{at}":true"#)).collect();
        with(&format!(r#""properties":{{{}}}"#, each.join(",")))
    };
    for (schema, expected) in [
        ("{".to_owned(), vec!["NOT_JSON"]),
        ("[]".to_owned(), vec!["ROOT_NOT_OBJECT"]),
        (r#"{"type":"string"}"#.to_owned(), vec!["ROOT_NOT_OBJECT"]),
        (with(r#""$schema":"http://json-schema.org/draft-07/schema#""#), vec!["WRONG_DIALECT"]),
        (with(r#""$schema":"https://json-schema.org/draft/2020-12/schema""#), vec![]),
        (with(r#""properties":{"a":{"$ref":"https://a.test/b"}}"#), vec!["REMOTE_REF"]),
        (with(r#""properties":{"a":{"$ref":"file:///etc/passwd"}}"#), vec!["REMOTE_REF"]),
        (with(r##""properties":{"a":{"$ref":"#/$defs/b"}}"##), vec!["DANGLING_REF"]),
        (with(r##""properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":true}"##), vec![]),
        (
            with(r##""properties":{"a":{"$ref":"#/$defs/%62"}},"$defs":{"b":true}"##),
            vec!["REMOTE_REF"],
        ),
        (with(r#""dependencies":{"a":{"type":"string"}}"#), vec!["UNKNOWN_KEYWORD"]),
        (with(r#""additionalItems":{"type":"string"}"#), vec!["UNKNOWN_KEYWORD"]),
        (with(r#""x-ours":{"a":[1]},"examples":[{"a":1}]"#), vec![]),
        (with(r#""properties":{"a":{"$id":"https://a.test/"}}"#), vec!["NESTED_ID"]),
        (with(r#""properties":{"a":{"type":"sting"}}"#), vec!["BAD_SCHEMA"]),
        (with(r#""properties":{"a":{"pattern":"(a"}}"#), vec!["BAD_SCHEMA"]),
        (with(r#""properties":{"a":{"pattern":"(?=a)b"}}"#), vec!["BAD_SCHEMA"]),
        (with(r#""properties":{"a":{"pattern":"(a{1000}){1000}"}}"#), vec!["BAD_SCHEMA"]),
        (
            with(&format!(r#""patternProperties":{{"{}":true}}"#, "a".repeat(257))),
            vec!["PATTERN_TOO_LONG"],
        ),
        (nested(15), vec![]),
        (nested(16), vec!["TOO_DEEP"]),
        (parts(511), vec![]),
        (parts(512), vec!["TOO_MANY_PARTS"]),
        (with(&format!(r#""description":"{}""#, "x".repeat(MAX_SCHEMA))), vec!["TOO_LARGE"]),
    ] {
        assert_eq!(reasons(&schema), expected, "{}", cut(schema));
    }
}

#[test]
fn a_schema_that_multiplies_its_work_is_refused_and_a_list_or_a_tree_is_not() {
    // Doubles with each step of the chain.
    let chain: Vec<String> = (0..40)
        .map(|at| {
            format!(
                r##""d{at}":{{"allOf":[{{"$ref":"#/$defs/d{n}"}},{{"$ref":"#/$defs/d{n}"}}]}}"##,
                n = at + 1
            )
        })
        .chain([r#""d40":true"#.to_owned()])
        .collect();
    let chain = with(&format!(r##""$ref":"#/$defs/d0","$defs":{{{}}}"##, chain.join(",")));
    // Doubles with each level of the value, or with each second one.
    let twice = r##"{"properties":{"x":{"$ref":"#"}}}"##;
    let deep = with(&format!(r#""allOf":[{twice},{twice}]"#));
    let slow = r##"{"properties":{"x":{"properties":{"x":{"$ref":"#"}}}}}"##;
    let slow = with(&format!(r#""anyOf":[{slow},{slow}]"#));
    let patterns = with(r##""patternProperties":{"a":{"$ref":"#"},"b|a":{"$ref":"#"}}"##);
    let loops = with(r##""allOf":[{"$ref":"#"}]"##);
    // Evaluated again for what no branch evaluated: doubles with each level of the value.
    let level = |at: usize| {
        let inner = format!(r##"{{"properties":{{"x":{{"$ref":"#/$defs/u{}"}}}}}}"##, at + 1);
        format!(r##""u{at}":{{"anyOf":[{inner}],"unevaluatedProperties":false}}"##)
    };
    let unevaluated = |levels: usize| {
        let mut defs: Vec<String> = (0..levels).map(level).collect();
        defs.push(format!(r##""u{levels}":true"##));
        let defs = defs.join(",");
        with(&format!(r##""properties":{{"x":{{"$ref":"#/$defs/u0"}}}},"$defs":{{{defs}}}"##))
    };
    assert!(reasons(&unevaluated(5)).is_empty());
    assert_eq!(reasons(&unevaluated(12)), ["TOO_COSTLY"]);
    let values: Vec<String> = (0..10_000).map(|value| value.to_string()).collect();
    let listed = with(&format!(r#""properties":{{"a":{{"enum":[{}]}}}}"#, values.join(",")));
    assert_eq!(reasons(&listed), ["TOO_COSTLY"]);
    let hidden = with(r##""properties":{"a":{"$ref":"#/x-y/b"}},"x-y":{"b":{}}"##);
    for schema in [chain, deep, slow, patterns, loops, hidden] {
        assert_eq!(reasons(&schema), ["TOO_COSTLY"], "{}", cut(schema));
    }
    let list = with(r##""properties":{"next":{"$ref":"#"}}"##);
    let tree =
        with(r##""properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}},"items":{"$ref":"#"}"##);
    for schema in [list, tree] {
        assert!(reasons(&schema).is_empty(), "{schema}");
    }
}

#[test]
fn wrong_arguments_are_named_each_with_its_path_and_unknown_ones_are_not_let_through() {
    let schema = with(
        r#""required":["pod"],"properties":{"pod":{"type":"string"},"lines":{"type":"integer","maximum":10},
           "labels":{"type":"array","items":{"type":"string"}}}"#,
    );
    let contract = Contract::read(&schema, "").unwrap();
    assert_eq!(contract.check_arguments(r#"{"pod":"a","lines":10}"#), Ok(()));
    let failure = contract
        .check_arguments(r#"{"lines":"many","labels":["a",7],"namespace":"shop"}"#)
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (FailureClass::InvalidArgument, "ARGUMENTS")
    );
    let mut told: Vec<(&str, &str)> =
        failure.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("arguments.labels[1]", "WRONG_TYPE"),
            ("arguments.lines", "WRONG_TYPE"),
            ("arguments.namespace", "UNKNOWN"),
            ("arguments.pod", "REQUIRED"),
        ]
    );
    for (arguments, reason) in [("{", "NOT_JSON"), ("7", "WRONG_TYPE")] {
        assert_eq!(contract.check_arguments(arguments).unwrap_err().violations[0].reason, reason);
    }
    let none = Contract::read("", "").unwrap().check_arguments(r#"{"pod":"a"}"#).unwrap_err();
    assert_eq!(none.violations[0].field, "arguments.pod");
    let large = format!(r#"{{"pod":"{}"}}"#, "x".repeat(MAX_ARGUMENTS));
    assert_eq!(contract.check_arguments(&large).unwrap_err().violations[0].reason, "TOO_LARGE");
}

#[test]
fn a_root_is_closed_unless_it_says_otherwise_also_behind_a_choice() {
    let open = with(r#""additionalProperties":true"#);
    let choice = with(
        r#""oneOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},
                    {"properties":{"b":{"type":"string"}},"required":["b"]}]"#,
    );
    for (schema, arguments, fits) in [
        ("", "{}", true),
        ("", r#"{"a":"x"}"#, false),
        (&open, r#"{"a":"x"}"#, true),
        (&choice, r#"{"a":"x"}"#, true),
        (&choice, r#"{"a":"x","c":"y"}"#, false),
    ] {
        let contract = Contract::read(schema, "").unwrap();
        assert_eq!(contract.check_arguments(arguments).is_ok(), fits, "{schema} {arguments}");
    }
}

#[test]
fn a_result_is_held_against_its_schema_and_large_numbers_stay_exact() {
    let result = r#"{"type":"object","properties":{"id":{"const":9007199254740993}}}"#;
    let contract = Contract::read("", result).unwrap();
    assert_eq!(contract.fault_of_result(r#"{"id":9007199254740993}"#), None);
    let said = contract.fault_of_result(r#"{"id":9007199254740992}"#).unwrap();
    assert!(said.starts_with("result.id "), "{said}");
    assert_eq!(Contract::read("", "").unwrap().fault_of_result("7"), None);
}

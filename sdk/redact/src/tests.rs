//! What is masked, what is spared, and that masking twice is masking once. All secrets here are
//! made up.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use proptest::prelude::*;

use super::{
    shapes::{Shape, shapes},
    *,
};

#[test]
fn every_shape_compiles_and_needs_what_no_mask_can_make() {
    assert_eq!(RULES.all.len(), shapes().len());
    assert!(RULES.all.len() <= 32, "a shape more than there are bits");
    assert!(KEY.is_some());
    for Shape { pattern, needs, .. } in shapes() {
        assert!(
            !needs.is_empty() && needs.iter().all(|word| !word.contains(['[', ']'])),
            "{pattern}"
        );
    }
}

/// The shapes that match `text`, all of them asked.
fn that_match(text: &str) -> usize {
    RULES.all.iter().filter(|rule| rule.shape.is_match(text)).count()
}

/// The same, where only those are asked that have what they need.
fn that_match_and_may(text: &str) -> usize {
    RULES.that_may_match(text).filter(|rule| rule.shape.is_match(text)).count()
}

#[test]
fn no_shape_matches_without_what_it_needs() {
    for (text, ..) in SECRETS {
        for text in [(*text).to_owned(), text.to_uppercase(), text.to_lowercase()] {
            assert_eq!(that_match(&text), that_match_and_may(&text), "{text}");
        }
    }
    for text in ["pa\u{17f}\u{17f}word=hunter2", "to\u{212a}en=hunter2", "API\u{212a}EY: x-1"] {
        assert!(redact(text).contains(MASK), "{text}");
    }
    assert_eq!(RULES.that_may_match("a quiet line about web-7f9c: 3 of 4 ready").count(), 0);
}

/// The secret inside is `S`-marked by being listed: it must be gone, and the rest must be there.
const SECRETS: &[(&str, &str, &str)] = &[
    ("password=hunter2", "hunter2", "password=[REDACTED]"),
    ("PASSWD = hunter2 next", "hunter2", "PASSWD = [REDACTED] next"),
    ("DB_PASSWORD=hunter2;user=bob", "hunter2", "DB_PASSWORD=[REDACTED];user=bob"),
    ("Server=db;Uid=app;Pwd=hun!ter2;", "hun!ter2", "Server=db;Uid=app;Pwd=[REDACTED];"),
    ("secret=top-secret-words", "top-secret-words", "secret=[REDACTED]"),
    ("?user=a&token=abc&x=1", "abc", "?user=a&token=[REDACTED]&x=1"),
    ("api_key: k-12345", "k-12345", "api_key: [REDACTED]"),
    ("X-Api-Key: k-12345", "k-12345", "X-Api-Key: [REDACTED]"),
    ("password: hunter2\nuser: bob", "hunter2", "password: [REDACTED]\nuser: bob"),
    (r#"{"password":"hun\"ter2","a":1}"#, "ter2", r#"{"password":"[REDACTED]","a":1}"#),
    (r#"{"apiKey": "abc"}"#, "abc", r#"{"apiKey": "[REDACTED]"}"#),
    (r#"{"secret":"x"}"#, r#""x""#, r#"{"secret":"[REDACTED]"}"#),
    ("password: 'it''s'", "it''s", "password: '[REDACTED]'"),
    (r#"msg="{\"token\":\"abc\",\"a\":1}""#, "abc", r#"msg="{\"token\":\"[REDACTED]\",\"a\":1}""#),
    (r#"password="never closed"#, "never", r#"password="[REDACTED]"#),
    ("run --password hunter2 --deep", "hunter2", "run --password [REDACTED] --deep"),
    ("curl -u bob:hunter2 http://x", "hunter2", "curl -u bob:[REDACTED] http://x"),
    ("Authorization: Bearer abc.def", "abc.def", "Authorization: Bearer [REDACTED]"),
    ("authorization: Basic Ym9iOmh1bnRlcjI=", "Ym9i", "authorization: Basic [REDACTED]"),
    ("sent bearer Zm9vYmFyMTIz to it", "Zm9v", "sent bearer [REDACTED] to it"),
    ("Cookie: sid=31d4d96e407aad42", "31d4", "Cookie: [REDACTED]"),
    ("postgres://app:hunter2@db:5432/shop", "hunter2", "postgres://app:[REDACTED]@db:5432/shop"),
    ("redis://:hunter2@cache:6379", "hunter2", "redis://:[REDACTED]@cache:6379"),
    ("amqp://a:p@ss@mq/", "p@ss", "amqp://a:[REDACTED]@mq/"),
    ("mysql://a:sl/ash@db/x", "sl/ash", "mysql://a:[REDACTED]@db/x"),
    ("app:hunter2@tcp(db:3306)/shop", "hunter2", "app:[REDACTED]@tcp(db:3306)/shop"),
    ("id AKIAABCDEFGHIJKLMNOP used", "AKIA", "id [REDACTED] used"),
    (
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYabcdefGHIJ",
        "wJalr",
        "aws_secret_access_key = [REDACTED]",
    ),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "eyJ", "jwt [REDACTED] end"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_", "[REDACTED]"),
    ("xoxb-123456789012-abcdef", "xoxb", "[REDACTED]"),
    ("key sk-proj-Abcdef0123456789abcdef", "Abcdef", "key sk-[REDACTED]"),
    (
        "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- b",
        "MIIE",
        "a [REDACTED] b",
    ),
    ("-----BEGIN PRIVATE KEY-----\\nMIIEcut", "MIIE", "[REDACTED]"),
    ("MIIEtail\nabc=\n-----END PRIVATE KEY-----", "MIIE", "[REDACTED]"),
    ("X-Vault-Token: s.a1b2c3d4e5f6", "a1b2", "X-Vault-Token: [REDACTED]"),
];

#[test]
fn the_common_shapes_are_masked_and_the_rest_stays() {
    for (text, secret, expected) in SECRETS {
        let masked = redact(text);
        assert_eq!(&masked, expected);
        assert!(!masked.contains(secret), "{masked}");
    }
}

#[test]
fn names_and_prose_are_evidence_and_stay() {
    for text in [
        r#"Error: secret "db-creds" not found"#,
        r#"MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found"#,
        r#"secrets "db-creds" is forbidden"#,
        "couldn't find key DB_PASSWORD in Secret shop/db-creds",
        "secret: db-creds",
        "references non-existent secret key: DB_PASSWORD",
        "secretName: db-creds",
        "SyntaxError: Unexpected token } in JSON at position 7",
        "unexpected token: end of file",
        "password authentication failed for user \"app\"",
        "password: must be set",
        "flag --token is deprecated",
        "DB_PASSWORD=",
        "password=${DB_PASSWORD}",
        "token: null",
        "PWD=/app/bin",
        "DB_PASSWORD: <set to the key 'password' in secret 'db'>",
        "basic authentication is required",
        "the bearer authorization header is missing",
        "http://web:8080/path?to=a@b",
        "image sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "pod sk-worker-6d5f7c9b8d-abcde-fgh was deleted",
        "tokens=500 token_count=7 maxTokens: 9",
        "could not translate host name \"db.shop\" to address",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_key_tells_about_its_value() {
    for (key, value, expected) in [
        ("password", "hunter2", MASK),
        ("change.env.DB_PASSWORD", "a -> b", MASK),
        ("apiToken", "abc", MASK),
        ("token", "abc123", MASK),
        ("secret", "db-creds", "db-creds"),
        ("secret", "default-token-x7k2p", "default-token-x7k2p"),
        ("secret", "hunter2", MASK),
        ("secret", "550e8400-e29b-41d4-a716-446655440000", MASK),
        ("key", "DB_PASSWORD", "DB_PASSWORD"),
        ("exit_code", "137", "137"),
        ("note", "password=abc", "password=[REDACTED]"),
    ] {
        assert_eq!(redact_value(key, value), expected, "{key}");
    }
}

#[test]
fn json_keeps_every_byte_that_is_no_secret() {
    let json = r#"{ "n": 9007199254740993.0, "big":123456789012345678901234567890,
        "password" : "hunter2", "list":["token=abc", "a\u00e4\"b"], "k":{"secret":"db-creds"} }"#;
    let expected = json.replace("hunter2", MASK).replace("token=abc", "token=[REDACTED]");
    assert_eq!(redact_json(json), expected);
    assert_eq!(redact_json("not json \"password=abc"), "not json \"password=[REDACTED]");
}

/// Text that is likely to meet the rules and their seams.
fn hostile_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(SECRETS).prop_map(|(text, _, _)| text.to_owned()),
        prop::sample::select(vec![
            "password",
            "token",
            "secret",
            "=",
            ":",
            "\"",
            "'",
            "\\",
            "\\\"",
            " ",
            "\n",
            "[",
            "]",
            "[REDACTED]",
            "://",
            "@",
            ",",
            ";",
            "&",
            "Bearer ",
            "Authorization: ",
            "--token ",
            "eyJ",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "${",
            "}",
            "aws ",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9._/+=-]{1,24}",
        ".{0,12}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_the_text_no_shape_matches_without_what_it_needs(text in hostile_text()) {
        prop_assert_eq!(that_match(&text), that_match_and_may(&text));
    }

    #[test]
    fn masking_twice_is_masking_once(text in hostile_text()) {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once);
    }

    #[test]
    fn a_value_behind_a_key_is_gone_whatever_it_is(
        key in prop::sample::select(vec!["password", "API_KEY", "db.passwd", "token", "secret"]),
        value in "[a-zA-Z0-9!#%*+/_.-]{6,32}",
        form in 0..4usize,
    ) {
        prop_assume!(!is_absent(&value) && !key.contains(&value));
        let text = match form {
            0 => format!("x {key}={value} y"),
            1 => format!("{{\"{key}\":\"{value}\"}}"),
            2 => format!("{key}: '{value}'"),
            _ => format!("https://h/?a=1&{key}={value}&b=2"),
        };
        prop_assert!(!redact(&text).contains(&value), "{}", redact(&text));
    }

    #[test]
    fn masked_json_is_json_with_the_same_shape(text in hostile_text(), key in hostile_text()) {
        let json = serde_json::json!({ key: [text, 7, null] }).to_string();
        let masked: serde_json::Value = serde_json::from_str(&redact_json(&json)).unwrap();
        prop_assert_eq!(masked.as_object().map(serde_json::Map::len), Some(1));
        prop_assert_eq!(redact_json(&masked.to_string()), masked.to_string());
    }
}

#[test]
fn a_value_is_judged_by_the_name_beside_it_as_in_a_list_of_variables() {
    let json = r#"[{"name":"DB_PASSWORD","value":"correct-horse"},{"name":"MODE","value":"fast"}]"#;
    assert_eq!(
        redact_json(json),
        r#"[{"name":"DB_PASSWORD","value":"[REDACTED]"},{"name":"MODE","value":"fast"}]"#
    );
}

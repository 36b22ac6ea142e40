"""What is masked, what is spared, and that masking twice is masking once. All secrets are made up."""

import time

import pytest

from agentd_plugin.redact import MASK, redact, redact_json, redact_value

SECRETS = [
    ("password=hunter2", "password=[REDACTED]"),
    ("PASSWD = hunter2 next", "PASSWD = [REDACTED] next"),
    ("DB_PASSWORD=hunter2;user=bob", "DB_PASSWORD=[REDACTED];user=bob"),
    ("Server=db;Uid=app;Pwd=hun!ter2;", "Server=db;Uid=app;Pwd=[REDACTED];"),
    ("?user=a&token=abc&x=1", "?user=a&token=[REDACTED]&x=1"),
    ("X-Api-Key: k-12345", "X-Api-Key: [REDACTED]"),
    (r'{"password":"hun\"ter2","a":1}', r'{"password":"[REDACTED]","a":1}'),
    ("password: 'it''s'", "password: '[REDACTED]'"),
    (r'msg="{\"token\":\"abc\",\"a\":1}"', r'msg="{\"token\":\"[REDACTED]\",\"a\":1}"'),
    ('password="never closed', 'password="[REDACTED]'),
    ("run --password hunter2 --deep", "run --password [REDACTED] --deep"),
    ("curl -u bob:hunter2 http://x", "curl -u bob:[REDACTED] http://x"),
    ("Authorization: Bearer abc.def", "Authorization: Bearer [REDACTED]"),
    ("authorization: Basic Ym9iOmh1bnRlcjI=", "authorization: Basic [REDACTED]"),
    ("sent bearer Zm9vYmFyMTIz to it", "sent bearer [REDACTED] to it"),
    ("Cookie: sid=31d4d96e407aad42", "Cookie: [REDACTED]"),
    ("postgres://app:hunter2@db:5432/shop", "postgres://app:[REDACTED]@db:5432/shop"),
    ("redis://:hunter2@cache:6379", "redis://:[REDACTED]@cache:6379"),
    ("amqp://a:p@ss@mq/", "amqp://a:[REDACTED]@mq/"),
    ("app:hunter2@tcp(db:3306)/shop", "app:[REDACTED]@tcp(db:3306)/shop"),
    ("id AKIAABCDEFGHIJKLMNOP used", "id [REDACTED] used"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt [REDACTED] end"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[REDACTED]"),
    ("xoxb-123456789012-abcdef", "[REDACTED]"),
    ("key sk-proj-Abcdef0123456789abcdef", "key sk-[REDACTED]"),
    (
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYabcdefGHIJ",
        "aws_secret_access_key = [REDACTED]",
    ),
    ("-----BEGIN PRIVATE KEY-----\\nMIIEcut", "[REDACTED]"),
    ("MIIEtail\nabc=\n-----END PRIVATE KEY-----", "[REDACTED]"),
    ("ä password=hunter2 €", "ä password=[REDACTED] €"),
]
EVIDENCE = [
    'Error: secret "db-creds" not found',
    "couldn't find key DB_PASSWORD in Secret shop/db-creds",
    "secret: db-creds",
    "SyntaxError: Unexpected token } in JSON at position 7",
    'password authentication failed for user "app"',
    "password: must be set",
    "flag --token is deprecated",
    "DB_PASSWORD=",
    "password=${DB_PASSWORD}",
    "token: null",
    "PWD=/app/bin",
    "http://web:8080/path?to=a@b",
    "image sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "pod sk-worker-6d5f7c9b8d-abcde-fgh was deleted",
    "tokens=500 token_count=7 maxTokens: 9",
]


@pytest.mark.parametrize(("text", "masked"), SECRETS)
def test_the_common_shapes_are_masked_and_the_rest_stays(text: str, masked: str) -> None:
    assert redact(text) == masked
    assert redact(masked) == masked


@pytest.mark.parametrize("text", EVIDENCE)
def test_names_and_prose_are_evidence_and_stay(text: str) -> None:
    assert redact(text) == text


def test_a_key_tells_about_its_value() -> None:
    for key, value, expected in [
        ("password", "hunter2", MASK),
        ("change.env.DB_PASSWORD", "a -> b", MASK),
        ("secret", "db-creds", "db-creds"),
        ("secret", "hunter2", MASK),
        ("exit_code", "137", "137"),
        ("note", "password=abc", "password=[REDACTED]"),
    ]:
        assert redact_value(key, value) == expected


def test_a_value_is_judged_by_the_name_beside_it_as_in_a_list_of_variables() -> None:
    said = [{"name": "DB_PASSWORD", "value": "correct-horse"}, {"name": "MODE", "value": "fast"}]
    assert redact_json({"env": said, "n": 9007199254740993}) == {
        "env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "MODE", "value": "fast"}],
        "n": 9007199254740993,
    }


def test_text_that_is_made_to_be_slow_is_masked_in_linear_time() -> None:
    hostile = ["a" * 200_000, "a-" * 100_000, "password" * 25_000, "\\n" * 100_000, "://" * 60_000]
    begun = time.monotonic()
    for text in hostile:
        redact(text)
    # Backtracking takes minutes for these.
    assert time.monotonic() - begun < 10

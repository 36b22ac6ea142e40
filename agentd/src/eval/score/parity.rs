//! The verdicts here are those which the corpus's own scorer gave to the same answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::{Answer, Ref, Truth, score, text};

/// `answer` is in the shape of the corpus's scorer; `expected` and the flags of `texts` are its output.
#[derive(Deserialize)]
struct Fixtures {
    truths: BTreeMap<String, Truth>,
    cases: Vec<Case>,
    texts: Vec<Said>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    truth: String,
    answer: Value,
    expected: Expected,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    checks: BTreeMap<String, bool>,
    pass: bool,
    pass_without_category: bool,
    recalled: Option<bool>,
    brier: Option<f64>,
}

#[derive(Deserialize)]
struct Said {
    text: String,
    keyword: String,
    has: bool,
    claims: bool,
    mentions: bool,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/eval_parity.json"
    )))
    .expect("fixtures of the right form")
}

fn answer(from: &Value) -> Answer {
    let text = |key: &str| from[key].as_str().unwrap_or_default().to_owned();
    let lines = |key: &str| {
        serde_json::from_value::<Vec<String>>(from[key].clone()).expect("a list of lines")
    };
    Answer {
        root_cause: text("root_cause"),
        summary: text("summary"),
        severity: text("severity"),
        category: from["category"].as_str().map(str::to_owned),
        culprit: serde_json::from_value::<Option<Ref>>(from["culprit"].clone())
            .expect("a reference"),
        more_culprits: serde_json::from_value(from["culprits"].clone()).expect("references"),
        findings: lines("findings"),
        gaps: lines("gaps"),
        recalled: lines("recalled"),
        confidence: from["confidence"].as_f64(),
        whole_report_json: from["report"].to_string(),
    }
}

#[test]
fn every_check_of_every_answer_is_judged_as_by_the_corpus() {
    let fixtures = fixtures();
    assert!(fixtures.cases.len() >= 60);
    for case in fixtures.cases {
        let got = score(&fixtures.truths[&case.truth], &answer(&case.answer));
        let seen = Expected {
            checks: got
                .checks
                .iter()
                .map(|(name, (ok, _))| (name.as_str().to_owned(), *ok))
                .collect(),
            pass: got.pass,
            pass_without_category: got.pass_without_category,
            recalled: got.recalled,
            brier: got.brier.map(|b| (b * 1e9).round() / 1e9),
        };
        assert_eq!(seen, case.expected, "{}: {:?}", case.name, got.checks);
    }
}

#[test]
fn every_text_says_of_its_keyword_what_the_corpus_hears() {
    for said in fixtures().texts {
        let (text, keyword) = (said.text.as_str(), said.keyword.as_str());
        let heard =
            (text::has(text, keyword), text::claims(text, keyword), text::mentions(text, keyword));
        assert_eq!(heard, (said.has, said.claims, said.mentions), "{keyword:?} in {text:?}");
    }
}

#[test]
fn an_answer_is_written_in_the_shape_that_the_corpus_reads() {
    for case in fixtures().cases {
        assert_eq!(answer(&case.answer).shape(), case.answer, "{}", case.name);
    }
}

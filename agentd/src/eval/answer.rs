//! What an investigation answered, as far as it is scored, and the JSON shape of the corpus's scorer.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::truth::Ref;

/// The scored part of a report.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The cause in a sentence or two.
    pub root_cause: String,
    /// What happened, in more words.
    pub summary: String,
    /// `P1` to `P4`.
    pub severity: String,
    /// Category of the cause.
    pub category: Option<String>,
    /// The object to blame; none when nothing is wrong or none was found.
    pub culprit: Option<Ref>,
    /// Objects to blame for further, independent faults.
    pub more_culprits: Vec<Ref>,
    /// What was found, a line each.
    pub findings: Vec<String>,
    /// What could not be looked at, a line each.
    pub gaps: Vec<String>,
    /// Ids of earlier incidents that were recalled.
    pub recalled: Vec<String>,
    /// How sure the report is of its cause, 0 to 1.
    pub confidence: Option<f64>,
    /// The whole report as JSON; looked through for secrets only.
    pub whole_report_json: String,
}

// === impl Answer ===

impl Answer {
    /// Every object blamed, the main one first, without repeats.
    pub(super) fn blamed(&self) -> Vec<&Ref> {
        let mut out: Vec<&Ref> = Vec::new();
        for one in self.culprit.iter().chain(&self.more_culprits).filter(|r| r.is_full()) {
            if !out.contains(&one) {
                out.push(one);
            }
        }
        out
    }

    /// The main object blamed, when it is a full reference.
    pub(super) fn main_culprit(&self) -> Option<&Ref> {
        self.culprit.as_ref().filter(|r| r.is_full())
    }

    /// This answer in the shape that the corpus's scorer reads.
    #[must_use]
    pub fn shape(&self) -> Value {
        let report = serde_json::from_str(&self.whole_report_json)
            .unwrap_or_else(|_| Value::String(self.whole_report_json.clone()));
        json!({
            "root_cause": self.root_cause,
            "summary": self.summary,
            "severity": self.severity,
            "category": self.category,
            "culprit": self.culprit.as_ref().map(plain),
            "culprits": self.more_culprits.iter().map(plain).collect::<Vec<_>>(),
            "findings": self.findings,
            "gaps": self.gaps,
            "recalled": self.recalled,
            "confidence": self.confidence,
            "report": report,
        })
    }
}

fn plain(one: &Ref) -> impl Serialize + use<> {
    json!({"kind": one.kind, "namespace": one.namespace, "name": one.name})
}

/// The answers by scenario, as the corpus's scorer reads them with `--reports FILE`.
#[must_use]
pub fn json_shape<'a>(answers: impl IntoIterator<Item = (&'a str, &'a Answer)>) -> Value {
    Value::Object(
        answers.into_iter().map(|(id, a)| (id.to_owned(), a.shape())).collect::<Map<_, _>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::{Answer, Ref, json_shape};

    #[test]
    fn answers_are_written_by_scenario_with_the_whole_report_inside() {
        let culprit = Ref { kind: "Node".into(), name: "n1".into(), ..Ref::default() };
        let answer = Answer {
            root_cause: "the node is gone".into(),
            culprit: Some(culprit),
            whole_report_json: r#"{"verdict":"found"}"#.into(),
            ..Answer::default()
        };
        let shape = json_shape([("s999", &answer)]);
        assert_eq!(shape["s999"]["culprit"]["name"], "n1");
        assert_eq!(shape["s999"]["report"]["verdict"], "found");
        assert!(shape["s999"]["confidence"].is_null());
    }

    #[test]
    fn a_report_that_is_no_json_is_kept_as_text() {
        let answer = Answer { whole_report_json: "no json".into(), ..Answer::default() };
        assert_eq!(answer.shape()["report"], "no json");
    }
}

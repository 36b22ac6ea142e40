//! What the planner asks, over invented tools.

use std::time::Duration;

use super::*;
use crate::{
    guard::policy::tests::spec,
    investigation::finding::Check,
    reasoner::{Reasoning, catalogue::Catalogue},
    tool::SideEffect,
};

fn tool(name: &str, applies: Vec<Applicability>) -> Arc<ToolSpec> {
    let mut spec = spec(name, SideEffect::ReadOnly);
    spec.applies = applies;
    Arc::new(spec)
}

fn strings(of: &[&str]) -> Vec<String> {
    of.iter().map(|s| (*s).to_owned()).collect()
}

fn start(template: &str, emits: &[&str]) -> Applicability {
    Applicability {
        arguments_template: template.to_owned(),
        emits: strings(emits),
        ..Applicability::default()
    }
}

fn alert() -> Alert {
    Alert { kind: "high_memory".to_owned(), service: "cart".to_owned(), ..Alert::default() }
}

struct Given {
    alert: Alert,
    tools: Vec<Arc<ToolSpec>>,
    catalogue: Catalogue,
    recalled: Option<EpisodeMatch>,
    rested_on: Vec<Question>,
    asked: BTreeSet<(String, String)>,
    failed: Vec<Failed>,
    unusable: BTreeSet<String>,
}

impl Given {
    fn new(tools: Vec<Arc<ToolSpec>>) -> Self {
        Self {
            alert: alert(),
            tools,
            catalogue: Catalogue::embedded().unwrap(),
            recalled: None,
            rested_on: Vec::new(),
            asked: BTreeSet::new(),
            failed: Vec::new(),
            unusable: BTreeSet::new(),
        }
    }

    fn plan(&self, assessment: Option<&Assessment>) -> Vec<(String, String)> {
        let input = Input {
            alert: &self.alert,
            tools: &self.tools,
            catalogue: &self.catalogue,
            recalled: self.recalled.as_ref(),
            rested_on: &self.rested_on,
            assessment,
            asked: &self.asked,
            failed: &self.failed,
            unusable: &self.unusable,
            window: Window::default(),
            revision: 1,
            calls_left: 40,
        };
        let plan = plan(&input);
        plan.map(|plan| {
            plan.check().unwrap();
            plan.steps.into_iter().map(|s| (s.tool.tool, s.arguments)).collect()
        })
        .unwrap_or_default()
    }

    fn nothing_known(&self) -> Assessment {
        Reasoning::new(Arc::new(self.catalogue.clone()))
            .assess(&self.alert, jiff::Timestamp::UNIX_EPOCH)
    }
}

#[test]
fn the_first_round_asks_every_tool_that_fits_the_alert_and_the_cheap_ones_first() {
    let mut dear = spec("dear", SideEffect::ReadOnly);
    dear.typical_latency = Duration::from_secs(9);
    dear.applies = vec![start(r#"{"s":"{service}"}"#, &[])];
    let mut other = start("{}", &[]);
    other.alert_types = strings(&["disk_*"]);
    let mut fitting = start("{}", &[]);
    fitting.alert_types = strings(&["high_*"]);
    let given = Given::new(vec![
        Arc::new(dear),
        tool("other", vec![other]),
        tool("fitting", vec![fitting]),
        tool("silent", vec![]),
    ]);
    assert_eq!(
        given.plan(None),
        [
            ("fitting".to_owned(), "{}".to_owned()),
            ("dear".to_owned(), r#"{"s":"cart"}"#.to_owned())
        ]
    );
}

fn case(category: &str) -> EpisodeMatch {
    EpisodeMatch {
        episode: "episodes/1".to_owned(),
        similarity: 0.9,
        category: category.to_owned(),
        culprit: None,
        root_cause: String::new(),
        resolution: String::new(),
        reason: String::new(),
        tool_calls: 9,
        corrected: false,
        check: Check::Open,
    }
}

fn names(plan: Vec<(String, String)>) -> Vec<String> {
    plan.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_like_case_is_checked_with_the_fewest_questions_and_the_rest_comes_after() {
    let mut given = Given::new(vec![
        tool("kills", vec![start("{}", &["container.oom_killed", "container.crash_looping"])]),
        tool("memory", vec![start("{}", &["container.memory_near_limit"])]),
        tool("images", vec![start("{}", &["container.image_pull_failed"])]),
    ]);
    given.recalled = Some(case("oom_killed"));
    assert_eq!(names(given.plan(None)), ["kills", "memory"]);
    given.asked = [("probe.kills", "{}"), ("probe.memory", "{}")]
        .map(|(t, a)| (t.to_owned(), a.to_owned()))
        .into();
    assert_eq!(names(given.plan(Some(&given.nothing_known()))), ["images"]);
}

#[test]
fn what_an_earlier_verdict_rested_on_is_asked_first_as_the_tools_of_today_want_it_asked() {
    let mut deeper = start(r#"{"object":"{namespace}/{name}"}"#, &["log.error_pattern"]);
    deeper.subject_kinds = strings(&["Service"]);
    deeper.after_signals = strings(&["dependency.*"]);
    let mut given = Given::new(vec![
        tool("kills", vec![start("{}", &["container.oom_killed"])]),
        tool("images", vec![start("{}", &["container.image_pull_failed"])]),
        tool("nodes", vec![start("{}", &["node.not_ready"])]),
        tool("deeper", vec![deeper]),
    ]);
    let rested_on = |tool: &str, about| Question { tool: format!("probe.{tool}"), about };
    given.recalled = Some(case("oom_killed"));
    given.rested_on = vec![
        rested_on("nodes", None),
        rested_on("deeper", Some(Entity::new("Service", "ns", "a"))),
        // Nobody answers these any more.
        rested_on("deeper", Some(Entity::new("Node", "", "n"))),
        rested_on("deeper", None),
        rested_on("gone", None),
    ];
    let plan = given.plan(None);
    assert_eq!(names(plan.clone()), ["nodes", "deeper", "kills"]);
    assert_eq!(plan[1].1, r#"{"object":"ns/a"}"#);
    // Where nothing was wrong then, all broad questions are asked, and what else it rested on.
    given.recalled = Some(case(""));
    assert_eq!(names(given.plan(None)), ["nodes", "deeper", "images", "kills"]);
}

#[test]
fn a_suspect_is_asked_about_by_kind_and_signal_and_never_twice() {
    let mut after = start(r#"{"n":"{namespace}/{name}"}"#, &[]);
    after.after_signals = strings(&["dependency.*"]);
    after.subject_kinds = strings(&["Service"]);
    let mut given = Given::new(vec![tool("look", vec![after])]);
    let mut assessment = given.nothing_known();
    let suspect = |name: &str, signal: &str| Suspect {
        entity: crate::fact::Entity::new("Service", "ns", name),
        signals: strings(&[signal]).into_iter().collect(),
        told_by: BTreeSet::new(),
        urgency: 0.9,
    };
    assessment.suspects = vec![suspect("a", "dependency.failing"), suspect("b", "log.oom")];
    assert_eq!(given.plan(Some(&assessment)), [("look".to_owned(), r#"{"n":"ns/a"}"#.to_owned())]);
    given.asked.insert(("probe.look".to_owned(), r#"{"n":"ns/a"}"#.to_owned()));
    assert!(given.plan(Some(&assessment)).is_empty());
}

#[test]
fn a_tool_that_is_not_set_up_is_not_asked_about_anything_else() {
    let mut given = Given::new(vec![tool("a", vec![start("{}", &[])])]);
    assert!(!given.plan(None).is_empty());
    given.unusable.insert("probe.a".to_owned());
    assert!(given.plan(None).is_empty());
}

#[test]
fn another_tool_for_the_same_signals_stands_in_for_a_failed_one() {
    let mut second = start("{}", &["pod.evicted"]);
    second.alert_types = strings(&["high_memory"]);
    second.arguments_template = r#"{"second":true}"#.to_owned();
    let mut given = Given::new(vec![
        tool("first", vec![start("{}", &["pod.evicted"])]),
        tool("second", vec![second]),
    ]);
    given.asked.insert(("probe.first".to_owned(), "{}".to_owned()));
    given.failed =
        vec![Failed { tool: "probe.first".to_owned(), emits: strings(&["pod.evicted"]) }];
    let plan = given.plan(Some(&given.nothing_known()));
    assert_eq!(plan, [("second".to_owned(), r#"{"second":true}"#.to_owned())]);
}

#[test]
fn no_plugin_takes_all_the_questions() {
    let mut tools: Vec<Arc<ToolSpec>> =
        (0..200).map(|n| tool(&format!("many_{n:03}"), vec![start("{}", &[])])).collect();
    let mut other = spec("other", SideEffect::ReadOnly);
    other.id.plugin = "quiet".to_owned();
    other.typical_latency = Duration::from_secs(9);
    other.applies = vec![start("{}", &[])];
    tools.push(Arc::new(other));
    let plan = Given::new(tools).plan(None);
    assert_eq!(plan.len(), PER_PLUGIN + 1);
    assert!(plan.iter().any(|(tool, _)| tool == "other"));
}

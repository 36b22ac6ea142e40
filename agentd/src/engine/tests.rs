//! Stories of whole runs: real registry, real gRPC to invented plugins, a journal in memory. What
//! is compared is the log itself, with what changes from run to run left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use agent_proto::tool::v1 as pb;
use pb::call_response::Update;

use super::*;
use crate::{
    investigation::finding::{EndReason, Judgement, Verdict},
    plugin::fake::{Bench, Fake, Way, accepted, descriptor},
};

struct Story {
    engine: Engine,
    journal: Journal,
    bench: Bench,
    _dir: tempfile::TempDir,
}

fn clock() -> Timestamp {
    "2026-01-02T12:00:00Z".parse().unwrap()
}

async fn parts(journal: &Journal, dir: &std::path::Path, bench: &Bench) -> Parts {
    let config = crate::memory::Config::new(dir.join("memory"));
    Parts {
        journal: journal.clone(),
        memory: Memory::open(config, journal.clone(), clock()).await.unwrap(),
        tools: bench.tools.clone(),
        policy: Policy::default(),
        metrics: Metrics::new(),
        clock,
    }
}

impl Story {
    async fn new(bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::in_memory(rpc_codec()).unwrap();
        let bench = Bench::new();
        let parts = parts(&journal, dir.path(), &bench).await;
        let config = Config { bounds, ..Config::default() };
        let engine = Engine::start_up(config, parts).await.unwrap();
        Self { engine, journal, bench, _dir: dir }
    }

    /// Registers tools beside one that would tell of everything else and is never asked, so that
    /// nothing is missing that a story is not about.
    async fn register(&self, fake: &Fake, mut tools: Vec<pb::ToolDescriptor>) {
        let mut rest = tool("rest", &[]);
        for applies in &mut rest.applies {
            applies.alert_types = vec!["of_another_kind".to_owned()];
            let catalogue = self.bench.tools.catalogue();
            applies.emits = catalogue.signals().map(|signal| signal.signal.clone()).collect();
        }
        tools.push(rest);
        self.bench.register(fake, tools).await;
    }

    async fn run(&self, alert: Alert) -> Investigation {
        let id = self.engine.investigate(alert, Wishes::default()).await.unwrap();
        self.engine.wait(id, Duration::from_secs(60)).await.unwrap()
    }

    /// The log as lines of event and summary.
    fn transcript(&self, of: &Investigation) -> String {
        let events = self.journal.events(of.id).unwrap();
        let lines: Vec<String> = events
            .iter()
            .map(|event| {
                let kind = format!("{:?}", event.kind);
                let kind = kind.split(['(', ' ', '{']).next().unwrap_or_default();
                format!("{:2} {kind}: {}", event.seq, event.summary)
            })
            .collect();
        lines.join("\n")
    }
}

fn alert() -> Alert {
    Alert {
        kind: "high_memory".to_owned(),
        service: "cart".to_owned(),
        namespace: "n".to_owned(),
        ..Alert::default()
    }
}

fn tool(name: &str, emits: &[&str]) -> pb::ToolDescriptor {
    pb::ToolDescriptor {
        applies: vec![pb::Applicability {
            arguments_template_json: r#"{"service":"{service}"}"#.to_owned(),
            emits: emits.iter().map(|s| (*s).to_owned()).collect(),
            ..Default::default()
        }],
        ..descriptor(name)
    }
}

fn entity(kind: &str, name: &str) -> pb::EntityRef {
    pb::EntityRef {
        kind: kind.to_owned(),
        namespace: "n".to_owned(),
        name: name.to_owned(),
        ..Default::default()
    }
}

/// A pod of the alerted workload that was killed for memory.
fn killed() -> Vec<Update> {
    let mut pod = entity("Pod", "cart-1-x");
    let owned = pb::Relation {
        from: Some(pod.clone()),
        to: Some(entity("Deployment", "cart")),
        kind: pb::RelationKind::OwnedBy.into(),
    };
    pod.container = "main".to_owned();
    let at = prost_types::Timestamp { seconds: 1_767_354_900, nanos: 0 };
    let killed = pb::Observation {
        signal: "container.oom_killed".to_owned(),
        subject: Some(pod),
        statement: "container main was OOMKilled 7 times".to_owned(),
        start_time: Some(at),
        end_time: Some(at),
        count: 7,
        attributes: [("limit".to_owned(), "512Mi".to_owned())].into(),
        ..Default::default()
    };
    let jumped = pb::Observation {
        signal: "container.memory_jumped".to_owned(),
        statement: "memory of container main jumped to its limit".to_owned(),
        count: 1,
        ..killed.clone()
    };
    let result = pb::CallResult {
        result_json: "{}".to_owned(),
        summary: "1 pod, 1 in trouble".to_owned(),
        observe_time: Some(at),
        observations: vec![killed, jumped],
        relations: vec![owned],
        ..Default::default()
    };
    vec![accepted(), Update::Result(result)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_tool_at_hand_tells_of_is_a_gap_and_makes_the_answer_less_sure() {
    let told = async |whole: bool| {
        let story = Story::new(Bounds::default()).await;
        let fake = Fake::start(&[("look", Way::Says(killed()))]);
        let tools = vec![tool("look", &["container.oom_killed", "container.memory_jumped"])];
        if whole {
            story.register(&fake, tools).await;
        } else {
            story.bench.register(&fake, tools).await;
        }
        story.run(alert()).await
    };
    let (whole, part) = (told(true).await, told(false).await);
    let sure = |of: &Investigation| {
        of.report.as_ref().unwrap().conclusion.root_causes.first().map_or(0.0, |c| c.confidence)
    };
    assert!(sure(&part) < sure(&whole), "{} {}", sure(&part), sure(&whole));
    assert!(whole.report.as_ref().unwrap().gaps.is_empty());
    let gaps = &part.report.as_ref().unwrap().gaps;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].failure.message.contains("log.*"), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_is_found_and_the_log_tells_how() {
    let story = Story::new(Bounds::default()).await;
    let fake = Fake::start(&[("look", Way::Says(killed()))]);
    story.register(&fake, vec![tool("look", &["container.oom_killed"])]).await;
    let ended = story.run(alert()).await;
    assert_eq!(ended.phase, Phase::Succeeded);
    let report = ended.report.as_ref().unwrap();
    assert_eq!(report.conclusion.verdict, Verdict::RootCauseFound);
    let cause = &report.conclusion.root_causes[0];
    assert_eq!((cause.category.as_str(), cause.culprit.name.as_str()), ("oom_killed", "cart"));
    insta::assert_snapshot!(story.transcript(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_hangs_and_one_that_may_change_things_become_gaps_and_the_rest_goes_on() {
    let story = Story::new(Bounds::default()).await;
    let fake = Fake::start(&[
        ("look", Way::Says(killed())),
        ("hang", Way::Hangs),
        ("act", Way::Says(killed())),
    ]);
    let mut act = tool("act", &["log.oom"]);
    act.side_effect = pb::SideEffect::Destructive.into();
    let tools = vec![
        tool("look", &["container.oom_killed"]),
        tool("hang", &["container.memory_growing"]),
        act,
    ];
    story.register(&fake, tools).await;
    let ended = story.run(alert()).await;
    assert_eq!(ended.phase, Phase::Partial);
    let report = ended.report.as_ref().unwrap();
    assert_eq!(report.conclusion.root_causes[0].category, "oom_killed");
    let mut gaps: Vec<(String, String)> =
        report.gaps.iter().map(|g| (g.subject.clone(), g.failure.reason.clone())).collect();
    gaps.sort();
    assert_eq!(
        gaps,
        [("probe.act", "NOT_READ_ONLY"), ("probe.hang", "ATTEMPT_TIMED_OUT")]
            .map(|(s, r)| (s.to_owned(), r.to_owned()))
    );
    let log = story.transcript(&ended);
    assert!(log.contains("GuardTripped: probe.act is not called"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_tool_it_concludes_that_it_does_not_know() {
    let story = Story::new(Bounds::default()).await;
    let ended = story.run(alert()).await;
    let report = ended.report.as_ref().unwrap();
    assert_eq!(report.conclusion.verdict, Verdict::Inconclusive);
    assert_eq!(report.ended_by, EndReason::Concluded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_run_ends_soon_and_says_so() {
    let story = Story::new(Bounds::default()).await;
    let fake = Fake::start(&[("hang", Way::Hangs)]);
    let mut slow = tool("hang", &[]);
    slow.timeout = Some(prost_types::Duration { seconds: 50, nanos: 0 });
    story.register(&fake, vec![slow]).await;
    let id = story.engine.investigate(alert(), Wishes::default()).await.unwrap();
    let mut cursor = story.journal.follow(id, 0).unwrap();
    let asked = |events: &[(u32, bytes::Bytes)]| {
        events
            .iter()
            .any(|(_, b)| matches!((rpc_codec().decode)(b).unwrap().kind, Kind::ToolCallStarted(_)))
    };
    while let Some(events) = cursor.next().await.unwrap() {
        if asked(&events) {
            break;
        }
    }
    story.engine.cancel(id, "no longer needed").unwrap();
    let ended = story.engine.wait(id, Duration::from_secs(20)).await.unwrap();
    assert_eq!(ended.phase, Phase::Cancelled);
    assert_eq!(ended.report.as_ref().unwrap().ended_by, EndReason::Cancelled);
    assert_eq!(story.engine.cancel(id, "again").unwrap().phase, Phase::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_on_calls_and_time_end_a_run_and_are_named() {
    let few = Bounds { max_tool_calls: 1, ..Bounds::default() };
    let story = Story::new(few).await;
    let fake = Fake::start(&[("one", Way::Says(killed())), ("two", Way::Says(killed()))]);
    story.register(&fake, vec![tool("one", &[]), tool("two", &[])]).await;
    let ended = story.run(alert()).await;
    assert_eq!(ended.usage.tool_calls, 1);

    let short = Bounds { max_duration: Duration::from_millis(700), ..Bounds::default() };
    let story = Story::new(short).await;
    let fake = Fake::start(&[("hang", Way::Hangs)]);
    story.register(&fake, vec![tool("hang", &[])]).await;
    let ended = story.run(alert()).await;
    assert_eq!(ended.report.as_ref().unwrap().ended_by, EndReason::Deadline);
    assert_eq!(ended.report.as_ref().unwrap().gaps.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_only_shows_the_same_signals_is_recalled_once_they_are_seen() {
    let story = Story::new(Bounds::default()).await;
    let fake = Fake::start(&[("look", Way::Says(killed()))]);
    story.register(&fake, vec![tool("look", &["container.oom_killed"])]).await;
    story.run(alert()).await;
    let ended = story.run(Alert { service: "basket".to_owned(), ..alert() }).await;
    let log = story.transcript(&ended);
    assert!(log.contains("MemoryRecalled: no earlier case"), "{log}");
    assert!(log.contains("MemoryRecalled: by what was seen, a further case"), "{log}");
    let similar = &ended.report.as_ref().unwrap().memory.similar;
    assert!(similar[0].reason.contains("container.oom_killed"), "{similar:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_evidence_showed_before_saves_questions_and_what_people_told_saves_none() {
    let story = Story::new(Bounds::default()).await;
    let nothing = pb::CallResult { result_json: "{}".to_owned(), ..Default::default() };
    let fake = Fake::start(&[
        ("look", Way::Says(killed())),
        ("pull", Way::Says(vec![accepted(), Update::Result(nothing)])),
    ]);
    let tools = vec![
        tool("look", &["container.oom_killed"]),
        tool("pull", &["container.image_pull_failed"]),
    ];
    story.register(&fake, tools).await;
    let mut known = Vec::new();
    for (told, calls, saved) in [
        ("", 2, 0),
        ("", 1, 1),
        // The same cause, but told by people: evidence has to show it anew, in full.
        ("category:oom_killed Deployment/n/cart", 2, 0),
        ("category:image_pull_failure Deployment/n/cart", 2, 0),
    ] {
        for id in known.iter().filter(|_| !told.is_empty()) {
            let judged = Judged {
                id: *id,
                judgement: Judgement::Incorrect,
                cause: told.to_owned(),
                resolution: String::new(),
                comment: String::new(),
                request_id: None,
                principal: "tests".to_owned(),
            };
            story.engine.judge(judged).await.unwrap();
        }
        let ended = story.run(alert()).await;
        let report = ended.report.as_ref().unwrap();
        assert_eq!(report.conclusion.root_causes[0].category, "oom_killed", "{told}");
        let memory = &report.memory;
        assert_eq!((ended.usage.tool_calls, memory.tool_calls_saved), (calls, saved), "{told}");
        let lie = told.contains("image_pull_failure");
        let named = "Not confirmed this time: image_pull_failure of Deployment n/cart";
        assert_eq!(memory.statement.contains(named), lie, "{told}: {}", memory.statement);
        known.push(ended.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_at_any_moment_leaves_no_log_without_work() {
    let story = Story::new(Bounds::default()).await;
    for polls in 0..40 {
        let mut asked = Box::pin(story.engine.investigate(alert(), Wishes::default()));
        for _ in 0..polls {
            if futures_util::poll!(asked.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    story.engine.stop(Duration::from_secs(30)).await;
    assert_eq!(story.journal.unfinished().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_the_same_investigation_and_other_content_is_refused() {
    let story = Story::new(Bounds::default()).await;
    let wishes = Wishes { request_id: Some(Uuid::from_u128(1)), ..Wishes::default() };
    let first = story.engine.investigate(alert(), wishes.clone()).await.unwrap();
    assert_eq!(story.engine.investigate(alert(), wishes.clone()).await.unwrap(), first);
    let other = Alert { service: "other".to_owned(), ..alert() };
    let refused = story.engine.investigate(other, wishes).await.unwrap_err();
    assert!(matches!(refused, Error::Journal(journal::Error::RequestReused { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_life_left_open_is_closed_partial_with_what_it_had_found() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::in_memory(rpc_codec()).unwrap();
    let bench = Bench::new();
    let of = Investigation {
        id: InvestigationId(Uuid::now_v7()),
        alert: alert(),
        phase: Phase::Running,
        autonomy: Autonomy::default(),
        bounds: Bounds::default(),
        usage: Usage::default(),
        principal: String::new(),
        created: clock(),
        ended: None,
        last_seq: 0,
        report: None,
        labels: BTreeMap::new(),
    };
    let first = Event {
        investigation: of.id,
        seq: 1,
        time: clock(),
        summary: "began".to_owned(),
        step: String::new(),
        kind: Kind::Started(Box::new(of.clone())),
    };
    journal.start(first, None).await.unwrap();
    let parts = parts(&journal, dir.path(), &bench).await;
    let engine = Engine::start_up(Config::default(), parts).await.unwrap();
    let closed = engine.get(of.id).unwrap();
    assert_eq!(closed.phase, Phase::Partial);
    assert_eq!(closed.report.unwrap().ended_by, EndReason::DaemonRestarted);
    assert!(journal.unfinished().unwrap().is_empty());
}

fn rpc_codec() -> journal::Codec {
    crate::app::codec()
}

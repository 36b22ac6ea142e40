//! What people say of outcomes, what recurs, and what is found again: over restarts, without the
//! trees and without the events.

use super::*;
use crate::{
    fact::Entity,
    investigation::{
        finding::{Judgement, StepOutcome, StepSummary},
        plan::Question,
    },
    memory::feedback::TrueCause,
    store::redb::testing::{delete_events, make_first_format},
    tool::ToolRef,
};

fn feedback(of: u64, judgement: Judgement, cause: &str) -> Feedback {
    Feedback {
        id: id(of).0,
        judgement,
        cause: TrueCause::read(cause, |_| false).unwrap(),
        resolution: String::new(),
        comment: String::new(),
        principal: "tests".to_owned(),
        given: minute(30),
    }
}

fn request(n: u128, content: u8) -> Option<RequestKey> {
    Some(RequestKey {
        principal: "tests".to_owned(),
        request_id: Uuid::from_u128(n),
        content_hash: [content; 32],
        now: minute(30),
    })
}

/// One case of `high_memory` on `cart`.
async fn a_case(journal: &Journal, memory: &Memory, n: u64, category: &str) {
    let seen = ["container.oom_killed"];
    let cart = alert("high_memory", "cart");
    let done = concluded(id(n), &cart, category, &seen, i64::try_from(n).unwrap());
    live_through(journal, memory, done).await;
}

fn cart(memory: &Memory) -> Recalled {
    memory.recall(&alert("high_memory", "cart"), &[], minute(60))
}

fn asked(query: &str) -> Asked {
    Asked { query: query.to_owned(), ..Asked::default() }
}

/// Everything that memory answers, to compare.
fn everything(memory: &Memory) -> String {
    let recalled: Vec<Recalled> = questions()
        .iter()
        .map(|(alert, signals)| memory.recall(alert, signals, minute(60)))
        .collect();
    let found: Vec<Vec<Hit>> = ["*", "oom", "cable killed", "search"]
        .iter()
        .map(|query| memory.search(&asked(query)))
        .collect();
    let cases: Vec<_> = found[0].iter().map(|hit| memory.case(hit.id)).collect();
    let ids: Vec<Uuid> = found[0].iter().map(|hit| hit.id).collect();
    let recurring = memory.recurring(&ids, minute(60), 20);
    format!("{recalled:#?}{found:#?}{cases:#?}{recurring:#?}")
}

#[tokio::test]
async fn what_people_said_survives_the_loss_of_the_trees_and_of_all_events() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    a_case(&journal, &memory, 50, "oom_killed").await;
    for (n, judgement, cause) in [
        (0, Judgement::Correct, ""),
        (2, Judgement::Incorrect, "category:disk_full Node/n-1"),
        (4, Judgement::Incorrect, "a loose cable"),
        (6, Judgement::Incorrect, ""),
        (6, Judgement::Partly, ""),
    ] {
        let mut said = feedback(n, judgement, cause);
        said.resolution = format!("helped {n}");
        memory.judge(said, None).await.unwrap();
    }
    let wanted = everything(&memory);
    for words in ["disk_full", "a loose cable", "helped 6", "judged partly right", "confirmed"] {
        assert!(wanted.contains(words), "{words}: {wanted}");
    }
    drop((memory, journal));
    fs::remove_dir_all(home.memory_dir()).unwrap();
    let (journal, memory) = home.open(minute(20)).await;
    assert_eq!(everything(&memory), wanted, "without the trees");
    drop((memory, journal));
    delete_events(&home.dir.path().join("journal.redb"));
    let (journal, memory) = home.open(minute(20)).await;
    assert_eq!(everything(&memory), wanted, "without the events");
    assert!(journal.investigation(id(0)).is_err(), "the events are still there");
    drop((memory, journal));
    fs::remove_dir_all(home.memory_dir()).unwrap();
    let (_journal, memory) = home.open(minute(20)).await;
    assert_eq!(everything(&memory), wanted, "without both");
    // And what has no events any more can still be judged.
    memory.judge(feedback(0, Judgement::Incorrect, "category:dns_failure"), None).await.unwrap();
    assert_eq!(memory.case(id(0).0).unwrap().category(), "dns_failure");
}

#[tokio::test]
async fn trees_that_cannot_be_read_are_answered_for_by_the_records() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let mut said = feedback(0, Judgement::Incorrect, "category:disk_full");
    said.resolution = "cleared it".to_owned();
    memory.judge(said, None).await.unwrap();
    memory.judge(feedback(0, Judgement::Correct, ""), None).await.unwrap();
    let wanted = everything(&memory);
    memory.shared.set_trees(None);
    assert_eq!(everything(&memory), wanted);
}

#[tokio::test]
async fn a_data_directory_of_the_first_format_opens_with_all_it_remembered() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let wanted = everything(&memory);
    drop((memory, journal));
    make_first_format(&home.dir.path().join("journal.redb"));
    // The trees of that version, made from events and sealed, with marks that count events.
    fs::remove_dir_all(home.memory_dir()).unwrap();
    let trees = Trees::open(&home.memory_dir(), &["episodes", "working"]).unwrap();
    trees.set("episodes", id(0).0.as_bytes(), Some(b"{}")).unwrap();
    trees.flush().unwrap();
    let sum = trees.visit("episodes", |_, _| {}).unwrap();
    drop(trees);
    let files = store::sled::files_sum(&home.memory_dir()).unwrap();
    let mark = |position, sum| {
        let now = store::Point { position, sum };
        Mark { now, before: store::Point::default() }
    };
    let journal = home.journal();
    let marks = vec![
        ("episodes", mark(12, sum)),
        ("working", mark(12, store::Sum::default())),
        (keeper::FILES, mark(12, files)),
        (keeper::CASES, Mark::default()),
    ];
    tokio::task::spawn_blocking(move || journal.set_marks(marks)).await.unwrap().unwrap();
    make_first_format(&home.dir.path().join("journal.redb"));
    for _ in 0..2 {
        let (_journal, memory) = home.open(minute(20)).await;
        assert_eq!(everything(&memory), wanted);
        assert_eq!((memory.repairs(), memory.total()), (Vec::new(), 12), "nothing was damaged");
    }
}

#[tokio::test]
async fn only_what_has_ended_with_a_report_is_judged() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let cart = alert("high_memory", "cart");
    let unknown = memory.judge(feedback(7, Judgement::Correct, ""), None).await.unwrap_err();
    assert!(
        matches!(&unknown, Error::Journal { source }
            if matches!(**source, journal::Error::NotFound { .. })),
        "{unknown:?}"
    );
    journal.start(started(id(1), &cart), None).await.unwrap();
    let early = memory.judge(feedback(1, Judgement::Correct, ""), None).await.unwrap_err();
    assert!(matches!(early, Error::NotFinished { .. }), "{early:?}");
    let mut bare = concluded(id(1), &cart, "oom_killed", &[], 1);
    bare.report = None;
    journal.append(vec![finished(2, bare)], Vec::new()).await.unwrap();
    let empty = memory.judge(feedback(1, Judgement::Correct, ""), None).await.unwrap_err();
    assert!(matches!(empty, Error::NoReport { .. }), "{empty:?}");
    assert_eq!(memory.total(), 0);
}

#[tokio::test]
async fn what_was_not_worth_an_episode_becomes_one_when_people_judge_it() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let cart = alert("high_memory", "cart");
    let mut nobody = concluded(id(1), &cart, "", &[], 1);
    nobody.report.as_mut().unwrap().tool_calls = 0;
    journal.start(started(id(1), &cart), None).await.unwrap();
    journal.append(vec![finished(2, nobody)], Vec::new()).await.unwrap();
    memory.catch_up().await.unwrap();
    assert_eq!(memory.total(), 0);
    memory.judge(feedback(1, Judgement::Incorrect, "category:disk_full"), None).await.unwrap();
    let recalled = memory.recall(&cart, &[], minute(9)).cases;
    assert_eq!((recalled[0].category.as_str(), memory.total()), ("disk_full", 1));
}

#[tokio::test]
async fn a_repeated_request_is_kept_once_and_one_with_other_content_is_refused() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_case(&journal, &memory, 1, "oom_killed").await;
    for _ in 0..3 {
        memory.judge(feedback(1, Judgement::Correct, ""), request(7, 1)).await.unwrap();
    }
    let other = memory.judge(feedback(1, Judgement::Partly, ""), request(7, 2)).await.unwrap_err();
    assert_eq!(other.kind(), Kind::Conflict);
    let case = memory.case(id(1).0).unwrap();
    assert_eq!((case.judgements(), case.judgement()), (1, Some(Judgement::Correct)));
    memory.judge(feedback(1, Judgement::Partly, ""), request(8, 2)).await.unwrap();
    assert_eq!(memory.case(id(1).0).unwrap().judgements(), 2);
}

#[tokio::test]
async fn a_wrong_case_moves_its_true_cause_forward_or_none() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_case(&journal, &memory, 1, "oom_killed").await;
    assert_eq!(cart(&memory).cases[0].category, "oom_killed");
    memory.judge(feedback(1, Judgement::Incorrect, ""), None).await.unwrap();
    let refuted = cart(&memory).cases.remove(0);
    assert_eq!((refuted.category.as_str(), refuted.culprit), ("", None));
    assert!(refuted.similarity <= 0.5, "{}", refuted.similarity);
    assert!(refuted.root_cause.starts_with("not known; it was not: cart suffers"));
    memory
        .judge(feedback(1, Judgement::Incorrect, "category:disk_full Node/n"), None)
        .await
        .unwrap();
    let corrected = cart(&memory).cases.remove(0);
    assert_eq!(corrected.category, "disk_full");
    assert!(corrected.corrected && corrected.similarity > 0.9, "{corrected:?}");
    memory.judge(feedback(1, Judgement::Correct, ""), None).await.unwrap();
    assert_eq!(cart(&memory).cases[0].category, "oom_killed");
}

#[tokio::test]
async fn a_confirmed_case_comes_before_a_newer_one_that_nobody_judged() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    for (n, category) in [(1, "disk_full"), (2, "oom_killed"), (3, "cpu_throttling")] {
        a_case(&journal, &memory, n, category).await;
    }
    assert_eq!(cart(&memory).cases[0].category, "cpu_throttling", "the newest");
    memory.judge(feedback(2, Judgement::Correct, ""), None).await.unwrap();
    assert_eq!(cart(&memory).cases[0].category, "oom_killed");
}

#[tokio::test]
async fn what_recurs_is_counted_with_what_people_said_and_fades() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    for (n, category) in [
        (1, "oom_killed"),
        (2, "oom_killed"),
        (3, "oom_killed"),
        (4, "oom_killed"),
        (5, "disk_full"),
    ] {
        a_case(&journal, &memory, n, category).await;
    }
    let pattern = cart(&memory).patterns.remove(0);
    assert_eq!((pattern.seen, pattern.confirmed, pattern.contradicted), (4, 0, 0));
    assert!((pattern.share - 0.8).abs() < 1e-9);
    for n in [1, 2, 3] {
        memory.judge(feedback(n, Judgement::Correct, ""), None).await.unwrap();
    }
    let mut patterns = cart(&memory).patterns;
    assert_eq!(patterns.len(), 1, "one case recurs nothing: {patterns:?}");
    let pattern = patterns.remove(0);
    let day = minute(4).strftime("%Y-%m-%d").to_string();
    assert_eq!(
        pattern.statement,
        format!(
            "high_memory on cart in shop was oom_killed of Deployment shop/cart in 4 of 5 cases: \
             seen 4 times, 3 confirmed, last {day}"
        )
    );
    assert_eq!(pattern.signals, ["container.oom_killed"]);
    let later = minute(60 * 24 * 900);
    let faded = memory.recall(&alert("high_memory", "cart"), &[], later).patterns;
    assert_eq!(faded, [], "forgotten after years");
    // What people contradict more than they confirm is no hint any more.
    for n in [1, 2, 3] {
        let other = "category:dns_failure Deployment/shop/resolver";
        memory.judge(feedback(n, Judgement::Incorrect, other), None).await.unwrap();
    }
    let patterns = cart(&memory).patterns;
    assert_eq!(patterns.len(), 1, "{patterns:?}");
    assert_eq!((patterns[0].category.as_str(), patterns[0].confirmed), ("dns_failure", 3));
    let ids: Vec<Uuid> = (1..=5).map(|n| id(n).0).collect();
    let all = memory.recurring(&ids, minute(60), 20);
    let old = all.iter().find(|one| one.category == "oom_killed").unwrap();
    assert_eq!((old.seen, old.contradicted), (1, 3));
    assert!(old.statement.contains("seen once, 0 confirmed, 3 contradicted"), "{}", old.statement);
}

#[tokio::test]
async fn cases_of_other_services_speak_by_their_signals_when_there_are_none_of_the_same() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    for n in 1..=3_u64 {
        let service = format!("s-{n}");
        let at = i64::try_from(n).unwrap();
        let other = alert("high_memory", &service);
        let done = concluded(id(n), &other, "oom_killed", &["container.oom_killed"], at);
        live_through(&journal, &memory, done).await;
    }
    let fourth = alert("high_memory", "s-4");
    let none: Vec<String> = Vec::new();
    assert_eq!(memory.recall(&fourth, &none, minute(9)).patterns, []);
    let other = ["log.panic".to_owned()];
    assert_eq!(memory.recall(&fourth, &other, minute(9)).patterns, []);
    let same = ["container.oom_killed".to_owned()];
    let patterns = memory.recall(&fourth, &same, minute(9)).patterns;
    assert_eq!((patterns[0].category.as_str(), patterns[0].seen), ("oom_killed", 3));
    assert_eq!((patterns[0].service.as_str(), patterns[0].culprit.clone()), ("", None));
}

#[tokio::test]
async fn cases_are_found_by_words_and_by_likeness_and_filtered() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let mut said = feedback(0, Judgement::Incorrect, "a loose cable in the rack");
    said.comment = "seen by the night shift".to_owned();
    memory.judge(said, None).await.unwrap();
    let ids = |asked: &Asked| -> Vec<Uuid> {
        memory.search(asked).into_iter().map(|hit| hit.id).collect()
    };
    for words in ["cable", "LOOSE-cable", "night shift"] {
        assert_eq!(ids(&asked(words))[0], id(0).0, "{words}");
    }
    assert_eq!(memory.search(&asked("cable")).len(), 1);
    assert_eq!(ids(&asked("*")).len(), 12);
    assert_eq!(ids(&asked("*"))[0], id(11).0, "newest first");
    assert_eq!(ids(&asked("zeppelin")), Vec::<Uuid>::new());
    assert_eq!(ids(&asked("!?")), Vec::<Uuid>::new());
    let half = memory.search(&asked("ledger strangeword"));
    assert!(half.iter().all(|hit| hit.similarity < 0.7), "{half:?}");
    let filtered =
        Asked { service: "search".to_owned(), kind: "high_latency".to_owned(), ..asked("*") };
    assert_eq!(ids(&filtered).len(), 2);
    for nowhere in [
        Asked { namespace: "elsewhere".to_owned(), ..asked("*") },
        Asked { least: 1.1, ..asked("*") },
    ] {
        assert_eq!(ids(&nowhere), Vec::<Uuid>::new());
    }
    let like = |id: InvestigationId| Some((alert("high_memory", "cart"), Vec::new(), id.0));
    let alike = Asked { like: like(id(6)), ..Asked::default() };
    let found = memory.search(&alike);
    assert!(found.iter().all(|hit| hit.id != id(6).0), "itself is left out");
    assert!(found[0].similarity > 0.9 && found[0].reason.starts_with("same type"), "{found:?}");
    let both = Asked { like: like(id(6)), ..asked("cable") };
    assert_eq!(ids(&both), [id(0).0]);
    // What is no longer said is no longer found.
    memory.judge(feedback(0, Judgement::Correct, ""), None).await.unwrap();
    assert_eq!(ids(&asked("cable")), Vec::<Uuid>::new());
}

#[tokio::test]
async fn a_note_says_that_its_case_was_judged_wrong() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_case(&journal, &memory, 1, "oom_killed").await;
    a_case(&journal, &memory, 2, "oom_killed").await;
    // The note is of the later case; the earlier one changes nothing.
    memory.judge(feedback(1, Judgement::Incorrect, "a cable"), None).await.unwrap();
    let cart = alert("high_memory", "cart");
    assert!(!memory.note(&cart, minute(9)).unwrap().text.contains("judged"));
    memory.judge(feedback(2, Judgement::Incorrect, "a cable"), None).await.unwrap();
    let note = memory.note(&cart, minute(9)).unwrap();
    assert!(note.text.ends_with("judged wrong, the true cause was told: a cable"), "{}", note.text);
}

#[tokio::test]
async fn what_a_verdict_rested_on_is_known_again_without_the_trees_until_people_tell_another_cause()
{
    let home = Home::new();
    let (journal, memory) = home.open(minute(20)).await;
    let cart = alert("high_memory", "cart");
    let mut done = concluded(id(1), &cart, "oom_killed", &["container.oom_killed"], 1);
    let report = done.report.as_mut().unwrap();
    let step = |tool: &str, about: Option<Entity>, carried| StepSummary {
        step: "s1.1".to_owned(),
        tool: ToolRef { plugin: "p".to_owned(), tool: tool.to_owned(), ..ToolRef::default() },
        purpose: String::new(),
        outcome: StepOutcome::Succeeded,
        summary: String::new(),
        duration: std::time::Duration::ZERO,
        attempts: 1,
        about,
        carried,
    };
    let object = Entity::new("Service", "shop", "store");
    report.steps = vec![
        step("look", None, true),
        step("idle", None, false),
        step("deeper", Some(object.clone()), true),
    ];
    report.unexplained = ["log.error_pattern".to_owned()].into();
    live_through(&journal, &memory, done).await;
    let question = |tool: &str, about| Question { tool: tool.to_owned(), about };
    let wanted = Known {
        healthy: false,
        confidence: 0.8,
        causes: 1,
        unexplained: ["log.error_pattern".to_owned()].into(),
        rested_on: vec![question("p.look", None), question("p.deeper", Some(object))],
    };
    let known = |memory: &Memory| self::cart(memory).known.into_values().collect::<Vec<_>>();
    let wanted = [wanted];
    assert_eq!(known(&memory), wanted);
    drop((journal, memory));
    fs::remove_dir_all(home.memory_dir()).unwrap();
    let (_journal, memory) = home.open(minute(20)).await;
    assert_eq!(known(&memory), wanted);
    memory.judge(feedback(1, Judgement::Incorrect, "disk_full"), None).await.unwrap();
    assert_eq!(known(&memory), []);
}

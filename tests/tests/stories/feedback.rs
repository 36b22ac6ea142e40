//! What people say of an outcome is kept for good, told when the case comes again, and never
//! believed against the evidence.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use agent_proto::v1::{
    EpisodeCheck, Investigation, Judgement, MemoryOutcome, SearchEpisodesRequest,
    SearchEpisodesResponse, SubmitFeedbackRequest, Verdict,
};
use agent_tests::{
    build,
    client::{Client, Refusal},
    fleet::{BUNDLED, Fleet, SHORT_LEASES},
    process::{self, Ended},
    renamed::called,
    staged::{Staged, scenarios},
    tidy::tree,
    told::{in_short, is_true, report},
};
use serde_json::Value;
use tonic::Code;

use crate::LONG;

fn judged(name: &str, judgement: Judgement, cause: &str) -> SubmitFeedbackRequest {
    SubmitFeedbackRequest {
        name: name.to_owned(),
        judgement: judgement.into(),
        actual_root_cause: cause.to_owned(),
        ..SubmitFeedbackRequest::default()
    }
}

fn words(query: &str) -> SearchEpisodesRequest {
    SearchEpisodesRequest { query: query.to_owned(), ..SearchEpisodesRequest::default() }
}

fn memory(of: &Investigation) -> MemoryOutcome {
    report(of).memory.clone().unwrap_or_default()
}

fn calls(of: &Investigation) -> i32 {
    of.usage.unwrap_or_default().tool_calls
}

/// Verdict, category and culprit: what must not be flipped.
fn verdict(of: &Investigation) -> (Verdict, Option<(String, String, String)>) {
    let cause = report(of).root_causes.first().map(|cause| {
        let culprit = cause.culprit.clone().unwrap_or_default();
        (cause.category.clone(), culprit.kind, culprit.name)
    });
    (report(of).verdict(), cause)
}

fn confidence(of: &Investigation) -> f64 {
    report(of).root_causes.first().map_or(0.0, |cause| cause.confidence)
}

/// Runs agentd against a daemon to its end.
async fn agentd(url: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(arguments).args(["--server", url]);
    process::run(command, LONG).await.unwrap()
}

#[tokio::test]
async fn feedback_is_told_with_the_case_over_a_restart_without_memorys_files() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT_LEASES).await.unwrap();
    let mut client = fleet.client().unwrap();
    let first = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let slip = judged(&first.name, Judgement::Incorrect, "category:dns_failur");
    let told = client.judge(slip).await.unwrap().understood;
    assert!(told.contains("called dns_failur: if dns_failure was meant, say it again"), "{told}");
    let mut said = judged(
        &first.name,
        Judgement::Incorrect,
        "category:dns_failure Deployment/shop/some-resolver",
    );
    said.resolution = "restarted the resolver".to_owned();
    said.comment = "token=ghp_0123456789abcdefghijklmnopqrstuvwxyz".to_owned();
    said.request_id = uuid::Uuid::new_v4().to_string();
    let answer = client.judge(said.clone()).await.unwrap();
    assert!(answer.understood.contains("dns_failure of Deployment shop/some-resolver"));
    assert_eq!(client.judge(said.clone()).await.unwrap(), answer, "the same request again");
    let other = SubmitFeedbackRequest { comment: "other".to_owned(), ..said };
    let refusal = client.judge(other).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let found = client.episodes(words("resolver")).await.unwrap();
    let case = &found.episodes[0];
    assert_eq!((case.name.as_str(), case.judgement_count), (answer.episode.as_str(), 2));
    assert_eq!((case.category.as_str(), case.judgement()), ("dns_failure", Judgement::Incorrect));
    assert!(!case.comment.contains("ghp_0123"), "a secret is kept: {}", case.comment);
    assert!(!case.found_root_cause.is_empty(), "{case:?}");
    fleet.stop_daemon().await.unwrap();
    fs::remove_dir_all(fleet.data().join("memory")).unwrap();
    fleet.start_daemon().await.unwrap();
    fleet.ready(&BUNDLED).await.unwrap();
    let mut client = fleet.client().unwrap();
    assert_eq!(client.episodes(words("resolver")).await.unwrap(), found);
    let again = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let told = memory(&again);
    let best = &told.similar[0];
    assert_eq!((best.category.as_str(), best.corrected), ("dns_failure", true), "{best:?}");
    assert_eq!(best.resolution, "restarted the resolver");
    assert_eq!(best.check(), EpisodeCheck::NotConfirmed, "{best:?}");
    for words in
        ["Not confirmed this time: dns_failure", "as people told it", "This time the cause"]
    {
        assert!(told.statement.contains(words), "{words}: {}", told.statement);
    }
    assert!(is_true(report(&again), &staged.scenario), "{}", in_short(report(&again)));
    assert_eq!(verdict(&again), verdict(&first));
}

#[tokio::test]
async fn twenty_lies_about_a_cause_change_no_verdict_and_are_named() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let honest = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let truth = staged.scenario.culprit.clone().unwrap();
    let own = format!("{}/{}/{}", truth.kind, truth.namespace, truth.name);
    let mut cases = Vec::new();
    for _ in 0..20 {
        cases.push(client.investigate(staged.scenario.alert(), LONG).await.unwrap().name);
    }
    // One lie is far off; the other, told after it, blames the right object.
    for lie in ["category:dns_failure Deployment/kube-system/coredns", "category:memory_leak"] {
        let lie = if lie.contains('/') { lie.to_owned() } else { format!("{lie} {own}") };
        for name in &cases {
            client.judge(judged(name, Judgement::Incorrect, &lie)).await.unwrap();
        }
        let after = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        assert_eq!(verdict(&after), verdict(&honest), "{lie}: {}", in_short(report(&after)));
        let moved = (confidence(&after) - confidence(&honest)).abs();
        assert!(moved < 0.05, "{lie}: belief moved by {moved}");
        let told = memory(&after);
        assert!(told.similar.iter().any(|case| case.corrected), "the lie was not recalled");
        let lied = told.similar.iter().filter(|case| case.corrected);
        for case in lied {
            assert_eq!(case.check(), EpisodeCheck::NotConfirmed, "{lie}: {case:?}");
        }
        let category = lie.strip_prefix("category:").unwrap().split(' ').next().unwrap();
        let named = format!("Not confirmed this time: {category}");
        assert!(told.statement.contains(&named), "{lie}: {}", told.statement);
        assert!(calls(&after) >= calls(&honest), "a lie saved questions");
        cases.push(after.name.clone());
        // The report for people says so, too.
        let id = after.name.strip_prefix("investigations/").unwrap();
        let shown = agentd(&fleet.url(), &["show", id]).await.stdout;
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains("Not confirmed this time"), "{shown}");
    }
}

#[tokio::test]
async fn another_cause_behind_the_same_alert_is_found_and_told() {
    // Two incidents that raise the same alert; the second befalls objects of the first one's names.
    let first = Staged::copy(&scenarios().join("s001")).unwrap();
    let alert = first.scenario.alert();
    let second = scenarios().join("s008");
    let before = Staged::copy(&second).unwrap().scenario.alert();
    let names = [(&*before.service, &*alert.service), (&*before.namespace, &*alert.namespace)];
    let second = called(&second, &names).unwrap();
    let same = second.scenario.alert();
    assert_eq!((&same.r#type, &same.service), (&alert.r#type, &alert.service));
    assert_ne!(first.scenario.category, second.scenario.category);
    let mut fleet = Fleet::on(first.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let then = client.investigate(alert, LONG).await.unwrap();
    assert!(is_true(report(&then), &first.scenario), "{}", in_short(report(&then)));
    client.judge(judged(&then.name, Judgement::Correct, "")).await.unwrap();
    fleet.kill_plugins();
    fleet.stop_daemon().await.unwrap();
    fleet.start_daemon().await.unwrap();
    for plugin in BUNDLED {
        fleet.start_plugin(plugin, second.path()).unwrap();
    }
    fleet.ready(&BUNDLED).await.unwrap();
    let mut client = fleet.client().unwrap();
    let now = client.investigate(same, LONG).await.unwrap();
    assert!(is_true(report(&now), &second.scenario), "{}", in_short(report(&now)));
    let told = memory(&now);
    assert_eq!(told.similar[0].check(), EpisodeCheck::NotConfirmed, "{:?}", told.similar[0]);
    assert_eq!(told.tool_calls_saved, 0);
    let named = format!("Not confirmed this time: {}", first.scenario.category);
    assert!(told.statement.contains(&named), "{}", told.statement);
    let now = format!("This time the cause is {}", second.scenario.category);
    assert!(told.statement.contains(&now), "{}", told.statement);
}

#[tokio::test]
async fn judging_what_is_not_there_or_not_done_is_told_apart() {
    let fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let nobody = uuid::Uuid::now_v7().to_string();
    let unknown = client.judge(judged(&nobody, Judgement::Correct, "")).await.unwrap_err();
    assert_eq!((unknown.code, unknown.reason.as_str()), (Code::NotFound, "NOT_FOUND"));
    let bad = client.judge(judged("x", Judgement::Unspecified, "")).await.unwrap_err();
    assert_eq!(bad.code, Code::InvalidArgument);
    assert_eq!(bad.fields, ["judgement", "name"]);
    let begun = client
        .investigate(agent_proto::v1::Alert { service: "a".to_owned(), ..Default::default() }, LONG)
        .await
        .unwrap();
    let form = client.judge(judged(&begun.name, Judgement::Incorrect, "category:")).await;
    assert_eq!(form.unwrap_err().fields, ["actual_root_cause"]);
    // Nobody was asked, so there was no episode; a person's word makes one.
    assert_eq!(client.episodes(words("*")).await.unwrap().episodes, []);
    client.judge(judged(&begun.name, Judgement::Incorrect, "a loose cable")).await.unwrap();
    assert_eq!(client.episodes(words("cable")).await.unwrap().episodes.len(), 1);
    let similar = SearchEpisodesRequest { similar_to: nobody, ..Default::default() };
    let missing = client.episodes(similar).await.unwrap_err();
    assert_eq!(missing.code, Code::NotFound);
    let wrong = SearchEpisodesRequest {
        min_similarity: 2.0,
        page_size: -1,
        page_token: "zz".to_owned(),
        ..Default::default()
    };
    let refusal = client.episodes(wrong).await.unwrap_err();
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.fields, ["min_similarity", "page_size", "page_token", "query"]);
}

/// An investigation that still runs: nobody answers its tool.
#[tokio::test]
async fn an_investigation_that_still_runs_is_not_judged_yet() {
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_hostile("silent", "hostile_plugin", &["silent", "silent"]).unwrap();
    fleet.ready(&["silent"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let running = client
        .ask(agent_proto::v1::InvestigateRequest {
            alert: Some(agent_proto::v1::Alert { service: "a".to_owned(), ..Default::default() }),
            wait: Some(prost_types::Duration::default()),
            ..Default::default()
        })
        .await
        .unwrap();
    let early = client.judge(judged(&running.name, Judgement::Correct, "")).await.unwrap_err();
    assert_eq!((early.code, early.reason.as_str()), (Code::FailedPrecondition, "NOT_FINISHED"));
}

async fn pages(client: &mut Client, query: &SearchEpisodesRequest) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let request = SearchEpisodesRequest { page_token: token, ..query.clone() };
        let page: SearchEpisodesResponse = client.episodes(request).await.unwrap();
        assert!(page.episodes.len() <= 2);
        names.extend(page.episodes.into_iter().map(|case| case.name));
        if page.next_page_token.is_empty() {
            return names;
        }
        token = page.next_page_token;
    }
}

#[tokio::test]
async fn cases_are_found_page_by_page_filtered_and_alike_and_a_token_belongs_to_its_search() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let alert = staged.scenario.alert();
    let mut names = Vec::new();
    for kind in [&*alert.r#type, "slow", &*alert.r#type, "slow", &*alert.r#type] {
        let alert = agent_proto::v1::Alert { r#type: kind.to_owned(), ..alert.clone() };
        let done = client.investigate(alert, LONG).await.unwrap();
        names.push(done.name.replace("investigations/", "episodes/"));
    }
    names.reverse();
    let all = SearchEpisodesRequest { page_size: 2, ..words("*") };
    assert_eq!(pages(&mut client, &all).await, names, "newest first, each once");
    let slow = SearchEpisodesRequest { alert_type: "slow".to_owned(), ..all.clone() };
    assert_eq!(pages(&mut client, &slow).await, [names[1].clone(), names[3].clone()]);
    let nowhere = SearchEpisodesRequest { namespace: "elsewhere".to_owned(), ..all.clone() };
    assert_eq!(pages(&mut client, &nowhere).await, Vec::<String>::new());
    let like = SearchEpisodesRequest {
        query: String::new(),
        similar_to: names[0].replace("episodes/", ""),
        min_similarity: 0.9,
        ..all.clone()
    };
    assert_eq!(pages(&mut client, &like).await, [names[2].clone(), names[4].clone()]);
    let first = client.episodes(all.clone()).await.unwrap();
    let pattern = first.patterns.iter().find(|one| one.alert_type == alert.r#type).unwrap();
    assert_eq!((pattern.support, pattern.confirmed, pattern.contradicted), (3, 0, 0));
    assert_eq!(pattern.category, staged.scenario.category);
    let token = first.next_page_token;
    for other in [
        SearchEpisodesRequest { service: "x".to_owned(), ..all.clone() },
        SearchEpisodesRequest { query: "web".to_owned(), ..all.clone() },
        SearchEpisodesRequest { min_similarity: 0.5, ..all.clone() },
    ] {
        let request = SearchEpisodesRequest { page_token: token.clone(), ..other };
        let refusal: Refusal = client.episodes(request).await.unwrap_err();
        assert_eq!(refusal.fields, ["page_token"]);
    }
    let _ = client.episodes(SearchEpisodesRequest { page_token: token, ..all }).await.unwrap();
}

#[tokio::test]
async fn people_judge_search_and_see_what_recurs_on_the_command_line() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let url = fleet.url();
    let none = agentd(&url, &["episodes"]).await;
    assert!(none.status.success() && none.stdout.contains("no earlier case"), "{none:?}");
    let first = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let id = first.name.strip_prefix("investigations/").unwrap();
    let judged =
        agentd(&url, &["feedback", id, "correct", "--resolution", "raised the limit"]).await;
    assert!(judged.status.success(), "{judged:?}");
    assert!(judged.stdout.contains("confirmed") && judged.stdout.contains(id), "{judged:?}");
    let json = agentd(&url, &["feedback", id, "correct", "--comment", "sure", "--json"]).await;
    let answer: Value = serde_json::from_str(&json.stdout).expect("nothing but JSON");
    assert_eq!(answer["episode"], format!("episodes/{id}"));
    for arguments in [
        vec!["episodes", "limit"],
        vec!["episodes", "--like", id],
        vec!["episodes", "--limit", "1"],
    ] {
        let found = agentd(&url, &arguments).await;
        assert!(found.status.success(), "{arguments:?}: {found:?}");
        assert!(found.stdout.contains(&staged.scenario.category), "{arguments:?}: {found:?}");
        assert!(!found.stdout.contains('\u{1b}'), "{found:?}");
    }
    let found = agentd(&url, &["episodes", "raised the limit"]).await.stdout;
    assert!(found.contains("what helped: raised the limit"), "{found}");
    assert!(found.contains("judged correct (the last of 2)"), "{found}");
    let recurs = agentd(&url, &["episodes", "--patterns"]).await.stdout;
    assert!(recurs.contains("seen 2 times, 1 confirmed"), "{recurs}");
    let json = agentd(&url, &["episodes", "--json"]).await.stdout;
    let all: Value = serde_json::from_str(&json).expect("nothing but JSON");
    assert_eq!(all["episodes"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(all["patterns"][0]["confirmed"], 1, "{all}");
    // What helped is told when the case comes again.
    let third = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let third = third.name.strip_prefix("investigations/").unwrap().to_owned();
    let shown = agentd(&url, &["show", &third]).await.stdout;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("What helped then: raised the limit."), "{shown}");
    for wrong in [vec!["feedback", "x", "correct"], vec!["feedback", id, "perhaps"]] {
        assert!(!agentd(&url, &wrong).await.status.success(), "{wrong:?}");
    }
}

/// Unpacks a folder of `.xz` files.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            unpack(&path, &to.join(name));
            continue;
        }
        let mut bytes = Vec::new();
        let packed = fs::read(&path).unwrap();
        lzma_rust2::XzReader::new(&*packed, true).read_to_end(&mut bytes).unwrap();
        fs::write(to.join(name.with_extension("")), bytes).unwrap();
    }
}

/// As the first version left it after two investigations of the bundled incident.
#[tokio::test]
async fn a_data_directory_of_the_first_format_is_taken_over_without_a_loss() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT_LEASES).await.unwrap();
    fleet.stop_daemon().await.unwrap();
    fs::remove_dir_all(fleet.data()).unwrap();
    unpack(&tree::root().join("tests/data/format_1"), &fleet.data());
    for life in 1..=2 {
        fleet.start_daemon().await.unwrap();
        fleet.ready(&BUNDLED).await.unwrap();
        let mut client = fleet.client().unwrap();
        let old = client.episodes(words("*")).await.unwrap().episodes;
        assert_eq!(old.len(), 1 + life, "life {life}: {old:?}");
        assert!(old.iter().all(|case| case.category == staged.scenario.category), "{old:?}");
        let events = client.events(&old.last().unwrap().investigation, 0).await.unwrap();
        assert!(events.len() > 20, "{} events", events.len());
        let again = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        let told = memory(&again);
        assert!(told.similar[0].similarity > 0.9, "{:?}", told.similar);
        assert_eq!(told.similar[0].check(), EpisodeCheck::Confirmed);
        let last = old.last().unwrap();
        client.judge(judged(&last.investigation, Judgement::Correct, "")).await.unwrap();
        fleet.stop_daemon().await.unwrap();
    }
    let log = fleet.log("agentd").to_lowercase();
    assert!(!log.contains("damaged") && !log.contains("made anew"), "{log}");
}

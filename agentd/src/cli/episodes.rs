//! `agentd episodes`: earlier cases as people read them, and what recurs among them.

use agent_proto::v1::{
    Episode, Judgement, LearnedPattern, SearchEpisodesRequest, SearchEpisodesResponse,
};

use super::{
    DONE, Error,
    args::Episodes,
    connect, json, out,
    out::Style,
    text::{counted, cut, minute, object, percent, time, wrapped},
};
use crate::config::Environment;

/// The query that finds all cases.
const ALL: &str = "*";
/// What stands before each line of a case.
const INDENT: &str = "      ";
/// Longest text of one line of a case, in characters.
const LONG: usize = 280;

pub(super) async fn run(
    args: &Episodes,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let found = client.episodes(request(args), args.limit).await?;
    if args.json {
        out::line(&format!("{:#}", json::episodes(&found)?))?;
    } else if args.patterns {
        out::write(&patterns(&found.patterns, style))?;
    } else {
        out::write(&cases(&found, style))?;
    }
    Ok(DONE)
}

fn request(args: &Episodes) -> SearchEpisodesRequest {
    let said = |words: &Option<String>| words.clone().unwrap_or_default();
    let all = args.query.is_none() && args.like.is_none();
    SearchEpisodesRequest {
        query: if all { ALL.to_owned() } else { said(&args.query) },
        similar_to: said(&args.like),
        service: said(&args.service),
        namespace: said(&args.namespace),
        alert_type: said(&args.kind),
        min_similarity: args.min_similarity,
        ..SearchEpisodesRequest::default()
    }
}

/// The cases, one block each.
fn cases(found: &SearchEpisodesResponse, style: Style) -> String {
    if found.episodes.is_empty() {
        return "no earlier case is like that; `agentd episodes` lists all\n".to_owned();
    }
    let mut page: String = found.episodes.iter().map(|case| block(case, style)).collect();
    if !found.next_page_token.is_empty() {
        page.push_str("there are more; --limit shows them\n");
    }
    if !found.patterns.is_empty() {
        let recurring = counted(found.patterns.len(), "pattern");
        page.push_str(&format!("{recurring} among them; --patterns shows what recurs\n"));
    }
    page
}

fn block(case: &Episode, style: Style) -> String {
    let at = time(case.create_time.as_ref()).map(minute).unwrap_or_default();
    let id = case.name.strip_prefix("episodes/").unwrap_or(&case.name);
    let head = format!("{:>4}  {at}  {}", percent(case.similarity), cut(&case.summary, 60));
    let mut lines = vec![format!("{}  {}", style.bold(&head), style.dim(id))];
    let mut line = |said: &str| {
        if !said.is_empty() {
            lines.push(wrapped(INDENT, &cut(said, LONG)));
        }
    };
    line(&cause(case));
    if !case.found_root_cause.is_empty() {
        line(&format!("found then: {}", case.found_root_cause));
    }
    if case.judgement() != Judgement::Unspecified {
        let times = usize::try_from(case.judgement_count).unwrap_or_default();
        let again = if times > 1 { format!(" (the last of {times})") } else { String::new() };
        line(&format!("judged {}{again}", judged(case.judgement())));
    }
    if !case.resolution.is_empty() {
        line(&format!("what helped: {}", case.resolution));
    }
    if !case.comment.is_empty() {
        line(&format!("comment: {}", case.comment));
    }
    line(&case.reason);
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn cause(case: &Episode) -> String {
    if case.category.is_empty() {
        return case.root_cause.clone();
    }
    let culprit = case.culprit.as_ref().map(|of| format!(" of {}", object(of)));
    let named = format!("{}{}", case.category, culprit.unwrap_or_default());
    // What people told says no more than that.
    if case.root_cause == named { named } else { format!("[{named}] {}", case.root_cause) }
}

fn judged(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Unspecified => "not at all",
        Judgement::Correct => "correct",
        Judgement::PartlyCorrect => "partly right",
        Judgement::Incorrect => "wrong",
    }
}

/// What recurs, one block each.
fn patterns(found: &[LearnedPattern], style: Style) -> String {
    if found.is_empty() {
        return "nothing recurs among these cases yet\n".to_owned();
    }
    let mut page = String::new();
    for pattern in found {
        let head = format!("{:>4}  ", percent(pattern.share));
        page.push_str(&style.bold(&wrapped(&head, &pattern.statement)));
        page.push('\n');
        if !pattern.signals.is_empty() {
            let usual = format!("usually seen: {}", pattern.signals.join(", "));
            page.push_str(&wrapped(INDENT, &usual));
            page.push('\n');
        }
    }
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use agent_proto::tool::v1::EntityRef;
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(words: &[&str]) -> SearchEpisodesRequest {
        let words = ["agentd", "episodes"].iter().chain(words);
        let Command::Episodes(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("another command");
        };
        request(&args)
    }

    fn case() -> Episode {
        Episode {
            name: "episodes/0198".to_owned(),
            similarity: 0.934,
            summary: "high_memory on owls in night".to_owned(),
            root_cause: "disk_full of Node n-1".to_owned(),
            category: "disk_full".to_owned(),
            culprit: Some(EntityRef {
                kind: "Node".to_owned(),
                name: "n-1".to_owned(),
                ..EntityRef::default()
            }),
            found_root_cause: "Deployment owls is killed".to_owned(),
            judgement: Judgement::Incorrect.into(),
            judgement_count: 2,
            resolution: "cleared the disk".to_owned(),
            reason: "same type and service; judged wrong, the true cause was told".to_owned(),
            create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Episode::default()
        }
    }

    #[test]
    fn without_words_all_cases_are_asked_for() {
        assert_eq!(asked(&[]).query, "*");
        assert_eq!(asked(&["--service", "s"]).query, "*");
        assert_eq!(asked(&["oom killed"]).query, "oom killed");
        let like = asked(&["--like", "7", "--type", "t", "--namespace", "n"]);
        assert_eq!((like.query.as_str(), like.similar_to.as_str()), ("", "7"));
        assert_eq!((like.alert_type.as_str(), like.namespace.as_str()), ("t", "n"));
    }

    #[test]
    fn a_case_is_told_with_what_people_said_and_what_helped() {
        let found = SearchEpisodesResponse { episodes: vec![case()], ..Default::default() };
        assert_eq!(
            cases(&found, Style::Plain),
            "93 %  1970-01-01 00:00 UTC  high_memory on owls in night  0198\n      \
             disk_full of Node n-1\n      \
             found then: Deployment owls is killed\n      \
             judged wrong (the last of 2)\n      \
             what helped: cleared the disk\n      \
             same type and service; judged wrong, the true cause was told\n\n"
        );
        let none = cases(&SearchEpisodesResponse::default(), Style::Plain);
        assert!(none.starts_with("no earlier case"), "{none}");
    }

    #[test]
    fn a_pattern_is_told_with_its_share_and_what_is_usually_seen() {
        let pattern = LearnedPattern {
            statement: "high_memory on owls was oom_killed in 4 of 5 cases".to_owned(),
            share: 0.8,
            signals: vec!["container.oom_killed".to_owned()],
            ..LearnedPattern::default()
        };
        assert_eq!(
            patterns(&[pattern], Style::Plain),
            "80 %  high_memory on owls was oom_killed in 4 of 5 cases\n      \
             usually seen: container.oom_killed\n"
        );
    }
}

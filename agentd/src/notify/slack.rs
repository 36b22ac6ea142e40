//! A message in Slack's form, for an incoming webhook: a text for notifications and one section of
//! mrkdwn. Words of others are escaped, so that they ring nobody and link nowhere. Pure.

use serde::Serialize;

use super::message::Message;

/// Longest text that Slack takes in a section, in characters.
const MOST: usize = 3000;

/// The body of a post.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Post {
    text: String,
    blocks: [Block; 1],
    unfurl_links: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Block {
    r#type: &'static str,
    text: Section,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Section {
    r#type: &'static str,
    text: String,
}

/// The message as Slack shows it.
pub(super) fn post(message: &Message) -> Post {
    let told = &message.investigation;
    let mark = if told.needs_person { ":raising_hand:" } else { ":mag:" };
    let head = format!("{mark} *{}*: {}", escaped(&told.headline), verdict(told.verdict));
    let mut lines = vec![format!("{head} ({})", told.severity), escaped(&told.summary)];
    if let Some(cause) = told.root_causes.first() {
        let culprit = &cause.culprit;
        let name = format!("{} {}/{}", culprit.kind, culprit.namespace, culprit.name);
        lines.push(format!(
            "*Culprit* {} `{}` {:.0} %",
            escaped(&name),
            code(&cause.category),
            cause.confidence * 100.0
        ));
        if !cause.confirm_command.is_empty() {
            lines.push(format!("*Make sure* `{}`", code(&cause.confirm_command)));
        }
    }
    for advice in told.recommendations.iter().take(2) {
        lines.push(format!("• {}", escaped(&advice.action)));
    }
    for why in &told.why_person {
        lines.push(format!("_A person is needed: {}_", escaped(why)));
    }
    if told.attached_alerts > 0 {
        lines.push(format!("{} further alerts joined", told.attached_alerts));
    }
    let repeat = if message.repeat { "; may be a repeat" } else { "" };
    lines.push(format!("_{}{repeat}_", told.name));
    Post {
        text: cut(&head),
        blocks: [Block {
            r#type: "section",
            text: Section { r#type: "mrkdwn", text: cut(&lines.join("\n")) },
        }],
        unfurl_links: false,
    }
}

fn verdict(word: &str) -> &'static str {
    match word {
        "root_cause_found" => "cause found",
        "healthy" => "nothing is wrong now",
        _ => "no conclusion",
    }
}

/// With Slack's control characters as it wants them: `<!channel>` and links lose their effect.
fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For between backticks, which would end there.
fn code(words: &str) -> String {
    escaped(words).replace('`', "'").replace('\n', " ")
}

fn cut(words: &str) -> String {
    if words.chars().count() <= MOST {
        return words.to_owned();
    }
    words.chars().take(MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        investigation::finding::{EndReason, Verdict},
        notify::testing::ended,
        store::Tally,
    };

    #[test]
    fn hostile_words_ring_nobody_and_end_no_code() {
        let mut of = ended(Verdict::RootCauseFound, EndReason::Concluded);
        of.alert.service = "<!channel> & <https://evil|here>".to_owned();
        let report = of.report.as_mut().unwrap();
        report.conclusion.summary = "<@U123> ".repeat(1000);
        report.conclusion.root_causes[0].confirm_command = "a` <!here> `b".to_owned();
        let post = post(&Message::of(&of, Tally::default()));
        let text = &post.blocks[0].text.text;
        for all in [text, &post.text] {
            assert!(!all.contains('<') && !all.contains('>'), "{all}");
            assert!(all.chars().count() <= MOST);
        }
        assert!(post.text.contains("&lt;!channel&gt; &amp; "), "{}", post.text);
    }

    #[test]
    fn a_repeat_and_the_need_of_a_person_are_said() {
        let of = ended(Verdict::Inconclusive, EndReason::Deadline);
        let message =
            Message { repeat: true, ..Message::of(&of, Tally { alerts: 9, resolved: 0 }) };
        let text = post(&message).blocks[0].text.text.clone();
        for said in ["no conclusion", "A person is needed", "may be a repeat", "9 further alerts"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}

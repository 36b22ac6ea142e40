//! `agentd signals` and `agentd causes`: the two catalogues in force, with who brought what. As
//! Markdown and for authors' checks it needs no daemon: those are about what is in this program and
//! in a directory.

use std::path::Path;

use agent_proto::{
    tool::v1::SignalPolarity,
    v1::{CauseInfo, SignalInfo},
};
use serde_json::Value;

use super::{
    DONE, Error,
    args::{Causes, CausesCommand, Signals},
    connect, json,
    out::{self, Style},
    text::{columns, counted, cut, wrapped},
};
use crate::{
    config::Environment,
    reasoner::catalogue::{Catalogue, document::Fault, markdown},
};

/// Longest cell of a table, in characters.
const CELL: usize = 70;

pub(super) async fn signals(args: &Signals, environment: &Environment) -> Result<u8, Error> {
    if args.markdown {
        out::write(&markdown::signals(&Catalogue::embedded()?))?;
        return Ok(DONE);
    }
    let client = connect(&args.server, environment).await?;
    let all = client.signals().await?;
    if args.json {
        let all: Result<Vec<Value>, Error> = all.iter().map(json::signal).collect();
        out::line(&format!("{:#}", Value::Array(all?)))?;
    } else {
        let rows: Vec<Vec<String>> = all.iter().map(signal_row).collect();
        out::write(&columns(&["SIGNAL", "TELLS", "BROUGHT BY", "MEANING"], &rows))?;
    }
    Ok(DONE)
}

fn signal_row(of: &SignalInfo) -> Vec<String> {
    let signal = of.signal.clone().unwrap_or_default();
    let (tells, meaning) = match (signal.polarity(), of.unknown_count) {
        (_, times @ 1..) => {
            let times = counted(usize::try_from(times).unwrap_or_default(), "time");
            ("nothing", format!("{}; seen {times}", signal.meaning))
        }
        (SignalPolarity::Harm, _) => ("harm", signal.meaning.clone()),
        (SignalPolarity::Health, _) => ("health", signal.meaning.clone()),
        (SignalPolarity::Change, _) => ("change", signal.meaning.clone()),
        (SignalPolarity::Neutral | SignalPolarity::Unspecified, _) => {
            ("neutral", signal.meaning.clone())
        }
    };
    vec![plain(&signal.name), tells.to_owned(), plain(&of.source), plain(&cut(&meaning, CELL))]
}

pub(super) async fn causes(
    args: &Causes,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    if args.markdown {
        out::write(&markdown::causes(&Catalogue::embedded()?))?;
        return Ok(DONE);
    }
    if let Some(CausesCommand::Check { dir }) = &args.what {
        return check(dir);
    }
    let client = connect(&args.server, environment).await?;
    match &args.what {
        Some(CausesCommand::Show { id }) => {
            let cause = client.cause(id).await?;
            if args.json {
                out::line(&format!("{:#}", json::cause(&cause)?))?;
            } else {
                out::write(&page(&cause, style))?;
            }
        }
        Some(CausesCommand::List | CausesCommand::Check { .. }) | None => {
            let all = client.causes().await?;
            if args.json {
                let all: Result<Vec<Value>, Error> = all.iter().map(json::cause).collect();
                out::line(&format!("{:#}", Value::Array(all?)))?;
            } else {
                let rows: Vec<Vec<String>> = all.iter().map(cause_row).collect();
                out::write(&columns(&["CAUSE", "BROUGHT BY", "WHAT IS WRONG"], &rows))?;
            }
        }
    }
    Ok(DONE)
}

fn cause_row(of: &CauseInfo) -> Vec<String> {
    let name =
        if of.category == of.id { of.id.clone() } else { format!("{} ({})", of.id, of.category) };
    vec![plain(&name), plain(&of.source), plain(&cut(&of.title, CELL))]
}

/// One cause: what it is in short, then its document, where the weights stand beside their reasons.
fn page(cause: &CauseInfo, style: Style) -> String {
    let kinds = if cause.culprit_kinds.is_empty() {
        "any".to_owned()
    } else {
        cause.culprit_kinds.join(", ")
    };
    let mut lines = vec![style.bold(&plain(&cause.id)), wrapped("", &cause.title), String::new()];
    let mut put = |head: &str, words: &str| {
        if !words.is_empty() {
            lines.push(wrapped(head, words));
        }
    };
    put("Reported as  ", &cause.category);
    put("Brought by   ", &cause.source);
    put("Blames       ", &kinds);
    put("For          ", &cause.signals_for.join(", "));
    put("Against      ", &cause.signals_against.join(", "));
    put("Decides      ", &cause.question);
    if !cause.document.is_empty() {
        lines.push(format!("\n{}", style.bold("Document")));
        lines.extend(cause.document.trim_end().lines().map(|line| format!("  {}", plain(line))));
    }
    lines.join("\n") + "\n"
}

/// Letters alone: documents come from strangers.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Checks a directory as the daemon would at its start.
fn check(dir: &Path) -> Result<u8, Error> {
    let whole = Catalogue::with_folder(Some(dir))?;
    let embedded = Catalogue::embedded()?;
    let own = |source: &dyn std::fmt::Display| source.to_string() != "agentd";
    let causes: Vec<_> = whole.causes().iter().filter(|cause| own(&cause.source)).collect();
    let signals: Vec<_> = whole.signals().filter(|signal| own(&signal.source)).collect();
    for cause in &causes {
        let standing =
            if embedded.cause(&cause.id).is_some() { "replaces agentd's" } else { "new" };
        out::line(&format!("{}: {standing}, {}", cause.id, cause.source))?;
    }
    for signal in signals.iter().filter(|signal| embedded.knows(&signal.signal)) {
        out::line(&format!("{}: replaces agentd's, {}", signal.signal, signal.source))?;
    }
    if causes.is_empty() && signals.is_empty() {
        let said = "holds no documents: causes are *.yaml, signals are in signals.yaml";
        return Err(Error::Catalogue(Fault::of(&dir.display().to_string(), said).into()));
    }
    let causes = counted(causes.len(), "cause");
    out::line(&format!("{causes} and {} are sound", counted(signals.len(), "signal")))?;
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::tool::v1::SignalDescriptor;

    use super::*;

    #[test]
    fn an_unknown_signal_tells_nothing_and_how_often_it_was_seen() {
        let of = SignalInfo {
            signal: Some(SignalDescriptor {
                name: "a.b".to_owned(),
                meaning: "in no catalogue".to_owned(),
                ..SignalDescriptor::default()
            }),
            source: "plugin a".to_owned(),
            unknown_count: 2,
            ..SignalInfo::default()
        };
        assert_eq!(
            signal_row(&of),
            ["a.b", "nothing", "plugin a", "in no catalogue; seen 2 times"]
        );
    }

    #[test]
    fn a_cause_is_shown_with_its_document_and_nothing_that_steers_the_terminal() {
        let cause = CauseInfo {
            id: "x".to_owned(),
            category: "x".to_owned(),
            title: "it is broken".to_owned(),
            document: "id: x\n# why\u{1b}[2J\n".to_owned(),
            ..CauseInfo::default()
        };
        let text = page(&cause, Style::Plain);
        assert!(text.ends_with("Document\n  id: x\n  # why[2J\n"), "{text}");
        assert!(text.contains("Blames       any"), "{text}");
    }
}

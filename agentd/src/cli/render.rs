//! The report for people: what it is and whose fault first, then the words that carry it, how to
//! make sure, what to do; what suffers, what was not seen and what was set aside after that. From
//! the wire's [`Report`] alone, so `show` prints what `investigate` printed.

mod cause;
mod explain;
mod joined;
mod rest;

pub(super) use explain::explanation;

use agent_proto::v1::{Alert, Investigation, InvestigationState, Report, Verdict};

use super::{
    live::transcript::about,
    out::Style,
    text::{bare, wrapped},
};

/// An investigation as text; one that still runs is told in a line.
pub(super) fn investigation(of: &Investigation, style: Style) -> String {
    let about = of.alert.as_ref().map(about).unwrap_or_default();
    let Some(report) = &of.report else {
        return unfinished(of, &about);
    };
    let mut page = Page { style, text: String::new() };
    match report.verdict() {
        Verdict::RootCauseFound => cause::found(&mut page, report, of.alert.as_ref()),
        Verdict::Healthy => cause::healthy(&mut page, report),
        Verdict::Inconclusive | Verdict::Unspecified => cause::open(&mut page, report),
    }
    joined::all(&mut page, of);
    rest::all(&mut page, report, &format!("{about}; {}", bare(&of.name)));
    page.text
}

fn unfinished(of: &Investigation, about: &str) -> String {
    let id = bare(&of.name);
    let state = match of.state() {
        InvestigationState::Queued => "waits for its turn",
        InvestigationState::Failed => "failed: the store was lost",
        InvestigationState::Cancelled => "was withdrawn before there was a report",
        InvestigationState::Unspecified
        | InvestigationState::Running
        | InvestigationState::AwaitingApproval
        | InvestigationState::RollingBack
        | InvestigationState::Succeeded
        | InvestigationState::Partial => "has no report yet",
    };
    format!("{about}: {state}; `agentd watch {id}` follows it\n")
}

/// A page that grows block by block, with a blank line before each headed one.
struct Page {
    style: Style,
    text: String,
}

// === impl Page ===

impl Page {
    /// A block as it is.
    fn block(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A heading and its lines, unless there are none.
    fn headed(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.text.push('\n');
        self.block(&self.style.bold(heading));
        for line in lines {
            self.block(line);
        }
    }
}

/// Words that carry weight, wrapped and bold, line by line so that the indent stays plain.
fn bold(style: Style, words: &str) -> String {
    let laid = wrapped("", words);
    laid.lines().map(|line| style.bold(line)).collect::<Vec<_>>().join("\n")
}

/// What of an alert tells when it began.
fn alerted_at(alert: Option<&Alert>) -> Option<jiff::Timestamp> {
    super::text::time(alert?.start_time.as_ref())
}

/// A report's evidence by id.
fn evidence<'a>(report: &'a Report, id: &str) -> Option<&'a agent_proto::v1::Evidence> {
    report.evidence.iter().find(|evidence| evidence.id == id)
}

#[cfg(test)]
mod tests;

//! An explanation for people: what is believed and how much, then candidate by candidate what speaks
//! for and against it, what it explains, the arithmetic, and what would decide; at the end what
//! was not seen and when what happened. As wide as the terminal.

mod candidate;

use std::collections::BTreeMap;

use agent_proto::v1::{Evidence, Explanation, Hypothesis, InvestigationState, Verdict};
use jiff::Timestamp;

use self::candidate::Candidate;
use super::cause::{confidence, severity};
use crate::cli::{
    live::transcript::about,
    out::Style,
    text::{self, bare, clock, counted, object, percent, time},
};

/// Most candidates a gap's price is told of.
const PRICED: usize = 3;
/// Most moments of the timeline.
const MOMENTS: usize = 14;
/// What the numbers of the arithmetic are.
const NUMBERS: [(&str, &str); 7] = [
    ("support", "what speaks for it, weight by weight: 1 - (1 - w1)(1 - w2)…"),
    ("opposition", "what is left after what speaks against it"),
    (
        "relevance",
        "how near the alert it lies: 1 at the alerted object, less where little leads to it",
    ),
    ("coverage", "3/4, and 1/4 times the share of the alerted object's harm that it explains"),
    (
        "sight",
        "what is left for sources that could not be asked about it: 5 % less each, once 8 % more where one could tell what speaks strongly against it",
    ),
    ("trust", "a cause brought by a plugin is believed at most 0.85"),
    ("rivals", "what is left for others that explain the same; belief times rivals is confidence"),
];

/// An explanation as text.
pub(in crate::cli) fn explanation(of: &Explanation, style: Style, width: usize) -> String {
    let mut sheet = Sheet { style, width, text: String::new() };
    let view = View::new(of);
    head(&mut sheet, of);
    for (number, hypothesis) in of.hypotheses.iter().enumerate() {
        let stands = of.standing_ids.contains(&hypothesis.id);
        Candidate { view: &view, hypothesis, number: number + 1, stands }.write(&mut sheet);
    }
    cleared(&mut sheet, &view);
    rest(&mut sheet, &view);
    sheet.text
}

/// What the parts look things up in.
struct View<'a> {
    of: &'a Explanation,
    evidence: BTreeMap<&'a str, &'a Evidence>,
    /// The newest moment met: times of its day go without the day.
    newest: Option<Timestamp>,
}

/// A page of a width.
struct Sheet {
    style: Style,
    width: usize,
    text: String,
}

// === impl View ===

impl<'a> View<'a> {
    fn new(of: &'a Explanation) -> Self {
        let evidence = of.evidence.iter().map(|one| (one.id.as_str(), one)).collect();
        let seen = of.evidence.iter().filter_map(|one| one.observation.as_ref());
        let newest = seen
            .flat_map(|o| [time(o.start_time.as_ref()), time(o.end_time.as_ref())])
            .flatten()
            .max();
        Self { of, evidence, newest }
    }

    fn evidence(&self, id: &str) -> Option<&'a Evidence> {
        self.evidence.get(id).copied()
    }

    /// Number and name of a hypothesis.
    fn named(&self, id: &str) -> Option<String> {
        let at = self.of.hypotheses.iter().position(|other| other.id == id)?;
        self.of.hypotheses.get(at).map(|other| format!("{} ({})", at + 1, name(other)))
    }

    /// A moment, with its day unless that is the day of the newest.
    fn moment(&self, at: Timestamp) -> String {
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        match self.newest.map(day) {
            Some(newest) if newest == day(at) => clock(at),
            _ => format!("{} {}", day(at), clock(at)),
        }
    }

    /// Whether any of its numbers is on the page.
    fn uses(&self, number: &str) -> bool {
        let mut accounts = self.of.hypotheses.iter().filter_map(|other| other.account.as_ref());
        accounts.any(|account| match number {
            "rivals" => account.rivals < candidate::LEFT,
            _ => account.factors.iter().any(|factor| factor.name == number),
        })
    }
}

// === impl Sheet ===

impl Sheet {
    /// Words under a head that is indented as deep.
    fn words(&mut self, head: &str, words: &str) {
        self.text.push_str(&text::wrapped_to(self.width, head, words));
        self.text.push('\n');
    }

    /// Words that lead.
    fn bold(&mut self, head: &str, words: &str) {
        let laid = text::wrapped_to(self.width, head, words);
        for line in laid.lines() {
            self.text.push_str(&self.style.bold(line));
            self.text.push('\n');
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }
}

/// `category of Kind namespace/name`.
fn name(hypothesis: &Hypothesis) -> String {
    let culprit = hypothesis.culprit.as_ref().map(object).unwrap_or_default();
    format!("{} of {culprit}", hypothesis.category)
}

fn head(sheet: &mut Sheet, of: &Explanation) {
    let lead = match (of.verdict(), of.hypotheses.first()) {
        (Verdict::RootCauseFound, Some(first)) => {
            let others = of.standing_ids.len().saturating_sub(1);
            let further = if others > 0 {
                format!(", and {} more beside it", counted(others, "cause"))
            } else {
                String::new()
            };
            let sure = confidence(first.confidence);
            format!("Why {}{further}: {sure}, {}", name(first), percent(first.confidence))
        }
        (Verdict::RootCauseFound, None) => "Why this cause: the log does not tell".to_owned(),
        (Verdict::Healthy, _) => "Why nothing is wrong".to_owned(),
        (Verdict::Inconclusive, _) => "Why there is no conclusion".to_owned(),
        (Verdict::Unspecified, Some(first)) => {
            format!("So far, {} leads with {}", name(first), percent(first.confidence))
        }
        (Verdict::Unspecified, None) => "So far, nothing is believed".to_owned(),
    };
    sheet.bold("", &lead);
    if !of.summary.is_empty() {
        sheet.words("", &of.summary);
    }
    let mut about = of.alert.as_ref().map(about).unwrap_or_default();
    match of.state() {
        InvestigationState::Running | InvestigationState::Queued => {
            about.push_str(&format!("; still running, as of event {}", of.last_sequence));
        }
        InvestigationState::Partial => about.push_str("; ended with gaps"),
        InvestigationState::Cancelled => about.push_str("; withdrawn"),
        InvestigationState::Unspecified
        | InvestigationState::AwaitingApproval
        | InvestigationState::RollingBack
        | InvestigationState::Succeeded
        | InvestigationState::Failed => {}
    }
    if of.verdict() != Verdict::Unspecified {
        about.push_str(&format!("; severity {}", severity(of.severity())));
    }
    sheet.words("", &format!("{about}; {}", bare(&of.investigation)));
}

/// What carries a verdict that is no cause.
fn cleared(sheet: &mut Sheet, view: &View<'_>) {
    if view.of.verdict() != Verdict::Healthy {
        return;
    }
    let carrying = view.of.evidence.iter().filter(|one| one.weight > 0.0 && !one.contradicts);
    let mut carrying = carrying.peekable();
    if carrying.peek().is_some() {
        sheet.gap();
        sheet.bold("", "What clears it");
        for one in carrying {
            candidate::line(sheet, view, "  - ", one);
        }
    }
}

/// What it costs each of the first candidates, by number, that `tool` could not be asked about it.
fn price(of: &Explanation, tool: &str) -> String {
    let mut told = Vec::new();
    for (number, hypothesis) in of.hypotheses.iter().enumerate() {
        let Some(account) = &hypothesis.account else { continue };
        let Some(sight) = account.factors.iter().find(|f| f.name == "sight") else { continue };
        if !account.unseen_tools.iter().any(|unseen| unseen == tool) || sight.value <= 0.0 {
            continue;
        }
        let tools = f64::from(u32::try_from(account.unseen_tools.len()).unwrap_or(u32::MAX));
        let alone = sight.value.powf(tools.recip());
        let points = (hypothesis.confidence / alone).min(1.0) - hypothesis.confidence;
        if points >= 0.005 {
            told.push(format!("candidate {} by {:.0} points", number + 1, points * 100.0));
        }
    }
    if told.is_empty() {
        return String::new();
    }
    told.truncate(PRICED);
    format!("; this lowers {}", told.join(", "))
}

/// What was not understood, not seen, when it happened, and what would decide.
fn rest(sheet: &mut Sheet, view: &View<'_>) {
    let of = view.of;
    let strange = of.evidence.iter().filter(|one| {
        one.observation.as_ref().is_some_and(|o| of.unknown_signals.contains(&o.signal))
    });
    let strange: Vec<&Evidence> = strange.collect();
    headed(sheet, "Seen, but in no catalogue: without weight", strange.len());
    for one in strange {
        candidate::line(sheet, view, "  - ", one);
    }
    headed(sheet, "Could not be looked at", of.gaps.len());
    for gap in &of.gaps {
        let why = gap.failure.as_ref().map_or("", |failure| failure.message.as_str());
        let cost = if gap.impact.is_empty() { String::new() } else { format!("; {}", gap.impact) };
        let price = price(of, &gap.subject);
        sheet.words("  - ", &format!("{}: {why}{cost}{price}", gap.subject));
    }
    headed(sheet, "What would decide", of.deciding_questions.len());
    for question in &of.deciding_questions {
        sheet.words("  - ", question);
    }
    timeline(sheet, view);
    let numbers: Vec<_> = NUMBERS.iter().filter(|(number, _)| view.uses(number)).collect();
    headed(sheet, "The numbers", numbers.len());
    for (number, meaning) in numbers {
        sheet.words(&format!("  {number:<11}"), meaning);
    }
}

fn headed(sheet: &mut Sheet, heading: &str, entries: usize) {
    if entries > 0 {
        sheet.gap();
        sheet.bold("", heading);
    }
}

/// When what happened; the middle is left out of a long one.
fn timeline(sheet: &mut Sheet, view: &View<'_>) {
    let entries = &view.of.timeline;
    headed(sheet, "What happened (UTC)", entries.len());
    let left_out = entries.len().saturating_sub(MOMENTS);
    let (first, last) = (MOMENTS / 2, entries.len() - MOMENTS / 2 * usize::from(left_out > 0));
    for (at, entry) in entries.iter().enumerate() {
        if left_out > 0 && at == first {
            sheet.words("  ", &format!("… {left_out} more"));
        }
        if left_out > 0 && (first..last).contains(&at) {
            continue;
        }
        let when = time(entry.time.as_ref()).map(|at| view.moment(at)).unwrap_or_default();
        sheet.words(&format!("  {when}  "), &entry.statement);
    }
}

#[cfg(test)]
mod tests;

//! One candidate cause of an explanation. Those that stand are told whole; those set aside in
//! short, with what set them aside first.

use std::collections::BTreeSet;

use agent_proto::{
    tool::v1::{Relation, RelationKind},
    v1::{Account, Evidence, EvidenceShare, Hypothesis},
};

use super::{Sheet, View, name};
use crate::cli::text::{counted, cut, object, percent, time};

/// What rivals leave when there are none worth telling.
pub(super) const LEFT: f64 = 0.995;
/// Most evidence told for a candidate that stands, and for another.
const CARRYING: (usize, usize) = (10, 3);
/// Most explained harm that is named for a candidate that stands.
const EXPLAINED: usize = 8;
/// Most further observations of one signal that are named.
const SAME: usize = 3;
/// Longest quote, in characters.
const QUOTE: usize = 240;

/// One candidate on its way to the page.
pub(super) struct Candidate<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) hypothesis: &'a Hypothesis,
    pub(super) number: usize,
    pub(super) stands: bool,
}

// === impl Candidate ===

impl Candidate<'_> {
    pub(super) fn write(&self, sheet: &mut Sheet) {
        let of = self.hypothesis;
        sheet.gap();
        let standing = match (self.stands, of.rejection.is_empty()) {
            (true, _) => "stands",
            (false, true) => "considered",
            (false, false) => "set aside",
        };
        let belief = percent(of.confidence);
        sheet.bold(&format!("{}. ", self.number), &format!("{}: {belief}, {standing}", name(of)));
        if !self.view.of.summary.contains(&of.statement) {
            sheet.words("   ", &of.statement);
        }
        self.set_aside(sheet);
        self.evidence(sheet);
        self.explains(sheet);
        self.missing(sheet);
        self.arithmetic(sheet);
        self.place(sheet);
    }

    fn account(&self) -> Option<&Account> {
        self.hypothesis.account.as_ref()
    }

    /// Why it does not stand, and which of its evidence another explains.
    fn set_aside(&self, sheet: &mut Sheet) {
        let of = self.hypothesis;
        if of.rejection.is_empty() {
            return;
        }
        let by = self.view.named(&of.explained_by);
        let mut said = match &by {
            Some(by) if of.rejection.starts_with("all that speaks") => {
                format!("all that speaks for it is explained by {by}")
            }
            Some(_) | None => of.rejection.clone(),
        };
        let explained = self.explained_by_other();
        if !explained.is_empty() && by.is_some() {
            said.push_str(&format!(": {}", explained.join(", ")));
        }
        sheet.words("   Why not  ", &said);
    }

    /// Evidence for it that the one that explains it away explains.
    fn explained_by_other(&self) -> Vec<&str> {
        let by = &self.hypothesis.explained_by;
        let other = self.view.of.hypotheses.iter().find(|other| other.id == *by);
        let known = other.and_then(|other| other.account.as_ref());
        let explained: BTreeSet<&String> =
            known.into_iter().flat_map(|account| &account.explained_evidence_ids).collect();
        let own = self.hypothesis.evidence_ids.iter();
        own.filter(|id| explained.contains(id)).map(String::as_str).collect()
    }

    fn evidence(&self, sheet: &mut Sheet) {
        let most = if self.stands { CARRYING.0 } else { CARRYING.1 };
        let shares = self.shares();
        let known: Vec<(&Evidence, Option<f64>)> = shares
            .iter()
            .filter_map(|(id, weight)| Some((self.view.evidence(id)?, *weight)))
            .collect();
        if !shares.is_empty() {
            sheet.words("   ", "For it");
        }
        let groups = by_signal(&known);
        for group in groups.iter().take(most) {
            let Some((strongest, weight)) = group.first() else { continue };
            let head = weight.map_or_else(|| "     - ".to_owned(), |w| format!("     {w:.2}  "));
            line(sheet, self.view, &head, strongest);
            if let Some(same) = same(group) {
                sheet.words(&" ".repeat(head.chars().count()), &same);
            }
        }
        if groups.len() > most {
            sheet.words("     ", &format!("… {} more", groups.len() - most));
        }
        let against: Vec<&Evidence> = self
            .hypothesis
            .against_evidence_ids
            .iter()
            .filter_map(|id| self.view.evidence(id))
            .collect();
        if !against.is_empty() {
            sheet.words("   ", "Against it");
        }
        for one in against.into_iter().take(most) {
            line(sheet, self.view, "     -     ", one);
        }
    }

    /// Ids of evidence with what each says; without numbers in what earlier versions stored.
    fn shares(&self) -> Vec<(&str, Option<f64>)> {
        match self.account() {
            Some(account) => {
                let share = |s: &'_ EvidenceShare| Some(s.weight);
                account.shares.iter().map(|s| (s.evidence_id.as_str(), share(s))).collect()
            }
            None => self.hypothesis.evidence_ids.iter().map(|id| (id.as_str(), None)).collect(),
        }
    }

    /// Harm beyond its own evidence that it makes plain.
    fn explains(&self, sheet: &mut Sheet) {
        let Some(account) = self.account() else { return };
        let own: BTreeSet<&str> = self.shares().into_iter().map(|(id, _)| id).collect();
        let beyond: Vec<&Evidence> = account
            .explained_evidence_ids
            .iter()
            .filter(|id| !own.contains(id.as_str()))
            .filter_map(|id| self.view.evidence(id))
            .collect();
        let all = usize::try_from(account.explained_count).unwrap_or_default();
        if all == 0 {
            return;
        }
        if !self.stands || beyond.is_empty() {
            sheet.words("   Explains ", &format!("{} of harm", counted(all, "observation")));
            return;
        }
        sheet.words("   ", &format!("Explains, beside its evidence ({all} in all)"));
        for one in beyond.iter().take(EXPLAINED) {
            sheet.words("     - ", &format!("{} [{}]", one.statement, one.id));
        }
        if beyond.len() > EXPLAINED {
            sheet.words("     ", &format!("… {} more", beyond.len() - EXPLAINED));
        }
    }

    fn missing(&self, sheet: &mut Sheet) {
        let missing = &self.hypothesis.missing_signals;
        if !missing.is_empty() {
            let said = format!("{}: not seen; each would raise it", missing.join("; "));
            sheet.words("   Missing  ", &said);
        }
        let question = self.account().map_or("", |account| account.question.as_str());
        if !question.is_empty() {
            sheet.words("   Decides  ", question);
        }
    }

    fn arithmetic(&self, sheet: &mut Sheet) {
        let Some(account) = self.account() else {
            let said = "an earlier version of agentd wrote this; it kept no arithmetic";
            return sheet.words("   Belief   ", said);
        };
        let product: Vec<String> =
            account.factors.iter().map(|f| format!("{} {:.2}", f.name, f.value)).collect();
        let mut said = format!("{} = {:.2}", product.join(" × "), account.belief);
        if account.rivals < LEFT {
            let confidence = self.hypothesis.confidence;
            said.push_str(&format!(", × rivals {:.2} = {confidence:.2}", account.rivals));
        }
        sheet.words("   Belief   ", &said);
        if !account.unseen_tools.is_empty() {
            let sight = account.factors.iter().find(|f| f.name == "sight").map_or(1.0, |f| f.value);
            let whole = if sight > 0.0 { self.hypothesis.confidence / sight } else { 0.0 };
            let said = format!(
                "{} could not be asked; with nothing new from there it would be {}",
                listed(&account.unseen_tools),
                percent(whole.min(1.0))
            );
            sheet.words("   Unseen   ", &said);
        }
    }

    /// Where it lies, since when, and who brought the cause.
    fn place(&self, sheet: &mut Sheet) {
        let Some(account) = self.account() else { return };
        let path = match (account.path.as_slice(), account.reached) {
            (_, false) => "nothing that is known leads from the alerted object to it".to_owned(),
            ([], true) => "the alerted object itself".to_owned(),
            (edges, true) => way(edges),
        };
        sheet.words("   Path     ", &path);
        if let Some(start) = time(account.start_time.as_ref()) {
            sheet.words("   Began    ", &self.view.moment(start));
        }
        if !account.source.is_empty() && account.source != "agentd" {
            sheet.words("   From     ", &account.source);
        }
    }
}

/// Evidence by signal, in the order of the strongest of each: of one clause the strongest counts.
fn by_signal<'a>(known: &[(&'a Evidence, Option<f64>)]) -> Vec<Vec<(&'a Evidence, Option<f64>)>> {
    let signal = |one: &'a Evidence| one.observation.as_ref().map_or("", |o| o.signal.as_str());
    let mut groups: Vec<Vec<(&'a Evidence, Option<f64>)>> = Vec::new();
    for (one, weight) in known {
        let held = groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|(first, _)| signal(first) == signal(one)));
        match held {
            Some(group) => group.push((one, *weight)),
            None => groups.push(vec![(one, *weight)]),
        }
    }
    groups
}

/// What else tells the same, beside the strongest.
fn same(group: &[(&Evidence, Option<f64>)]) -> Option<String> {
    let others = group.get(1..).filter(|others| !others.is_empty())?;
    let said: Vec<String> = others
        .iter()
        .take(SAME)
        .map(|(one, _)| {
            let subject = one.observation.as_ref().and_then(|o| o.subject.as_ref());
            format!("{} [{}]", subject.map(object).unwrap_or_default(), one.id)
        })
        .collect();
    let left = others.len().saturating_sub(SAME);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    Some(format!("the same of {}{more}; it counts once", said.join(", ")))
}

/// An observation: what, on what, when, who saw it, and the words of the source.
pub(super) fn line(sheet: &mut Sheet, view: &View<'_>, head: &str, one: &Evidence) {
    let observation = one.observation.clone().unwrap_or_default();
    let tool = one.tool.as_ref().map(|of| format!(", {}.{}", of.plugin, of.tool));
    let mut said = format!("{}: {}", observation.signal, one.statement);
    let start = time(observation.start_time.as_ref()).map(|at| view.moment(at));
    let end = time(observation.end_time.as_ref()).map(|at| view.moment(at));
    let when = match (start, end) {
        (Some(start), Some(end)) if start != end => format!(", {start} to {end}"),
        (Some(at), _) | (None, Some(at)) => format!(", {at}"),
        (None, None) => String::new(),
    };
    said.push_str(&format!(" [{}{}{when}]", one.id, tool.unwrap_or_default()));
    sheet.words(head, &said);
    let words = observation.quote.trim();
    if !words.is_empty() && !one.statement.contains(words) {
        let head = format!("{}\u{201c}", " ".repeat(head.chars().count()));
        sheet.words(&head, &format!("{}\u{201d}", cut(words, QUOTE)));
    }
}

/// The edges in words; one that goes on where the one before ends is told as such.
fn way(edges: &[Relation]) -> String {
    let mut said = String::new();
    let mut at = None;
    for edge in edges {
        let named = |of: &Option<_>| of.as_ref().map(object).unwrap_or_default();
        let joint = match said.as_str() {
            "" => named(&edge.from),
            _ if at == Some(&edge.from) => ", which".to_owned(),
            _ => format!("; {}", named(&edge.from)),
        };
        said.push_str(&format!("{joint} {} {}", verb(edge.kind()), named(&edge.to)));
        at = Some(&edge.to);
    }
    said
}

fn verb(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Unspecified => "is linked with",
        RelationKind::OwnedBy => "is owned by",
        RelationKind::RunsOn => "runs on",
        RelationKind::Calls => "calls",
        RelationKind::Uses => "uses",
        RelationKind::Selects => "selects",
        RelationKind::Governs => "governs",
    }
}

fn listed(tools: &[String]) -> String {
    let once: BTreeSet<&str> = tools.iter().map(String::as_str).collect();
    once.into_iter().collect::<Vec<_>>().join(", ")
}

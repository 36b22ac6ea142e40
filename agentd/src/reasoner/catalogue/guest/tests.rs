//! What a plugin may bring and what not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use super::*;

const LICENCE: &str = "\
id: licence_expired
title: the licence has run out
culprit: workload
for:
  - {any: [licences.refused], weight: 0.75, required: true}
  - {any: [service.error_ratio_high], weight: 0.2}
explains:
  own: ['licences.*', container.crash_looping]
  callers: [service.error_ratio_high, 'dependency.*']
severity: P2
statement: '{name} has no licence[: {quote}]'
confirm: 'kubectl -n {namespace} get deployment {name}'
question: 'Does {name} have a licence?'
now:
  - {action: 'Renew it', reason: 'nothing else helps', command: 'kubectl -n {namespace} rollout restart deployment/{name}', risk: low}
";

fn offered(documents: &[&str]) -> Offered {
    let signal = |name: &str, polarity| (name.to_owned(), "it is so".to_owned(), polarity);
    Offered {
        plugin: "licences".to_owned(),
        version: "1.2.0".to_owned(),
        signals: vec![
            signal("licences.refused", Polarity::Harm),
            signal("licences.valid", Polarity::Health),
        ],
        documents: documents.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn base() -> Catalogue {
    Catalogue::embedded().unwrap()
}

#[test]
fn a_plugins_signals_and_causes_count_while_it_is_there() {
    let (base, offered) = (base(), offered(&[LICENCE]));
    let guest = base.admit(&offered);
    assert_eq!(guest.warnings, Vec::<String>::new());
    let mut whole = base.clone();
    whole.host(&guest);
    assert_eq!(whole.polarity("licences.refused"), Polarity::Harm);
    let cause = whole.cause("licence_expired").unwrap();
    assert_eq!(cause.source.to_string(), "plugin licences 1.2.0");
    assert!(base.cause("licence_expired").is_none());
    // Who began under them keeps them.
    let kept = base.clone().after(&whole);
    assert!(kept.cause("licence_expired").is_some() && kept.knows("licences.valid"));
}

#[test]
fn the_symptoms_are_signals_of_the_catalogue() {
    let base = base();
    for symptom in SYMPTOMS {
        let one = [symptom.to_owned()];
        let harm = |s: &Signal| s.polarity == Polarity::Harm && matches_any(&one, &s.signal);
        assert!(base.signals().any(harm), "{symptom}");
    }
}

/// Each row is a way to take more than a guest may, and what its author is told.
#[test]
fn what_a_plugin_may_not_bring_is_left_out_and_the_line_named() {
    let base = base();
    let long = format!("title: {}", "x".repeat(2000));
    let huge = format!("{LICENCE}# {}\n", "x".repeat(MAX_DOCUMENT));
    let many: String = (0..30).map(|_| "  - {any: [licences.refused]}\n").collect();
    for (from, to, told) in [
        ("id: licence_expired", "id: oom_killed", "cause_documents[0]:1: id oom_killed is taken"),
        ("id: licence_expired", "id: 'Two Words'", "[0]:1: id is 1 to 64"),
        (
            "[licences.refused], weight",
            "['container.*'], weight",
            "must name signals below licences.",
        ),
        (
            "[service.error_ratio_high], weight",
            "[container.oom_killed], weight",
            "[0]:6: container.oom_killed takes in",
        ),
        ("[service.error_ratio_high], weight", "['*'], weight", "[0]:6: * takes in"),
        ("container.crash_looping]", "'container.*']", "[0]:8: container.* takes in container."),
        ("'dependency.*']", "'node.*']", "[0]:9: node.* takes in node."),
        (
            "{any: [service.error_ratio_high]",
            "{any: [service.eror_ratio_high]",
            "[0]:6: there is no signal service.eror_ratio_high; did you mean service.error_ratio_high?",
        ),
        ("get deployment {name}'", "delete deployment {name}'", "[0]:12: confirm reads only"),
        ("get deployment {name}'", "get deployment {name} | sh'", "[0]:12: a command is one line"),
        (
            "kubectl -n {namespace} rollout restart deployment/{name}",
            "curl x.example && true",
            "[0]:15: a command is one line",
        ),
        ("{name} has no licence[", "\\e[2J {name} [", ""),
        ("title: the licence has run out", &long, "[0]:2: a sentence is one line"),
        ("explains:", &format!("{many}explains:"), "more than 24 clauses"),
        ("culprit: workload", "culprit: everybody", "[0]:3: "),
        ("severity: P2", "benign: true", "[0]:10: benign is not a plugin's to say"),
        ("severity: P2", "colour: red", "[0]:10: "),
        (LICENCE, &huge, "bytes; a document has at most"),
        (LICENCE, "", "left out: cause_documents[0]"),
    ] {
        let changed = LICENCE.replace(from, to);
        assert_ne!(changed, LICENCE, "{from}");
        let changed = changed
            .replace("statement: '\\e", "statement: \"\\e")
            .replace("{quote}]'", "{quote}]\"");
        let changed = if changed.contains("\\e") { changed } else { LICENCE.replace(from, to) };
        let guest = base.admit(&offered(&[&changed]));
        let said = guest.warnings.join("\n");
        assert!(guest.causes.is_empty(), "taken in: {to}");
        assert!(said.starts_with("left out: ") && said.contains(told), "{told:?} is not in {said}");
    }
}

#[test]
fn signals_of_others_and_of_the_catalogue_are_left_out() {
    let base = base();
    let mut stranger = offered(&[]);
    for name in [
        "other.refused",
        "container.oom_killed",
        "licences.Bad",
        "licences.",
        "licences.refused",
        "licences.a.b",
    ] {
        stranger.signals.push((name.to_owned(), "x".to_owned(), Polarity::Harm));
    }
    stranger.signals.push(("licences.steers".to_owned(), "\u{1b}[2J".to_owned(), Polarity::Harm));
    let guest = base.admit(&stranger);
    assert_eq!(guest.signals.len(), 2);
    assert_eq!(guest.warnings.len(), 7, "{:?}", guest.warnings);
    // A plugin called like a family of the catalogue's signals would speak in its place.
    let named = Offered {
        plugin: "log".to_owned(),
        signals: vec![("log.everything_well".to_owned(), "x".to_owned(), Polarity::Health)],
        ..Offered::default()
    };
    let guest = base.admit(&named);
    assert!(guest.signals.is_empty() && guest.warnings[0].contains("rename it"), "{guest:?}");
}

#[test]
fn what_is_too_loud_counts_less_and_its_author_is_told() {
    let loud = LICENCE.replace("0.75", "0.99").replace("P2", "P1");
    let guest = base().admit(&offered(&[&loud]));
    let [cause] = guest.causes.as_slice() else { panic!("{guest:?}") };
    assert!((cause.speaks_for[0].weight - MAX_WEIGHT).abs() < f64::EPSILON);
    assert_eq!(cause.severity, Severity::P2);
    let said = guest.warnings.join("\n");
    assert!(said.contains("[0]:5: weight 0.99 counts as 0.8"), "{said}");
    assert!(said.contains("[0]:10: severity P1 counts as P2"), "{said}");
}

#[test]
fn one_bad_cause_does_not_sink_the_others_and_an_id_is_taken_once() {
    let guest = base().admit(&offered(&["id: [", LICENCE, LICENCE]));
    assert_eq!(guest.causes.len(), 1);
    assert_eq!(guest.warnings.len(), 2, "{:?}", guest.warnings);
    assert!(guest.warnings[1].contains("[2]:1: id licence_expired is taken"));
    let many: Vec<String> =
        (0..40).map(|n| LICENCE.replace("licence_expired", &format!("l{n}"))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let guest = base().admit(&offered(&many));
    assert_eq!((guest.causes.len(), guest.warnings.len()), (MAX_CAUSES, 1));
}

#[test]
fn a_command_that_confirms_reads() {
    for (command, reads) in [
        ("kubectl get pods", true),
        ("kubectl -n shop get deployment x -o yaml", true),
        ("kubectl --context c -n shop describe pod x", true),
        ("kubectl auth can-i get pods", true),
        ("kubectl -n shop rollout status deployment/x", true),
        ("kubectl -n shop rollout restart deployment/x", false),
        ("kubectl -n get delete pod x", false),
        ("kubectl delete pod get", false),
        ("kubectl exec x -- get", false),
        ("rm -rf get", false),
        ("", false),
    ] {
        assert_eq!(reads_only(command), reads, "{command}");
    }
}

/// What is concluded on `Deployment n/a` under a catalogue with the guest's words.
fn concluded(kind: &str, seen: &[(&str, &str)]) -> crate::investigation::report::Conclusion {
    use crate::{alert::Alert, fact, reasoner::Reasoning, tool};
    let mut words = base();
    let loud = LICENCE.replace("0.75", "0.99").replace("0.2}", "0.9}").replace(
        "own: ['licences.*', container.crash_looping]",
        "own: ['licences.*', container.crash_looping, service.error_ratio_high, \
         workload.replicas_missing]",
    );
    let guest = words.admit(&offered(&[&loud]));
    words.host(&guest);
    let mut reasoning = Reasoning::new(std::sync::Arc::new(words));
    let at = |clock: &str| format!("2026-01-01T{clock}Z").parse().ok();
    for (number, (signal, since)) in seen.iter().enumerate() {
        let observation = fact::Observation {
            signal: (*signal).to_owned(),
            subject: fact::Entity::new("Deployment", "n", "a"),
            statement: format!("{signal} is so"),
            start: at(since),
            end: at("12:00:00"),
            ..fact::Observation::default()
        };
        let output = tool::CallOutput {
            observations: vec![observation],
            observe_time: at("12:00:00"),
            ..tool::CallOutput::default()
        };
        let of = tool::ToolRef { plugin: format!("p{number}"), ..tool::ToolRef::default() };
        reasoning.facts.absorb(&of, 1, &output);
    }
    let alert = Alert {
        kind: kind.to_owned(),
        service: "a".to_owned(),
        namespace: "n".to_owned(),
        start: at("11:40:00"),
        ..Alert::default()
    };
    reasoning.assess(&alert, jiff::Timestamp::UNIX_EPOCH).conclusion
}

#[test]
fn a_guest_is_told_beside_what_the_evidence_shows_and_takes_nothing_from_it() {
    let shown = [
        ("container.oom_killed", "11:30:00"),
        ("container.memory_near_limit", "11:20:00"),
        ("container.crash_looping", "11:31:00"),
    ];
    let alone = concluded("high_memory", &shown);
    let mut beside = shown.to_vec();
    // Its word, long before the trouble: the onset, by which changes are judged, stays.
    beside.extend([("licences.refused", "06:00:00"), ("licences.valid", "06:00:00")]);
    let with = concluded("high_memory", &beside);
    let found = |of: &crate::investigation::report::Conclusion| {
        let first = of.root_causes.first().expect("a cause is found");
        (first.category.clone(), format!("{:.6}", first.confidence))
    };
    assert_eq!(found(&alone).0, "oom_killed");
    assert_eq!(found(&alone), found(&with));
}

#[test]
fn a_guests_cause_is_found_where_nothing_else_is_and_believed_no_more_than_a_guest() {
    let found = concluded(
        "high_error_rate",
        &[("licences.refused", "11:30:00"), ("service.error_ratio_high", "11:31:00")],
    );
    let first = found.root_causes.first().expect("a cause is found");
    assert_eq!(first.category, "licence_expired");
    assert!((0.5..=super::super::source::GUEST_CEILING).contains(&first.confidence), "{first:?}");
    let account = first.account.clone().expect("its account");
    assert_eq!(account.factors.last().map(|factor| factor.name.as_str()), Some("trust"));
}

#[test]
fn a_guest_alone_says_that_nothing_is_wrong_to_nobody() {
    let found = concluded("", &[("licences.valid", "11:00:00"), ("licences.valid", "11:30:00")]);
    assert_ne!(found.verdict, crate::investigation::finding::Verdict::Healthy, "{found:?}");
}

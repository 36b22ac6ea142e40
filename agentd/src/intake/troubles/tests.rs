//! Which alerts belong together, as a table of what comes in.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use uuid::Uuid;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + 60 * minute).unwrap()
}

fn id(n: u128) -> InvestigationId {
    InvestigationId(Uuid::from_u128(n))
}

fn firing(group: &str, kind: &str, service: &str, print: &str) -> Notice {
    let alert = Alert {
        kind: kind.to_owned(),
        service: service.to_owned(),
        fingerprint: print.to_owned(),
        start: Some(at(0)),
        ..Alert::default()
    };
    Notice { alert, resolved: false, group: group.to_owned(), stored: None }
}

fn over(notice: &Notice) -> Notice {
    Notice { resolved: true, ..notice.clone() }
}

fn judged(troubles: &Troubles, notice: &Notice, now: Timestamp, life: Life) -> Verdict {
    troubles.judge(notice, now, |_| Ok::<_, Infallible>(life)).unwrap()
}

/// An index that knows of one alert, which began the first investigation.
fn one() -> (Troubles, Notice) {
    let mut troubles = Troubles::new(SignedDuration::from_mins(30));
    let first = firing("g", "Slow", "cart", "a");
    troubles.took(id(1), &first, at(0));
    (troubles, first)
}

#[test]
fn alerts_of_one_group_and_object_or_of_one_type_and_object_are_one_trouble() {
    let (troubles, _) = one();
    for (notice, verdict) in [
        (firing("g", "Errors", "cart", "b"), Verdict::Join(id(1))),
        (firing("other", "Slow", "cart", "b"), Verdict::Join(id(1))),
        (firing("other", "Errors", "cart", "b"), Verdict::Start),
        (firing("g", "Slow", "orders", "b"), Verdict::Start),
        // The same series by another route.
        (firing("other", "Slow", "cart", "a"), Verdict::Known(id(1))),
    ] {
        assert_eq!(judged(&troubles, &notice, at(1), Life::Open), verdict, "{notice:?}");
    }
}

#[test]
fn an_ended_investigation_is_joined_for_a_while_and_a_lost_one_never() {
    let (troubles, _) = one();
    let further = firing("g", "Slow", "cart", "b");
    for (minute, life, verdict) in [
        (29, Life::Ended(at(0)), Verdict::Join(id(1))),
        (31, Life::Ended(at(0)), Verdict::Start),
        (31, Life::Ended(at(5)), Verdict::Join(id(1))),
        (2, Life::Abandoned, Verdict::Start),
    ] {
        assert_eq!(judged(&troubles, &further, at(minute), life), verdict, "minute {minute}");
    }
}

#[test]
fn the_same_firing_told_again_hours_later_begins_nothing_and_a_new_one_does() {
    let (mut troubles, first) = one();
    let ended = Life::Ended(at(1));
    assert_eq!(judged(&troubles, &first, at(240), ended), Verdict::Known(id(1)));
    // Nobody looked at it: the daemon went down.
    assert_eq!(judged(&troubles, &first, at(240), Life::Abandoned), Verdict::Start);
    let mut again = first;
    again.alert.start = Some(at(200));
    assert_eq!(judged(&troubles, &again, at(240), ended), Verdict::Start);
    troubles.took(id(2), &again, at(240));
    assert_eq!(judged(&troubles, &again, at(241), Life::Open), Verdict::Known(id(2)));
}

#[test]
fn what_was_over_begins_anew_unless_it_only_flaps() {
    let (mut troubles, first) = one();
    assert_eq!(judged(&troubles, &over(&first), at(3), Life::Open), Verdict::Join(id(1)));
    troubles.took(id(1), &over(&first), at(3));
    assert_eq!(judged(&troubles, &over(&first), at(4), Life::Open), Verdict::Known(id(1)));
    let mut again = first;
    again.alert.start = Some(at(7));
    let ended = Life::Ended(at(2));
    assert_eq!(judged(&troubles, &again, at(7), ended), Verdict::Join(id(1)));
    assert_eq!(judged(&troubles, &again, at(9), ended), Verdict::Start);
    // While another alert of it still fires it is not over.
    let other = firing("g", "Errors", "cart", "b");
    troubles.took(id(1), &other, at(3));
    assert_eq!(judged(&troubles, &again, at(9), ended), Verdict::Join(id(1)));
}

#[test]
fn word_that_something_is_over_that_nobody_looked_at_is_stray() {
    let (troubles, _) = one();
    let stray = over(&firing("x", "Other", "other", "z"));
    assert_eq!(judged(&troubles, &stray, at(1), Life::Open), Verdict::Stray);
}

#[test]
fn what_nobody_spoke_of_for_a_day_is_forgotten() {
    let (mut troubles, first) = one();
    troubles.forget(at(24 * 60));
    assert_eq!(judged(&troubles, &first, at(24 * 60), Life::Open), Verdict::Known(id(1)));
    troubles.forget(at(24 * 60 + 1));
    assert_eq!(judged(&troubles, &first, at(24 * 60 + 1), Life::Open), Verdict::Start);
    assert!(troubles.by_key.is_empty() && troubles.by_print.is_empty());
}

#[test]
fn alerts_that_name_no_object_are_told_apart_by_what_they_have() {
    let described = |words: &str| {
        let mut notice = firing("", "", "", "");
        words.clone_into(&mut notice.alert.description);
        notice
    };
    assert_ne!(described("slow").trouble(), described("down").trouble());
    assert_eq!(described("slow").trouble(), described("slow").trouble());
    let mut one = firing("", "TargetDown", "", "");
    let two = one.clone();
    one.alert.labels.insert("job".to_owned(), "a".to_owned());
    assert_ne!(one.trouble(), two.trouble());
}

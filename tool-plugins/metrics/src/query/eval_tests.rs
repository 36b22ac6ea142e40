//! Queries answer on small recordings what a person computes by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{
    query::Condition,
    store::{Limits, read},
};

const RECORDED: &str = "\
r_total{pod=\"a\",code=\"200\"} 0 0
r_total{pod=\"a\",code=\"200\"} 60 60
r_total{pod=\"a\",code=\"200\"} 120 120
r_total{pod=\"a\",code=\"503\"} 0 0
r_total{pod=\"a\",code=\"503\"} 30 60
r_total{pod=\"a\",code=\"503\"} 60 120
r_total{pod=\"b\",code=\"200\"} 0 0
r_total{pod=\"b\",code=\"200\"} 120 60
r_total{pod=\"b\",code=\"200\"} 240 120
t_bucket{le=\"0.1\"} 0 0
t_bucket{le=\"0.1\"} 60 60
t_bucket{le=\"+Inf\"} 0 0
t_bucket{le=\"+Inf\"} 60 60
free 5 0
free 7 60
# EOF
";

const MINUTE: Duration = Duration::from_secs(61);

fn answer(query: &Query, at_s: i64) -> Vec<(String, f64)> {
    let store = read(RECORDED.as_bytes(), i64::MAX, Limits::default()).unwrap();
    let tracks = evaluate(&store, query, Grid::at(at_s * 1000));
    tracks.into_iter().map(|t| (t.labels.to_string(), t.values[0])).collect()
}

fn check(query: &Query, at_s: i64, expected: &[(&str, f64)]) {
    let found = answer(query, at_s);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((labels, value), (wanted_labels, wanted)) in found.iter().zip(expected) {
        assert_eq!(labels, wanted_labels);
        assert!((value - wanted).abs() < 0.02 * wanted.abs() + 1e-9, "{labels}: {value}");
    }
}

#[test]
fn an_instant_is_the_last_sample_within_the_look_back() {
    let query = Query::Instant(Selector::new("free"));
    check(&query, 59, &[("", 5.0)]);
    check(&query, 60, &[("", 7.0)]);
    check(&query, 359, &[("", 7.0)]);
    assert!(answer(&query, 361)[0].1.is_nan());
}

#[test]
fn matchers_choose_series() {
    let of = |label, condition| Query::Instant(Selector::new("r_total").matching(label, condition));
    check(&of("pod", Condition::Is("b".into())), 60, &[("code=200,pod=b", 120.0)]);
    check(&of("pod", Condition::IsNot("a".into())), 60, &[("code=200,pod=b", 120.0)]);
    check(&of("code", Condition::StartsWith("5".into())), 60, &[("code=503,pod=a", 30.0)]);
    check(&of("code", Condition::OneOf(vec!["503".into()])), 60, &[("code=503,pod=a", 30.0)]);
    check(&of("none", Condition::IsNot(String::new())), 60, &[]);
}

#[test]
fn rates_are_summed_by_labels() {
    let rate = Query::rate(Selector::new("r_total"), MINUTE);
    check(&rate.clone().by(Fold::Sum, &["code"]), 120, &[("code=200", 3.0), ("code=503", 0.5)]);
    check(&rate.clone().by(Fold::Max, &[]), 120, &[("", 2.0)]);
    check(&rate.by(Fold::Average, &[]), 120, &[("", 3.5 / 3.0)]);
}

#[test]
fn a_share_divides_tracks_of_equal_labels() {
    let all = Query::rate(Selector::new("r_total"), MINUTE).by(Fold::Sum, &["pod"]);
    let failed =
        Query::rate(Selector::new("r_total").with("code", "503"), MINUTE).by(Fold::Sum, &["pod"]);
    check(&failed.share_of(all), 120, &[("pod=a", 1.0 / 3.0)]);
}

#[test]
fn a_quantile_is_taken_over_the_buckets_of_a_group() {
    let rate = Query::rate(Selector::new("t_bucket"), MINUTE);
    check(&rate.by(Fold::Sum, &["le"]).quantile(0.5), 60, &[("", 0.05)]);
}

#[test]
fn averages_and_maxima_are_over_the_window() {
    let over = |function| Query::Over {
        function,
        selector: Selector::new("free"),
        window: Duration::from_secs(90),
    };
    check(&over(Function::Average), 60, &[("", 6.0)]);
    check(&over(Function::Max), 60, &[("", 7.0)]);
}

#[test]
fn a_grid_answers_at_equal_steps_and_shows_where_a_series_ended() {
    let store = read(RECORDED.as_bytes(), i64::MAX, Limits::default()).unwrap();
    let grid = Grid::between(0, 240_000, 30_000);
    let tracks = evaluate(&store, &Query::Instant(Selector::new("free")), grid);
    let there: Vec<bool> = tracks[0].values.iter().map(|v| !v.is_nan()).collect();
    assert_eq!(there, [true, true, true, true, false, false, false, false, false]);
    assert_eq!(grid.time_ms(2), 60_000);
}

//! The store holds what was read, within its bounds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

fn store(text: &str) -> Store {
    read(text.as_bytes(), i64::MAX, Limits::default()).unwrap()
}

#[test]
fn samples_of_one_series_are_kept_together_in_order_of_time() {
    let store = store("a{x=\"1\"} 2 20\nb 9 10\na{x=\"1\"} 1 10\n# EOF\n");
    let series: Vec<_> = store.named("a").collect();
    assert_eq!(series.len(), 1);
    let values: Vec<f64> = series[0].samples.iter().map(|s| s.value).collect();
    assert_eq!(values, [1.0, 2.0]);
    assert_eq!(store.span_ms(), Some((10_000, 20_000)));
}

#[test]
fn one_bad_line_costs_one_line_and_is_told() {
    let store = store("a 1 10\na{ 2 15\nnonsense\na 3 20\n# EOF\n");
    assert_eq!(store.named("a").next().unwrap().samples.len(), 2);
    assert_eq!(store.account().bad_lines, 2);
    assert_eq!(store.account().first_bad_line, 2);
    assert!(store.account().complete);
}

#[test]
fn nothing_counts_after_the_end_and_a_missing_end_is_told() {
    assert_eq!(store("a 1 10\n# EOF\na 2 20\n").named("a").next().unwrap().samples.len(), 1);
    assert!(!store("a 1 10\n").account().complete);
}

#[test]
fn samples_later_than_now_are_cut() {
    let store = read("a 1 10\na 2 20\n".as_bytes(), 15_000, Limits::default()).unwrap();
    assert_eq!(store.named("a").next().unwrap().samples.len(), 1);
}

#[test]
fn memory_is_bounded_by_series_and_samples() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for series in 0..100 {
        for second in 0..10 {
            writeln!(text, "m{{i=\"{series}\"}} {second} {second}").unwrap();
        }
    }
    let limits = Limits { max_series: 20, max_samples: 150 };
    let store = read(text.as_bytes(), i64::MAX, limits).unwrap();
    assert_eq!(store.len(), 20);
    assert_eq!(store.series.iter().map(|s| s.samples.len()).sum::<usize>(), 150);
    assert!(store.account().left_out > 0);
}

#[test]
fn a_counter_is_known_by_its_type_or_else_by_its_suffix() {
    let store = store(
        "# TYPE requests counter\n# TYPE depth_total gauge\n# TYPE t histogram\n\
         requests_total 1 1\ndepth_total 1 1\nt_bucket{le=\"1\"} 1 1\nother_total 1 1\nfree 1 1\n",
    );
    for (name, counter) in [
        ("requests_total", true),
        ("depth_total", false),
        ("t_bucket", true),
        ("other_total", true),
        ("free", false),
    ] {
        assert_eq!(store.is_counter(name), counter, "{name}");
    }
}

#[test]
fn the_interval_is_the_median_distance_of_samples() {
    let store = store("a 1 0\na 1 20\na 1 40\nb 1 0\nb 1 20\nc 1 0\nc 1 300\n");
    assert_eq!(store.interval_ms(), 20_000);
}

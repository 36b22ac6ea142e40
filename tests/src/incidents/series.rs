//! Metrics as OpenMetrics text: families of series with a value per sample, and absent where the
//! thing that is measured was not there.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    clock::{Clock, Sec},
    dice::Dice,
    traffic::steps,
};

/// Type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A value of the moment.
    Gauge,
    /// A growing count; the samples' name ends in `_total`.
    Counter,
    /// Buckets, sum and count.
    Histogram,
    /// Anything else.
    Unknown,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Debug)]
struct Family {
    kind: Type,
    /// Sample name with labels, and values.
    series: Vec<(String, Vec<f64>)>,
}

/// All metrics of a recording. A value that is not a number is a sample that is missing.
#[derive(Debug, Default)]
pub struct Metrics {
    families: BTreeMap<String, Family>,
}

/// Labels in the order given, such as `{namespace="a",pod="b"}`.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(key);
        text.push_str("=\"");
        text.push_str(value);
        text.push('"');
    }
    text.push('}');
    text
}

impl Metrics {
    fn family(&mut self, name: &str, kind: Type) -> &mut Family {
        let new = || Family { kind, series: Vec::new() };
        self.families.entry(name.to_owned()).or_insert_with(new)
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, name: &str, pairs: &[(&str, &str)], values: Vec<f64>) {
        let series = (format!("{name}{}", labels(pairs)), values);
        self.family(name, Type::Gauge).series.push(series);
    }

    /// Adds a gauge that never moves.
    pub fn constant(&mut self, name: &str, pairs: &[(&str, &str)], value: f64) {
        self.gauge(name, pairs, steps().map(|_| value).collect());
    }

    /// Adds a counter `name` (without `_total`) that grows by `rates` per second, beginning at
    /// `start`. Where a rate is not a number there is no sample, and behind it the count is anew.
    pub fn counter(&mut self, name: &str, pairs: &[(&str, &str)], start: f64, rates: &[f64]) {
        let series = (format!("{name}_total{}", labels(pairs)), grown(start, rates));
        self.family(name, Type::Counter).series.push(series);
    }

    /// Adds a counter `name` (without `_total`) with these values.
    pub fn sampled(&mut self, name: &str, pairs: &[(&str, &str)], values: Vec<f64>) {
        let series = (format!("{name}_total{}", labels(pairs)), values);
        self.family(name, Type::Counter).series.push(series);
    }

    /// Adds a growing series of any family: `family` is its name, `sample` the series' own.
    pub fn growing(
        &mut self,
        (family, kind, sample): (&str, Type, &str),
        pairs: &[(&str, &str)],
        start: f64,
        rates: &[f64],
    ) {
        let series = (format!("{sample}{}", labels(pairs)), grown(start, rates));
        self.family(family, kind).series.push(series);
    }

    /// Drops families whose name begins with `prefix`.
    pub fn drop(&mut self, prefix: &str) {
        self.families.retain(|name, _| !name.starts_with(prefix));
    }

    /// Drops series that say `label` (such as `service="x"`).
    pub fn drop_label(&mut self, label: &str) {
        for family in self.families.values_mut() {
            family.series.retain(|(name, _)| !name.contains(label));
        }
        self.families.retain(|_, family| !family.series.is_empty());
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The text.
    #[must_use]
    pub fn text(&self, clock: Clock) -> String {
        let times: Vec<String> = steps().map(|at| format!(" {}\n", clock.fired + at)).collect();
        let series: usize = self.families.values().map(|family| family.series.len()).sum();
        let mut out = String::with_capacity(series * times.len() * 130);
        for (name, family) in &self.families {
            let _ = writeln!(out, "# HELP {name} {}.", name.replace('_', " "));
            let _ = writeln!(out, "# TYPE {name} {}", family.kind.name());
            for (sample, values) in &family.series {
                let mut last = f64::NAN;
                let mut number = String::new();
                for (value, time) in values.iter().zip(&times).filter(|(value, _)| !value.is_nan())
                {
                    if last.to_bits() != value.to_bits() {
                        number.clear();
                        write_number(&mut number, *value);
                        last = *value;
                    }
                    out.push_str(sample);
                    out.push_str(&number);
                    out.push_str(time);
                }
            }
        }
        out.push_str("# EOF\n");
        out
    }
}

fn write_number(out: &mut String, value: f64) {
    let rounded =
        if value.abs() >= 1000.0 { value.round() } else { (value * 1000.0).round() / 1000.0 };
    let _ = write!(out, " {rounded}");
}

fn grown(start: f64, rates: &[f64]) -> Vec<f64> {
    let mut sum = start;
    rates
        .iter()
        .map(|rate| {
            if rate.is_nan() {
                sum = 0.0;
                f64::NAN
            } else {
                sum += rate * 30.0;
                sum
            }
        })
        .collect()
}

/// The value at `at` on a line through `points` (time and value), level before and behind them.
#[must_use]
pub fn at_point(points: &[(Sec, f64)], at: Sec) -> f64 {
    let mut before: Option<(Sec, f64)> = None;
    for &(time, value) in points {
        if at <= time {
            return before.map_or(value, |(first, level)| {
                level + (value - level) * (at - first) as f64 / (time - first).max(1) as f64
            });
        }
        before = Some((time, value));
    }
    before.map_or(f64::NAN, |(_, value)| value)
}

/// Values on a line through `points`, for a gauge or for the rates of a counter.
#[must_use]
pub fn along(points: &[(Sec, f64)]) -> Vec<f64> {
    steps().map(|at| at_point(points, at)).collect()
}

/// Values around `level` with the small noise of every day.
#[must_use]
pub fn around(level: f64, noise: f64, chance: &mut Dice) -> Vec<f64> {
    steps().map(|_| level * chance.range(1.0 - noise, 1.0 + noise)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "tests: the values are exact")]

    use super::*;

    #[test]
    fn a_line_goes_through_its_points_and_is_level_beyond() {
        let points = [(-100, 1.0), (0, 3.0)];
        for (at, value) in [(-500, 1.0), (-100, 1.0), (-50, 2.0), (0, 3.0), (90, 3.0)] {
            assert_eq!(at_point(&points, at), value, "{at}");
        }
    }
}

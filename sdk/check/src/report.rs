//! The report: a table for people, JSON for machines, JUnit for CI.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context as _;
use console::Style;

use crate::{
    options::{Form, Options},
    run::{ModeReport, Report},
    verdict::{Outcome, Row},
};

/// Width of a wrapped line in the table.
const WIDTH: usize = 96;
/// Where the text of a row begins.
const INDENT: usize = 16;

/// How each JUnit report begins.
const JUNIT_HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plugin-check\">\n";

/// Writes the report where it was asked for.
///
/// # Errors
/// When it cannot be written.
pub fn write(report: &Report, options: &Options) -> anyhow::Result<()> {
    let is_terminal = options.output.is_none() && console::Term::stdout().is_term();
    let text = match options.report {
        Form::Table => table(report, is_terminal && console::colors_enabled()),
        Form::Json => serde_json::to_string_pretty(report)? + "\n",
        Form::Junit => junit(report),
    };
    put(&text, options)
}

/// Writes, where the report was asked for, that the checks could not run, and why. A table on the
/// terminal is spared it: stderr says so already.
///
/// # Errors
/// When it cannot be written.
pub fn write_error(why: &str, options: &Options) -> anyhow::Result<()> {
    let text = match options.report {
        Form::Table if options.output.is_none() => return Ok(()),
        Form::Table => format!("the checks could not run: {why}\n"),
        Form::Json => {
            let told = serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"), "error": why, "modes": []
            });
            serde_json::to_string_pretty(&told)? + "\n"
        }
        Form::Junit => format!(
            "{JUNIT_HEAD}  <testsuite name=\"plugin-check\" tests=\"1\" errors=\"1\" failures=\"0\">\n    \
             <testcase name=\"the checks can run\" classname=\"plugin-check\">\n      \
             <error message=\"{}\"/>\n    </testcase>\n  </testsuite>\n</testsuites>\n",
            escaped(why)
        ),
    };
    put(&text, options)
}

/// Writes a text where the report was asked for.
fn put(text: &str, options: &Options) -> anyhow::Result<()> {
    match &options.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("--output: cannot write {}", path.display())),
        None => {
            std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
        }
    }
}

fn count(rows: &[Row], outcome: Outcome) -> usize {
    rows.iter().filter(|row| row.outcome == outcome).count()
}

// === the table ===

fn table(report: &Report, colours: bool) -> String {
    let mut text = String::new();
    for mode in &report.modes {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{}, {}, level {}, seed {}\n",
            mode.plugin, mode.mode, report.level, report.seed
        );
        for row in &mode.checks {
            line(&mut text, row, report, colours);
        }
        let _ = writeln!(text, "\n{}", summary(mode, report));
    }
    if !report.unmet.is_empty() {
        let _ = writeln!(text, "\nrequired, and not looked at: {}", report.unmet.join(", "));
    }
    text
}

fn line(text: &mut String, row: &Row, report: &Report, colours: bool) {
    let style = Style::new().force_styling(colours);
    let counts = report.strict || row.level == "must";
    let (word, style) = match row.outcome {
        Outcome::Passed => ("ok", style.green()),
        Outcome::Failed if counts => ("FAIL", style.red().bold()),
        Outcome::Failed => ("weak", style.yellow()),
        Outcome::Skipped => ("skip", style.dim()),
    };
    let _ = write!(text, "{} {:<9}", style.apply_to(format!("{word:<5}")), row.id);
    wrapped(text, row.sentence, INDENT, true);
    if !row.note.is_empty() {
        let noted = if row.outcome == Outcome::Skipped {
            format!("not looked at: {}", row.note)
        } else {
            row.note.clone()
        };
        let mark = format!("- {noted}");
        wrapped(text, &mark, INDENT, false);
    }
    for line in row.exchange.lines() {
        let _ = writeln!(text, "{:INDENT$}| {line}", "");
    }
}

/// Writes words in lines of at most [`WIDTH`]; the first goes on where the text stands.
fn wrapped(text: &mut String, words: &str, indent: usize, is_begun: bool) {
    let mut at = indent;
    text.push_str(&" ".repeat(if is_begun { 1 } else { indent }));
    for (number, word) in words.split_whitespace().enumerate() {
        let long = word.chars().count();
        if number > 0 && at + 1 + long > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent + if is_begun { 0 } else { 2 }));
            at = indent;
        } else if number > 0 {
            text.push(' ');
            at += 1;
        }
        text.push_str(word);
        at += long;
    }
    text.push('\n');
}

fn summary(mode: &ModeReport, report: &Report) -> String {
    let rows = &mode.checks;
    let should =
        rows.iter().filter(|r| r.outcome == Outcome::Failed && r.level == "should").count();
    let failed = count(rows, Outcome::Failed);
    let weak = if should > 0 && !report.strict {
        format!(", {should} weak (a SHOULD; counts with --strict)")
    } else {
        String::new()
    };
    let failed = if report.strict { failed } else { failed - should };
    let which =
        |row: &&Row| row.outcome == Outcome::Failed && (report.strict || row.level == "must");
    let which: Vec<_> = rows.iter().filter(which).map(|row| row.id).collect();
    let which = if which.is_empty() { String::new() } else { format!(" ({})", which.join(", ")) };
    format!(
        "{} passed, {failed} failed{which}{weak}, {} not looked at, in {:.1} s",
        count(rows, Outcome::Passed),
        count(rows, Outcome::Skipped),
        mode.seconds
    )
}

// === JUnit ===

fn junit(report: &Report) -> String {
    let mut text = String::from(JUNIT_HEAD);
    for mode in &report.modes {
        let counted =
            |row: &&Row| row.outcome == Outcome::Failed && (report.strict || row.level == "must");
        let failures = mode.checks.iter().filter(counted).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{} ({})\" tests=\"{}\" failures=\"{failures}\" skipped=\"{}\">",
            escaped(&mode.plugin),
            mode.mode,
            mode.checks.len(),
            mode.checks.len() - count(&mode.checks, Outcome::Passed) - failures,
        );
        for row in &mode.checks {
            case(&mut text, row, report.strict || row.level == "must");
        }
        text.push_str("  </testsuite>\n");
    }
    if !report.unmet.is_empty() {
        let many = report.unmet.len();
        let _ =
            writeln!(text, "  <testsuite name=\"required\" tests=\"{many}\" failures=\"{many}\">");
        for id in &report.unmet {
            let _ = writeln!(
                text,
                "    <testcase classname=\"required\" name=\"{id}\"><failure message=\"required, and \
                 not looked at\"/></testcase>"
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, row: &Row, counts: bool) {
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{} {}\" time=\"{:.3}\"",
        row.id.split('-').next().unwrap_or_default(),
        row.id,
        escaped(row.sentence),
        row.seconds
    );
    let (note, exchange) = (escaped(&row.note), escaped(&row.exchange));
    let _ = match row.outcome {
        Outcome::Passed => writeln!(text, "/>"),
        Outcome::Failed if counts => {
            writeln!(
                text,
                ">\n      <failure message=\"{note}\">{exchange}</failure>\n    </testcase>"
            )
        }
        // A SHOULD that failed is told, without failing a CI that does not ask for it.
        Outcome::Failed => writeln!(text, "><skipped message=\"weak: {note}\"/></testcase>"),
        Outcome::Skipped => writeln!(text, "><skipped message=\"{note}\"/></testcase>"),
    };
}

/// Text for XML 1.0, in which most control characters cannot stand at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => {
                escaped.push('\u{FFFD}')
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn report(strict: bool) -> Report {
        let row = |id, level, outcome, note: &str| Row {
            id,
            level,
            sentence: "A sentence & more.",
            from: "4.2",
            outcome,
            note: note.to_owned(),
            exchange: "sent  <x>\u{1}".to_owned(),
            seconds: 0.25,
        };
        let checks = vec![
            row("CAT-01", "must", Outcome::Passed, ""),
            row("CAT-04", "should", Outcome::Failed, "no \"description\""),
            row("LIM-01", "must", Outcome::Skipped, "needs fixtures"),
        ];
        let mode =
            ModeReport { mode: "direct", plugin: "p 1.0.0".to_owned(), checks, seconds: 1.0 };
        let (modes, unmet) = (vec![mode], Vec::new());
        Report { version: "0", level: "full", strict, seed: 7, modes, unmet, seconds: 3.0 }
    }

    #[test]
    fn each_mode_is_told_with_its_own_time() {
        let mut both = report(false);
        let checks = both.modes[0].checks.clone();
        both.modes.push(ModeReport {
            mode: "relay",
            plugin: "p 1.0.0".to_owned(),
            checks,
            seconds: 2.0,
        });
        let text = table(&both, false);
        assert!(text.contains("in 1.0 s\n") && text.contains("in 2.0 s\n"), "{text}");
    }

    #[test]
    fn what_was_required_and_not_looked_at_fails_the_run_by_name() {
        let mut lacking = report(false);
        lacking.unmet = vec!["LIM-01"];
        assert!(!lacking.is_passed());
        assert!(table(&lacking, false).ends_with("\nrequired, and not looked at: LIM-01\n"));
        assert!(junit(&lacking).contains("name=\"LIM-01\"><failure"));
    }

    #[test]
    fn a_should_counts_when_it_is_strict_only() {
        assert!(report(false).is_passed());
        assert!(!report(true).is_passed());
        assert!(junit(&report(true)).contains("failures=\"1\""));
        assert!(junit(&report(false)).contains("failures=\"0\""));
        assert!(table(&report(false), false).contains("1 passed, 0 failed, 1 weak"));
    }

    #[test]
    fn junit_holds_nothing_that_breaks_xml() {
        let text = junit(&report(true));
        assert!(text.contains("no &quot;description&quot;") && text.contains("&lt;x&gt;\u{FFFD}"));
        assert!(!text.contains('\u{1}') && !text.contains("& "));
    }

    #[test]
    fn colours_stand_where_they_were_asked_for_only() {
        assert!(table(&report(false), true).contains('\u{1b}'));
        assert!(!table(&report(false), false).contains('\u{1b}'));
    }
}

//! The exception a record names, and the first frame of the program's own code.

use crate::record::Record;

/// What was thrown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Class without its package, such as `NullPointerException`.
    pub class: String,
    /// The line that names it, as it stands.
    pub line: String,
    /// The first frame that is not of a runtime or framework, as it stands, trimmed.
    pub frame: Option<String>,
}

/// Whether a line begins by naming an exception: `pkg.SomeError: words`, `SomeException`.
#[must_use]
pub fn is_head(text: &str) -> bool {
    class_of(text).is_some()
}

/// The exception of a record, from its trace, else from its message. Of several (`Caused by`) the
/// last is the origin.
#[must_use]
pub fn of(record: &Record) -> Option<Exception> {
    let lines = || record.trace.iter().map(String::as_str);
    let origin = lines().rfind(|line| line.starts_with("Caused by: ") && class_of(line).is_some());
    let thrown = || lines().filter(|l| !l.starts_with([' ', '\t'])).rfind(|l| is_head(l));
    let in_message = || {
        // Also in the middle: "failed: pkg.SomeException: words".
        let text = record.message.as_str();
        is_head(text).then_some(text).or_else(|| {
            text.match_indices(": ")
                .map(|(at, _)| text.get(at + 2..).unwrap_or_default())
                .find(|t| is_head(t))
        })
    };
    let line = origin.or_else(thrown).or_else(in_message)?;
    let (class, _) = class_of(line)?;
    let after = lines().skip_while(|l| *l != line);
    // Java and Node list frames below the name, innermost first; Python above it, innermost last.
    let frame = if lines().any(|l| l.trim_start().starts_with("File \"")) {
        lines().rfind(|l| is_own_frame(l))
    } else {
        after.chain(lines()).find(|l| is_own_frame(l))
    };
    let frame = frame.map(|f| f.trim().to_owned());
    Some(Exception { class: class.to_owned(), line: line.to_owned(), frame })
}

/// The class (without package) that a line names at its start, and the words after it.
fn class_of(text: &str) -> Option<(&str, &str)> {
    const BEFORE: &[&str] =
        &["Caused by: ", "Unhandled exception. ", "PHP Fatal error:  Uncaught ", " ---> "];
    let text = BEFORE.iter().find_map(|start| text.strip_prefix(start)).unwrap_or(text);
    let text = match text.strip_prefix("Exception in thread ") {
        Some(rest) => rest.split_once("\" ").map_or(rest, |(_, rest)| rest),
        None => text.strip_prefix("Uncaught ").unwrap_or(text),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    let end = text.find(|c: char| !fits(c)).unwrap_or(text.len());
    let (path, rest) = text.split_at_checked(end)?;
    if !(rest.is_empty() || rest.starts_with(':') || rest.starts_with(" [")) {
        return None;
    }
    let class = path.rsplit(['.', '$']).next()?;
    let named = ["Exception", "Error", "Throwable", "Fault", "Interrupt"]
        .iter()
        .any(|suffix| class.ends_with(suffix) && class.len() > suffix.len());
    // A dotted path to a capitalised name with words after it is one too: errors.UndefinedColumn.
    let dotted = path.contains('.')
        && class.starts_with(|c: char| c.is_ascii_uppercase())
        && path.starts_with(|c: char| c.is_ascii_lowercase())
        && rest.starts_with(": ")
        && ["error", "exception"].iter().any(|w| path.to_ascii_lowercase().contains(w));
    let plain = matches!(class, "Error" | "Exception") && rest.starts_with(": ");
    (class.starts_with(|c: char| c.is_ascii_uppercase()) && (named || dotted || plain))
        .then_some((class, rest))
}

fn is_own_frame(line: &str) -> bool {
    const FOREIGN: &[&str] = &[
        "java.",
        "javax.",
        "jdk.",
        "sun.",
        "com.sun.",
        "jakarta.",
        "org.springframework.",
        "org.apache.",
        "org.hibernate.",
        "io.netty.",
        "kotlin.",
        "scala.",
        "reactor.",
        "com.zaxxer.",
        "node:",
        "internal/",
        "System.",
        "Microsoft.",
    ];
    const FOREIGN_PATHS: &[&str] = &[
        "site-packages",
        "dist-packages",
        "/usr/lib/python",
        "/usr/local/lib/python",
        "<frozen",
        "node_modules",
        "/usr/local/go/",
        "/go/pkg/mod/",
        "/rustc/",
        ".cargo/registry",
    ];
    if FOREIGN_PATHS.iter().any(|path| line.contains(path)) {
        return false;
    }
    let trimmed = line.trim_start();
    if let Some(frame) = trimmed.strip_prefix("at ") {
        let inner = frame.rsplit_once('/').map_or(frame, |(_, f)| f);
        return ![frame, inner].iter().any(|f| FOREIGN.iter().any(|p| f.starts_with(p)))
            && !frame.contains("(node:");
    }
    trimmed.starts_with("File \"")
        || line.starts_with('\t') && trimmed.starts_with('/') && trimmed.contains(".go:")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::level::Level;

    fn record(message: &str, trace: &[&str]) -> Record {
        Record {
            time: None,
            level: Level::Error,
            message: message.to_owned(),
            head: message.to_owned(),
            status: None,
            trace: trace.iter().map(|l| (*l).to_owned()).collect(),
        }
    }

    #[test]
    fn exceptions_and_own_frames_are_named_in_many_languages() {
        let table: &[(&str, &[&str], &str, Option<&str>)] = &[
            (
                "Servlet threw",
                &[
                    "java.lang.NullPointerException: null",
                    "\tat java.base/java.util.Objects.requireNonNull(Objects.java:1)",
                    "\tat c.x.Rule.apply(Rule.java:58)",
                ],
                "NullPointerException",
                Some("at c.x.Rule.apply(Rule.java:58)"),
            ),
            (
                "outer",
                &[
                    "a.B.OuterException: x",
                    "\tat a.B.f(B.java:1)",
                    "Caused by: java.net.ConnectException: refused",
                    "\tat a.C.g(C.java:2)",
                ],
                "ConnectException",
                Some("at a.C.g(C.java:2)"),
            ),
            (
                "unhandled",
                &[
                    "Traceback (most recent call last):",
                    "  File \"/app/run.py\", line 1, in main",
                    "  File \"/usr/local/lib/python3.12/site-packages/x.py\", line 2, in f",
                    "psycopg2.errors.UndefinedColumn: column x does not exist",
                    "HINT:  y",
                ],
                "UndefinedColumn",
                Some("File \"/app/run.py\", line 1, in main"),
            ),
            (
                "TypeError: x is undefined",
                &["    at f (/app/a.js:1:2)", "    at node:internal/process:1"],
                "TypeError",
                Some("at f (/app/a.js:1:2)"),
            ),
            (
                "call failed: java.net.SocketTimeoutException: Read timed out",
                &[],
                "SocketTimeoutException",
                None,
            ),
        ];
        for (message, trace, class, frame) in table {
            let found = of(&record(message, trace)).unwrap();
            assert_eq!(
                (found.class.as_str(), found.frame.as_deref()),
                (*class, *frame),
                "{message}"
            );
        }
    }

    #[test]
    fn ordinary_lines_name_no_exception() {
        for message in ["0 errors", "Error count is 3", "no exception", "file.read: done", ""] {
            assert_eq!(of(&record(message, &[])), None, "{message}");
        }
    }
}

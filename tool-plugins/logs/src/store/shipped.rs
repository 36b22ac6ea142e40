//! Lines that a shipper passed on as they lay on the node's disk: with what the container runtime
//! wrote around them. Shippers take it away when they are told to, and not all are told. A line that a
//! runtime wrote in parts (beyond 16 KiB) stays in parts.
//!
//! Runtimes of the CRI write `TIME stdout|stderr F|P LINE`
//! (<https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>),
//! Docker's json-file driver an object with `log`, `stream` and `time`.

use jiff::Timestamp;
use serde::Deserialize;

/// What Docker writes for a line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    log: String,
    stream: String,
    #[serde(rename = "time")]
    _time: Timestamp,
    #[serde(rename = "attrs", default)]
    _attrs: serde::de::IgnoredAny,
}

/// The line, or the part of it, as the program wrote it.
pub(super) fn unwrapped(text: String) -> String {
    let inner = of_cri(&text).map(str::to_owned).or_else(|| of_docker(&text));
    inner.unwrap_or(text)
}

fn of_cri(text: &str) -> Option<&str> {
    let (time, rest) = text.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, line) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_cri = is_stream(stream) && matches!(tag, "F" | "P") && time.parse::<Timestamp>().is_ok();
    is_cri.then_some(line)
}

fn of_docker(text: &str) -> Option<String> {
    if !text.starts_with("{\"") {
        return None;
    }
    let line: Docker = serde_json::from_str(text).ok()?;
    is_stream(&line.stream).then(|| line.log.trim_end_matches(['\n', '\r']).to_owned())
}

fn is_stream(word: &str) -> bool {
    matches!(word, "stdout" | "stderr")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_wrote_around_a_line_is_taken_away_and_nothing_else() {
        for (shipped, line) in [
            ("2025-01-02T11:00:00.123456789Z stderr F ERROR no room", "ERROR no room"),
            ("2025-01-02T11:00:00.123456789+01:00 stdout P half a ", "half a "),
            ("2025-01-02T11:00:00Z stdout F", ""),
            (
                r#"{"log":"ERROR \"no\" room\n","stream":"stderr","time":"2025-01-02T11:00:00.1Z"}"#,
                "ERROR \"no\" room",
            ),
            (
                "2025-01-02T11:00:00Z ERROR stderr F is a flag",
                "2025-01-02T11:00:00Z ERROR stderr F is a flag",
            ),
            ("soon stderr F that", "soon stderr F that"),
            (
                r#"{"log":"x","stream":"stderr","time":"2025-01-02T11:00:00Z","level":"info"}"#,
                r#"{"log":"x","stream":"stderr","time":"2025-01-02T11:00:00Z","level":"info"}"#,
            ),
            (r#"{"log":"x"}"#, r#"{"log":"x"}"#),
            ("", ""),
        ] {
            assert_eq!(unwrapped(shipped.to_owned()), line);
        }
    }
}

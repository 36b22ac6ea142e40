//! What a program says of itself beside its requests: a line, again and again.

use super::{
    clock::{NOW, Sec},
    voice::Level,
};

/// What a program says again and again over some time.
#[derive(Debug, Clone)]
pub struct Saying {
    /// From when.
    pub from: Sec,
    /// Until when.
    pub until: Sec,
    /// About every so many seconds, in each pod; 0 is once, at `from`.
    pub every: Sec,
    /// Level.
    pub level: Level,
    /// Text. `{id}` `{n}` `{ms}` are drawn anew for each line.
    pub text: String,
    /// Lines of a stack trace, if there is one.
    pub trace: Vec<String>,
    /// Only pods of this revision, if not of all.
    pub revision: Option<usize>,
    /// Only the pod of this name, if not of all.
    pub pod: Option<String>,
}

impl Saying {
    /// Says `text` about every `every` seconds since `from`.
    #[must_use]
    pub fn new(from: Sec, every: Sec, level: Level, text: &str) -> Self {
        let text = text.to_owned();
        Self { from, until: NOW, every, level, text, trace: Vec::new(), revision: None, pod: None }
    }

    /// With a stack trace of these lines.
    #[must_use]
    pub fn trace(mut self, lines: &[&str]) -> Self {
        self.trace = lines.iter().map(|&line| line.to_owned()).collect();
        self
    }

    /// Only until `until`.
    #[must_use]
    pub fn until(mut self, until: Sec) -> Self {
        self.until = until;
        self
    }
}

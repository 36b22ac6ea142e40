//! What is wrong with a message that came in: where, what, and how to mend it.

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// A field, or line and column.
    pub at: String,
    /// What is wrong there.
    pub what: String,
    /// What to send instead.
    pub mend: String,
}

impl Fault {
    /// As the reader of JSON tells it.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or(&said).to_owned();
        let mend = match error.classify() {
            serde_json::error::Category::Data => "correct the value or its name",
            serde_json::error::Category::Eof => "send the whole document",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "send JSON",
        };
        let at = format!("line {}, column {}", error.line(), error.column());
        Self { at, what, mend: mend.to_owned() }
    }
}

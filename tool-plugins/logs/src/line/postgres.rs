//! `PostgreSQL`'s own lines, whatever prefix an operator gave them: the level is a word in
//! capitals with a colon and two blanks. Lines of detail, hint and statement belong to the one
//! before.

use jiff::Timestamp;

use super::Line;
use crate::{level::Level, time};

const LEVELS: &[(&str, Level)] = &[
    ("LOG:  ", Level::Info),
    ("ERROR:  ", Level::Error),
    ("FATAL:  ", Level::Fatal),
    ("PANIC:  ", Level::Fatal),
    ("WARNING:  ", Level::Warn),
    ("NOTICE:  ", Level::Info),
    ("INFO:  ", Level::Info),
];
const FURTHER: &[&str] = &["DETAIL:  ", "HINT:  ", "STATEMENT:  ", "CONTEXT:  ", "QUERY:  "];
/// Longest prefix.
const MAX_PREFIX: usize = 200;

pub(super) fn understand(text: &str, near: Timestamp) -> Option<Line> {
    let (time, _) = time::leading(text, near)?;
    let head = text.get(..text.floor_char_boundary(MAX_PREFIX)).unwrap_or(text);
    let level = LEVELS.iter().filter_map(|(word, level)| Some((head.find(word)?, *word, *level)));
    let further = FURTHER.iter().filter_map(|word| Some((head.find(word)?, *word, Level::Info)));
    let (at, word, level) = level.chain(further).min_by_key(|(at, ..)| *at)?;
    let message = text.get(at + word.len()..)?;
    let mut line = Line::new(level, message);
    line.time = Some(time);
    line.continues = FURTHER.contains(&word);
    Some(line)
}

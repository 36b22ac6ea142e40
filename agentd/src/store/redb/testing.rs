//! What is done to a journal's file behind its back in tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::{ATTACHMENTS, Database, EVENTS, HEADS, LEARNT, META, RECORDS};

/// Deletes all events, as their retention will.
pub(crate) fn delete_events(file: &Path) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(EVENTS).unwrap().retain(|_, _| false).unwrap();
    transaction.open_table(ATTACHMENTS).unwrap().retain(|_, _| false).unwrap();
    transaction.open_table(HEADS).unwrap().retain(|_, _| false).unwrap();
    transaction.commit().unwrap();
}

/// Makes it a file of the first format, which had no records.
pub(crate) fn make_first_format(file: &Path) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(RECORDS).unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    meta.remove(LEARNT).unwrap();
    meta.insert("format", 1).unwrap();
    drop(meta);
    transaction.commit().unwrap();
}

//! Statements as servers and programs tell of them: which are heavy, how long they took, and
//! whether they read much or only waited.

use super::words::statement;

/// Rows from which a change of rows is a batch.
const BATCH: f64 = 10_000.0;

/// A statement that locks or rewrites a whole table or very many rows, as a program says that it
/// runs it.
#[must_use]
pub fn heavy(text: &str) -> Option<String> {
    const HEAVY: &[&str] = &[
        "alter table",
        "create index",
        "create unique index",
        "drop index",
        "vacuum full",
        "lock table",
        "reindex",
        "cluster ",
        "truncate ",
        "optimize table",
        "refresh materialized view",
        "access exclusive lock",
        "exclusive lock on",
        "update ",
        "delete from",
    ];
    let lower = text.to_ascii_lowercase();
    if lower.contains("concurrently") {
        return None;
    }
    let many = is_batch(&lower);
    let Some(found) = HEAVY.iter().find(|words| lower.contains(*words)) else {
        return (many && changes(&lower)).then(|| text.chars().take(160).collect());
    };
    if found.contains("lock") && !found.starts_with("lock") {
        return Some(text.chars().take(160).collect());
    }
    let Some(statement) = statement(text) else {
        return (many && changes(&lower)).then(|| text.chars().take(160).collect());
    };
    // A change of rows is heavy only when it spares none, or takes very many at once.
    let plain = statement.to_ascii_lowercase();
    let of_rows = plain.starts_with("update ") || plain.starts_with("delete ");
    let spares = of_rows && plain.contains(" where ") && !many;
    (HEAVY.iter().any(|words| plain.starts_with(words)) && !spares).then_some(statement)
}

/// The index that a server's line says is dropped: `DROP INDEX x`, `ALTER TABLE t DROP KEY x`,
/// MongoDB's `CMD: dropIndexes`.
#[must_use]
pub fn dropped_index(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let of_document = lower.find("dropindexes").map(|at| at + "dropindexes".len());
    let at = match of_document {
        Some(at) => {
            let rest = lower.get(at..)?;
            at + ["indexes", "index"].iter().find_map(|w| rest.find(w).map(|i| i + w.len()))?
        }
        None => [" drop index ", " drop key "].iter().find_map(|words| {
            let padded = format!(" {lower}");
            let alters = *words != " drop key " || padded.contains("alter table");
            padded.find(words).filter(|_| alters).map(|found| found + words.len() - 1)
        })?,
    };
    let marks = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let mut words = text.get(at..)?.split(marks).filter(|word| !word.is_empty());
    let name = words.find(|word| {
        !["concurrently", "if", "exists", "only"].contains(&word.to_ascii_lowercase().as_str())
    })?;
    Some(name.to_owned())
}

/// Whether a text speaks of very many rows, or of doing all at once.
fn is_batch(lower: &str) -> bool {
    if ["one transaction", "single transaction", "million rows", "million records"]
        .iter()
        .any(|words| lower.contains(words))
    {
        return true;
    }
    let words: Vec<&str> = lower.split([' ', '=', ':', '(', ')', ';']).collect();
    words.windows(2).any(|pair| {
        let [first, second] = pair else { return false };
        let is_rows = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
            ["rows", "records", "documents", "docs", "tuples", "row_count"].contains(&word)
        };
        let many = |word: &str| number(word).is_some_and(|n| n >= BATCH);
        is_rows(second) && many(first) || is_rows(first) && many(second)
    })
}

/// `1200000`, `1,200,000`, `1_200_000`, `1.2m`, `800k`.
fn number(word: &str) -> Option<f64> {
    let plain: String = word.chars().filter(|c| !matches!(c, ',' | '_' | '\'')).collect();
    let (digits, times) = match plain.strip_suffix('m').map(|d| (d, 1e6)) {
        Some(found) => found,
        None => plain.strip_suffix('k').map_or((plain.as_str(), 1.0), |d| (d, 1e3)),
    };
    digits.parse::<f64>().ok().map(|n| n * times)
}

fn changes(lower: &str) -> bool {
    const CHANGES: &[&str] = &[
        "updat",
        "delet",
        "archiv",
        "purg",
        "backfill",
        "recalculat",
        "rewrit",
        "migrat",
        "bulk",
        "anonymi",
        "merg",
        "clean",
    ];
    CHANGES.iter().any(|word| lower.contains(word))
}

/// `transaction 81 open since 45s`: with a name between the words that tell it.
#[must_use]
pub fn left_open(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((_, rest)) = lower.split_once("transaction") else { return false };
    let words: Vec<&str> = rest.split_whitespace().take(6).collect();
    words.windows(2).any(|pair| matches!(pair, ["open", "since" | "for" | "after"]))
}

/// Milliseconds a statement took, when the line says so.
#[must_use]
pub fn took(text: &str) -> Option<f64> {
    after(text, "duration: ")
        .or_else(|| after(text, "durationMillis="))
        .or_else(|| after(text, "\"durationMillis\":"))
        .or_else(|| after(text, "Query_time: ").map(|seconds| seconds * 1000.0))
        .or_else(|| after(text, "duration_ms="))
        .or_else(|| at_end(text))
}

/// `... protocol:op_msg 9123ms`, as MongoDB wrote before version 4.4.
fn at_end(text: &str) -> Option<f64> {
    let is_command = text.contains("protocol:op_") || text.contains(" COMMAND ");
    let last = text.lines().next()?.trim_end().rsplit(' ').next()?;
    is_command.then(|| last.strip_suffix("ms")?.parse().ok()).flatten()
}

/// Whether a slow statement read little and so only waited for the server's time or for a lock.
#[must_use]
pub fn reads_little(text: &str) -> bool {
    const FEW: f64 = 1000.0;
    let read = |marks: &[&str]| marks.iter().find_map(|mark| after(text, mark));
    let documents = read(&["docsExamined=", "docsExamined:", "\"docsExamined\":"]);
    let keys = read(&["keysExamined=", "keysExamined:", "\"keysExamined\":"]);
    if let Some(documents) = documents {
        return documents + keys.unwrap_or_default() < FEW;
    }
    let locked = after(text, "Lock_time: ").zip(after(text, "Query_time: "));
    if locked.is_some_and(|(lock, all)| lock >= 0.5 * all) {
        return true;
    }
    after(text, "Rows_examined: ").is_some_and(|rows| rows < FEW)
}

fn after(text: &str, mark: &str) -> Option<f64> {
    let rest = text.split_once(mark)?.1.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_very_many_rows_is_heavy_however_it_is_said() {
        for text in [
            "ALTER TABLE orders ADD COLUMN x int DEFAULT 0",
            "running: DELETE FROM events",
            "UPDATE orders SET archived = 1 WHERE created < '2024-01-01': 41123 rows, one transaction",
            "UPDATE orders SET a = 1 WHERE b = 2 -- rows=1200000",
            "archiving 1,200,000 rows of orders",
            "purge: deleting 2.5M records older than 2 years",
            "backfill of 800k rows begun",
            "recalculating all balances in a single transaction",
        ] {
            assert!(heavy(text).is_some(), "{text}");
        }
        for text in [
            "UPDATE orders SET paid = true WHERE id = 4",
            "updated 12 rows",
            "read 2000000 rows",
            "CREATE INDEX CONCURRENTLY i ON orders (x)",
            "cleanup done",
            "migrated customer 1200000",
        ] {
            assert_eq!(heavy(text), None, "{text}");
        }
    }

    #[test]
    fn what_reads_little_and_takes_long_only_waits() {
        for text in [
            "Slow query ns=a.b planSummary=IXSCAN keysExamined=1 docsExamined=1 durationMillis=2100",
            r#"{"msg":"Slow query","attr":{"keysExamined":1,"docsExamined":1,"durationMillis":2100}}"#,
            "# Query_time: 12.1  Lock_time: 11.9 Rows_sent: 0  Rows_examined: 900000",
            "# Query_time: 3.1  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 3",
        ] {
            assert!(reads_little(text), "{text}");
        }
        for text in [
            "Slow query planSummary=COLLSCAN keysExamined=0 docsExamined=1813112 durationMillis=2100",
            "# Query_time: 12.1  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 900000",
            "duration: 5123.4 ms  statement: SELECT * FROM orders",
        ] {
            assert!(!reads_little(text), "{text}");
        }
    }

    #[test]
    fn an_open_transaction_is_told_with_its_name_between() {
        assert!(left_open("transaction tx-81 open since 45s, waiting for a partner"));
        assert!(left_open("Transaction [9f2] is still open after 60 s"));
        assert!(!left_open("opened transaction 81"));
        assert!(!left_open("circuit breaker open for 30s"));
    }

    #[test]
    fn times_are_read_from_the_words_of_many_servers() {
        for (text, expected) in [
            ("duration: 5123.4 ms  statement: SELECT 1", Some(5123.4)),
            ("# Query_time: 1.5  Lock_time: 0", Some(1500.0)),
            (
                "I COMMAND [conn1] command a.b planSummary: COLLSCAN protocol:op_msg 9123ms",
                Some(9123.0),
            ),
            (r#""attr":{"durationMillis":77}"#, Some(77.0)),
            ("done", None),
        ] {
            assert_eq!(took(text), expected, "{text}");
        }
    }
}

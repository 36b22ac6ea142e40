//! The telling words inside a line about a database or a credential: whose pool it is, which user
//! is refused, which statement and table it is about.

/// Whether a text has one of some words, which are in lower case, in any case.
pub(super) fn has_any(text: &str, words: &[&str]) -> bool {
    let lower = text.to_ascii_lowercase();
    words.iter().any(|words| lower.contains(words))
}

/// Whether a complaint about connections is the server's limit and not the program's own pool.
#[must_use]
pub fn is_of_server(text: &str) -> bool {
    const SERVER: &[&str] = &[
        "too many clients",
        "remaining connection slots",
        "too many connections",
        "max number of clients",
        "no more connections allowed",
        "toomanyconnections",
        "max_user_connections",
        "user connection limit",
        "connection limit exceeded",
        "connection limit for",
        "53300",
        "too many open connections",
        "too many database connections",
        "connection quota",
        "er_con_count",
    ];
    has_any(text, SERVER)
}

/// Whether a complaint about room on a disk comes from a database that answered so, and not from
/// the program's own disk: by its error classes, drivers and files.
#[must_use]
pub fn is_of_databases_disk(text: &str) -> bool {
    const DATABASE: &[&str] = &[
        "diskfull",
        "could not extend file",
        "could not write to file \"pg_wal",
        "53100",
        "psycopg",
        "asyncpg",
        "pq:",
        "pgerror",
        "pgx",
        "psqlexception",
        "postgresexception",
        "npgsql",
        "sqlexception",
        "sqlstate",
        "sqlalchemy",
        "er_disk_full",
        "er_record_file_full",
        "error 1021",
        "error 1114",
        "(1021,",
        "(1114,",
        "pymysql",
        "mysqlclient",
        "mysql.connector",
        "mysqlexception",
        "com.mysql",
        "mongoservererror",
        "mongodb",
        "outofdiskspace",
        "elasticsearch",
        "opensearch",
        "flood-stage",
        "flood stage",
        "cluster_block_exception",
    ];
    has_any(text, DATABASE)
}

/// Whether a database says that a table or column is not there: `column o.total does not exist`.
#[must_use]
pub fn lacks_table(text: &str) -> bool {
    const THINGS: &[&str] = &["relation ", "column ", "table "];
    let lower = text.to_ascii_lowercase();
    THINGS.iter().flat_map(|thing| lower.match_indices(thing)).any(|(at, thing)| {
        let rest = lower.get(at + thing.len()..).unwrap_or_default();
        let said = rest.find(" does not exist").or_else(|| rest.find(" doesn't exist"));
        // Its name and whose it is stand between, no other sentence.
        said.is_some_and(|end| {
            rest.get(..end).is_some_and(|name| name.split_whitespace().count() <= 4)
        })
    })
}

/// Whether a line tells how many lookups a cache answers, and that these are many.
#[must_use]
pub fn hits_enough(text: &str) -> bool {
    const HITS: &[&str] = &["hit ratio", "hit rate", "hitrate", "hit_ratio", "hit_rate"];
    const MISSES: &[&str] = &["miss ratio", "miss rate", "miss_ratio", "miss_rate"];
    let lower = text.to_ascii_lowercase();
    let told = |table: &[&str]| {
        let (at, name) = table.iter().find_map(|name| Some((lower.find(name)?, name)))?;
        share_in(lower.get(at + name.len()..)?)
    };
    told(HITS).is_some_and(|hits| hits >= MANY_HITS)
        || told(MISSES).is_some_and(|misses| misses <= 1.0 - MANY_HITS)
}

/// Share of lookups from which a cache serves its users.
const MANY_HITS: f64 = 0.7;

/// The first number soon after a name, as a share: `0.97`, `97%`, `97 %`.
fn share_in(rest: &str) -> Option<f64> {
    let soon: String = rest.chars().take(40).collect();
    let from = soon.find(|c: char| c.is_ascii_digit())?;
    let digits: String =
        soon.get(from..)?.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let number: f64 = digits.trim_end_matches('.').parse().ok()?;
    let unit = soon.get(from + digits.len()..)?.trim_start();
    Some(if unit.starts_with('%') || number > 1.0 { number / 100.0 } else { number })
}

/// Whether an error is one that a program's own code makes: what is called does not exist, is
/// nothing, or is of another type. By the words of the runtimes themselves.
#[must_use]
pub fn is_of_code(text: &str) -> bool {
    const CODE: &[&str] = &[
        // Java, Kotlin, Scala
        "nullpointerexception",
        "nosuchmethoderror",
        "nosuchfielderror",
        "noclassdeffounderror",
        "classcastexception",
        "indexoutofboundsexception",
        "unsupportedoperationexception",
        // .NET
        "nullreferenceexception",
        "missingmethodexception",
        "invalidcastexception",
        // JavaScript
        "is not a function",
        "cannot read propert",
        "is not defined",
        "referenceerror",
        // Python, JavaScript and PHP
        "typeerror",
        "attributeerror",
        "nameerror",
        "unboundlocalerror",
        "keyerror",
        // Ruby
        "nomethoderror",
        "undefined method",
        "undefined local variable",
        // PHP
        "call to undefined",
        "call to a member function",
        "must be of type",
        "undefined array key",
        "undefined variable",
        // Go, Rust, Elixir, Erlang
        "nil pointer dereference",
        "index out of range",
        "called `option::unwrap()`",
        "undefinedfunctionerror",
        "functionclauseerror",
        "function_clause",
    ];
    has_any(text, CODE)
}

/// What else a record of `signal` tells, as attributes.
#[must_use]
pub fn beside(signal: &str, text: &str) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    match signal {
        "log.auth_failure" => told.extend(user(text).map(|user| ("user", user))),
        "log.lock_wait" | "log.slow_statement" | "log.schema_mismatch" | "log.timeout" => {
            let found = statement(text);
            told.extend(table(found.as_deref().unwrap_or(text)).map(|table| ("table", table)));
            told.extend(found.map(|statement| ("statement", statement)));
            told.extend(application(text).map(|name| ("application", name)));
        }
        _ => {}
    }
    told
}

/// The user a server refuses: `for user "x"`, `user=x`, `user 'x'@'host'`.
#[must_use]
pub fn user(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = ["for user ", "user=", "user \"", "user '", "username=", "principal=", "role \""]
        .iter()
        .find_map(|mark| {
            lower.find(mark).map(|at| at + mark.trim_end_matches(['"', '\'']).len())
        })?;
    let rest = text.get(at..)?.trim_start_matches(['"', '\'', '`', ' ']);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
    let user = rest.get(..end.unwrap_or(rest.len()))?;
    (!user.is_empty() && user.len() <= 60).then(|| user.to_owned())
}

/// The statement a line quotes.
#[must_use]
pub fn statement(text: &str) -> Option<String> {
    const STARTS: &[&str] = &[
        "SELECT ",
        "UPDATE ",
        "INSERT INTO",
        "DELETE FROM",
        "ALTER TABLE",
        "CREATE INDEX",
        "CREATE UNIQUE INDEX",
        "DROP INDEX",
        "DROP TABLE",
        "TRUNCATE ",
        "VACUUM ",
        "REINDEX ",
        "CLUSTER ",
        "LOCK TABLE",
        "Vacuum full",
        "reindex ",
        "truncate ",
        "OPTIMIZE TABLE",
        "REFRESH MATERIALIZED VIEW",
        "COPY ",
        "WITH ",
        "MERGE INTO",
        "select ",
        "update ",
        "insert into",
        "delete from",
        "alter table",
        "vacuum ",
        "lock table",
        "create index",
    ];
    let at = STARTS.iter().filter_map(|start| text.find(start)).min()?;
    let rest = text.get(at..)?;
    let line = rest.lines().next().unwrap_or(rest).trim_end_matches(['"', '\'', ';', '`']);
    let words: Vec<&str> = line.split_whitespace().take(24).collect();
    (words.len() >= 2).then(|| words.join(" "))
}

/// The table a statement or complaint is about.
#[must_use]
pub fn table(text: &str) -> Option<String> {
    let marks = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '='))
        .filter(|w| !w.is_empty())
        .collect();
    words.windows(2).find_map(|pair| {
        let [before, word] = pair else { return None };
        let before = before.trim_matches(marks).to_ascii_lowercase();
        let names = matches!(
            before.as_str(),
            "from" | "update" | "into" | "table" | "join" | "relation" | "full" | "ns" | "vacuum"
        );
        let word = word.trim_matches(marks);
        let sentence = ["the", "a", "only", "full", "if", "set", "table", "with", "analyze"];
        let fits = word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_alphabetic())
            && !sentence.contains(&word.to_ascii_lowercase().as_str());
        (names && fits).then(|| word.to_owned())
    })
}

/// The name under which a program told the database who it is.
#[must_use]
pub fn application(text: &str) -> Option<String> {
    const MARKS: &[&str] = &[
        "application_name=",
        "\"application_name\":",
        "appName=",
        "\"appName\":",
        "app=",
        "application=",
        "program_name=",
    ];
    MARKS.iter().find_map(|mark| {
        let rest = text.split_once(mark)?.1.trim_start_matches(['"', '\'', ' ']);
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '(' | ')'));
        let name = rest.get(..end.unwrap_or(rest.len()))?;
        let fits = !name.is_empty() && name.len() <= 80 && !name.contains("unknown");
        fits.then(|| name.to_owned())
    })
}

/// Whether a line names a local file of settings: by its form, or by where it lies.
#[must_use]
pub fn reads_settings(text: &str) -> bool {
    const FORMS: &[&str] =
        &[".yaml", ".yml", ".toml", ".ini", ".conf", ".cfg", ".properties", ".env", ".hcl", ".xml"];
    const PLACES: &[&str] = &["/etc/", "/config/", "/conf/", "config.", "settings.", "appsettings"];
    let apart = |c: char| c.is_whitespace() || "\"'`,;()=[]<>".contains(c);
    text.split(apart).map(|word| word.trim_end_matches(['.', ':'])).any(|word| {
        // A position behind the name: `settings.yaml:4:7`.
        let name = word.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let local = !word.contains("://") && name.len() > 5;
        let placed = PLACES.iter().any(|place| name.contains(place));
        local
            && (FORMS.iter().any(|form| name.ends_with(form)) || placed && name.ends_with(".json"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_code_itself_are_told_from_errors_about_the_world() {
        for code in [
            "Uncaught PHP Exception Error: \"Call to undefined method App\\Tariff\\Table::withSurcharge()\"",
            "TypeError: Cannot read properties of undefined (reading 'id')",
            "NoMethodError (undefined method `total' for nil:NilClass)",
            "java.lang.NullPointerException: Cannot invoke \"Tier.rate()\"",
        ] {
            assert!(is_of_code(code), "{code}");
        }
        for world in [
            "connection refused by ledger:8080",
            "payment 17 declined: insufficient funds",
            "timeout after 3000 ms",
        ] {
            assert!(!is_of_code(world), "{world}");
        }
    }

    #[test]
    fn a_full_disk_of_a_database_is_told_from_the_programs_own() {
        for theirs in [
            "psycopg.errors.DiskFull: could not extend file \"base/1/2\": No space left on device",
            "org.postgresql.util.PSQLException: ERROR: could not write block: No space left on device",
            "pq: could not extend file \"base/16402/24822\": No space left on device",
            "ERROR 1114 (HY000): The table 'orders' is full",
            "MongoServerError: OutOfDiskSpace",
        ] {
            assert!(is_of_databases_disk(theirs), "{theirs}");
        }
        for own in [
            "OSError: [Errno 28] No space left on device: '/data/x'",
            "java.io.IOException: No space left on device",
            "write /var/lib/app/wal: no space left on device",
        ] {
            assert!(!is_of_databases_disk(own), "{own}");
        }
    }

    #[test]
    fn users_statements_and_tables_are_read() {
        let auth = "password authentication failed for user \"orders\"";
        assert_eq!(user(auth).as_deref(), Some("orders"));
        assert_eq!(user("Access denied for user 'app'@'10.0.0.1'").as_deref(), Some("app"));
        let slow = "duration: 5123.4 ms  statement: SELECT * FROM orders WHERE x = 1";
        assert_eq!(statement(slow).as_deref(), Some("SELECT * FROM orders WHERE x = 1"));
        assert_eq!(table(slow).as_deref(), Some("orders"));
        assert_eq!(table("VACUUM FULL ledger_entries").as_deref(), Some("ledger_entries"));
        assert_eq!(application("x application_name=report y").as_deref(), Some("report"));
    }
}

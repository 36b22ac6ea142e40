//! Rules on the shape of files and on names: how long, how headed, which words are not used.

use super::{
    Fault,
    rust::{blanked, production, production_lines},
    tree::File,
};

/// Most production lines of a file.
const MOST_LINES: usize = 400;
/// Names a file may not have, without its ending.
const FILES: [&str; 7] = ["util", "utils", "helpers", "common", "misc", "types", "manager"];
/// Endings of type names that say nothing.
const ENDINGS: [&str; 9] =
    ["Manager", "Helper", "Util", "Utils", "Processor", "Context", "Data", "Info", "Impl"];
/// Further ones, apart only because they are also ordinary words in other places of a name.
const MORE_ENDINGS: [&str; 2] = ["Base", "Common"];
/// Beginnings of function names that say nothing.
const BEGINNINGS: [&str; 3] = ["do_", "handle_", "process_"];
/// What must not stand in code that is done.
const UNDONE: [&str; 3] = ["todo!(", "unimplemented!(", "#[ignore"];

/// A type that may keep its name, and why.
struct Exception {
    name: &'static str,
    #[expect(dead_code, reason = "for the reader of this table")]
    reason: &'static str,
}

const EXCEPTIONS: [Exception; 2] = [
    Exception {
        name: "RequestContext",
        reason: "the wire's own word for on whose behalf a call is made (CallContext)",
    },
    Exception { name: "ConnectInfo", reason: "tonic's name of what its connections tell" },
];

/// All faults of shape and naming of one Rust file. `test_only` files may be longer.
#[must_use]
pub fn faults(file: &File, test_only: bool) -> Vec<Fault> {
    let blank = blanked(&file.text);
    let mut faults = Vec::new();
    faults.extend(header(file));
    faults.extend(file_name(file));
    if !test_only {
        faults.extend(length(file, &blank));
    }
    faults.extend(type_names(file, &production(&blank)));
    faults.extend(function_names(file, &blank));
    faults.extend(undone(file, &blank));
    faults
}

fn header(file: &File) -> Option<Fault> {
    let headed = file.text.starts_with("//! ");
    (!headed).then(|| format!("{}: begins without a //! header", file.path))
}

fn file_name(file: &File) -> Option<Fault> {
    let name = file.path.rsplit('/').next()?.strip_suffix(".rs")?;
    if name == "mod" {
        return Some(format!("{}: name it foo.rs beside foo/, not mod.rs", file.path));
    }
    FILES.contains(&name).then(|| format!("{}: {name} says nothing; name what it is", file.path))
}

fn length(file: &File, blanked_text: &str) -> Option<Fault> {
    let lines = production_lines(blanked_text);
    (lines > MOST_LINES)
        .then(|| format!("{}: {lines} production lines, at most {MOST_LINES}", file.path))
}

fn type_names(file: &File, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in declared(text, &["struct", "enum", "trait", "type", "union"]) {
        let excepted = EXCEPTIONS.iter().any(|exception| exception.name == name);
        let ending = ENDINGS.iter().chain(&MORE_ENDINGS).find(|ending| name.ends_with(**ending));
        if let (Some(ending), false) = (ending, excepted) {
            faults.push(format!("{}: type {name} ends in {ending}; say what it is", file.path));
        }
        if name == "Agent" {
            faults.push(format!("{}: no struct is called Agent", file.path));
        }
    }
    faults
}

fn function_names(file: &File, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in declared(text, &["fn"]) {
        if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            faults.push(format!("{}: fn {name}; say what is done", file.path));
        }
        if name.starts_with("test_") {
            faults.push(format!("{}: fn {name}; a test's name is a sentence", file.path));
        }
    }
    faults
}

fn undone(file: &File, text: &str) -> Vec<Fault> {
    UNDONE
        .iter()
        .filter(|word| text.contains(**word))
        .map(|word| format!("{}: has {word}…", file.path))
        .collect()
}

/// Names that follow one of `keywords` in blanked code.
fn declared<'a>(text: &'a str, keywords: &[&str]) -> Vec<&'a str> {
    let mut words = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if keywords.contains(&word)
            && let Some(name) = words.peek()
        {
            found.push(*name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Fault> {
        faults(&File { path: path.to_owned(), text: text.to_owned() }, false)
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let long = format!("//! H.\n{}", "f();\n".repeat(MOST_LINES));
        for (path, text) in [
            ("a/x.rs", "use a;"),
            ("a/mod.rs", "//! H."),
            ("a/util.rs", "//! H."),
            ("a/x.rs", "//! H.\npub struct PluginManager;"),
            ("a/x.rs", "//! H.\nenum ToolInfo {}"),
            ("a/x.rs", "//! H.\nstruct Agent;"),
            ("a/x.rs", "//! H.\nfn handle_call() {}"),
            ("a/x.rs", "//! H.\n#[test]\nfn test_it() {}"),
            ("a/x.rs", "//! H.\nfn f() { todo!() }"),
            ("a/x.rs", "//! H.\n#[ignore = \"later\"]\nfn f() {}"),
            ("a/x.rs", long.as_str()),
        ] {
            assert_eq!(found(path, text).len(), 1, "{path}: {:.60}", text);
        }
    }

    #[test]
    fn what_is_good_is_left_alone() {
        let tested = format!("//! H.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "f();\n".repeat(500));
        for text in [
            "//! H. No Manager here, todo!( neither.",
            "//! H.\nstruct Registry;\nfn processed() {}\nlet Info = 1;",
            tested.as_str(),
        ] {
            assert_eq!(found("a/x.rs", text), Vec::<Fault>::new());
        }
    }
}

//! Puts the sources together: defaults < file < environment < flags. Whatever is wrong in any of
//! them is collected and told together; the configuration that comes out is whole and checked.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Config, Environment,
    environment::CONFIG_FILE,
    keys::{self, KEYS, Key, Raw},
};
use crate::{
    nearest::nearest,
    reasoner::catalogue::{Catalogue, document::Faults as Wrong},
};

/// A flag of the command line that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the person typed it, such as `--listen`.
    pub name: &'static str,
    /// The key it sets.
    pub path: &'static str,
    /// Its value.
    pub value: String,
}

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// File named by a flag; else that of `$AGENTD_CONFIG`, else none.
    pub file: Option<PathBuf>,
    /// Variables.
    pub environment: Environment,
    /// Flags that were given.
    pub flags: Vec<Flag>,
}

/// Where a value in force was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In the file.
    File(PathBuf),
    /// By a variable.
    Variable(String),
    /// By a flag.
    Flag(&'static str),
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where each was set, by path; what is missing is a default.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The source.
    pub source: String,
    /// Path within it; empty when it is the whole source.
    pub path: String,
    /// What is wrong, and how to mend it.
    pub said: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}: {}", self.source, self.said),
            path => write!(f, "{}: {path}: {}", self.source, self.said),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// Reads and checks everything.
///
/// # Errors
/// Every fault of every source.
pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
    let mut loading = Loading {
        config: Config::with_data_dir(sources.environment.state_dir()),
        origins: BTreeMap::new(),
        faults: Vec::new(),
    };
    let named = sources.environment.get(CONFIG_FILE).map(PathBuf::from);
    if let Some(file) = sources.file.clone().or(named) {
        loading.file(&file);
    }
    loading.environment(&sources.environment);
    for flag in &sources.flags {
        loading.flag(flag);
    }
    loading.finish()
}

struct Loading {
    config: Config,
    origins: BTreeMap<&'static str, Origin>,
    faults: Vec<Fault>,
}

// === impl Loading ===

impl Loading {
    fn file(&mut self, file: &Path) {
        let source = file.display().to_string();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return self.fault(&source, "", format!("cannot be read: {error}")),
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let error: toml::de::Error = error;
                return self.fault(&source, "", syntax(&text, &error));
            }
        };
        for (name, value) in &table {
            match value.as_table() {
                _ if !is_section(name) => {
                    self.fault(&source, name, unknown("section", name, sections()));
                }
                Some(section) => self.section(file, name, section),
                None => {
                    let said = format!("is a section, [{name}], not {}", keys::kind(value));
                    self.fault(&source, name, said);
                }
            }
        }
    }

    fn section(&mut self, file: &Path, name: &str, section: &toml::Table) {
        let source = file.display().to_string();
        for (inner, value) in section {
            let path = format!("{name}.{inner}");
            match keys::find(&path) {
                Some(key) => {
                    self.set(
                        key,
                        Raw::Typed(value),
                        (&source, &path),
                        Origin::File(file.to_owned()),
                    );
                }
                None => {
                    let known = KEYS.iter().map(Key::parts).filter(|(of, _)| *of == name);
                    let said = unknown("key", inner, known.map(|(_, key)| key));
                    self.fault(&source, &path, said);
                }
            }
        }
    }

    fn environment(&mut self, environment: &Environment) {
        const SOURCE: &str = "environment";
        for key in &KEYS {
            let also = key.also.iter().map(|name| (*name).to_owned());
            // The general form comes last and wins.
            for name in also.chain([key.variable()]) {
                if let Some(value) = environment.get(&name) {
                    let origin = Origin::Variable(name.clone());
                    self.set(key, Raw::Words(value), (SOURCE, &name), origin);
                }
            }
        }
        let names: Vec<String> = KEYS.iter().map(Key::variable).collect();
        for (name, _) in environment.with_prefix(keys::PREFIX) {
            if !names.iter().any(|known| known == name) {
                let said = unknown("key", name, names.iter().map(String::as_str));
                self.fault(SOURCE, name, said);
            }
        }
    }

    fn flag(&mut self, flag: &Flag) {
        if let Some(key) = keys::find(flag.path) {
            let place = ("flags", flag.name);
            self.set(key, Raw::Words(&flag.value), place, Origin::Flag(flag.name));
        }
    }

    fn set(&mut self, key: &'static Key, raw: Raw<'_>, place: (&str, &str), origin: Origin) {
        match (key.read)(&mut self.config, raw) {
            Ok(()) => {
                self.origins.insert(key.path, origin);
            }
            Err(said) => self.fault(place.0, place.1, said),
        }
    }

    fn fault(&mut self, source: &str, path: &str, said: String) {
        self.faults.push(Fault { source: source.to_owned(), path: path.to_owned(), said });
    }

    /// The operator's own causes are settings like others: their faults are told with them.
    fn catalogue(&mut self) {
        let folder = self.config.investigation.causes_dir.clone();
        let Err(Wrong(faults)) = Catalogue::with_folder(folder.as_deref()) else { return };
        for fault in faults {
            let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
            self.fault(&format!("{}{line}", fault.document), "", fault.said);
        }
    }

    fn finish(mut self) -> Result<Loaded, Faults> {
        for (path, said) in self.config.contradictions() {
            // Told where it was set; two defaults never contradict each other.
            let source = match self.origins.get(path) {
                Some(Origin::File(file)) => file.display().to_string(),
                Some(Origin::Variable(_)) => "environment".to_owned(),
                Some(Origin::Flag(_)) => "flags".to_owned(),
                Some(Origin::Default) | None => "configuration".to_owned(),
            };
            self.fault(&source, path, said);
        }
        self.catalogue();
        if self.faults.is_empty() {
            Ok(Loaded { config: self.config, origins: self.origins })
        } else {
            Err(Faults(self.faults))
        }
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter().map(|key| key.parts().0).filter(move |section| {
        let new = *section != last;
        last = section;
        new
    })
}

fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("there is no such {what}; did you mean {meant}?"),
        None => format!("there is no such {what}; known are {}", known.join(", ")),
    }
}

/// What the file's grammar says, in one line with the line of the fault.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.get(..at).unwrap_or_default().lines().count().max(1);
    format!("is no TOML: line {line}: {}", error.message().replace('\n', "; "))
}

#[cfg(test)]
mod tests;

//! The operator's directory: `signals.yaml` with a list of signals, and causes, one a file, beside
//! it or in `causes/`. It adds to the embedded catalogues, and of one name or id the operator's
//! holds: whoever runs the daemon is trusted like whoever wrote it. All files are read and all
//! faults told together.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Catalogue, Cause, Signal,
    document::{self, Fault, Faults},
    source::Source,
};

/// Largest file, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// The file with signals.
const SIGNALS: &str = "signals.yaml";

/// What a directory holds, by file.
#[derive(Debug, Default)]
struct Folder {
    signals: Vec<Signal>,
    causes: Vec<(String, Cause)>,
    faults: Vec<Fault>,
}

impl Catalogue {
    /// The embedded catalogues, with the operator's directory over them when there is one.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn with_folder(folder: Option<&Path>) -> Result<Self, Faults> {
        let embedded = Self::embedded()?;
        let Some(folder) = folder else { return Ok(embedded) };
        let Folder { signals, causes, mut faults } = Folder::read(folder);
        match embedded.extended(signals, causes) {
            Ok(whole) if faults.is_empty() => Ok(whole),
            Ok(_) => Err(Faults(faults)),
            Err(further) => {
                faults.extend(further.0);
                faults.sort_by(|a, b| (&a.document, a.line).cmp(&(&b.document, b.line)));
                Err(Faults(faults))
            }
        }
    }
}

// === impl Folder ===

impl Folder {
    fn read(folder: &Path) -> Self {
        let mut read = Self::default();
        if let Err(error) = fs::metadata(folder).and_then(|_| fs::read_dir(folder)) {
            let said = format!("is no directory that can be read: {error}");
            read.faults.push(Fault::of(&folder.display().to_string(), &said));
            return read;
        }
        for file in documents(folder).into_iter().chain(documents(&folder.join("causes"))) {
            read.file(&file);
        }
        read
    }

    fn file(&mut self, file: &Path) {
        let name = file.display().to_string();
        let text = match text(file) {
            Ok(text) => text,
            Err(said) => return self.faults.push(Fault::of(&name, &said)),
        };
        let source = Source::Operator { file: name.as_str().into() };
        if file.file_name().is_some_and(|base| base == SIGNALS) {
            match document::signals(&name, &text) {
                Ok(signals) => {
                    self.faults.extend(ill_named(&signals, &name, &text));
                    let owned = signals.into_iter();
                    self.signals.extend(owned.map(|s| Signal { source: source.clone(), ..s }));
                }
                Err(Faults(faults)) => self.faults.extend(faults),
            }
        } else {
            match document::cause(&name, &text) {
                Ok(mut cause) => {
                    cause.source = source;
                    self.causes.push((name, cause));
                }
                Err(Faults(faults)) => self.faults.extend(faults),
            }
        }
    }
}

/// Signals whose names are not dotted words.
fn ill_named(signals: &[Signal], file: &str, text: &str) -> Vec<Fault> {
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let good = |name: &str| name.contains('.') && name.len() <= 100 && name.split('.').all(word);
    let fault = |signal: &Signal| Fault {
        line: document::line_of(text, &signal.signal),
        ..Fault::of(
            file,
            &format!("signal {:?} is not dotted words of a-z, 0-9 and _", signal.signal),
        )
    };
    signals.iter().filter(|signal| !good(&signal.signal)).map(fault).collect()
}

/// The YAML files of a directory in order of name. What begins with a dot is left out: mounted
/// configuration keeps its versions there.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"))
        .filter(|path| path.file_name().is_some_and(|n| !n.as_encoded_bytes().starts_with(b".")))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn text(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_FILE {
        return Err(format!("has {size} bytes; a document has at most {MAX_FILE}"));
    }
    fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const CAUSE: &str = "\
id: licence_expired
title: the licence has run out
culprit: workload
for: [{any: [site.licence_refused], weight: 0.9, required: true}]
explains: {own: ['service.*']}
statement: '{name} has no licence'
confirm: 'kubectl -n {namespace} get deployment {name}'
question: Does it have a licence?
";
    const SIGNAL: &str =
        "- {signal: site.licence_refused, polarity: harm, about: Pod, meaning: it refuses}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("causes")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn the_operators_signals_and_causes_are_added_with_their_file() {
        let dir =
            folder(&[("signals.yaml", SIGNAL), ("causes/licence.yaml", CAUSE), ("x.md", "#")]);
        let whole = Catalogue::with_folder(Some(dir.path())).unwrap();
        let embedded = Catalogue::embedded().unwrap();
        assert_eq!(whole.causes().len(), embedded.causes().len() + 1);
        let added = whole.cause("licence_expired").unwrap();
        assert!(added.source.to_string().ends_with("causes/licence.yaml"));
        assert_eq!(&*added.document, CAUSE);
        assert!(whole.knows("site.licence_refused"));
    }

    #[test]
    fn a_document_of_a_known_id_takes_its_place() {
        let own = CAUSE.replace("licence_expired", "oom_killed");
        let dir = folder(&[("signals.yaml", SIGNAL), ("oom.yml", &own)]);
        let whole = Catalogue::with_folder(Some(dir.path())).unwrap();
        assert_eq!(whole.causes().len(), Catalogue::embedded().unwrap().causes().len());
        assert_eq!(whole.cause("oom_killed").unwrap().title, "the licence has run out");
    }

    #[test]
    fn all_faults_of_all_files_are_told_with_file_and_line() {
        let twice = CAUSE.replace("0.9", "1.9");
        let dir = folder(&[
            (
                "signals.yaml",
                &format!("{SIGNAL}- {{signal: Bad Name, polarity: harm, about: x, meaning: y}}\n"),
            ),
            ("a.yaml", "id: a\ntitel: b\n"),
            ("b.yaml", &twice.replace("service.*", "servise.*")),
            ("c.yaml", CAUSE),
            ("empty.yaml", ""),
        ]);
        let said = Catalogue::with_folder(Some(dir.path())).unwrap_err().to_string();
        for told in [
            "/signals.yaml:2: signal \"Bad Name\" is not dotted",
            "/a.yaml:2: ",
            "/b.yaml:5: there is no signal servise.*",
            "/b.yaml:4: weight 1.9",
            "/c.yaml:1: id licence_expired stands in ",
            "/empty.yaml",
        ] {
            assert!(said.contains(told), "{told:?} is not in\n{said}");
        }
        assert_eq!(said.lines().count(), 6, "{said}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_fault() {
        let said = Catalogue::with_folder(Some(Path::new("no/such"))).unwrap_err().to_string();
        assert!(said.starts_with("no/such: is no directory"), "{said}");
    }
}

//! Which logs were recorded: `logs/NAMESPACE/POD/CONTAINER[.previous].log[.gz]`. Only names that
//! are really there are ever opened, so no argument can lead outside the recording.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::log::LogFile;

pub(super) fn index(dir: &Path) -> BTreeMap<LogFile, PathBuf> {
    let mut found = BTreeMap::new();
    for (namespace, in_namespace) in entries(dir) {
        for (pod, in_pod) in entries(&in_namespace) {
            for (name, path) in entries(&in_pod) {
                let Some(container) =
                    name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".log")
                else {
                    continue;
                };
                let (container, previous) = match container.strip_suffix(".previous") {
                    Some(container) => (container, true),
                    None => (container, false),
                };
                let file = LogFile {
                    namespace: namespace.clone(),
                    pod: pod.clone(),
                    container: container.to_owned(),
                    previous,
                };
                found.insert(file, path);
            }
        }
    }
    found
}

fn entries(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut entries: Vec<(String, PathBuf)> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    entries.sort();
    entries
}

//! A recorded incident with every object called something else and all times moved by a year: the
//! answer must be the same under the new names. Names are taken from the recording's objects, and
//! each is replaced wherever it stands: in objects, in paths and texts of logs, in metrics, in the
//! alert and in the truth.

mod naming;
mod times;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use self::naming::Naming;
use crate::{alert::Scenario, staged::Staged};

/// Parts of every cluster, and words of the field: they keep their names.
const KEPT: [&str; 12] = [
    "default",
    "kubernetes",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-dns",
    "kube-root-ca.crt",
    "coredns",
    "metrics-server",
    "node",
    "tmp",
    "data",
];

/// Days that times are moved by.
const YEAR: i64 = 365;

/// Copies the incident at `from` with names drawn from `seed` and times moved: into the future for
/// even seeds, into the past for odd ones.
///
/// # Errors
/// When it cannot be read or written.
pub fn renamed(from: &Path, seed: u64) -> Result<Staged> {
    let (dir, truth) = renamed_with_truth(from, seed)?;
    Ok(Staged::made(dir, Scenario::parse(&truth)?))
}

/// As [`renamed`], with the text of the renamed `scenario.json`, which is not in the folder.
///
/// # Errors
/// When it cannot be read or written.
pub fn renamed_with_truth(from: &Path, seed: u64) -> Result<(TempDir, String)> {
    let naming = Naming::draw(names(from)?, seed);
    let days = if seed.is_multiple_of(2) { YEAR } else { -YEAR };
    let dir = tempfile::tempdir()?;
    copy(from, dir.path(), &|text| times::moved(&naming.applied(text), days))?;
    let truth = fs::read_to_string(dir.path().join("scenario.json"))?;
    fs::remove_file(dir.path().join("scenario.json"))?;
    Ok((dir, truth))
}

/// Copies the incident at `from` with objects called as `names` says, old name first: another
/// incident may then befall objects of the same names.
///
/// # Errors
/// When it cannot be read or written.
pub fn called(from: &Path, names: &[(&str, &str)]) -> Result<Staged> {
    let naming = Naming::given(names);
    let dir = tempfile::tempdir()?;
    copy(from, dir.path(), &|text| naming.applied(text))?;
    let truth = fs::read_to_string(dir.path().join("scenario.json"))?;
    fs::remove_file(dir.path().join("scenario.json"))?;
    Ok(Staged::made(dir, Scenario::parse(&truth)?))
}

/// Names that the objects of a recording are called by, without what Kubernetes made of them:
/// a pod is renamed by the name it begins with.
fn names(from: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(from.join("kube"))? {
        let path = entry?.path();
        let kind = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let items = value.get("items").unwrap_or(&value);
        for object in items.as_array().into_iter().flatten() {
            let made = ["event", "endpointslice", "replicaset", "pod"].contains(&kind.as_str())
                && (object.pointer("/metadata/ownerReferences").is_some() || kind == "event");
            if !made {
                found.extend(word(object, "/metadata/name"));
            }
            found.extend(word(object, "/metadata/namespace"));
            let containers = object.pointer("/spec/containers").and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                found.extend(word(container, "/name"));
            }
        }
    }
    let truth: Value = serde_json::from_str(&fs::read_to_string(from.join("scenario.json"))?)?;
    found.extend(word(&truth, "/alert/labels/cluster"));
    found.retain(|name| !KEPT.contains(&name.as_str()));
    Ok(found)
}

fn word(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// Copies a folder; names of files, and their texts, go through `change`. Packed files are
/// unpacked.
fn copy(from: &Path, to: &Path, change: &impl Fn(&str) -> String) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            copy(&path, &to.join(change(&name)), change)?;
            continue;
        }
        let (text, name) = unpacked(&path, &name)?;
        fs::write(to.join(change(name)), change(&text))?;
    }
    Ok(())
}

/// Text of a file, and its name without the ending of its packing.
fn unpacked<'a>(path: &Path, name: &'a str) -> Result<(String, &'a str)> {
    let bytes = fs::read(path)?;
    let mut text = String::new();
    let name = if let Some(plain) = name.strip_suffix(".gz") {
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text)?;
        plain
    } else if let Some(plain) = name.strip_suffix(".xz") {
        lzma_rust2::XzReader::new(&*bytes, true).read_to_string(&mut text)?;
        plain
    } else {
        text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
        name
    };
    Ok((text, name))
}

/// What each name became, for messages.
#[must_use]
pub fn mapping(from: &Path, seed: u64) -> BTreeMap<String, String> {
    names(from).map(|names| Naming::draw(names, seed).pairs()).unwrap_or_default()
}

//! Reads `kube/*.json`: arrays, lists or single objects of any kind in any file. Values of
//! Secrets are dropped while reading; their keys stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use agent_sdk::Failure;
use serde_json::Value;

use super::{broken, unreadable};
use crate::{kind::Kind, object::Object, secret};

type ByKind = BTreeMap<Kind, Vec<Object>>;

/// Reads all files of `dir`; a broken one becomes an entry of `gaps`.
pub(super) fn read(dir: &Path, gaps: &mut Vec<(String, Failure)>) -> Result<ByKind, Failure> {
    let files = json_files(dir)?;
    let mut objects = ByKind::new();
    let mut seen = BTreeSet::new();
    let mut usable = 0_usize;
    for path in &files {
        match read_file(path) {
            Ok(found) => {
                usable += 1;
                sort_in(found, path, &mut objects, &mut seen);
            }
            Err(failure) => gaps.push((shown(path), failure)),
        }
    }
    match gaps.first() {
        Some((_, failure)) if usable == 0 => return Err(failure.clone()),
        _ => {}
    }
    for all in objects.values_mut() {
        all.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
    }
    Ok(objects)
}

fn shown(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    format!("kube/{name}")
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !dir.is_dir() {
        return Err(broken(dir, "is missing; a snapshot keeps its objects there as *.json"));
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(|e| unreadable(dir, &e))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    if files.is_empty() {
        return Err(broken(dir, "has no *.json file"));
    }
    files.sort();
    Ok(files)
}

/// The objects of one file; those of a list take its kind when they have none of their own.
fn read_file(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(broken(path, "is empty"));
    }
    let parsed: Value =
        serde_json::from_slice(&text).map_err(|e| broken(path, &format!("is not JSON: {e}")))?;
    let what = "holds neither an array of objects nor a List";
    match parsed {
        Value::Array(objects) => Ok(objects),
        Value::Object(mut object) => {
            let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            match object.remove("items") {
                Some(Value::Array(items)) => {
                    let kind = kind.strip_suffix("List").unwrap_or_default().to_owned();
                    Ok(items.into_iter().map(|item| with_kind(item, &kind)).collect())
                }
                _ if object.contains_key("metadata") => Ok(vec![Value::Object(object)]),
                _ => Err(broken(path, what)),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(broken(path, what))
        }
    }
}

fn with_kind(mut item: Value, kind: &str) -> Value {
    if let Some(fields) = item.as_object_mut()
        && !fields.contains_key("kind")
        && !kind.is_empty()
    {
        fields.insert("kind".to_owned(), Value::String(kind.to_owned()));
    }
    item
}

/// Puts objects under their kinds, each once. An empty file named after a kind says that there
/// are none of it.
fn sort_in(
    found: Vec<Value>,
    path: &Path,
    objects: &mut ByKind,
    seen: &mut BTreeSet<(Kind, String, String)>,
) {
    if found.is_empty() {
        let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase());
        let kind = stem.and_then(|stem| Kind::named_by_file(&stem));
        objects.extend(kind.map(|kind| (kind, Vec::new())));
    }
    for value in found {
        let object = Object::new(secret::without_values(value));
        let Some(kind) = Kind::of(object.kind()) else { continue };
        let key = (kind, object.namespace().to_owned(), object.name().to_owned());
        if !object.name().is_empty() && seen.insert(key) {
            objects.entry(kind).or_default().push(object);
        }
    }
}

//! Programs that are told how much memory to take: a heap as large at its start as it may get, a
//! cache or buffer pool of a given size. Their memory is high by design and does not tell of a leak.
//! Read from what their container is started with; nothing of a program's own files.

use plugin_cluster::{Answer, Object};
use serde_json::Value;

use super::declared;

/// Settings that give a store the size of what it keeps in memory.
const STORES: &[&str] = &[
    "maxmemory",
    "innodb-buffer-pool-size",
    "shared-buffers",
    "wiredtigercachesizegb",
    "max-server-memory-usage",
    "memory-limit-mb",
    "cache-size",
    "storage-memory",
    "heap-newsize",
];
/// Settings of a heap, at its start and at its largest; equal ones take all at once.
const HEAPS: &[(&str, &str)] = &[
    ("-xms", "-xmx"),
    ("-xx:initialrampercentage=", "-xx:maxrampercentage="),
    ("-xx:initialheapsize=", "-xx:maxheapsize="),
];

/// Tells of each container that is given the size of its memory.
pub(super) fn judge(workload: &Object, answer: &mut Answer) {
    for container in workload.list("/spec/template/spec/containers") {
        let Some(setting) = setting(container) else { continue };
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let says = format!(
            "container {name} of {} {} is told how much memory to take and keep: {setting}",
            workload.kind(),
            workload.name()
        );
        answer.neutral(declared(workload.entity(), "memory_sized", says).attr("setting", setting));
    }
}

/// The words that give the size.
fn setting(container: &Value) -> Option<String> {
    let words = words(container);
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let after = |key: &str| lower.iter().find_map(|word| word.strip_prefix(key));
    for (start, most) in HEAPS {
        if let (Some(start), Some(most)) = (after(start), after(most))
            && start == most
        {
            return words.iter().find(|word| word.to_ascii_lowercase().ends_with(most)).cloned();
        }
    }
    if lower.iter().any(|word| word == "-xx:+alwayspretouch") {
        return Some("-XX:+AlwaysPreTouch".to_owned());
    }
    let is_memcached = lower.iter().any(|word| word.ends_with("memcached"))
        || container.get("image").and_then(Value::as_str).is_some_and(|i| i.contains("memcached"));
    let place = lower.iter().enumerate().position(|(number, word)| {
        let plain = word.trim_start_matches('-').replace(['_', '.'], "-");
        let named = |name: &&str| {
            plain.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
                || plain.contains(&format!("-{name}="))
        };
        let given = word.contains('=') || lower.get(number + 1).is_some_and(|next| is_size(next));
        given && STORES.iter().any(named) || is_memcached && word == "-m"
    })?;
    let word = words.get(place)?;
    let value = words.get(place + 1).filter(|_| !word.contains('='));
    Some(value.map_or_else(|| word.clone(), |value| format!("{word} {value}")))
}

fn is_size(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word != "0"
}

/// Command, arguments and environment (`NAME=VALUE`), taken apart at blanks.
fn words(container: &Value) -> Vec<String> {
    let texts = |key: &str| {
        let listed = container.get(key).and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(|v| v.as_str().map(str::to_owned))
    };
    let env = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let env = env.filter_map(|pair| {
        let (name, value) = (pair.get("name")?.as_str()?, pair.get("value")?.as_str()?);
        // Options of a runtime stand in a variable of any name, sizes in one of their own.
        Some(if value.contains('-') { value.to_owned() } else { format!("{name}={value}") })
    });
    let all: Vec<String> = texts("command").chain(texts("args")).chain(env).collect();
    all.iter().flat_map(|text| text.split_whitespace().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_size_given_at_the_start_is_read_from_arguments_and_environment() {
        for (container, expected) in [
            (
                json!({"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xms768m -Xmx768m"}]}),
                Some("-Xms768m"),
            ),
            (json!({"args": ["-Xms256m", "-Xmx768m"]}), None),
            (
                json!({"args": ["-XX:InitialRAMPercentage=75", "-XX:MaxRAMPercentage=75"]}),
                Some("-XX:InitialRAMPercentage=75"),
            ),
            (json!({"command": ["java", "-XX:+AlwaysPreTouch"]}), Some("-XX:+AlwaysPreTouch")),
            (
                json!({"command": ["redis-server", "--maxmemory", "900mb"]}),
                Some("--maxmemory 900mb"),
            ),
            (json!({"command": ["redis-server", "--maxmemory", "0"]}), None),
            (json!({"command": ["redis-server", "--maxmemory-policy", "allkeys-lru"]}), None),
            (json!({"image": "memcached:1.6", "args": ["-m", "1024"]}), Some("-m 1024")),
            (
                json!({"args": ["--innodb_buffer_pool_size=2G"]}),
                Some("--innodb_buffer_pool_size=2G"),
            ),
            (json!({"args": ["-c", "shared_buffers=1GB"]}), Some("shared_buffers=1GB")),
            (
                json!({"env": [{"name": "REDIS_MAXMEMORY", "value": "900mb"}]}),
                Some("REDIS_MAXMEMORY=900mb"),
            ),
            (json!({"args": ["serve"], "env": [{"name": "PORT", "value": "80"}]}), None),
        ] {
            assert_eq!(setting(&container).as_deref(), expected, "{container}");
        }
    }
}

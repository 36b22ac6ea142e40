//! A container's log of any size behind a real API server and kubelet, and what it costs to find
//! what its last lines say.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    time::{Duration, Instant},
};

use agent_proto::v1::CallToolRequest;
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    control_plane::{
        ControlPlane,
        namespace::{Namespace, container},
    },
    fleet::Fleet,
    live, process,
};

/// What a finding says that comes from the last lines.
pub const SAID: &str = "cannot connect to ledger";
/// A line as the API gives it, bytes, with its time.
pub const LINE: u64 = 128;
/// Bytes at least that are written at a time, all of one moment.
const BLOCK: usize = 1 << 20;

/// What a call cost.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Size of the log as it lies on the node's disk.
    pub size: u64,
    /// How long the call took.
    pub took: Duration,
    /// The most lines that the API server was asked for at once.
    pub lines_asked: u64,
    /// Lines that were read.
    pub lines_read: u64,
    /// Memory of the plugin before the call, bytes.
    pub idle: u64,
    /// The most memory of the plugin so far, bytes.
    pub peak: u64,
    /// What the tool found, a line each.
    pub findings: Vec<String>,
    /// What it could not see.
    pub gaps: Vec<String>,
}

/// Makes a log of `size` bytes whose last lines tell of a failure, and has a plugin that was just
/// started look for it.
///
/// # Errors
/// When the cluster or the plugin do not do their part.
pub async fn read(plane: &ControlPlane, size: u64) -> Result<Cost> {
    let here = plane.namespace("bank").await?;
    let file = plane.log_of(&ended(&here).await?);
    write(&file, size).with_context(|| file.display().to_string())?;
    let size = fs::metadata(&file)?.len();
    live::grant(plane).await?;
    let account = plane.kubeconfig_for_service_account(live::NAMESPACE, "plugin-logs").await?;
    let mut fleet = Fleet::start("").await?;
    live::start_plugin(&mut fleet, "logs", account)?;
    fleet.ready(&["logs"]).await?;
    let pid = fleet.plugin("logs")?.pid();
    let (mark, idle, began) = (plane.audit_mark()?, process::peak(pid), Instant::now());
    let request = CallToolRequest {
        name: "tools/logs.find_error_patterns".to_owned(),
        arguments_json: json!({ "namespace": here.name(), "service": "" }).to_string(),
        ..CallToolRequest::default()
    };
    let answer = fleet.client()?.catalog.call_tool(request).await?.into_inner();
    let (took, peak) = (began.elapsed(), process::peak(pid));
    let result = answer.result.with_context(|| format!("{:?}", answer.failure))?;
    let told: BTreeMap<String, Value> = serde_json::from_str(&result.result_json)?;
    let findings = told.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let gaps = result.gaps.into_iter().filter_map(|gap| Some(gap.failure?.message));
    let lines_asked = asked(plane, mark)?;
    // Large: gone before the cluster is.
    fs::remove_file(&file)?;
    Ok(Cost {
        size,
        took,
        lines_asked,
        lines_read: told.get("lines").and_then(Value::as_u64).unwrap_or_default(),
        idle,
        peak,
        findings: findings.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        gaps: gaps.collect(),
    })
}

/// A pod whose container has ended: the kubelet leaves its log where it is.
async fn ended(here: &Namespace<'_>) -> Result<Value> {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "transfers" },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "main",
            "image": "registry.example/transfers:1",
            "command": ["simulate", "log", "starting", "exit", "1"] }] } });
    here.api().post(&here.path("pods"), &pod).await?.good()?;
    here.pod("transfers", "that has ended", |pod| {
        !container(pod).pointer("/state/terminated").unwrap_or(&Value::Null).is_null()
    })
    .await
}

/// Lines of an hour, in the runtime's form.
fn write(file: &std::path::Path, size: u64) -> Result<()> {
    let mut file = File::create(file)?;
    let now = Timestamp::now();
    let some = 64 * line(now, "stdout", "").len();
    let times = BLOCK.div_ceil(some);
    let blocks = size.div_ceil((some * times).try_into()?);
    for number in 0..blocks {
        let age = 3600 - 3590 * number / blocks.max(1);
        let at = now.checked_sub(SignedDuration::from_secs(age.try_into()?))?;
        let some: String = (0..64).map(|of| line(at, "stdout", &served(of))).collect();
        let mut block = some.repeat(times);
        if number + 1 == blocks {
            let refused = "ERROR dial tcp: connect to ledger.bank.svc:8443: connection refused";
            block.push_str(&line(at, "stderr", refused).repeat(40));
        }
        file.write_all(block.as_bytes())?;
    }
    Ok(())
}

fn served(number: usize) -> String {
    format!("INFO served GET /transfers/{number:04} in {} ms for customer {number:08}", number % 40)
}

/// A line that is [`LINE`] bytes without the name of its stream.
fn line(at: Timestamp, stream: &str, words: &str) -> String {
    let time = at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string();
    let wide = usize::try_from(LINE).unwrap_or_default().saturating_sub(time.len() + 2);
    format!("{time} {stream} F {words:<wide$}\n")
}

fn asked(plane: &ControlPlane, mark: crate::control_plane::audit::Mark) -> Result<u64> {
    let asked = plane.audit_since(mark, &live::account("logs"))?;
    let logs = asked.iter().filter(|asked| asked.subresource == "log");
    let lines = |uri: &str| {
        let (_, rest) = uri.split_once("tailLines=")?;
        rest.split('&').next()?.parse::<u64>().ok()
    };
    // Without a number it would be all of it.
    Ok(logs.map(|asked| lines(&asked.uri).unwrap_or(u64::MAX)).max().unwrap_or_default())
}

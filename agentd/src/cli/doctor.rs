//! `agentd doctor`: what the plugins can read here, what would be blind, and how to mend it. Asks
//! the tool `check_access` of each plugin that has one, a third party's like a bundled one.

use std::collections::{BTreeMap, BTreeSet};

use agent_proto::v1::CallToolResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    DONE, Error, INTERRUPTED,
    args::{Doctor, Target},
    client::Client,
    connect,
    local::{Local, Port, Wanted},
    out::{self, Style},
    run::interrupted,
    text::{columns, counted, wrapped},
};
use crate::config::Environment;

/// What it ends with when something would be blind.
const BLIND: u8 = 4;
/// A daemon and something to read are named at once.
const BOTH: &str = "--server asks the plugins of a daemon that runs: leave --kubeconfig, --context, \
                    --snapshot and --prometheus-url away";
/// The tool that is asked.
const TOOL: &str = ".check_access";

/// What a plugin says of itself. A plugin leaves away what it knows nothing of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Access {
    source: String,
    permissions: Vec<Permission>,
    reads_whole_cluster: Option<bool>,
    clock_ahead_seconds: i64,
    /// What there is, a line each.
    found: Vec<String>,
    /// What cannot be seen, a line each.
    blind: Vec<String>,
    /// How to mend that, a line each.
    mend: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Permission {
    permission: String,
    tools: Vec<String>,
    /// `yes`, `no`, `unknown`.
    allowed: String,
    says: String,
}

/// What one plugin answered.
#[derive(Debug, Clone, Serialize)]
struct Found {
    plugin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

pub(super) async fn run(
    args: &Doctor,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    let found = match &args.server.server {
        Some(_) if args.target.is_named() => return Err(Error::Missing(BOTH.to_owned())),
        Some(_) => examined(&connect(&args.server, environment).await?, args).await?,
        None => match at_once(args, environment).await? {
            Some(found) => found,
            None => return Ok(INTERRUPTED),
        },
    };
    if args.json {
        out::line(&format!("{:#}", json!({ "plugins": found })))?;
    } else {
        out::write(&page(&found, &args.target, style))?;
    }
    Ok(if found.iter().any(Found::is_blind) { BLIND } else { DONE })
}

/// Daemon and plugins for this one question.
async fn at_once(args: &Doctor, environment: &Environment) -> Result<Option<Vec<Found>>, Error> {
    let wanted = Wanted {
        plugin_dir: args.target.plugin_dir.clone(),
        data_dir: None,
        causes_dir: None,
        port: Port::Any,
    };
    let local = Local::start(environment, wanted).await?;
    let work = async {
        let fleet = local.plugins_told(args.target.arguments(), args.target.variables()).await?;
        let found = examined(&local.client().await?, args).await;
        fleet.stop().await;
        found
    };
    let found = tokio::select! {
        found = work => Some(found),
        () = interrupted() => None,
    };
    local.stop().await?;
    found.transpose()
}

async fn examined(client: &Client, args: &Doctor) -> Result<Vec<Found>, Error> {
    let names: BTreeSet<String> = client.tools().await?.into_iter().map(|tool| tool.name).collect();
    let namespace = args.namespace.clone().unwrap_or_default();
    let arguments = json!({ "namespace": namespace }).to_string();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(TOOL)) {
        let bare = name.strip_prefix("tools/").unwrap_or(name);
        let plugin = bare.strip_suffix(TOOL).unwrap_or(bare).to_owned();
        found.push(Found::of(plugin, client.call(name, arguments.clone(), "").await?));
    }
    if found.is_empty() {
        let says = "no plugin there says what it can read: none offers a tool check_access";
        return Err(Error::Missing(says.to_owned()));
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    fn of(plugin: String, answer: CallToolResponse) -> Self {
        if let Some(failure) = answer.failure {
            let says = format!("{} ({})", failure.message, failure.reason);
            return Self { plugin, access: None, failed: Some(says) };
        }
        let text = answer.result.map(|result| result.result_json).unwrap_or_default();
        match serde_json::from_str::<Access>(&text) {
            Ok(access) => Self { plugin, access: Some(access), failed: None },
            Err(error) => {
                let says = format!("its answer is not as expected: {error}");
                Self { plugin, access: None, failed: Some(says) }
            }
        }
    }

    fn is_blind(&self) -> bool {
        let lacks = |access: &Access| {
            !access.blind.is_empty() || access.permissions.iter().any(|p| p.allowed == "no")
        };
        self.access.as_ref().is_none_or(lacks)
    }
}

fn page(found: &[Found], target: &Target, style: Style) -> String {
    let mut page = String::new();
    for one in found {
        page.push_str(&style.bold(&format!("plugin {}", one.plugin)));
        page.push('\n');
        match &one.access {
            Some(access) => page.push_str(&told(access)),
            None => {
                page.push_str(&wrapped("  failed: ", one.failed.as_deref().unwrap_or_default()))
            }
        }
        page.push('\n');
    }
    let blind = found.iter().filter(|one| one.is_blind()).count();
    if blind == 0 {
        page.push_str("nothing would be blind\n");
    } else {
        page.push_str(&format!("{} would be blind for something\n", counted(blind, "plugin")));
        page.push_str(&mending(found, target));
    }
    page
}

fn told(access: &Access) -> String {
    let line = |head: &str, words: &str| format!("{}\n", wrapped(head, words));
    let mut text = line("  reads: ", &access.source);
    if access.reads_whole_cluster == Some(false) {
        let says = "a large cluster: the alerted namespace and those it names are read, not all";
        text.push_str(&line("  note:  ", says));
    }
    if access.clock_ahead_seconds.abs() > 5 {
        let says = format!(
            "the server's clock is {} s ahead of this machine's; its time is taken",
            access.clock_ahead_seconds
        );
        text.push_str(&line("  note:  ", &says));
    }
    let row = |p: &Permission| {
        let mark = match p.allowed.as_str() {
            "yes" => "ok",
            "no" => "MISSING",
            _ => "not tried",
        };
        vec![format!("  {mark}"), p.permission.clone(), p.tools.join(", ")]
    };
    let rows: Vec<Vec<String>> = access.permissions.iter().map(row).collect();
    if !rows.is_empty() {
        text.push_str(&columns(&["  ", "RIGHT", "NEEDED BY"], &rows));
    }
    for (head, lines) in [("  found: ", &access.found), ("  blind: ", &access.blind)] {
        for words in lines {
            text.push_str(&line(head, words));
        }
    }
    text
}

/// What to do, so that it can be pasted.
fn mending(found: &[Found], target: &Target) -> String {
    let mut text = String::new();
    let mut lacking: BTreeMap<(Option<String>, String), BTreeSet<String>> = BTreeMap::new();
    let mut words: BTreeSet<String> = BTreeSet::new();
    for access in found.iter().filter_map(|one| one.access.as_ref()) {
        words.extend(access.mend.iter().cloned());
        for p in access.permissions.iter().filter(|p| p.allowed == "no") {
            let Some(resource) = p.permission.strip_prefix("k8s:") else { continue };
            let Some((resource, verb)) = resource.split_once('/') else { continue };
            let (resource, verb) = match verb {
                "log" => (format!("{resource}/log"), "get"),
                verb => (resource.to_owned(), verb),
            };
            let key = (user(&p.says), verb.to_owned());
            lacking.entry(key).or_default().insert(resource);
        }
    }
    for (number, ((user, verb), resources)) in lacking.into_iter().enumerate() {
        let name = format!("agentd-reads-{}", number + 1);
        let context = target.context.as_ref().map_or(String::new(), |c| format!(" --context {c}"));
        let resources: Vec<String> = resources.into_iter().collect();
        let subject = user.map_or("--user=WHOM".to_owned(), |user| subject(&user));
        text.push_str(&format!(
            "  kubectl{context} create clusterrole {name} --verb={verb} --resource={}\n  \
             kubectl{context} create clusterrolebinding {name} --clusterrole={name} {subject}\n",
            resources.join(",")
        ));
    }
    for line in words {
        text.push_str(&format!("  {line}\n"));
    }
    if text.is_empty() { text } else { format!("to mend it:\n{text}") }
}

/// Whom the API server refused, in its own words.
fn user(says: &str) -> Option<String> {
    let (_, rest) = says.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '.' | '_' | '@');
    (!user.is_empty() && user.chars().all(plain)).then(|| user.to_owned())
}

/// The user as kubectl binds it.
fn subject(user: &str) -> String {
    match user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={user}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn found(plugin: &str, result: &serde_json::Value) -> Found {
        let result = agent_proto::tool::v1::CallResult {
            result_json: result.to_string(),
            ..Default::default()
        };
        let answer = CallToolResponse { result: Some(result), ..CallToolResponse::default() };
        Found::of(plugin.to_owned(), answer)
    }

    #[test]
    fn a_missing_right_is_named_with_its_tools_and_with_commands_that_grant_it() {
        let says = "secrets is forbidden: User \"system:serviceaccount:ops:reader\" cannot list";
        let right = |name: &str, allowed: &str| json!({"permission": name, "tools": ["check_x"], "allowed": allowed, "says": says});
        let one = found(
            "pods",
            &json!({"source": "API server https://k:6443", "permissions": [
                right("k8s:pods/list", "yes"), right("k8s:secrets/list", "no"),
                right("k8s:pods/log", "no")]}),
        );
        assert!(one.is_blind());
        let page = page(&[one], &Target::default(), Style::Plain);
        for line in [
            "  MISSING  k8s:secrets/list  check_x",
            "create clusterrole agentd-reads-1 --verb=get --resource=pods/log",
            "create clusterrole agentd-reads-2 --verb=list --resource=secrets",
            "--clusterrole=agentd-reads-2 --serviceaccount=ops:reader",
        ] {
            assert!(page.contains(line), "{line:?} is not in\n{page}");
        }
    }

    #[test]
    fn all_rights_and_nothing_blind_is_told_in_one_line() {
        let right = json!({"permission": "k8s:pods/list", "tools": ["a"], "allowed": "yes"});
        let one = found("pods", &json!({"source": "s", "permissions": [right]}));
        assert!(!one.is_blind());
        let page = page(&[one], &Target::default(), Style::Plain);
        assert!(page.ends_with("nothing would be blind\n"), "{page}");
    }

    #[test]
    fn who_was_refused_is_taken_from_words_only_when_it_can_be_a_name() {
        assert_eq!(user("x: User \"eve\" cannot").as_deref(), Some("eve"));
        assert_eq!(user("x: User \"a; rm -rf /\" cannot"), None);
        assert_eq!(user("no word of it"), None);
    }
}

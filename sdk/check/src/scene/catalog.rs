//! CAT: what a plugin says about itself.

use agent_proto::tool::v1::{CallMode, FailureClass, PluginCatalog, SideEffect, ToolDescriptor};
use prost::Message as _;
use serde_json::Value;

use crate::{
    exchange::Exchange,
    fixtures::Arguments,
    later::CallRequest,
    schema::Schema,
    stage::Stage,
    verdict::{Found, Stop, cut, demand, fail, passed, skip},
};

const MAX_TOOLS: usize = 200;
const MAX_CATALOG: usize = 2 * 1024 * 1024;
const MAX_SCHEMA: usize = 64 * 1024;
const MAX_DESCRIPTION: usize = 2 * 1024;

/// CAT-01: names, versions, sizes, schemas.
pub(super) async fn rules(stage: &Stage) -> Found {
    let catalog = &stage.catalog;
    let mut faults = Vec::new();
    if !is_name(&catalog.plugin, 24)
        || ["agentd", "mcp", "system", "internal"].contains(&catalog.plugin.as_str())
    {
        faults.push(format!("the plugin's name {:?} is not allowed", catalog.plugin));
    }
    if !is_version(&catalog.version) {
        faults.push(format!("the plugin's version {:?} is not semantic", catalog.version));
    }
    if catalog.tools.is_empty() || catalog.tools.len() > MAX_TOOLS {
        faults.push(format!("{} tools; 1 to {MAX_TOOLS} are allowed", catalog.tools.len()));
    }
    if catalog.encoded_len() > MAX_CATALOG {
        faults.push(format!("the catalog has {} bytes", catalog.encoded_len()));
    }
    for (number, tool) in catalog.tools.iter().enumerate() {
        let twin =
            |other: &ToolDescriptor| other.name == tool.name && other.version == tool.version;
        if catalog.tools.iter().skip(number + 1).any(twin) {
            faults.push(format!("{} {} stands twice", tool.name, tool.version));
        }
        faults.extend(faults_of(tool).into_iter().map(|fault| format!("{}: {fault}", tool.name)));
    }
    let own = format!("{}.", catalog.plugin);
    for signal in &catalog.signals {
        let tail = signal.name.strip_prefix(&own).unwrap_or_default();
        if !is_name(tail, 48) || signal.meaning.len() > 512 {
            faults.push(format!("the signal {:?} breaks the rules", signal.name));
        }
    }
    told_together(&faults)
}

fn faults_of(tool: &ToolDescriptor) -> Vec<String> {
    let mut faults = Vec::new();
    if !is_name(&tool.name, 32) {
        faults.push("the name must be [a-z][a-z0-9_]{1,31} without __".to_owned());
    }
    if !tool.version.is_empty() && !is_version(&tool.version) {
        faults.push(format!("the version {:?} is not semantic", tool.version));
    }
    if tool.description.trim().is_empty() || tool.description.len() > MAX_DESCRIPTION {
        faults.push(format!(
            "the description has {} bytes, 1 to {MAX_DESCRIPTION} are allowed",
            tool.description.len()
        ));
    }
    for (which, text) in [("input", &tool.input_schema_json), ("output", &tool.output_schema_json)]
    {
        if text.len() > MAX_SCHEMA {
            faults.push(format!("the {which} schema has {} bytes", text.len()));
        }
    }
    if let Err(fault) = Schema::of_arguments(&tool.input_schema_json) {
        faults.push(format!("the input schema {fault}"));
    }
    if !tool.output_schema_json.is_empty()
        && let Err(fault) = Schema::of_result(&tool.output_schema_json)
    {
        faults.push(format!("the output schema {fault}"));
    }
    faults
}

fn is_name(name: &str, longest: usize) -> bool {
    let mut bytes = name.bytes();
    (2..=longest).contains(&name.len())
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.contains("__")
}

fn is_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = core.split('.').collect();
    let is_number = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
    };
    parts.len() == 3 && parts.iter().all(is_number) && version.is_ascii()
}

fn told_together(faults: &[String]) -> Found {
    if faults.is_empty() { passed() } else { fail(faults.join("; ")) }
}

/// CAT-02: `GetCatalog` says what Register said.
pub(super) async fn told(stage: &Stage) -> Found {
    if stage.agentd.is_none() {
        return skip("with --target nothing was registered to compare it with");
    }
    if stage.line.is_relay() {
        return skip("a relay plugin has no port to ask");
    }
    let told = match stage.told_catalog().await {
        Ok(told) => told,
        Err(status) => {
            return fail(format!("GetCatalog: {:?} {}", status.code(), status.message()));
        }
    };
    if told == stage.catalog {
        return passed();
    }
    fail(format!("GetCatalog differs from Register: {}", difference(&told, &stage.catalog)))
}

fn difference(told: &PluginCatalog, registered: &PluginCatalog) -> String {
    let names = |catalog: &PluginCatalog| {
        catalog.tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>().join(", ")
    };
    if names(told) != names(registered) {
        return format!("it has {}, registered were {}", names(told), names(registered));
    }
    let tool = told.tools.iter().zip(&registered.tools).find(|(one, other)| one != other);
    tool.map_or("not in the tools".to_owned(), |(tool, _)| format!("in the tool {}", tool.name))
}

/// CAT-03: examples fit and work.
pub(super) async fn examples(stage: &Stage) -> Found {
    let (mut tried, mut unseen) = (0, Vec::new());
    for tool in &stage.catalog.tools {
        fit(tool)?;
        for arguments in stage.examples(tool) {
            let mut request = stage.ask(tool, &arguments);
            if tool.side_effect() != SideEffect::ReadOnly {
                if !tool.supports_dry_run {
                    unseen.push(tool.name.as_str());
                    continue;
                }
                request.mode = CallMode::DryRun.into();
            }
            let seen = stage.call(request).await;
            tried += 1;
            demand(seen.result().is_some(), &seen, || {
                let name = &tool.name;
                let mut why = format!("{name}: the example has no result");
                if seen.is_class(FailureClass::NotFound) {
                    why += &format!(
                        "; when only this world lacks what it names, give fixtures: tools.{name}.examples"
                    );
                }
                why
            })?;
        }
    }
    if tried == 0 && unseen.is_empty() {
        return skip("no tool has an example");
    }
    unseen.dedup();
    let unseen = unseen.join(", ");
    Ok(if unseen.is_empty() {
        unseen
    } else {
        format!("not tried, they change something and have no dry run: {unseen}")
    })
}

/// The examples of the descriptor keep to its schema, whatever fixtures say.
fn fit(tool: &ToolDescriptor) -> Result<(), Stop> {
    let Ok(schema) = Schema::of_arguments(&tool.input_schema_json) else { return Ok(()) };
    for example in &tool.examples {
        let read = serde_json::from_str::<Arguments>(&example.arguments_json);
        let fault = match read {
            Ok(arguments) => schema.fault(&Value::Object(arguments)),
            Err(fault) => Some(format!("is no JSON object: {fault}")),
        };
        if let Some(fault) = fault {
            return fail(format!(
                "{}: the example {:?} does not fit: {fault}",
                tool.name, example.title
            ));
        }
    }
    Ok(())
}

/// CAT-04: what helps models and does not mislead people.
pub(super) async fn advice(stage: &Stage) -> Found {
    let mut faults = Vec::new();
    for tool in &stage.catalog.tools {
        let texts = [&tool.name, &tool.title, &tool.description, &tool.input_schema_json];
        if texts.into_iter().any(|text| text.chars().any(is_invisible)) {
            faults.push(format!("{}: has invisible or control characters", tool.name));
        }
        let Ok(schema) = Schema::of_arguments(&tool.input_schema_json) else { continue };
        if ["oneOf", "anyOf"].iter().any(|key| schema.root.get(*key).is_some()) {
            faults.push(format!("{}: the root of the schema has oneOf or anyOf", tool.name));
        }
        let bare = schema.properties().filter(|(_, property)| {
            property
                .get("description")
                .and_then(Value::as_str)
                .is_none_or(|text| text.trim().is_empty())
        });
        let bare: Vec<_> = bare.map(|(name, _)| name.as_str()).collect();
        if !bare.is_empty() {
            faults.push(format!("{}: no description of {}", tool.name, bare.join(", ")));
        }
    }
    told_together(&faults)
}

fn is_invisible(letter: char) -> bool {
    let code = u32::from(letter);
    (letter.is_control() && !matches!(letter, '\n' | '\t' | '\r'))
        || matches!(code, 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2064 | 0x2066..=0x2069 | 0xFEFF | 0xE0000..=0xE007F)
}

/// CAT-05: what undoes it exists, and a claimed dry run is one.
pub(super) async fn claims(stage: &Stage) -> Found {
    let mut looked = 0;
    for tool in &stage.catalog.tools {
        let undoes = tool.compensation.as_ref().map(|undo| undo.tool.as_str());
        if tool.side_effect() == SideEffect::Reversible || undoes.is_some() {
            looked += 1;
            let undoes = undoes.unwrap_or_default();
            if !stage.catalog.tools.iter().any(|other| other.name == undoes) {
                return fail(format!(
                    "{}: the compensation tool {undoes:?} does not exist",
                    tool.name
                ));
            }
        }
        if tool.supports_dry_run {
            looked += 1;
            let Some(arguments) = stage.good(tool).into_iter().next() else { continue };
            let seen = stage.call(dry(stage, tool, &arguments)).await;
            demand(!refuses_mode(&seen), &seen, || {
                format!("{}: says supports_dry_run and refuses a dry run", tool.name)
            })?;
        }
    }
    if looked == 0 { skip("no tool is REVERSIBLE or claims a dry run") } else { passed() }
}

pub(super) fn dry(stage: &Stage, tool: &ToolDescriptor, arguments: &Arguments) -> CallRequest {
    CallRequest { mode: CallMode::DryRun.into(), ..stage.ask(tool, arguments) }
}

/// Whether the call was refused for its mode.
pub(super) fn refuses_mode(seen: &Exchange) -> bool {
    seen.failure().is_some_and(|failure| {
        failure.violations.iter().any(|violation| violation.field.contains("mode"))
    }) || seen.status().is_some()
}

/// A read-only tool with arguments that fit, for checks that need any one.
pub(super) fn any_tool(stage: &Stage) -> Result<(&ToolDescriptor, Arguments), Stop> {
    let found =
        stage.read_only().find_map(|tool| Some((tool, stage.good(tool).into_iter().next()?)));
    match found {
        Some(found) => Ok(found),
        None => {
            skip("no read-only tool has an example, and fixtures have no calls: tools.NAME.calls")
        }
    }
}

/// The text of a value, for a report.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_keep_to_the_rules() {
        for (name, expected) in [
            ("ab", true),
            ("a", false),
            ("a__b", false),
            ("Ab", false),
            ("a_1", true),
            ("1a", false),
        ] {
            assert_eq!(is_name(name, 24), expected, "{name}");
        }
        for (version, expected) in [
            ("1.0.0", true),
            ("1.0", false),
            ("01.0.0", false),
            ("1.2.3-rc.1+b", true),
            ("", false),
        ] {
            assert_eq!(is_version(version), expected, "{version}");
        }
    }
}

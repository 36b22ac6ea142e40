//! The check of one tool's descriptor. A refusal carries all violations; advice that is no reason
//! to refuse comes as warnings.

use std::{collections::BTreeSet, sync::Arc};

use agent_proto::tool::v1 as pb;
use serde_json::Value;

use super::violation;
use crate::{
    plugin::{
        clean, digest,
        schema::{Contract, Known, MAX_ARGUMENTS},
        semver::Version,
    },
    reasoner::catalogue::Catalogue,
    tool::{Failure, FailureClass, ToolRef, Violation, is_tool_name},
};

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 2 * 1024;
/// Faults, and pieces of advice, that are told of one tool: enough to mend, and nothing to fill memory
/// and screens with.
const MAX_FAULTS: usize = 20;
/// Longest of them, in bytes.
const MAX_SAID: usize = 512;
/// What a template may speak of.
const PLACEHOLDERS: [&str; 7] =
    ["kind", "namespace", "name", "cluster", "service", "start_time", "end_time"];

/// One tool of a catalog, looked at.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Reference with version and digest; the digest is empty when there is none.
    pub(crate) id: ToolRef,
    /// As declared, with its version filled in.
    pub(crate) descriptor: pb::ToolDescriptor,
    /// What it promises of arguments and results; none when that cannot be read.
    pub(crate) contract: Option<Arc<Contract>>,
    /// Why it is refused.
    pub(crate) rejection: Option<Failure>,
    /// Advice.
    pub(crate) warnings: Vec<String>,
}

/// Looks at all tools of `catalog`. One bad tool never sinks the others.
pub(crate) fn check_all(
    catalog: &pb::PluginCatalog,
    words: &Catalogue,
    known: &Known,
) -> Vec<Checked> {
    let mut seen = BTreeSet::new();
    catalog
        .tools
        .iter()
        .map(|descriptor| {
            let mut checked = check(&catalog.plugin, descriptor.clone(), known);
            if !seen.insert((checked.id.tool.clone(), checked.id.version.clone())) {
                let said = "stands in the catalog twice with this version";
                checked.reject(vec![violation("name", "DUPLICATE", said)]);
            }
            checked.warnings = warnings(&checked.descriptor, words);
            checked.warnings.extend(unasked(&checked));
            checked.warnings.truncate(MAX_FAULTS);
            checked
        })
        .collect()
}

impl Checked {
    /// Refuses it for a reason that is not in its descriptor.
    pub(crate) fn refuse(&mut self, reason: &str, said: &str) {
        self.reject(vec![violation("name", reason, said)]);
    }

    fn reject(&mut self, mut violations: Vec<Violation>) {
        let more = violations.len().saturating_sub(MAX_FAULTS);
        violations.truncate(MAX_FAULTS);
        for one in &mut violations {
            clean::cut(&mut one.field, MAX_SAID);
            clean::cut(&mut one.description, MAX_SAID);
        }
        let mut said: Vec<String> =
            violations.iter().map(|one| format!("{}: {}", one.field, one.description)).collect();
        if more > 0 {
            said.push(format!("and {more} more"));
        }
        let mut said = format!("tool {} was refused: {}", self.id.tool, said.join("; "));
        clean::cut(&mut said, MAX_DESCRIPTION);
        let mut failure = Failure::ours(FailureClass::InvalidArgument, "BAD_DESCRIPTOR", said);
        failure.violations = violations;
        self.rejection = Some(failure);
    }
}

fn check(plugin: &str, mut descriptor: pb::ToolDescriptor, known: &Known) -> Checked {
    if descriptor.version.is_empty() {
        "1.0.0".clone_into(&mut descriptor.version);
    }
    let mut wrong = violations(&descriptor);
    let contract = known.read(&descriptor.input_schema_json, &descriptor.output_schema_json);
    let contract = contract.map_err(|faults| wrong.extend(faults)).ok();
    let digest = digest::tool(&descriptor).unwrap_or_else(|_| {
        let said = "has numbers or text without a canonical JSON form";
        wrong.push(violation("descriptor", "NOT_CANONICAL", said));
        String::new()
    });
    let id = ToolRef {
        plugin: plugin.to_owned(),
        tool: descriptor.name.clone(),
        version: descriptor.version.clone(),
        digest,
    };
    let mut checked = Checked { id, descriptor, contract, rejection: None, warnings: Vec::new() };
    if !wrong.is_empty() {
        checked.reject(wrong);
    }
    checked
}

fn violations(descriptor: &pb::ToolDescriptor) -> Vec<Violation> {
    let mut wrong = Vec::new();
    if !is_tool_name(&descriptor.name) {
        let said = "use 2 to 32 of a-z, 0-9 and _, beginning with a letter, without __";
        wrong.push(violation("name", "BAD_NAME", said));
    }
    if descriptor.version.parse::<Version>().is_err() {
        let said = "is not a semantic version such as 1.4.0";
        wrong.push(violation("version", "BAD_VERSION", said));
    }
    if descriptor.description.trim().is_empty() {
        let said = "say what it does and when to use it";
        wrong.push(violation("description", "REQUIRED", said));
    }
    if descriptor.description.len() > MAX_DESCRIPTION {
        let said = format!("has more than {MAX_DESCRIPTION} bytes");
        wrong.push(violation("description", "TOO_LONG", &said));
    }
    for (at, applies) in descriptor.applies.iter().enumerate() {
        if wrong.len() > MAX_FAULTS {
            break;
        }
        let field = format!("applies[{at}].arguments_template_json");
        template(&applies.arguments_template_json, &field, &mut wrong);
    }
    wrong
}

fn template(text: &str, field: &str, wrong: &mut Vec<Violation>) {
    if text.is_empty() {
        return;
    }
    // What is asked by it is arguments.
    if text.len() > MAX_ARGUMENTS {
        let said = format!("has {} bytes; send at most {MAX_ARGUMENTS}", text.len());
        wrong.push(violation(field, "TOO_LARGE", &said));
        return;
    }
    let names: BTreeSet<&str> = placeholders(text).collect();
    for name in names.into_iter().filter(|name| !PLACEHOLDERS.contains(name)).take(MAX_FAULTS) {
        let said = format!(
            "speaks of {{{name}}}, which is not known; there are {{{}}}",
            PLACEHOLDERS.join("} {")
        );
        wrong.push(violation(field, "UNKNOWN_PLACEHOLDER", &said));
    }
    if !matches!(serde_json::from_str(&filled(text)), Ok(Value::Object(_))) {
        let said = "is not a JSON object once its placeholders are filled in";
        wrong.push(violation(field, "NOT_AN_OBJECT", said));
    }
}

/// The words between braces. Braces of JSON have quotes, braces or nothing behind them, no letters.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(placeholder).map(|(name, _)| name)
}

/// The placeholder that stands before `behind`, a brace and no other after it; and what comes then.
fn placeholder(behind: &str) -> Option<(&str, &str)> {
    let (name, rest) = behind.split_once('}')?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (!name.is_empty() && plain).then_some((name, rest))
}

fn warnings(descriptor: &pb::ToolDescriptor, words: &Catalogue) -> Vec<String> {
    let mut said = Vec::new();
    if descriptor.side_effect() == pb::SideEffect::Unspecified {
        said.push(
            "side_effect is unset and read as DESTRUCTIVE, so that it is not called; \
             a tool that changes nothing declares READ_ONLY"
                .to_owned(),
        );
    }
    if descriptor.side_effect() == pb::SideEffect::Reversible && descriptor.compensation.is_none() {
        said.push("REVERSIBLE without a compensation cannot be undone".to_owned());
    }
    let bare = undescribed(&descriptor.input_schema_json);
    if !bare.is_empty() {
        said.push(format!("arguments without a description: {}", bare.join(", ")));
    }
    said.extend(poisoned(descriptor));
    let schema = serde_json::from_str::<Value>(&descriptor.input_schema_json).unwrap_or_default();
    if ["oneOf", "anyOf"].iter().any(|word| schema.get(word).is_some()) {
        said.push(
            "input_schema_json has oneOf or anyOf at its root, which models do badly".to_owned(),
        );
    }
    if descriptor.examples.is_empty() {
        said.push(
            "has no examples: they show models how it is asked, and plugin-check tries them"
                .to_owned(),
        );
    }
    // `agentd doctor` asks that one, and nobody else need.
    if descriptor.applies.is_empty() && descriptor.name != "check_access" {
        said.push("has no applies: only people and models will call it".to_owned());
    }
    let unknown: BTreeSet<&str> = descriptor
        .applies
        .iter()
        .flat_map(|applies| &applies.emits)
        .map(String::as_str)
        .filter(|signal| !words.knows_any(signal))
        .collect();
    if !unknown.is_empty() {
        let unknown: Vec<&str> = unknown.into_iter().take(20).collect();
        let unknown = unknown.join(", ");
        said.push(format!("signals in emits that no catalogue knows have no weight: {unknown}"));
    }
    said
}

/// Characters in what people and models read that neither sees: a place to hide orders in.
fn poisoned(descriptor: &pb::ToolDescriptor) -> Option<String> {
    let hidden = |c: &char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(u32::from(*c), 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2069 | 0xFEFF | 0xE0000..=0xE007F)
    };
    let texts = [&descriptor.title, &descriptor.description, &descriptor.input_schema_json];
    let found = texts.iter().flat_map(|text| text.chars()).find(hidden)?;
    let code = u32::from(found);
    Some(format!("title, description or schema has the invisible character U+{code:04X}"))
}

/// What the templates of `applies` give that the tool's own schema does not take, or leave out that
/// it wants: such a question is never answered. Placeholders stand for words, so that only names are
/// looked at.
fn unasked(tool: &Checked) -> Vec<String> {
    let Some(contract) = &tool.contract else { return Vec::new() };
    let mut said = Vec::new();
    for (at, applies) in tool.descriptor.applies.iter().enumerate() {
        if said.len() > MAX_FAULTS {
            break;
        }
        let template = &applies.arguments_template_json;
        let filled = if template.is_empty() { "{}".to_owned() } else { filled(template) };
        let faults = contract.check_arguments(&filled).err().map(|failure| failure.violations);
        for fault in faults
            .into_iter()
            .flatten()
            .filter(|fault| ["UNKNOWN", "REQUIRED"].contains(&fault.reason.as_str()))
        {
            said.push(format!(
                "applies[{at}].arguments_template_json: {} {}",
                fault.field, fault.description
            ));
        }
    }
    said
}

/// A template with a word in each place.
fn filled(template: &str) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut parts = template.split('{');
    filled.push_str(parts.next().unwrap_or_default());
    for behind in parts {
        let (instead, rest) = match placeholder(behind) {
            Some((_, rest)) => ('x', rest),
            None => ('{', behind),
        };
        filled.push(instead);
        filled.push_str(rest);
    }
    filled
}

/// Top-level arguments that say nothing of themselves.
fn undescribed(schema: &str) -> Vec<String> {
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .filter(|(_, property)| {
            property.get("description").and_then(Value::as_str).is_none_or(str::is_empty)
        })
        .map(|(name, _)| name.chars().take(64).collect())
        .take(20)
        .collect()
}

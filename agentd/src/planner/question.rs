//! From an applicability and an object to the arguments of a call: the template's placeholders are
//! filled inside JSON strings, so that no name can break out of its place.

use jiff::Timestamp;
use serde_json::Value;

use crate::{alert::Alert, fact::Entity, tool::Applicability};

/// The time a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Begin, when known.
    pub start: Option<Timestamp>,
    /// End, when known.
    pub end: Option<Timestamp>,
}

/// Arguments for the alerted object; none when the template is not a JSON object.
pub(super) fn about_alert(
    applies: &Applicability,
    alert: &Alert,
    window: Window,
) -> Option<String> {
    let entity = Entity {
        kind: String::new(),
        namespace: alert.namespace.clone(),
        name: alert.service.clone(),
        cluster: alert.cluster.clone(),
        container: String::new(),
    };
    about_object(applies, alert, &entity, window)
}

/// Whether the template asks about one object, not about a place.
pub(super) fn names_object(applies: &Applicability) -> bool {
    applies.arguments_template.contains("{name}")
}

/// Arguments for one object.
pub(super) fn about_object(
    applies: &Applicability,
    alert: &Alert,
    entity: &Entity,
    window: Window,
) -> Option<String> {
    let time = |t: Option<Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
    let values = [
        ("{kind}", entity.kind.clone()),
        ("{namespace}", entity.namespace.clone()),
        ("{name}", entity.name.clone()),
        ("{cluster}", entity.cluster.clone()),
        ("{service}", alert.service.clone()),
        ("{start_time}", time(window.start)),
        ("{end_time}", time(window.end)),
    ];
    let template =
        if applies.arguments_template.is_empty() { "{}" } else { &applies.arguments_template };
    let mut arguments: Value = serde_json::from_str(template).ok()?;
    arguments.as_object()?;
    fill(&mut arguments, &values);
    serde_json::to_string(&arguments).ok()
}

fn fill(value: &mut Value, values: &[(&str, String)]) {
    match value {
        Value::String(text) => {
            let mut filled = String::with_capacity(text.len());
            let mut rest = text.as_str();
            // One pass over the template: what a name brings in is not filled again.
            while let Some(open) = rest.find('{') {
                let (before, from) = rest.split_at(open);
                filled.push_str(before);
                match values.iter().find_map(|(k, v)| from.strip_prefix(k).map(|r| (v, r))) {
                    Some((known, after)) => {
                        filled.push_str(known);
                        rest = after;
                    }
                    None => {
                        filled.push('{');
                        rest = from.get(1..).unwrap_or_default();
                    }
                }
            }
            filled.push_str(rest);
            *text = filled;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_inside_strings_and_names_cannot_break_out() {
        let applies = Applicability {
            arguments_template: r#"{"n":"{namespace}","list":["{name}","x-{kind}-{z}"],"top":5}"#
                .to_owned(),
            ..Applicability::default()
        };
        let entity = Entity::new("Pod", "a\",\"evil\":\"", "{kind}");
        let filled = about_object(&applies, &Alert::default(), &entity, Window::default()).unwrap();
        let read: Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"n": "a\",\"evil\":\"", "list": ["{kind}", "x-Pod-{z}"], "top": 5})
        );
    }

    #[test]
    fn a_template_that_is_no_object_asks_nothing() {
        for template in ["[1]", "{", "\"x\""] {
            let applies = Applicability {
                arguments_template: template.to_owned(),
                ..Applicability::default()
            };
            assert_eq!(about_alert(&applies, &Alert::default(), Window::default()), None);
        }
    }
}

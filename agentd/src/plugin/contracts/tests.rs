//! First sight, changes, and what people decide.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::plugin::{admission::descriptor::check_all, fake::descriptor};

fn tool(change: impl FnOnce(&mut pb::ToolDescriptor)) -> Checked {
    let mut declared = descriptor("look");
    change(&mut declared);
    let catalog = pb::PluginCatalog {
        plugin: "probe".to_owned(),
        tools: vec![declared],
        ..pb::PluginCatalog::default()
    };
    let mut checked = check_all(&catalog, &Default::default(), &Default::default()).remove(0);
    assert_eq!(checked.rejection, None);
    checked.warnings.clear();
    checked
}

fn name() -> Name {
    ("probe".to_owned(), "look".to_owned())
}

impl Contracts {
    fn sees(&mut self, tool: &mut Checked) -> Held {
        self.admit(tool, false);
        self.held(&tool.id)
    }
}

#[test]
fn the_first_descriptor_is_taken_and_one_changed_character_waits_for_a_person() {
    let mut contracts = Contracts::default();
    let mut first = tool(|_| {});
    assert_eq!(contracts.sees(&mut first), Held::Free);
    assert!(contracts.admit(&mut first, false).is_empty(), "nothing new, nothing to write");
    let mut changed = tool(|tool| tool.description.push('.'));
    let Held::Quarantined(reason) = contracts.sees(&mut changed) else { unreachable!("let in") };
    assert_eq!(
        reason,
        "version 1.0.0 changed without a new number, which is the tool's own and not the plugin's: \
         description"
    );
    assert_eq!(contracts.held(&first.id), Held::Free, "the one that was looked at is still good");

    assert!(contracts.activate(&name(), "").is_ok(), "to switch it on accepts nothing");
    assert!(matches!(contracts.held(&changed.id), Held::Quarantined(_)));
    let kept = contracts.activate(&name(), &first.id.digest);
    assert!(kept.is_ok(), "the accepted one may be named");
    assert_eq!(contracts.held(&changed.id), Held::Quarantined(reason), "what waits still waits");
    assert!(matches!(contracts.activate(&name(), "sha256:x"), Err(Error::Stale { .. })));
    contracts.activate(&name(), &changed.id.digest).unwrap();
    assert_eq!(contracts.held(&changed.id), Held::Free);
    assert!(matches!(contracts.sees(&mut first), Held::Quarantined(_)), "replaced");
}

#[test]
fn a_new_version_is_taken_unless_it_claims_to_be_more_harmless() {
    let risky = |tool: &mut pb::ToolDescriptor| {
        tool.side_effect = pb::SideEffect::Reversible.into();
        tool.risk = pb::RiskLevel::High.into();
        tool.approval = pb::ApprovalRequirement::Always.into();
    };
    for (softened, field) in [
        (
            (|tool| tool.side_effect = pb::SideEffect::ReadOnly.into())
                as fn(&mut pb::ToolDescriptor),
            "side_effect",
        ),
        (|tool| tool.risk = pb::RiskLevel::Low.into(), "risk"),
        (|tool| tool.approval = pb::ApprovalRequirement::ByPolicy.into(), "approval"),
    ] {
        let mut contracts = Contracts::default();
        contracts.sees(&mut tool(risky));
        let mut same = tool(|tool| {
            risky(tool);
            tool.version = "1.1.0".to_owned();
        });
        assert_eq!(contracts.sees(&mut same), Held::Free);
        let mut next = tool(|tool| {
            risky(tool);
            tool.version = "2.0.0".to_owned();
            softened(tool);
        });
        let Held::Quarantined(reason) = contracts.sees(&mut next) else { unreachable!("let in") };
        assert!(reason.ends_with(&format!("than 1.1.0: {field}")), "{reason}");
    }
}

#[test]
fn what_people_decided_and_what_waits_outlives_the_process() {
    let mut contracts = Contracts::default();
    let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut keep = |records: Vec<Record>| {
        kept.extend(records.into_iter().map(|(key, bytes)| (key, bytes.unwrap())));
    };
    let (mut first, mut changed) = (tool(|_| {}), tool(|tool| tool.title = "new".to_owned()));
    keep(contracts.admit(&mut first, false));
    keep(contracts.admit(&mut changed, false));
    keep(contracts.disable(&name(), "too slow").unwrap());
    let mut again = Contracts::read(kept);
    assert_eq!(again.held(&first.id), Held::Disabled("too slow".to_owned()));
    assert!(matches!(again.activate(&name(), "sha256:x"), Err(Error::Stale { .. })));
    again.activate(&name(), &changed.id.digest).unwrap();
    assert_eq!(
        again.held(&changed.id),
        Held::Disabled("too slow".to_owned()),
        "to accept a contract is not to switch the tool on"
    );
    again.activate(&name(), "").unwrap();
    assert_eq!(again.held(&changed.id), Held::Free);
    assert!(again.disable(&("probe".to_owned(), "other".to_owned()), "").is_err());
}

#[test]
fn a_plugin_of_our_own_run_may_change_its_mind() {
    let mut contracts = Contracts::default();
    contracts.sees(&mut tool(|_| {}));
    let mut changed = tool(|tool| tool.description.push('.'));
    contracts.admit(&mut changed, true);
    assert_eq!(contracts.held(&changed.id), Held::Free);
}

#[test]
fn no_flood_of_versions_or_names_lets_a_softer_tool_in() {
    let version = |number: usize, risk: pb::RiskLevel| {
        tool(|tool| {
            tool.version = format!("2.0.{number}");
            tool.risk = risk.into();
        })
    };
    let mut contracts = Contracts::default();
    let mut first = tool(|tool| tool.risk = pb::RiskLevel::High.into());
    assert_eq!(contracts.sees(&mut first), Held::Free);
    for number in 0..2 * VERSIONS {
        let mut softer = version(number, pb::RiskLevel::Low);
        assert!(matches!(contracts.sees(&mut softer), Held::Quarantined(_)), "{number}");
    }
    assert_eq!(contracts.held(&first.id), Held::Free, "what was accepted is not forgotten");
    let mut forgotten = version(0, pb::RiskLevel::Low);
    assert!(matches!(contracts.held(&forgotten.id), Held::Quarantined(_)), "nor taken for free");
    contracts.admit(&mut forgotten, false);
    assert!(matches!(contracts.held(&forgotten.id), Held::Quarantined(_)));
    for number in 0..2 * VERSIONS {
        contracts.sees(&mut version(100 + number, pb::RiskLevel::High));
    }
    assert!(contracts.known[&name()].versions.len() <= VERSIONS);

    let mut refused = 0;
    for number in 0..=TOOLS_OF_ONE {
        let mut other = tool(|tool| tool.name = format!("look_{number}"));
        contracts.admit(&mut other, false);
        refused += usize::from(other.rejection.is_some());
    }
    assert_eq!(refused, 2, "one name is known already, and so many may be");
}

#[test]
fn a_tool_that_waits_at_first_sight_waits_on_whatever_it_says_next() {
    let mut contracts = Contracts::default();
    for right in ["k8s:pods/delete", "k8s:pods/DELETE", "k8s:pods/list"] {
        let mut tool = tool(|tool| tool.permissions = vec![right.to_owned()]);
        assert!(matches!(contracts.sees(&mut tool), Held::Quarantined(_)), "{right}");
    }
    let mut built = tool(|_| {});
    let mut contracts = Contracts::default();
    contracts.sees(&mut built);
    let mut again = tool(|tool| {
        tool.version = "1.0.0+build".to_owned();
        tool.description.push('.');
    });
    assert!(matches!(contracts.sees(&mut again), Held::Quarantined(_)), "no other version");
}

#[test]
fn a_number_that_says_too_little_is_told_with_the_one_that_would() {
    let schema = |text: &'static str| {
        move |tool: &mut pb::ToolDescriptor| tool.input_schema_json = text.to_owned()
    };
    let old = r#"{"type":"object","properties":{"a":{"type":"string","description":"x"},"b":{"type":"integer"}}}"#;
    for (new, version, expected) in [
        (old, "1.0.1", ""),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","description":"y"},"b":{"type":"integer"}}}"#,
            "1.0.1",
            "",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"}}}"#,
            "1.1.0",
            "removes the argument b; that is version 2.0.0",
        ),
        (r#"{"type":"object","properties":{"a":{"type":"string"}}}"#, "2.0.0", ""),
        (
            r#"{"type":"object","required":["a"],"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}"#,
            "1.1.0",
            "requires the argument a; that is version 2.0.0",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":["integer","null"]}}}"#,
            "1.0.1",
            "widens the argument b; that is version 1.1.0",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#,
            "1.1.0",
            "changes the argument b; that is version 2.0.0",
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"c":true}}"#,
            "1.1.0",
            "",
        ),
    ] {
        let mut contracts = Contracts::default();
        contracts.sees(&mut tool(schema(old)));
        let mut next = tool(|tool| {
            schema(new)(tool);
            tool.version = version.to_owned();
        });
        assert_eq!(contracts.sees(&mut next), Held::Free);
        assert!(next.warnings.join("; ").ends_with(expected), "{:?}", next.warnings);
        assert_eq!(next.warnings.is_empty(), expected.is_empty(), "{:?}", next.warnings);
    }
}

#[test]
fn a_digest_that_is_none_of_its_is_refused_though_nothing_waits() {
    let mut contracts = Contracts::default();
    let mut first = tool(|_| {});
    contracts.sees(&mut first);
    let refused = contracts.activate(&name(), "sha256:x").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "sha256:x is no digest of probe.look, of which nothing waits to be accepted; look at it \
         again with agentd tools show probe.look"
    );
    assert!(contracts.activate(&name(), &first.id.digest).is_ok(), "it is accepted as it is");
}

#[test]
fn one_that_is_off_and_waits_is_switched_on_and_waits_on() {
    let mut contracts = Contracts::default();
    let mut first = tool(|tool| tool.permissions = vec!["k8s:pods/delete".to_owned()]);
    contracts.sees(&mut first);
    assert!(contracts.activate(&name(), "").is_err(), "there is nothing to switch on");
    contracts.disable(&name(), "odd").unwrap();
    contracts.activate(&name(), "").unwrap();
    assert!(matches!(contracts.held(&first.id), Held::Quarantined(_)));
}

#[test]
fn what_waits_is_compared_with_what_was_accepted_before_it() {
    let mut contracts = Contracts::default();
    let mut first = tool(|_| {});
    contracts.sees(&mut first);
    let mut newer = tool(|tool| tool.version = "1.1.0".to_owned());
    contracts.sees(&mut newer);
    assert_eq!(contracts.accepted_before(&first.id), None, "it does not wait");
    let mut changed = tool(|tool| tool.description.push('.'));
    contracts.sees(&mut changed);
    assert_eq!(contracts.accepted_before(&changed.id).unwrap().version, "1.0.0");
    assert!(changed.warnings.is_empty(), "told as the reason: {:?}", changed.warnings);
    let mut softer = tool(|tool| {
        tool.version = "1.2.0".to_owned();
        tool.permissions = vec!["k8s:nodes/get".to_owned()];
    });
    contracts.sees(&mut softer);
    assert_eq!(contracts.accepted_before(&softer.id).unwrap().version, "1.1.0");
}

//! The two catalogues as messages: signals and causes in force, and who brought them.

use std::collections::BTreeSet;

use agent_proto::{tool::v1 as tool, v1 as pb};

use crate::{
    plugin::registry::Registry,
    reasoner::catalogue::{Cause, Clause, Polarity, Signal},
};

/// Every signal in force, then those that were spoken and no catalogue knows; by name.
pub(super) fn signals(registry: &Registry) -> Vec<pb::SignalInfo> {
    let words = registry.catalogue();
    let mut all: Vec<pb::SignalInfo> = words.signals().map(signal).collect();
    all.extend(registry.unknown_signals().into_iter().map(|(name, plugin, times)| {
        pb::SignalInfo {
            signal: Some(tool::SignalDescriptor {
                name,
                meaning: "in no catalogue: shown, without weight".to_owned(),
                polarity: tool::SignalPolarity::Unspecified.into(),
            }),
            source: format!("plugin {plugin}"),
            unknown_count: i32::try_from(times).unwrap_or(i32::MAX),
            about: String::new(),
        }
    }));
    all.sort_by_key(key);
    all
}

/// Sorts signals; one name may be spoken by several plugins that nobody understands.
pub(super) fn key(signal: &pb::SignalInfo) -> String {
    let name = signal.signal.as_ref().map_or("", |signal| signal.name.as_str());
    format!("{name}\u{1}{}", signal.source)
}

fn signal(signal: &Signal) -> pb::SignalInfo {
    let polarity = match signal.polarity {
        Polarity::Neutral => tool::SignalPolarity::Neutral,
        Polarity::Harm => tool::SignalPolarity::Harm,
        Polarity::Health => tool::SignalPolarity::Health,
        Polarity::Change => tool::SignalPolarity::Change,
    };
    pb::SignalInfo {
        signal: Some(tool::SignalDescriptor {
            name: signal.signal.clone(),
            meaning: signal.meaning.clone(),
            polarity: polarity.into(),
        }),
        source: signal.source.to_string(),
        unknown_count: 0,
        about: signal.about.clone(),
    }
}

/// A cause, without its document.
pub(super) fn cause(cause: &Cause) -> pb::CauseInfo {
    let named = |clauses: &[Clause]| -> Vec<String> {
        let mut told = BTreeSet::new();
        let all = clauses.iter().flat_map(|clause| clause.any.iter().cloned());
        all.filter(|signal| told.insert(signal.clone())).collect()
    };
    pb::CauseInfo {
        category: cause.category().to_owned(),
        title: cause.title.clone(),
        culprit_kinds: cause.culprit_kinds.clone(),
        signals_for: named(&cause.speaks_for),
        signals_against: named(&cause.against),
        source: cause.source.to_string(),
        id: cause.id.clone(),
        question: cause.question.clone(),
        document: String::new(),
    }
}

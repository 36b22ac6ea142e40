//! What the HTTP door shows: readiness, and numbers that are looked up when they are asked for.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    engine::Engine,
    http::{JournalReadiness, PluginReadiness, Readiness},
    plugin::{
        Tools,
        registry::{self, PluginView, Registry, Standing},
    },
    telemetry::metrics::Metrics,
};

/// Numbers that are looked up when they are asked for rather than counted as things happen.
pub(super) struct Gauges {
    registry: Registry,
    tools: Tools,
    metrics: Metrics,
    told: Mutex<Told>,
}

/// What was told last: plugins by name, leases that had run out, results that were used again.
#[derive(Default)]
struct Told {
    plugins: BTreeSet<String>,
    expired: u64,
    used_again: u64,
}

/// States of an instance, as the gauge names them.
const STATES: [&str; 3] = ["ready", "unready", "draining"];
/// Standings of a tool, as the gauge names them.
const STANDINGS: [(Standing, &str); 5] = [
    (Standing::Active, "active"),
    (Standing::Unavailable, "unavailable"),
    (Standing::Tripped, "tripped"),
    (Standing::Quarantined, "quarantined"),
    (Standing::Disabled, "disabled"),
];

impl Gauges {
    pub(super) fn new(registry: Registry, tools: Tools, metrics: Metrics) -> Self {
        Self { registry, tools, metrics, told: Mutex::default() }
    }

    pub(super) fn text(&self) -> String {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins = present(&self.registry);
        let names: BTreeSet<String> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
        for gone in told.plugins.difference(&names) {
            self.metrics.plugin_forgotten(gone, &STATES);
        }
        for plugin in &plugins {
            for state in STATES {
                let in_state = plugin.instances.iter().filter(|i| word(i.readiness) == state);
                self.metrics.plugin_instances(&plugin.name, state, in_state.count());
            }
        }
        let tools = self.registry.tools();
        for (standing, word) in STANDINGS {
            self.metrics.tools(word, tools.iter().filter(|t| t.standing == standing).count());
        }
        let (expired, used_again) = (self.registry.expirations(), self.tools.results_used_again());
        self.metrics.leases_expired(expired.saturating_sub(told.expired));
        self.metrics.cache_hits("results", used_again.saturating_sub(told.used_again));
        *told = Told { plugins: names, expired, used_again };
        self.metrics.text()
    }
}

/// Plugins that are here; those that were only refused are not.
fn present(registry: &Registry) -> Vec<PluginView> {
    let mut plugins = registry.plugins();
    plugins.retain(|plugin| !plugin.instances.is_empty());
    plugins
}

fn word(readiness: registry::Readiness) -> &'static str {
    match readiness {
        registry::Readiness::Ready => "ready",
        registry::Readiness::Unready => "unready",
        registry::Readiness::Draining => "draining",
    }
}

/// What `/readyz` tells. Investigations are taken without plugins, too, but could ask nobody.
pub(super) fn readiness(registry: &Registry, engine: &Engine) -> Readiness {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let plugins: Vec<PluginReadiness> = present(registry)
        .into_iter()
        .map(|plugin| PluginReadiness {
            name: plugin.name.clone(),
            instances: count(plugin.instances.len()),
            ready: count(
                plugin
                    .instances
                    .iter()
                    .filter(|i| i.readiness == registry::Readiness::Ready)
                    .count(),
            ),
        })
        .collect();
    Readiness {
        ready: plugins.iter().any(|plugin| plugin.ready > 0),
        llm_available: false,
        using_fallback: true,
        plugins,
        journal: JournalReadiness {
            state: match engine.lost() {
                0 => "ok".to_owned(),
                n => format!("could not be written: {n} investigation(s) were lost"),
            },
        },
    }
}

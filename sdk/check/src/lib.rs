//! Plays agentd to a plugin in any language and says which rules of the contract it breaks: it
//! registers, renews, forgets, refuses, calls, cancels and kills as an agentd may, and watches. It
//! knows plugins by the wire only, and shares no code with the daemon or the SDK.

pub mod options;
pub mod report;
pub mod run;
pub mod verdict;

mod agentd;
mod exchange;
mod fixtures;
mod later;
mod line;
mod means;
mod program;
mod scene;
mod schema;
mod spec;
mod stage;

/// The checks that are played on one plugin process with `id`, itself among them: what a fault of
/// `id` might disturb.
#[must_use]
pub fn played_with(id: &str) -> Vec<&'static str> {
    let scenes = scene::SCENES.iter().map(|scene| scene.ids()).filter(|ids| ids.contains(&id));
    scenes.flatten().copied().collect()
}

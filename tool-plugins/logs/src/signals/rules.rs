//! The wording of failures, as data. The order decides: of several rules that fit a line the first
//! counts, as "lock wait timeout" is about a lock and "pool timed out" about a pool.

mod caches;
mod database;
pub(super) mod load;
mod names;
mod network;
mod reach;
mod resources;
mod settings;
pub(super) mod stores;

use crate::level::Level;

/// Phrases of one mechanism.
pub(super) struct Rule {
    /// Signal of the catalogue.
    pub(super) signal: &'static str,
    /// Least level of a line that may speak of it.
    pub(super) least: Level,
    /// What is said, in any case.
    pub(super) phrases: &'static [&'static str],
}

/// All rules, in the order that decides.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    let tables = [
        caches::RULES,
        stores::RULES,
        load::RULES,
        resources::RULES,
        database::RULES,
        names::RULES,
        network::RULES,
        reach::RULES,
        settings::RULES,
    ];
    tables.into_iter().flatten()
}

//! One instance in its place, with what came with it and what it was told.

use std::sync::Arc;

use agent_proto::tool::v1 as pb;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    guard::tokens::Who,
    plugin::{admission::MAX_TOOLS, instance::Instance},
    reasoner::catalogue::guest::Guest,
};

/// Tools of one instance that were refused and are shown.
const MAX_REFUSED: usize = 20;

/// One instance in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) lease: String,
    pub(super) instance: Arc<Instance>,
    /// Who placed it.
    pub(super) by: Who,
    pub(super) guest: Guest,
    /// Tools of its that were refused.
    pub(super) refused: Vec<pb::ToolVerdict>,
    /// What it was told of its tools.
    pub(super) told: Vec<Told>,
    /// That its lease ran out was told.
    pub(super) has_lapsed: bool,
    // Held so that the question for its health ends with the place.
    _health: AbortOnDropHandle<()>,
}

/// What was told of one tool that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    tool: String,
    digest: String,
    /// A digest of why it was refused; none when it waits for a person.
    refused: Option<[u8; 32]>,
}

// === impl Told ===

impl Told {
    /// What `verdict` tells; none of a tool that can be called.
    pub(super) fn of(verdict: &pb::ToolVerdict) -> Option<Self> {
        if verdict.accepted {
            return None;
        }
        let pb::ToolRef { tool, digest, .. } = verdict.tool.clone().unwrap_or_default();
        let refused = verdict.rejection.as_ref().map(|why| Sha256::digest(&why.message).into());
        Some(Self { tool, digest, refused })
    }
}

// === impl Placed ===

impl Placed {
    pub(super) fn new(
        lease: &str,
        (instance, by): (Arc<Instance>, Who),
        health: JoinHandle<()>,
        guest: Guest,
    ) -> Self {
        let _health = AbortOnDropHandle::new(health);
        let (lease, told, refused) = (lease.to_owned(), Vec::new(), Vec::new());
        Self { lease, instance, by, guest, refused, told, has_lapsed: false, _health }
    }

    /// With what it was told of its tools. Of those that were refused few are kept: they are for
    /// people, who mend them one after the other.
    pub(super) fn judged(mut self, verdicts: &[pb::ToolVerdict]) -> Self {
        let refused = verdicts.iter().filter(|verdict| verdict.rejection.is_some());
        self.refused = refused.take(MAX_REFUSED).cloned().collect();
        self.told = verdicts.iter().take(MAX_TOOLS).filter_map(Told::of).collect();
        self
    }
}

//! One tool at one version and digest, with the stack that calls to it go through.

use std::{collections::BTreeMap, sync::Arc};

use agent_proto::tool::v1 as pb;

use crate::{
    guard::{
        breaker::{self, Breaker},
        rate::Bucket,
    },
    plugin::{
        admission::descriptor::Checked,
        bell::Bell,
        client::Client,
        news::{Kind, Subject},
        route::Pool,
        schema::Contract,
        semver::Version,
        stack::{self, ToolStack},
    },
    tool::{RateLimit, ToolSpec},
};

/// One tool at one version and digest.
#[derive(Debug)]
pub(crate) struct Offer {
    descriptor: Arc<pb::ToolDescriptor>,
    contract: Arc<Contract>,
    warnings: Vec<String>,
    pool: Arc<Pool>,
    breaker: Breaker,
    stack: ToolStack,
}

/// Rates that all instances of a tool share, by plugin and tool: versions that stand side by side
/// ask the same backend.
pub(super) type Buckets = BTreeMap<(String, String), (RateLimit, Bucket)>;

// === impl Offer ===

impl Offer {
    pub(super) fn new(
        spec: ToolSpec,
        (tool, contract): (&Checked, &Arc<Contract>),
        bucket: Option<Bucket>,
        bell: &Arc<Bell>,
    ) -> Self {
        let spec = Arc::new(spec);
        let pool = Arc::new(Pool::new(spec, Arc::clone(bell)));
        let breaker = Breaker::told(breaker::Config::default(), tripping(pool.spec(), bell));
        let stack = stack::build(Arc::clone(&pool), (breaker.clone(), bucket), Client);
        let descriptor = Arc::new(tool.descriptor.clone());
        let (contract, warnings) = (Arc::clone(contract), tool.warnings.clone());
        Self { descriptor, contract, warnings, pool, breaker, stack }
    }

    /// The tool as the daemon reads it.
    pub(crate) fn spec(&self) -> &Arc<ToolSpec> {
        self.pool.spec()
    }

    /// What it promises of arguments and results.
    pub(crate) fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// As its plugin declared it.
    pub(crate) fn descriptor(&self) -> &Arc<pb::ToolDescriptor> {
        &self.descriptor
    }

    /// Advice to its author.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The instances that offer it.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Its breaker.
    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The stack that calls go through; limits are shared by all of these.
    pub(crate) fn stack(&self) -> ToolStack {
        self.stack.clone()
    }

    /// By what one of several versions is chosen: one that works before one whose breaker is open,
    /// then what is not deprecated, then a release, then the highest version.
    pub(super) fn rank(&self) -> (bool, bool, bool, Option<Version>) {
        let tripped = matches!(self.breaker.standing(), breaker::Standing::Open(_));
        let version: Option<Version> = self.descriptor.version.parse().ok();
        let released = version.as_ref().is_some_and(Version::is_release);
        (!tripped, self.descriptor.deprecation.is_empty(), released, version)
    }
}

/// Tells of a breaker that opens or closes.
fn tripping(spec: &Arc<ToolSpec>, bell: &Arc<Bell>) -> breaker::Told {
    let (spec, bell) = (Arc::clone(spec), Arc::downgrade(bell));
    Arc::new(move |tripped| {
        let Some(bell) = bell.upgrade() else { return };
        let (kind, said) = if tripped {
            (Kind::ToolTripped, "fails again and again and is left alone for a while")
        } else {
            (Kind::ToolRecovered, "works again")
        };
        let subject = Subject::tool(&spec.id.plugin, &spec.id.tool);
        bell.news.tell(kind, subject, format!("{} {said}", spec.id));
    })
}

/// Calls a second.
fn rate(limit: &RateLimit) -> f64 {
    f64::from(limit.calls) / limit.period.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The bucket of a tool whose instances share one rate; of versions that differ in it, the tighter
/// one that is there.
pub(super) fn shared_bucket(buckets: &mut Buckets, spec: &ToolSpec) -> Option<Bucket> {
    let limit = spec.rate_limit.filter(|limit| limit.shared)?;
    let name = (spec.id.plugin.clone(), spec.id.tool.clone());
    if let Some((held, bucket)) = buckets.get(&name)
        && rate(held) <= rate(&limit)
    {
        return Some(bucket.clone());
    }
    let bucket = Bucket::new(limit)?;
    buckets.insert(name, (limit, bucket.clone()));
    Some(bucket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::guard::policy::tests::spec;

    #[test]
    fn a_tool_that_works_again_is_told_of_as_one_that_does() {
        let bell = Arc::new(Bell::default());
        let tell = tripping(&Arc::new(spec("look", crate::tool::SideEffect::ReadOnly)), &bell);
        tell(true);
        tell(false);
        let told = bell.news.after(0).unwrap();
        let kinds: Vec<Kind> = told.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [Kind::ToolTripped, Kind::ToolRecovered]);
        assert!(told.iter().all(|event| event.subject.tool == "look"), "{told:?}");
    }
}

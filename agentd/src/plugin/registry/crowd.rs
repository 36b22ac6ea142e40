//! How many may come, and how often: bounds on what strangers can make the registry hold and do.

use std::time::Duration;

use super::{Error, entry::State};
use crate::{guard::rate::Bucket, tool::RateLimit};

/// Instances of one plugin at most, and of all.
const MAX_INSTANCES: usize = 256;
const MAX_INSTANCES_IN_ALL: usize = 4096;
/// How often one plugin may register, all its replicas together: after the daemon was away all of
/// them come at once.
const REGISTRATIONS: RateLimit = RateLimit {
    calls: 5,
    period: Duration::from_secs(1),
    burst: 300,
    max_concurrent: 0,
    shared: true,
};
/// Plugins whose registrations are counted; names are free.
const MAX_DOORS: usize = 4096;

impl State {
    /// Slows down a plugin that registers without end. Many replicas may come at once.
    pub(super) fn hurry(&mut self, plugin: &str) -> Result<(), Error> {
        if self.doors.len() > MAX_DOORS {
            self.doors.clear();
        }
        let door = match self.doors.get(plugin) {
            Some(door) => door.clone(),
            None => {
                let Some(door) = Bucket::new(REGISTRATIONS) else { return Ok(()) };
                self.doors.insert(plugin.to_owned(), door.clone());
                door
            }
        };
        door.take().map_err(|refused| Error::TooOften {
            plugin: plugin.to_owned(),
            wait: refused.retry_after.unwrap_or_default(),
        })
    }

    /// Refuses one instance more than there may be. One that is here already comes back.
    pub(super) fn check_crowd(&self, id: &str, plugin: &str) -> Result<(), Error> {
        let own = self.instances().filter(|instance| instance.plugin == plugin).count();
        let full = own >= MAX_INSTANCES || self.instances.len() >= MAX_INSTANCES_IN_ALL;
        if full && !self.instances.contains_key(id) {
            return Err(Error::TooManyInstances { plugin: plugin.to_owned(), own });
        }
        Ok(())
    }
}

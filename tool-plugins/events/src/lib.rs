//! Events of a cluster as signals: what kubelet, scheduler and controllers said, read into the
//! words of the catalogue, gathered per object. Events are forgotten by the cluster after about
//! an hour: their absence proves nothing. Nothing here names a cause across objects.

pub mod args;
pub mod events;
mod gather;
mod read;
mod scaling;
pub mod tools;

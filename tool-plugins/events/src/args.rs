//! What may be asked of this plugin's tool.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where to look.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Where {
    /// Namespace to look into; empty finds it from the service, else looks everywhere. Events
    /// about nodes and other cluster-wide objects are always told.
    pub namespace: String,
    /// The alerted service, or the name of a workload, Service or pod; empty looks at all.
    pub service: String,
}

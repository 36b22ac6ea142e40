//! The alerts that joined an investigation, as clients see them with it.

use agent_proto::v1;

use crate::{
    investigation::Investigation,
    journal::{self, Journal},
    rpc::convert::{alert as convert, int},
};

/// Alerts shown; what is beyond is counted.
const SHOWN: usize = 20;
/// Entries looked through for them: words that one is over stand between.
const LOOKED_AT: usize = 200;

/// An investigation with what joined it.
///
/// # Errors
/// When the journal cannot be read.
pub(super) fn write(
    journal: &Journal,
    investigation: &Investigation,
) -> Result<v1::Investigation, journal::Error> {
    let mut message = counted(journal, investigation)?;
    if message.attached_alert_count > 0 {
        let joined = journal.joined(investigation.id, 0, LOOKED_AT)?;
        let alerts = joined.iter().filter(|(_, attached)| !attached.resolved).take(SHOWN);
        message.attached_alerts =
            alerts.map(|(_, attached)| convert::write_alert(&attached.alert)).collect();
    }
    Ok(message)
}

/// An investigation with how many joined it, for lists.
///
/// # Errors
/// When the journal cannot be read.
pub(super) fn counted(
    journal: &Journal,
    investigation: &Investigation,
) -> Result<v1::Investigation, journal::Error> {
    let tally = journal.tally(investigation.id)?;
    Ok(v1::Investigation {
        attached_alert_count: int(tally.alerts),
        resolved_alert_count: int(tally.resolved),
        ..convert::write_investigation(investigation)
    })
}

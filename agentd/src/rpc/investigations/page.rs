//! Listing, newest first, out of the journal. Tokens are those of [`crate::rpc::page`].

use tonic::Status;
use uuid::Uuid;

use agent_proto::v1;

use super::joined;
use crate::{
    investigation::{Investigation, InvestigationId, Phase},
    journal::Journal,
    plugin::wire,
    rpc::{
        convert::alert as convert,
        page::{Asked, open, seal, wrong},
        status::Problem,
    },
};

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 500;

/// Answers one page.
pub(super) fn list(
    journal: &Journal,
    request: &v1::ListInvestigationsRequest,
) -> Result<v1::ListInvestigationsResponse, Status> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_SIZE,
        Ok(size) => size.min(MAX_SIZE),
        Err(_) => return Err(wrong("page_size", "NEGATIVE", "give 0 or more").into()),
    };
    let mut phases = Vec::new();
    for state in &request.states {
        let state = v1::InvestigationState::try_from(*state).map_err(|_| {
            wrong("states", "UNKNOWN", &format!("{state} is no InvestigationState"))
        })?;
        phases.push(convert::read_phase(state));
    }
    let filter = format!(
        "{:?}|{}|{:?}|{:?}",
        request.states, request.principal, request.created_after, request.labels
    );
    let before = match request.page_token.as_str() {
        "" => None,
        token => Some(before(Asked { size: request.page_size, token, filter: &filter })?),
    };
    let page = journal
        .list(before, size, |investigation| matches(request, &phases, investigation))
        .map_err(|error| Problem::from(&error))?;
    let mut investigations = Vec::with_capacity(page.investigations.len());
    for mut investigation in page.investigations {
        investigation.report = None;
        let counted = joined::counted(journal, &investigation).map_err(|e| Problem::from(&e))?;
        investigations.push(counted);
    }
    Ok(v1::ListInvestigationsResponse {
        next_page_token: page
            .next
            .map(|id| seal(&id.0.simple().to_string(), &filter))
            .unwrap_or_default(),
        investigations,
    })
}

fn before(asked: Asked<'_>) -> Result<InvestigationId, Problem> {
    let key = open(asked)?;
    let id = Uuid::try_parse(&key)
        .map_err(|_| wrong("page_token", "BAD_PAGE_TOKEN", "is no token of this list"))?;
    Ok(InvestigationId(id))
}

fn matches(
    request: &v1::ListInvestigationsRequest,
    phases: &[Phase],
    investigation: &Investigation,
) -> bool {
    let created = request.created_after.as_ref().and_then(|t| wire::timestamp_from(Some(t)));
    (phases.is_empty() || phases.contains(&investigation.phase))
        && (request.principal.is_empty() || request.principal == investigation.principal)
        && created.is_none_or(|after| investigation.created >= after)
        && request.labels.iter().all(|(key, value)| investigation.labels.get(key) == Some(value))
}

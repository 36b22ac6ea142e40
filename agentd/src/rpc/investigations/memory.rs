//! `SubmitFeedback` and `SearchEpisodes`: requests checked whole, hits cut into pages. Tokens are
//! those of [`crate::rpc::page`].

use jiff::Timestamp;
use tonic::Status;

use agent_proto::v1;

use super::check::{self, Faults, bounded};
use crate::{
    alert::{MAX_NAME, MAX_TEXT},
    engine::{Engine, Judged, Search},
    investigation::InvestigationId,
    memory::{
        Asked, Hit,
        feedback::{MAX_CAUSE, MAX_COMMENT},
    },
    rpc::{convert::memory as convert, page},
};

const SIZES: page::Sizes = page::Sizes { usual: 10, most: 100 };
/// Likeness is compared to three places: what is left of 1, in thousandths, sorts the best first.
const BEST: f64 = 1000.0;

/// A `SubmitFeedback` request, checked.
pub(super) fn judged(
    request: v1::SubmitFeedbackRequest,
    principal: String,
) -> Result<Judged, Status> {
    let mut faults = Faults::default();
    let id = investigation("name", &request.name, &mut faults);
    let judgement = match v1::Judgement::try_from(request.judgement) {
        Ok(given) => convert::read_judgement(given),
        Err(_) => None,
    };
    if judgement.is_none() {
        let said = "say JUDGEMENT_CORRECT, JUDGEMENT_PARTLY_CORRECT or JUDGEMENT_INCORRECT";
        let reason = if request.judgement == 0 { "REQUIRED" } else { "UNKNOWN" };
        faults.add("judgement", reason, said);
    }
    for (field, text, max) in [
        ("actual_root_cause", &request.actual_root_cause, MAX_CAUSE),
        ("resolution", &request.resolution, MAX_CAUSE),
        ("comment", &request.comment, MAX_COMMENT),
    ] {
        bounded(field, text, max, &mut faults);
    }
    let request_id = check::request_id(&request.request_id, &mut faults);
    faults.none()?;
    let (Some(id), Some(judgement)) = (id, judgement) else {
        // Both are told as faults above.
        return Err(Status::internal("a fault was not told"));
    };
    Ok(Judged {
        id,
        judgement,
        cause: request.actual_root_cause,
        resolution: request.resolution,
        comment: request.comment,
        request_id,
        principal,
    })
}

/// A `SearchEpisodes` request, checked.
pub(super) fn search(request: &v1::SearchEpisodesRequest) -> Result<Search, Status> {
    let mut faults = Faults::default();
    let like = match request.similar_to.as_str() {
        "" => None,
        name => investigation("similar_to", name, &mut faults),
    };
    if request.query.trim().is_empty() && request.similar_to.is_empty() {
        faults.add(
            "query",
            "REQUIRED",
            "give words (\"*\" finds all), or an investigation in similar_to",
        );
    }
    bounded("query", &request.query, MAX_TEXT, &mut faults);
    for (field, text) in [
        ("service", &request.service),
        ("namespace", &request.namespace),
        ("alert_type", &request.alert_type),
    ] {
        bounded(field, text, MAX_NAME, &mut faults);
    }
    if !(0.0..=1.0).contains(&request.min_similarity) {
        faults.add("min_similarity", "OUT_OF_RANGE", "give 0 to 1");
    }
    if request.page_size < 0 {
        faults.add("page_size", "NEGATIVE", "give 0 or more");
    }
    let filter = filter(request);
    if !request.page_token.is_empty() && page::open(asked(request, &filter)).is_err() {
        let said = "is none of ours or belongs to another query; begin again without a token";
        faults.add("page_token", "BAD_PAGE_TOKEN", said);
    }
    faults.none()?;
    let asked = Asked {
        query: request.query.clone(),
        like: None,
        service: request.service.clone(),
        namespace: request.namespace.clone(),
        kind: request.alert_type.clone(),
        least: request.min_similarity,
    };
    Ok(Search { asked, like })
}

/// The page that was asked for, with what recurs among all that was found on the first one.
pub(super) fn page(
    engine: &Engine,
    hits: Vec<Hit>,
    request: &v1::SearchEpisodesRequest,
) -> Result<v1::SearchEpisodesResponse, Status> {
    let patterns = if request.page_token.is_empty() { engine.recurring(&hits) } else { Vec::new() };
    let filter = filter(request);
    let page = page::page(hits, key, asked(request, &filter), SIZES)?;
    let found = page.items.iter().filter_map(|hit| Some((hit, engine.case(hit.id)?)));
    Ok(v1::SearchEpisodesResponse {
        episodes: found.map(|(hit, case)| convert::write_episode(hit, &case)).collect(),
        next_page_token: page.next,
        patterns: patterns.iter().map(convert::write_pattern).collect(),
    })
}

fn asked<'a>(request: &'a v1::SearchEpisodesRequest, filter: &'a str) -> page::Asked<'a> {
    page::Asked { size: request.page_size, token: &request.page_token, filter }
}

/// All that decides what is found: a token is good for the same search only.
fn filter(request: &v1::SearchEpisodesRequest) -> String {
    format!(
        "episodes|{:?}|{:?}|{:?}|{:?}|{:?}|{}",
        request.query,
        request.similar_to,
        request.service,
        request.namespace,
        request.alert_type,
        request.min_similarity
    )
}

/// Sorts as the hits are: the most alike first, then the newest.
fn key(hit: &Hit) -> String {
    let apart = BEST - BEST * hit.similarity;
    let age = Timestamp::MAX.as_nanosecond() - hit.ended.as_nanosecond();
    format!("{apart:04.0}-{age:040}-{:032x}", !hit.id.as_u128())
}

/// The investigation that a field names.
fn investigation(field: &str, name: &str, faults: &mut Faults) -> Option<InvestigationId> {
    match name.parse::<InvestigationId>() {
        Ok(id) => Some(id),
        Err(error) => {
            faults.add(field, "MALFORMED", error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use tonic_types::StatusExt as _;
    use uuid::Uuid;

    use super::*;

    fn fields(status: &Status) -> Vec<String> {
        let bad = status.get_details_bad_request().unwrap();
        bad.field_violations.into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn every_fault_of_a_judgement_is_told_at_once() {
        let bad = v1::SubmitFeedbackRequest {
            name: "x".to_owned(),
            judgement: 9,
            actual_root_cause: "c".repeat(MAX_CAUSE + 1),
            resolution: "r".repeat(MAX_CAUSE + 1),
            comment: "c".repeat(MAX_COMMENT + 1),
            request_id: "7".to_owned(),
        };
        let told = fields(&judged(bad, String::new()).unwrap_err());
        let all = ["name", "judgement", "actual_root_cause", "resolution", "comment", "request_id"];
        assert_eq!(told, all);
        let empty =
            fields(&judged(v1::SubmitFeedbackRequest::default(), String::new()).unwrap_err());
        assert_eq!(empty, ["name", "judgement"]);
    }

    #[test]
    fn every_fault_of_a_search_is_told_at_once() {
        let bad = v1::SearchEpisodesRequest {
            similar_to: "x".to_owned(),
            query: "q".repeat(MAX_TEXT + 1),
            service: "s".repeat(MAX_NAME + 1),
            namespace: "n".repeat(MAX_NAME + 1),
            alert_type: "t".repeat(MAX_NAME + 1),
            min_similarity: f64::NAN,
            page_size: -1,
            page_token: "zz".to_owned(),
        };
        let told = fields(&search(&bad).unwrap_err());
        let all = [
            "similar_to",
            "query",
            "service",
            "namespace",
            "alert_type",
            "min_similarity",
            "page_size",
            "page_token",
        ];
        assert_eq!(told, all);
        assert_eq!(fields(&search(&v1::SearchEpisodesRequest::default()).unwrap_err()), ["query"]);
        for out in [-0.1, 1.1, f64::INFINITY] {
            let bad = v1::SearchEpisodesRequest {
                query: "*".to_owned(),
                min_similarity: out,
                ..Default::default()
            };
            assert_eq!(fields(&search(&bad).unwrap_err()), ["min_similarity"], "{out}");
        }
    }

    fn hit() -> impl Strategy<Value = Hit> {
        (0..=1000_u32, -10..10_i64, 0..9_u128).prop_map(|(alike, second, id)| Hit {
            id: Uuid::from_u128(id),
            similarity: f64::from(alike) / 1000.0,
            ended: Timestamp::from_second(second).unwrap(),
            reason: String::new(),
        })
    }

    proptest! {
        #[test]
        fn keys_sort_as_hits_do(a in hit(), b in hit()) {
            let order = b.similarity.total_cmp(&a.similarity)
                .then(b.ended.cmp(&a.ended))
                .then(b.id.cmp(&a.id));
            prop_assert_eq!(key(&a).cmp(&key(&b)), order);
        }
    }
}

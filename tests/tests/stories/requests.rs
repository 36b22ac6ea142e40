//! Asking: once, twice, without waiting, and leaving.

use std::time::Duration;

use agent_proto::v1::{
    Alert, CancelInvestigationRequest, EndReason, InvestigateRequest, InvestigationState,
};
use agent_tests::{fleet::Fleet, staged::Staged, told::report, wait::wait_until};
use tonic::Code;

use crate::LONG;

fn asked(alert: &Alert, request_id: &str) -> InvestigateRequest {
    InvestigateRequest {
        alert: Some(alert.clone()),
        request_id: request_id.to_owned(),
        wait: Some(prost_types::Duration::default()),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_same_request_is_answered_by_the_same_investigation() {
    let mut fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let id = uuid::Uuid::new_v4().to_string();
    let alert = Alert { service: "some-service".to_owned(), ..Default::default() };
    let other = Alert { service: "another-service".to_owned(), ..Default::default() };
    let first = client.ask(asked(&alert, &id)).await.unwrap();
    let again = client.ask(asked(&alert, &id)).await.unwrap();
    assert_eq!(first.name, again.name);
    let refusal = client.ask(asked(&other, &id)).await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.reason.as_str(), refusal.domain.as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED", "agentd")
    );
    // Without an id, equal content is another wish.
    assert_ne!(client.ask(asked(&alert, "")).await.unwrap().name, first.name);
    // Kept with the investigation, hence over a restart.
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    let mut client = fleet.client().unwrap();
    assert_eq!(client.ask(asked(&alert, &id)).await.unwrap().name, first.name);
    assert_eq!(client.ask(asked(&other, &id)).await.unwrap_err().reason, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_work() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let id = uuid::Uuid::new_v4().to_string();
    let mut request = asked(&staged.scenario.alert(), &id);
    request.wait = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let mut leaver = client.clone();
    let leaving = leaver.agent.investigate(request.clone());
    // Dropped as soon as the daemon has taken it in.
    let begun = tokio::select! {
        _ = leaving => false,
        () = async {
            wait_until("an investigation", LONG, async || {
                let list = agent_proto::v1::ListInvestigationsRequest::default();
                let list = client.agent.list_investigations(list).await.map_err(|e| e.to_string())?;
                let some = list.into_inner().investigations;
                if some.is_empty() { Err("none".to_owned()) } else { Ok(()) }
            }).await.unwrap();
        } => true,
    };
    let mut client = fleet.client().unwrap();
    let request = InvestigateRequest { wait: Some(LONG.try_into().unwrap()), ..request };
    // The content is the same but for the wait, which is no part of it.
    let found = client.ask(request).await.unwrap();
    assert_eq!(found.state(), InvestigationState::Succeeded, "left early: {begun}");
}

#[tokio::test]
async fn a_withdrawn_investigation_ends_soon_and_says_so() {
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_hostile("sleeper", "hostile_plugin", &["sleeper", "hang-long"]).unwrap();
    fleet.ready(&["sleeper"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let alert = Alert { service: "some-service".to_owned(), ..Default::default() };
    let running = client.investigate(alert, Duration::from_millis(300)).await.unwrap();
    assert_eq!(running.state(), InvestigationState::Running);
    let request = CancelInvestigationRequest {
        name: running.name.clone(),
        reason: "a false alarm".to_owned(),
        ..Default::default()
    };
    client.agent.cancel_investigation(request.clone()).await.unwrap();
    let ended =
        wait_until("the end of a withdrawn investigation", Duration::from_secs(10), async || {
            let now = client.get(&running.name).await.map_err(|refusal| format!("{refusal:?}"))?;
            if now.end_time.is_some() { Ok(now) } else { Err(format!("{:?}", now.state())) }
        });
    let ended = ended.await.unwrap();
    assert_eq!(ended.state(), InvestigationState::Cancelled);
    assert_eq!(report(&ended).ended_by(), EndReason::Cancelled);
    // Withdrawing what is over changes nothing.
    let again = fleet.client().unwrap().agent.cancel_investigation(request).await.unwrap();
    assert_eq!(again.into_inner().investigation.unwrap(), ended);
}

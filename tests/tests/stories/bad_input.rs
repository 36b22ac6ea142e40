//! Bad input is answered with the exact code, a stable reason and every wrong field at once.

use agent_proto::v1::{
    Alert, GetInvestigationRequest, GetToolRequest, InvestigateRequest, InvestigationState,
    ListInvestigationsRequest, StreamEventsRequest,
};
use agent_tests::{client::Refusal, fleet::Fleet};
use tonic::Code;

fn asked(alert: Alert) -> InvestigateRequest {
    InvestigateRequest {
        alert: Some(alert),
        wait: Some(prost_types::Duration::default()),
        ..Default::default()
    }
}

fn service(name: &str) -> Alert {
    Alert { service: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_names_every_wrong_field() {
    let fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let large = Alert { description: "x".repeat(1024 * 1024), ..service("a") };
    let unknown = Alert { severity: 99, ..service("a") };
    let mut labelled = service("a");
    labelled.labels = (0..100).map(|number| (number.to_string(), String::new())).collect();
    let two = Alert { severity: 99, ..large.clone() };
    let table: [(InvestigateRequest, &[&str]); 10] = [
        (InvestigateRequest::default(), &["alert"]),
        (asked(Alert::default()), &["alert"]),
        (asked(large), &["alert.description"]),
        (asked(unknown), &["alert.severity"]),
        (asked(labelled), &["alert.labels"]),
        (asked(two), &["alert.description", "alert.severity"]),
        (InvestigateRequest { autonomy: 77, ..asked(service("a")) }, &["autonomy"]),
        (InvestigateRequest { request_id: "7".to_owned(), ..asked(service("a")) }, &["request_id"]),
        (
            InvestigateRequest {
                wait: Some(prost_types::Duration { seconds: 601, nanos: 0 }),
                ..asked(service("a"))
            },
            &["wait"],
        ),
        (
            InvestigateRequest {
                wait: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
                ..asked(service("a"))
            },
            &["wait"],
        ),
    ];
    for (number, (request, fields)) in table.into_iter().enumerate() {
        let refusal = client.ask(request).await.expect_err("taken");
        assert_eq!(refusal.code, Code::InvalidArgument, "{number}: {refusal:?}");
        assert_eq!(refusal.fields, fields, "{number}: {refusal:?}");
        assert_eq!(refusal.domain, "agentd", "{number}: {refusal:?}");
        assert!(!refusal.reason.is_empty(), "{number}: {refusal:?}");
    }
    // None of them left anything behind.
    let list =
        client.agent.list_investigations(ListInvestigationsRequest::default()).await.unwrap();
    assert_eq!(list.into_inner().investigations, []);
}

#[tokio::test]
async fn names_that_are_none_and_names_of_nothing_are_told_apart() {
    let fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let nobody = uuid::Uuid::now_v7();
    for (name, code) in [
        ("", Code::InvalidArgument),
        ("not-a-uuid", Code::InvalidArgument),
        ("episodes/1", Code::InvalidArgument),
        (&*format!("investigations/{nobody}"), Code::NotFound),
        (&*nobody.to_string(), Code::NotFound),
    ] {
        let request = GetInvestigationRequest { name: name.to_owned() };
        let got = Refusal::from(client.agent.get_investigation(request).await.unwrap_err());
        let request = StreamEventsRequest { name: name.to_owned(), ..Default::default() };
        let streamed = client.stream(request).await.unwrap_err();
        for refusal in [got, streamed] {
            assert_eq!((refusal.code, refusal.domain.as_str()), (code, "agentd"), "{name}");
            assert!(!refusal.reason.is_empty(), "{name}: {refusal:?}");
            if code == Code::InvalidArgument {
                assert_eq!(refusal.fields, ["name"], "{name}: {refusal:?}");
            }
        }
    }
    let request = GetToolRequest { name: "tools/nobody.nothing".to_owned(), ..Default::default() };
    let refusal = Refusal::from(client.catalog.get_tool(request).await.unwrap_err());
    assert_eq!(refusal.code, Code::NotFound, "{refusal:?}");
    let request = GetToolRequest { name: "nothing".to_owned(), ..Default::default() };
    let refusal = Refusal::from(client.catalog.get_tool(request).await.unwrap_err());
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["name".to_owned()]));
}

#[tokio::test]
async fn pages_go_through_the_whole_list_and_a_token_belongs_to_its_query() {
    let fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let mut begun = Vec::new();
    for number in 0..5 {
        begun.push(client.ask(asked(service(&format!("s-{number}")))).await.unwrap().name);
    }
    begun.reverse();
    let query = ListInvestigationsRequest { page_size: 2, ..Default::default() };
    let (mut listed, mut token) = (Vec::new(), String::new());
    let mut tokens = Vec::new();
    loop {
        let request = ListInvestigationsRequest { page_token: token, ..query.clone() };
        let page = client.agent.list_investigations(request).await.unwrap().into_inner();
        assert!(page.investigations.len() <= 2);
        assert!(page.investigations.iter().all(|i| i.report.is_none()), "pages leave reports out");
        listed.extend(page.investigations.into_iter().map(|i| i.name));
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
        tokens.push(token.clone());
    }
    assert_eq!(listed, begun, "newest first, each once");
    let other = vec![InvestigationState::Failed.into()];
    for request in [
        ListInvestigationsRequest { page_token: tokens[0].clone(), states: other, ..query.clone() },
        ListInvestigationsRequest { page_token: "nonsense".to_owned(), ..query.clone() },
    ] {
        let refusal = Refusal::from(client.agent.list_investigations(request).await.unwrap_err());
        assert_eq!(
            (refusal.code, refusal.fields),
            (Code::InvalidArgument, vec!["page_token".to_owned()])
        );
    }
    let request = ListInvestigationsRequest { page_size: -1, ..Default::default() };
    let refusal = Refusal::from(client.agent.list_investigations(request).await.unwrap_err());
    assert_eq!(
        (refusal.code, refusal.fields),
        (Code::InvalidArgument, vec!["page_size".to_owned()])
    );
}

#[tokio::test]
async fn what_comes_later_says_so() {
    let fleet = Fleet::start("").await.unwrap();
    let mut client = fleet.client().unwrap();
    let request = agent_proto::v1::AskQuestionRequest::default();
    let refusal = Refusal::from(client.agent.ask_question(request).await.unwrap_err());
    assert_eq!(refusal.code, Code::Unimplemented);
    assert!(refusal.message.contains(' '), "a sentence: {refusal:?}");
}

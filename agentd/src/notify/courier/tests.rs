//! Couriers over a journal in memory and real HTTP on the loopback.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: what is not there is a failed test"
)]

use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::{
    alert::Alert,
    journal::{
        Journal,
        testing::{CODEC, alert, concluded, finished, id, minute, started},
    },
    notify::{
        Template,
        testing::{Receiver, Reply, webhook},
    },
    telemetry::metrics::Metrics,
};

fn clock() -> Timestamp {
    minute(2)
}

fn parts() -> Parts {
    let journal = Journal::in_memory(CODEC).unwrap();
    Parts { journal, metrics: Metrics::new(), clock }
}

async fn end(parts: &Parts, n: u64, category: &str) {
    let about: Alert = alert("high_memory", &format!("cart-{n}"));
    let journal = &parts.journal;
    journal.start(started(id(n), &about), None).await.unwrap();
    let of = concluded(id(n), &about, category, &[], 1);
    journal.append(vec![finished(2, of)], Vec::new()).await.unwrap();
}

/// A courier that has found its place, so that what ends from here on is told.
async fn begun(webhook: Webhook, parts: &Parts) -> JoinHandle<()> {
    let courier = Courier::new(webhook, parts.clone()).unwrap();
    courier.begin().await.unwrap();
    tokio::spawn(courier.run())
}

fn counted(parts: &Parts, receiver: &str, outcome: &str) -> u32 {
    let text = parts.metrics.text();
    let series =
        format!("agentd_notifications_total{{receiver=\"{receiver}\",outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0)
}

async fn closed(parts: &Parts, receiver: &str, done: u64) {
    let limit = Duration::from_secs(20);
    let reached = async {
        while parts.journal.delivery(receiver).unwrap().map_or(0, |state| state.done) < done {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(limit, reached).await.expect("it is not noted as told");
}

#[tokio::test]
async fn what_ends_is_told_once_in_order_and_the_past_is_not() {
    let (parts, mut receiver) = (parts(), Receiver::open(&[]).await);
    end(&parts, 1, "oom_killed").await;
    let _courier = begun(webhook("r", receiver.address), &parts).await;
    for n in 2..5 {
        end(&parts, n, "oom_killed").await;
    }
    for n in 2..5 {
        let got = receiver.next().await;
        let json = got.json();
        assert_eq!(json["id"], format!("{}:2", id(n)));
        assert_eq!(got.header("agentd-delivery"), json["id"].as_str());
        assert_eq!((json["attempt"].as_u64(), json["repeat"].as_bool()), (Some(1), Some(false)));
        assert_eq!(got.header("agentd-repeat"), Some("false"));
    }
    closed(&parts, "r", 4).await;
    assert!(receiver.is_quiet());
    assert_eq!(counted(&parts, "r", "delivered"), 3);
}

#[tokio::test]
async fn a_message_that_may_have_arrived_is_marked_when_it_comes_again() {
    let parts = parts();
    let mut receiver = Receiver::open(&[Reply::Status(503)]).await;
    let _courier = begun(webhook("r", receiver.address), &parts).await;
    end(&parts, 1, "oom_killed").await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.header("agentd-repeat"), Some("false"));
    assert_eq!(second.header("agentd-repeat"), Some("true"));
    assert_eq!(second.json()["attempt"], 2);
    assert_eq!(second.json()["id"], first.json()["id"]);
    closed(&parts, "r", 1).await;
    assert_eq!((counted(&parts, "r", "failed"), counted(&parts, "r", "delivered")), (1, 1));
}

#[tokio::test]
async fn a_courier_killed_in_the_middle_tells_it_again_in_its_next_life_and_marks_it() {
    let parts = parts();
    let mut receiver = Receiver::open(&[Reply::Silence]).await;
    let courier = begun(webhook("r", receiver.address), &parts).await;
    end(&parts, 1, "oom_killed").await;
    assert_eq!(receiver.next().await.header("agentd-repeat"), Some("false"));
    courier.abort();
    let _ = courier.await;
    let _next = begun(webhook("r", receiver.address), &parts).await;
    assert_eq!(receiver.next().await.header("agentd-repeat"), Some("true"));
    closed(&parts, "r", 1).await;
}

#[tokio::test]
async fn a_message_that_cannot_have_arrived_is_no_repeat_after_a_restart() {
    let parts = parts();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let courier = begun(webhook("r", nobody), &parts).await;
    end(&parts, 1, "oom_killed").await;
    let tried = async {
        let state = || parts.journal.delivery("r").unwrap().unwrap();
        while state().tries == 0 || state().uncertain {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), tried).await.expect("it is not tried");
    courier.abort();
    let _ = courier.await;
    let mut receiver = Receiver::open(&[]).await;
    let _next = begun(webhook("r", receiver.address), &parts).await;
    let got = receiver.next().await;
    assert_eq!(got.header("agentd-repeat"), Some("false"));
    assert!(got.json()["attempt"].as_u64() >= Some(2), "{got:?}");
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_holds_up_neither_the_next_nor_other_receivers() {
    let parts = parts();
    let mut gone = Receiver::open(&[Reply::Status(410)]).await;
    let mut silent = Receiver::open(&[Reply::Silence]).await;
    let _one = begun(webhook("gone", gone.address), &parts).await;
    let _other = begun(webhook("silent", silent.address), &parts).await;
    end(&parts, 1, "oom_killed").await;
    silent.next().await;
    end(&parts, 2, "oom_killed").await;
    gone.next().await;
    assert_eq!(gone.next().await.json()["id"], format!("{}:2", id(2)));
    closed(&parts, "gone", 2).await;
    assert_eq!((counted(&parts, "gone", "given_up"), counted(&parts, "gone", "delivered")), (1, 1));
}

#[tokio::test]
async fn a_receiver_is_told_only_of_what_it_wants() {
    let (parts, mut receiver) = (parts(), Receiver::open(&[]).await);
    let only = Webhook { when: When::NeedsPerson, ..webhook("r", receiver.address) };
    let _courier = begun(only, &parts).await;
    end(&parts, 1, "oom_killed").await;
    end(&parts, 2, "").await;
    let got = receiver.next().await.json();
    assert_eq!(got["id"], format!("{}:2", id(2)));
    assert_eq!(got["investigation"]["needs_person"], true);
    closed(&parts, "r", 2).await;
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn secrets_come_from_files_and_a_redirect_is_not_followed() {
    let (parts, dir) = (parts(), tempfile::tempdir().unwrap());
    let mut receiver = Receiver::open(&[Reply::Status(307)]).await;
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let address = receiver.address;
    let webhook = Webhook {
        url: None,
        url_file: file("url", &format!("http://{address}/T0/secret\n")),
        secret_file: file("key", "k3y\n"),
        token_file: file("token", "t0ken\n"),
        template: Template::Slack,
        ..webhook("r", address)
    };
    let _courier = begun(webhook, &parts).await;
    end(&parts, 1, "oom_killed").await;
    receiver.next().await;
    let got = receiver.next().await;
    assert_eq!(got.header("authorization"), Some("Bearer t0ken"));
    let signed = crate::notify::signature::header(b"k3y", clock().as_second(), got.body.as_bytes());
    assert_eq!(got.header("agentd-signature"), Some(signed.as_str()));
    assert_eq!(got.json()["blocks"][0]["type"], "section");
}

#[tokio::test]
async fn a_receiver_whose_files_are_missing_is_told_at_the_start() {
    let (parts, receiver) = (parts(), Receiver::open(&[]).await);
    let secret_file = Some("nowhere/key".into());
    let webhook = Webhook { secret_file, ..webhook("r", receiver.address) };
    let said = Courier::new(webhook, parts).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("nowhere/key of receiver r"), "{said}");
}

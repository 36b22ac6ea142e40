//! Taking up a stream where it broke.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::cli::testing::{Part, Played, event, play};

/// Numbers that came out, with 0 for a break.
async fn heard(daemon: &Played, after: i32) -> Result<Vec<i32>, Error> {
    let client = Client::connect(&crate::cli::reach::Reach::plain(&daemon.url)).await?;
    let mut events = client.events("investigations/1", after);
    let mut all = Vec::new();
    while let Some(heard) = events.next().await? {
        all.push(match heard {
            Heard::Event(event) => event.sequence,
            Heard::Broken => 0,
        });
    }
    Ok(all)
}

#[tokio::test]
async fn a_broken_stream_is_taken_up_after_the_newest_event_and_nothing_comes_twice() {
    let daemon = play(vec![
        Part::Send(vec![event(1, false), event(2, false)], Some(Status::unavailable("cut"))),
        Part::Refuse(Status::unavailable("not yet")),
        // A daemon that repeats itself is not believed twice.
        Part::Send(vec![event(2, false), event(3, false)], None),
        Part::Send(vec![event(4, true)], None),
    ])
    .await;
    assert_eq!(heard(&daemon, 0).await.unwrap(), [1, 2, 0, 3, 0, 4]);
    assert_eq!(daemon.script.asked(), [0, 2, 2, 3]);
}

#[tokio::test]
async fn following_ends_with_the_last_event_and_not_with_the_stream() {
    let daemon = play(vec![Part::Send(vec![event(8, false), event(9, true)], None)]).await;
    assert_eq!(heard(&daemon, 7).await.unwrap(), [8, 9]);
    assert_eq!(daemon.script.asked(), [7]);
}

#[tokio::test]
async fn a_refusal_is_told_and_not_tried_again() {
    let daemon = play(vec![Part::Refuse(Status::out_of_range("there are 3 events"))]).await;
    let said = heard(&daemon, 9).await.unwrap_err().to_string();
    assert_eq!(said, "there are 3 events");
    assert_eq!(daemon.script.asked(), [9]);
}

#[tokio::test]
async fn a_client_that_begins_one_follows_it_from_the_first_event() {
    let daemon = play(vec![Part::Send(vec![event(1, false), event(2, true)], None)]).await;
    let client = Client::connect(&crate::cli::reach::Reach::plain(&daemon.url)).await.unwrap();
    let mut view = crate::cli::live::View::Silent;
    let alert = agent_proto::v1::Alert::default();
    let followed = crate::cli::run::investigate(&client, alert, &mut view).await.unwrap();
    assert!(matches!(followed, crate::cli::run::Followed::Finished(_)), "{followed:?}");
    assert_eq!(daemon.script.asked(), [0]);
}

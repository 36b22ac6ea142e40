//! Calls under pressure: too many, too long, withdrawn, never read, never ending.

use super::*;

#[tokio::test]
async fn one_call_too_many_is_told_to_come_back() {
    let puppet = Puppet::new();
    let plugin = Plugin::new("theatre", "1.0.0").tool(puppet.clone());
    let harness = Harness::with_capacity(plugin, 2).await.unwrap();
    let (a, b, refused) = tokio::join!(
        harness.call("puppet", act(Act::Wait)),
        harness.call("puppet", act(Act::Wait)),
        async {
            while puppet.begun.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!(harness.in_flight(), 2);
            let refused = harness.call("puppet", say("x")).await;
            puppet.gate.add_permits(2);
            refused
        }
    );
    assert_eq!(failed(&refused), (Class::RateLimited, "AT_CAPACITY", EffectState::None));
    assert!(refused.failure().unwrap().retry_delay.is_some());
    assert!(a.result().is_ok() && b.result().is_ok());
    harness.idle().await;
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_work_and_not_only_the_waiting() {
    for (puppet, effects) in
        [(Puppet::new(), EffectState::None), (Puppet::new().changing(), EffectState::Maybe)]
    {
        let harness = harness(&puppet).await;
        let timeout = Duration::from_millis(300);
        let call = Call { timeout: Some(timeout), execute: true, ..Call::default() };
        let began = Instant::now();
        let outcome = harness.call_with("puppet", act(Act::Wait), call).await;
        assert_eq!(failed(&outcome), (Class::Timeout, "TIMEOUT", effects));
        assert_ordered(&outcome);
        let took = began.elapsed();
        assert!(took >= timeout && took < timeout + Duration::from_millis(50), "{took:?}");
        assert_eq!(puppet.dropped.load(Ordering::SeqCst), 1);
        puppet.cancelled.subscribe().wait_for(|count| *count == 1).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_limits_has_thirty_seconds() {
    let began = Instant::now();
    let harness = harness(&Puppet::new()).await;
    let outcome = harness.call_raw(request(act(Act::Wait)), false).await;
    assert_eq!(failed(&outcome).0, Class::Timeout);
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn withdrawing_a_call_drops_its_work_and_frees_its_place() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    for round in 1..=100 {
        let call = Call { cancel_after_accepted: true, ..Call::default() };
        let outcome = harness.call_with("puppet", act(Act::Wait), call).await;
        assert!(matches!(outcome.end, End::Cancelled));
        harness.idle().await;
        let begun = puppet.begun.load(Ordering::SeqCst);
        // A call may be withdrawn before its work is polled for the first time.
        assert!(begun <= round);
        assert_eq!(puppet.dropped.load(Ordering::SeqCst), begun);
        puppet.cancelled.subscribe().wait_for(|count| *count == begun).await.unwrap();
    }
    assert_eq!(harness.in_flight(), 0);
}

#[tokio::test]
async fn a_panic_is_a_defect_of_one_call_and_the_plugin_serves_on() {
    let harness = harness(&Puppet::new()).await;
    let panic = act(Act::Panic("lost with password=hunter2".to_owned()));
    for _ in 0..20 {
        let outcome = harness.call("puppet", panic.clone()).await;
        assert_eq!(failed(&outcome), (Class::Bug, "PANIC", EffectState::None));
        assert_ordered(&outcome);
        let message = &outcome.failure().unwrap().message;
        assert!(message.contains("lost with") && !message.contains("hunter2"), "{message}");
    }
    harness.idle().await;
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_reading_holds_the_work_back() {
    const LINES: u32 = 20_000;
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    let mut client = ToolServiceClient::new(harness.channel());
    let mut flood = Request::new(request(act(Act::Flood(LINES))));
    let token = format!("Bearer {}", harness.caller_token());
    flood.metadata_mut().insert("authorization", token.parse().unwrap());
    let mut stream = client.call(flood).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    // The clock stands still while anything can be done, so after this nothing moves any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let held = puppet.lines.load(Ordering::SeqCst);
    assert!(held < 8 * 1024, "{held} KiB were produced for nobody");
    // Another call is not held back.
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
    let mut last = None;
    let mut logs = 0;
    while let Some(response) = stream.message().await.unwrap() {
        logs += u32::from(matches!(response.update, Some(Update::Log(_))));
        last = response.update;
    }
    assert!(matches!(last, Some(Update::Result(_))));
    assert_eq!(logs, LINES);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_comes_back_does_not_outlive_the_deadline_for_ever() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    let mut client = ToolServiceClient::new(harness.channel());
    let mut flood = Request::new(request(act(Act::Flood(50_000))));
    let token = format!("Bearer {}", harness.caller_token());
    flood.metadata_mut().insert("authorization", token.parse().unwrap());
    let _unread = client.call(flood).await.unwrap();
    let began = Instant::now();
    while puppet.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    harness.idle().await;
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert_eq!(puppet.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_grows_and_is_no_faster_than_wanted() {
    let outcome = harness(&Puppet::new()).await.call("puppet", act(Act::Count(41))).await;
    assert_ordered(&outcome);
    let told: Vec<f64> = outcome
        .updates
        .iter()
        .filter_map(|u| match &u.update {
            Some(Update::Progress(progress)) => Some(progress.done),
            _ => None,
        })
        .collect();
    // 41 steps 50 ms apart, one in 200 ms.
    assert!(told.len() >= 8 && told.len() <= 11, "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]));
    assert!((told[0]).abs() < f64::EPSILON);
}

#[tokio::test]
async fn nothing_comes_after_the_last_update_whoever_goes_on_talking() {
    let harness = harness(&Puppet::new()).await;
    for _ in 0..50 {
        let outcome = harness.call("puppet", act(Act::Straggle)).await;
        assert_ordered(&outcome);
        assert_eq!(outcome.json(), "done");
    }
    harness.idle().await;
}

#[tokio::test]
async fn calls_at_once_do_not_mix_their_results() {
    let harness = harness(&Puppet::new()).await;
    for round in 0..64 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let (first, second) =
            tokio::join!(harness.call("puppet", say(&a)), harness.call("puppet", say(&b)));
        assert_eq!((first.json(), second.json()), (json!(a), json!(b)));
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_connection_lives() {
    let harness = harness(&Puppet::new()).await;
    let huge = harness.call("puppet", say(&"x".repeat(5 * 1024 * 1024))).await;
    assert!(matches!(huge.end, End::Broken(_)), "{huge:?}");
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test]
async fn the_catalog_is_what_was_put_together() {
    let plugin = Plugin::new("theatre", "1.0.0")
        .title("Theatre")
        .contact("stage@example.org")
        .signal("theatre.applause", "they liked it", crate::Polarity::Health)
        .tool(Puppet::new());
    let expected = plugin.catalog().clone();
    let catalog = Harness::new(plugin).await.unwrap().catalog().await.unwrap();
    assert_eq!(catalog, expected);
    assert_eq!((catalog.tools.len(), catalog.signals.len()), (1, 1));
    assert_eq!(catalog.signals[0].polarity(), crate::wire::SignalPolarity::Health);
    assert_eq!((catalog.min_protocol, catalog.max_protocol), (1, 1));
}

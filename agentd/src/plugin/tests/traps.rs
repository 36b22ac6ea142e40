//! Mistakes that others made with plugins, each over the wire: who is gone costs nobody a call, a
//! timer bounds the whole answer, what is not wanted any more holds up nobody.

use super::*;

#[tokio::test]
async fn a_goodbye_that_comes_late_and_twice_costs_the_newcomer_no_call() {
    let (mut old, new) = (Fake::start(&[("look", honest())]), Fake::start(&[("look", honest())]));
    let mut bench = Bench::new();
    let lease = bench.register(&old, vec![descriptor("look")]).await.lease_id;
    let mut changes = bench.registry.changes();
    bench.register(&new, vec![descriptor("look")]).await;
    while bench.registry.tool("probe", "look", "").unwrap().ready_instances < 2 {
        timeout(PROMPT, changes.changed()).await.unwrap().unwrap();
    }
    old.kill();
    for _ in 0..2 {
        let goodbye = pb::DeregisterRequest { lease_id: lease.clone(), reason: String::new() };
        let _ = bench.registry.deregister(&goodbye);
        for _ in 0..50 {
            bench.call("look").await.unwrap();
        }
    }
    assert!(bench.told().iter().all(|line| !line.ends_with('+')), "one met who is gone");
    let plugins = bench.registry.plugins();
    let left: Vec<&str> = plugins.iter().flat_map(|plugin| &plugin.instances).map(at).collect();
    assert_eq!(left, [new.address.to_string()]);
}

fn at(instance: &crate::plugin::registry::InstanceView) -> &str {
    &instance.endpoint
}

#[tokio::test]
async fn a_timer_bounds_the_whole_answer_however_often_it_says_something() {
    let mut fake = Fake::start(&[("look", Way::Drips(Duration::from_millis(100)))]);
    let mut tool = descriptor("look");
    tool.timeout = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    let mut bench = Bench::new();
    bench.register(&fake, vec![tool]).await;
    let begun = Instant::now();
    let failure = timeout(PROMPT, bench.call("look")).await.unwrap().unwrap_err();
    let said = (failure.class, failure.reason.as_str());
    assert_eq!(said, (FailureClass::Timeout, "ATTEMPT_TIMED_OUT"));
    assert!(begun.elapsed() >= Duration::from_millis(300), "it has all of its time");
    assert!(bench.told().contains(&"P".to_owned()), "it did say something");
    let seen = fake.calls.recv().await.unwrap();
    timeout(PROMPT, seen.gone.cancelled()).await.expect("the stream was not cancelled");
}

#[tokio::test]
async fn answers_that_were_given_up_leave_the_connection_free_for_others() {
    // More than the windows of the connection hold, were each left unread.
    let floods: Vec<String> = (0..20).map(|number| format!("flood{number}")).collect();
    let mut ways: Vec<(&str, Way)> = floods.iter().map(|name| (&**name, Way::Floods)).collect();
    ways.push(("look", honest()));
    let fake = Fake::start(&ways);
    let mut tools = vec![descriptor("look")];
    for name in &floods {
        let timeout = Some(prost_types::Duration { seconds: 15, nanos: 0 });
        tools.push(pb::ToolDescriptor { timeout, ..descriptor(name) });
    }
    let bench = Bench::new();
    bench.register(&fake, tools).await;
    for name in &floods {
        let failure = bench.call(name).await.unwrap_err();
        assert_eq!(failure.reason, "STREAM_RULE", "{failure}");
        let other = bench.call("look").await;
        assert!(other.is_ok(), "after {name}: {other:?}");
    }
}

#[tokio::test]
async fn a_failure_of_many_words_keeps_its_class_and_when_to_come_back() {
    let failure = pb::Failure {
        failure_class: pb::FailureClass::RateLimited.into(),
        reason: "QUOTA".to_owned(),
        message: format!("begins{} and says why", " and goes on".repeat(1700)),
        retry_delay: Some(prost_types::Duration { seconds: 3, nanos: 0 }),
        ..Default::default()
    };
    let said = vec![accepted(), pb::call_response::Update::Failure(failure)];
    let fake = Fake::start(&[("look", Way::Says(said))]);
    let bench = Bench::new();
    bench.register(&fake, vec![descriptor("look")]).await;
    let failure = bench.call("look").await.unwrap_err();
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::RateLimited, "QUOTA"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(3)));
    let (message, why) = (&failure.message, "and says why");
    assert!(message.starts_with("begins and") && message.ends_with(why), "{message}");
    assert!(failure.message.len() <= 2048, "{} bytes", failure.message.len());
}

#[tokio::test]
async fn who_is_announced_by_a_name_is_called_at_the_address_it_stood_for_then() {
    let fake = Fake::start(&[("look", honest())]);
    let bench = Bench::new();
    let mut request = crate::plugin::fake::announcement(fake.address, vec![descriptor("look")]);
    let Some(pb::register_request::Transport::Direct(direct)) = &mut request.transport else {
        panic!("not dialled")
    };
    direct.endpoint = format!("localhost:{}", fake.address.port());
    bench.registry.register(request, &Default::default()).await.unwrap();
    let soon = Instant::now() + PROMPT;
    bench.tools.wait_ready(&["probe".to_owned()], soon).await.unwrap();
    let plugins = bench.registry.plugins();
    assert_eq!(at(&plugins[0].instances[0]), fake.address.to_string());
    bench.call("look").await.unwrap();
}

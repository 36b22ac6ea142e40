//! What is told, and kept, of plugins that offer much that cannot be called; and who hears of slots.

use super::*;

/// 200 tools without a description, which is what a description is for.
fn mute(from: usize) -> pb::RegisterRequest {
    let mute =
        |n| pb::ToolDescriptor { description: String::new(), ..descriptor(&format!("t{n}")) };
    announcement(nowhere(), (from..from + 200).map(mute).collect())
}

#[tokio::test(start_paused = true)]
async fn of_many_tools_that_are_refused_again_and_again_few_are_told_and_kept() {
    let (registry, begun) = (registry(), Instant::now());
    let mut request = mute(0);
    registry.register(request.clone(), &Caller::default()).await.unwrap();
    let told = registry.news(0).unwrap();
    let refused: Vec<&str> = told
        .iter()
        .filter(|event| event.kind == Kind::ToolRefused)
        .map(|event| event.summary.as_str())
        .collect();
    assert_eq!(refused.len(), 11, "{refused:?}");
    assert_eq!(refused[10], "probe: 190 more of its tools cannot be called");

    // The same instance with other names each time.
    for round in 1..50 {
        request.catalog = mute(round * 200).catalog;
        registry.register(request.clone(), &Caller::default()).await.unwrap();
    }
    let told = registry.news(0).unwrap().len();
    // The paused clock goes on by itself while a thread checks schemas.
    let minutes = usize::try_from(begun.elapsed().as_secs() / 60).unwrap() + 1;
    assert!(told < 60 * minutes, "{told} in {minutes} min, of 10,000");
    assert!(registry.plugins()[0].refused.len() <= 20, "of one instance");
}

#[tokio::test(start_paused = true)]
async fn however_many_tools_are_refused_and_for_whatever_they_fit_into_a_message_with_others() {
    let registry = registry();
    for from in 0..20 {
        let mut request = mute(from * 200);
        for tool in &mut request.catalog.as_mut().unwrap().tools {
            tool.input_schema_json =
                r#"{"type":"object","properties":{"a":{"$ref":"far"}}}"#.into();
            tool.version = "x".repeat(100);
            tool.description = "long".repeat(600);
        }
        registry.register(request, &Caller::default()).await.unwrap();
    }
    let refused = &registry.plugins()[0].refused;
    let bytes: usize = refused.iter().map(prost::Message::encoded_len).sum();
    assert!(refused.len() > 20 && bytes <= 64 * 1024, "{} tools, {bytes} bytes", refused.len());
}

#[tokio::test(start_paused = true)]
async fn a_tools_name_makes_no_line_of_its_own() {
    let registry = registry();
    let odd =
        pb::ToolDescriptor { name: "x\n12:00 pods.look was accepted".into(), ..descriptor("x") };
    registry.register(announcement(nowhere(), vec![odd]), &Caller::default()).await.unwrap();
    let told = registry.news(0).unwrap();
    assert!(told.iter().any(|event| event.summary.contains("was accepted")));
    assert!(told.iter().all(|event| !event.summary.contains(char::is_control)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_slot_hears_of_each_that_opens() {
    let registry = registry();
    let mut relayed = request();
    let relay = pb::register_request::Transport::Relay(pb::RelayTransport { slots: 1 });
    relayed.transport = Some(relay);
    let lease = registry.register(relayed, &Caller::default()).await.unwrap().lease_id;
    drop(registry.open_slot(&lease).unwrap());
    let mut changes = registry.changes();
    changes.mark_unchanged();
    let _slot = registry.open_slot(&lease).unwrap();
    assert!(changes.has_changed().unwrap(), "a call that found no slot would wait for ever");
}

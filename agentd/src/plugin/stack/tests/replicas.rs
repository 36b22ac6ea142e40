//! Several instances of one tool: who is asked, how often, and who is left out for a while.

use std::collections::BTreeSet;

use super::*;

fn weighted(id: &str, weight: u32, spec: &Arc<ToolSpec>) -> Arc<Instance> {
    made(id, weight, spec, Arc::default())
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_a_tool_allows_and_all_get_their_turn() {
    for (shared, most) in [(true, 8), (false, 16)] {
        let rig = Rig::with(&[Does::Works(100)], |spec| {
            spec.timeout = Duration::from_secs(9);
            let period = Duration::from_secs(1);
            spec.rate_limit =
                Some(RateLimit { calls: 0, period, burst: 0, max_concurrent: 8, shared });
        });
        // Of two instances each has its own ceiling, unless they share one.
        rig.pool.join(instance("other", &rig.spec, Arc::default()));
        let results = join_all((0..40).map(|_| rig.call(60_000))).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((rig.script.sent(), rig.script.most.load(Ordering::Relaxed)), (40, most));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_not_shared_is_that_of_each_instance() {
    for (shared, passed) in [(true, 1), (false, 3)] {
        let rig = Rig::with(&[Does::Works(1)], |spec| {
            let period = Duration::from_secs(10);
            spec.rate_limit =
                Some(RateLimit { calls: 1, period, burst: 0, max_concurrent: 0, shared });
        });
        for id in ["second", "third"] {
            rig.pool.join(instance(id, &rig.spec, Arc::default()));
        }
        let results = join_all((0..9).map(|_| rig.reason_or_ok(400))).await;
        let ok = results.iter().filter(|said| *said == "OK").count();
        assert_eq!(ok, passed, "{results:?}");
        assert!(results.contains(&"RATE_LIMITED".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn three_instances_that_share_ten_a_second_ask_their_backend_no_oftener_in_any_second() {
    let rig = Rig::with(&[Does::Works(1)], |spec| {
        let period = Duration::from_secs(1);
        spec.rate_limit =
            Some(RateLimit { calls: 10, period, burst: 0, max_concurrent: 0, shared: true });
    });
    for id in ["second", "third"] {
        rig.pool.join(instance(id, &rig.spec, Arc::default()));
    }
    let results = join_all((0..60).map(|_| rig.call(60_000))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let times = rig.script.times.lock().unwrap().clone();
    assert_eq!(times.len(), 60);
    let second = Duration::from_secs(1);
    let within = |at: &Instant| times.iter().filter(|t| (*at..*at + second).contains(t)).count();
    let most = times.iter().map(within).max().unwrap();
    assert!(most <= 11, "the backend was asked {most} times in one second");
    let asked: BTreeSet<String> = rig.script.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked.len(), 3, "all of them ask it");
}

#[tokio::test(start_paused = true)]
async fn a_defect_of_one_instance_is_tried_once_at_another_and_none_where_there_is_no_other() {
    let rig = Rig::new(&[Does::Fails(FailureClass::Bug), Does::Works(1)]);
    assert_eq!(rig.reason(9000).await, "SCRIPT");
    rig.pool.join(instance("other", &rig.spec, Arc::default()));
    let rig = Rig::new(&[Does::Fails(FailureClass::Bug), Does::Works(1)]);
    rig.pool.join(instance("other", &rig.spec, Arc::default()));
    assert!(rig.call(9000).await.is_ok());
    let asked = rig.script.asked.lock().unwrap().clone();
    assert_ne!(asked[0], asked[1], "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_again_and_again_is_left_out_and_tried_again_and_never_all_of_them()
{
    let rig = Rig::new(&[Does::WorksElsewhere]);
    for id in ["second", "third"] {
        rig.pool.join(instance(id, &rig.spec, Arc::default()));
    }
    for _ in 0..60 {
        let _ = rig.call(9000).await;
    }
    let at_first = || rig.script.asked.lock().unwrap().iter().filter(|id| *id == "i").count();
    assert_eq!(at_first(), 3, "three in a row are enough");
    advance(Duration::from_secs(5)).await;
    for _ in 0..60 {
        let _ = rig.call(9000).await;
    }
    assert_eq!(at_first(), 4, "one trial");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_withdrawn_is_given_back() {
    let rig = Rig::with(&[Does::HangsLater], |spec| spec.retry.max_attempts = 1);
    rig.pool.join(instance("second", &rig.spec, Arc::default()));
    while rig.script.asked.lock().unwrap().iter().filter(|id| *id == "i").count() < 3 {
        let _ = rig.call(9000).await;
    }
    advance(Duration::from_secs(5)).await;
    // Its trial hangs and is dropped by its caller, again and again.
    for _ in 0..2 {
        let before = rig.script.asked.lock().unwrap().len();
        for _ in 0..40 {
            let _ = tokio::time::timeout(Duration::from_millis(100), rig.call(9000)).await;
        }
        let asked = rig.script.asked.lock().unwrap().clone();
        assert!(asked[before..].contains(&"i".to_owned()), "it is tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_instances_by_their_weight_and_by_how_busy_they_are() {
    let rig = Rig::with(&[Does::Works(50)], |spec| spec.timeout = Duration::from_secs(9));
    rig.pool.join(weighted("heavy", 300, &rig.spec));
    for _ in 0..25 {
        let results = join_all((0..16).map(|_| rig.call(60_000))).await;
        assert!(results.iter().all(Result::is_ok));
    }
    let asked = rig.script.asked.lock().unwrap().clone();
    let heavy = asked.iter().filter(|id| *id == "heavy").count();
    assert!((270..=330).contains(&heavy), "{heavy} of 400 went to the one with 3 of 4 shares");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_gone_does_not_close_the_tool_while_another_is_there() {
    let rig = Rig::new(&[Does::Gone]);
    let other = instance("other", &rig.spec, Arc::default());
    rig.pool.join(Arc::clone(&other));
    // As when all questions of a round are asked at once, before any has failed.
    let results = join_all((0..40).map(|_| rig.call(30_000))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");

    rig.pool.leave(&other);
    let reasons = join_all((0..5).map(|_| rig.reason(4000))).await;
    assert!(reasons.contains(&"CIRCUIT_OPEN".to_owned()), "the only one counts: {reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_an_instance_and_goes_on_when_one_is_ready() {
    use crate::plugin::instance::Readiness;
    let rig = Rig::new(&[Does::Works(1)]);
    let hour = Instant::now() + Duration::from_secs(3600);
    rig.instance.renew(hour, Readiness::Unready, Default::default());
    let (result, ()) = tokio::join!(rig.call(30_000), async {
        sleep(Duration::from_secs(10)).await;
        rig.instance.renew(hour, Readiness::Ready, Default::default());
    });
    assert!(result.is_ok(), "{result:?}");

    rig.instance.renew(hour, Readiness::Draining, Default::default());
    let started = Instant::now();
    let reasons = join_all((0..8).map(|_| rig.reason(5000))).await;
    assert_eq!(reasons, ["NO_INSTANCE"; 8]);
    assert!(started.elapsed() <= Duration::from_secs(5));
}

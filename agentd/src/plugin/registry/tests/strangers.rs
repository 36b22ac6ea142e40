//! Who may announce what, and what is told of those who may not, change, or fall silent.

use super::*;
use crate::guard::tokens::Who;

fn holder(of: &str) -> Caller {
    let token = sha2::Sha256::digest(of).into();
    Caller { who: Who::Named { name: of.into(), token }, ..Caller::default() }
}

fn told(registry: &Registry) -> Vec<(Kind, String)> {
    let all = registry.news(0).unwrap().into_iter();
    let reached = all.filter(|event| event.kind != Kind::Unreachable);
    reached.map(|event| (event.kind, event.summary)).collect()
}

/// Warnings of the only plugin that tell of a refused registration. There may be others: nobody
/// answers at its endpoint, and how soon that is found out is the clock's.
fn refusals(registry: &Registry) -> usize {
    let warnings = registry.plugins().swap_remove(0).warnings;
    warnings.iter().filter(|warning| warning.contains("was refused")).count()
}

#[tokio::test(start_paused = true)]
async fn a_token_lets_in_the_plugin_it_names_and_who_was_turned_away_is_found() {
    let registry = registry();
    registry.register(request(), &holder("probe")).await.unwrap();
    for _ in 0..3 {
        let refused = registry.register(request(), &holder("thief")).await.unwrap_err();
        assert_eq!(refused.reason(), "NAMESPACE_NOT_ALLOWED");
        assert!(refused.to_string().contains("\"thief\""), "{refused}");
    }
    let plugins = registry.plugins();
    assert_eq!(plugins.len(), 1);
    assert_eq!(plugins[0].instances.len(), 1, "a stranger became a replica");
    let warnings = &plugins[0].warnings;
    assert!(warnings.iter().any(|said| said.contains("was refused 0 s ago")), "{warnings:?}");
    let kinds: Vec<Kind> = told(&registry).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Registered, Kind::PluginRefused], "told once");

    // One that never came in has an entry all the same.
    let many = announcement(nowhere(), vec![descriptor("look"); 201]);
    let mut unknown = many.clone();
    unknown.catalog.as_mut().unwrap().plugin = "many".to_owned();
    registry.register(unknown, &holder("many")).await.unwrap_err();
    let plugins = registry.plugins();
    let entry = plugins.iter().find(|plugin| plugin.name == "many").unwrap();
    assert!(entry.instances.is_empty() && entry.warnings[0].contains("200"), "{entry:?}");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_announce_a_name_puts_it_in_no_list_and_floods_nobody() {
    let registry = registry();
    registry.register(request(), &holder("probe")).await.unwrap();
    for n in 0..200 {
        let mut ghost = request();
        ghost.catalog.as_mut().unwrap().plugin = format!("ghost_{n}");
        registry.register(ghost, &holder("probe")).await.unwrap_err();
    }
    assert_eq!(registry.plugins().len(), 1);
    assert_eq!(told(&registry).len(), 1 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_narrowed_keeps_nothing_alive_and_what_is_mended_is_told_no_more() {
    let registry = registry();
    let lease = registry.register(request(), &holder("probe")).await.unwrap().lease_id;
    assert!(registry.check_holder(&lease, &holder("probe").who).is_ok());
    let narrowed = registry.check_holder(&lease, &holder("other").who).unwrap_err();
    assert_eq!(narrowed.reason(), "NAMESPACE_NOT_ALLOWED");
    assert!(registry.check_holder("unknown", &holder("other").who).is_ok());

    let mut bad = request();
    bad.catalog.as_mut().unwrap().version = "one".to_owned();
    registry.register(bad, &holder("probe")).await.unwrap_err();
    assert_eq!(refusals(&registry), 1);
    registry.register(request(), &holder("probe")).await.unwrap();
    assert_eq!(refusals(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn one_of_whose_tools_none_was_accepted_is_found_with_the_faults_when_it_has_left() {
    let registry = registry();
    let mut bad = request();
    bad.catalog.as_mut().unwrap().tools[0].description = String::new();
    let answer = registry.register(bad, &holder("probe")).await.unwrap();
    assert_eq!(registry.plugins()[0].refused.len(), 1);
    registry.leaves(&answer);
    let plugin = registry.plugins().swap_remove(0);
    assert!(plugin.instances.is_empty() && plugin.refused.is_empty(), "{plugin:?}");
    let said = plugin.warnings.join("; ");
    assert!(said.contains("none of its tools was accepted") && said.contains("look"), "{said}");
    registry.register(request(), &holder("probe")).await.unwrap();
    assert_eq!(refusals(&registry), 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_not_taken_over_by_who_shows_another_token() {
    let registry = registry();
    let mine = request();
    let lease = registry.register(mine.clone(), &holder("probe")).await.unwrap();
    for thief in [holder("*"), Caller::default()] {
        let refused = registry.register(mine.clone(), &thief).await.unwrap_err();
        assert!(matches!(refused, Error::InstanceTaken { .. }), "{refused}");
    }
    assert!(registry.signs(&lease).is_ok());
    // Its owner comes back, and once the lease ran out anybody who may.
    registry.register(mine.clone(), &holder("probe")).await.unwrap();
    advance(Duration::from_secs(31)).await;
    registry.register(mine, &holder("*")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_with_other_words_is_told_of_and_only_once() {
    let registry = registry();
    let mut again = request();
    registry.enter_ready(again.clone()).await;
    again.catalog.as_mut().unwrap().tools[0].description = "Looks, says its author.".to_owned();
    for _ in 0..2 {
        let verdicts = registry.enter_ready(again.clone()).await.verdicts;
        assert!(verdicts[0].quarantined, "{verdicts:?}");
    }
    let kinds: Vec<Kind> = told(&registry).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Registered, Kind::Ready, Kind::ToolQuarantined]);
    again.catalog.as_mut().unwrap().tools[0].description = String::new();
    registry.enter_ready(again).await;
    assert_eq!(told(&registry).last().unwrap().0, Kind::ToolRefused);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_runs_out_is_told_when_it_does_and_so_is_the_return() {
    let registry = registry();
    let mine = request();
    registry.enter_ready(mine.clone()).await;
    advance(Duration::from_secs(29)).await;
    assert_eq!(registry.expirations(), 0);
    assert_eq!(registry.next_lapse().map(|at| at - Instant::now()), Some(Duration::from_secs(1)));
    advance(Duration::from_secs(1)).await;
    assert_eq!(registry.expirations(), 1);
    assert_eq!(registry.next_lapse(), None, "it is not told twice");
    registry.enter_ready(mine).await;
    let kinds: Vec<Kind> = told(&registry).into_iter().map(|(kind, _)| kind).collect();
    let both = [Kind::Registered, Kind::Ready];
    assert_eq!(kinds, [both.as_slice(), &[Kind::Expired], &both].concat());
}

#[tokio::test(start_paused = true)]
async fn one_that_drains_or_says_that_it_is_not_ready_is_told_of_though_not_each_time() {
    let registry = registry();
    let lease = registry.enter_ready(request()).await;
    let says = |state: pb::InstanceState| {
        let lease_id = lease.lease_id.clone();
        let request = pb::RenewRequest { lease_id, state: state.into(), ..Default::default() };
        registry.renew(&request).unwrap();
    };
    for _ in 0..100 {
        says(pb::InstanceState::Unready);
        says(pb::InstanceState::Ready);
    }
    assert_eq!(told(&registry).len(), 2, "{:?}", told(&registry));
    // The word that stays is told, with the next sign of life at the latest.
    says(pb::InstanceState::Unready);
    for state in [pb::InstanceState::Unready, pb::InstanceState::Ready, pb::InstanceState::Draining]
    {
        advance(Duration::from_secs(1)).await;
        says(state);
    }
    let kinds: Vec<Kind> = told(&registry).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds[2..], [Kind::Unready, Kind::Ready, Kind::Unready]);
    let (kind, said) = told(&registry).pop().unwrap();
    assert_eq!(kind, Kind::Unready);
    assert!(said.contains("drains"), "{said}");
}

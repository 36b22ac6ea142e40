//! Third parties that fail.

mod hosted;

use super::Tale;
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    object::Ref,
    traffic::{Harm, Why},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("provider_answers_5xx", provider_answers_5xx),
    ("provider_hangs", provider_hangs),
    ("counts_our_requests", hosted::counts_our_requests),
    ("hosted_database_recovers", hosted::hosted_database_recovers),
];

/// A provider answers most calls with 5xx; the alert is on its caller or some calls further up.
fn provider_answers_5xx(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let (place, host) = cluster.outside(app.last(), true);
    let at = cluster.minutes_ago(7, 45);
    let code = cluster.dice.pick(&[503, 502, 500, 504]);
    let share = cluster.dice.range(0.4, 0.95);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm::errors(at, share, Why::Status(code)));
    }
    let words = (host.as_str(), at);
    finish(cluster, (app.gate(), app.last()), words, hops, "answers most calls with errors")
}

/// A provider does not answer any more; callers wait until their patience ends.
fn provider_hangs(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let (place, host) = cluster.outside(app.last(), true);
    let at = cluster.minutes_ago(7, 40);
    let why = cluster.dice.pick(&[0, 1]);
    let why = if why == 0 { Why::Timeout } else { Why::Reset };
    let slow = cluster.dice.range(30.0, 90.0);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm { slow, ..Harm::errors(at, 0.3, why) });
    }
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.from == app.last()) {
        call.timeout = call.timeout.min(5000.0);
    }
    finish(
        cluster,
        (app.gate(), app.last()),
        (host.as_str(), at),
        hops,
        "does not answer in time any more",
    )
}

fn finish(
    cluster: &mut Cluster,
    (gate, caller): (crate::incidents::traffic::Id, crate::incidents::traffic::Id),
    (host, at): (&str, i64),
    hops: usize,
    what: &str,
) -> Truth {
    let alert = if what.contains("time") {
        cluster.dice.pick(&["high_latency", "high_error_rate"])
    } else {
        "high_error_rate"
    };
    let name = cluster[caller].called().to_owned();
    Truth::new(cluster, alert, gate, Ref::new("External", "", host))
        .told(
            "A provider outside fails",
            &format!("{} is degraded since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The third-party host {host}, called by {name}, {what}; nothing was changed in the cluster."),
        )
        .rated(["easy", "medium", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&[host, host.split('.').nth(1).unwrap_or(host)])
        .mention(&["external", "third-party", "third party", "outside", "provider", "upstream", "downstream", "dependency"])
        .not_claim(&["bad release", "OOM", "network policy", "dns failure", "traffic spike"])
}

//! What others run for us: counted requests, and a database that recovers.

use crate::incidents::{
    clients::POOLED,
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    object::Ref,
    traffic::{Call, Harm, Outside, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
};

/// A provider counts requests and answers the rest with 429; our own traffic is as ever.
pub(super) fn counts_our_requests(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    cluster.programmed(id);
    let (place, host) = cluster.outside(id, true);
    let at = cluster.minutes_ago(7, 45);
    let share = cluster.dice.range(0.3, 0.75);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm::errors(at, share, Why::Status(429)));
    }
    let line = cluster.dice.pick(&[
        "{host} throttled us: retry-after=30 x-ratelimit-remaining=0",
        "giving up on {host} after 3 attempts, last answer: {\"error\":\"rate_limit_exceeded\",\"message\":\"Plan quota of 40 requests/s was reduced\"}",
        "quota of {host} used up, RateLimit-Reset: 27",
    ]);
    cluster[id].say(at + 5, 8, Level::Warn, &line.replace("{host}", &host));
    let (first, second) = (at - cluster.dice.between(90, 400), at - cluster.dice.between(500, 900));
    cluster.roll(app.caller(), first, |template| template.tag = newer(&template.tag));
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, second, |template| template.tag = newer(&template.tag));
    }
    let alert = cluster.dice.pick(&["SLOErrorBudgetBurn", "slo_burn_rate", "ErrorBudgetBurn"]);
    let name = cluster[id].name.clone();
    let shown = cluster[gate].called().to_owned();
    Truth::new(cluster, alert, gate, Ref::new("External", "", &host))
        .told(
            "A provider counts our requests",
            &format!("{shown} availability SLO: burn rate 14.4 over 5m and 1h."),
            &format!("The third party {host} answers a part of the calls of {name} with 429 since {} minutes, at a rate of calls that is as usual; the releases before it are innocent.", -at / MIN),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&host, host.split('.').nth(1).unwrap_or(&host)])
        .mention(&["429", "rate limit", "ratelimit", "throttl", "quota", "too many requests"])
        .not_claim(&["bad release", "OOM", "network policy", "dns failure", "traffic spike"])
}

fn recovering(runtime: Runtime, host: &str) -> String {
    let fatal = "the database system is in recovery mode";
    match runtime {
        Runtime::Java => format!("org.postgresql.util.PSQLException: FATAL: {fatal}"),
        Runtime::Python => format!(
            "psycopg2.OperationalError: connection to server at \"{host}\" (10.200.4.17), port 5432 failed: FATAL:  {fatal}"
        ),
        Runtime::Node => format!("error: {fatal} (code 57P03)"),
        Runtime::DotNet => format!("Npgsql.PostgresException (0x80004005): 57P03: {fatal}"),
        Runtime::Ruby => format!(
            "PG::ConnectionBad: connection to server at \"{host}\" (10.200.4.17), port 5432 failed: FATAL:  {fatal}"
        ),
        Runtime::Php => format!("SQLSTATE[08006] [7] FATAL:  {fatal}"),
        Runtime::Rust => format!("error returned from database: {fatal}"),
        Runtime::Go | Runtime::Proxy | Runtime::Store => format!(
            "failed to connect to `host={host} user=app database=app`: server error (FATAL: {fatal} (SQLSTATE 57P03))"
        ),
    }
}

/// The database is a hosted one outside of the cluster; it does not come out of its recovery.
pub(super) fn hosted_database_recovers(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    cluster.written_in(id, &POOLED);
    let firm = cluster.names.firm.clone();
    let host = format!(
        "{firm}-main.{}.{}.example",
        cluster.dice.hex(10),
        cluster.dice.pick(&["eu-central-1.rds", "postgres.database", "db.hosted"])
    );
    cluster.traffic.outside.push(Outside { host: host.clone(), latency: 4.0, harms: Vec::new() });
    let place = cluster.traffic.outside.len() - 1;
    let at = cluster.minutes_ago(6, 30);
    let text = recovering(cluster[id].runtime, &host);
    let share = cluster.dice.range(0.9, 1.0);
    cluster.traffic.calls.push(Call {
        from: id,
        to: Peer::Out(place),
        share: 0.9,
        timeout: 5000.0,
        needed: true,
        harms: vec![
            Harm { until: at + 25, ..Harm::errors(at, 1.0, Why::Reset) },
            Harm::errors(at + 25, share, Why::Said(text)),
        ],
    });
    cluster[id].always(|template| {
        template.set_env("DB_HOST", &host);
        template.set_env("DB_PORT", "5432");
    });
    let before = at - cluster.dice.between(200, 1200);
    cluster.roll(id, before, |template| template.set_env("LOG_LEVEL", "debug"));
    cluster.forgo(&["events"], 0.3);
    let alert = cluster.dice.pick(&["probe_failed", "high_error_rate", "SyntheticCheckFailing"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    Truth::new(cluster, alert, gate, Ref::new("External", "", &host))
        .told(
            "A hosted database recovers",
            &format!("{shown}: synthetic journey has failed in 3 of 3 regions since {} minutes.", -at / MIN),
            &format!("The hosted database {host} was restarted and stays in recovery, so {name} gets no connection; nothing in the cluster is at fault."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&[&host])
        .mention(&["recovery", "database", "external", "dependency"])
        .not_claim(&["bad release", "OOM", "network policy", "dns failure", "traffic spike"])
}

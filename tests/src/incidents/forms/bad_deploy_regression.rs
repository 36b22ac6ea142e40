//! New versions that misbehave.

mod neighbours;

use super::Tale;
use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    drawn::newer,
    mishap::crashes_since,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("throws_after_release", throws_after_release),
    ("wrong_architecture", wrong_architecture),
    ("asks_many_times", neighbours::asks_many_times),
    ("route_was_dropped", neighbours::route_was_dropped),
];

/// What a defect looks like in each language: a line, a trace, and the word that names it.
type Defect = (&'static str, &'static [&'static str], &'static str);

const JAVA: Defect = (
    "Unhandled exception in request {id}",
    &[
        "java.lang.NullPointerException: Cannot invoke \"java.math.BigDecimal.add(java.math.BigDecimal)\" because \"surcharge\" is null",
        "\tat com.app.rules.SurchargeRule.apply(SurchargeRule.java:48)",
        "\tat com.app.api.QuoteController.post(QuoteController.java:91)",
    ],
    "NullPointerException",
);
const PYTHON: Defect = (
    "Exception on /v1/quote [POST]",
    &[
        "Traceback (most recent call last):",
        "  File \"/app/rules/surcharge.py\", line 31, in apply",
        "    total = base + rule[\"rate\"]",
        "KeyError: 'rate'",
    ],
    "KeyError",
);
const NODE: Defect = (
    "TypeError: Cannot read properties of undefined (reading 'rate')",
    &[
        "    at applySurcharge (/app/dist/rules/surcharge.js:48:27)",
        "    at async handler (/app/dist/routes/quote.js:19:5)",
    ],
    "TypeError",
);
const DOT_NET: Defect = (
    "An unhandled exception has occurred while executing the request.",
    &[
        "System.NullReferenceException: Object reference not set to an instance of an object.",
        "   at App.Rules.SurchargeRule.Apply(Quote quote) in /src/Rules/SurchargeRule.cs:line 48",
    ],
    "NullReferenceException",
);
const RUBY: Defect = (
    "NoMethodError (undefined method `rate' for nil:NilClass):",
    &[
        "app/models/surcharge.rb:31:in `apply'",
        "app/controllers/quotes_controller.rb:18:in `create'",
    ],
    "NoMethodError",
);
const PHP: Defect = (
    "Call to a member function getRate() on null {\"exception\":\"[object] (Error(code: 0): Call to a member function getRate() on null at /app/src/Rules/Surcharge.php:48)\"}",
    &[],
    "getRate",
);
const RUST: Defect = (
    "thread 'tokio-runtime-worker' panicked at src/rules/surcharge.rs:48:30: called `Option::unwrap()` on a `None` value",
    &[],
    "panicked",
);
const GO: Defect = (
    "http: panic serving 10.244.2.8:51822: runtime error: invalid memory address or nil pointer dereference",
    &[
        "goroutine 4182 [running]:",
        "main.(*SurchargeRule).Apply(0x0, 0xc0004a2000)",
        "\t/src/rules/surcharge.go:48 +0x1d",
    ],
    "nil pointer",
);

fn defect(runtime: Runtime) -> Defect {
    match runtime {
        Runtime::Java => JAVA,
        Runtime::Python => PYTHON,
        Runtime::Node => NODE,
        Runtime::DotNet => DOT_NET,
        Runtime::Ruby => RUBY,
        Runtime::Php => PHP,
        Runtime::Rust => RUST,
        Runtime::Go | Runtime::Proxy | Runtime::Store => GO,
    }
}

/// A release throws on a part of the requests; the alert is some calls further up.
fn throws_after_release(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let id = app.last();
    if cluster[id].runtime == Runtime::Proxy {
        cluster[id].runtime = Runtime::Go;
        cluster[id].voice = crate::incidents::voice::draw_for(Runtime::Go, &mut cluster.dice);
    }
    let at = cluster.minutes_ago(8, 40);
    let tag = newer(&cluster[id].template().tag);
    let revision = cluster.roll(id, at, |template| template.tag.clone_from(&tag));
    let share = cluster.dice.range(0.25, 0.8);
    cluster.traffic.harm(id, Harm { grows: 60, ..Harm::errors(at + 25, share, Why::Status(500)) });
    let (line, trace, word) = defect(cluster[id].runtime);
    let every = cluster.dice.between(4, 15);
    let mut saying = Saying::new(at + 20, every, Level::Error, line).trace(trace);
    saying.revision = Some(revision);
    cluster[id].sayings.push(saying);
    // Somebody else's release, well before and after: nothing came of it.
    if let Some(&side) = app.sides.first() {
        let other: Sec = cluster.dice.between(-50 * MIN, 0);
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    let name = cluster[id].name.clone();
    let difficulty = ["easy", "medium", "medium", "hard"].get(hops).copied().unwrap_or("hard");
    Truth::new(cluster, "high_error_rate", app.gate(), cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "Errors since a release",
            &format!("{} answers more than 10% of requests with 5xx.", cluster[app.gate()].called()),
            &format!("Release {tag} of {name} fails on a part of its requests ({word}); its callers fail with it."),
        )
        .rated(difficulty, cluster.effect(app.gate()))
        .mention(&[&name, cluster[id].called()])
        .mention(&[&tag, "release", "rollout", "deploy", "new version", "new revision", "rolled out"])
        .not_claim(&["OOM", "database is down", "network policy", "dns failure", "traffic spike"])
}

/// The new image is for another processor: its containers never run.
fn wrong_architecture(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let id: Id = app.last();
    let at = cluster.minutes_ago(12, 50);
    let tag = newer(&cluster[id].template().tag);
    let name = cluster[id].name.clone();
    let binary =
        cluster.dice.pick(&["/usr/local/bin/server", "/app/main", "/entrypoint", "/usr/bin/java"]);
    cluster[id].voice = crate::incidents::voice::Voice::Plain;
    cluster[id].crash =
        vec![(Level::Fatal, format!("exec {binary}: exec format error"), Vec::new())];
    let recreated = cluster.dice.chance(0.5);
    let fate = |pod: &mut crate::incidents::workload::Pod| {
        crashes_since(pod, (pod.created + 3, 1), (1, "Error"))
    };
    cluster.stick(id, at, |template| template.tag.clone_from(&tag), fate);
    if recreated {
        // The old pods were lost with their node's drain: only new ones are left.
        let revision = cluster[id].revisions.len() - 1;
        let gone = at + 90;
        for pod in cluster[id].pods.iter_mut().filter(|pod| pod.revision < revision) {
            pod.gone = Some(gone);
        }
        while cluster[id].present().count() < cluster[id].replicas {
            let workload = cluster[id].clone();
            let mut pod = cluster.pod(&workload, workload.present().count(), revision, gone + 1);
            fate(&mut pod);
            cluster[id].pods.push(pod);
        }
    }
    cluster.crash_events(id);
    let (alert, at_gate, severity) = if recreated {
        ("high_error_rate", app.gate(), cluster.effect(app.gate()))
    } else {
        ("pod_crash_looping", id, "P3")
    };
    Truth::new(cluster, alert, at_gate, cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "A new image does not run on these nodes",
            &format!("{} is in trouble since a few minutes.", cluster[at_gate].called()),
            &format!("Image {tag} of {name} is built for another CPU architecture: containers end at once with exec format error."),
        )
        .rated(if recreated { "medium" } else { "easy" }, severity)
        .mention(&[&name, cluster[id].called()])
        .mention(&["exec format error", "architecture", "wrong platform", "release", "new version", "new revision", "rollout"])
        .not_claim(&["OOM", "liveness probe", "image pull", "missing configmap"])
}

//! Changes, credentials, names, databases and the outside world: which object each mechanism
//! blames, told by the documents of the catalogue.

use super::{alert, assess, blamed, by, edge, embedded, saw, thing, with};
use crate::fact::{Entity, Observation, Relation, RelationKind};

/// An observation of a log, new since `since`.
fn said(signal: &str, pod: &str, since: &str) -> Observation {
    with(saw(signal, thing("Pod", pod), since), &[("is_new", "true"), ("side", "client")])
}

fn errors(service: &str, since: &str) -> Observation {
    let mut seen = saw("service.error_ratio_high", thing("Service", service), since);
    (seen.value, seen.baseline) = (Some(0.3), Some(0.001));
    seen
}

fn workload(name: &str, pod: &str) -> Vec<Relation> {
    vec![
        edge(thing("Pod", pod), RelationKind::OwnedBy, thing("Deployment", name)),
        edge(thing("Service", name), RelationKind::Selects, thing("Pod", pod)),
    ]
}

/// `web` calls `db`, a `StatefulSet` behind its Service, as `batch` does.
fn world() -> Vec<Relation> {
    let mut all = workload("web", "web-1");
    all.push(edge(thing("Pod", "db-0"), RelationKind::OwnedBy, thing("StatefulSet", "db")));
    all.push(edge(thing("Service", "db"), RelationKind::Selects, thing("Pod", "db-0")));
    all.push(edge(thing("Deployment", "web"), RelationKind::Calls, thing("Service", "db")));
    all.push(edge(thing("Pod", "batch-x"), RelationKind::OwnedBy, thing("Job", "batch")));
    all.push(edge(thing("Job", "batch"), RelationKind::Calls, thing("Service", "db")));
    all.push(edge(thing("Pod", "web-1"), RelationKind::Uses, thing("ConfigMap", "web-conf")));
    all.push(edge(thing("Pod", "web-1"), RelationKind::Uses, thing("Secret", "web-db")));
    all
}

fn crashes() -> [Observation; 2] {
    let pod = || thing("Pod", "web-1");
    [saw("container.crash_looping", pod(), "11:31:00"), saw("container.exited", pod(), "11:31:00")]
}

fn edited(name: &str, topics: &str) -> Observation {
    let edit = saw("config.changed", thing("ConfigMap", name), "11:29:00");
    with(edit, &[("topics", topics), ("keys", "k"), ("how", "edited")])
}

fn rolled(name: &str, what: &str, fields: &str) -> Observation {
    let made = saw("workload.rolled_out", thing("Deployment", name), "11:29:30");
    with(made, &[("what", what), ("fields", fields)])
}

/// What is seen and who is to blame.
type Story = (Vec<Observation>, &'static str);

fn settings() -> Vec<Story> {
    let complains = || with(said("log.config_error", "web-1", "11:31:00"), &[("setting", "X")]);
    let [looping, exited] = crashes();
    let started = |mut more: Vec<Observation>| {
        more.extend([complains(), looping.clone(), exited.clone()]);
        more
    };
    vec![
        (started(vec![]), "crash_loop_config_error Deployment n/web"),
        (started(vec![rolled("web", "code", "image")]), "crash_loop_config_error Deployment n/web"),
        (started(vec![edited("web-conf", "")]), "crash_loop_config_error ConfigMap n/web-conf"),
        (
            vec![
                edited("web-conf", ""),
                saw("log.config_reloaded", thing("Pod", "web-1"), "11:30:00"),
                errors("web", "11:30:30"),
                said("log.error_pattern", "web-1", "11:30:30"),
            ],
            "config_change_regression ConfigMap n/web-conf",
        ),
        (
            vec![
                rolled("web", "settings", "env"),
                errors("web", "11:30:30"),
                said("log.error_pattern", "web-1", "11:30:30"),
            ],
            "config_change_regression Deployment n/web",
        ),
        (
            vec![
                rolled("web", "code", "image"),
                errors("web", "11:30:30"),
                said("log.panic", "web-1", "11:30:30"),
            ],
            "bad_deploy_regression Deployment n/web",
        ),
    ]
}

fn credentials() -> Vec<Story> {
    let refused = || by(said("log.auth_failure", "web-1", "11:30:00"), thing("Service", "db"));
    let secret = || {
        let seen = saw("config.credential_refused", thing("Secret", "web-db"), "11:30:00");
        by(with(seen, &[("is_new", "true")]), thing("Deployment", "web"))
    };
    vec![
        (
            vec![refused(), secret(), errors("web", "11:30:30")],
            "credentials_invalid Secret n/web-db",
        ),
        (
            vec![refused(), crashes()[0].clone(), errors("web", "11:30:30")],
            "credentials_invalid Deployment n/web",
        ),
    ]
}

fn databases() -> Vec<Story> {
    let waits = || by(said("log.lock_wait", "web-1", "11:30:00"), thing("Service", "db"));
    let held =
        by(saw("db.lock_held", thing("Job", "batch"), "11:29:00"), thing("StatefulSet", "db"));
    let held = with(held, &[("known", "true")]);
    let heavy = saw("db.heavy_statement", thing("Pod", "batch-x"), "11:29:30");
    let full = || {
        let seen = by(said("log.pool_exhausted", "web-1", "11:30:00"), thing("Service", "db"));
        with(seen, &[("pool", "server")])
    };
    let most = by(
        saw("db.connections_held", thing("Job", "batch"), "11:29:00"),
        thing("StatefulSet", "db"),
    );
    let slow = || saw("service.latency_high", thing("Service", "web"), "11:30:30");
    vec![
        (vec![waits(), held, slow()], "db_lock_or_slow_query Job n/batch"),
        (vec![waits(), heavy, slow()], "db_lock_or_slow_query Job n/batch"),
        (vec![full(), most, slow()], "db_connection_pool_exhausted Job n/batch"),
        (vec![full(), errors("web", "11:30:30")], "db_connection_pool_exhausted StatefulSet n/db"),
        (
            vec![
                said("log.connection_leak", "web-1", "11:20:00"),
                said("log.pool_exhausted", "web-1", "11:30:00"),
                slow(),
            ],
            "db_connection_pool_exhausted Deployment n/web",
        ),
    ]
}

#[test]
fn changes_credentials_and_databases_are_blamed_where_a_person_would_change_them() {
    for (facts, culprit) in [settings(), credentials(), databases()].concat() {
        let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
        assert_eq!(blamed(&told), [culprit], "{facts:#?}");
    }
}

#[test]
fn names_and_the_outside_world_are_blamed_by_who_cannot_do_without_them() {
    let resolver = || thing("Service", "resolver");
    let mut relations = world();
    relations.push(edge(resolver(), RelationKind::Selects, thing("Pod", "resolver-1")));
    let owner = thing("Deployment", "resolver");
    relations.push(edge(thing("Pod", "resolver-1"), RelationKind::OwnedBy, owner));
    let conf = thing("ConfigMap", "resolver-conf");
    relations.push(edge(thing("Pod", "resolver-1"), RelationKind::Uses, conf));
    let lost = || by(said("log.dns_failure", "web-1", "11:30:00"), resolver());
    let cache = || thing("Pod", "node-cache-1");
    let local = thing("DaemonSet", "node-cache");
    relations.push(edge(cache(), RelationKind::OwnedBy, local));
    relations.push(edge(thing("Pod", "web-1"), RelationKind::Uses, cache()));
    let api = || Entity::new("External", "", "api.partner.example");
    let outside = |signal: &str| by(said(signal, "web-1", "11:30:00"), api());
    let stories = [
        (
            vec![lost(), edited("resolver-conf", "dns"), errors("web", "11:30:30")],
            "dns_failure ConfigMap n/resolver-conf",
        ),
        (
            vec![
                lost(),
                saw("workload.replicas_missing", thing("Deployment", "resolver"), "11:29:00"),
                saw("service.no_endpoints", resolver(), "11:29:00"),
                errors("web", "11:30:30"),
            ],
            "dns_failure Deployment n/resolver",
        ),
        (
            vec![
                lost(),
                saw("container.crash_looping", cache(), "11:29:00"),
                saw("workload.healthy", thing("Deployment", "resolver"), "11:00:00"),
                errors("web", "11:30:30"),
            ],
            "dns_failure DaemonSet n/node-cache",
        ),
        (
            vec![
                with(said("log.unknown_host", "web-1", "11:30:00"), &[("host", "dbb")]),
                rolled("web", "settings", "env"),
                errors("web", "11:30:30"),
            ],
            "config_change_regression Deployment n/web",
        ),
        (
            vec![
                outside("log.upstream_error"),
                outside("log.timeout"),
                by(saw("dependency.failing", api(), "11:30:00"), thing("Service", "web")),
                errors("web", "11:30:30"),
            ],
            "downstream_dependency_failure External api.partner.example",
        ),
    ];
    for (facts, culprit) in stories {
        let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &relations);
        assert_eq!(blamed(&told), [culprit], "{facts:#?}");
    }
}

#[test]
fn an_edit_that_merely_came_shortly_before_is_not_sure_to_be_the_cause() {
    let facts = [edited("web-conf", ""), errors("web", "11:30:30")];
    let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
    for cause in &told.conclusion.root_causes {
        assert!(cause.confidence < 0.7, "{cause:?}");
    }
}

#[test]
fn a_version_that_never_starts_is_blamed_although_the_old_one_still_answers() {
    let [looping, exited] = crashes();
    let well = saw("service.error_ratio_normal", thing("Service", "web"), "11:00:00");
    let refused = said("log.exec_format", "web-1", "11:31:00");
    let told = [rolled("web", "code", "image"), looping, exited, refused, well];
    let assessment = assess(embedded(), &alert("rollout_stuck", "web"), &told, &world());
    assert_eq!(blamed(&assessment), ["bad_deploy_regression Deployment n/web"]);
    let sure = assessment.conclusion.root_causes[0].confidence;
    assert!(sure > 0.8, "{sure}");
}

#[test]
fn a_change_is_not_believed_where_the_program_only_complains_of_another() {
    let api = || Entity::new("External", "", "db.hosted.example");
    let told = || by(said("log.upstream_error", "web-1", "11:30:00"), api());
    let line = |of: &str| with(said("log.error_pattern", "web-1", "11:30:00"), &[("of", of)]);
    let rolled = || rolled("web", "settings", "env");
    let facts = [rolled(), told(), line("another"), errors("web", "11:30:30")];
    let assessment = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
    assert_eq!(blamed(&assessment), ["downstream_dependency_failure External db.hosted.example"]);
    let facts = [rolled(), line(""), errors("web", "11:30:30")];
    let assessment = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
    assert_eq!(blamed(&assessment), ["config_change_regression Deployment n/web"]);
}

#[test]
fn a_dropped_index_or_a_lowered_bound_is_blamed_and_not_the_release_before_it() {
    let slow = |pod: &str| said("log.slow_statement", pod, "11:30:00");
    let server = with(slow("db-0"), &[("side", "server")]);
    let dropped = saw("db.index_dropped", thing("Pod", "db-0"), "11:29:50");
    let facts = [
        rolled("web", "code", "image"),
        dropped,
        server,
        slow("web-1"),
        said("log.error_pattern", "web-1", "11:30:00"),
        errors("web", "11:30:30"),
    ];
    let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
    assert_eq!(blamed(&told), ["db_lock_or_slow_query StatefulSet n/db"]);

    let scaler = thing("HorizontalPodAutoscaler", "web");
    let mut relations = world();
    relations.push(edge(scaler.clone(), RelationKind::Governs, thing("Deployment", "web")));
    let facts = [
        rolled("web", "settings", "env"),
        with(saw("policy.hpa_at_max", scaler, "11:30:00"), &[("bound", "lowered")]),
        saw("container.cpu_saturated", thing("Pod", "web-1"), "11:30:10"),
        said("log.overloaded", "web-1", "11:30:10"),
        said("log.error_pattern", "web-1", "11:30:10"),
        errors("web", "11:30:30"),
    ];
    let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &relations);
    assert_eq!(blamed(&told), ["hpa_misconfigured HorizontalPodAutoscaler n/web"]);
}

/// What an innocent release warns of is older than the trouble, and says nothing of its beginning.
#[test]
fn a_warning_before_the_trouble_does_not_clear_the_change_that_made_it() {
    let warns = with(
        saw("log.error_pattern", thing("Pod", "web-1"), "11:22:00"),
        &[("level", "WARN"), ("is_new", "true"), ("of", "")],
    );
    let broke = with(
        saw("log.error_pattern", thing("Pod", "db-0"), "11:30:00"),
        &[("level", "ERROR"), ("is_new", "true"), ("of", "code")],
    );
    let mut released = rolled("db", "code", "image");
    released.subject = thing("StatefulSet", "db");
    let mut failing = saw("dependency.failing", thing("Service", "db"), "11:30:00");
    failing.peer = Some(thing("Service", "web"));
    let mut facts = vec![released, broke, failing, errors("web", "11:30:30"), warns];
    for _ in 0..2 {
        let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &world());
        assert_eq!(blamed(&told), ["bad_deploy_regression StatefulSet n/db"]);
        facts.reverse();
    }
}

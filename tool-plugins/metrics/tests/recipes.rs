//! Caches, queues, volumes, pools, memory and load as many exporters and programs name them: each
//! story is a small recording, asked over the wire.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{fmt::Write as _, fs, sync::Arc};

use agent_sdk::{kit::Harness, wire::Observation};
use plugin_cluster::Source;
use plugin_metrics::recording::Recording;
use serde_json::{Value, json};

const FROM: i64 = 1_735_812_000;
const STEPS: i64 = 130;
/// The step at which trouble begins in these stories.
const ONSET: i64 = 80;

/// A recording under construction: an hour and five minutes at 30 s.
#[derive(Default)]
struct Dump(String);

impl Dump {
    fn gauge(mut self, series: &str, value: impl Fn(i64) -> f64) -> Self {
        for step in 0..STEPS {
            // Small, repeatable noise: nothing real is perfectly level.
            let value = value(step) * (1.0 + 0.002 * f64::from(i32::try_from(step % 5).unwrap()));
            writeln!(self.0, "{series} {value} {}", FROM + 30 * step).unwrap();
        }
        self
    }

    fn exact(mut self, series: &str, value: impl Fn(i64) -> f64) -> Self {
        for step in 0..STEPS {
            writeln!(self.0, "{series} {} {}", value(step), FROM + 30 * step).unwrap();
        }
        self
    }

    /// A counter that grows by `by` each step.
    fn counter(mut self, series: &str, by: impl Fn(i64) -> f64) -> Self {
        let mut count = 1000.0;
        for step in 0..STEPS {
            let by = by(step);
            count += by + if by > 0.0 { f64::from(i32::try_from(step % 3).unwrap()) } else { 0.0 };
            writeln!(self.0, "{series} {count} {}", FROM + 30 * step).unwrap();
        }
        self
    }

    async fn asked(self, objects: &[Value], service: &str) -> Vec<Observation> {
        let dir = tempfile::tempdir().unwrap();
        let kube = dir.path().join("kube");
        fs::create_dir_all(&kube).unwrap();
        for kind in ["Deployment", "StatefulSet", "Service", "Pod", "ReplicaSet", "Ingress"] {
            let of: Vec<&Value> = objects.iter().filter(|o| o["kind"] == kind).collect();
            let file = kube.join(format!("{}.json", kind.to_lowercase()));
            fs::write(file, json!(of).to_string()).unwrap();
        }
        fs::write(dir.path().join("snapshot.json"), r#"{"taken_at":"2025-01-02T11:04:40Z"}"#)
            .unwrap();
        fs::write(dir.path().join("metrics.om"), self.0 + "# EOF\n").unwrap();
        let cluster = Source::recorded(dir.path().to_owned()).open().await.unwrap();
        let recording = Arc::new(Recording::new(cluster));
        let harness = Harness::new(plugin_metrics::plugin(&recording)).await.unwrap();
        let outcome =
            harness.call("get_metrics", json!({"namespace": "shop", "service": service})).await;
        outcome.result().unwrap().observations.clone()
    }
}

fn workload(kind: &str, name: &str, env: &[(&str, &str)]) -> Value {
    let env: Vec<Value> = env.iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
    json!({"apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "env": env}]}}}})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": name}}})
}

#[track_caller]
fn one<'a>(facts: &'a [Observation], signal: &str, name: &str) -> &'a Observation {
    let of =
        |f: &&Observation| f.signal == signal && f.subject.as_ref().is_some_and(|s| s.name == name);
    facts.iter().find(of).unwrap_or_else(|| {
        let all: Vec<String> = facts
            .iter()
            .map(|f| {
                format!("{} {:?}: {}", f.signal, f.subject.as_ref().map(|s| &s.name), f.statement)
            })
            .collect();
        panic!("no {signal} on {name} in:\n{}", all.join("\n"))
    })
}

fn none(facts: &[Observation], signal: &str) -> bool {
    facts.iter().all(|f| f.signal != signal)
}

fn starts_at_onset(fact: &Observation) -> bool {
    let start = fact.start_time.unwrap().seconds;
    (start - (FROM + 30 * ONSET)).abs() <= 180
}

fn late(step: i64) -> bool {
    step >= ONSET
}

#[tokio::test]
async fn a_cache_that_got_less_memory_evicts_and_finds_less() {
    let cache = r#"{namespace="shop",instance="redis://sessions:6379"}"#;
    let facts =
        Dump::default()
            .counter(&format!("redis_keyspace_hits_total{cache}"), |s| {
                if late(s) { 900.0 } else { 2900.0 }
            })
            .counter(&format!("redis_keyspace_misses_total{cache}"), |s| {
                if late(s) { 2100.0 } else { 100.0 }
            })
            .counter(&format!("redis_evicted_keys_total{cache}"), |s| {
                if late(s) { 1500.0 } else { 0.0 }
            })
            .exact(&format!("redis_memory_max_bytes{cache}"), |s| {
                if late(s) { 67_108_864.0 } else { 536_870_912.0 }
            })
            .asked(&[workload("StatefulSet", "sessions", &[]), service("sessions")], "sessions")
            .await;
    let low = one(&facts, "cache.hit_ratio_low", "sessions");
    assert!((low.value.unwrap() - 0.3).abs() < 0.03 && low.baseline.unwrap() > 0.9, "{low:?}");
    assert!(starts_at_onset(low) && low.statement.contains("512Mi to 64Mi"), "{}", low.statement);
    one(&facts, "cache.evicting", "sessions");
    assert_eq!(one(&facts, "cache.capacity_changed", "sessions").attributes["direction"], "down");
}

#[tokio::test]
async fn a_cache_inside_a_program_is_seen_by_its_labels_and_an_emptied_one_by_its_keys() {
    let asked = |result: &str| {
        format!(
            r#"cache_gets_total{{namespace="shop",service="prices",cache="rates",result="{result}"}}"#
        )
    };
    let facts = Dump::default()
        .counter(&asked("hit"), |s| if late(s) { 100.0 } else { 950.0 })
        .counter(&asked("miss"), |s| if late(s) { 900.0 } else { 50.0 })
        .gauge(r#"memcached_current_items{namespace="shop",pod="mc-0"}"#, |s| {
            if late(s) { 900.0 } else { 80_000.0 }
        })
        .counter(
            r#"memcached_commands_total{namespace="shop",pod="mc-0",command="get",status="hit"}"#,
            |s| if late(s) { 200.0 } else { 990.0 },
        )
        .counter(
            r#"memcached_commands_total{namespace="shop",pod="mc-0",command="get",status="miss"}"#,
            |s| if late(s) { 800.0 } else { 10.0 },
        )
        .counter(
            r#"memcached_commands_total{namespace="shop",pod="mc-0",command="set",status="miss"}"#,
            |_| 10.0,
        )
        .asked(
            &[workload("Deployment", "prices", &[]), workload("StatefulSet", "mc", &[])],
            "prices",
        )
        .await;
    assert_eq!(one(&facts, "cache.hit_ratio_low", "prices").attributes["cache"], "rates");
    one(&facts, "cache.hit_ratio_low", "mc");
    assert_eq!(one(&facts, "cache.emptied", "mc").attributes["why"], "flushed");
}

#[tokio::test]
async fn a_cache_that_finds_as_much_as_ever_is_healthy() {
    let facts = Dump::default()
        .gauge(r#"app_cache_hit_ratio{namespace="shop",service="web"}"#, |_| 0.93)
        .counter(r#"varnish_main_cache_hit{namespace="shop",pod="edge-0"}"#, |_| 500.0)
        .counter(r#"varnish_main_cache_miss{namespace="shop",pod="edge-0"}"#, |_| 60.0)
        .asked(&[workload("Deployment", "web", &[]), workload("StatefulSet", "edge", &[])], "web")
        .await;
    one(&facts, "cache.healthy", "web");
    one(&facts, "cache.healthy", "edge");
    assert!(none(&facts, "cache.hit_ratio_low"));
}

#[tokio::test]
async fn the_reader_of_a_kafka_group_is_found_by_what_it_is_told() {
    let lag = |p: i64| {
        format!(
            r#"kafka_consumergroup_lag{{namespace="shop",pod="kafka-exporter-0",consumergroup="billing-v2",topic="orders",partition="{p}"}}"#
        )
    };
    let facts = Dump::default()
        .gauge(&lag(0), |s| if late(s) { 40.0 * f64::from(i32::try_from(s - ONSET).unwrap()) } else { 3.0 })
        .gauge(&lag(1), |s| if late(s) { 40.0 * f64::from(i32::try_from(s - ONSET).unwrap()) } else { 3.0 })
        .counter(r#"kafka_topic_partition_current_offset{namespace="shop",pod="kafka-exporter-0",topic="orders"}"#, |_| 80.0)
        .counter(r#"kafka_consumergroup_current_offset{namespace="shop",pod="kafka-exporter-0",consumergroup="billing-v2",topic="orders"}"#, |s| if late(s) { 0.0 } else { 80.0 })
        .asked(
            &[
                workload("Deployment", "ledger-writer", &[("KAFKA_GROUP_ID", "billing-v2"), ("TOPICS", "orders")]),
                workload("Deployment", "checkout", &[("PRODUCE_TOPIC", "orders")]),
                workload("StatefulSet", "kafka", &[]),
                workload("StatefulSet", "kafka-exporter", &[("KAFKA_SERVER", "kafka:9092")]),
                service("kafka"),
            ],
            "checkout",
        )
        .await;
    let growing = one(&facts, "queue.backlog_growing", "ledger-writer");
    assert!(starts_at_onset(growing), "{growing:?}");
    assert_eq!(growing.peer.as_ref().unwrap().name, "kafka");
    let stalled = one(&facts, "queue.consumer_stalled", "ledger-writer");
    assert_eq!((&*stalled.attributes["why"], &*stalled.attributes["queue"]), ("stalled", "orders"));
}

#[tokio::test]
async fn a_queue_without_readers_and_one_that_is_flooded_are_told_apart() {
    let labels = |q: &str| format!(r#"{{namespace="shop",pod="rabbitmq-0",queue="{q}"}}"#);
    let grows =
        |s: i64| if late(s) { 100.0 * f64::from(i32::try_from(s - ONSET).unwrap()) } else { 5.0 };
    let facts = Dump::default()
        .gauge(&format!("rabbitmq_queue_messages_ready{}", labels("invoice.render")), grows)
        .exact(&format!("rabbitmq_queue_consumers{}", labels("invoice.render")), |s| {
            if late(s) { 0.0 } else { 2.0 }
        })
        .gauge(&format!("rabbitmq_queue_messages_ready{}", labels("mail")), grows)
        .counter(&format!("rabbitmq_queue_messages_published_total{}", labels("mail")), |s| {
            if late(s) { 900.0 } else { 100.0 }
        })
        .counter(&format!("rabbitmq_queue_messages_delivered_total{}", labels("mail")), |s| {
            if late(s) { 120.0 } else { 100.0 }
        })
        .exact(&format!("rabbitmq_queue_messages_ready{}", labels("audit")), |s| {
            f64::from(i32::try_from(s % 9).unwrap())
        })
        .asked(
            &[
                workload("Deployment", "invoice-renderer", &[]),
                workload("Deployment", "mail-worker", &[]),
                workload("Deployment", "audit-worker", &[]),
                workload("Deployment", "campaigns", &[("PUBLISH_TO_QUEUE", "mail")]),
                workload("StatefulSet", "rabbitmq", &[]),
            ],
            "invoice-renderer",
        )
        .await;
    one(&facts, "queue.consumer_stalled", "invoice-renderer");
    assert_eq!(one(&facts, "queue.backlog_growing", "mail-worker").attributes["why"], "inflow");
    one(&facts, "queue.inflow_up", "campaigns");
    one(&facts, "queue.keeping_up", "audit-worker");
}

#[tokio::test]
async fn a_broker_by_its_image_is_nobody_who_reads_and_steady_inflow_means_a_slower_reader() {
    let labels = r#"{namespace="shop",service="trail",topic="hits",partition="0""#;
    let mut broker = workload("StatefulSet", "trail", &[]);
    broker["spec"]["template"]["spec"]["containers"][0]["image"] = json!("apache/kafka:3.9");
    let grows =
        |s: i64| if late(s) { 100.0 * f64::from(i32::try_from(s - ONSET).unwrap()) } else { 5.0 };
    let lag = |group: &str| format!(r#"kafka_consumergroup_group_lag{labels},group="{group}"}}"#);
    let facts = Dump::default()
        .gauge(&lag("tally-group"), grows)
        .gauge(&lag("nobody-known"), grows)
        .counter(&format!("kafka_topic_partition_current_offset{labels}}}"), |_| 80.0)
        .asked(
            &[broker, service("trail"), workload("Deployment", "tally-jobs", &[("TOPIC", "x")])],
            "trail",
        )
        .await;
    let growing = one(&facts, "queue.backlog_growing", "tally-jobs");
    assert_eq!(
        (&*growing.attributes["why"], &*growing.attributes["consumer"]),
        ("slower", "known")
    );
    let growing = one(&facts, "queue.backlog_growing", "trail");
    assert_eq!(growing.attributes["consumer"], "unknown");
}

#[tokio::test]
async fn a_claim_fills_until_it_is_full_and_another_has_room() {
    let labels = |c: &str| format!(r#"{{namespace="shop",persistentvolumeclaim="{c}"}}"#);
    let gib = 1_073_741_824.0;
    let facts = Dump::default()
        .exact(&format!("kubelet_volume_stats_capacity_bytes{}", labels("data-db-0")), |_| {
            20.0 * gib
        })
        .exact(&format!("kubelet_volume_stats_available_bytes{}", labels("data-db-0")), |s| {
            (f64::from(i32::try_from(110 - s).unwrap()) * 0.05 * gib).max(0.0)
        })
        .exact(&format!("kubelet_volume_stats_capacity_bytes{}", labels("logs-web")), |_| {
            10.0 * gib
        })
        .exact(&format!("kubelet_volume_stats_available_bytes{}", labels("logs-web")), |_| {
            6.0 * gib
        })
        .exact(&format!("kubelet_volume_stats_inodes{}", labels("logs-web")), |_| 1e6)
        .exact(&format!("kubelet_volume_stats_inodes_free{}", labels("logs-web")), |_| 12.0)
        .asked(&[workload("StatefulSet", "db", &[])], "db")
        .await;
    let full = one(&facts, "storage.volume_full", "data-db-0");
    assert!(full.value.unwrap() > 0.99 && full.statement.contains("0 bytes of 20Gi"), "{full:?}");
    assert_eq!(one(&facts, "storage.volume_full", "logs-web").attributes["what"], "inodes");
    one(&facts, "storage.volume_ok", "logs-web");
}

#[tokio::test]
async fn memory_that_leaks_is_told_from_what_jumps_fills_or_stands() {
    let place = |pod: &str| format!(r#"{{namespace="shop",pod="{pod}",container="main"}}"#);
    let mib = 1_048_576.0;
    let real = |n: i64| f64::from(i32::try_from(n).unwrap());
    let mut dump = Dump::default();
    let shapes: [(&str, &dyn Fn(i64) -> f64); 6] = [
        ("creeps-0", &|s| 450.0 + 0.2 * real(s)),
        ("leaks-0", &|s| 200.0 + 2.0 * real(s)),
        ("jumps-0", &|s| if late(s) { 480.0 } else { 200.0 }),
        ("fills-0", &|s| 400.0 - 200.0 * (-real(s) / 12.0).exp()),
        ("flat-0", &|_| 485.0),
        ("saw-0", &|s| 150.0 + 6.0 * real(s % 50)),
    ];
    for (pod, shape) in shapes {
        dump = dump
            .gauge(&format!("container_memory_working_set_bytes{}", place(pod)), |s| shape(s) * mib)
            .exact(&format!(r#"kube_pod_container_resource_limits{{namespace="shop",pod="{pod}",container="main",resource="memory"}}"#), |_| 512.0 * mib);
    }
    let names = ["leaks", "jumps", "fills", "flat", "saw", "creeps"];
    let objects: Vec<Value> = names.iter().map(|n| workload("StatefulSet", n, &[])).collect();
    let facts = dump.asked(&objects, "leaks").await;
    one(&facts, "container.memory_growing", "leaks-0");
    assert_eq!(one(&facts, "container.memory_growing", "saw-0").attributes["falls"], "2");
    let growing: Vec<_> = facts.iter().filter(|f| f.signal == "container.memory_growing").collect();
    one(&facts, "container.memory_growing", "creeps-0");
    assert_eq!(growing.len(), 3, "neither a jump nor a filling cache leaks");
    one(&facts, "container.memory_steady", "flat-0");
    let near = facts.iter().filter(|f| f.signal == "container.memory_near_limit");
    assert!(
        near.filter(|f| f.subject.as_ref().unwrap().name == "flat-0").count() == 0,
        "by design"
    );
    one(&facts, "container.memory_near_limit", "jumps-0");
    assert!(starts_at_onset(one(&facts, "container.memory_jumped", "jumps-0")));
}

#[tokio::test]
async fn a_rollout_that_lowers_a_limit_shows_in_the_limits_of_old_and_new_pods() {
    let limit = |pod: &str| {
        format!(
            r#"kube_pod_container_resource_limits{{namespace="shop",pod="{pod}",container="main",resource="cpu"}}"#
        )
    };
    let (old, new) = (limit("web-6c8d9f7b5d-aaaa2"), limit("web-7d9f8c5b6d-bbbb2"));
    let mut text = String::new();
    for step in 0..STEPS {
        let (series, value) = if late(step) { (&new, 0.2) } else { (&old, 2.0) };
        writeln!(text, "{series} {value} {}", FROM + 30 * step).unwrap();
    }
    let facts = Dump(text).asked(&[workload("Deployment", "web", &[])], "web").await;
    let lowered = one(&facts, "container.limit_changed", "web-7d9f8c5b6d-bbbb2");
    assert_eq!(lowered.attributes["direction"], "lowered");
    assert!(starts_at_onset(lowered) && lowered.baseline == Some(2.0));
}

#[tokio::test]
async fn a_caller_that_floods_is_told_from_one_that_passes_load_on() {
    let served =
        |s: &str| format!(r#"http_requests_total{{namespace="shop",service="{s}",code="200"}}"#);
    let call = |a: &str, b: &str| {
        format!(
            r#"http_client_requests_total{{namespace="shop",service="{a}",peer="{b}",code="200"}}"#
        )
    };
    let facts = Dump::default()
        .counter(&served("edge"), |s| if late(s) { 3000.0 } else { 600.0 })
        .counter(&served("cart"), |s| if late(s) { 3000.0 } else { 600.0 })
        .counter(&call("edge", "cart"), |s| if late(s) { 3000.0 } else { 600.0 })
        .counter(&served("stock"), |s| if late(s) { 6000.0 } else { 300.0 })
        .counter(&call("sync", "stock"), |s| if late(s) { 5750.0 } else { 50.0 })
        .counter(&call("cart", "stock"), |_| 250.0)
        .asked(&[service("edge"), service("cart"), service("stock")], "stock")
        .await;
    let source = |name: &str| one(&facts, "service.traffic_up", name).attributes["source"].clone();
    assert_eq!(
        (&*source("edge"), &*source("cart"), &*source("stock")),
        ("outside", "passed_on", "caller")
    );
    let flood = one(&facts, "traffic.flood", "sync");
    assert_eq!(flood.peer.as_ref().unwrap().name, "stock");
    assert!(facts.iter().filter(|f| f.signal == "traffic.flood").count() == 1);
}

#[tokio::test]
async fn a_caller_that_only_a_mesh_sees_asked_for_more_passes_it_on() {
    let mesh = |a: &str, b: &str| {
        format!(
            r#"istio_requests_total{{reporter="source",source_workload="{a}",source_workload_namespace="shop",destination_service_name="{b}",destination_service_namespace="shop",response_code="200"}}"#
        )
    };
    let grown = |step: i64| if late(step) { 3000.0 } else { 600.0 };
    let facts = Dump::default()
        .counter(&mesh("gate", "front"), grown)
        .counter(&mesh("front", "cart"), grown)
        .counter(r#"http_requests_total{namespace="shop",service="cart",code="200"}"#, grown)
        .asked(&[service("front"), service("cart")], "cart")
        .await;
    assert_eq!(one(&facts, "service.traffic_up", "cart").attributes["source"], "passed_on");
    assert!(none(&facts, "traffic.flood"), "{facts:?}");
}

#[tokio::test]
async fn pools_and_the_client_that_takes_all_connections_are_told() {
    let activity = |app: &str| {
        format!(
            r#"pg_stat_activity_count{{namespace="shop",pod="db-0",datname="main",state="active",application_name="{app}"}}"#
        )
    };
    let facts = Dump::default()
        .exact(&activity("reports"), |s| if late(s) { 80.0 } else { 4.0 })
        .exact(&activity("cart"), |_| 18.0)
        .exact(r#"pg_settings_max_connections{namespace="shop",pod="db-0"}"#, |_| 100.0)
        .exact(r#"hikaricp_connections_active{namespace="shop",service="cart",pool="main"}"#, |s| {
            if late(s) { 10.0 } else { 2.0 }
        })
        .exact(r#"hikaricp_connections_max{namespace="shop",service="cart",pool="main"}"#, |_| 10.0)
        .exact(
            r#"hikaricp_connections_pending{namespace="shop",service="cart",pool="main"}"#,
            |s| if late(s) { 25.0 } else { 0.0 },
        )
        .exact(r#"go_sql_in_use_connections{namespace="shop",service="edge"}"#, |_| 1.0)
        .exact(r#"go_sql_max_open_connections{namespace="shop",service="edge"}"#, |_| 20.0)
        .asked(
            &[
                workload("StatefulSet", "db", &[]),
                service("db"),
                workload("Deployment", "reports", &[]),
                workload(
                    "Deployment",
                    "cart",
                    &[("DATABASE_URL", "jdbc:postgresql://db:5432/main")],
                ),
                workload("Deployment", "edge", &[]),
            ],
            "cart",
        )
        .await;
    one(&facts, "db.connections_exhausted", "db");
    assert_eq!(one(&facts, "db.connections_held", "reports").peer.as_ref().unwrap().name, "db");
    let pool = one(&facts, "pool.saturated", "cart");
    assert_eq!(pool.peer.as_ref().unwrap().name, "db");
    assert!(starts_at_onset(pool) && pool.statement.contains("10 of 10"), "{}", pool.statement);
    one(&facts, "pool.free", "edge");
}

#[tokio::test]
async fn ends_of_certificates_are_told_of_the_secret_the_ingress_or_the_host() {
    let end = |at: i64| move |_: i64| f64::from(i32::try_from(at).unwrap());
    let (ended, soon, later) = (FROM + 30 * ONSET, FROM + 90_000, FROM + 90 * 86_400);
    let ingress = json!({"kind": "Ingress", "metadata": {"name": "front", "namespace": "shop"},
        "spec": {"tls": [{"hosts": ["*.shop.example"], "secretName": "wild-tls"}],
            "rules": [{"host": "www.shop.example", "http": {"paths": [
                {"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}});
    for (series, at, signal, holder) in [
        (
            r#"nginx_ingress_controller_ssl_expire_time_seconds{host="shop.example",namespace="shop",secret_name="shop-tls"}"#,
            ended,
            "certificate.expired",
            "shop-tls",
        ),
        (
            r#"x509_cert_not_after{secret_namespace="shop",secret_name="inner-tls"}"#,
            ended,
            "certificate.expired",
            "inner-tls",
        ),
        (
            r#"probe_ssl_earliest_cert_expiry{instance="https://www.shop.example/"}"#,
            ended,
            "certificate.expired",
            "wild-tls",
        ),
        (
            r#"traefik_tls_certs_not_after{cn="www.shop.example",sans="www.shop.example,shop.example"}"#,
            soon,
            "certificate.expiring",
            "wild-tls",
        ),
        (
            r#"ssl_cert_not_after{instance="https://partner.example:443"}"#,
            ended,
            "certificate.expired",
            "partner.example",
        ),
        (
            r#"x509_cert_not_after{secret_namespace="shop",secret_name="new-tls"}"#,
            later,
            "certificate.valid",
            "new-tls",
        ),
    ] {
        let facts = Dump::default()
            .exact(series, end(at))
            .asked(&[workload("Deployment", "web", &[]), service("web"), ingress.clone()], "web")
            .await;
        let seen = one(&facts, signal, holder);
        let start = seen.start_time.as_ref().map(|start| start.seconds);
        assert_eq!(start, (signal == "certificate.expired").then_some(at), "{series}");
    }
}

#[tokio::test]
async fn who_leaves_transactions_open_is_told_by_name_user_or_address() {
    let sessions = |client: &str, state: &str| {
        format!(
            r#"pg_stat_activity_count{{namespace="shop",pod="db-0",datname="main",state="{state}",{client}}}"#
        )
    };
    let max = r#"pg_settings_max_connections{namespace="shop",pod="db-0"}"#;
    let objects = |user: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "mailer-0", "namespace": "shop",
                "ownerReferences": [{"kind": "StatefulSet", "name": "mailer", "controller": true}]},
            "status": {"podIP": "10.1.2.3"}});
        vec![
            workload("StatefulSet", "db", &[]),
            service("db"),
            workload("StatefulSet", "mailer", &[("DB_USER", user)]),
            workload("Deployment", "cart", &[]),
            pod,
        ]
    };
    for client in [
        r#"application_name="mailer""#,
        r#"application_name="",usename="postman""#,
        r#"application_name="PostgreSQL JDBC Driver",client_addr="10.1.2.3""#,
    ] {
        // Behind a pooler the server itself is never full.
        let facts = Dump::default()
            .exact(&sessions(client, "idle in transaction"), |s| if late(s) { 19.0 } else { 0.0 })
            .exact(&sessions(r#"application_name="cart""#, "active"), |s| {
                if late(s) { 1.0 } else { 5.0 }
            })
            .exact(max, |_| 200.0)
            .asked(&objects("postman"), "cart")
            .await;
        let held = one(&facts, "db.connections_held", "mailer");
        assert_eq!(held.attributes["state"], "idle in transaction", "{client}");
        assert!(starts_at_onset(held));
        // A leak of days shows no jump, only a server that is full.
        let facts = Dump::default()
            .exact(&sessions(client, "idle in transaction"), |s| if late(s) { 88.0 } else { 84.0 })
            .exact(&sessions(r#"application_name="cart""#, "active"), |_| 8.0)
            .exact(max, |_| 100.0)
            .asked(&objects("postman"), "cart")
            .await;
        one(&facts, "db.connections_held", "mailer");
    }
}

#[tokio::test]
async fn the_oldest_transaction_counts_only_where_others_wait() {
    let waiting = r#"pg_stat_activity_count{namespace="shop",pod="db-0",state="active",wait_event_type="Lock"}"#;
    let age = |app: &str| {
        format!(
            r#"pg_stat_activity_max_tx_duration{{namespace="shop",pod="db-0",application_name="{app}"}}"#
        )
    };
    let since = |s: i64, from: i64| {
        f64::from(i32::try_from(if s >= from { 30 * (s - from) } else { 0 }).unwrap())
    };
    let objects = [
        workload("StatefulSet", "db", &[]),
        service("db"),
        workload("Deployment", "settle", &[]),
        workload("Deployment", "cart", &[]),
    ];
    for waits in [30.0, 0.0] {
        let facts = Dump::default()
            .exact(waiting, |s| if late(s) { waits } else { 0.0 })
            .exact(&age("settle"), |s| since(s, ONSET - 1))
            .exact(&age("cart"), |s| since(s, ONSET + 4))
            .asked(&objects, "cart")
            .await;
        if waits > 0.0 {
            let held = one(&facts, "db.lock_held", "settle");
            assert!(starts_at_onset(held), "{:?}", held.start_time);
            assert_eq!(held.peer.as_ref().unwrap().name, "db");
            assert_eq!(facts.iter().filter(|f| f.signal == "db.lock_held").count(), 1);
        } else {
            assert!(none(&facts, "db.lock_held"), "a batch may take its time");
        }
    }
}

#[tokio::test]
async fn clients_that_wait_in_a_pooler_are_told() {
    for metric in ["pgbouncer_pools_client_waiting_connections", "pgcat_pools_waiting_clients"] {
        let series = format!(r#"{metric}{{namespace="shop",service="pooler",database="main"}}"#);
        let objects = [workload("Deployment", "pooler", &[]), service("pooler")];
        let facts = Dump::default()
            .exact(&series, |s| if late(s) { 74.0 } else { 0.0 })
            .asked(&objects, "pooler")
            .await;
        let full = one(&facts, "db.connections_exhausted", "pooler");
        assert!(starts_at_onset(full) && full.statement.contains("74 clients wait"));
    }
}

#[tokio::test]
async fn queries_that_read_whole_tables_are_told_when_they_become_many() {
    let scans = r#"pg_stat_user_tables_seq_scan{namespace="shop",pod="db-0",relname="orders"}"#;
    let objects = [workload("StatefulSet", "db", &[]), service("db")];
    let often = |s: i64| if late(s) { 270.0 } else { 3.0 };
    let facts = Dump::default().counter(scans, often).asked(&objects, "db").await;
    let slow = one(&facts, "db.slow_query", "db");
    assert_eq!(slow.attributes["statement"], "orders");
    assert!(starts_at_onset(slow) && slow.statement.contains("read whole tables"));
    let seldom = |s: i64| if late(s) { 6.0 } else { 0.0 };
    let facts = Dump::default().counter(scans, seldom).asked(&objects, "db").await;
    assert!(none(&facts, "db.slow_query"));
}

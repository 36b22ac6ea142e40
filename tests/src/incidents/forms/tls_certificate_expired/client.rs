//! Certificates with which a client shows who it is.

use serde_json::json;

use crate::incidents::{
    clock::{DAY, MIN},
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    series::along,
    storage::Store,
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
};

fn turned_away(runtime: Runtime, host: &str) -> String {
    match runtime {
        Runtime::Java => "org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed; caused by javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_expired".to_owned(),
        Runtime::Python => format!("cimpl.KafkaException: KafkaError{{code=_SSL,val=-181,str=\"ssl://{host}:9093/bootstrap: SSL handshake failed: ssl/record/rec_layer_s3.c:1584:error:0A000415:SSL routines::sslv3 alert certificate expired: SSL alert number 45\"}}"),
        Runtime::Node => "KafkaJSConnectionError: Connection error: 00A8F1B2:error:0A000415:SSL routines:ssl3_read_bytes:sslv3 alert certificate expired:SSL alert number 45".to_owned(),
        Runtime::DotNet => format!("%3|rdkafka#producer-1| [thrd:ssl://{host}:9093/0]: ssl://{host}:9093/0: SSL handshake failed: sslv3 alert certificate expired: SSL alert number 45"),
        Runtime::Ruby | Runtime::Php | Runtime::Rust => format!("Local: SSL error: ssl://{host}:9093/bootstrap: SSL handshake failed: sslv3 alert certificate expired (after 4ms in state SSL_HANDSHAKE)"),
        Runtime::Go | Runtime::Proxy | Runtime::Store => format!("kafka: client has run out of available brokers to talk to: dial {host}:9093: remote error: tls: expired certificate"),
    }
}

/// The certificate with which a producer shows itself to the broker ended: the broker turns it
/// away, and serves all others.
pub(super) fn client_shows_an_old_one(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let (app, broker) = cluster.app_on(hops, Store::Kafka);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    let host = cluster[broker].called().to_owned();
    let stem = cluster[id].called().to_owned();
    let secret = format!("{stem}-{}", cluster.dice.pick(&["kafka-user", "mtls", "client-cert"]));
    let at = cluster.minutes_ago(7, 40);
    let life = cluster.dice.pick(&[30, 90, 365]);
    let fields = ["f:data.f:user.crt", "f:data.f:user.key"];
    let edit = Edit::new(at - life * DAY, "strimzi-user-operator", &fields);
    cluster.secret((&home, &secret), "Opaque", &["ca.crt", "user.crt", "user.key"], &[edit]);
    cluster[id].always(|template| {
        template.mount("broker-identity", "/etc/broker", json!({"secret": {"secretName": secret}}));
        template.set_env("KAFKA_SSL_CERT_FILE", "/etc/broker/user.crt");
    });
    let share = cluster.dice.range(0.9, 1.0);
    let text = turned_away(cluster[id].runtime, &host);
    let harm = Harm { grows: 60, ..Harm::errors(at, share, Why::Said(text)) };
    cluster.traffic.harm_call(id, Peer::In(broker), &harm);
    let line = "[SocketServer listenerType=BROKER, nodeId=0] Failed authentication with /10.244.2.31 (channelId=10.244.1.9:9093-10.244.2.31:4{n}-{n}) (SSL handshake failed)";
    cluster[broker].say(at + 2, 9, Level::Info, line);
    if cluster.dice.chance(0.7) {
        let pairs = [
            ("secret_namespace", home.as_str()),
            ("secret_name", secret.as_str()),
            ("subject_CN", stem.as_str()),
        ];
        let end = along(&[(0, (cluster.clock.fired + at) as f64)]);
        cluster.metrics.gauge("x509_cert_not_after", &pairs, end);
    }
    if cluster.dice.chance(0.4) {
        cluster.objects.hide("secret");
    }
    cluster.roll(id, at - cluster.dice.clone().between(600, 1800), |template| {
        template.tag = newer(&template.tag);
    });
    let alert = cluster.dice.pick(&["high_error_rate", "EventsPublishedLow", "slo_burn_rate"]);
    Truth::new(cluster, alert, gate, Ref::new("Secret", &home, &secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A client's certificate ended",
            &format!("{} fails since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The client certificate in Secret {secret}, with which {stem} shows itself to {host}, has expired; the broker refuses the handshake. The broker is well."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["certificate", "x509", "TLS", "SSL", "handshake"])
        .mention(&["expired", "expir", "no longer valid"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "broker is down"])
}

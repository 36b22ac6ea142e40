//! A worker that its broker does not let in: nothing is consumed, and the queue grows.

use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    mishap::crashes_since,
    object::{Edit, Ref},
    series::along,
    storage::Store,
    traffic::Id,
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

/// How a client says that the broker refused it.
fn refused(runtime: Runtime, host: &str) -> String {
    let said = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    match runtime {
        Runtime::Java => format!(
            "org.springframework.amqp.AmqpAuthenticationException: com.rabbitmq.client.AuthenticationFailureException: {said}"
        ),
        Runtime::Python => format!(
            "pika.exceptions.ProbableAuthenticationError: ConnectionClosedByBroker: (403) '{said}'"
        ),
        Runtime::Node => format!(
            "Error: Handshake terminated by server: 403 (ACCESS-REFUSED) with message \"{said}\""
        ),
        Runtime::DotNet => {
            format!("RabbitMQ.Client.Exceptions.AuthenticationFailureException: {said}")
        }
        Runtime::Ruby => format!(
            "Bunny::AuthenticationFailureError: Authentication with RabbitMQ failed. Username: app, vhost: /, host: {host}"
        ),
        Runtime::Php => format!("PhpAmqpLib\\Exception\\AMQPConnectionClosedException: {said}"),
        Runtime::Go | Runtime::Rust | Runtime::Proxy | Runtime::Store => {
            format!(
                "dial amqp://{host}:5672/: Exception (403) Reason: \"username or password not allowed\""
            )
        }
    }
}

/// How full the queue is, and how many consume from it.
fn gauges(cluster: &mut Cluster, (space, queue, host): (&str, &str, &str), at: Sec) {
    let usual = cluster.dice.range(2.0, 40.0);
    let rate = cluster.dice.range(1.5, 12.0);
    let full = usual + rate * (600 - at) as f64;
    let pairs = [("namespace", space), ("pod", host), ("queue", queue), ("vhost", "/")];
    cluster.metrics.gauge(
        "rabbitmq_queue_messages_ready",
        &pairs,
        along(&[(at, usual), (600, full)]),
    );
    let there = cluster.dice.pick(&[2.0, 4.0, 6.0]);
    cluster.metrics.gauge(
        "rabbitmq_queue_consumers",
        &pairs,
        along(&[(at, there), (at + 15, 0.0)]),
    );
}

/// The password of the broker's user was changed in the Secret alone; the worker was restarted
/// and is refused since. The alert speaks of the queue.
pub(super) fn tell(cluster: &mut Cluster) -> Truth {
    let space = cluster.home();
    cluster.app(1);
    let name = cluster.names.worker();
    let id = cluster.worker(&space, &name);
    let host = cluster.names.thing(&["rabbit", "mq", "broker"]);
    let broker = cluster.store(&space, &host, (Store::Rabbit, 1, 20));
    let secret = format!("{host}-{}", cluster.dice.pick(&["login", "credentials", "user"]));
    let user = name.split('-').next().unwrap_or("worker").to_owned();
    let at = cluster.minutes_ago(10, 45);
    let edited = at - cluster.dice.between(40, 3000);
    let edit = Edit::new(edited, cluster.habits.editor, &["f:data.f:password"]);
    cluster.secret((&space, &secret), "Opaque", &["username", "password"], &[edit]);
    cluster[id].always(|template| {
        template.set_env("AMQP_HOST", &host);
        template.env_from_secret("AMQP_USER", &secret, "username");
        template.env_from_secret("AMQP_PASSWORD", &secret, "password");
    });
    starts_in_vain(cluster, id, (&host, at));
    let line = format!("PLAIN login refused: user '{user}' - invalid credentials");
    cluster[broker].sayings.push(Saying::new(at + 6, 35, Level::Error, &line));
    let queue = format!("{user}.{}", cluster.dice.pick(&["events", "jobs", "inbound"]));
    gauges(cluster, (&space, &queue, &format!("{host}-0")), at);
    if cluster.dice.chance(0.3) {
        cluster.objects.hide("secret");
    }
    let alert = cluster.dice.pick(&["queue_backlog", "no_consumers"]);
    Truth::new(cluster, alert, id, Ref::new("Secret", &space, &secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "A worker is not let in by its broker",
            &format!("Queue {queue} grows since about {} minutes and has no consumers.", -at / MIN),
            &format!("The password in Secret {secret} was changed without changing it in {host}; since {name} was restarted the broker refuses its login, and nothing is consumed from {queue}."),
        )
        .rated("medium", "P2")
        .mention(&["password", "credential", "ACCESS_REFUSED", "login", "authentication", "not allowed"])
        .mention(&[&secret, &name, &host])
        .not_claim(&["OOM", "slow consumer", "dns failure", "network policy", "disk full"])
}

fn starts_in_vain(cluster: &mut Cluster, id: Id, (host, at): (&str, Sec)) {
    let text = refused(cluster[id].runtime, host);
    let hello = format!("connecting to {host}:5672");
    cluster[id].crash = vec![(Level::Info, hello, Vec::new()), (Level::Fatal, text, Vec::new())];
    cluster[id].routine = vec!["waiting for broker connection".to_owned()];
    let run = cluster.dice.between(2, 12);
    cluster.replace_all(id, at, |pod| {
        crashes_since(pod, (pod.created + 3, run), (1, "Error"));
    });
    cluster.crash_events(id);
}

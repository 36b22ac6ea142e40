//! How drivers of databases, caches and brokers word a call that failed, by language.

use super::{Runtime, Target, Voice, Wording};
use crate::incidents::traffic::Why;

/// What a client of a store says when a call to it failed; `store` is the store's own layout.
#[must_use]
pub fn wording(runtime: Runtime, store: Voice, why: &Why, to: &Target) -> Wording {
    let text = match (store, why) {
        (_, Why::Said(text)) => text.clone(),
        (_, Why::NoHost | Why::Tls(_)) => return runtime.wording(why, to),
        (Voice::Postgres, _) => postgres(runtime, why, to),
        (Voice::Mysql, _) => mysql(runtime, why, to),
        (Voice::Redis, _) => redis(runtime, why, to),
        (Voice::Mongo, _) => mongo(runtime, why, to),
        (Voice::Kafka, _) => kafka(runtime, why, to),
        (Voice::Rabbit, _) => rabbit(runtime, why, to),
        (_, _) => other(runtime, why, to),
    };
    Wording { text, trace: Vec::new() }
}

fn dial(to: &Target) -> String {
    format!("dial tcp {}:{}: connect: connection refused", to.address, to.port)
}

fn postgres(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, address, timeout, .. } = to;
    let server = format!("connection to server at \"{host}\" ({address}), port {port} failed");
    let cancelled = "canceling statement due to statement timeout";
    match (why, runtime) {
        (Why::Refused, Runtime::Java) => format!(
            "org.postgresql.util.PSQLException: Connection to {host}:{port} refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections."
        ),
        (Why::Refused, Runtime::Go) => {
            format!(
                "failed to connect to `host={host} user=app database=app`: dial error ({})",
                dial(to)
            )
        }
        (Why::Refused, Runtime::Python) => {
            format!(
                "psycopg2.OperationalError: {server}: Connection refused Is the server running on that host and accepting TCP/IP connections?"
            )
        }
        (Why::Refused, Runtime::Ruby) => format!("PG::ConnectionBad: {server}: Connection refused"),
        (Why::Refused, Runtime::Php) => format!("SQLSTATE[08006] [7] {server}: Connection refused"),
        (Why::Refused, Runtime::DotNet) => {
            format!(
                "Npgsql.NpgsqlException (0x80004005): Failed to connect to {address}:{port} ({host}) ---> System.Net.Sockets.SocketException (111): Connection refused"
            )
        }
        (Why::Refused, _) => format!("connect ECONNREFUSED {address}:{port} ({host})"),
        (Why::Reset, Runtime::Java) => {
            format!(
                "org.postgresql.util.PSQLException: An I/O error occurred while sending to the backend. ({host}:{port})"
            )
        }
        (Why::Reset, Runtime::Node) => {
            format!("Connection terminated unexpectedly ({host}:{port})")
        }
        (Why::Reset, Runtime::Go) => {
            format!("unexpected EOF reading from {host}:{port} (postgres)")
        }
        (Why::Reset, _) => {
            format!(
                "server closed the connection unexpectedly: {host}:{port}. This probably means the server terminated abnormally before or while processing the request."
            )
        }
        (_, Runtime::Java) => format!(
            "org.postgresql.util.PSQLException: ERROR: {cancelled}; host {host} after {timeout}ms"
        ),
        (_, Runtime::Python) => format!("psycopg2.errors.QueryCanceled: {cancelled} ({host})"),
        (_, Runtime::Go) => format!("query to {host}: timeout: context deadline exceeded"),
        (_, Runtime::Ruby) => format!("PG::QueryCanceled: ERROR:  {cancelled} ({host})"),
        (_, Runtime::DotNet) => format!(
            "Npgsql.NpgsqlException (0x80004005): Exception while reading from stream ({host}) ---> System.TimeoutException: Timeout during reading attempt"
        ),
        (_, Runtime::Php) => {
            format!("SQLSTATE[57014]: Query canceled: 7 ERROR:  {cancelled} (Host: {host})")
        }
        (_, _) => format!("Query read timeout after {timeout}ms on {host}:{port}"),
    }
}

fn mysql(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, timeout, .. } = to;
    match (why, runtime) {
        (Why::Refused, Runtime::Java) => format!(
            "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure to {host}:{port}: Connection refused"
        ),
        (Why::Refused, Runtime::Go) => format!("{} ({host})", dial(to)),
        (Why::Refused, Runtime::Python) => format!(
            "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on '{host}' ([Errno 111] Connection refused)\")"
        ),
        (Why::Refused, _) => format!("Can't connect to MySQL server on '{host}:{port}' (111)"),
        (Why::Reset, Runtime::Go) => {
            format!("invalid connection: unexpected EOF from {host}:{port}")
        }
        (Why::Reset, _) => {
            format!("Lost connection to MySQL server at '{host}' during query (2013)")
        }
        (_, Runtime::Java) => format!(
            "com.mysql.cj.jdbc.exceptions.MySQLTimeoutException: Statement cancelled due to timeout or client request ({host}:{port})"
        ),
        (_, Runtime::Go) => format!("read tcp 10.244.1.9:41220->{host}:{port}: i/o timeout"),
        (_, _) => format!(
            "Query execution was interrupted, maximum statement execution time exceeded (3024) on {host} after {timeout}ms"
        ),
    }
}

fn redis(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, address, timeout, .. } = to;
    match (why, runtime) {
        (Why::Refused | Why::Reset, Runtime::Java) => {
            format!(
                "io.lettuce.core.RedisConnectionException: Unable to connect to {host}/<unresolved>:{port}"
            )
        }
        (Why::Refused | Why::Reset, Runtime::Go) => format!("{} (redis {host})", dial(to)),
        (Why::Refused | Why::Reset, Runtime::Python) => format!(
            "redis.exceptions.ConnectionError: Error 111 connecting to {host}:{port}. Connection refused."
        ),
        (Why::Refused | Why::Reset, Runtime::DotNet) => format!(
            "StackExchange.Redis.RedisConnectionException: It was not possible to connect to the redis server(s). UnableToConnect on {host}:{port}/Interactive"
        ),
        (Why::Refused | Why::Reset, _) => {
            format!("redis {host}: connect ECONNREFUSED {address}:{port}")
        }
        (_, Runtime::Java) => format!(
            "io.lettuce.core.RedisCommandTimeoutException: Command timed out after {timeout} ms ({host}:{port})"
        ),
        (_, Runtime::Python) => {
            format!("redis.exceptions.TimeoutError: Timeout reading from {host}:{port}")
        }
        (_, Runtime::DotNet) => format!(
            "StackExchange.Redis.RedisTimeoutException: Timeout performing GET ({timeout}ms), serverEndpoint: {host}:{port}"
        ),
        (_, _) => format!("redis {host}:{port}: i/o timeout after {timeout}ms"),
    }
}

fn mongo(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, address, timeout, .. } = to;
    match (why, runtime) {
        (Why::Refused | Why::Reset, Runtime::Java) => format!(
            "com.mongodb.MongoSocketOpenException: Exception opening socket {host}:{port}: Connection refused"
        ),
        (Why::Refused | Why::Reset, Runtime::Go) => format!(
            "server selection error: context deadline exceeded, current topology: {{ Type: Unknown, Servers: [{{ Addr: {host}:{port}, Type: Unknown, Last error: {} }}] }}",
            dial(to)
        ),
        (Why::Refused | Why::Reset, Runtime::Python) => format!(
            "pymongo.errors.ServerSelectionTimeoutError: {host}:{port}: [Errno 111] Connection refused"
        ),
        (Why::Refused | Why::Reset, _) => {
            format!("MongoServerSelectionError: connect ECONNREFUSED {address}:{port} ({host})")
        }
        (_, _) => {
            format!("MongoServerError: operation exceeded time limit ({host}, maxTimeMS {timeout})")
        }
    }
}

fn kafka(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, address, .. } = to;
    match (why, runtime) {
        (Why::Refused | Why::Reset, Runtime::Java) => format!(
            "[Producer clientId=producer-1] Connection to node -1 ({host}/{address}:{port}) could not be established. Node may not be available."
        ),
        (Why::Refused | Why::Reset, Runtime::Go) => format!(
            "kafka: client has run out of available brokers to talk to: {} ({host})",
            dial(to)
        ),
        (Why::Refused | Why::Reset, _) => format!(
            "rdkafka#producer-1: [thrd:{host}:{port}/bootstrap]: {host}:{port}/bootstrap: Connect to ipv4#{address}:{port} failed: Connection refused"
        ),
        (_, Runtime::Java) => format!(
            "org.apache.kafka.common.errors.TimeoutException: Expiring {{n}} record(s): 30000 ms has passed since batch creation ({host}:{port})"
        ),
        (_, Runtime::Go) => {
            format!(
                "kafka server {host}: Request exceeded the user-specified time limit in the request"
            )
        }
        (_, _) => format!("KafkaError: _MSG_TIMED_OUT, Local: Message timed out ({host}:{port})"),
    }
}

fn rabbit(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, timeout, .. } = to;
    match (why, runtime) {
        (Why::Refused | Why::Reset, Runtime::Python) => {
            format!("pika.exceptions.AMQPConnectionError: connection to {host}:{port} refused")
        }
        (Why::Refused | Why::Reset, Runtime::Java) => {
            format!(
                "org.springframework.amqp.AmqpConnectException: java.net.ConnectException: Connection refused ({host}:{port})"
            )
        }
        (Why::Refused | Why::Reset, _) => format!("amqp {host}: {}", dial(to)),
        (_, _) => format!("publish to {host}:{port} was not confirmed within {timeout} ms"),
    }
}

fn other(runtime: Runtime, why: &Why, to: &Target) -> String {
    let Target { host, port, timeout, .. } = to;
    let refused = matches!(why, Why::Refused | Why::Reset);
    match (refused, runtime == Runtime::Go) {
        (true, true) => format!("{} ({host})", dial(to)),
        (true, false) => format!("connection to {host}:{port} refused"),
        (false, _) => format!("no answer from {host}:{port} within {timeout} ms"),
    }
}

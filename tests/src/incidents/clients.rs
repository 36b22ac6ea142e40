//! Clients of databases: pools in the words and with the metrics of each language, and what a
//! database answers when it is full.

use super::{
    app::App,
    clock::Sec,
    cluster::Cluster,
    series::along,
    storage::Store,
    traffic::{Id, Peer},
    voice::{self, Runtime},
};

/// Sessions of one application at a database: its name, their state, how many over time.
pub type Sessions = (String, &'static str, Vec<(Sec, f64)>);

/// Languages whose database clients have a pool.
pub const POOLED: [Runtime; 7] = [
    Runtime::Java,
    Runtime::Go,
    Runtime::Python,
    Runtime::Node,
    Runtime::DotNet,
    Runtime::Ruby,
    Runtime::Rust,
];

impl Cluster {
    /// Makes `id` a program in one of `languages`, with a layout of log lines that goes with it.
    pub fn written_in(&mut self, id: Id, languages: &[Runtime]) {
        if !languages.contains(&self[id].runtime) {
            let runtime = self.dice.pick(languages);
            self[id].runtime = runtime;
            self[id].voice = voice::draw_for(runtime, &mut self.dice);
        }
    }

    /// An application whose last service keeps its data in a store of this kind.
    pub fn app_on(&mut self, hops: usize, store: Store) -> (App, Id) {
        let app = self.app(hops);
        self.written_in(app.last(), &POOLED);
        let id = self.store_for(app.last(), store);
        (app, id)
    }

    /// A store of this kind that `user` cannot do without.
    pub fn store_for(&mut self, user: Id, store: Store) -> Id {
        let ends: &[&'static str] = match store {
            Store::Postgres => &["db", "postgres", "pg", "database"],
            Store::Mysql => &["mysql", "db", "mariadb", "database"],
            Store::Redis => &["cache", "redis", "sessions", "kv"],
            Store::Kafka => &["kafka", "events", "stream"],
            Store::Rabbit => &["rabbit", "mq", "broker", "amqp"],
            Store::Mongo => &["mongo", "docs", "docdb"],
        };
        let (home, name) = (self.home(), self.names.thing(ends));
        let size = self.dice.pick(&[20, 50, 100, 200]);
        let id = self.store(&home, &name, (store, 1, size));
        self.use_store(user, id, true);
        id
    }

    /// `user` calls `store`, and its address stands in a variable of the user.
    pub fn use_store(&mut self, user: Id, store: Id, needed: bool) {
        self.call(user, Peer::In(store), needed);
        let (host, port) = (self[store].called().to_owned(), self[store].port);
        let near = self[store].namespace == self[user].namespace;
        let host = if near { host } else { format!("{host}.{}", self[store].namespace) };
        let (key, value) = match self[store].voice.system() {
            "postgresql" | "mysql" => ("DB_HOST", host),
            "redis" => ("REDIS_URL", format!("redis://{host}:{port}/0")),
            "kafka" => ("KAFKA_BOOTSTRAP_SERVERS", format!("{host}:{port}")),
            "rabbitmq" => ("RABBITMQ_HOST", host),
            "mongodb" => ("MONGO_URI", format!("mongodb://{host}:{port}/app")),
            _ => ("CACHE_SERVERS", format!("{host}:{port}")),
        };
        self[user].always(|template| template.set_env(key, &value));
    }

    /// Sessions of a Postgres by application and state, of `most` that it allows.
    pub fn sessions(&mut self, base: Id, most: f64, all: &[Sessions]) {
        let (space, host) = (self[base].namespace.clone(), self[base].called().to_owned());
        let home = [("namespace", space.as_str()), ("service", host.as_str())];
        self.metrics.constant("pg_settings_max_connections", &home, most);
        for (application, state, points) in all {
            let mut pairs = home.to_vec();
            let who = application.as_str();
            pairs.extend([("datname", "app"), ("application_name", who), ("state", state)]);
            self.metrics.gauge("pg_stat_activity_count", &pairs, along(points));
        }
    }

    /// The pool of each pod of `id`: its size, how many connections are in use, how many wait.
    pub fn pool_metrics(&mut self, id: Id, size: f64, used: &[(Sec, f64)], waiting: &[(Sec, f64)]) {
        let workload = self[id].clone();
        let otel = self.habits.scheme == super::red::Scheme::Otel;
        let (in_use, pending, most, label) = match workload.runtime {
            _ if otel => (
                "db_client_connection_count",
                "db_client_connection_pending_requests",
                "db_client_connection_max",
                ("db_client_connection_pool_name", "default"),
            ),
            Runtime::Java => (
                "hikaricp_connections_active",
                "hikaricp_connections_pending",
                "hikaricp_connections_max",
                ("pool", "HikariPool-1"),
            ),
            Runtime::Go => (
                "go_sql_stats_connections_in_use",
                "go_sql_stats_connections_waiting",
                "go_sql_stats_connections_max_open",
                ("db_name", "app"),
            ),
            Runtime::DotNet => (
                "npgsql_connections_busy",
                "npgsql_connections_pending_requests",
                "npgsql_connections_max",
                ("pool_name", "app"),
            ),
            Runtime::Ruby => (
                "active_record_connection_pool_busy",
                "active_record_connection_pool_waiting",
                "active_record_connection_pool_size",
                ("dbname", "app"),
            ),
            Runtime::Node => {
                ("pg_pool_in_use", "pg_pool_waiting_count", "pg_pool_max", ("database", "app"))
            }
            Runtime::Python | Runtime::Php | Runtime::Rust | Runtime::Proxy | Runtime::Store => {
                ("db_pool_checked_out", "db_pool_waiting", "db_pool_size", ("pool", "default"))
            }
        };
        for pod in workload.present() {
            let mut pairs =
                vec![("namespace", workload.namespace.as_str()), ("pod", &pod.name), label];
            self.metrics.constant(most, &pairs, size);
            self.metrics.gauge(pending, &pairs, along(waiting));
            if otel {
                pairs.push(("state", "used"));
            }
            self.metrics.gauge(in_use, &pairs, along(used));
        }
    }
}

/// What a program says that got no connection from its pool of `size`.
#[must_use]
pub fn pool_timeout(runtime: Runtime, size: i64) -> String {
    match runtime {
        Runtime::Java => format!(
            "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30001ms (total={size}, active={size}, idle=0, waiting={{n}})"
        ),
        Runtime::Go => format!(
            "failed to acquire connection from pool: context deadline exceeded (max_conns={size} acquired={size})"
        ),
        Runtime::Python => format!(
            "sqlalchemy.exc.TimeoutError: QueuePool limit of size {size} overflow 0 reached, connection timed out, timeout 30.00 (Background on this error at: https://sqlalche.me/e/20/3o7r)"
        ),
        Runtime::Node => "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?".to_owned(),
        Runtime::DotNet => format!(
            "Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise 'Max Pool Size' (currently {size}) or 'Timeout' (currently 15 seconds) in your connection string."
        ),
        Runtime::Ruby => "ActiveRecord::ConnectionTimeoutError: could not obtain a connection from the pool within 5.000 seconds (waited 5.003 seconds); all pooled connections were in use".to_owned(),
        Runtime::Rust => "error returned from pool: pool timed out while waiting for an open connection".to_owned(),
        Runtime::Php | Runtime::Proxy | Runtime::Store => {
            "SQLSTATE[08006] [7] FATAL:  sorry, too many clients already".to_owned()
        }
    }
}

/// What a client says that a full database sent away.
#[must_use]
pub fn sent_away(runtime: Runtime, store: Store, host: &str) -> String {
    if store == Store::Mysql {
        return match runtime {
            Runtime::Java => "java.sql.SQLNonTransientConnectionException: Data source rejected establishment of connection,  message from server: \"Too many connections\"".to_owned(),
            Runtime::Python => "pymysql.err.OperationalError: (1040, 'Too many connections')".to_owned(),
            Runtime::Go => "Error 1040 (08004): Too many connections".to_owned(),
            Runtime::Node
            | Runtime::DotNet
            | Runtime::Ruby
            | Runtime::Php
            | Runtime::Rust
            | Runtime::Proxy
            | Runtime::Store => format!("ER_CON_COUNT_ERROR: Too many connections ({host})"),
        };
    }
    let said = "FATAL: sorry, too many clients already";
    match runtime {
        Runtime::Java => format!("org.postgresql.util.PSQLException: {said}"),
        Runtime::Python => format!(
            "psycopg2.OperationalError: connection to server at \"{host}\", port 5432 failed: {said}"
        ),
        Runtime::Go => format!(
            "failed to connect to `host={host} user=app database=app`: server error (FATAL: sorry, too many clients already (SQLSTATE 53300))"
        ),
        Runtime::DotNet => {
            "Npgsql.PostgresException (0x80004005): 53300: sorry, too many clients already"
                .to_owned()
        }
        Runtime::Ruby => format!(
            "PG::ConnectionBad: connection to server at \"{host}\", port 5432 failed: {said}"
        ),
        Runtime::Node | Runtime::Php | Runtime::Rust | Runtime::Proxy | Runtime::Store => {
            format!("error: sorry, too many clients already (53300) host={host}")
        }
    }
}

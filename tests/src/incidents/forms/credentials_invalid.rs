//! Credentials that are no longer right.

mod broker_login_refused;
mod identity_provider;

use super::Tale;
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("password_rotated_on_one_side", password_rotated_on_one_side),
    ("partner_key_revoked", partner_key_revoked),
    ("broker_login_refused", broker_login_refused::tell),
    ("client_secret_ran_out", identity_provider::client_secret_ran_out),
];

/// How a driver says that the store refused a login.
fn refused_login(
    runtime: Runtime,
    store: Store,
    (user, host, address): (&str, &str, &str),
) -> String {
    match store {
        Store::Mysql => mysql(
            runtime,
            &format!("Access denied for user '{user}'@'10.244.2.31' (using password: YES)"),
        ),
        Store::Redis => redis(runtime),
        Store::Mongo => mongo(runtime, host),
        Store::Postgres | Store::Kafka | Store::Rabbit => postgres(runtime, user, (host, address)),
    }
}

fn postgres(runtime: Runtime, user: &str, (host, address): (&str, &str)) -> String {
    let fatal = format!("FATAL:  password authentication failed for user \"{user}\"");
    let server =
        format!("connection to server at \"{host}\" ({address}), port 5432 failed: {fatal}");
    match runtime {
        Runtime::Java => format!(
            "Failed to obtain JDBC Connection; nested exception is org.postgresql.util.PSQLException: {}",
            fatal.replace("  ", " ")
        ),
        Runtime::Python => format!("psycopg2.OperationalError: {server}"),
        Runtime::Node => {
            format!("error: password authentication failed for user \"{user}\" (code 28P01)")
        }
        Runtime::DotNet => format!(
            "Npgsql.PostgresException (0x80004005): 28P01: password authentication failed for user \"{user}\""
        ),
        Runtime::Ruby => format!("PG::ConnectionBad: {server}"),
        Runtime::Php => format!("SQLSTATE[08006] [7] {server}"),
        Runtime::Rust => format!(
            "error returned from database: password authentication failed for user \"{user}\""
        ),
        Runtime::Go | Runtime::Proxy | Runtime::Store => format!(
            "failed to connect to `host={host} user={user} database=app`: failed SASL auth (FATAL: password authentication failed for user \"{user}\" (SQLSTATE 28P01))"
        ),
    }
}

fn mysql(runtime: Runtime, denied: &str) -> String {
    match runtime {
        Runtime::Java => format!(
            "Failed to obtain JDBC Connection; nested exception is java.sql.SQLException: {denied}"
        ),
        Runtime::Python => format!("pymysql.err.OperationalError: (1045, \"{denied}\")"),
        Runtime::Node => format!("Error: ER_ACCESS_DENIED_ERROR: {denied}"),
        Runtime::DotNet => format!("MySqlConnector.MySqlException (0x80004005): {denied}"),
        Runtime::Ruby => format!("Mysql2::Error::ConnectionError: {denied}"),
        Runtime::Php => format!("SQLSTATE[HY000] [1045] {denied}"),
        Runtime::Rust => format!("MySqlError {{ ERROR 1045 (28000): {denied} }}"),
        Runtime::Go | Runtime::Proxy | Runtime::Store => format!("Error 1045 (28000): {denied}"),
    }
}

fn redis(runtime: Runtime) -> String {
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    match runtime {
        Runtime::Java => format!("io.lettuce.core.RedisCommandExecutionException: {wrong}"),
        Runtime::Python => format!("redis.exceptions.AuthenticationError: {wrong}"),
        Runtime::Node => format!("ReplyError: {wrong}"),
        Runtime::DotNet => {
            format!("StackExchange.Redis.RedisConnectionException: AuthenticationFailure: {wrong}")
        }
        Runtime::Ruby => format!("Redis::CommandError: {wrong}"),
        Runtime::Php => format!("RedisException: {wrong}"),
        Runtime::Go | Runtime::Rust | Runtime::Proxy | Runtime::Store => wrong.to_owned(),
    }
}

fn mongo(runtime: Runtime, host: &str) -> String {
    match runtime {
        Runtime::Java => format!("com.mongodb.MongoSecurityException: Exception authenticating MongoCredential{{mechanism=SCRAM-SHA-256}}: Command failed with error 18 (AuthenticationFailed): 'Authentication failed.' on server {host}:27017"),
        Runtime::Python => "pymongo.errors.OperationFailure: Authentication failed., full error: {'ok': 0.0, 'errmsg': 'Authentication failed.', 'code': 18, 'codeName': 'AuthenticationFailed'}".to_owned(),
        Runtime::Node => "MongoServerError: Authentication failed.".to_owned(),
        Runtime::Go | Runtime::Proxy | Runtime::Store => "connection() error occurred during connection handshake: auth error: sasl conversation error: unable to authenticate using mechanism \"SCRAM-SHA-256\": (AuthenticationFailed) Authentication failed.".to_owned(),
        Runtime::DotNet => "MongoDB.Driver.MongoAuthenticationException: Unable to authenticate using sasl protocol mechanism SCRAM-SHA-256.".to_owned(),
        Runtime::Ruby => format!("Mongo::Auth::Unauthorized: User app (mechanism: scram256) is not authorized to access admin (used server: {host}:27017)"),
        Runtime::Php | Runtime::Rust => "SCRAM failure: Authentication failed. (AuthenticationFailed)".to_owned(),
    }
}

/// What the store itself says of it, if anything.
fn store_says(store: Store, user: &str, at: i64) -> Option<Saying> {
    let text = match store {
        Store::Postgres => format!("password authentication failed for user \"{user}\""),
        Store::Mysql => {
            format!("Access denied for user '{user}'@'10.244.2.31' (using password: YES)")
        }
        Store::Mongo => "Authentication failed".to_owned(),
        Store::Redis | Store::Kafka | Store::Rabbit => return None,
    };
    let level = if store == Store::Postgres { Level::Fatal } else { Level::Warn };
    Some(Saying::new(at, 7, level, &text))
}

/// The password in the Secret is another one than the store's; pods read it when they were
/// restarted, soon after or long after the edit.
fn password_rotated_on_one_side(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let space = cluster.home();
    let store = cluster.dice.pick(&[Store::Postgres, Store::Mysql, Store::Mongo, Store::Redis]);
    let named = cluster.names.thing(match store {
        Store::Redis => &["sessions", "kv", "redis"],
        Store::Mongo => &["mongo", "documents"],
        Store::Postgres | Store::Mysql | Store::Kafka | Store::Rabbit => &["db", "database", "sql"],
    });
    let size = cluster.dice.between(10, 80);
    let keeper = cluster.store(&space, &named, (store, 1, size));
    cluster.call(id, Peer::In(keeper), true);
    let secret = format!("{named}-{}", cluster.dice.pick(&["credentials", "auth", "app-user"]));
    let user = cluster.names.home.split('-').next().unwrap_or("app").to_owned();
    let at = cluster.minutes_ago(8, 40);
    let ahead = if cluster.dice.chance(0.5) {
        cluster.dice.between(60, 400)
    } else {
        cluster.dice.between(7200, 90_000)
    };
    let editor = cluster.habits.editor;
    let edit = Edit::new(at - ahead, editor, &["f:data.f:password"]);
    cluster.secret((&space, &secret), "Opaque", &["username", "password"], &[edit]);
    cluster[id].always(|template| {
        template.env_from_secret("STORE_USER", &secret, "username");
        template.env_from_secret("STORE_PASSWORD", &secret, "password");
    });
    if cluster.dice.chance(0.4) {
        cluster.objects.hide("secret");
    }
    let stamp = cluster.clock.rfc(at);
    cluster.roll(id, at, |template| {
        template.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp));
    });
    let address = cluster.service_address(keeper);
    let text = refused_login(cluster[id].runtime, store, (&user, &named, &address));
    let harm = Harm { grows: 60, ..Harm::errors(at + 20, 0.99, Why::Said(text)) };
    cluster.traffic.harm_call(id, Peer::In(keeper), &harm);
    cluster[keeper].sayings.extend(store_says(store, &user, at + 22));
    finish_login(cluster, (app.gate(), id), (&secret, &named), at, hops)
}

fn finish_login(
    cluster: &mut Cluster,
    (gate, id): (Id, Id),
    (secret, store): (&str, &str),
    at: i64,
    hops: usize,
) -> Truth {
    let (space, name) = (cluster.home(), cluster[id].name.clone());
    let alert =
        cluster.dice.pick(&["high_error_rate", "error_budget_burn", "slo_availability_low"]);
    Truth::new(cluster, alert, gate, Ref::new("Secret", &space, secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A store refuses the password since a restart",
            &format!("{} answers with errors since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The password in Secret {secret} was changed without changing it in {store}; since {name} was restarted and reads the new one, {store} refuses its logins."),
        )
        .rated(["easy", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&["password", "credential", "authentication", "WRONGPASS", "Access denied", "login"])
        .mention(&[secret, &name, cluster[id].called()])
        .not_claim(&["OOM", "dns failure", "network policy", "pool exhausted", "disk full"])
}

/// A partner answers 401 since the key was revoked on its side; nothing changed in the cluster,
/// and the release of a neighbour is innocent.
fn partner_key_revoked(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let space = cluster.home();
    let (place, host) = cluster.outside(id, true);
    let partner = host.split('.').nth(1).unwrap_or("partner").to_owned();
    let secret = format!("{partner}-{}", cluster.dice.pick(&["api-key", "token", "client"]));
    let key = cluster.dice.pick(&["api-key", "token", "clientSecret"]);
    cluster.secret((&space, &secret), "Opaque", &[key], &[]);
    let variable = format!("{}_API_KEY", partner.to_uppercase());
    cluster[id].always(|template| template.env_from_secret(&variable, &secret, key));
    let at = cluster.minutes_ago(6, 40);
    let status = cluster.dice.pick(&[401, 401, 403]);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm::errors(at, 1.0, Why::Status(status)));
    }
    let body = cluster.dice.pick(&[
        "{\"error\":\"invalid_api_key\",\"message\":\"The API key has been revoked\"}",
        "{\"error\":{\"code\":\"unauthorized\",\"message\":\"Invalid or expired API key\"}}",
        "{\"title\":\"Unauthorized\",\"detail\":\"API key expired\"}",
    ]);
    let line = format!("{host} answered {status}: {body}");
    let every = cluster.dice.between(8, 25);
    cluster[id].sayings.push(Saying::new(at + 2, every, Level::Error, &line));
    if let Some(&side) = app.sides.first() {
        let released = at - cluster.dice.between(90, 500);
        cluster.roll(side, released, |template| template.tag = newer(&template.tag));
    }
    let (gate, name) = (app.gate(), cluster[id].name.clone());
    Truth::new(cluster, "high_error_rate", gate, Ref::new("Secret", &space, &secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A partner does not accept the key any more",
            &format!("{} fails for a large part of its users.", cluster[gate].called()),
            &format!("{host} answers every call of {name} with {status}: the key in Secret {secret} is revoked or expired there. Nothing was changed in the cluster."),
        )
        .rated(["easy", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&[&host, &partner, &secret])
        .mention(&["401", "403", "unauthorized", "key", "credential", "revoked", "expired", "token"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "rate limit"])
}

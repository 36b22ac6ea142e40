//! A daemon that others could reach: it is spoken to by TLS, knows its clients by certificate and
//! token, and does not start without. The real command line and a real plugin come in.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use agent_tests::{
    build,
    control_plane::certificates::Pair,
    fleet::{Fleet, SOON},
    process::{self, Ended, Program},
    staged::Staged,
    wait::wait_until,
    web::Web,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// SHA-256 of "caller-t0ken" and "plugin-t0ken".
const TOKENS: &str = "caller ann 9126290203efd206e6928e3301da029fbcd847e9f68c913e77dfabc110e0b77e\nplugin pods b0cc81f8f83895e1b0bc15167ff8873acb20e9b55f1fa7d0d94542204ae7237c\n";

/// Files of an authority, a server and a client in `dir`.
fn certificates(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &authority).unwrap();
        std::fs::write(dir.join(name), cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

async fn agentd(arguments: &[&str], environment: &[(&str, PathBuf)]) -> Ended {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(arguments).envs(environment.iter().map(|(name, value)| (*name, value)));
    process::run(command, SOON).await.unwrap()
}

/// A daemon that wants certificates and tokens, and what it takes to come in.
struct Castle {
    dir: tempfile::TempDir,
    staged: Staged,
    fleet: Fleet,
}

impl Castle {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        certificates(dir.path());
        std::fs::write(at("tokens"), TOKENS).unwrap();
        std::fs::write(at("caller"), "caller-t0ken\n").unwrap();
        std::fs::write(at("plugin"), "plugin-t0ken\n").unwrap();
        let config = format!(
            "[tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n\
             http_client_ca_file = {:?}\n[auth]\ntokens_file = {:?}\n[plugins]\nca_file = {:?}\n",
            at("server"),
            at("server.key"),
            at("ca"),
            at("ca"),
            at("tokens"),
            at("ca")
        );
        let fleet = Fleet::start(&config).await.unwrap();
        Self { staged: Staged::bundled().unwrap(), dir, fleet }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self) -> String {
        format!("https://{}", self.fleet.grpc())
    }

    /// A plugin that holds the token of `pods`.
    fn plugin(&self, program: &str) -> Command {
        let mut plugin = Command::new(build::programs().unwrap().join(program));
        plugin.arg("--snapshot").arg(self.staged.path()).env("AGENTD_URL", self.url());
        plugin.env("AGENTD_CA_FILE", self.at("ca"));
        plugin.env("AGENTD_PLUGIN_TOKEN_FILE", self.at("plugin"));
        plugin.env("PLUGIN_TLS_CERT", self.at("client"));
        plugin.env("PLUGIN_TLS_KEY", self.at("client.key"));
        plugin
    }

    /// What a caller shows.
    fn known(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("AGENTD_CA_FILE", self.at("ca")),
            ("AGENTD_TOKEN_FILE", self.at("caller")),
            ("AGENTD_CLIENT_CERT_FILE", self.at("client")),
            ("AGENTD_CLIENT_KEY_FILE", self.at("client.key")),
        ]
    }

    /// Waits until the command line, asked this, succeeds and says `wanted`.
    async fn says(&self, arguments: &[&str], wanted: &str) {
        let url = self.url();
        let arguments = [arguments, &["--server", &url]].concat();
        wait_until(wanted, SOON, async || {
            let ended = agentd(&arguments, &self.known()).await;
            let done = ended.status.success() && ended.stdout.contains(wanted);
            if done { Ok(()) } else { Err(format!("{ended:?}")) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", self.fleet.logs()));
    }
}

#[tokio::test]
async fn command_line_and_plugin_come_in_by_mutual_tls_with_their_tokens_and_strangers_do_not() {
    let castle = Castle::new().await;
    let log = castle.at("plugin.log");
    let _plugin = Program::start(castle.plugin("plugin-pods"), &log, false).unwrap();
    castle.says(&["tools"], "pods.check_pods").await;
    let (url, known) = (castle.url(), castle.known());
    let asked = ["tools", "--server", &url];
    let without_token: Vec<_> =
        known.iter().filter(|(name, _)| *name != "AGENTD_TOKEN_FILE").cloned().collect();
    let refused = agentd(&asked, &without_token).await;
    assert!(!refused.status.success() && refused.stderr.contains("bearer token"), "{refused:?}");
    // Who holds no token is in no list; the daemon's log says who knocked, and at which door.
    let logs = castle.fleet.logs();
    assert!(logs.contains("not let in: no bearer token") && logs.contains("ListTools"), "{logs}");
    let without_certificate = agentd(&asked, &known[..2]).await;
    assert!(!without_certificate.status.success(), "{without_certificate:?}");

    // The HTTP door has authorities of its own.
    let authority = std::fs::read_to_string(castle.at("ca")).unwrap();
    let pair = Pair { certificate: castle.at("client"), key: castle.at("client.key") };
    let known = Web::trusting(castle.fleet.http(), &authority, Some(&pair)).unwrap();
    assert!(known.get("/healthz").await.unwrap().status.is_success());
    let stranger = Web::trusting(castle.fleet.http(), &authority, None).unwrap();
    assert!(stranger.get("/healthz").await.is_err());
}

#[tokio::test]
async fn the_token_of_one_plugin_is_no_way_to_be_another_and_is_good_for_the_relay() {
    let castle = Castle::new().await;
    let mut relayed = castle.plugin("plugin-pods");
    relayed.env("PLUGIN_MODE", "relay");
    let log = castle.at("plugin.log");
    let _relayed = Program::start(relayed, &log, false).unwrap();
    castle.says(&["tools", "call", "pods.check_access"], "").await;

    let another = process::run(castle.plugin("plugin-events"), SOON).await.unwrap();
    assert!(!another.status.success(), "{another:?}");
    for said in ["\"pods\"", "\"events\"", "auth.tokens_file"] {
        assert!(another.stderr.contains(said), "{said} is not told: {}", another.stderr);
    }
    castle.says(&["tools", "watch", "--once"], "events was not let in").await;
}

#[tokio::test]
async fn off_the_loopback_the_daemon_starts_secured_or_told_in_so_many_words_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let refused =
        agentd(&["serve", "--listen", "0.0.0.0:0", "--http", "off", "--data-dir", &data], &[])
            .await;
    assert!(!refused.status.success());
    for said in [
        "tls.cert_file",
        "--insecure-allow-plaintext",
        "auth.tokens_file",
        "--insecure-allow-anonymous",
    ] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    assert!(!dir.path().join("data").exists(), "it has begun to work");
}

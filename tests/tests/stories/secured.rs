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

#[tokio::test]
async fn command_line_and_plugin_come_in_by_mutual_tls_with_their_tokens_and_strangers_do_not() {
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
    let url = format!("https://{}", fleet.grpc());
    let staged = Staged::bundled().unwrap();
    let mut plugin = Command::new(build::programs().unwrap().join("plugin-pods"));
    plugin.arg("--snapshot").arg(staged.path()).env("AGENTD_URL", &url);
    plugin.env("AGENTD_CA_FILE", at("ca")).env("AGENTD_PLUGIN_TOKEN_FILE", at("plugin"));
    plugin.env("PLUGIN_TLS_CERT", at("client")).env("PLUGIN_TLS_KEY", at("client.key"));
    let plugin = Program::start(plugin, &at("plugin.log"), false).unwrap();
    let known = [
        ("AGENTD_CA_FILE", at("ca")),
        ("AGENTD_TOKEN_FILE", at("caller")),
        ("AGENTD_CLIENT_CERT_FILE", at("client")),
        ("AGENTD_CLIENT_KEY_FILE", at("client.key")),
    ];
    let asked = ["tools", "--server", &url];
    wait_until("the plugin's tools by the command line", SOON, async || {
        let ended = agentd(&asked, &known).await;
        if ended.stdout.contains("pods.check_pods") { Ok(()) } else { Err(format!("{ended:?}")) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}\n{}", plugin.log(), fleet.logs()));
    let without_token: Vec<_> =
        known.iter().filter(|(name, _)| *name != "AGENTD_TOKEN_FILE").cloned().collect();
    let refused = agentd(&asked, &without_token).await;
    assert!(!refused.status.success() && refused.stderr.contains("bearer token"), "{refused:?}");
    let without_certificate = agentd(&asked, &known[..2]).await;
    assert!(!without_certificate.status.success(), "{without_certificate:?}");

    // The HTTP door has authorities of its own.
    let authority = std::fs::read_to_string(at("ca")).unwrap();
    let pair = Pair { certificate: at("client"), key: at("client.key") };
    let known = Web::trusting(fleet.http(), &authority, Some(&pair)).unwrap();
    assert!(known.get("/healthz").await.unwrap().status.is_success());
    let stranger = Web::trusting(fleet.http(), &authority, None).unwrap();
    assert!(stranger.get("/healthz").await.is_err());
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

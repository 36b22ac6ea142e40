//! Real handshakes with a plugin that serves: who is believed, who is let in, and what counts when
//! files change.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;

use agent_proto::tool::v1::register_request::Transport;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::{
    Options, Plugin,
    fake::{Asked, Puppet, Registry},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this machine and its key, in PEM.
fn issued(by: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

/// A plugin that serves TLS, and the folder of its files.
struct Stage {
    dir: TempDir,
    endpoint: String,
    _stop: oneshot::Sender<()>,
    _served: JoinHandle<Result<(), Error>>,
}

fn files(dir: &TempDir, client_ca: Option<&Authority>) -> TlsFiles {
    let client_ca = client_ca.map(|authority| {
        fs::write(dir.path().join("ca"), authority.pem()).unwrap();
        dir.path().join("ca")
    });
    TlsFiles { cert: dir.path().join("cert"), key: dir.path().join("key"), client_ca }
}

fn put(dir: &TempDir, (cert, key): &(String, String)) {
    fs::write(dir.path().join("cert"), cert).unwrap();
    fs::write(dir.path().join("key"), key).unwrap();
}

impl Stage {
    async fn new(of: &Authority, client_ca: Option<&Authority>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        put(&dir, &issued(of));
        let registry = Registry::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agentd_url = format!("http://{}", listener.local_addr().unwrap());
        let agentd = Server::builder().add_service(registry.service());
        tokio::spawn(agentd.serve_with_incoming(TcpIncoming::from(listener)));
        let (stop, stopped) = oneshot::channel();
        let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
        let options =
            Options { agentd_url, tls: Some(files(&dir, client_ca)), ..Options::default() };
        let served = tokio::spawn(plugin.serve(options, async {
            let _ = stopped.await;
        }));
        let (_, asked) = registry.nth(1).await;
        let Asked::Register(request, _) = asked else { panic!("{asked:?}") };
        let Some(Transport::Direct(direct)) = request.transport else { panic!("not direct") };
        Self { dir, endpoint: direct.endpoint, _stop: stop, _served: served }
    }

    /// Asks for its health over a connection of its own.
    async fn answers(&self, trusted: &Authority, own: Option<&(String, String)>) -> bool {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted.pem()));
        if let Some((cert, key)) = own {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).unwrap();
        let Ok(channel) = endpoint.tls_config(tls).unwrap().connect().await else { return false };
        // A client's certificate is judged after its side of the handshake: a call shows it.
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_ok()
    }
}

#[tokio::test]
async fn a_plugin_with_a_certificate_says_that_it_serves_tls_and_does() {
    let (ours, others) = (authority(), authority());
    let stage = Stage::new(&ours, None).await;
    assert!(stage.endpoint.starts_with("https://127.0.0.1:"), "{}", stage.endpoint);
    assert!(stage.answers(&ours, None).await);
    assert!(!stage.answers(&others, None).await);
    let plain = Endpoint::from_shared(stage.endpoint.replace("https", "http")).unwrap();
    let plain = HealthClient::new(plain.connect_lazy()).check(HealthCheckRequest::default()).await;
    assert!(plain.is_err());
}

#[tokio::test]
async fn where_an_authority_of_clients_is_named_only_whom_it_vouches_for_is_let_in() {
    let (ours, clients) = (authority(), authority());
    let stage = Stage::new(&ours, Some(&clients)).await;
    assert!(stage.answers(&ours, Some(&issued(&clients))).await);
    assert!(!stage.answers(&ours, Some(&issued(&ours))).await);
    assert!(!stage.answers(&ours, None).await);
}

#[tokio::test]
async fn a_certificate_that_is_replaced_counts_for_the_next_connection() {
    let (old, new) = (authority(), authority());
    let stage = Stage::new(&old, None).await;
    assert!(stage.answers(&old, None).await);
    // As in the moment between two writes: what does not fit together changes nothing.
    fs::write(stage.dir.path().join("cert"), "half").unwrap();
    assert!(stage.answers(&old, None).await);
    put(&stage.dir, &issued(&new));
    assert!(stage.answers(&new, None).await);
    assert!(!stage.answers(&old, None).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_with_the_variable_that_names_them() {
    let (one, other) = (issued(&authority()), issued(&authority()));
    for (cert, key, ca, variable) in [
        ("nothing", one.1.as_str(), None, "PLUGIN_TLS_CERT"),
        (&one.0, "nothing", None, "PLUGIN_TLS_KEY"),
        (&one.0, &other.1, None, "PLUGIN_TLS_CERT"),
        (&one.0, &one.1, Some("nothing"), "PLUGIN_TLS_CLIENT_CA"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        put(&dir, &(cert.to_owned(), key.to_owned()));
        let client_ca = ca.map(|text| {
            fs::write(dir.path().join("ca"), text).unwrap();
            dir.path().join("ca")
        });
        let tls = Some(TlsFiles { client_ca, ..files(&dir, None) });
        let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
        let options = Options { tls, ..Options::default() };
        let error = plugin.serve(options, std::future::pending()).await.unwrap_err();
        assert!(error.to_string().contains(variable), "{variable}: {error}");
    }
}

#[tokio::test]
async fn strangers_who_never_finish_a_handshake_hold_up_nobody() {
    let ours = authority();
    let stage = Stage::new(&ours, None).await;
    let address = stage.endpoint.trim_start_matches("https://").to_owned();
    let mut strangers = Vec::new();
    for _ in 0..HANDSHAKES * 2 {
        strangers.push(TcpStream::connect(&address).await.unwrap());
    }
    // Far below the time that one of them may take.
    assert!(timeout(HANDSHAKE / 2, stage.answers(&ours, None)).await.unwrap());
    // The oldest were let go, the newest still may finish.
    let mut byte = [0_u8; 1];
    let first = strangers.first().unwrap();
    first.readable().await.unwrap();
    assert_eq!(first.try_read(&mut byte).unwrap_or(0), 0);
    let newest = strangers.last().unwrap().try_read(&mut byte).unwrap_err();
    assert_eq!(newest.kind(), io::ErrorKind::WouldBlock);
}

//! Doors that others could reach: real handshakes and tokens against a whole daemon.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: what is not there is a failed test"
)]

use std::{fs, path::Path};

use agent_proto::{
    tool::v1::{RenewRequest, plugin_registry_service_client::PluginRegistryServiceClient},
    v1::{ListInvestigationsRequest, agent_service_client::AgentServiceClient},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use sha2::{Digest as _, Sha256};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM, valid in these years.
fn issued(by: &Authority, years: (i32, i32), usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

const VALID: (i32, i32) = (2020, 2060);
const EXPIRED: (i32, i32) = (2020, 2021);
use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

fn line(kind: &str, token: &str) -> String {
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind} somebody {digest}\n")
}

/// A daemon with certificates of `of`, whose files lie in `dir`.
async fn daemon(dir: &Path, of: &Authority, client_ca: Option<&Authority>) -> Running {
    let (cert, key) = issued(of, VALID, ServerAuth);
    fs::write(dir.join("cert"), cert).unwrap();
    fs::write(dir.join("key"), key).unwrap();
    fs::write(dir.join("tokens"), line("caller", "c1") + &line("plugin", "p1")).unwrap();
    let mut config = Config::with_data_dir(dir.join("data"));
    config.grpc.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.http.listen = Some(config.grpc.listen);
    config.tls.cert_file = Some(dir.join("cert"));
    config.tls.key_file = Some(dir.join("key"));
    config.auth.tokens_file = Some(dir.join("tokens"));
    config.tls.client_ca_file = client_ca.map(|authority| {
        fs::write(dir.join("client_ca"), authority.pem()).unwrap();
        dir.join("client_ca")
    });
    start(config, None).await.unwrap()
}

fn endpoint(of: &Running, trusted: &Authority, own: Option<&(String, String)>) -> Endpoint {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(trusted.pem()));
    if let Some((cert, key)) = own {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", of.grpc())).unwrap();
    endpoint.tls_config(tls).unwrap()
}

/// Lists over a connection, showing a token.
async fn list(channel: Channel, token: &str) -> Result<(), Status> {
    let mut request = Request::new(ListInvestigationsRequest::default());
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    AgentServiceClient::new(channel).list_investigations(request).await.map(|_| ())
}

async fn healthy(endpoint: Endpoint) -> bool {
    // A client's certificate is judged after its side of the handshake: a call shows it.
    let Ok(channel) = endpoint.connect().await else { return false };
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.is_ok()
}

#[tokio::test]
async fn only_who_is_vouched_for_is_spoken_to_and_nobody_in_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (authority("ours"), authority("others"));
    let running = daemon(dir.path(), &ours, None).await;
    assert!(healthy(endpoint(&running, &ours, None)).await);
    assert!(!healthy(endpoint(&running, &others, None)).await);
    let plain = Endpoint::from_shared(format!("http://{}", running.grpc())).unwrap();
    assert!(!healthy(plain).await);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn under_mutual_tls_a_client_needs_a_certificate_that_is_valid_and_of_the_right_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, clients, others) = (authority("ours"), authority("clients"), authority("others"));
    let running = daemon(dir.path(), &ours, Some(&clients)).await;
    for (own, good) in [
        (Some(issued(&clients, VALID, ClientAuth)), true),
        (Some(issued(&clients, EXPIRED, ClientAuth)), false),
        (Some(issued(&others, VALID, ClientAuth)), false),
        (None, false),
    ] {
        let told = healthy(endpoint(&running, &ours, own.as_ref())).await;
        assert_eq!(told, good, "{}", own.is_some());
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn callers_and_plugins_show_their_own_tokens_and_health_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let running = daemon(dir.path(), &ours, None).await;
    let channel = endpoint(&running, &ours, None).connect().await.unwrap();
    for (token, reason) in [("", "TOKEN_MISSING"), ("p1", "TOKEN_INVALID"), ("x", "TOKEN_INVALID")]
    {
        let refused = list(channel.clone(), token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{token}");
        let info = refused.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "agentd"));
    }
    list(channel.clone(), "c1").await.unwrap();
    let mut registry = PluginRegistryServiceClient::new(channel);
    for (token, code) in [("c1", Code::Unauthenticated), ("p1", Code::NotFound)] {
        let mut request =
            Request::new(RenewRequest { lease_id: "none".to_owned(), ..Default::default() });
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let refused = registry.renew(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{token}: {refused:?}");
    }
    assert!(healthy(endpoint(&running, &ours, None)).await);
    running.stop().await.unwrap();
}

/// Waits for what a change of files brings.
async fn comes(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let seen = async {
        while !look().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), seen).await.is_ok(), "{what}");
}

#[tokio::test]
async fn tokens_and_certificates_are_exchanged_under_a_connection_that_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, newer) = (authority("ours"), authority("newer"));
    let running = daemon(dir.path(), &ours, None).await;
    let channel = endpoint(&running, &ours, None).connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    fs::write(dir.path().join("tokens"), line("caller", "c1") + &line("caller", "c2")).unwrap();
    comes("the second token", async || list(channel.clone(), "c2").await.is_ok()).await;
    list(channel.clone(), "c1").await.unwrap();
    fs::write(dir.path().join("tokens"), line("caller", "c2")).unwrap();
    comes("the end of the first token", async || list(channel.clone(), "c1").await.is_err()).await;
    let (cert, key) = issued(&newer, VALID, ServerAuth);
    fs::write(dir.path().join("cert"), cert).unwrap();
    fs::write(dir.path().join("key"), key).unwrap();
    comes("the newer certificate", async || healthy(endpoint(&running, &newer, None)).await).await;
    // The connection from before, and the stream on it, live on.
    list(channel, "c2").await.unwrap();
    let still = tokio::time::timeout(Duration::from_millis(50), watch.message()).await;
    assert!(still.is_err(), "the stream ended: {still:?}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ours = authority("ours");
    let (cert, _) = issued(&ours, VALID, ServerAuth);
    let (_, key) = issued(&ours, VALID, ServerAuth);
    fs::write(dir.path().join("cert"), cert).unwrap();
    fs::write(dir.path().join("key"), key).unwrap();
    let mut config = Config::with_data_dir(dir.path().join("data"));
    config.tls.cert_file = Some(dir.path().join("cert"));
    config.tls.key_file = Some(dir.path().join("key"));
    let error = start(config, None).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Tls(transport::Error::Unfit { .. })), "{error:?}");
}

//! The way from the daemon to a plugin, by TLS: both sides prove who they are, and whoever cannot is
//! told why, at both ends. And plugins of one's own machine come in where the doors ask for certificates.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use agent_proto::v1::CallToolRequest;
use agent_tests::{
    build,
    fleet::{Fleet, SOON},
    process::Program,
    staged::Staged,
    wait::wait_until,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Name that the certificate of the plugin is for.
const NAME: &str = "plugin-pods.agentd.test";
/// Signs of life that come fast: what is wrong is told with one.
const FAST: &str = "lease_ttl = \"3s\"\nrenew_interval = \"200ms\"\n";

/// An authority as `AUTHORITY`, and below it `daemon` and `plugin`, each with its key.
fn certificates(dir: &Path, authority: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, authority);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(dir.join(authority), issuer.pem()).unwrap();
    for (file, name) in [("daemon", "agentd.test"), ("plugin", NAME)] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        fs::write(dir.join(file), cert.pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

/// The plugin with its certificate, asking the daemon for one.
fn plugin(dir: &Path, staged: &Staged) -> Command {
    let mut command = Command::new(build::programs().unwrap().join("plugin-pods"));
    command.arg("--snapshot").arg(staged.path());
    command.env("PLUGIN_TLS_CERT", dir.join("plugin"));
    command.env("PLUGIN_TLS_KEY", dir.join("plugin.key"));
    command.env("PLUGIN_TLS_CLIENT_CA", dir.join("ca"));
    command
}

/// Settings of a daemon that believes `authority` and shows a certificate, if it is to.
fn settings(dir: &Path, authority: &str, shows: bool) -> String {
    let own =
        format!("cert_file = {:?}\nkey_file = {:?}\n", dir.join("daemon"), dir.join("daemon.key"));
    format!(
        "[plugins]\n{FAST}ca_file = {:?}\nserver_name = \"plugin-{{plugin}}.agentd.test\"\n{}",
        dir.join(authority),
        if shows { own } else { String::new() }
    )
}

#[tokio::test]
async fn daemon_and_plugin_prove_who_they_are_to_each_other_and_a_tool_answers() {
    let (dir, staged) = (tempfile::tempdir().unwrap(), Staged::bundled().unwrap());
    certificates(dir.path(), "ca");
    let mut fleet = Fleet::start(&settings(dir.path(), "ca", true)).await.unwrap();
    fleet.start_stranger("pods", plugin(dir.path(), &staged)).unwrap();
    fleet.ready(&["pods"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let plugins = client.plugins().await.unwrap();
    let at = &plugins[0].instances[0].endpoint;
    assert!(at.starts_with("https://127.0.0.1:"), "{at}");
    let namespace = &staged.scenario.alert().namespace;
    let request = CallToolRequest {
        name: "tools/pods.check_pods".to_owned(),
        arguments_json: format!(r#"{{"namespace":"{namespace}"}}"#),
        ..CallToolRequest::default()
    };
    let answer = client.catalog.call_tool(request).await.unwrap().into_inner();
    assert!(format!("{answer:?}").contains(namespace), "{answer:?}");
}

#[tokio::test]
async fn who_cannot_prove_it_is_told_by_the_daemon_the_plugin_and_the_list_of_plugins() {
    let (dir, staged) = (tempfile::tempdir().unwrap(), Staged::bundled().unwrap());
    certificates(dir.path(), "other");
    certificates(dir.path(), "ca");
    let sound = settings(dir.path(), "ca", true);
    // The certificate of one plugin is none for another.
    let another = sound.replace("plugin-{plugin}.", "plugin-logs.");
    for (settings, said) in [
        (settings(dir.path(), "other", true), "UnknownIssuer"),
        (settings(dir.path(), "ca", false), "CertificateRequired"),
        (another, "not valid for name"),
    ] {
        let mut fleet = Fleet::start(&settings).await.unwrap();
        fleet.start_stranger("pods", plugin(dir.path(), &staged)).unwrap();
        let mut client = fleet.client().unwrap();
        wait_until("that the trouble is told everywhere", SOON, async || {
            let plugins = client.plugins().await.map_err(|refusal| format!("{refusal:?}"))?;
            let listed = plugins.iter().flat_map(|plugin| &plugin.warnings);
            let listed: String = listed.map(String::as_str).collect();
            let everywhere = [listed, fleet.log("agentd"), fleet.log("pods")];
            let told = everywhere.iter().all(|text| text.contains(said));
            if told { Ok(()) } else { Err(format!("{said}: {everywhere:?}")) }
        })
        .await
        .unwrap();
        assert!(
            fleet.client().unwrap().tools().await.unwrap().iter().all(|t| t.ready_instances == 0)
        );
    }
}

#[tokio::test]
async fn a_plugin_that_serves_tls_to_a_daemon_without_an_authority_ends_with_what_to_do() {
    let (dir, staged) = (tempfile::tempdir().unwrap(), Staged::bundled().unwrap());
    certificates(dir.path(), "ca");
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_stranger("pods", plugin(dir.path(), &staged)).unwrap();
    let ended = fleet.plugin("pods").unwrap().ended(SOON).await.unwrap();
    let log = fleet.log("pods");
    assert!(!ended.success() && log.contains("set plugins.ca_file"), "{log}");
}

#[tokio::test]
async fn a_plugin_whose_certificate_is_mended_on_disk_is_called_without_a_restart() {
    let (dir, staged) = (tempfile::tempdir().unwrap(), Staged::bundled().unwrap());
    certificates(dir.path(), "ca");
    let mut fleet = Fleet::start(&settings(dir.path(), "ca", true)).await.unwrap();
    // Its files are of another authority than the daemon believes in, until they are replaced.
    let kept = ["ca", "daemon", "daemon.key", "plugin", "plugin.key"]
        .map(|name| (dir.path().join(name), fs::read(dir.path().join(name)).unwrap()));
    certificates(dir.path(), "strange");
    fleet.start_stranger("pods", plugin(dir.path(), &staged)).unwrap();
    wait_until("that it is not believed", SOON, async || {
        let log = fleet.log("agentd");
        if log.contains("UnknownIssuer") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
    for (file, text) in kept {
        fs::write(file, text).unwrap();
    }
    fleet.ready(&["pods"]).await.unwrap();
}

#[tokio::test]
async fn up_works_where_the_doors_ask_for_certificates() {
    let (dir, staged) = (tempfile::tempdir().unwrap(), Staged::bundled().unwrap());
    certificates(dir.path(), "ca");
    let at = |name: &str| dir.path().join(name);
    let config = format!(
        "[tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        at("daemon"),
        at("daemon.key"),
        at("ca")
    );
    fs::write(at("config"), config).unwrap();
    let mut up = Command::new(build::programs().unwrap().join("agentd"));
    up.arg("up").arg("--config").arg(at("config")).arg("--data-dir").arg(at("data"));
    up.args(["--listen", "127.0.0.1:0", "--http", "off", "--snapshot"]).arg(staged.path());
    // What a shell has for a plugin elsewhere is not for those of this machine.
    up.env("PLUGIN_TLS_CERT", at("plugin")).env("PLUGIN_TLS_KEY", at("plugin.key"));
    up.stdin(Stdio::null());
    let up = Program::start(up, &at("up.log"), false).unwrap();
    wait_until("plugins that are ready", SOON, async || {
        let log = up.log();
        if log.contains("plugins are ready") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
}

//! From a kubeconfig, or a pod's own account, to a client. Tokens, client certificates and login
//! programs are kube's business; ours is to say what is wrong in words that tell how to mend it.

use std::{path::PathBuf, time::Duration};

use agent_sdk::{Failure, FailureClass};
use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{Live, asker::words};

/// Within this a connection stands, or it is tried anew.
const CONNECT: Duration = Duration::from_secs(3);

/// Which cluster and as whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// The kubeconfig named; else `KUBECONFIG`, `~/.kube/config`, or the pod's own account.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context named; else the current one.
    pub(crate) context: Option<String>,
}

/// Makes the client. Nothing is asked of the server yet, so one that is down now does no harm.
pub(crate) async fn connect(account: &Account) -> Result<Live, Failure> {
    // Fails when another part of the program has chosen already: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = config(account).await?;
    config.headers.push((USER_AGENT, agent()));
    let context = account.context.as_ref().map_or_else(String::new, |c| format!(", context {c}"));
    let source = format!("API server {}{context}", config.cluster_url);
    config.connect_timeout = Some(CONNECT);
    // Asking again is the asker's business: it knows how long the whole may take.
    config.default_retry = false;
    let client = Client::try_from(config)
        .map_err(|error| broken(&format!("cannot be used: {}", words(&error))))?;
    Ok(Live::new(client, source))
}

/// What the API server's audit log calls us: the program and its version.
fn agent() -> HeaderValue {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name()?.to_str());
    let agent = format!("{}/{}", name.unwrap_or("agentd-plugin"), env!("CARGO_PKG_VERSION"));
    HeaderValue::from_str(&agent).unwrap_or(HeaderValue::from_static("agentd-plugin"))
}

async fn config(account: &Account) -> Result<Config, Failure> {
    let options =
        KubeConfigOptions { context: account.context.clone(), ..KubeConfigOptions::default() };
    if let Some(file) = &account.kubeconfig {
        let name = file.display();
        let read = Kubeconfig::read_from(file)
            .map_err(|e| broken(&format!("{name} cannot be read: {}", words(&e))))?;
        let contexts: Vec<String> = read.contexts.iter().map(|c| c.name.clone()).collect();
        let config = Config::from_custom_kubeconfig(read, &options).await;
        return config.map_err(|e| {
            broken(&format!(
                "{name} cannot be used: {}; its contexts: {}",
                words(&e),
                contexts.join(", ")
            ))
        });
    }
    if account.context.is_some() {
        let config = Config::from_kubeconfig(&options).await;
        return config.map_err(|e| broken(&format!("cannot be used: {}", words(&e))));
    }
    Config::infer().await.map_err(|e| {
        let mut failure = broken(&format!(
            "no cluster is named: {}; give --kubeconfig FILE, set KUBECONFIG, run inside a \
             cluster, or give --snapshot DIR with a recorded one",
            words(&e)
        ));
        "NO_CLUSTER".clone_into(&mut failure.reason);
        failure
    })
}

fn broken(says: &str) -> Failure {
    Failure::new(FailureClass::Config, "KUBECONFIG_BROKEN", format!("kubeconfig: {says}"))
}

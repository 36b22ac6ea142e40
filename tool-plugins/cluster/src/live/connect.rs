//! From a kubeconfig, or a pod's own account, to a configuration. Tokens and client certificates
//! are kube's business, login programs are in `login.rs`; ours here is to say what is wrong in
//! words that tell how to mend it. Invariant: which server is asked is settled once; reading
//! again may bring a new proof, never another cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_sdk::{Failure, FailureClass};
use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Config,
    config::{ExecConfig, KubeConfigOptions, Kubeconfig},
};

use super::{Live, asker::words, door::Door};

/// Within this a connection stands, or it is tried anew.
const CONNECT: Duration = Duration::from_secs(3);

/// Which cluster and as whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// The kubeconfig named; else `KUBECONFIG`, `~/.kube/config`, or the pod's own account.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The files of `KUBECONFIG`; the first to name a thing wins.
    pub(crate) merged: Vec<PathBuf>,
    /// The context named; else the current one.
    pub(crate) context: Option<String>,
}

/// Where the server and the proof are read from, each time anew.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// Files and a context of theirs; no file stands for `~/.kube/config`.
    Files { files: Vec<PathBuf>, context: String },
    /// The account that a pod has.
    Inside,
}

/// What is read there.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) config: Config,
    /// The program that gives the proof, taken out of `config`.
    pub(super) login: Option<ExecConfig>,
}

/// Makes the connection. Nothing is asked of the server yet, so one that is down now does no harm;
/// nor is a login program run, which may need somebody to log in first.
pub(crate) async fn connect(account: &Account) -> Result<Live, Failure> {
    // Fails when another part of the program has chosen already: then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let way = Way::find(account).await?;
    let read = way.read().await?;
    let context = account.context.as_ref().map_or_else(String::new, |c| format!(", context {c}"));
    let source = format!("API server {}{context}", read.config.cluster_url);
    Ok(Live::new(Door::new(way, read)?, source))
}

/// What the API server's audit log calls us: the program and its version.
fn agent() -> HeaderValue {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name()?.to_str());
    let agent = format!("{}/{}", name.unwrap_or("agentd-plugin"), env!("CARGO_PKG_VERSION"));
    HeaderValue::from_str(&agent).unwrap_or(HeaderValue::from_static("agentd-plugin"))
}

// === impl Way ===

impl Way {
    /// Settles where to read. What was named must be usable: to read another cluster instead
    /// would be worse than to read none.
    async fn find(account: &Account) -> Result<Self, Failure> {
        let named = account.kubeconfig.as_ref();
        let files = named.map_or_else(|| account.merged.clone(), |file| vec![file.clone()]);
        let found = kubeconfig(&files).and_then(|read| {
            let context = account.context.clone().or_else(|| read.current_context.clone());
            context.ok_or_else(|| {
                broken(&format!(
                    "{} has no current context; name one with --context: {}",
                    called(&files),
                    contexts(&read)
                ))
            })
        });
        match found {
            Ok(context) => Ok(Self::Files { files, context }),
            Err(failure) if !files.is_empty() || account.context.is_some() => Err(failure),
            Err(failure) => match Config::incluster() {
                Ok(_) => Ok(Self::Inside),
                Err(inside) => Err(nowhere(&failure, &words(&inside))),
            },
        }
    }

    /// Reads the server, and the proof as it is now.
    pub(super) async fn read(&self) -> Result<Read, Failure> {
        let mut config = match self {
            Self::Inside => Config::incluster()
                .map_err(|e| broken(&format!("the pod's own account: {}", words(&e))))?,
            Self::Files { files, context } => {
                let read = kubeconfig(files)?;
                let known = contexts(&read);
                let options =
                    KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
                let config = Config::from_custom_kubeconfig(read, &options).await;
                config.map_err(|e| {
                    let (file, says) = (called(files), words(&e));
                    broken(&format!("{file} cannot be used: {says}; its contexts: {known}"))
                })?
            }
        };
        config.headers.push((USER_AGENT, agent()));
        config.connect_timeout = Some(CONNECT);
        // Asking again is the asker's business: it knows how long the whole may take.
        config.default_retry = false;
        let proof = &mut config.auth_info;
        // Programs come last, as for kubectl.
        let beside = proof.token.is_some() || proof.token_file.is_some();
        let login = proof.exec.take().filter(|_| !beside && proof.username.is_none());
        if let Some(file) = proof.token_file.as_ref().filter(|_| proof.token.is_none())
            && let Some(token) = unpadded(Path::new(file))
        {
            proof.token = Some(token.into());
        }
        Ok(Read { config, login })
    }
}

/// The token of a file that has more than the token in it, such as a last line break: kube would
/// not take it. Then it is read again when the server refuses it, not each minute.
fn unpadded(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let token = text.trim();
    (token.len() != text.len() && !token.is_empty()).then(|| token.to_owned())
}

/// The files as one. Of several, those that are not there are left out, as kubectl does.
fn kubeconfig(files: &[PathBuf]) -> Result<Kubeconfig, Failure> {
    let unread = |file: &str, e: &dyn std::error::Error| {
        broken(&format!("{file} cannot be read: {}", words(e)))
    };
    if files.is_empty() {
        let read = Kubeconfig::read().map_err(|e| unread("~/.kube/config", &e))?;
        return Ok(settled(read));
    }
    let there: Vec<&PathBuf> = files.iter().filter(|file| file.exists()).collect();
    // With none there, the first says why.
    let there = if there.is_empty() { files.iter().take(1).collect() } else { there };
    let mut all = Kubeconfig::default();
    for file in there {
        let name = file.display().to_string();
        let read = Kubeconfig::read_from(file).map_err(|e| unread(&name, &e))?;
        all = all.merge(settled(read)).map_err(|e| unread(&name, &e))?;
    }
    Ok(all)
}

/// An empty current context is none.
fn settled(mut read: Kubeconfig) -> Kubeconfig {
    read.current_context = read.current_context.filter(|context| !context.is_empty());
    read
}

fn contexts(read: &Kubeconfig) -> String {
    let names: Vec<&str> = read.contexts.iter().map(|context| context.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn called(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if names.is_empty() { "~/.kube/config".to_owned() } else { names.join(" with ") }
}

fn nowhere(failure: &Failure, inside: &str) -> Failure {
    let says = format!(
        "no cluster is named: {}; not in a pod: {inside}; give --kubeconfig FILE, set KUBECONFIG, \
         run inside a cluster, or give --snapshot DIR with a recorded one",
        failure.message
    );
    Failure::new(FailureClass::Config, "NO_CLUSTER", says)
}

pub(super) fn broken(says: &str) -> Failure {
    Failure::new(FailureClass::Config, "KUBECONFIG_BROKEN", format!("kubeconfig: {says}"))
}

//! A real Kubernetes control plane on the loopback (rung 3): etcd, kube-apiserver,
//! kube-controller-manager and kube-scheduler of `tests/controlplane`, with certificates, ports and
//! a folder of its own. On top of it, when asked for, real kubelets over a simulated runtime
//! (rung 4) and kwok. Nothing is left of it when it is dropped or the test process ends, however
//! that happens.
//!
//! The tests of one binary share [`ControlPlane::shared`], each in a [`namespace::Namespace`] of
//! its own; who stops parts of it starts one for itself.

pub mod audit;
pub mod certificates;
mod components;
pub mod identities;
pub mod namespace;
pub mod nodes;
pub mod programs;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{net::TcpSocket, sync::OnceCell};

use crate::{
    process::{self, Ended, Program, signal},
    wait::wait_until,
    web::Web,
};
use certificates::{Authority, Pair};
use programs::Programs;

/// How long a component may take to be there on a slow machine.
pub const SOON: Duration = Duration::from_secs(90);

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    /// Dropped first: what still runs would write into the folder.
    running: Mutex<BTreeMap<String, Program>>,
    programs: Programs,
    authority: Authority,
    admin: Pair,
    /// Held for the whole life, so that nobody else gets the apiserver's port while it is down.
    _port: TcpSocket,
    address: SocketAddr,
    nodes: OnceCell<()>,
    dir: TempDir,
}

/// The one that tests of a binary share.
static SHARED: OnceCell<Option<ControlPlane>> = OnceCell::const_new();

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts one for the caller alone, and waits until it is ready; `None` after having said aloud
    /// what is missing.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> Result<Option<Self>> {
        let Some(programs) = Programs::find() else { return Ok(None) };
        let dir = tempfile::Builder::new().prefix("plane-").tempdir()?;
        process::remove_at_the_end(dir.path())?;
        let authority = Authority::new(dir.path().to_owned())?;
        let admin = authority.client("admin", "admin", &["system:masters"])?;
        let (port, address) = held_port()?;
        let plane = Self {
            running: Mutex::default(),
            programs,
            authority,
            admin,
            _port: port,
            address,
            nodes: OnceCell::new(),
            dir,
        };
        plane.write_files()?;
        plane.run("etcd", plane.etcd())?;
        plane.run("apiserver", plane.apiserver())?;
        plane.ready().await?;
        plane.run("controller-manager", plane.controller_manager()?)?;
        plane.run("scheduler", plane.scheduler()?)?;
        Ok(Some(plane))
    }

    /// The one that all tests of this process share; `None` after having said aloud what is
    /// missing.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn shared() -> Result<Option<&'static Self>> {
        Ok(SHARED.get_or_try_init(Self::start).await?.as_ref())
    }

    /// As [`Self::shared`], with a node (`localhost`) whose kubelet runs pods (rung 4).
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn shared_with_node() -> Result<Option<&'static Self>> {
        if !nodes::can_run_kubelets() {
            return Ok(None);
        }
        let Some(plane) = Self::shared().await? else { return Ok(None) };
        plane.nodes.get_or_try_init(|| plane.start_kubelet(nodes::NODE)).await?;
        Ok(Some(plane))
    }

    /// Waits until the apiserver says that it is ready.
    ///
    /// # Errors
    /// When it does not, with its log.
    pub async fn ready(&self) -> Result<()> {
        let api = self.api()?;
        wait_until("/readyz of the apiserver", SOON, async || {
            if let Some(name) = self.ended() {
                return Ok(Err(anyhow!("{name} has ended:\n{}", self.log(&name))));
            }
            let answer = api.get("/readyz").await.map_err(|error| format!("{error:#}"))?;
            if answer.status.is_success() { Ok(Ok(())) } else { Err(answer.text) }
        })
        .await
        .with_context(|| self.log("apiserver"))?
    }

    /// A component that has ended by itself.
    fn ended(&self) -> Option<String> {
        let mut running = self.components();
        running
            .iter_mut()
            .find_map(|(name, program)| program.over().is_some().then(|| name.clone()))
    }

    /// The apiserver, asked as the administrator.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn api(&self) -> Result<Web> {
        Web::trusting(&self.address(), &self.authority.pem(), Some(&self.admin))
    }

    /// `host:port` of the apiserver; the same over its restarts.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Who signs everything here.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The binary that everything is started from; called through a link named `kubectl` it is
    /// kubectl.
    #[must_use]
    pub fn binary(&self) -> &Path {
        self.programs.binary()
    }

    /// Folder with everything of this cluster.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills the apiserver as `kill -9` does. What runs beside it lives on.
    ///
    /// # Errors
    /// When there is none now.
    pub async fn kill_apiserver(&self) -> Result<()> {
        self.kill("apiserver").await
    }

    /// Starts the apiserver again, on the same address, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_apiserver(&self) -> Result<()> {
        self.run("apiserver", self.apiserver())?;
        self.ready().await
    }

    /// Runs kubectl as `kubeconfig` says, to its end.
    ///
    /// # Errors
    /// When it cannot be run; that it fails is in what it gives back.
    pub async fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Ended> {
        let mut command = self.programs.command("kubectl");
        command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
        command.env("HOME", self.dir());
        process::run(command, SOON).await
    }

    /// Runs a line of shell as somebody would paste it, with this kubeconfig.
    ///
    /// # Errors
    /// When it cannot be run, or takes too long.
    pub async fn shell(&self, kubeconfig: &Path, line: &str) -> Result<Ended> {
        let bin = self.dir().join("bin");
        fs::create_dir_all(&bin)?;
        let kubectl = bin.join("kubectl");
        let program = format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", self.binary().display());
        fs::write(&kubectl, program)?;
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).env("KUBECONFIG", kubeconfig).env("HOME", self.dir());
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        process::run(command, SOON).await
    }

    /// Applies `manifest` (YAML or JSON, any number of documents) as the administrator.
    ///
    /// # Errors
    /// When the apiserver refuses any of it.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile_in(self.dir())?;
        fs::write(file.path(), manifest)?;
        let path = file.path().to_string_lossy();
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", &path];
        let ended = self.kubectl(&self.kubeconfig_admin()?, &arguments).await?;
        ensure!(ended.status.success(), "kubectl apply: {}\n{manifest}", ended.stderr);
        Ok(())
    }

    /// What a component wrote so far, such as `apiserver`.
    #[must_use]
    pub fn log(&self, component: &str) -> String {
        let bytes = fs::read(self.log_file(component)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Memory that each component keeps resident, in bytes, as the kernel says.
    #[must_use]
    pub fn resident(&self) -> BTreeMap<String, u64> {
        let running = self.components();
        let each = running.iter().map(|(name, program)| {
            let pids = process::descendants(program.pid()).into_iter().map(|(pid, _)| pid);
            (name.clone(), pids.chain([program.pid()]).map(process::resident).sum())
        });
        each.collect()
    }

    /// Freezes a component, as a machine does that hangs: its connections stay open.
    ///
    /// # Errors
    /// When there is none of that name now.
    pub fn freeze(&self, component: &str) -> Result<()> {
        self.tell(component, Signal::STOP)
    }

    /// Lets a frozen component go on.
    ///
    /// # Errors
    /// When there is none of that name now.
    pub fn thaw(&self, component: &str) -> Result<()> {
        self.tell(component, Signal::CONT)
    }

    fn tell(&self, component: &str, what: Signal) -> Result<()> {
        let running = self.components();
        let program = running.get(component).with_context(|| format!("no {component} runs"))?;
        for (pid, _) in process::descendants(program.pid()) {
            signal(pid, what);
        }
        Ok(())
    }

    fn run(&self, name: &str, command: Command) -> Result<()> {
        let program = Program::leashed(command, &self.log_file(name))?;
        self.components().insert(name.to_owned(), program);
        Ok(())
    }

    async fn kill(&self, name: &str) -> Result<()> {
        let program = self.components().remove(name);
        let program = program.with_context(|| format!("no {name} runs"))?;
        let held = process::descendants(program.pid());
        // Its group is killed with it; the leash is waited for, what it held is somebody else's.
        drop(program);
        wait_until(&format!("the end of {name}"), SOON, async || {
            let left = held.iter().find(|(pid, name)| process::lives(*pid, name));
            left.map_or(Ok(()), |(pid, name)| Err(format!("{name} {pid} lives")))
        })
        .await
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<String, Program>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self, component: &str) -> PathBuf {
        self.dir.path().join(format!("{component}.log"))
    }
}

/// A port of the loopback that stays ours: bound, but not listened on, by a socket that shares it
/// with whoever says that it shares, too.
fn held_port() -> Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// A port of the loopback that was free just now, for programs that cannot be asked which they
/// took.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

//! The image that `k8s/image` made, run from its own root file system as the user it names: there is
//! nothing beside the programs, and they need nothing else.

use std::{path::PathBuf, process::Command, time::Duration};

use agent_tests::{
    build, environment,
    process::{self, Ended},
    rung,
};
use serde_json::Value;

const TAG: &str = "localhost/agentd:dev";
const LONG: Duration = Duration::from_secs(120);
const HOW: &str = "apt-get install --no-install-recommends buildah, then run k8s/image as root";

/// buildah's storage with the image in it; `None` after having said aloud that there is none.
fn storage() -> Option<PathBuf> {
    if environment::no_image() {
        // Told by .ci/run, with buildah's own words.
        return None;
    }
    let built = build::target().unwrap().join("image/storage");
    let missing = if environment::on_path("buildah").is_none() {
        "no buildah"
    } else if !rustix::process::geteuid().is_root() {
        "not root, as chroot wants it"
    } else if !built.is_dir() {
        "no image"
    } else {
        return Some(built);
    };
    rung::skip("rung 2 (image)", missing, HOW);
    None
}

async fn buildah(storage: &PathBuf, arguments: &[&str]) -> Ended {
    let mut command = Command::new("buildah");
    command.arg("--root").arg(storage).arg("--runroot").arg(storage.with_file_name("run"));
    command.args(["--storage-driver", "vfs"]).args(arguments);
    process::run(command, LONG).await.unwrap()
}

#[tokio::test]
async fn the_image_runs_alone_as_a_user_without_rights() {
    let Some(storage) = storage() else { return };
    let told = buildah(&storage, &["inspect", "--type", "image", TAG]).await;
    assert!(told.status.success(), "{}", told.stderr);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let config = &told["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"][0], "/agentd");

    let made = buildah(&storage, &["from", "--pull-never", TAG]).await;
    assert!(made.status.success(), "{}", made.stderr);
    let container = made.stdout.trim().to_owned();
    let run = async |arguments: &[&str]| {
        let all = [&["run", "--isolation", "chroot", &container, "--"], arguments].concat();
        buildah(&storage, &all).await
    };
    let version = run(&["/agentd", "version"]).await;
    let shell = run(&["/bin/sh", "-c", "true"]).await;
    // The daemon, its plugins as processes of their own, sockets, a data directory.
    let demo = run(&["/agentd", "demo"]).await;
    let removed = buildah(&storage, &["rm", &container]).await;

    assert!(version.stdout.starts_with("agentd "), "{}{}", version.stdout, version.stderr);
    assert!(!shell.status.success(), "there is a shell");
    let found = demo.stdout.contains("Deployment web-app is OOMKilled");
    assert!(demo.status.success() && found, "{}{}", demo.stdout, demo.stderr);
    assert!(removed.status.success(), "{}", removed.stderr);
}

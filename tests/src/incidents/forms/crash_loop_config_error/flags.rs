//! Flags that a new version does not know any more.

use crate::incidents::{
    cluster::Cluster,
    drawn::newer,
    mishap::crashes_since,
    truth::Truth,
    voice::{Level, Runtime, Voice},
};

/// A new image came with the arguments of the old one, of which it does not know one any more: its
/// containers print how they are used and end. The old pods serve.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn argument_of_old(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(cluster.dice.below(app.path.len())).copied().unwrap_or(app.last());
    cluster.written_in(id, &[Runtime::Go, Runtime::Python, Runtime::Node, Runtime::Rust]);
    cluster[id].voice = Voice::Plain;
    let flag = cluster.dice.pick(&["--legacy-auth", "--cache-dir", "--enable-v1", "--max-procs"]);
    let value = cluster.dice.pick(&["true", "2", "on"]);
    cluster[id].always(|template| {
        template.command =
            vec!["/app/serve".to_owned(), format!("{flag}={value}"), "--port=8080".to_owned()];
    });
    let (exit, lines): (i64, Vec<String>) = match cluster[id].runtime {
        Runtime::Python => (
            2,
            vec![
                "usage: serve [-h] [--port PORT] [--workers WORKERS]".to_owned(),
                format!("serve: error: unrecognized arguments: {flag}={value}"),
            ],
        ),
        Runtime::Node => (9, vec![format!("/usr/local/bin/node: bad option: {flag}={value}")]),
        Runtime::Rust => (
            2,
            vec![
                format!("error: unexpected argument '{flag}' found"),
                "Usage: serve [OPTIONS]".to_owned(),
                "For more information, try '--help'.".to_owned(),
            ],
        ),
        Runtime::Go
        | Runtime::Java
        | Runtime::DotNet
        | Runtime::Ruby
        | Runtime::Php
        | Runtime::Proxy
        | Runtime::Store => (
            1,
            vec![
                format!("Error: unknown flag: {flag}"),
                "Usage:".to_owned(),
                "  serve [flags]".to_owned(),
            ],
        ),
    };
    cluster[id].crash = lines.into_iter().map(|line| (Level::Error, line, Vec::new())).collect();
    let at = cluster.minutes_ago(13, 50);
    let tag = newer(&cluster[id].template().tag);
    cluster.stick(
        id,
        at,
        |template| template.tag.clone_from(&tag),
        |pod| {
            crashes_since(pod, (pod.created + 3, 1), (exit, "Error"));
        },
    );
    cluster.crash_events(id);
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at + 60, |template| template.tag = newer(&template.tag));
    }
    cluster.forgo(&["metrics"], 0.3);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["KubePodCrashLooping", "KubeDeploymentRolloutStuck"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "An argument of old",
            &format!("Pods of {}/{name} are waiting with reason CrashLoopBackOff.", cluster.home()),
            &format!("The containers of release {tag} of {name} end at once: their arguments still have {flag}, which the new version does not know. The old pods serve."),
        )
        .rated("easy", "P3")
        .mention(&[flag])
        .mention(&[&name, cluster[id].called()])
        .not_claim(&["OOM", "liveness probe", "image pull", "network policy"])
        .or_category(&["bad_deploy_regression"])
}

//! Incidents that really happen are investigated through the plugins, each with its own account:
//! the cause and its object are named, the command that confirms it works, and all that the
//! plugins did was to read.

use std::{collections::BTreeSet, time::Duration};

use agent_proto::v1::{Investigation, RootCause};
use agent_tests::{
    control_plane::{ControlPlane, audit::Mark, nodes},
    fleet::{BUNDLED, Fleet},
    live,
    worlds::{Incident, World},
};
use futures_util::future::join_all;

/// An investigation takes seconds; a machine of CI may be busy.
const LONG: Duration = Duration::from_secs(90);

/// What is wrong with the answer for a world; nothing when it is right.
async fn faults(fleet: &Fleet, plane: &ControlPlane, world: &World<'_>) -> Vec<String> {
    let incident = world.incident;
    let mut client = fleet.client().unwrap();
    let found = client.investigate(world.truth.alert(), LONG).await.unwrap();
    let causes = found.report.clone().unwrap_or_default().root_causes;
    let Some(cause) = causes.first() else {
        return vec![format!("{incident:?}: no cause; {}", told(&found))];
    };
    let mut faults = Vec::new();
    if cause.category != world.truth.category {
        faults.push(format!("{incident:?}: {}; {}", cause.category, told(&found)));
    }
    let (named, truth) = (object(cause), world.truth.culprit.clone().unwrap());
    if named != (truth.kind.clone(), truth.namespace.clone(), truth.name.clone()) {
        faults.push(format!("{incident:?}: blames {named:?}, not {truth:?}"));
    }
    faults.extend(confirmed(plane, cause).await.err());
    faults
}

fn object(cause: &RootCause) -> (String, String, String) {
    let culprit = cause.culprit.clone().unwrap_or_default();
    (culprit.kind, culprit.namespace, culprit.name)
}

fn told(found: &Investigation) -> String {
    let report = found.report.clone().unwrap_or_default();
    let gaps: Vec<&str> = report.gaps.iter().map(|gap| gap.subject.as_str()).collect();
    let seen: Vec<&str> = report.evidence.iter().map(|one| one.statement.as_str()).collect();
    let others: Vec<&str> = report.alternatives.iter().map(|one| one.statement.as_str()).collect();
    format!("{}\ngaps {gaps:#?}\nseen {seen:#?}\nothers {others:#?}", report.summary)
}

/// Runs the command that a person would paste.
async fn confirmed(plane: &ControlPlane, cause: &RootCause) -> Result<(), String> {
    let command = &cause.confirm_command;
    let Some(arguments) = command.strip_prefix("kubectl ") else {
        return Err(format!("{command:?} is no kubectl command"));
    };
    let admin = plane.kubeconfig_admin().map_err(|e| e.to_string())?;
    let shown = plane.shell(&admin, &format!("kubectl {arguments}")).await;
    let shown = shown.map_err(|e| format!("{command}: {e:#}"))?;
    if shown.status.success() && !shown.stdout.trim().is_empty() {
        Ok(())
    } else {
        let first = command.split('|').next().unwrap_or_default();
        let whole = plane.shell(&admin, first).await.map_err(|e| format!("{first}: {e:#}"))?;
        Err(format!(
            "{command}: {} {:?} {:?}; without the pipe: {} {}",
            shown.status, shown.stdout, shown.stderr, whole.stdout, whole.stderr
        ))
    }
}

/// What the plugins asked of the API server that is no reading, or that they have no right to.
/// Secrets may be asked for: whoever grants that gets more, see k8s/components.
fn wrong_asks(plane: &ControlPlane, mark: Mark) -> Vec<String> {
    let mut wrong = Vec::new();
    for plugin in BUNDLED {
        for asked in plane.audit_since(mark, &live::account(plugin)).unwrap() {
            let what = (asked.verb.as_str(), asked.resource.as_str(), asked.subresource.as_str());
            let reads = matches!(what, ("list", _, "") | ("get", "pods", "log"));
            let refused = asked.code == 403 && asked.resource != "secrets";
            if !reads || refused {
                wrong.push(format!("{plugin}: {asked:?}"));
            }
        }
    }
    wrong
}

/// Rights that these incidents give no reason to use, and what does.
const RARELY: [(&str, &str); 9] = [
    ("events configmaps", "a large cluster: which namespaces its settings name"),
    ("events namespaces", "the same"),
    ("logs namespaces", "the same"),
    ("metrics namespaces", "the same"),
    ("pods ingressclasses", "an Ingress"),
    ("pods persistentvolumeclaims", "a pod with a claim"),
    ("pods persistentvolumes", "the same"),
    ("pods storageclasses", "the same"),
    ("pods volumeattachments", "the same"),
];

/// Rights in `k8s/base/rights.yaml` that no plugin used since `mark`, as `plugin resource`.
async fn unused_rights(plane: &ControlPlane, mark: Mark) -> BTreeSet<String> {
    let mut unused = BTreeSet::new();
    for plugin in BUNDLED {
        let asked = plane.audit_since(mark, &live::account(plugin)).unwrap();
        let used: BTreeSet<String> = asked
            .iter()
            .map(|asked| match asked.subresource.as_str() {
                "" => asked.resource.clone(),
                part => format!("{}/{part}", asked.resource),
            })
            .collect();
        let granted = live::granted(plane, plugin).await.unwrap();
        unused.extend(granted.difference(&used).map(|right| format!("{plugin} {right}")));
    }
    unused.retain(|right| RARELY.iter().all(|(known, _)| known != right));
    unused
}

/// The rights that a plugin's tools name, as roles spell them.
async fn declared(fleet: &Fleet, plugin: &str) -> BTreeSet<String> {
    let tools = fleet.client().unwrap().tools().await.unwrap();
    let own = tools.into_iter().filter(|tool| tool.name.starts_with(&format!("tools/{plugin}.")));
    let named = own.flat_map(|tool| tool.descriptor.unwrap_or_default().permissions);
    let right = |name: String| {
        let name = name.strip_prefix("k8s:")?.to_owned();
        Some(name.strip_suffix("/list").map_or(name.clone(), str::to_owned))
    };
    named.filter_map(right).collect()
}

#[tokio::test]
async fn what_tools_say_they_need_is_what_their_accounts_may() {
    let Some(plane) = ControlPlane::shared().await.unwrap() else { return };
    let fleet = live::fleet(plane, "").await.unwrap();
    for plugin in ["pods", "events", "logs"] {
        let mut declared = declared(&fleet, plugin).await;
        // Given by a component of its own, not by default.
        declared.remove("secrets");
        assert_eq!(declared, live::granted(plane, plugin).await.unwrap(), "{plugin}");
    }
}

#[tokio::test]
async fn incidents_of_a_real_cluster_are_explained_by_plugins_that_only_read() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let apart = Incident::ALL.into_iter().filter(|incident| incident.stays_in_its_namespace());
    let happening = apart.map(async |incident| {
        let world = World::create(plane, incident).await?;
        world.visible().await?;
        anyhow::Ok(world)
    });
    let worlds: Vec<World<'_>> =
        join_all(happening).await.into_iter().map(Result::unwrap).collect();
    let fleet = live::fleet(plane, "").await.unwrap();
    let mark = plane.audit_mark().unwrap();
    let mut wrong = Vec::new();
    for world in &worlds {
        wrong.extend(faults(&fleet, plane, world).await);
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(wrong_asks(plane, mark), Vec::<String>::new());
    assert_eq!(unused_rights(plane, mark).await, BTreeSet::new(), "granted and never used");
}

#[tokio::test]
async fn a_lost_node_is_named_as_the_cause_of_pods_that_went_with_it() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    if !nodes::can_run_kubelets() {
        return;
    }
    plane.start_kubelet(nodes::NODE).await.unwrap();
    let world = World::create(&plane, Incident::NodeLost).await.unwrap();
    world.visible().await.unwrap();
    let fleet = live::fleet(&plane, "").await.unwrap();
    let mark = plane.audit_mark().unwrap();
    let wrong = faults(&fleet, &plane, &world).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(wrong_asks(&plane, mark), Vec::<String>::new());
}

//! Commands that suit the kind of the culprit. A document speaks of workloads in general, while
//! `kubectl` does not roll out, scale or read the logs of every kind: what it would refuse is said
//! in words it takes for that kind, so that nobody pastes a refusal at three in the morning.
//! Source: the help of each subcommand of kubectl 1.31 ("valid resources include").

/// Subcommands with the kinds they take.
const TAKES: [(&str, &[&str]); 3] = [
    (" rollout ", &["Deployment", "StatefulSet", "DaemonSet"]),
    (" scale ", &["Deployment", "StatefulSet", "ReplicaSet"]),
    (" set ", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob"]),
];

const OBJECT: &str = "{kind}/{name}";
/// A `CronJob` has no pods of its own.
const NEWEST_JOB: &str = "\"$(kubectl -n {namespace} get jobs -o name \
     --sort-by=.status.startTime | grep /{name}- | tail -1)\"";
/// What runs outside the cluster is reached by its own client.
const IN_THE_SERVER: &str = "kubectl -n {namespace} exec {kind}/{name} -- psql ";
const FROM_OUTSIDE: &str = "psql -h {name} ";
const SIZE_FROM_OUTSIDE: &str =
    "psql -h {name} -c 'select pg_size_pretty(sum(pg_database_size(datname))) from pg_database'";
const SUSPEND: &str = r#"patch {kind} {name} --type merge -p '{"spec":{"suspend":true}}'"#;

/// The template of a command, in words that `kubectl` takes for this kind.
#[must_use]
pub(super) fn suited(template: &str, kind: &str) -> String {
    template.split_inclusive([';', '|', '&']).map(|part| part_suited(part, kind)).collect()
}

fn part_suited(part: &str, kind: &str) -> String {
    if kind == "CronJob" && (part.contains(" logs ") || part.contains(" exec ")) {
        return part.replacen(OBJECT, NEWEST_JOB, 1);
    }
    if kind == "External" && part.contains(" exec ") && !part.contains(IN_THE_SERVER) {
        return format!("{SIZE_FROM_OUTSIDE}{}", separator(part));
    }
    if kind == "External" {
        return part.replacen(IN_THE_SERVER, FROM_OUTSIDE, 1);
    }
    for (verb, kinds) in TAKES {
        if let Some((kubectl, said)) = part.split_once(verb)
            && said.contains(OBJECT)
            && !kinds.contains(&kind)
        {
            let words = instead(verb.trim(), said, kind);
            return format!("{kubectl} {words}{}", separator(said));
        }
    }
    part.to_owned()
}

/// What stands between this part of a command and the next.
fn separator(part: &str) -> &'static str {
    match part.chars().last() {
        Some(';') => ";",
        Some('|') => " |",
        Some('&') => " &",
        _ => "",
    }
}

fn instead(verb: &str, said: &str, kind: &str) -> &'static str {
    let stops = said.contains("--replicas=0") || said.contains("--replicas=1");
    match (verb, kind) {
        ("rollout", _) if said.starts_with("history") || said.starts_with("status") => {
            "describe {kind} {name}"
        }
        ("rollout", "CronJob") if said.starts_with("restart") => {
            "create job --from=cronjob/{name} {name}-again"
        }
        ("scale", "Job" | "CronJob") if stops => SUSPEND,
        // What they run cannot be changed in place: to be edited and made anew.
        (_, "Job" | "Pod") => "get {kind} {name} -o yaml",
        _ => "edit {kind} {name}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasoner::catalogue::{Catalogue, CulpritRule};

    #[test]
    fn no_command_of_the_catalogue_asks_kubectl_for_what_a_kind_does_not_have() {
        const ANY: [&str; 7] =
            ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"];
        let mut looked = 0;
        for cause in Catalogue::embedded().unwrap().causes() {
            let named = cause.culprit_kinds.iter().map(String::as_str);
            let workload = matches!(cause.culprit, CulpritRule::Workload);
            let any = ANY.into_iter().filter(|_| cause.culprit_kinds.is_empty() && workload);
            for kind in named.chain(any) {
                let advice = cause.advice().map(|(_, advice)| advice.command.as_str());
                for command in advice.chain([cause.confirm.as_str()]) {
                    let said = suited(command, kind);
                    let refused = said.split([';', '|', '&']).any(|part| {
                        let of = |verb: &str| part.contains(verb) && part.contains(OBJECT);
                        let logs = of(" logs ") || of(" exec ");
                        TAKES.iter().any(|(verb, kinds)| of(verb) && !kinds.contains(&kind))
                            || (logs && ["CronJob", "External"].contains(&kind))
                    });
                    assert!(!refused, "{}, a {kind}: {said}", cause.id);
                    looked += 1;
                }
            }
        }
        assert!(looked > 500, "only {looked} commands were looked at");
    }

    #[test]
    fn what_kubectl_refuses_for_a_kind_is_said_in_words_that_it_takes() {
        let undo = "kubectl -n {namespace} rollout undo {kind}/{name}";
        let stop = "kubectl -n {namespace} scale {kind}/{name} --replicas=0";
        let logs = "kubectl -n {namespace} logs {kind}/{name} --tail=50";
        let both = "kubectl -n n rollout history {kind}/{name}; kubectl -n n logs {kind}/{name}";
        for (template, kind, words) in [
            (undo, "StatefulSet", undo),
            (undo, "CronJob", "kubectl -n {namespace} edit {kind} {name}"),
            (undo, "Pod", "kubectl -n {namespace} get {kind} {name} -o yaml"),
            (stop, "Deployment", stop),
            (stop, "Job", &format!("kubectl -n {{namespace}} {SUSPEND}")),
            (stop, "DaemonSet", "kubectl -n {namespace} edit {kind} {name}"),
            (logs, "Job", logs),
            (logs, "CronJob", &format!("kubectl -n {{namespace}} logs {NEWEST_JOB} --tail=50")),
            (both, "Job", "kubectl -n n describe {kind} {name}; kubectl -n n logs {kind}/{name}"),
        ] {
            assert_eq!(suited(template, kind), words, "{kind}");
        }
    }
}

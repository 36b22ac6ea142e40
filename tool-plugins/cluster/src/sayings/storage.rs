//! What provisioners, binders and attachers say about volumes.

/// Words and the phrases that tell them; the first row that fits decides.
type Table = &'static [(&'static str, &'static [&'static str])];

const PROVISIONING: Table = &[
    ("class_missing", &["storageclass.storage.k8s.io \"", "storageclass \""]),
    ("no_class", &["no persistent volumes available for this claim and no storage class is set"]),
    ("volume_taken", &["already bound to a different claim"]),
    (
        "volume_mismatch",
        &[
            "cannot bind to requested volume",
            "storageclassname does not match",
            "requested pv is too small",
            "incompatible accessmode",
        ],
    ),
    ("volume_lost", &["lost its persistentvolume", "volume was lost", "bound claim has lost"]),
    // What the claim asks for no volume of the class can be: the claim is to be changed.
    (
        "access_mode",
        &[
            "readwritemany",
            "readonlymany",
            "multi_node",
            "multi-node",
            "access mode",
            "accessmodes",
            "volume capabilities not supported",
            "volume capability not supported",
        ],
    ),
    (
        "capacity",
        &[
            "resourceexhausted",
            "insufficient capacity",
            "no capacity",
            "not enough free space",
            "quota exceeded",
            "quotaexceeded",
            "volumelimitexceeded",
            "out of space",
        ],
    ),
    (
        "rights",
        &[
            "unauthorized",
            "permission",
            "permissiondenied",
            "accessdenied",
            "forbidden",
            "unauthenticated",
            "credentials",
        ],
    ),
    (
        "parameters",
        &[
            "invalidargument",
            "invalid parameter",
            "invalid option",
            "unknown parameter",
            "not supported",
            "unsupported",
        ],
    ),
    (
        "unreachable",
        &[
            "deadlineexceeded",
            "deadline exceeded",
            "unavailable",
            "connection refused",
            "timed out",
            "no such host",
        ],
    ),
    ("waits_for_provisioner", &["waiting for a volume to be created", "external provisioner"]),
];

const ATTACHING: Table = &[
    ("multi_attach", &["multi-attach", "already exclusively attached", "already used by pod"]),
    ("in_use", &["volumeinuse", "already attached to", "is currently attached", "used by another"]),
    ("volume_gone", &["volume not found", "notfound", "does not exist", "volume.notfound"]),
    (
        "limit",
        &[
            "attachment limit",
            "maximum number of volumes",
            "volume limit",
            "attachlimitexceeded",
            "resourceexhausted",
        ],
    ),
    ("rights", &["unauthorized", "permissiondenied", "accessdenied", "forbidden"]),
    ("driver_missing", &["driver name", "not found in the list of registered csi drivers"]),
    ("timeout", &["timed out", "timeout", "deadline exceeded", "deadlineexceeded"]),
];

fn first(table: Table, message: &str) -> &'static str {
    let said = message.to_ascii_lowercase();
    let fits = |row: &&(&str, &[&str])| row.1.iter().any(|phrase| said.contains(phrase));
    table.iter().find(fits).map_or("other", |(why, _)| why)
}

/// Why a claim is not bound: `class_missing`, `no_class`, `access_mode`, `volume_taken`, `volume_mismatch`,
/// `volume_lost`, `capacity`, `rights`, `parameters`, `unreachable`, `waits_for_provisioner` or
/// `other`.
#[must_use]
pub fn provision_failure(message: &str) -> &'static str {
    let why = first(PROVISIONING, message);
    // The class is named in most sentences; it is missing only where they say so.
    if why == "class_missing" && !message.contains("not found") {
        return first(PROVISIONING.get(1..).unwrap_or_default(), message);
    }
    why
}

/// Why a volume cannot be attached or mounted: `multi_attach`, `in_use`, `volume_gone`, `limit`,
/// `rights`, `driver_missing`, `timeout` or `other`.
#[must_use]
pub fn attach_failure(message: &str) -> &'static str {
    let why = first(ATTACHING, message);
    if message.contains("not found in the list of registered CSI drivers") {
        return "driver_missing";
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_claim_is_not_bound_is_told_apart() {
        for (said, why) in [
            ("storageclass.storage.k8s.io \"quick\" not found", "class_missing"),
            ("StorageClass \"quick\" not found", "class_missing"),
            (
                "no persistent volumes available for this claim and no storage class is set",
                "no_class",
            ),
            (
                "failed to provision volume with StorageClass \"quick\": rpc error: code = InvalidArgument desc = Volume capabilities not supported: access mode MULTI_NODE_MULTI_WRITER",
                "access_mode",
            ),
            (
                "failed to provision volume with StorageClass \"quick\": rpc error: code = ResourceExhausted desc = not enough free space",
                "capacity",
            ),
            (
                "failed to provision volume with StorageClass \"quick\": rpc error: code = InvalidArgument desc = invalid parameter \"typ\"",
                "parameters",
            ),
            (
                "failed to provision volume with StorageClass \"quick\": rpc error: code = Internal desc = AccessDenied: not allowed",
                "rights",
            ),
            (
                "failed to provision volume with StorageClass \"quick\": rpc error: code = DeadlineExceeded desc = context deadline exceeded",
                "unreachable",
            ),
            (
                "Waiting for a volume to be created either by the external provisioner 'd.example' or manually by the system administrator.",
                "waits_for_provisioner",
            ),
            ("volume \"pv-1\" already bound to a different claim.", "volume_taken"),
            (
                "Cannot bind to requested volume \"pv-1\": storageClassName does not match",
                "volume_mismatch",
            ),
            ("all is well", "other"),
        ] {
            assert_eq!(provision_failure(said), why, "{said}");
        }
    }

    #[test]
    fn why_a_volume_is_not_attached_is_told_apart() {
        for (said, why) in [
            (
                "Multi-Attach error for volume \"pvc-1\" Volume is already exclusively attached to one node and can't be attached to another",
                "multi_attach",
            ),
            (
                "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) web-a",
                "multi_attach",
            ),
            (
                "AttachVolume.Attach failed for volume \"pvc-1\" : rpc error: code = NotFound desc = volume not found",
                "volume_gone",
            ),
            (
                "AttachVolume.Attach failed for volume \"pvc-1\" : rpc error: code = ResourceExhausted desc = attachment limit reached",
                "limit",
            ),
            (
                "MountVolume.MountDevice failed for volume \"pvc-1\" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name d.example not found in the list of registered CSI drivers",
                "driver_missing",
            ),
            (
                "AttachVolume.Attach failed for volume \"pvc-1\" : timed out waiting for external-attacher of d.example CSI driver",
                "timeout",
            ),
        ] {
            assert_eq!(attach_failure(said), why, "{said}");
        }
    }
}

//! What registries and runtimes say about an image that cannot be pulled, and what an image's
//! name is made of.

/// Each word for a reason with the phrases that tell it. The first row that fits decides: a
/// network that fails on the way to a token says nothing about rights, and a registry that hides
/// what is private says "does not exist or may require authorization" for both.
const REASONS: [(&str, &[&str]); 11] = [
    ("invalid_name", &["invalidimagename", "couldn't parse image", "invalid reference format"]),
    ("never_pulled", &["errimageneverpull", "pull policy of never"]),
    ("no_space", &["no space left on device"]),
    (
        "rate_limited",
        &["toomanyrequests", "429 too many", "status code 429", "pull rate limit", "rate exceeded"],
    ),
    (
        "platform",
        &["no match for platform", "no matching manifest", "does not match the specified platform"],
    ),
    (
        "certificate",
        &["x509", "certificate", "gave http response to https client", "tls: handshake failure"],
    ),
    (
        "unreachable",
        &[
            "no such host",
            "dial tcp",
            "i/o timeout",
            "tls handshake timeout",
            "connection refused",
            "connection reset",
            "no route to host",
            "network is unreachable",
            "server misbehaving",
        ],
    ),
    (
        "unauthorized",
        &[
            "unauthorized",
            "authentication required",
            "authorization failed",
            "insufficient_scope",
            "denied",
            "no basic auth",
            "forbidden",
            "token has expired",
            "incorrect username or password",
            "invalid username",
            "failed to fetch anonymous token",
        ],
    ),
    (
        "not_found",
        &[
            "not found",
            "notfound",
            "manifest unknown",
            "name unknown",
            "manifest_unknown",
            "name_unknown",
            "does not exist",
            "no such image",
            "repository name not known",
        ],
    ),
    (
        "unreachable",
        &[
            "timeout",
            "timed out",
            "deadline exceeded",
            "500 internal server error",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway",
            "registryunavailable",
            "unexpected eof",
            ": eof",
        ],
    ),
    ("unsigned", &["signaturevalidationfailed", "signature"]),
];

/// Why an image could not be pulled: `not_found`, `unauthorized`, `unreachable`, `certificate`,
/// `rate_limited`, `platform`, `invalid_name`, `never_pulled`, `no_space`, `unsigned` or `other`.
#[must_use]
pub fn pull_failure(message: &str) -> &'static str {
    let said = message.to_ascii_lowercase();
    let fits = |(_, phrases): &&(&str, &[&str])| phrases.iter().any(|phrase| said.contains(phrase));
    REASONS.iter().find(fits).map_or("other", |(why, _)| why)
}

/// The tag of an image, or its digest; `latest` when neither is given.
#[must_use]
pub fn tag(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// The host that serves an image, without its port; `docker.io` when the name tells none.
#[must_use]
pub fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
            host.split(':').next().unwrap_or(host)
        }
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_failed_pull_is_told_apart() {
        for (said, why) in [
            (
                "rpc error: code = NotFound desc = failed to pull and unpack image \"r.example/a:1\": failed to resolve reference \"r.example/a:1\": r.example/a:1: not found",
                "not_found",
            ),
            (
                "Error response from daemon: manifest for r.example/a:1 not found: manifest unknown",
                "not_found",
            ),
            (
                "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
                "unauthorized",
            ),
            (
                "failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 401 Unauthorized",
                "unauthorized",
            ),
            (
                "failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
                "unauthorized",
            ),
            (
                "denied: Your authorization token has expired. Reauthenticate and try again.",
                "unauthorized",
            ),
            (
                "failed to authorize: failed to fetch anonymous token: Get \"https://auth.r.example/token\": dial tcp: lookup auth.r.example: i/o timeout",
                "unreachable",
            ),
            ("dial tcp: lookup r.example on 10.96.0.10:53: no such host", "unreachable"),
            ("net/http: TLS handshake timeout", "unreachable"),
            (
                "unexpected status from HEAD request to https://r.example/v2/a/manifests/1: 503 Service Unavailable",
                "unreachable",
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "certificate",
            ),
            ("http: server gave HTTP response to HTTPS client", "certificate"),
            (
                "429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating",
                "rate_limited",
            ),
            ("no match for platform in manifest: not found", "platform"),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", "platform"),
            (
                "Failed to apply default image tag \"r.example/A:1\": couldn't parse image name: invalid reference format: repository name must be lowercase",
                "invalid_name",
            ),
            ("Container image \"a:1\" is not present with pull policy of Never", "never_pulled"),
            ("write /var/lib/containerd/x: no space left on device", "no_space"),
            ("Error: ImagePullBackOff", "other"),
        ] {
            assert_eq!(pull_failure(said), why, "{said}");
        }
    }

    #[test]
    fn an_images_name_tells_its_registry_and_tag() {
        for (image, host, want) in [
            ("r.example:5000/a/b:1.2", "r.example", "1.2"),
            ("r.example/a/b", "r.example", "latest"),
            ("library/b@sha256:ff", "docker.io", "sha256:ff"),
            ("b", "docker.io", "latest"),
        ] {
            assert_eq!((registry(image), tag(image)), (host, want), "{image}");
        }
    }
}

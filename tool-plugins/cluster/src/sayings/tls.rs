//! A TLS handshake that fails, in the words of many runtimes: what is wrong with the certificate,
//! and whether it is the speaker's own.

use jiff::Timestamp;

/// What a line tells of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsFailure {
    /// `expired`, `not_yet_valid`, `untrusted` or `wrong_name`.
    pub why: &'static str,
    /// Until when it was valid, when told.
    pub not_after: Option<Timestamp>,
    /// The other side refused the speaker's own certificate.
    pub own: bool,
}

const EXPIRED: [&str; 14] = [
    "certificate has expired",
    "certificate expired",
    "certificate is expired",
    "cert_has_expired",
    "certificateexpired",
    "expired certificate",
    "notafter:",
    "certificateexpiredexception",
    "certificate validity",
    "validity check failed",
    "peer certificate: expired",
    "cert is expired",
    "notvalidafter",
    "remotecertificatenottimevalid",
];

const UNTRUSTED: [&str; 16] = [
    "unknown authority",
    "self signed certificate",
    "self-signed certificate",
    "pkix path",
    "unable to get local issuer",
    "unable to verify the first certificate",
    "unable_to_verify_leaf_signature",
    "unknown ca",
    "unknownissuer",
    "unknown_ca",
    "bad signature",
    "depth_zero_self_signed",
    "self_signed_cert_in_chain",
    "untrustedroot",
    "partialchain",
    "signature failure",
];

const WRONG_NAME: [&str; 12] = [
    "certificate is valid for",
    "certificate is not valid for",
    "err_tls_cert_altname",
    "altnames",
    "subject alternative",
    "hostname mismatch",
    "doesn't match",
    "does not match target host",
    "notvalidforname",
    "no alternative certificate subject name",
    "hostname/ip does not match",
    "remotecertificatenamemismatch",
];

/// Reads a complaint about a certificate.
#[must_use]
pub fn tls_failure(line: &str) -> Option<TlsFailure> {
    let lower = line.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    let early = says(&["not yet valid", "cert_not_yet_valid", "notvalidyet"]);
    // Go says both and tells by the two times which one it is.
    let why = if early && (lower.contains("is before") || !says(&EXPIRED)) {
        "not_yet_valid"
    } else if says(&EXPIRED) || early {
        "expired"
    } else if says(&WRONG_NAME) {
        "wrong_name"
    } else if says(&UNTRUSTED) {
        "untrusted"
    } else {
        return None;
    };
    let own = says(&[
        "remote error",
        "alert number 45",
        "sslv3 alert",
        "tlsv1 alert",
        "received alert",
        "alert received",
    ]);
    Some(TlsFailure { why, not_after: not_after(line), own })
}

/// `current time 2025-05-01T12:00:00Z is after 2025-05-01T11:00:00Z`.
fn not_after(line: &str) -> Option<Timestamp> {
    let (_, rest) = line.split_once("is after ").or_else(|| line.split_once("expired on "))?;
    let word = rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',')).next()?;
    word.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_word_a_dead_certificate_in_many_ways() {
        for (line, want) in [
            (
                "x509: certificate has expired or is not yet valid: current time 2025-05-01T12:00:00Z is after 2025-05-01T11:00:00Z",
                Some(("expired", false)),
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2025-05-01T12:00:00Z is before 2025-05-01T13:00:00Z",
                Some(("not_yet_valid", false)),
            ),
            (
                "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
                Some(("expired", false)),
            ),
            ("Error: certificate has expired code: 'CERT_HAS_EXPIRED'", Some(("expired", false))),
            (
                "java.security.cert.CertificateExpiredException: NotAfter: Thu May 01 11:00:00 UTC 2025",
                Some(("expired", false)),
            ),
            ("invalid peer certificate: Expired", Some(("expired", false))),
            (
                "invalid peer certificate: certificate expired: verification time 1746100800",
                Some(("expired", false)),
            ),
            ("remote error: tls: expired certificate", Some(("expired", true))),
            ("SSL alert number 45: sslv3 alert certificate expired", Some(("expired", true))),
            ("RemoteCertificateNotTimeValid", Some(("expired", false))),
            ("x509: certificate signed by unknown authority", Some(("untrusted", false))),
            (
                "sun.security.validator.ValidatorException: PKIX path building failed",
                Some(("untrusted", false)),
            ),
            (
                "x509: certificate is valid for a.example, not b.example",
                Some(("wrong_name", false)),
            ),
            ("Hostname/IP does not match certificate's altnames", Some(("wrong_name", false))),
            ("token has expired", None),
        ] {
            let read = tls_failure(line).map(|f| (f.why, f.own));
            assert_eq!(read, want, "{line}");
        }
        let told = tls_failure(
            "certificate has expired or is not yet valid: current time x is after 2025-05-01T11:00:00Z",
        );
        assert_eq!(
            told.and_then(|t| t.not_after).map(|t| t.to_string()).as_deref(),
            Some("2025-05-01T11:00:00Z")
        );
    }
}

//! The public part of X.509 certificates: how long they are valid, for which names, by whom. Read
//! from PEM text; private keys beside them are never looked at. Not a validator: signatures and
//! chains are not checked. A certificate that cannot be read is none.

use jiff::{Timestamp, civil};
use serde_json::{Value, json};

use crate::Object;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// From when it holds.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Common name of the subject; empty when it has none.
    pub subject: String,
    /// Common name, else organisation, of the issuer.
    pub issuer: String,
    /// DNS names it is for.
    pub names: Vec<String>,
    /// Whether it may sign others.
    pub is_authority: bool,
}

/// Where the certificates of a Secret are kept when its values are dropped.
pub(crate) const KEPT: &str = "certificates";

/// The certificates of a Secret or `ConfigMap`, each with its key.
#[must_use]
pub fn of(object: &Object) -> Vec<(String, Certificate)> {
    let kept = object.at("/certificates").and_then(Value::as_array);
    let of_secret = kept.into_iter().flatten().filter_map(Certificate::from_value);
    let texts = object.map("/data");
    let of_config =
        texts.iter().filter(|_| object.kind() == "ConfigMap").flat_map(|(key, text)| {
            in_pem(text).into_iter().map(|certificate| (key.clone(), certificate))
        });
    of_secret.chain(of_config).collect()
}

/// The certificates in the values of a Secret, in the form that [`of`] reads.
pub(crate) fn kept_of_secret(data: &Value, encoded: bool) -> Vec<Value> {
    let mut kept = Vec::new();
    for (key, value) in data.as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        let pem = if encoded {
            base64(text).and_then(|bytes| String::from_utf8(bytes).ok())
        } else {
            Some(text.to_owned())
        };
        let read = in_pem(&pem.unwrap_or_default());
        kept.extend(read.iter().map(|certificate| certificate.to_value(key)));
    }
    kept
}

// === impl Certificate ===

impl Certificate {
    fn to_value(&self, key: &str) -> Value {
        json!({
            "key": key,
            "notBefore": self.not_before.to_string(),
            "notAfter": self.not_after.to_string(),
            "subject": self.subject,
            "issuer": self.issuer,
            "names": self.names,
            "isAuthority": self.is_authority,
        })
    }

    fn from_value(value: &Value) -> Option<(String, Self)> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let names = value.get("names").and_then(Value::as_array);
        let certificate = Self {
            not_before: text("notBefore")?.parse().ok()?,
            not_after: text("notAfter")?.parse().ok()?,
            subject: text("subject")?,
            issuer: text("issuer")?,
            names: names
                .into_iter()
                .flatten()
                .filter_map(|n| Some(n.as_str()?.to_owned()))
                .collect(),
            is_authority: value.get("isAuthority").and_then(Value::as_bool) == Some(true),
        };
        Some((text("key")?, certificate))
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Certificates read of one text at most; bundles of authorities are long.
const MAX_READ: usize = 16;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const ALT_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// The certificates in a PEM text, in order: a server's own comes first.
#[must_use]
pub fn in_pem(text: &str) -> Vec<Certificate> {
    let blocks = text.split(BEGIN).skip(1).filter_map(|block| block.split(END).next());
    blocks.take(MAX_READ).filter_map(|block| read(&base64(block)?)).collect()
}

/// Decodes base64, white space ignored; `None` for what is no base64.
#[must_use]
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes().filter(|b| !b.is_ascii_whitespace()) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// One element of DER and what follows it.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(count)?;
        (length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Element { tag: *tag, content }, rest))
}

/// The elements one after the other.
fn elements(mut bytes: &[u8]) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    while let Some((next, rest)) = element(bytes) {
        found.push(next);
        bytes = rest;
    }
    found
}

/// Reads one certificate (RFC 5280, section 4.1).
fn read(der: &[u8]) -> Option<Certificate> {
    let (whole, _) = element(der)?;
    let (body, _) = element(whole.content)?;
    let parts = elements(body.content);
    // A version stands first, in a tag of its own, in all but the oldest.
    let skip = usize::from(parts.first()?.tag == 0xa0);
    let part = |index: usize| parts.get(skip + index).copied();
    // Serial number, algorithm, issuer, validity, subject.
    let times = elements(part(3)?.content);
    let mut names = Vec::new();
    let mut is_authority = false;
    for (id, value) in parts.iter().filter(|p| p.tag == 0xa3).flat_map(|p| extensions(p.content)) {
        let Some((inner, _)) = element(value) else { continue };
        if id == ALT_NAMES {
            let dns = elements(inner.content).into_iter().filter(|e| e.tag == 0x82);
            names.extend(dns.map(|e| String::from_utf8_lossy(e.content).into_owned()));
        } else if id == CONSTRAINTS {
            let flags = elements(inner.content);
            is_authority = flags.iter().any(|e| e.tag == BOOLEAN && e.content.first() != Some(&0));
        }
    }
    let issuer = part(2)?.content;
    Some(Certificate {
        not_before: time(*times.first()?)?,
        not_after: time(*times.get(1)?)?,
        subject: name(part(4)?.content, COMMON_NAME),
        issuer: Some(name(issuer, COMMON_NAME))
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| name(issuer, ORGANISATION)),
        names,
        is_authority,
    })
}

/// Id and value of each extension.
fn extensions(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let Some((list, _)) = element(bytes) else { return Vec::new() };
    elements(list.content)
        .into_iter()
        .filter_map(|extension| {
            let parts = elements(extension.content);
            let id = parts.first().filter(|e| e.tag == OID)?;
            Some((id.content, parts.last()?.content))
        })
        .collect()
}

/// The part `wanted` of a distinguished name.
fn name(bytes: &[u8], wanted: &[u8]) -> String {
    let pairs =
        elements(bytes).into_iter().filter(|e| e.tag == SET).flat_map(|e| elements(e.content));
    for pair in pairs.filter(|e| e.tag == SEQUENCE) {
        if let [id, value, ..] = elements(pair.content).as_slice()
            && id.content == wanted
        {
            return String::from_utf8_lossy(value.content).into_owned();
        }
    }
    String::new()
}

fn time(element: Element<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2).and_then(|t| t.parse::<i8>().ok());
    let date =
        civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8).unwrap_or(0), 0);
    Some(date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    /// Valid from 2025-01-31T09:00:00Z until 2025-05-01T11:00:00Z; its key was thrown away.
    pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBZTCCAQugAwIBAgIBBzAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJFeGFtcGxl\n\
        IElzc3VpbmcgQ0EwHhcNMjUwMTMxMDkwMDAwWhcNMjUwNTAxMTEwMDAwWjAaMRgw\n\
        FgYDVQQDDA9hcGkuZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n\
        AASSydOzvE1/IPGg2IJD5pAAEnH41u8X7oYrqKpTy+pWqiaq5GB9xvDCBdd3ZDEB\n\
        8Q6rEORMNjNReIp/Dt+Jbcq3oz8wPTAtBgNVHREEJjAkgg9hcGkuZXhhbXBsZS5j\n\
        b22CESouYXBpLmV4YW1wbGUuY29tMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwID\n\
        SAAwRQIgXOSmA8gdzoSmHmtbia6wtR+C7GU5I/dNlxTctRLTSj8CIQDq165oJLHy\n\
        6mLYzUCkzqX0Ty6jxbCa9a7WaL/5rJjnVw==\n\
        -----END CERTIFICATE-----";

    #[test]
    fn dates_names_and_issuer_are_read_from_pem() {
        let found = in_pem(&format!("some text\n{PEM}\n{PEM}"));
        assert_eq!(found.len(), 2);
        let first = &found[0];
        assert_eq!(first.not_before.to_string(), "2025-01-31T09:00:00Z");
        assert_eq!(first.not_after.to_string(), "2025-05-01T11:00:00Z");
        assert_eq!(
            (first.subject.as_str(), first.issuer.as_str()),
            ("api.example.com", "Example Issuing CA")
        );
        assert_eq!(first.names, ["api.example.com", "*.api.example.com"]);
        assert!(!first.is_authority);
        let (key, again) = Certificate::from_value(&first.to_value("tls.crt")).unwrap();
        assert_eq!((key.as_str(), &again), ("tls.crt", first));
    }

    #[test]
    fn what_is_no_certificate_is_none_and_never_a_panic() {
        let whole = base64(PEM.split("-----").nth(2).unwrap()).unwrap();
        for end in 0..whole.len() {
            let _ = read(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            let _ = read(&bent);
        }
        assert!(in_pem("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----").is_empty());
        assert!(in_pem("-----BEGIN X-----\nAAAA\n-----END X-----").is_empty());
        assert_eq!(base64("aGk="), Some(b"hi".to_vec()));
    }
}

//! The signature of a message: HMAC-SHA256 over the time and the body, so that a receiver knows who
//! sent it and that it is no old one. In the header `Agentd-Signature: t=SECONDS,v1=HEX`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of the header: over `SECONDS.BODY`.
pub(super) fn header(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    // HMAC takes keys of any length; there is no other fault.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let sum = mac.finalize().into_bytes();
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_2104_over_time_and_body() {
        // printf '1.{}' | openssl dgst -sha256 -hmac key
        let known = "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224";
        assert_eq!(header(b"key", 1, b"{}"), format!("t=1,v1={known}"));
        assert_ne!(header(b"key", 2, b"{}"), header(b"key", 1, b"{}"));
        assert_ne!(header(b"kez", 1, b"{}"), header(b"key", 1, b"{}"));
    }
}

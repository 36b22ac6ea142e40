//! Contracts that are in use, by their text: replicas announce the same schemas, and a plugin the
//! same ones at each return, and compiling them is most of what a registration costs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use sha2::{Digest as _, Sha256};

use super::Contract;
use crate::tool::Violation;

/// Contracts that somebody holds; those that nobody holds any more are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Known {
    held: Mutex<HashMap<[u8; 32], Weak<Contract>>>,
}

impl Known {
    /// The contract of both schemas, compiled unless one like it is in use.
    ///
    /// # Errors
    /// As [`Contract::read`].
    pub(crate) fn read(
        &self,
        arguments: &str,
        result: &str,
    ) -> Result<Arc<Contract>, Vec<Violation>> {
        let key = key(arguments, result);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(contract) = held.and_then(|weak| weak.upgrade()) {
            return Ok(contract);
        }
        // Not under the lock: it may take a while. Two at once compile it twice, and one stays.
        let made = Arc::new(Contract::read(arguments, result)?);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Only when there is no room left, so that each costs the same however many there are.
        if held.len() == held.capacity() {
            held.retain(|_, contract| contract.strong_count() > 0);
        }
        held.insert(key, Arc::downgrade(&made));
        Ok(made)
    }
}

fn key(arguments: &str, result: &str) -> [u8; 32] {
    let length = arguments.len().to_le_bytes();
    Sha256::new()
        .chain_update(length)
        .chain_update(arguments)
        .chain_update(result)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_same_schemas_are_compiled_once_while_somebody_holds_them() {
        let known = Known::default();
        let one = known.read(r#"{"type":"object"}"#, "").unwrap();
        let same = known.read(r#"{"type":"object"}"#, "").unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        // Where one ends and the other begins counts.
        let other = known.read("", r#"{"type":"object"}"#).unwrap();
        assert!(!Arc::ptr_eq(&one, &other));
        drop((one, same));
        for n in 0..100 {
            known.read(&format!(r#"{{"type":"object","maxProperties":{n}}}"#), "").unwrap();
        }
        assert!(known.held.lock().unwrap().len() < 20, "what nobody holds stayed");
        assert!(known.read("7", "").is_err());
    }
}

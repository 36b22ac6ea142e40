//! The guards: what stands between a wish to call a tool and the call. [`Cleared`] is the only key
//! to a call and only this module can make one, so the gate cannot be forgotten: forgetting it
//! does not compile. Per-attempt limits (rate, breaker, timeouts) are layers of `plugin::stack`.

pub mod breaker;
pub mod policy;
pub mod rate;
pub mod repetition;
pub mod tokens;

/// Proof that the guards agreed to `T`. Nothing outside this module makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleared<T>(T);

impl<T> Cleared<T> {
    /// What was cleared.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What was cleared, by value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

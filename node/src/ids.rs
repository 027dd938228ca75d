//! Random bytes and operation ids for proposals. The only place of the node that asks for randomness:
//! the system's, or in a simulation the seed's.

use model::{OperationId, UnixMillis};

/// Fresh random bytes.
///
/// Ends the process when the system has none: no id, nonce or password could be trusted any more.
pub fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    if let Err(error) = cluster::runtime::fill_random(&mut bytes) {
        tracing::error!(%error, "the system gives no random bytes");
        std::process::abort();
    }
    bytes
}

/// A new operation id; of a message it is the id in logs, `Received` fields and the queue.
pub fn operation(now: UnixMillis) -> OperationId {
    OperationId::new(now, random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_time_and_differ() {
        let (first, second) = (operation(77), operation(77));
        assert_eq!(first.millis(), 77);
        assert_ne!(first, second);
    }
}

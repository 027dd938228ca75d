//! When to try again and when to give up: a pure table of waits. No clock, no state.

use crate::limits::{DELAY_TOLD_AFTER_MS, QUEUE_LIFETIME_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use model::{MessageId, UnixMillis};

/// The waits of the queue, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the second attempt; doubled with every attempt in a row.
    pub first_ms: u64,
    /// Never more than this.
    pub longest_ms: u64,
    /// From acceptance until the message is given up (RFC 5321 section 4.5.4.1: 4 to 5 days).
    pub lifetime_ms: u64,
    /// From acceptance until the sender is told of the delay, once.
    pub delay_told_after_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first_ms: RETRY_FIRST_MS,
            longest_ms: RETRY_LONGEST_MS,
            lifetime_ms: QUEUE_LIFETIME_MS,
            delay_told_after_ms: DELAY_TOLD_AFTER_MS,
        }
    }
}

impl Retry {
    /// The next attempt of a message that failed at `now` after `attempts` earlier ones; at the latest when it expires, so
    /// that the last attempt is also the one that gives up.
    pub fn next_attempt(
        &self,
        message: MessageId,
        attempts: u32,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> UnixMillis {
        let doubled = self.first_ms.saturating_mul(1_u64.checked_shl(attempts).unwrap_or(u64::MAX));
        let wait = doubled.min(self.longest_ms);
        // Up to a tenth more, fixed by the id: messages that failed together do not come back together.
        let spread = wait / 10 * u64::from(message.0[15]) / 255;
        (now + wait + spread).min(expires_at.max(now + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn minutes(attempts: u32) -> u64 {
        let message = MessageId::new(0, [0; 10]);
        Retry::default().next_attempt(message, attempts, 1_000, u64::MAX).saturating_sub(1_000) / MINUTE
    }

    #[test]
    fn waits_double_up_to_four_hours() {
        let waits: Vec<_> = (0..8).map(minutes).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 240, 240]);
        assert_eq!(minutes(4_000_000), 240);
    }

    #[test]
    fn the_last_attempt_is_at_expiry() {
        let message = MessageId::new(0, [0xff; 10]);
        let retry = Retry::default();
        assert_eq!(retry.next_attempt(message, 0, 1_000, 2_000), 2_000);
        assert_eq!(retry.next_attempt(message, 0, 3_000, 2_000), 3_001);
        assert!(retry.next_attempt(message, 0, 0, u64::MAX) > 5 * MINUTE);
    }
}

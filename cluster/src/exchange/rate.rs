//! How fast this node gives old state to others: what brings a replica up to date must leave room for mail.
//!
//! Whoever sends says how much before it does, and waits for its turn; turns are given in the order they are asked for.

use crate::limits::{CATCH_UP_BURST, CATCH_UP_BYTES_PER_SECOND};
use crate::runtime::{Instant, sleep_until};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes per second, shared by everything that sends under it.
pub struct Rate {
    bytes_per_second: AtomicU64,
    /// When all that was asked for so far has had its time.
    free_at: Mutex<Option<Instant>>,
}

impl Default for Rate {
    fn default() -> Self {
        Rate { bytes_per_second: AtomicU64::new(CATCH_UP_BYTES_PER_SECOND), free_at: Mutex::default() }
    }
}

impl Rate {
    /// Another rate, at least one byte per second.
    pub fn set(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second.max(1), Relaxed);
    }

    /// Waits until `bytes` may be sent. Dropped while it waits it has taken its turn all the same.
    pub async fn take(&self, bytes: usize) {
        sleep_until(self.turn(bytes, Instant::now())).await;
    }

    /// Whether anything was asked for.
    #[cfg(test)]
    pub fn is_used(&self) -> bool {
        self.free_at.lock().is_some()
    }

    /// When it is the turn of `bytes` that are asked for at `now`.
    fn turn(&self, bytes: usize, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.load(Relaxed) as f64);
        let mut free_at = self.free_at.lock();
        // What was not used is lost but for a moment's worth.
        let turn = free_at.unwrap_or(now).max(now.checked_sub(CATCH_UP_BURST).unwrap_or(now));
        *free_at = Some(turn + takes);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate_and_a_moments_burst_is_let_through() {
        let rate = Rate::default();
        rate.set(1_000);
        let start = Instant::now();
        let mut sent = 0;
        while sent < 20_000 && rate.turn(100, start) <= start + Duration::from_secs(10) {
            sent += 100;
        }
        assert!((10_000..=10_200).contains(&sent), "{sent} bytes in ten seconds");
        let later = start + Duration::from_secs(100);
        let at_once = (0..100).take_while(|_| rate.turn(100, later) <= later).count();
        assert!((1..=4).contains(&at_once), "{at_once} at once after a pause");
    }
}

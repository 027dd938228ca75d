//! The bell that rings when a group's log passes its bound. It rings once, until the log was looked at; a log that had to
//! stay long is looked at again when it has grown by half a bound.

use crate::limits::{LOG_BYTES_AWAY_MAX, LOG_BYTES_MAX, LOG_ENTRIES_AWAY_MAX, LOG_ENTRIES_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use storage::LogSize;
use tokio::sync::Notify;

/// How long logs may become; those of [`crate::limits`] but for a simulation, which has no time for so many entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Beyond it a snapshot is taken, and what that covers is purged.
    pub normal: LogSize,
    /// Up to this a replica that is away is waited for; beyond it that replica needs a snapshot.
    pub away: LogSize,
}

impl Default for LogBounds {
    fn default() -> Self {
        LogBounds {
            normal: LogSize { entries: LOG_ENTRIES_MAX, bytes: LOG_BYTES_MAX },
            away: LogSize { entries: LOG_ENTRIES_AWAY_MAX, bytes: LOG_BYTES_AWAY_MAX },
        }
    }
}

/// Watches the size of one log.
pub struct Bell {
    rung: AtomicBool,
    heard: Arc<Notify>,
    bounds: LogBounds,
    entries_max: AtomicU64,
    bytes_max: AtomicU64,
}

impl Bell {
    /// A bell that wakes whoever waits on `heard`.
    pub fn new(heard: Arc<Notify>, bounds: LogBounds) -> Self {
        let LogSize { entries, bytes } = bounds.normal;
        let (entries_max, bytes_max) = (AtomicU64::new(entries), AtomicU64::new(bytes));
        Bell { rung: AtomicBool::new(false), heard, bounds, entries_max, bytes_max }
    }

    /// How long its log may become.
    pub fn bounds(&self) -> LogBounds {
        self.bounds
    }

    /// The log was opened or has grown to `size`.
    pub fn grown(&self, size: LogSize) {
        let over = size.entries > self.entries_max.load(Relaxed) || size.bytes > self.bytes_max.load(Relaxed);
        if over && !self.rung.swap(true, Relaxed) {
            self.heard.notify_one();
        }
    }

    /// The log was made as short as it may be now, which is `size`.
    pub fn rest(&self, size: LogSize) {
        let LogSize { entries, bytes } = self.bounds.normal;
        self.entries_max.store(entries.max(size.entries + entries / 2), Relaxed);
        self.bytes_max.store(bytes.max(size.bytes + bytes / 2), Relaxed);
    }

    /// Whether it rang; from now on it may ring again.
    pub fn take(&self) -> bool {
        self.rung.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_once_past_the_bound_and_again_after_it_was_heard() {
        let heard = Arc::new(Notify::new());
        let bell = Bell::new(heard.clone(), LogBounds::default());
        bell.grown(LogSize { entries: LOG_ENTRIES_MAX, bytes: LOG_BYTES_MAX });
        assert!(!bell.take());
        for over in
            [LogSize { entries: LOG_ENTRIES_MAX + 1, bytes: 0 }, LogSize { entries: 1, bytes: LOG_BYTES_MAX + 1 }]
        {
            bell.grown(over);
            bell.grown(over);
            heard.notified().await;
            assert!(bell.take());
            assert!(!bell.take());
        }
    }

    #[test]
    fn a_log_that_stays_long_rings_again_when_it_has_grown_and_at_its_bound_once_it_was_short() {
        let bell = Bell::new(Arc::new(Notify::new()), LogBounds::default());
        let long = LogSize { entries: 2 * LOG_ENTRIES_MAX, bytes: 0 };
        bell.rest(long);
        bell.grown(long);
        assert!(!bell.take());
        bell.grown(LogSize { entries: long.entries + LOG_ENTRIES_MAX / 2 + 1, bytes: 0 });
        assert!(bell.take());
        bell.rest(LogSize::default());
        bell.grown(LogSize { entries: LOG_ENTRIES_MAX + 1, bytes: 0 });
        assert!(bell.take());
    }
}

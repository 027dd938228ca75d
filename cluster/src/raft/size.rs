//! The bell that rings when a group's log passes its bound. It rings once, until the log was looked at.

use crate::limits::{LOG_BYTES_MAX, LOG_ENTRIES_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use storage::LogSize;
use tokio::sync::Notify;

/// Watches the size of one log.
pub struct Bell {
    rung: AtomicBool,
    heard: Arc<Notify>,
}

impl Bell {
    /// A bell that wakes whoever waits on `heard`.
    pub fn new(heard: Arc<Notify>) -> Self {
        Bell { rung: AtomicBool::new(false), heard }
    }

    /// The log was opened or has grown to `size`.
    pub fn grown(&self, size: LogSize) {
        let over = size.entries > LOG_ENTRIES_MAX || size.bytes > LOG_BYTES_MAX;
        if over && !self.rung.swap(true, Relaxed) {
            self.heard.notify_one();
        }
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
        let bell = Bell::new(heard.clone());
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
}

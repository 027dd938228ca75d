//! What is wrong with what arrives, logged once and not for every packet of whoever repeats it.

use crate::limits::{COMPLAINT_INTERVAL, COMPLAINTS_REMEMBERED_MAX};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Instant;

/// What was logged lately. Bounded: when too many different things go wrong, all are forgotten.
#[derive(Default)]
pub struct Complaints {
    logged: Mutex<HashMap<String, Instant>>,
}

impl Complaints {
    /// Logs what `who` did, unless the same was logged lately.
    pub fn log(&self, who: &str, what: &str) {
        if self.is_first(who, what) {
            tracing::warn!(peer = who, "cluster port: {what}");
        }
    }

    /// Whether this was not said of `who` lately.
    pub fn is_first(&self, who: &str, what: &str) -> bool {
        self.is_new(format!("{who}: {what}"), Instant::now())
    }

    /// What was logged, sorted.
    #[cfg(test)]
    pub fn logged(&self) -> Vec<String> {
        let mut logged: Vec<String> = self.logged.lock().keys().cloned().collect();
        logged.sort();
        logged
    }

    fn is_new(&self, key: String, now: Instant) -> bool {
        let mut logged = self.logged.lock();
        if logged.get(&key).is_some_and(|at| now.duration_since(*at) < COMPLAINT_INTERVAL) {
            return false;
        }
        if logged.len() >= COMPLAINTS_REMEMBERED_MAX {
            logged.clear();
        }
        logged.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_logged_once_until_it_is_old_and_memory_is_bounded() {
        let complaints = Complaints::default();
        let now = Instant::now();
        assert!(complaints.is_new("a".into(), now));
        assert!(!complaints.is_new("a".into(), now));
        assert!(complaints.is_new("a".into(), now + COMPLAINT_INTERVAL));
        (0..10_000).for_each(|number| assert!(complaints.is_new(format!("n{number}"), now)));
        assert!(complaints.logged.lock().len() <= COMPLAINTS_REMEMBERED_MAX);
    }
}

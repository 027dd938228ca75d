//! Waiting for a cluster to become what a test needs, by looking again and again.

use super::{Cluster, PATIENCE};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

impl Cluster {
    /// Looks again and again until it is so.
    ///
    /// # Panics
    /// When it is not so in time.
    pub fn wait_until(&self, what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + deadline;
        while !condition() {
            assert!(Instant::now() < end, "not within {deadline:?}: {what}");
            thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// As [`Self::wait_until`], for something that gives a value.
    ///
    /// # Panics
    /// As [`Self::wait_until`].
    pub fn wait_for<T>(&self, what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
        let mut found = None;
        self.wait_until(what, deadline, || {
            found = look();
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Waits until every node runs as a member that all see, and every group has a leader and as many level replicas
    /// as there are nodes, three at most.
    ///
    /// # Panics
    /// When that does not come.
    pub fn wait_whole(&self) {
        let living: Vec<_> = self.living().collect();
        let mut last = String::new();
        for node in &living {
            let end = Instant::now() + PATIENCE;
            while let Err(reason) =
                self.view(*node).map_or(Err("no status".to_owned()), |view| view.whole(living.len()))
            {
                last.clone_from(&reason);
                assert!(Instant::now() < end, "{} does not see a whole cluster: {last}", self.name(*node));
                thread::park_timeout(LOOK_INTERVAL);
            }
        }
    }
}

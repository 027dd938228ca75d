//! What the node counts at its edge. Plain counters that only rise, and one gauge; shown in Prometheus text by `boot`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The node's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Messages accepted over SMTP, submission and LMTP.
    pub messages_accepted: Counter,
    /// Messages refused after their data.
    pub messages_refused: Counter,
    /// Copies put into local mailboxes.
    pub deliveries_local: Counter,
    /// Recipients taken by other servers.
    pub deliveries_outside: Counter,
    /// Attempts that must be repeated.
    pub deliveries_deferred: Counter,
    /// Recipients given up with a report to the sender.
    pub bounces: Counter,
    /// Sessions that have ended.
    pub sessions: Counter,
    /// Of those, sessions whose driver panicked.
    pub sessions_panicked: Counter,
    /// Messages taken in ended sessions, by any protocol.
    pub session_messages: Counter,
    /// Bytes from clients in ended sessions.
    pub session_bytes_in: Counter,
    /// Bytes to clients in ended sessions.
    pub session_bytes_out: Counter,
    /// Logins.
    pub logins: Counter,
    /// Logins with a wrong user name or password.
    pub logins_failed: Counter,
}

impl Metrics {
    /// Every counter as `(name, help, value)`.
    pub fn all(&self) -> [(&'static str, &'static str, u64); 13] {
        [
            ("messages_accepted_total", "Messages accepted over SMTP and LMTP", self.messages_accepted.get()),
            ("messages_refused_total", "Messages refused after their data", self.messages_refused.get()),
            ("deliveries_local_total", "Copies put into local mailboxes", self.deliveries_local.get()),
            ("deliveries_outside_total", "Recipients taken by other servers", self.deliveries_outside.get()),
            ("deliveries_deferred_total", "Delivery attempts to repeat", self.deliveries_deferred.get()),
            ("bounces_total", "Recipients given up", self.bounces.get()),
            ("sessions_ended_total", "Sessions that have ended", self.sessions.get()),
            ("sessions_panicked_total", "Sessions that ended in a panic", self.sessions_panicked.get()),
            ("session_messages_total", "Messages taken in ended sessions", self.session_messages.get()),
            ("session_bytes_in_total", "Bytes from clients in ended sessions", self.session_bytes_in.get()),
            ("session_bytes_out_total", "Bytes to clients in ended sessions", self.session_bytes_out.get()),
            ("logins_total", "Logins", self.logins.get()),
            ("logins_failed_total", "Logins with wrong credentials", self.logins_failed.get()),
        ]
    }
}

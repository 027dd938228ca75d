//! Permits for sessions: how many there may be at once, in all and per peer address. A permit is held for as long as
//! its session lives, which also bounds the messages that actors get.

use crate::limits::{SESSIONS_MAX, SESSIONS_PER_ADDRESS_MAX};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// Gives out permits. Clones share the count.
#[derive(Clone)]
pub struct Permits {
    shared: Arc<Shared>,
}

struct Shared {
    total_max: usize,
    per_address_max: usize,
    total: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    all_returned: Notify,
}

/// The right to one session; given back when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    counted: OnceLock<IpAddr>,
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The node has all the sessions it may have.
    Full,
    /// This address has all the sessions it may have.
    TooManyFromAddress,
    /// The node takes no sessions now: it is draining.
    Closed,
}

impl Default for Permits {
    fn default() -> Self {
        Permits::new(SESSIONS_MAX, SESSIONS_PER_ADDRESS_MAX)
    }
}

impl Permits {
    /// At most `total_max` sessions, `per_address_max` of them from one address.
    pub fn new(total_max: usize, per_address_max: usize) -> Permits {
        let shared = Shared {
            total_max,
            per_address_max,
            total: AtomicUsize::new(0),
            by_address: Mutex::new(HashMap::new()),
            all_returned: Notify::new(),
        };
        Permits { shared: Arc::new(shared) }
    }

    /// A permit for a session with `peer`.
    ///
    /// # Errors
    /// Says which bound is reached.
    pub fn take(&self, peer: IpAddr) -> Result<Permit, Refused> {
        let permit = self.take_uncounted()?;
        permit.count(peer)?;
        Ok(permit)
    }

    /// A permit for a session that comes through a balancer, whose own address is not counted: it speaks for many.
    /// [`Permit::count`] follows when the client is known.
    ///
    /// # Errors
    /// [`Refused::Full`].
    pub fn take_uncounted(&self) -> Result<Permit, Refused> {
        let before = self.shared.total.fetch_add(1, Ordering::AcqRel);
        // Made first: dropping it gives back.
        let permit = Permit { shared: Arc::clone(&self.shared), counted: OnceLock::new() };
        if before >= self.shared.total_max { Err(Refused::Full) } else { Ok(permit) }
    }

    /// Permits that are out.
    pub fn in_use(&self) -> usize {
        self.shared.total.load(Ordering::Acquire)
    }

    /// Waits until every permit is back, `patience` at most; says whether they are.
    pub async fn all_returned(&self, patience: Duration) -> bool {
        let wait = async {
            loop {
                let notified = self.shared.all_returned.notified();
                tokio::pin!(notified);
                // Enlisted before the count is read, so that a return in between is not missed.
                notified.as_mut().enable();
                if self.in_use() == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}

impl Permit {
    /// Counts the session under the client's address; once.
    ///
    /// # Errors
    /// [`Refused::TooManyFromAddress`].
    pub fn count(&self, peer: IpAddr) -> Result<(), Refused> {
        let Some(address) = counted_as(peer) else { return Ok(()) };
        let mut by_address = self.shared.by_address.lock();
        let count = by_address.entry(address).or_insert(0);
        if *count >= self.shared.per_address_max {
            return Err(Refused::TooManyFromAddress);
        }
        if self.counted.set(address).is_ok() {
            *count += 1;
        }
        Ok(())
    }
}

impl Shared {
    fn give_back(&self) {
        if self.total.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_returned.notify_waiters();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(address) = self.counted.take() {
            let mut by_address = self.shared.by_address.lock();
            match by_address.get_mut(&address) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    by_address.remove(&address);
                }
            }
        }
        self.shared.give_back();
    }
}

/// The address a session is counted under: the /64 of an IPv6 peer, since one machine owns all of it;
/// none for this machine.
fn counted_as(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        peer if peer.is_loopback() => None,
        IpAddr::V6(peer) => {
            let network = peer.to_bits() >> 64 << 64;
            Some(IpAddr::V6(Ipv6Addr::from_bits(network)))
        }
        peer => Some(peer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bounds_hold_in_all_and_per_address_and_permits_come_back() {
        let permits = Permits::new(3, 2);
        let first = permits.take(peer("192.0.2.1")).ok().unwrap();
        let _second = permits.take(peer("::ffff:192.0.2.1")).ok().unwrap();
        assert_eq!(permits.take(peer("192.0.2.1")).err(), Some(Refused::TooManyFromAddress));
        let _third = permits.take(peer("192.0.2.2")).ok().unwrap();
        assert_eq!(permits.take(peer("192.0.2.3")).err(), Some(Refused::Full));
        drop(first);
        assert_eq!(permits.in_use(), 2);
        assert!(permits.take(peer("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_loopback_not_at_all() {
        let permits = Permits::new(10, 1);
        let _held = permits.take(peer("2001:db8::1")).ok().unwrap();
        assert_eq!(permits.take(peer("2001:db8::2")).err(), Some(Refused::TooManyFromAddress));
        assert!(permits.take(peer("2001:db8:0:1::2")).is_ok());
        let _local = (permits.take(peer("127.0.0.1")).ok().unwrap(), permits.take(peer("127.0.0.1")).ok().unwrap());
    }

    #[test]
    fn sessions_through_a_balancer_are_counted_under_their_clients() {
        let permits = Permits::new(3, 1);
        let first = permits.take_uncounted().ok().unwrap();
        let second = permits.take_uncounted().ok().unwrap();
        assert_eq!(first.count(peer("192.0.2.1")), Ok(()));
        assert_eq!(second.count(peer("192.0.2.1")), Err(Refused::TooManyFromAddress));
        drop(first);
        assert_eq!(second.count(peer("192.0.2.1")), Ok(()));
        drop(second);
        assert_eq!(permits.in_use(), 0);
        let _all: Vec<_> = (0..3).map(|_| permits.take_uncounted().ok().unwrap()).collect();
        assert_eq!(permits.take_uncounted().err(), Some(Refused::Full));
    }

    #[tokio::test]
    async fn waiting_for_all_ends_with_the_last() {
        let permits = Permits::new(10, 10);
        assert!(permits.all_returned(Duration::from_secs(1)).await);
        let held = permits.take(peer("192.0.2.1")).ok().unwrap();
        assert!(!permits.all_returned(Duration::ZERO).await);
        let waiting = tokio::spawn({
            let permits = permits.clone();
            async move { permits.all_returned(Duration::from_secs(60)).await }
        });
        drop(held);
        assert!(waiting.await.unwrap());
    }
}

//! How many deliveries run to one destination at a time, over all shards of this node, and who waits for a turn.
//! A destination is a domain, or the relay. It starts nothing itself: whoever waits is called back when a turn is free.

use crate::limits::DELIVERIES_PER_DESTINATION;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Called once when a turn may be free; must be quick and must not call back into [`Destinations`].
type Waiter = Box<dyn FnOnce() + Send>;

/// The destinations in use. Clones share them.
#[derive(Clone, Default)]
pub struct Destinations {
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

#[derive(Default)]
struct Slot {
    running: usize,
    waiters: Vec<Waiter>,
}

/// The right to deliver to one destination; dropping it wakes everyone who waits for one: they are few (a shard waits at
/// most once per destination), and a turn that one of them no longer needs is not lost to the others.
pub struct Turn {
    destination: String,
    slots: Arc<Mutex<HashMap<String, Slot>>>,
}

impl Destinations {
    /// Takes a turn, or keeps `waiter` to be called when one may be free.
    pub fn take_or_wait(&self, destination: &str, waiter: impl FnOnce() + Send + 'static) -> Option<Turn> {
        let mut slots = self.slots.lock();
        let slot = slots.entry(destination.to_owned()).or_default();
        if slot.running >= DELIVERIES_PER_DESTINATION {
            slot.waiters.push(Box::new(waiter));
            return None;
        }
        slot.running += 1;
        drop(slots);
        Some(Turn { destination: destination.to_owned(), slots: self.slots.clone() })
    }

    /// Waits for a turn. Cancel-safe.
    pub async fn take(&self, destination: &str) -> Turn {
        loop {
            let (free, freed) = tokio::sync::oneshot::channel();
            let waiter = move || {
                // Nobody listens when the caller gave up waiting.
                let _ = free.send(());
            };
            if let Some(turn) = self.take_or_wait(destination, waiter) {
                return turn;
            }
            // The sender is kept by the slot until it is called, so this ends by being called.
            let _ = freed.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(&self.destination) else { return };
        slot.running -= 1;
        let waiters = std::mem::take(&mut slot.waiters);
        if slot.running == 0 {
            slots.remove(&self.destination);
        }
        drop(slots);
        waiters.into_iter().for_each(|waiter| waiter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_full_destination_calls_who_waits_and_others_stay_free() {
        let destinations = Destinations::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let waiter = || {
            let woken = woken.clone();
            move || {
                let _ = woken.fetch_add(1, Ordering::Relaxed);
            }
        };
        let turns: Vec<_> = (0..DELIVERIES_PER_DESTINATION)
            .map(|_| destinations.take_or_wait("a.example", waiter()).unwrap())
            .collect();
        assert!(destinations.take_or_wait("a.example", waiter()).is_none());
        assert!(destinations.take_or_wait("b.example", waiter()).is_some());
        drop(turns);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(destinations.slots.lock().is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_left_does_not_swallow_the_turn() {
        let destinations = Destinations::default();
        let mut turns = Vec::new();
        for _ in 0..DELIVERIES_PER_DESTINATION {
            turns.push(destinations.take("a.example").await);
        }
        let mut left = Box::pin(destinations.take("a.example"));
        let mut stays = Box::pin(destinations.take("a.example"));
        assert!(futures::poll!(&mut left).is_pending() && futures::poll!(&mut stays).is_pending());
        drop(left);
        turns.pop();
        stays.await;
    }
}

//! The bookkeeping of a supervisor whose children are started again one by one: which actor was started from what, and
//! the pause before it is started again. Why and how it is started is the supervisor's own.

use ractor::{ActorId, ActorRef, Message, SupervisionEvent};
use std::collections::HashMap;
use std::time::Duration;

/// What is known of the children that run, by actor.
pub struct Children<C>(HashMap<ActorId, C>);

impl<C> Default for Children<C> {
    fn default() -> Self {
        Children(HashMap::new())
    }
}

impl<C> Children<C> {
    /// A child runs.
    pub fn insert(&mut self, actor: ActorId, child: C) {
        self.0.insert(actor, child);
    }

    /// Those that run, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.0.values()
    }

    /// The child that has ended, and why; it is no longer known. `None` when the event tells of no end of a child.
    pub fn ended(&mut self, event: SupervisionEvent) -> Option<(C, String)> {
        let (who, reason) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_default()),
            _ => return None,
        };
        Some((self.0.remove(&who.get_id())?, reason))
    }
}

/// Sends a supervisor its own message after a pause.
pub fn remind<M: Message>(supervisor: &ActorRef<M>, wait: Duration, message: impl FnOnce() -> M + Send + 'static) {
    // The timer lives no longer than the supervisor: a message to a stopped actor goes nowhere.
    drop(supervisor.send_after(wait, message));
}

//! The mailbox actors that run, and their supervisor. One that fails is forgotten; the next change starts a new one.

use super::actor::{Arguments, MailboxActor, Message};
use super::proposals::{Owner, Proposer};
use model::AccountId;
use parking_lot::Mutex;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, ActorStatus, SpawnErr, SupervisionEvent,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Finds or starts mailbox actors. Clones share them.
#[derive(Clone)]
pub struct Registry {
    supervisor: Arc<Mutex<Option<ActorCell>>>,
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    by_account: HashMap<AccountId, ActorRef<Message>>,
    accounts: HashMap<ActorId, AccountId>,
}

impl Registry {
    /// Starts the supervisor, below `parent` when there is one.
    ///
    /// # Errors
    /// When the actor system refuses.
    pub async fn start(parent: Option<ActorCell>) -> Result<Self, SpawnErr> {
        let registry = Registry { supervisor: Arc::default(), running: Arc::default() };
        let supervisor = match parent {
            Some(parent) => Actor::spawn_linked(None, Supervisor, registry.clone(), parent).await?.0,
            None => Actor::spawn(None, Supervisor, registry.clone()).await?.0,
        };
        *registry.supervisor.lock() = Some(supervisor.get_cell());
        Ok(registry)
    }

    /// The actor of an account, started when none runs. `None` when the supervisor has stopped.
    pub fn actor(&self, owner: &Owner, proposer: &Proposer) -> Option<ActorRef<Message>> {
        let mut running = self.running.lock();
        if let Some(actor) = running.by_account.get(&owner.account).filter(|actor| is_alive(actor)) {
            return Some(actor.clone());
        }
        let supervisor = self.supervisor.lock().clone()?;
        let arguments = Arguments { owner: owner.clone(), proposer: proposer.clone(), registry: self.clone() };
        let (actor, _started) = ActorRuntime::spawn_linked_instant(None, MailboxActor, arguments, supervisor).ok()?;
        if let Some(dead) = running.by_account.insert(owner.account, actor.clone()) {
            running.accounts.remove(&dead.get_id());
        }
        running.accounts.insert(actor.get_id(), owner.account);
        Some(actor)
    }

    /// Takes an actor out that ends or has ended.
    pub fn forget(&self, actor: &ActorCell) {
        let mut running = self.running.lock();
        if let Some(account) = running.accounts.remove(&actor.get_id()) {
            running.by_account.remove(&account);
        }
    }

    /// How many actors run.
    pub fn count(&self) -> usize {
        self.running.lock().by_account.len()
    }

    /// Makes every actor fail.
    #[cfg(test)]
    pub fn crash(&self) {
        for actor in self.running.lock().by_account.values() {
            actor.send_message(Message::Panic).unwrap();
        }
    }

    /// Ends all actors.
    pub fn stop(&self) {
        if let Some(supervisor) = self.supervisor.lock().take() {
            supervisor.stop(None);
        }
    }
}

fn is_alive(actor: &ActorRef<Message>) -> bool {
    !matches!(actor.get_status(), ActorStatus::Stopping | ActorStatus::Stopped)
}

struct Supervisor;

impl Actor for Supervisor {
    type Msg = ();
    type State = Registry;
    type Arguments = Registry;

    async fn pre_start(&self, _: ActorRef<()>, registry: Registry) -> Result<Registry, ActorProcessingErr> {
        Ok(registry)
    }

    // The default stops the supervisor when any child ends.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        registry: &mut Registry,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                tracing::error!(%error, "a mailbox actor failed; the next change starts a new one");
                registry.forget(&actor);
            }
            SupervisionEvent::ActorTerminated(actor, ..) => registry.forget(&actor),
            _ => {}
        }
        Ok(())
    }
}

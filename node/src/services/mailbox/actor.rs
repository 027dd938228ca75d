//! The mailbox actor: changes of one account that stand in an order go through it, in that of arrival. Started on
//! demand, ends itself when idle. It owns nothing that cannot be lost: a crash costs the sessions a second try under the
//! same operation id.
//!
//! Messages carry decisions; a body in one is a reference-counted handle, and each session has one change under way.

use super::proposals::{Owner, Proposer};
use super::reaper;
use super::registry::Registry;
use crate::limits::MAILBOX_ACTOR_IDLE;
use model::mailbox::MailboxCommand;
use model::{OperationId, Reply};
use protocols::imap::store::StoreError;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The answer to one change. A channel that closes without one means: ask again.
pub type Answer = oneshot::Sender<Result<Reply, StoreError>>;

/// What a mailbox actor is told.
pub enum Message {
    /// Bring this change into the log and answer when it is carried out.
    Change {
        /// Stays the same when the change is asked for again (I8).
        operation: OperationId,
        /// The decision.
        command: MailboxCommand,
        /// Where the outcome goes.
        answer: Answer,
    },
    /// Time to see whether anybody needs this actor.
    IdleCheck,
    /// Fails on purpose.
    #[cfg(test)]
    Panic,
}

/// What an actor is made of.
pub struct Arguments {
    /// Whose mailboxes.
    pub owner: Owner,
    /// Takes the proposals.
    pub proposer: Proposer,
    /// Where the actor is found; it takes itself out when it ends.
    pub registry: Registry,
}

/// An actor's state.
pub struct State {
    owner: Arc<Owner>,
    proposer: Proposer,
    registry: Registry,
    used_since_check: bool,
}

/// The behaviour; all state is in [`State`].
pub struct MailboxActor;

impl Actor for MailboxActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Message>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        myself.send_after(MAILBOX_ACTOR_IDLE, || Message::IdleCheck);
        let Arguments { owner, proposer, registry } = arguments;
        Ok(State { owner: Arc::new(owner), proposer, registry, used_since_check: true })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Change { operation, command, answer } => state.start(operation, command, answer),
            Message::IdleCheck => state.check_idle(&myself),
            #[cfg(test)]
            Message::Panic => panic!("injected"),
        }
        Ok(())
    }
}

impl State {
    /// Starts a change. The log keeps the order of starting, and changes on their way together share one sync, so
    /// the actor does not wait for the outcome.
    fn start(&mut self, operation: OperationId, command: MailboxCommand, answer: Answer) {
        self.used_since_check = true;
        let (proposer, owner) = (self.proposer.clone(), self.owner.clone());
        tokio::spawn(async move {
            let leaves_garbage = matches!(command, MailboxCommand::DeleteFolder { .. });
            let outcome = proposer.carry_out(&owner, operation, command).await;
            if leaves_garbage && outcome.is_ok() {
                reaper::start(proposer, owner.shard, owner.account);
            }
            // Nobody listens when the session has ended meanwhile; the change stands all the same.
            let _ = answer.send(outcome);
        });
    }

    /// Ends the actor when nobody used it for a while. A message that comes in between is lost with its answer
    /// channel, and asked again of the next actor.
    fn check_idle(&mut self, myself: &ActorRef<Message>) {
        if std::mem::take(&mut self.used_since_check) {
            myself.send_after(MAILBOX_ACTOR_IDLE, || Message::IdleCheck);
        } else {
            self.registry.forget(&myself.get_cell());
            myself.stop(None);
        }
    }
}

//! The node supervisor: starts a listener actor per bound socket and starts it again, with growing pauses, when it fails.

use super::listener::{ListenerActor, ListenerSpec, ListenerStart};
use super::socket;
use super::{Gate, Permits, Security};
use crate::children::{Children, remind};
use crate::limits::{LISTENER_RESTART_WAIT_MAX, LISTENER_RESTART_WAIT_MIN, STOP_TIMEOUT};
use crate::metrics::Metrics;
use crate::tls::Tls;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What all listeners share.
pub struct NetworkOptions {
    /// For handshakes.
    pub tls: Tls,
    /// Bounds on sessions.
    pub permits: Permits,
    /// Counts sessions.
    pub metrics: Arc<Metrics>,
    /// Whether sessions are taken.
    pub gate: Gate,
}

/// The running listeners.
pub struct Network {
    supervisor: ActorRef<SupervisorMessage>,
    handle: ractor::concurrency::JoinHandle<()>,
    permits: Permits,
    gate: Gate,
    bound: Vec<Bound>,
}

/// One bound listener, for the table and `listeners.json`.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The listener's name.
    pub name: &'static str,
    /// Where it really listens.
    pub address: SocketAddr,
    /// How it is protected.
    pub security: Security,
}

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A socket could not be bound.
    #[error("{name}: cannot listen on {address}: {error}{}", advice(.error))]
    Bind {
        /// The listener.
        name: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The supervisor could not be started.
    #[error("the node supervisor did not start: {0}")]
    Supervisor(String),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (ports below 1024 need privileges; --port-offset 10000 avoids them)",
        io::ErrorKind::AddrInUse => " (another program listens there; --port-offset chooses other ports)",
        _ => "",
    }
}

impl Network {
    /// Binds every socket first, so that a taken port stops the start, then accepts.
    ///
    /// # Errors
    /// The first socket that cannot be bound.
    pub async fn start(specs: Vec<ListenerSpec>, options: NetworkOptions) -> Result<Network, NetworkError> {
        let next_session = Arc::new(AtomicU64::new(1));
        let (mut starts, mut bound) = (Vec::new(), Vec::new());
        for spec in specs {
            for address in &spec.addresses {
                let socket = socket::bind(spec.name, *address)?;
                bound.push(Bound { name: spec.name, address: socket.address, security: spec.security });
                starts.push(ListenerStart {
                    spec: spec.clone(),
                    bound: socket,
                    permits: options.permits.clone(),
                    tls: options.tls.clone(),
                    metrics: Arc::clone(&options.metrics),
                    gate: options.gate.clone(),
                    next_session: Arc::clone(&next_session),
                });
            }
        }
        let (supervisor, handle) = SupervisorActor::spawn(None, SupervisorActor, starts)
            .await
            .map_err(|error| NetworkError::Supervisor(error.to_string()))?;
        Ok(Network { supervisor, handle, permits: options.permits, gate: options.gate, bound })
    }

    /// Where each listener really listens, in the order of the specs.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Stops accepting, tells sessions, waits for them a bounded time, then cuts the rest.
    pub async fn stop(self) {
        self.gate.stop().cancel();
        if !self.permits.all_returned(STOP_TIMEOUT).await {
            tracing::warn!(sessions = self.permits.in_use(), "sessions did not end in time and are cut");
        }
        self.supervisor.stop(None);
        // The handle fails only when the supervisor panicked, which its runtime has reported.
        let _ = self.handle.await;
    }
}

struct SupervisorActor;

enum SupervisorMessage {
    Restart(Box<ListenerStart>, Duration),
}

struct Child {
    start: ListenerStart,
    /// The pause before its next restart.
    wait: Duration,
}

impl Actor for SupervisorActor {
    type Msg = SupervisorMessage;
    type State = Children<Child>;
    type Arguments = Vec<ListenerStart>;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        starts: Vec<ListenerStart>,
    ) -> Result<Children<Child>, ActorProcessingErr> {
        let mut children = Children::default();
        for start in starts {
            spawn_listener(&myself, start, LISTENER_RESTART_WAIT_MIN, &mut children).await?;
        }
        Ok(children)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        SupervisorMessage::Restart(start, wait): SupervisorMessage,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        let name = start.spec.name;
        if let Err(error) = spawn_listener(&myself, (*start).clone(), wait, children).await {
            tracing::error!(listener = name, %error, "a listener could not be started again");
            restart_later(&myself, *start, wait);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some((child, reason)) = children.ended(event)
            && !child.start.gate.stop().is_cancelled()
        {
            tracing::error!(listener = child.start.spec.name, reason, "a listener failed and is started again");
            restart_later(&myself, child.start, child.wait);
        }
        Ok(())
    }
}

async fn spawn_listener(
    myself: &ActorRef<SupervisorMessage>,
    start: ListenerStart,
    wait: Duration,
    children: &mut Children<Child>,
) -> Result<(), ActorProcessingErr> {
    let supervisor: ActorCell = myself.get_cell();
    let (listener, _) = ListenerActor::spawn_linked(None, ListenerActor, start.clone(), supervisor).await?;
    children.insert(listener.get_id(), Child { start, wait });
    Ok(())
}

fn restart_later(myself: &ActorRef<SupervisorMessage>, start: ListenerStart, wait: Duration) {
    let next_wait = (wait * 2).min(LISTENER_RESTART_WAIT_MAX);
    remind(myself, wait, move || SupervisorMessage::Restart(Box::new(start), next_wait));
}

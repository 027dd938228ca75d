//! The simulated network: what QUIC makes of cut, slow and lossy links, without its bytes.
//!
//! Frames of one stream arrive in order, those of different streams overtake each other. A lost packet is one that comes
//! late, a cut link holds everything back, and a connection that has heard nothing for QUIC's idle time is gone with all
//! its streams. QUIC gives no frame of a stream twice; what comes twice here is a whole call, as when whoever asked did not
//! hear the answer and asked again.

use super::executor::{self, Owner, WORLD};
use super::pipe::{Pipe, Sink, Source};
use super::random::Random;
use bytes::Bytes;
use cluster::runtime::{Instant, sleep, timeout_at};
use cluster::transport::{
    CallError, Duplex, FrameSink, Handler, JoinError, Lane, MakeRequest, Network, Peer, PeerStatus, Port, Service,
    TransportError, serve,
};
use futures::future::BoxFuture;
use model::NodeId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A machine, by number from 1; its address ends with it.
pub type Machine = u8;

/// As the transport has them: a silent connection is given up, one try to dial ends, the wait after a failed one.
const SILENCE: Duration = Duration::from_secs(4);
const DIAL: Duration = Duration::from_secs(2);
const DIAL_AGAIN: Duration = Duration::from_millis(50);
const DIAL_WAIT_MAX: Duration = Duration::from_millis(500);

/// How links are just now.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The shortest way, in microseconds.
    pub delay_min_us: u64,
    /// The longest way of a packet that is not lost.
    pub delay_max_us: u64,
    /// Packets in a hundred that must be sent again.
    pub loss_percent: u64,
    /// Calls in a hundred that come twice; only one of the answers is heard.
    pub twice_percent: u64,
}

/// All links between machines.
pub struct Links {
    state: Mutex<State>,
    /// Told whenever a link opens or a connection comes or goes.
    changed: Notify,
}

struct State {
    random: Random,
    weather: Weather,
    /// From and to.
    cut: BTreeSet<(Machine, Machine)>,
    /// Machines that stand still, and how often machines did so far.
    still: BTreeMap<Machine, u64>,
    pauses: u64,
    ports: BTreeMap<Machine, Open>,
    lanes: BTreeMap<(Machine, Machine, bool), LaneState>,
    /// Connections a machine without power had made, from and to: the other ends have not noticed yet.
    left: Vec<(Machine, Machine, Arc<Connection>)>,
    heals: u64,
}

/// A machine whose cluster port is open.
struct Open {
    owner: Owner,
    node: NodeId,
    key: [u8; 32],
    handler: Arc<dyn Handler>,
    peers: BTreeMap<NodeId, Peer>,
}

enum LaneState {
    Idle { failures: u32, wait_until: Instant },
    Dialing,
    Connected { connection: Arc<Connection>, since: Instant },
}

/// One connection; its streams end with it.
pub struct Connection {
    /// Cancelled when it is gone.
    pub gone: CancellationToken,
}

/// Where a machine's cluster port is.
pub fn address_of(machine: Machine) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, machine], 7025))
}

fn machine_at(address: &str) -> Option<Machine> {
    match address.parse::<SocketAddr>().ok()? {
        SocketAddr::V4(address) => Some(address.ip().octets()[3]),
        SocketAddr::V6(_) => None,
    }
}

impl Links {
    /// The machines of the nodes that a machine's node knows; none while it does not run.
    pub fn known_to(&self, machine: Machine) -> BTreeSet<Machine> {
        let state = self.state.lock();
        let known = state.ports.get(&machine).into_iter().flat_map(|open| open.peers.values());
        known.filter_map(|peer| machine_at(&peer.address)).collect()
    }

    /// Links that are all open.
    pub fn new(random: Random, weather: Weather) -> Arc<Self> {
        let state = State {
            random,
            weather,
            cut: BTreeSet::new(),
            still: BTreeMap::new(),
            pauses: 0,
            ports: BTreeMap::new(),
            lanes: BTreeMap::new(),
            left: Vec::new(),
            heals: 0,
        };
        Arc::new(Links { state: Mutex::new(state), changed: Notify::new() })
    }

    /// What a machine's node is given.
    pub fn of(self: &Arc<Self>, machine: Machine) -> Arc<dyn Network> {
        Arc::new(Attached { links: self.clone(), machine })
    }

    /// From now on links are like this.
    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Cuts one direction.
    pub fn cut(self: &Arc<Self>, from: Machine, to: Machine) {
        self.state.lock().cut.insert((from, to));
        let links = self.clone();
        let silence = async move {
            sleep(SILENCE).await;
            if links.state.lock().cut.contains(&(from, to)) {
                links.drop_connections(|a, b| (a, b) == (from, to) || (b, a) == (from, to));
            }
        };
        executor::current().spawn_for(WORLD, Box::pin(silence));
    }

    /// Opens every link.
    pub fn heal(&self) {
        {
            let mut state = self.state.lock();
            state.cut.clear();
            state.heals += 1;
        }
        self.changed.notify_waiters();
    }

    /// A machine comes that is reached by whoever is not cut off from it.
    pub fn machine_comes(&self) {
        self.state.lock().heals += 1;
    }

    /// A machine stands still: it answers nobody, and who hears nothing for long enough gives its connections up.
    pub fn pause(self: &Arc<Self>, machine: Machine) {
        let pause = {
            let mut state = self.state.lock();
            state.pauses += 1;
            let pause = state.pauses;
            state.still.insert(machine, pause);
            pause
        };
        let links = self.clone();
        let silence = async move {
            sleep(SILENCE).await;
            if links.state.lock().still.get(&machine) == Some(&pause) {
                links.drop_connections(|a, b| a == machine || b == machine);
            }
        };
        executor::current().spawn_for(WORLD, Box::pin(silence));
    }

    /// It goes on.
    pub fn resume(&self, machine: Machine) {
        self.state.lock().still.remove(&machine);
    }

    /// How often links were opened again, or a machine came: what was alone before may not be any more.
    pub fn heals(&self) -> u64 {
        self.state.lock().heals
    }

    /// Whether nothing goes between a machine and all of the others, in at least one direction each.
    pub fn is_alone(&self, machine: Machine, others: impl Iterator<Item = Machine>) -> bool {
        let state = self.state.lock();
        others
            .filter(|other| *other != machine)
            .all(|other| state.cut.contains(&(machine, other)) || state.cut.contains(&(other, machine)))
    }

    /// A machine is without power: its port is gone, and nobody is told.
    pub fn power_off(self: &Arc<Self>, machine: Machine) {
        let gone = {
            let mut state = self.state.lock();
            state.still.remove(&machine);
            state.ports.remove(&machine)
        };
        drop(gone);
        let links = self.clone();
        let owner = executor::current().owner();
        let silence = async move {
            sleep(SILENCE).await;
            // A machine that is back has told them by now.
            if !links.state.lock().ports.contains_key(&machine) {
                links.drop_connections(|a, b| a == machine || b == machine);
            }
        };
        executor::current().spawn_for(owner, Box::pin(silence));
        let mut state = self.state.lock();
        let own: Vec<_> = state.lanes.keys().filter(|(from, ..)| *from == machine).copied().collect();
        for lane in own {
            if let Some(LaneState::Connected { connection, .. }) = state.lanes.remove(&lane) {
                state.left.push((lane.0, lane.1, connection));
            }
        }
    }

    /// Ends the connections between machines.
    fn drop_connections(&self, between: impl Fn(Machine, Machine) -> bool) {
        let mut gone = Vec::new();
        {
            let mut state = self.state.lock();
            for ((from, to, _), lane) in &mut state.lanes {
                if let LaneState::Connected { connection, .. } = lane
                    && between(*from, *to)
                {
                    gone.push(connection.clone());
                    *lane = LaneState::Idle { failures: 0, wait_until: Instant::now() };
                }
            }
            gone.extend(
                state.left.extract_if(.., |(from, to, _)| between(*from, *to)).map(|(.., connection)| connection),
            );
        }
        gone.iter().for_each(|connection| connection.gone.cancel());
        self.changed.notify_waiters();
    }

    /// When something that is sent now arrives.
    pub fn arrival(&self) -> Instant {
        Instant::now() + self.delay()
    }

    fn delay(&self) -> Duration {
        let mut state = self.state.lock();
        let Weather { delay_min_us, delay_max_us, loss_percent, .. } = state.weather;
        let mut delay = state.random.range(delay_min_us, delay_max_us + 1);
        while state.random.chance(loss_percent) {
            delay += state.random.range(delay_max_us, 200_000 + delay_max_us);
        }
        Duration::from_micros(delay)
    }

    fn comes_twice(&self) -> bool {
        let mut state = self.state.lock();
        let percent = state.weather.twice_percent;
        percent > 0 && state.random.chance(percent)
    }

    /// Whether what has been sent can arrive.
    pub fn is_open(&self, from: Machine, to: Machine) -> bool {
        !self.state.lock().cut.contains(&(from, to))
    }

    /// Waits until some link opens or a connection goes.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether a machine has power and its port is open.
    pub fn is_up(&self, machine: Machine) -> bool {
        self.state.lock().ports.contains_key(&machine)
    }

    /// Whether a dial goes through now.
    fn lets_in(&self, from: Machine, to: Machine) -> Result<(), &'static str> {
        let state = self.state.lock();
        if state.cut.contains(&(from, to)) || state.cut.contains(&(to, from)) {
            return Err("does not answer");
        }
        if state.still.contains_key(&to) {
            return Err("does not answer");
        }
        let (Some(asking), Some(asked)) = (state.ports.get(&from), state.ports.get(&to)) else {
            return Err("does not answer");
        };
        let knows = |open: &Open, key: &[u8; 32]| open.peers.values().any(|peer| peer.key == *key);
        if knows(asked, &asking.key) && knows(asking, &asked.key) { Ok(()) } else { Err("not let in") }
    }

    async fn dial(self: Arc<Self>, from: Machine, to: Machine, bulk: bool, failures: u32) {
        let until = Instant::now() + DIAL;
        let mut reached = Err("does not answer");
        while Instant::now() < until {
            sleep(self.delay() + self.delay() + self.delay()).await;
            reached = self.lets_in(from, to);
            if reached != Err("does not answer") {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let lane = match reached {
            Ok(()) => {
                let connection = Arc::new(Connection { gone: CancellationToken::new() });
                LaneState::Connected { connection, since: Instant::now() }
            }
            Err(_) => {
                let wait = DIAL_AGAIN.saturating_mul(1 << failures.min(8)).min(DIAL_WAIT_MAX);
                LaneState::Idle { failures: failures + 1, wait_until: Instant::now() + wait }
            }
        };
        self.state.lock().lanes.insert((from, to, bulk), lane);
        self.changed.notify_waiters();
    }

    async fn connection(
        self: &Arc<Self>,
        from: Machine,
        to: Machine,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let bulk = lane == Lane::Bulk;
        let late = || CallError::Unreachable(format!("machine {to} was not reached in time"));
        loop {
            // Before the look, or what changes meanwhile is not heard.
            let changed = self.changed.notified();
            let dialing = {
                let mut state = self.state.lock();
                let lane = state.lanes.get(&(from, to, bulk));
                let failures = match lane {
                    Some(LaneState::Connected { connection, .. }) => return Ok(connection.clone()),
                    Some(LaneState::Idle { wait_until, .. }) if Instant::now() < *wait_until => {
                        return Err(CallError::Unreachable(format!("machine {to} does not answer")));
                    }
                    Some(LaneState::Dialing) => None,
                    Some(LaneState::Idle { failures, .. }) => Some(*failures),
                    None => Some(0),
                };
                if failures.is_some() {
                    state.lanes.insert((from, to, bulk), LaneState::Dialing);
                }
                failures
            };
            if let Some(failures) = dialing {
                cluster::runtime::spawn(self.clone().dial(from, to, bulk, failures));
            }
            timeout_at(deadline, changed).await.map_err(|_| late())?;
        }
    }

    /// Opens a stream with its first frame on its way.
    async fn open(
        self: &Arc<Self>,
        (from, to): (Machine, Machine),
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> Result<Duplex, CallError> {
        let connection = self.connection(from, to, service.lane(), deadline).await?;
        let there = Pipe::new(self.clone(), from, to, connection.clone());
        let back = Pipe::new(self.clone(), to, from, connection);
        let (owner, node, handler) = {
            let state = self.state.lock();
            let here = state.ports.get(&from).map(|open| open.node);
            match (here, state.ports.get(&to)) {
                (Some(node), Some(open)) => (open.owner, node, open.handler.clone()),
                // It is gone and nobody has noticed yet.
                _ => return Ok(Duplex::given(Box::new(Sink::new(there)), Box::new(Source::new(back)))),
            }
        };
        if !service.is_stream() && self.comes_twice() {
            // Nobody holds its near ends: the answer is not heard.
            let (there, back) = (there.another(), back.another());
            let mut sink = Sink::new(there.clone());
            sink.push(first.clone());
            let _ = sink.finish();
            executor::current().spawn_for(owner, answer(handler.clone(), node, service, there, back));
        }
        let mut sink = Sink::new(there.clone());
        sink.push(first);
        executor::current().spawn_for(owner, answer(handler, node, service, there, back.clone()));
        Ok(Duplex::given(Box::new(sink), Box::new(Source::new(back))))
    }
}

/// Serves what comes through one pipe and answers through the other.
fn answer(
    handler: Arc<dyn Handler>,
    from: NodeId,
    service: Service,
    there: Arc<Pipe>,
    back: Arc<Pipe>,
) -> BoxFuture<'static, ()> {
    let duplex = Duplex::given(Box::new(Sink::new(back)), Box::new(Source::new(there)));
    Box::pin(async move { serve(&*handler, from, service, duplex).await })
}

/// The network as one machine sees it.
struct Attached {
    links: Arc<Links>,
    machine: Machine,
}

impl Network for Attached {
    fn bind(
        &self,
        _address: SocketAddr,
        node: NodeId,
        key: [u8; 32],
        handler: Arc<dyn Handler>,
    ) -> Result<Arc<dyn Port>, TransportError> {
        let owner = executor::current().owner();
        let open = Open { owner, node, key, handler, peers: BTreeMap::new() };
        self.links.state.lock().ports.insert(self.machine, open);
        // Whoever still has a connection to the machine's former life is told so by its next packet.
        let machine = self.machine;
        self.links.drop_connections(|from, to| from == machine || to == machine);
        Ok(Arc::new(Bound { links: self.links.clone(), machine }))
    }

    fn ask<'a>(
        &'a self,
        address: &'a str,
        request: MakeRequest<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Bytes, JoinError>> {
        Box::pin(async move {
            let (links, from) = (&self.links, self.machine);
            let to = machine_at(address).ok_or_else(|| JoinError::Address(address.to_owned()))?;
            sleep(links.delay() + links.delay()).await;
            let is_open = links.is_open(from, to) && links.is_open(to, from);
            let handler = links.state.lock().ports.get(&to).map(|open| (open.owner, open.handler.clone()));
            let handler = handler.filter(|_| is_open);
            let Some((owner, handler)) = handler else {
                sleep(DIAL).await;
                return Err(JoinError::Unreachable(format!("{address} does not answer")));
            };
            let binding = [7; 32];
            let request = request(binding);
            let (told, answer) = tokio::sync::oneshot::channel();
            let asked = async move { drop(told.send(handler.stranger(binding, request).await)) };
            executor::current().spawn_for(owner, Box::pin(asked));
            let answered = timeout_at(deadline, answer).await;
            sleep(links.delay()).await;
            match answered {
                Ok(Ok(answer)) => answer.map_err(JoinError::Refused),
                _ => Err(JoinError::Unknown("the answer did not come".into())),
            }
        })
    }
}

/// A machine's open port.
struct Bound {
    links: Arc<Links>,
    machine: Machine,
}

impl Port for Bound {
    fn local_address(&self) -> SocketAddr {
        address_of(self.machine)
    }

    fn set_peers(&self, peers: BTreeMap<NodeId, Peer>) {
        let before = {
            let mut state = self.links.state.lock();
            let Some(open) = state.ports.get_mut(&self.machine) else { return };
            std::mem::replace(&mut open.peers, peers.clone())
        };
        let gone = before.iter().filter(|(node, peer)| peers.get(node) != Some(peer));
        let gone: BTreeSet<Machine> = gone.filter_map(|(_, peer)| machine_at(&peer.address)).collect();
        let machine = self.machine;
        self.links.drop_connections(|from, to| {
            (from == machine && gone.contains(&to)) || (to == machine && gone.contains(&from))
        });
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let state = self.links.state.lock();
        let Some(open) = state.ports.get(&self.machine) else { return Vec::new() };
        let status = |(node, peer): (&NodeId, &Peer)| {
            let lane = machine_at(&peer.address).and_then(|to| state.lanes.get(&(self.machine, to, false)));
            let since = match lane {
                Some(LaneState::Connected { since, .. }) => Some(*since),
                _ => None,
            };
            PeerStatus {
                node: *node,
                address: peer.address.clone(),
                connected: since.is_some(),
                round_trip: None,
                sent_bytes: 0,
                received_bytes: 0,
                since,
                trouble: None,
            }
        };
        open.peers.iter().map(status).collect()
    }

    fn open(
        &self,
        node: NodeId,
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Duplex, CallError>> {
        let to = {
            let state = self.links.state.lock();
            let peer = state.ports.get(&self.machine).and_then(|open| open.peers.get(&node));
            peer.and_then(|peer| machine_at(&peer.address))
        };
        Box::pin(async move {
            let to = to.ok_or_else(|| CallError::Unreachable(format!("node {} is no known peer", node.0)))?;
            self.links.open((self.machine, to), service, first, deadline).await
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        let machine = self.machine;
        let gone = self.links.state.lock().ports.remove(&machine);
        drop(gone);
        self.links.drop_connections(|from, to| from == machine || to == machine);
        Box::pin(std::future::ready(()))
    }
}

//! The simulated network: what QUIC makes of cut, slow and lossy links, without its bytes.
//!
//! Frames of one stream arrive in order, those of different streams overtake each other. A lost packet is one that comes
//! late, a cut link holds everything back, and a connection that has heard nothing for QUIC's idle time is gone with all
//! its streams. QUIC gives no frame of a stream twice; what comes twice here is a whole call, as when whoever asked did not
//! hear the answer and asked again.

mod dial;
mod port;

use super::executor::{self, Owner, WORLD};
use super::random::Random;
use cluster::runtime::{Instant, sleep};
use cluster::transport::{Handler, Network, Peer};
use model::NodeId;
use parking_lot::Mutex;
use port::Attached;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A machine, by number from 1; its address ends with it.
pub type Machine = u8;

/// As the transport has it: a silent connection is given up.
const SILENCE: Duration = Duration::from_secs(4);

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

    /// The machines of the nodes that a machine's node knows; none while it does not run.
    pub fn known_to(&self, machine: Machine) -> BTreeSet<Machine> {
        let state = self.state.lock();
        let known = state.ports.get(&machine).into_iter().flat_map(|open| open.peers.values());
        known.filter_map(|peer| machine_at(&peer.address)).collect()
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
}

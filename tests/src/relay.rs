//! A network between nodes that tests can cut, without root: a UDP relay in front of each node.
//!
//! A node advertises its relay's address. The relay keeps one socket per sender, so that answers find their way back,
//! and tells senders apart by their IP address, which therefore must be one of a node's own. Each ordered pair of nodes
//! has a [`Way`]. Datagrams of anybody who is no node pass.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};

/// The largest UDP payload there is.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Senders that one relay remembers: far more than a test has nodes.
const SENDERS_MAX: usize = 64;

/// Where relays speak to nodes from.
const HOME: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What happens to datagrams from one node to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They arrive.
    #[default]
    Pass,
    /// They are lost.
    Drop,
    /// They arrive later.
    Delay(Duration),
    /// This many of a hundred are lost.
    Loss(u8),
    /// They arrive, and once more.
    Twice,
}

/// What went from one node to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were passed on.
    pub bytes: u64,
    /// Datagrams that were lost.
    pub lost: u64,
}

/// All relays of one test. Dropping it ends them.
pub struct Relays {
    table: Arc<Table>,
    runtime: Option<Runtime>,
}

/// After how long a datagram is sent, unless it is lost, and how often.
type Fate = (Option<Duration>, usize);

#[derive(Default)]
struct Table {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    nodes: HashMap<IpAddr, usize>,
    ways: HashMap<(usize, usize), Way>,
    traffic: HashMap<(usize, usize), Traffic>,
    random: u64,
}

impl Relays {
    /// No relay yet.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("relay").enable_all().build()?;
        Ok(Relays { table: Arc::default(), runtime: Some(runtime) })
    }

    /// Puts a relay at `front` for a node that listens, or will listen, at `real`; gives the address to advertise.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn add(&self, node: usize, real: SocketAddr, front: SocketAddr) -> io::Result<SocketAddr> {
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let socket = Arc::new(runtime.block_on(UdpSocket::bind(front))?);
        let address = socket.local_addr()?;
        self.table.lock().nodes.insert(real.ip(), node);
        runtime.spawn(relay(Arc::clone(&self.table), node, real, socket));
        Ok(address)
    }

    /// Decides about datagrams of `from` to `to`, on connections of either's making.
    pub fn set(&self, from: usize, to: usize, way: Way) {
        self.table.lock().ways.insert((from, to), way);
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.table.lock().ways.clear();
    }

    /// What went from `from` to `to` so far.
    pub fn traffic(&self, from: usize, to: usize) -> Traffic {
        self.table.lock().traffic.get(&(from, to)).copied().unwrap_or_default()
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        // The tasks wait in sockets only, which are free for the next test once this returns.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under the lock.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn node_at(&self, address: SocketAddr) -> Option<usize> {
        self.lock().nodes.get(&address.ip()).copied()
    }

    /// How long a datagram takes, or `None` when it is lost, and how often it is sent. A stranger's just passes.
    fn fate(&self, from: Option<usize>, to: Option<usize>, bytes: usize) -> Fate {
        let (Some(from), Some(to)) = (from, to) else { return (Some(Duration::ZERO), 1) };
        let mut guard = self.lock();
        let Inner { ways, traffic, random, .. } = &mut *guard;
        let traffic = traffic.entry((from, to)).or_default();
        let way = ways.get(&(from, to)).copied().unwrap_or_default();
        let delay = match way {
            Way::Pass | Way::Twice => Some(Duration::ZERO),
            Way::Drop => None,
            Way::Delay(delay) => Some(delay),
            Way::Loss(percent) => {
                *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((*random >> 33) % 100 >= u64::from(percent)).then_some(Duration::ZERO)
            }
        };
        match delay {
            Some(_) => traffic.bytes += bytes as u64,
            None => traffic.lost += 1,
        }
        (delay, if way == Way::Twice { 2 } else { 1 })
    }
}

/// Takes what is sent to the node and passes it on from a socket of the sender's own.
async fn relay(table: Arc<Table>, node: usize, real: SocketAddr, front: Arc<UdpSocket>) {
    let mut senders: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error tells of an earlier datagram that nobody took.
        let Ok((length, sender)) = front.recv_from(&mut buffer).await else { continue };
        if !senders.contains_key(&sender) {
            let Ok(socket) = UdpSocket::bind(HOME).await else { continue };
            let socket = Arc::new(socket);
            if senders.len() >= SENDERS_MAX {
                continue;
            }
            tokio::spawn(answers(Arc::clone(&table), node, real, Arc::clone(&socket), Arc::clone(&front), sender));
            senders.insert(sender, socket);
        }
        let fate = table.fate(table.node_at(sender), Some(node), length);
        if let Some(socket) = senders.get(&sender) {
            pass(socket, buffer.get(..length).unwrap_or_default(), real, fate).await;
        }
    }
}

/// Carries back what the node says to one sender.
async fn answers(
    table: Arc<Table>,
    node: usize,
    real: SocketAddr,
    socket: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    sender: SocketAddr,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if from != real {
            continue;
        }
        let fate = table.fate(Some(node), table.node_at(sender), length);
        pass(&front, buffer.get(..length).unwrap_or_default(), sender, fate).await;
    }
}

async fn pass(socket: &Arc<UdpSocket>, datagram: &[u8], to: SocketAddr, (delay, times): Fate) {
    let Some(delay) = delay else { return };
    if delay.is_zero() {
        for _ in 0..times {
            // What cannot be sent is lost, as on any network.
            let _ = socket.send_to(datagram, to).await;
        }
        return;
    }
    let (socket, datagram) = (Arc::clone(socket), datagram.to_vec());
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = socket.send_to(&datagram, to).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as Plain;

    /// Two "nodes" with addresses of their own and the relays in front of them.
    struct Pair {
        relays: Relays,
        sockets: [Plain; 2],
        advertised: [SocketAddr; 2],
    }

    fn pair() -> Pair {
        let relays = Relays::new().unwrap();
        let sockets = [1, 2].map(|last| {
            let socket = Plain::bind((Ipv4Addr::new(127, 0, 83, last), 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            socket
        });
        let advertised = [0, 1].map(|node| relays.add(node, sockets[node].local_addr().unwrap(), HOME.into()).unwrap());
        Pair { relays, sockets, advertised }
    }

    impl Pair {
        /// Sends a word from one to the other's relay.
        fn send(&self, from: usize, word: &str) {
            self.sockets[from].send_to(word.as_bytes(), self.advertised[1 - from]).unwrap();
        }

        /// The next word a node gets, and whom to answer.
        fn next(&self, at: usize) -> (String, SocketAddr) {
            let mut buffer = [0; 64];
            let (length, sender) = self.sockets[at].recv_from(&mut buffer).unwrap();
            (String::from_utf8_lossy(&buffer[..length]).into_owned(), sender)
        }
    }

    #[test]
    fn datagrams_pass_and_answers_come_from_where_they_were_sent_to() {
        let pair = pair();
        pair.send(0, "question");
        let (word, sender) = pair.next(1);
        assert_eq!(word, "question");
        pair.sockets[1].send_to(b"answer", sender).unwrap();
        assert_eq!(pair.next(0), ("answer".to_owned(), pair.advertised[1]));
        assert_eq!([(0, 1), (1, 0)].map(|(from, to)| pair.relays.traffic(from, to).bytes), [8, 6]);
    }

    #[test]
    fn one_direction_can_be_cut_for_questions_and_for_answers() {
        let pair = pair();
        pair.send(0, "first");
        let (_, sender) = pair.next(1);
        pair.relays.set(1, 0, Way::Drop);
        pair.sockets[1].send_to(b"lost answer", sender).unwrap();
        pair.send(1, "lost question");
        pair.send(0, "second");
        assert_eq!(pair.next(1).0, "second", "the other direction is open");
        let stranger = Plain::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger.send_to(b"a stranger's", pair.advertised[0]).unwrap();
        assert_eq!(pair.next(0).0, "a stranger's");
        while pair.relays.traffic(1, 0).lost < 2 {
            std::thread::yield_now();
        }
        pair.relays.heal();
        pair.sockets[1].send_to(b"answer", sender).unwrap();
        assert_eq!(pair.next(0).0, "answer");
    }

    #[test]
    fn some_are_lost_some_come_late_and_some_come_twice() {
        let pair = pair();
        pair.relays.set(0, 1, Way::Loss(50));
        (0..200).for_each(|number| pair.send(0, &format!("{number:03}")));
        let passed = || pair.relays.traffic(0, 1).bytes / 3;
        while pair.relays.traffic(0, 1).lost + passed() < 200 {
            std::thread::yield_now();
        }
        assert!((20..180).contains(&passed()), "{} of 200 arrived", passed());
        (0..passed()).for_each(|_| drop(pair.next(1)));
        pair.relays.set(0, 1, Way::Delay(Duration::from_secs(1)));
        pair.send(0, "late");
        let stranger = Plain::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger.send_to(b"early", pair.advertised[1]).unwrap();
        assert_eq!(pair.next(1).0, "early");
        assert_eq!(pair.next(1).0, "late");
        pair.relays.set(0, 1, Way::Twice);
        pair.send(0, "again");
        assert_eq!([pair.next(1).0, pair.next(1).0], ["again", "again"]);
    }
}

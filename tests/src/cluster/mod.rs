//! Several nodes of one cluster as their users have them: the built binary on loopback addresses of its own, a relay in
//! front of each cluster port, and everything that can happen to a machine or a cable.
//!
//! Each node has its own IP address in 127.0.0.0/8, made of this process's id, so that it finds the same ports free
//! whenever it starts again. Clusters take turns: a machine has room for one at a time.

mod talk;
mod wait;

pub use clients::View;

use crate::node::Node;
use crate::relay::{Relays, Traffic, Way};
use rustix::process::Signal;
use serde_json::Value;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything that ends well takes on a machine that also compiles.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The password of every account that [`Cluster::add_account`] makes.
pub const PASSWORD: &str = "three of a kind";

/// Added to every standard port.
const PORT_OFFSET: u16 = 20_000;

/// The cluster's standard port, UDP.
const CLUSTER_PORT: u16 = 7_025;

/// Debian's libfaketime: see [`Cluster::set_clock`].
pub const CLOCK_LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Lines of each node's log that a failed test shows.
const TAIL_LINES: usize = 40;

/// A cluster. Dropping it kills its nodes; when that is because a test failed, the ends of their logs are shown.
pub struct Cluster {
    members: Vec<Member>,
    relays: Option<Relays>,
    directory: TempDir,
    _turn: File,
}

/// One node, running or not.
struct Member {
    name: String,
    home: Ipv4Addr,
    data: PathBuf,
    advertised: SocketAddr,
    /// Where the cluster port is when not at its usual place.
    elsewhere: Option<SocketAddr>,
    /// How far its clock is ahead, in hours.
    hours_ahead: u32,
    node: Option<Node>,
    /// What earlier processes of this node logged.
    past: String,
}

/// How to make a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Whether the nodes reach each other through relays, which can cut them off and cost time.
    pub relays: bool,
}

impl Cluster {
    /// A whole cluster of so many nodes with relays between them.
    ///
    /// # Panics
    /// When it does not come to be.
    pub fn start(nodes: usize) -> Cluster {
        let mut cluster = Cluster::first(Shape { relays: true });
        while cluster.size() < nodes {
            cluster.grow();
        }
        cluster.wait_whole();
        cluster
    }

    /// A cluster of one.
    ///
    /// # Panics
    /// When it does not come to be.
    pub fn first(shape: Shape) -> Cluster {
        let turn = File::create(env::temp_dir().join("mailnode-cluster-tests.lock")).expect("a lock file");
        turn.lock().expect("a turn");
        let mut cluster = Cluster {
            members: Vec::new(),
            relays: shape.relays.then(|| Relays::new().expect("relays")),
            directory: tempfile::tempdir().expect("a directory"),
            _turn: turn,
        };
        let node = cluster.add_member();
        cluster.spawn(node, &[]);
        cluster.ready(node);
        cluster
    }

    /// One node more, ready, joined through the first living one. Returns its number; groups may still be on their way.
    ///
    /// # Panics
    /// When it does not join.
    pub fn grow(&mut self) -> usize {
        let (host, token) = self.invitation();
        let node = self.add_member();
        self.spawn(node, &["--join", &host, "--token", &token]);
        self.ready(node);
        node
    }

    /// Where to join and a fresh token.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn invitation(&self) -> (String, String) {
        let host = self.living().next().expect("a living node");
        let output = self.cli(host, &["token", "create", "--json"]);
        assert!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("the token is JSON");
        (self.members[host].advertised.to_string(), answer["token"].as_str().expect("a token").to_owned())
    }

    /// A place for a node that never ran: directory, address, relay. Returns its number.
    ///
    /// # Panics
    /// When there is no socket for its relay.
    pub fn add_member(&mut self) -> usize {
        let number = self.members.len();
        let home = home(number);
        let real = SocketAddr::new(home.into(), CLUSTER_PORT + PORT_OFFSET);
        let front = SocketAddr::new(home.into(), CLUSTER_PORT + PORT_OFFSET + 1);
        let advertised = self.relays.as_ref().map_or(real, |relays| relays.add(number, real, front).expect("a relay"));
        let name = format!("n{}", number + 1);
        let data = self.directory.path().join(&name);
        let (elsewhere, hours_ahead, node, past) = (None, 0, None, String::new());
        self.members.push(Member { name, home, data, advertised, elsewhere, hours_ahead, node, past });
        number
    }

    /// Waits until a started node has given up by itself; gives what it said.
    ///
    /// # Panics
    /// When it goes on, or ends as if all were well.
    pub fn failed_start(&mut self, node: usize) -> String {
        let mut process = self.members[node].node.take().expect("it was started");
        let (code, log) = process.ended(PATIENCE).expect("it gives up");
        self.members[node].past.push_str(&log);
        assert!(!matches!(code, None | Some(0)), "it ended with {code:?}: {log}");
        log
    }

    /// Gives a node another name before its first start.
    pub fn set_name(&mut self, node: usize, name: &str) {
        self.members[node].name = name.to_owned();
    }

    /// Puts a node's data directory elsewhere before its first start, as on a small disk.
    pub fn set_data(&mut self, node: usize, data: &Path) {
        self.members[node].data = data.to_owned();
    }

    /// From its next start on a node's cluster port is another, and so is the address that it tells the others. For
    /// clusters without relays.
    pub fn move_cluster_port(&mut self, node: usize) {
        let member = &mut self.members[node];
        let mut address = member.advertised;
        address.set_port(address.port() + 100);
        (member.advertised, member.elsewhere) = (address, Some(address));
    }

    /// From its next start on a node's clock is so many hours ahead; what it measures with it is not touched.
    pub fn set_clock(&mut self, node: usize, hours_ahead: u32) {
        self.members[node].hours_ahead = hours_ahead;
    }

    /// Starts a node's process and does not wait.
    ///
    /// # Panics
    /// When the binary does not run.
    pub fn spawn(&mut self, node: usize, more: &[&str]) {
        let member = &self.members[node];
        // The rest is decided by the address and the offset; mail from local agents comes to 127.0.0.1 by itself.
        let file = self.directory.path().join(format!("{}.toml", member.name));
        let lmtp = SocketAddr::new(member.home.into(), 24 + PORT_OFFSET);
        let cluster = member.elsewhere.map(|address| format!("cluster = [\"{address}\"]\n")).unwrap_or_default();
        fs::write(&file, format!("[listeners]\nlmtp = [\"{lmtp}\"]\n{cluster}")).expect("a file");
        let (home, offset, advertised) =
            (member.home.to_string(), PORT_OFFSET.to_string(), member.advertised.to_string());
        let hostname = format!("{}.example.org", member.name);
        let mut flags = vec!["--name", &member.name, "--hostname", &hostname, "--domain", "example.org"];
        flags.extend(["--bind", &home, "--port-offset", &offset, "--advertise", &advertised]);
        flags.extend(["--config", file.to_str().expect("a plain path")]);
        flags.extend(more);
        let ahead = format!("+{}h", member.hours_ahead);
        let clock = [("LD_PRELOAD", CLOCK_LIBRARY), ("FAKETIME", &ahead), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        let environment = if member.hours_ahead > 0 { &clock[..] } else { &[] };
        let started = Node::spawn_in(&member.data, &flags, environment).expect("the binary runs");
        self.members[node].node = Some(started);
    }

    /// Waits until a started node serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn ready(&mut self, node: usize) {
        let process = self.members[node].node.as_mut().expect("it was started");
        if let Err(error) = process.ready() {
            panic!("{}: {error}", self.members[node].name);
        }
    }

    /// Ends a node as a power cut would.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.members[node].node.take() {
            let log = process.kill();
            self.members[node].past.push_str(&log);
        }
    }

    /// Starts a killed node again and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart(&mut self, node: usize) {
        self.spawn(node, &[]);
        self.ready(node);
    }

    /// Stops a node's process where it stands.
    pub fn pause(&self, node: usize) {
        self.node(node).signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self, node: usize) {
        self.node(node).signal(Signal::CONT);
    }

    /// A running node.
    ///
    /// # Panics
    /// When it does not run.
    pub fn node(&self, node: usize) -> &Node {
        self.members[node].node.as_ref().expect("the node runs")
    }

    /// The name of a node.
    pub fn name(&self, node: usize) -> &str {
        &self.members[node].name
    }

    /// The data directory of a node.
    pub fn data(&self, node: usize) -> &Path {
        &self.members[node].data
    }

    /// Where others reach its cluster port.
    pub fn advertised(&self, node: usize) -> SocketAddr {
        self.members[node].advertised
    }

    /// How many nodes were ever made.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// The nodes whose processes run, paused ones too.
    pub fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.members.len()).filter(|node| self.members[*node].node.is_some())
    }

    /// Everything a node logged, in all its lives.
    pub fn log(&self, node: usize) -> String {
        let member = &self.members[node];
        format!("{}{}", member.past, member.node.as_ref().map(Node::log).unwrap_or_default())
    }

    // The network.

    /// Nothing passes between these and those, either way.
    ///
    /// # Panics
    /// When the cluster has no relays; so do the others of this kind.
    pub fn partition(&self, these: &[usize], those: &[usize]) {
        for (one, other) in these.iter().flat_map(|one| those.iter().map(move |other| (*one, *other))) {
            self.set_way(one, other, Way::Drop);
            self.set_way(other, one, Way::Drop);
        }
    }

    /// Cuts a node off from all others.
    pub fn isolate(&self, node: usize) {
        let others: Vec<_> = (0..self.size()).filter(|other| *other != node).collect();
        self.partition(&[node], &others);
    }

    /// Decides about datagrams from one node to another.
    pub fn set_way(&self, from: usize, to: usize, way: Way) {
        self.relays().set(from, to, way);
    }

    /// Every datagram arrives twice.
    pub fn repeat_datagrams(&self) {
        for (from, to) in (0..self.size()).flat_map(|from| (0..self.size()).map(move |to| (from, to))) {
            self.set_way(from, to, Way::Twice);
        }
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.relays().heal();
    }

    /// What went from one node to another so far.
    pub fn traffic(&self, from: usize, to: usize) -> Traffic {
        self.relays().traffic(from, to)
    }

    fn relays(&self) -> &Relays {
        self.relays.as_ref().expect("this cluster has relays")
    }

    /// Ends well: no node may have panicked or lost a replica.
    ///
    /// # Panics
    /// When one has.
    pub fn finish(self) {
        for node in 0..self.size() {
            let log = self.log(node);
            for word in ["panicked", "rebuilt"] {
                assert!(!log.contains(word), "{} said {word:?}", self.members[node].name);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.size()).for_each(|node| self.kill(node));
        if !thread::panicking() {
            return;
        }
        let mut text = String::new();
        for member in &self.members {
            // Where to look when the end is not enough.
            if let Some(folder) = env::var_os("KEEP_LOGS") {
                let _ = fs::write(Path::new(&folder).join(format!("{}.log", member.name)), &member.past);
            }
            let lines: Vec<_> = member.past.lines().filter(|line| !line.contains("message accepted")).collect();
            let _ = writeln!(text, "---- the end of {}'s log", member.name);
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
                let _ = writeln!(text, "{line}");
            }
        }
        eprint!("{text}");
    }
}

/// The address of a node: this process's own net of eight. No net holds 127.0.0.1.
fn home(node: usize) -> Ipv4Addr {
    let net = (process::id() & 0x1f_ffff).max(1);
    let host = u32::try_from(node).expect("few nodes") & 7;
    Ipv4Addr::from((127 << 24) | (net << 3) | host)
}

//! The cluster under test and all that can be done to it: real processes in network namespaces, reached by Unix sockets
//! that lead inside. Knows nothing of workloads and checks. Dropping it ends every process and removes every trace.

pub mod disk;
pub mod gate;
pub mod hold;
mod net;
pub mod node;
pub mod tool;

use crate::limits::{LOOK_INTERVAL, WHOLE_PATIENCE};
use anyhow::{Context, Result, bail};
use clients::View;
use disk::Disk;
use net::Network;
use node::{Place, Process};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The port of the outside world's mail server.
const SINK_PORT: u16 = 2525;
/// The cluster's port, UDP.
const CLUSTER_PORT: u16 = 7025;
/// A small disk: room for an hour of mail and the logs of 33 groups.
const DISK_MEGABYTES: u64 = 4096;

/// What a run asks of its cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary under test.
    pub binary: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Whether each has a small disk of its own.
    pub disks: bool,
    /// Whether clocks can be set.
    pub clocks: bool,
    /// Where logs go.
    pub store: PathBuf,
    /// Keeps the data directories in the end.
    pub keep: bool,
}

/// The cluster.
pub struct World {
    members: Vec<Member>,
    helpers: Vec<Child>,
    disks: Vec<Disk>,
    network: Network,
    base: PathBuf,
    options: Options,
}

struct Member {
    name: String,
    place: Place,
    process: Option<Process>,
    /// How often it joined anew: every time under a new name.
    lives: usize,
    holder: Option<Child>,
}

/// Where clients reach the cluster.
#[derive(Clone, Debug)]
pub struct Doors {
    base: PathBuf,
    /// How many nodes there are.
    pub nodes: usize,
}

impl Doors {
    /// The socket of a node's service: `smtp`, `submission` or `imap`.
    pub fn door(&self, node: usize, service: &str) -> PathBuf {
        self.base.join(format!("n{}.{service}", node + 1))
    }

    /// The socket on which the outside world's mail server listens.
    pub fn sink(&self) -> PathBuf {
        self.base.join("sink")
    }
}

impl World {
    /// A whole cluster.
    pub fn start(options: Options) -> Result<World> {
        let base = PathBuf::from(format!("/tmp/mj{}", std::process::id()));
        fs::create_dir_all(&base)?;
        let network = Network::new(options.nodes)?;
        let mut world = World { members: Vec::new(), helpers: Vec::new(), disks: Vec::new(), network, base, options };
        world.open_doors()?;
        for node in 0..world.options.nodes {
            world.add(node)?;
        }
        let nodes: Vec<_> = (0..world.size()).collect();
        world.wait_whole(&nodes)?;
        Ok(world)
    }

    fn open_doors(&mut self) -> Result<()> {
        let doors = self.doors();
        for node in 0..self.options.nodes {
            let lines = [("smtp", 25), ("submission", 587), ("imap", 143)]
                .map(|(service, port)| format!("unix:{}=tcp:127.0.0.1:{port}", doors.door(node, service).display()));
            self.open_gate(&self.network.namespace(node), &lines)?;
        }
        let out = format!("tcp:{}:{SINK_PORT}=unix:{}", self.network.sink(), doors.sink().display());
        self.open_gate(&self.network.switch(), &[out])
    }

    fn open_gate(&mut self, namespace: &str, doors: &[String]) -> Result<()> {
        let mut command = inside(namespace)?;
        let mut gate = command.arg("gate").args(doors).stdout(Stdio::piped()).spawn()?;
        let stdout = gate.stdout.take().context("a pipe")?;
        self.helpers.push(gate);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() { bail!("no gate into {namespace}") } else { Ok(()) }
    }

    fn add(&mut self, node: usize) -> Result<()> {
        let home = self.base.join(format!("n{}", node + 1));
        fs::create_dir_all(&home)?;
        if self.options.disks {
            self.disks.push(Disk::mount(&home, DISK_MEGABYTES)?);
        }
        let clock = self.options.clocks.then(|| self.base.join(format!("n{}.clock", node + 1)));
        if let Some(clock) = &clock {
            fs::write(clock, "+0\n")?;
        }
        let place = Place {
            binary: self.options.binary.clone(),
            namespace: self.network.namespace(node),
            data: home.join("data"),
            log: self.options.store.join(format!("n{}.log", node + 1)),
            flags: Vec::new(),
            clock,
        };
        self.members.push(Member { name: String::new(), place, process: None, lives: 0, holder: None });
        self.enter(node)
    }

    /// Starts a node that has never run, or runs anew with nothing, and waits until it serves.
    pub fn enter(&mut self, node: usize) -> Result<()> {
        let invitation = if node == 0 && self.member(node)?.lives == 0 { None } else { Some(self.invitation()?) };
        let address = self.network.address(node);
        let sink = format!("{}:{SINK_PORT}", self.network.sink());
        let member = self.members.get_mut(node).context("a node")?;
        member.lives += 1;
        let generation = if member.lives == 1 { String::new() } else { format!("x{}", member.lives) };
        member.name = format!("n{}{generation}", node + 1);
        let flags = format!(
            "--name {0} --hostname {0}.example.org --domain example.org --bind {address} --bind 127.0.0.1 \
             --port-offset 0 --advertise {address}:{CLUSTER_PORT} --relay {sink} --queue-retry-first 1",
            member.name
        );
        member.place.flags = flags.split_whitespace().map(str::to_owned).collect();
        let more = match &invitation {
            Some((host, token)) => vec!["--join", host.as_str(), "--token", token.as_str()],
            None => Vec::new(),
        };
        let mut process = member.place.start(&more)?;
        let ready = process.ready();
        member.process = Some(process);
        ready.with_context(|| format!("n{}", node + 1))
    }

    /// Where to join and a fresh token.
    fn invitation(&self) -> Result<(String, String)> {
        for host in 0..self.size() {
            let Some(output) = self.cli(host, &["token", "create", "--json"], "") else { continue };
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if let Some(token) = answer["token"].as_str() {
                return Ok((format!("{}:{CLUSTER_PORT}", self.network.address(host)), token.to_owned()));
            }
        }
        bail!("no node gives a token")
    }

    fn member(&self, node: usize) -> Result<&Member> {
        self.members.get(node).with_context(|| format!("there is no node {node}"))
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Where clients go.
    pub fn doors(&self) -> Doors {
        Doors { base: self.base.clone(), nodes: self.options.nodes }
    }

    /// The name of a node.
    pub fn name(&self, node: usize) -> &str {
        self.members.get(node).map_or("", |member| &member.name)
    }

    /// Runs a CLI command against a node; `None` when it does not answer.
    pub fn cli(&self, node: usize, arguments: &[&str], input: &str) -> Option<Output> {
        let member = self.members.get(node)?;
        // One that does not run has nothing to say; a paused one would hold up the caller.
        let process = member.process.as_ref()?;
        if process.is_paused() { None } else { member.place.cli(arguments, input) }
    }

    /// The command line tool against each node, for clients.
    pub fn tools(&self) -> Vec<(PathBuf, PathBuf)> {
        self.members.iter().map(|member| (member.place.binary.clone(), member.place.data.clone())).collect()
    }

    /// What a node says of the cluster.
    pub fn view(&self, node: usize) -> Option<View> {
        let output = self.cli(node, &["status", "--json"], "")?;
        View::read(&serde_json::from_slice(&output.stdout).ok()?)
    }

    /// The node that leads an account's shard, as the first that knows says.
    pub fn leader_of(&self, account: &str) -> Option<usize> {
        (0..self.size()).find_map(|asked| {
            let accounts = self.cli(asked, &["account", "list", "--json"], "")?;
            let accounts: Value = serde_json::from_slice(&accounts.stdout).ok()?;
            let row = accounts.as_array()?.iter().find(|row| row["address"] == account)?;
            let leader = self.view(asked)?.leader(row["shard"].as_u64()?)?;
            (0..self.size()).find(|node| self.name(*node) == leader)
        })
    }

    /// Waits until these nodes see each other and every group has a leader and level replicas.
    pub fn wait_whole(&self, nodes: &[usize]) -> Result<Duration> {
        let begin = Instant::now();
        for node in nodes {
            loop {
                let wrong = match self.view(*node).map(|view| view.whole(nodes.len())) {
                    Some(Ok(())) => break,
                    Some(Err(wrong)) => wrong,
                    None => "no status".to_owned(),
                };
                if begin.elapsed() > WHOLE_PATIENCE {
                    bail!("{} does not see a whole cluster after {WHOLE_PATIENCE:?}: {wrong}", self.name(*node));
                }
                thread::park_timeout(LOOK_INTERVAL * 4);
            }
        }
        Ok(begin.elapsed())
    }

    // Processes.

    /// Kills a node; whether it ran.
    pub fn kill(&mut self, node: usize) -> bool {
        let process = self.members.get_mut(node).and_then(|member| member.process.take());
        process.is_some_and(|mut process| process.kill())
    }

    /// Asks a node to stop and waits.
    pub fn stop(&mut self, node: usize) {
        if let Some(mut process) = self.members.get_mut(node).and_then(|member| member.process.take()) {
            process.stop();
        }
    }

    /// Starts a node again unless it runs; does not wait.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        let member = self.members.get_mut(node).context("a node")?;
        if member.process.as_mut().is_none_or(|process| !process.lives()) {
            member.process = Some(member.place.start(&[])?);
        }
        Ok(())
    }

    /// Waits until a started node serves.
    pub fn ready(&mut self, node: usize) -> Result<()> {
        let process = self.members.get_mut(node).and_then(|member| member.process.as_mut());
        process.context("it does not run")?.ready()
    }

    /// Stops a node where it stands; whether it does.
    pub fn pause(&self, node: usize) -> Result<bool> {
        let Some(process) = &self.member(node)?.process else { return Ok(false) };
        process.signal(Signal::STOP)?;
        let end = Instant::now() + Duration::from_secs(2);
        while !process.is_paused() && Instant::now() < end {
            thread::park_timeout(LOOK_INTERVAL / 10);
        }
        Ok(process.is_paused())
    }

    /// Lets a node go on.
    pub fn resume(&self, node: usize) {
        if let Some(process) = self.members.get(node).and_then(|member| member.process.as_ref()) {
            // It may have been killed meanwhile.
            let _ = process.signal(Signal::CONT);
        }
    }

    /// Nodes that ended by themselves: with their names. A fault never makes a node end.
    pub fn fallen(&mut self) -> Vec<String> {
        let ended = |member: &mut Member| member.process.as_mut().is_some_and(|process| !process.lives());
        self.members.iter_mut().filter_map(|member| ended(member).then(|| member.name.clone())).collect()
    }

    // The network.

    /// Nothing from one node arrives at the other.
    pub fn cut(&self, from: usize, to: usize) -> Result<()> {
        self.network.cut(from, to)
    }

    /// Every cut ends; how many packets they dropped.
    pub fn mend(&self) -> Result<u64> {
        self.network.mend()
    }

    /// Packets from the other nodes are lost by chance or come late.
    pub fn disturb(&mut self, node: usize, lost: f64, delay: Option<(Duration, Duration)>) -> Result<()> {
        if let Some((delay, jitter)) = delay {
            let mut command = inside(&self.network.namespace(node))?;
            command.args(["hold", &delay.as_millis().to_string(), &jitter.as_millis().to_string(), "7"]);
            let holder = command.stdout(Stdio::null()).spawn()?;
            self.members.get_mut(node).context("a node")?.holder = Some(holder);
        }
        self.network.disturb(node, lost, delay.is_some())
    }

    /// Ends [`Self::disturb`]; how many packets it met.
    pub fn calm(&mut self, node: usize) -> Result<u64> {
        let met = self.network.calm(node)?;
        let holder = self.members.get_mut(node).and_then(|member| member.holder.take());
        holder.into_iter().for_each(end_helper);
        Ok(met)
    }

    // Disks and clocks.

    /// A node's small disk.
    pub fn disk(&self, node: usize) -> Option<&Disk> {
        self.disks.get(node)
    }

    /// Sets a node's clock off by so many seconds. False where clocks are not played with.
    pub fn set_clock(&self, node: usize, offset_seconds: i64) -> Result<bool> {
        let Some(file) = &self.member(node)?.place.clock else { return Ok(false) };
        // In one step: the library reads it at any moment.
        let draft = file.with_extension("draft");
        fs::write(&draft, format!("{offset_seconds:+}\n"))?;
        fs::rename(draft, file)?;
        Ok(true)
    }

    /// How far a node's clock seems off to others, milliseconds.
    pub fn clock_offset(&self, asked: usize, node: usize) -> Option<i64> {
        let output = self.cli(asked, &["status", "--json"], "")?;
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let row = status["nodes"].as_array()?.iter().find(|row| row["name"] == self.name(node))?;
        row["clock_offset_ms"].as_i64()
    }

    // Membership.

    /// The names of the nodes that belong, as one of them says.
    pub fn belonging(&self, asked: usize) -> Option<BTreeSet<String>> {
        Some(self.view(asked)?.nodes.into_iter().collect())
    }

    /// Kills a removed node and forgets its data.
    pub fn wipe(&mut self, node: usize) -> Result<()> {
        self.kill(node);
        let data = &self.member(node)?.place.data;
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }

    /// Undoes everything: cuts, delays, pauses, ballast, clocks, dead processes.
    pub fn heal(&mut self) -> Result<()> {
        self.mend()?;
        for node in 0..self.size() {
            self.calm(node)?;
            self.resume(node);
            if let Some(disk) = self.disk(node) {
                disk.free();
            }
            self.set_clock(node, 0)?;
            self.restart(node)?;
        }
        Ok(())
    }

    /// Where the logs of the nodes are.
    pub fn store(&self) -> &Path {
        &self.options.store
    }
}

/// This program inside a namespace; ends with the harness.
fn inside(namespace: &str) -> Result<Command> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL", "--"]);
    command.arg(std::env::current_exe()?).stdin(Stdio::null());
    Ok(command)
}

fn end_helper(mut helper: Child) {
    let _ = helper.kill();
    let _ = helper.wait();
}

impl Drop for World {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.process.take();
            member.holder.take().into_iter().for_each(end_helper);
        }
        self.helpers.drain(..).for_each(end_helper);
        self.disks.clear();
        if !self.options.keep {
            // What is left is under /tmp.
            let _ = fs::remove_dir_all(&self.base);
        }
    }
}

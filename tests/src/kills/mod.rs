//! A node is killed with SIGKILL again and again while clients work; nothing acknowledged may be lost or doubled.
//!
//! Clients note what was acknowledged and what was in flight. After each restart the mailboxes are read and compared:
//! acknowledged ⊆ present ⊆ attempted, each once; flags and folders likewise (I1, I6, I7).

mod history;
mod verify;
mod work;

pub use history::History;
pub use verify::{Extent, verify};
pub use work::{Endpoints, Load, Users};

use crate::node::Node;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What to do.
pub struct Campaign {
    /// The node's data directory.
    pub directory: PathBuf,
    /// How often to kill.
    pub kills: u64,
    /// Decides the moments.
    pub seed: u64,
    /// Accounts, each with two clients.
    pub users: usize,
}

/// How it went.
pub struct Report {
    /// Kills made.
    pub kills: u64,
    /// Messages acknowledged.
    pub acknowledged: usize,
    /// Flags acknowledged.
    pub flagged: usize,
    /// Folders acknowledged.
    pub folders: usize,
    /// Everything that was not as it must be.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for wrong in &self.wrong {
            writeln!(out, "WRONG: {wrong}")?;
        }
        let Report { kills, acknowledged, flagged, folders, wrong } = self;
        let wrong = wrong.len();
        write!(
            out,
            "{kills} kills: {acknowledged} messages, {flagged} flags, {folders} folders acknowledged; {wrong} wrong"
        )
    }
}

/// Starts, loads, kills and checks, until the count is reached or something is wrong. `progress` gets a line now and then.
///
/// # Errors
/// When a node does not start or does not answer after a start.
pub fn run(campaign: &Campaign, progress: impl Fn(String)) -> io::Result<Report> {
    let users = Users { domain: "example.org".into(), password: "kills-secret".into(), count: campaign.users };
    let history = History::default();
    let mut node = Node::start(&campaign.directory)?;
    (0..users.count).for_each(|user| node.add_account(&users.address(user), &users.password));
    let mut random = campaign.seed;
    let mut wrong = Vec::new();
    let mut kills = 0;
    while kills < campaign.kills && wrong.is_empty() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let load = Duration::from_micros(10_000 + (random >> 33) % 400_000);
        load_and_kill(&mut node, load, &users, &history);
        kills += 1;
        drop(node);
        node = Node::start(&campaign.directory)?;
        // Every check reads what is new; now and then, and at the end, everything is read again.
        let all = kills.is_multiple_of(50) || kills == campaign.kills;
        let extent = if all { Extent::All } else { Extent::New };
        wrong = verify::verify(endpoints(&node), &users, &history, extent)?;
        if kills.is_multiple_of(20) {
            progress(format!("{kills} of {}: {} messages", campaign.kills, history.with(|h| h.acknowledged.len())));
        }
    }
    Ok(history.with(|history| Report {
        kills,
        acknowledged: history.acknowledged.len(),
        flagged: history.flagged.len(),
        folders: history.folders.len(),
        wrong,
    }))
}

fn endpoints(node: &Node) -> Endpoints {
    Endpoints { smtp: node.address("smtp"), imap: node.address("imap") }
}

fn load_and_kill(node: &mut Node, load: Duration, users: &Users, history: &History) {
    let at = endpoints(node);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = scope.spawn(|| work::work_until(&stop, at, users, history));
        thread::park_timeout(load);
        node.kill();
        // A client that was just connecting would otherwise not notice.
        stop.store(true, Ordering::Relaxed);
        drop(clients.join());
    });
}

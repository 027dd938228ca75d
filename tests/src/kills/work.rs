//! The clients: deliver by SMTP, append, flag, copy and create folders by IMAP, until the node is gone or told to stop.

use super::history::{COPIES, History};
use clients::imap::Imap;
use clients::smtp::Smtp;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a client waits for a silent server before it goes elsewhere.
const SILENCE: Duration = Duration::from_secs(15);

/// Between a failure and the next connection.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Where the node listens.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// SMTP.
    pub smtp: SocketAddr,
    /// IMAP.
    pub imap: SocketAddr,
}

/// The accounts the clients use: `u0@domain` and up, all with one password.
#[derive(Clone, Debug)]
pub struct Users {
    /// Their domain.
    pub domain: String,
    /// Their password.
    pub password: String,
    /// How many.
    pub count: usize,
}

impl Users {
    /// The address of one.
    pub fn address(&self, user: usize) -> String {
        format!("u{user}@{}", self.domain)
    }
}

/// Runs two clients per user until `stop` is set or the node is gone.
pub fn work_until(stop: &AtomicBool, at: Endpoints, users: &Users, history: &History) {
    thread::scope(|scope| {
        for user in 0..users.count {
            // An error ends a client: the node was killed. What was in flight stays attempted, not acknowledged.
            scope.spawn(move || drop(deliver(stop, at, users, user, history)));
            scope.spawn(move || drop(append_flag_create(stop, at, users, user, history)));
        }
    });
}

/// Clients that work on until they are told to stop: when one node fails them they go to the next.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    /// Two clients per user, spread over the nodes.
    pub fn start(nodes: Vec<Endpoints>, users: Users, history: Arc<History>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new((nodes, users, history));
        let clients = (0..2 * shared.1.count).map(|client| {
            let (stop, shared) = (Arc::clone(&stop), Arc::clone(&shared));
            thread::spawn(move || {
                let (nodes, users, history) = &*shared;
                work_anywhere(&stop, nodes, client, users, history);
            })
        });
        Load { clients: clients.collect(), stop }
    }

    /// Tells the clients to stop and waits until they have.
    ///
    /// # Panics
    /// When one of them has.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().expect("a client does not panic"));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work_anywhere(stop: &AtomicBool, nodes: &[Endpoints], client: usize, users: &Users, history: &History) {
    let work = if client.is_multiple_of(2) { deliver } else { append_flag_create };
    for at in nodes.iter().cycle().skip(client % nodes.len()) {
        // An error means that this node cannot serve now. What was in flight stays attempted, not acknowledged.
        let _ = work(stop, *at, users, client / 2, history);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::park_timeout(BACK_OFF);
    }
}

fn message(id: u64) -> Vec<u8> {
    // Some bodies ride inside the log, some beside it.
    let filler = if id.is_multiple_of(16) { 60_000 } else { 600 };
    let mut text = format!("From: <a@elsewhere.test>\r\nSubject: id-{id}-\r\n\r\n").into_bytes();
    while text.len() < filler {
        text.extend(format!("line of message {id} at {}\r\n", text.len()).as_bytes());
    }
    text
}

fn deliver(stop: &AtomicBool, at: Endpoints, users: &Users, user: usize, history: &History) -> io::Result<()> {
    let mut smtp = Smtp::connect_patiently(at.smtp, SILENCE)?;
    smtp.command("EHLO client.invalid")?.expect(250)?;
    while !stop.load(Ordering::Relaxed) {
        let id = history.with(|history| history.attempt(user));
        let reply = smtp.deliver("a@elsewhere.test", &[&users.address(user)], &message(id))?;
        if reply.code == 250 {
            history.with(|history| history.acknowledged.insert(id));
        }
    }
    Ok(())
}

fn append_flag_create(
    stop: &AtomicBool,
    at: Endpoints,
    users: &Users,
    user: usize,
    history: &History,
) -> io::Result<()> {
    let mut imap = Imap::connect_patiently(at.imap, SILENCE)?;
    imap.login(&users.address(user), &users.password)?;
    // Mostly it exists.
    imap.command(&format!("CREATE {COPIES}"))?;
    imap.ok("SELECT INBOX")?;
    while !stop.load(Ordering::Relaxed) {
        let id = history.with(|history| history.attempt(user));
        let answer = imap.append("INBOX", "", &message(id))?;
        if answer.status.starts_with("OK") {
            history.with(|history| history.acknowledged.insert(id));
            if let Some(uid) = appended_uid(&answer.status) {
                flag(&mut imap, uid, id, history)?;
                if id.is_multiple_of(4) && imap.command(&format!("UID COPY {uid} {COPIES}"))?.status.starts_with("OK") {
                    history.with(|history| history.copied.insert(id));
                }
            }
        }
        if id.is_multiple_of(8) {
            let name = format!("folder-{id}");
            if imap.command(&format!("CREATE {name}"))?.status.starts_with("OK") {
                history.with(|history| history.folders.insert((user, name)));
            }
        }
    }
    Ok(())
}

fn flag(imap: &mut Imap, uid: u32, id: u64, history: &History) -> io::Result<()> {
    history.with(|history| history.flag_attempted.insert(id));
    if imap.command(&format!("UID STORE {uid} +FLAGS (\\Flagged)"))?.status.starts_with("OK") {
        history.with(|history| history.flagged.insert(id));
    }
    Ok(())
}

fn appended_uid(status: &str) -> Option<u32> {
    status.split("APPENDUID ").nth(1)?.split([' ', ']']).nth(1)?.parse().ok()
}

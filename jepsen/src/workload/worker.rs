//! One client thread of a workload: bound to a node until something goes wrong, then it goes to another. Each of its
//! operations is recorded; after one of unknown end it goes on as a new process, as Jepsen's do.

use crate::client::Access;
use crate::client::mailbox::Mailbox;
use crate::client::outcome::Outcome;
use crate::client::submission::Submission;
use crate::history::{Entry, Kind, Recorder, Value};
use std::sync::Arc;

/// A client.
pub struct Worker {
    /// The way to the nodes.
    pub access: Access,
    /// Its choices.
    pub random: fastrand::Rng,
    /// The node it talks to.
    pub node: usize,
    /// Which of its workload's clients it is.
    pub number: usize,
    recorder: Arc<Recorder>,
    workload: &'static str,
    process: u64,
    mailbox: Option<(String, Mailbox)>,
    submission: Option<Submission>,
}

impl Worker {
    /// A client that begins at a node.
    pub fn new(access: Access, recorder: Arc<Recorder>, workload: &'static str, number: usize, seed: u64) -> Worker {
        let process = recorder.process();
        let node = number % access.doors.nodes;
        let random = fastrand::Rng::with_seed(seed);
        Worker { access, random, node, number, recorder, workload, process, mailbox: None, submission: None }
    }

    /// Does one operation and records it. Its result, when it was done.
    pub fn record(
        &mut self,
        f: &'static str,
        value: Value,
        action: impl FnOnce(&mut Worker) -> Outcome<Value>,
    ) -> Option<Value> {
        let (process, node) = (self.process, self.node);
        let (workload, recorder) = (self.workload, Arc::clone(&self.recorder));
        let entry = |kind, value, error| Entry { process, kind, workload, f, value, time: 0, node, error };
        recorder.note(entry(Kind::Invoke, value.clone(), None));
        match action(self) {
            Outcome::Ok(result) => {
                recorder.note(entry(Kind::Ok, result.clone(), None));
                return Some(result);
            }
            Outcome::Fail(why) => {
                let plain = why.contains("[MODIFIED") || why.starts_with("nothing");
                recorder.note(entry(Kind::Fail, value, Some(why)));
                if !plain {
                    self.move_on();
                }
            }
            Outcome::Unknown(why) => {
                recorder.note(entry(Kind::Info, value, Some(why)));
                self.process = self.recorder.process();
                self.move_on();
            }
        }
        None
    }

    /// Leaves its sessions and chooses a node.
    pub fn move_on(&mut self) {
        self.mailbox = None;
        self.submission = None;
        self.node = self.random.usize(0..self.access.doors.nodes);
    }

    /// Goes to a node with new sessions.
    pub fn go_to(&mut self, node: usize) {
        self.move_on();
        self.node = node;
    }

    /// Whether its session, if any, has heard that answers may be stale.
    pub fn leave_if_stale(&mut self) {
        if self.mailbox.as_ref().is_some_and(|(_, mailbox)| mailbox.is_stale()) {
            self.move_on();
        }
    }

    /// Its IMAP session as a user.
    pub fn mailbox(&mut self, user: &str) -> Outcome<&mut Mailbox> {
        if self.mailbox.as_ref().is_none_or(|(owner, _)| owner != user) {
            match Mailbox::open(&self.access, self.node, user) {
                Outcome::Ok(mailbox) => self.mailbox = Some((user.to_owned(), mailbox)),
                Outcome::Fail(why) | Outcome::Unknown(why) => return Outcome::Fail(why),
            }
        }
        match &mut self.mailbox {
            Some((_, mailbox)) => Outcome::Ok(mailbox),
            None => Outcome::Fail("no session".to_owned()),
        }
    }

    /// Its SMTP session: of a user that sends to elsewhere, or nobody's.
    pub fn submission(&mut self, user: Option<&str>) -> Outcome<&mut Submission> {
        if self.submission.is_none() {
            let opened = match user {
                Some(user) => Submission::open_as(&self.access, self.node, user),
                None => Submission::open(&self.access, self.node),
            };
            match opened {
                Outcome::Ok(session) => self.submission = Some(session),
                Outcome::Fail(why) | Outcome::Unknown(why) => return Outcome::Fail(why),
            }
        }
        match &mut self.submission {
            Some(session) => Outcome::Ok(session),
            None => Outcome::Fail("no session".to_owned()),
        }
    }
}

//! A client's side of one IMAP connection: commands in, what the server said out. Everything it says is checked against
//! what the server may say by now, before anybody looks at it.

use super::line::Line;
use super::reader::{Code, Response, Status, Untagged, next_response};
use super::{Service, connect, name_of};
use crate::sim::checks::heard::Before;
use crate::sim::executor;
use crate::sim::network::Machine;
use crate::sim::world::World;
use cluster::runtime::timeout;
use model::AccountId;
use std::sync::Arc;
use std::time::Duration;

/// A connection of somebody who has logged in.
pub struct ImapClient {
    world: Arc<World>,
    machine: Machine,
    account: AccountId,
    line: Line,
    come: Vec<u8>,
    tags: u32,
}

/// What a server said to one command.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: Status,
    /// The code of its end.
    pub code: Option<Code>,
    /// What was told before, in order.
    pub told: Vec<Untagged>,
}

impl Answer {
    /// Whether it is done, and what was told is the truth of now.
    pub fn is_fresh(&self) -> bool {
        self.status == Status::Ok && !self.is_stale()
    }

    /// Whether the server said that what it tells may be old.
    pub fn is_stale(&self) -> bool {
        self.told.contains(&Untagged::Stale)
    }

    /// The value of the code of this name.
    pub fn code(&self, name: &str) -> Option<&str> {
        self.code.as_ref().filter(|code| code.name == name).map(|code| code.value.as_str())
    }

    /// A number that was told by name.
    pub fn number(&self, name: &str) -> Option<u64> {
        let mut numbers = self.told.iter().flat_map(|told| match told {
            Untagged::Numbers(numbers) => numbers.as_slice(),
            _ => &[],
        });
        numbers.find(|(known, _)| known == name).map(|(_, number)| *number)
    }
}

impl ImapClient {
    /// Connects to a machine and logs in; `None` when that does not succeed in time.
    pub async fn log_in(world: &Arc<World>, machine: Machine, account: AccountId, patience: Duration) -> Option<Self> {
        let line = connect(world, machine, Service::Imap)?;
        let mut client = ImapClient { world: world.clone(), machine, account, line, come: Vec::new(), tags: 0 };
        let logged_in = async {
            client.response().await?;
            let login = format!("LOGIN {} anything", name_of(account));
            let answer = client.exchange(&login, None).await.filter(|answer| answer.status == Status::Ok)?;
            drop(answer);
            client.exchange("ENABLE QRESYNC", None).await.filter(|answer| answer.status == Status::Ok)
        };
        timeout(patience, logged_in).await.ok().flatten()?;
        Some(client)
    }

    /// Where it is connected.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Gives a command and waits so long for its end; `None` when the connection is of no use any more: what became of the
    /// command is not known. With `Before` comes what was known when it was given.
    pub async fn command(&mut self, text: &str, patience: Duration) -> Option<(Answer, Before)> {
        self.command_with(text, None, patience).await
    }

    /// A command that ends with a literal; `waits` for the server to ask for it, or not (RFC 7888).
    pub async fn command_with(
        &mut self,
        text: &str,
        literal: Option<(&[u8], bool)>,
        patience: Duration,
    ) -> Option<(Answer, Before)> {
        let before = Before::now(&self.world, self.account, self.machine);
        let world = self.world.clone();
        match timeout(patience, self.exchange(text, literal)).await {
            Ok(Some(answer)) => {
                executor::current().note("answered");
                world.book.lock().commands += 1;
                before.check(&world, &answer);
                Some((answer, before))
            }
            _ => None,
        }
    }

    async fn exchange(&mut self, text: &str, literal: Option<(&[u8], bool)>) -> Option<Answer> {
        self.tags += 1;
        let tag = format!("A{}", self.tags);
        let mut told = Vec::new();
        match literal {
            None => self.send(format!("{tag} {text}\r\n").into_bytes()).await?,
            Some((bytes, waits)) => {
                let plus = if waits { "" } else { "+" };
                let mut sent = format!("{tag} {text} {{{}{plus}}}\r\n", bytes.len()).into_bytes();
                if waits {
                    self.send(std::mem::take(&mut sent)).await?;
                    loop {
                        match self.response().await? {
                            Response::Continue => break,
                            Response::Untagged(Untagged::Bye) => return None,
                            Response::Untagged(untagged) => told.push(untagged),
                            Response::Tagged { status, code, .. } => return Some(Answer { status, code, told }),
                        }
                    }
                }
                sent.extend_from_slice(bytes);
                sent.extend_from_slice(b"\r\n");
                self.send(sent).await?;
            }
        }
        loop {
            match self.response().await? {
                Response::Tagged { tag: ended, status, code } if ended == tag => {
                    return Some(Answer { status, code, told });
                }
                Response::Untagged(Untagged::Bye) => return None,
                Response::Untagged(untagged) => told.push(untagged),
                Response::Continue | Response::Tagged { .. } => {}
            }
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Option<()> {
        self.line.send(bytes).await.then_some(())
    }

    async fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = next_response(&mut self.come) {
                return Some(response);
            }
            self.come.extend_from_slice(&self.line.receive().await?);
        }
    }
}

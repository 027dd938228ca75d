//! Somebody who sends letters over SMTP to one or both of the accounts that are used through sessions, each again until it
//! is taken: what comes after an unknown outcome is another message, which may be the second copy.

use super::line::Line;
use super::user::write;
use super::{Service, accounts, connect, name_of};
use crate::sim::checks::minority::Alone;
use crate::sim::executor;
use crate::sim::random::Random;
use crate::sim::world::World;
use cluster::runtime::{sleep, timeout};
use model::{AccountId, Reply};
use std::sync::Arc;
use std::time::Duration;

/// How often a letter is given to a server before its writer gives up.
const TRIES_MAX: u64 = 4;

/// See the module.
pub struct Sender {
    world: Arc<World>,
    number: u64,
    random: Random,
}

/// What became of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Taken,
    /// It may be there.
    Unknown,
    /// It is not.
    Refused,
}

impl Sender {
    /// A sender.
    pub fn new(world: &Arc<World>, number: u64) -> Self {
        let random = world.random.lock().fork();
        Sender { world: world.clone(), number, random }
    }

    /// Sends so many letters.
    pub async fn run(mut self, letters: u64) {
        for _ in 0..letters {
            let pause = Duration::from_millis(self.random.range(1, 1_200));
            sleep(pause).await;
            let [first, second] = accounts();
            let to = match self.random.below(3) {
                0 => vec![second],
                1 => vec![first, second],
                _ => vec![first],
            };
            self.send(&to).await;
        }
    }

    async fn send(&mut self, to: &[AccountId]) {
        let (number, bytes) = write(&self.world, &mut self.random, self.number);
        for _ in 0..TRIES_MAX {
            let machine = self.world.any_machine();
            let Some(line) = connect(&self.world, machine, Service::Smtp) else {
                sleep(Duration::from_millis(self.random.range(5, 200))).await;
                continue;
            };
            to.iter().for_each(|account| self.world.book.lock().letters.begin(*account, number, &bytes));
            let before = Alone::now(&self.world, machine);
            let patience = Duration::from_millis(self.random.range(800, 9_500));
            let mut conversation = Conversation { line, come: Vec::new(), has_sent: false };
            let sent = timeout(patience, conversation.send(to, &bytes)).await.unwrap_or(None);
            match sent.unwrap_or(if conversation.has_sent { Sent::Unknown } else { Sent::Refused }) {
                Sent::Taken => {
                    before.check_acknowledged(&self.world, &Reply::Done);
                    self.taken(to, number);
                    return;
                }
                Sent::Unknown => self.world.book.lock().unknown += 1,
                Sent::Refused => {
                    to.iter().for_each(|account| self.world.book.lock().letters.refused(*account, number));
                }
            }
        }
    }

    fn taken(&self, to: &[AccountId], number: u64) {
        executor::current().note("taken");
        let mut book = self.world.book.lock();
        book.commands += 1;
        to.iter().for_each(|account| book.letters.acknowledged(*account, number));
    }
}

/// One connection.
struct Conversation {
    line: Line,
    come: Vec<u8>,
    /// The whole message has left, with its last dot.
    has_sent: bool,
}

impl Conversation {
    /// Sends one message; `None` when the connection is lost.
    async fn send(&mut self, to: &[AccountId], bytes: &[u8]) -> Option<Sent> {
        let mut commands = vec!["EHLO client.example.net".to_owned(), "MAIL FROM:<somebody@example.net>".to_owned()];
        commands.extend(to.iter().map(|account| format!("RCPT TO:<{}@example.org>", name_of(*account))));
        commands.push("DATA".to_owned());
        self.reply().await?;
        for command in commands {
            self.say(format!("{command}\r\n").into_bytes()).await?;
            if self.reply().await? >= 400 {
                return Some(Sent::Refused);
            }
        }
        let stuffed = String::from_utf8_lossy(bytes).replace("\r\n.", "\r\n..");
        self.has_sent = true;
        self.say(format!("{stuffed}.\r\n").into_bytes()).await?;
        let outcome = match self.reply().await? {
            200..300 => Sent::Taken,
            400..500 => Sent::Unknown,
            _ => Sent::Refused,
        };
        Some(outcome)
    }

    async fn say(&mut self, bytes: Vec<u8>) -> Option<()> {
        self.line.send(bytes).await.then_some(())
    }

    /// The code of the next reply.
    async fn reply(&mut self) -> Option<u16> {
        loop {
            while let Some(end) = self.come.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.come.drain(..end + 2).collect();
                if line.get(3) != Some(&b'-') {
                    return std::str::from_utf8(line.get(..3)?).ok()?.parse().ok();
                }
            }
            self.come.extend_from_slice(&self.line.receive().await?);
        }
    }
}

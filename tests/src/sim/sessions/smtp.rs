//! The machine's side of an SMTP connection: feeds `protocols::smtp::server` and answers what it asks, as
//! `node/src/smtp/session.rs` and `reception.rs` do. All recipients of a message live in one shard, so its delivery is one
//! entry; what `node` gives to several shards goes through the queue, which is simulated elsewhere.

use super::account_of;
use super::arriving::Arriving;
use super::here::Here;
use super::line::Line;
use crate::sim::world::shard_of;
use cluster::ProposeError;
use model::mailbox::{LocalRecipient, MailboxCommand};
use model::reply::Delivered;
use model::{AccountId, BodyRef, Command, MessageId};
use node::limits::ACCEPT_PATIENCE;
use node::services::propose::propose_until;
use protocols::smtp::server::{Config, Event, NotAwaited, Server, Service, Tls, Verdict};
use protocols::smtp::{EnhancedCode, Envelope, Reply, received};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

const HOSTNAME: &str = "mx.example.org";
/// More than any message here has.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Talks until the client is gone.
pub async fn serve(line: Line, here: Here) {
    let config = Config {
        hostname: HOSTNAME.into(),
        service: Service::Mx,
        message_bytes_max: MESSAGE_BYTES_MAX,
        tls: Tls::Absent,
        peer_is_loopback: false,
        auth: None,
    };
    Driver { line, here, machine: Server::new(config), recipients: BTreeSet::new(), coming: None }.run().await;
}

struct Driver {
    line: Line,
    here: Here,
    machine: Server,
    recipients: BTreeSet<AccountId>,
    coming: Option<(MessageId, io::Result<Arriving>)>,
}

impl Driver {
    async fn run(mut self) {
        loop {
            while let Some(event) = self.machine.poll() {
                if !self.act(event).await {
                    return;
                }
            }
            let Some(bytes) = self.line.receive().await else { return };
            let mut taken = 0;
            while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
                match self.machine.handle_input(rest) {
                    0 => return,
                    count => taken += count,
                }
                while let Some(event) = self.machine.poll() {
                    if !self.act(event).await {
                        return;
                    }
                }
            }
        }
    }

    /// Does one thing; false when the session is over.
    async fn act(&mut self, event: Event) -> bool {
        let answered = match event {
            Event::Write(bytes) => return self.line.send(bytes).await,
            Event::CheckMail(_) => {
                self.recipients.clear();
                self.machine.answer_mail(Verdict::Accept)
            }
            Event::CheckRecipient(recipient) => match account_of(recipient.address.local_part()) {
                Some(account) => {
                    self.recipients.insert(account);
                    self.machine.answer_recipient(Verdict::Accept)
                }
                None => {
                    let refusal = Reply::new(550, EnhancedCode::new(5, 1, 1), "No such user here");
                    self.machine.answer_recipient(Verdict::Refuse(refusal))
                }
            },
            Event::DataStart(envelope) => self.begin(&envelope).await,
            Event::DataChunk(bytes) => {
                if let Some((_, Ok(arriving))) = &mut self.coming
                    && let Err(error) = arriving.take(&bytes).await
                {
                    self.coming = self.coming.take().map(|(id, _)| (id, Err(error)));
                }
                Ok(())
            }
            Event::DataEnd { .. } => {
                let verdict = self.end().await;
                self.machine.answer_data_end(vec![verdict])
            }
            Event::DataAbort(_) => {
                self.coming = None;
                Ok(())
            }
            Event::HeaderEnd(_) | Event::Fact(_) => Ok(()),
            Event::StartTls | Event::CheckPassword { .. } | Event::NeedScram { .. } => Err(NotAwaited),
            Event::Close(_) => return false,
        };
        answered.is_ok()
    }

    /// Puts the trace fields in front.
    async fn begin(&mut self, envelope: &Envelope) -> Result<(), NotAwaited> {
        let Some(first) = self.recipients.first() else { return Err(NotAwaited) };
        let id = self.here.proposer.operation();
        let received = received::header(&received::Received {
            helo: &envelope.helo,
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            peer_name: None,
            by: HOSTNAME,
            transport: envelope.transport,
            tls: None,
            id: &id.to_hex(),
            recipient: None,
            time: i64::try_from(self.here.proposer.clock.now() / 1000).unwrap_or_default(),
        });
        let mut arriving = Arriving::new(&self.here.cluster, shard_of(*first));
        let fields = received::return_path(envelope.mail.sender.as_ref()) + &received;
        let begun = arriving.take(fields.as_bytes()).await.map(|()| arriving);
        self.coming = Some((id, begun));
        self.machine.answer_data_start(Verdict::Accept)
    }

    /// All bytes are here.
    async fn end(&mut self) -> Verdict {
        let finished = match self.coming.take() {
            Some((id, Ok(arriving))) => arriving.finish().await.map(|body| (id, body)),
            Some((_, Err(error))) => Err(error),
            None => Err(io::Error::other("no message has come")),
        };
        match finished {
            Ok((id, body)) => self.deliver(id, body).await,
            Err(_) => Verdict::Refuse(Reply::try_later("The message cannot be stored now, try again later")),
        }
    }

    /// The message's id is that of its delivery, so that no mailbox gets it twice (I7).
    async fn deliver(&mut self, message: MessageId, body: BodyRef) -> Verdict {
        let accounts: Vec<AccountId> = std::mem::take(&mut self.recipients).into_iter().collect();
        let Some(first) = accounts.first().copied() else {
            return Verdict::Refuse(Reply::try_later("The recipients are lost"));
        };
        let recipients: Vec<_> =
            accounts.iter().map(|account| LocalRecipient { account: *account, folder: None }).collect();
        let command = Command::Mailbox(MailboxCommand::Deliver { message, body, recipients });
        let (cluster, shard) = (self.here.cluster.clone(), shard_of(first));
        let _hold = cluster.hold(&command);
        for _ in 0..2 {
            let operation = self.here.proposer.operation();
            match propose_until(&cluster, shard, operation, command.clone(), ACCEPT_PATIENCE).await {
                Ok(model::Reply::Delivered(each)) if each.iter().all(|one| matches!(one, Delivered::In { .. })) => {
                    return Verdict::AcceptWith(format!("Ok, message {}", message.to_hex()).into());
                }
                // Some shard was not told of an account yet.
                Ok(model::Reply::Delivered(each)) if each.contains(&Delivered::NoAccount) => {
                    for account in &accounts {
                        if self.here.create_account(*account).await.is_err() {
                            return later();
                        }
                    }
                }
                Err(ProposeError::TooLarge { .. }) => {
                    return Verdict::Refuse(Reply::new(552, EnhancedCode::new(5, 3, 4), "The message is too large"));
                }
                _ => return later(),
            }
        }
        later()
    }
}

fn later() -> Verdict {
    Verdict::Refuse(Reply::new(451, EnhancedCode::new(4, 4, 0), "The message cannot be stored now, try again later"))
}

//! A driver of the client machine for tests: sends given messages one after the other, then quits, and notes results.

use protocols::smtp::client::{Client, CloseReason, Config, Event, Message, Outcome, TlsPolicy};
use std::collections::VecDeque;

/// A connection with everything it said and learned.
pub struct ClientDriver {
    /// The machine.
    pub client: Client,
    /// Written bytes that nobody took yet.
    pub written: Vec<u8>,
    /// Results of each message.
    pub results: Vec<Vec<Outcome>>,
    /// Why it closed.
    pub closed: Option<CloseReason>,
    /// A StartTls event waits for an answer.
    pub tls_pending: bool,
    messages: VecDeque<(Message, Vec<u8>)>,
    data: Vec<u8>,
    piece: usize,
}

/// A configuration for tests.
pub fn config(tls: TlsPolicy) -> Config {
    Config { hostname: "client.example.net".into(), lmtp: false, tls, peer_is_loopback: false, credentials: None }
}

impl ClientDriver {
    /// Will send `messages` with their contents in pieces of `piece` bytes.
    pub fn new(config: Config, messages: Vec<(Message, Vec<u8>)>, piece: usize) -> ClientDriver {
        ClientDriver {
            client: Client::new(config),
            written: Vec::new(),
            results: Vec::new(),
            closed: None,
            tls_pending: false,
            messages: messages.into(),
            data: Vec::new(),
            piece,
        }
    }

    /// Hands bytes of the host over in pieces of `size`.
    pub fn feed(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size.max(1)) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = self.client.handle_input(rest);
                rest = &rest[taken..];
                self.pump();
            }
        }
    }

    /// Does what the machine asks until it asks nothing more.
    pub fn pump(&mut self) {
        while let Some(event) = self.client.poll() {
            assert!(self.closed.is_none(), "{event:?} after close");
            match event {
                Event::Write(bytes) => self.written.extend(bytes),
                Event::StartTls => self.tls_pending = true,
                Event::Ready => match self.messages.pop_front() {
                    Some((message, data)) => {
                        self.data = data;
                        self.client.send(message).unwrap();
                    }
                    None => self.client.quit().unwrap(),
                },
                Event::NeedData if self.data.is_empty() => self.client.data_end().unwrap(),
                Event::NeedData => {
                    let rest = self.data.split_off(self.piece.min(self.data.len()));
                    let piece = std::mem::replace(&mut self.data, rest);
                    self.client.data(&piece).unwrap();
                }
                Event::Done(results) => self.results.push(results),
                Event::Close(reason) => self.closed = Some(reason),
            }
        }
    }
}

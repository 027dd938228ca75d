//! The machine's side of an IMAP connection: feeds `protocols::imap`, does what it wants in order, as
//! `node/src/imap/driver.rs` does. Nothing is listened for in IDLE: clients here ask for news.

use super::here::Here;
use super::line::Line;
use super::store::{Store, is_stale};
use bytes::BytesMut;
use protocols::imap::store::Request;
use protocols::imap::{Config, Output, Session};
use protocols::sasl::Material;

/// What `node` tells a client that reads while nobody leads.
const STALE: &[u8] = b"* OK [UNAVAILABLE] The other nodes are out of reach: this may be out of date\r\n";

/// More than any message here has.
const APPEND_BYTES_MAX: u64 = 1 << 20;

/// Talks until the client is gone.
pub async fn serve(line: Line, here: Here) {
    let config = Config {
        hostname: "mail.example.org".into(),
        tls: false,
        starttls: false,
        insecure_login: true,
        compress: false,
        append_bytes_max: APPEND_BYTES_MAX,
    };
    let machine = Box::new(Session::new(config));
    let driver = Driver { line, machine, store: Store::new(here), input: BytesMut::new(), output: Vec::new() };
    driver.run().await;
}

struct Driver {
    line: Line,
    machine: Box<Session>,
    store: Store,
    /// Bytes from the client that the machine has not taken yet.
    input: BytesMut,
    /// Bytes for the client that have not left yet.
    output: Vec<u8>,
}

impl Driver {
    async fn run(mut self) {
        while self.work().await {
            match self.line.receive().await {
                Some(bytes) => self.input.extend_from_slice(&bytes),
                None => return,
            }
        }
    }

    /// Does everything the machine wants with what has arrived; false when the session is over.
    async fn work(&mut self) -> bool {
        loop {
            if self.store.take_news() {
                self.machine.mailbox_changed();
            }
            self.machine.handle_input(&mut self.input);
            let Some(output) = self.machine.poll() else { return self.flush().await };
            if !self.carry_out(output).await {
                return false;
            }
        }
    }

    async fn flush(&mut self) -> bool {
        self.line.send(std::mem::take(&mut self.output)).await
    }

    async fn carry_out(&mut self, output: Output) -> bool {
        match output {
            Output::Write(bytes) => self.output.extend_from_slice(&bytes),
            Output::Call(request) => self.call(request).await,
            Output::AppendChunk(bytes) => self.store.append_chunk(&bytes).await,
            Output::AppendEnd => self.store.append_end().await,
            Output::AppendAbort => self.store.append_abort(),
            Output::NeedSaslMaterial => self.machine.sasl_material(Material::new(&[7; 18], [1; 32])),
            Output::CheckPassword { .. } => self.machine.password_result(Ok(true)),
            Output::NeedScram { .. } => self.machine.scram_keys(Ok(None)),
            Output::Close => {
                self.flush().await;
                return false;
            }
            Output::StartTls | Output::StartCompress => return false,
            Output::IdleStart | Output::IdleStop | Output::Yield => {}
        }
        true
    }

    async fn call(&mut self, request: Request) {
        let answer = match request {
            Request::Fetch(plan) => match self.store.fetch(plan).await {
                Ok((rendered, stale, answer)) => {
                    if stale {
                        self.output.extend_from_slice(STALE);
                    }
                    self.output.extend_from_slice(&rendered);
                    Ok(answer)
                }
                Err(error) => Err(error),
            },
            request => {
                let reads_changes = matches!(request, Request::Changes { .. });
                let answer = self.store.answer(request).await;
                if reads_changes && is_stale(&answer) {
                    self.output.extend_from_slice(STALE);
                }
                answer
            }
        };
        self.machine.reply(answer);
    }
}

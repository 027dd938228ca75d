//! The session: feeds input to the phase it is in, runs one command at a time, hands out what is to be done. What
//! commands mean stands in `command`; this file knows only the order of things.

mod input;

use std::collections::VecDeque;

use bytes::BytesMut;

use super::command::append::Append;
use super::command::authenticate::{Exchange, Turn};
use super::command::{Finish, News, Running, Step, capability, sync};
use super::core::{Config, Core};
use super::output::Output;
use super::parser::framing::Framer;
use super::store::{Reply, StoreError};
use crate::limits::imap::{BAD_COMMANDS_MAX, WRITE_BYTES_MAX};
use crate::sasl::{Material, ScramKeys};

/// One IMAP connection. See the module's documentation for how to drive it.
pub struct Session {
    core: Core,
    framer: Framer,
    phase: Phase,
    work: Option<Work>,
    queue: VecDeque<Output>,
    goodbye: Option<&'static str>,
    commands: u64,
}

/// What the next input means.
enum Phase {
    /// A command, or the rest of one.
    Line,
    /// Nothing: a command is running.
    Command { tag: String },
    /// DONE.
    Idle { tag: String },
    /// A line of a SASL exchange, when it is the client's turn.
    Sasl { tag: String, exchange: Box<Exchange>, clients_turn: bool },
    /// Messages of an APPEND.
    Append(Box<Append>),
    /// Plaintext that is to be thrown away (RFC 9051 section 6.2.1).
    StartTls,
    /// Nothing: what follows is compressed.
    StartCompress,
    /// Nothing any more; `Output::Close` is to come.
    Closing,
    /// Nothing any more.
    Over,
}

/// A command in progress.
enum Work {
    /// Waits for the store.
    Waiting(Box<dyn Running>),
    /// Has more to write.
    More(Box<dyn Running>),
}

impl Session {
    /// A connection just accepted; the greeting is the first output.
    pub fn new(config: Config) -> Self {
        let mut core = Core::new(config);
        let greeting = format!("OK [CAPABILITY {}] {} ready.", capability::capabilities(&core), core.config.hostname);
        core.line(&greeting);
        Self {
            core,
            framer: Framer::default(),
            phase: Phase::Line,
            work: None,
            queue: VecDeque::new(),
            goodbye: None,
            commands: 0,
        }
    }

    /// Takes what can be used now from the front of `input` and leaves the rest. Does nothing while an output or an
    /// answer is due.
    pub fn handle_input(&mut self, input: &mut BytesMut) {
        loop {
            self.produce();
            if !self.is_ready() || !self.take_input(input) {
                return;
            }
        }
    }

    /// The next thing to do; `None`: wait for input, an answer or an event.
    pub fn poll(&mut self) -> Option<Output> {
        self.produce();
        if !self.core.out.is_empty() {
            return Some(Output::Write(self.take_write()));
        }
        if let Some(output) = self.queue.pop_front() {
            return Some(output);
        }
        self.queue = VecDeque::new();
        if matches!(self.phase, Phase::Closing) {
            self.phase = Phase::Over;
            return Some(Output::Close);
        }
        None
    }

    /// Answers [`Output::Call`].
    pub fn reply(&mut self, reply: Result<Reply, StoreError>) {
        if let Phase::Append(append) = &mut self.phase {
            let next = append.reply(&self.core, reply);
            return self.append(next);
        }
        match self.work.take() {
            Some(Work::Waiting(running)) => {
                let step = running.reply(&mut self.core, reply);
                self.step(step);
            }
            other => self.work = other,
        }
    }

    /// Answers [`Output::NeedSaslMaterial`].
    pub fn sasl_material(&mut self, material: Material) {
        if let Phase::Sasl { exchange, .. } = &mut self.phase {
            let turn = exchange.material(&mut self.core, material);
            self.turn(turn);
        }
    }

    /// Answers [`Output::CheckPassword`]: whether it is the right one.
    pub fn password_result(&mut self, result: Result<bool, StoreError>) {
        if let Phase::Sasl { exchange, .. } = &mut self.phase {
            let turn = exchange.password_result(&mut self.core, result);
            self.turn(turn);
        }
    }

    /// Answers [`Output::NeedScram`]; `Ok(None)`: there is no such user.
    pub fn scram_keys(&mut self, keys: Result<Option<ScramKeys>, StoreError>) {
        if let Phase::Sasl { exchange, .. } = &mut self.phase {
            let turn = exchange.scram_keys(&mut self.core, keys);
            self.turn(turn);
        }
    }

    /// Answers [`Output::StartTls`]. What was left of plaintext input must not be handed in again.
    pub fn tls_started(&mut self) {
        if matches!(self.phase, Phase::StartTls) {
            self.core.tls = true;
            self.framer.clear();
            self.phase = Phase::Line;
        }
    }

    /// Answers [`Output::StartCompress`].
    pub fn compress_started(&mut self) {
        if matches!(self.phase, Phase::StartCompress) {
            self.core.compressed = true;
            self.phase = Phase::Line;
        }
    }

    /// The selected mailbox has changed, or may have.
    pub fn mailbox_changed(&mut self) {
        self.core.changed = true;
        self.tell_idler();
    }

    /// The client has been silent for too long; the driver keeps the clock. Ignored while the store is at work.
    pub fn timeout(&mut self) {
        if self.work.is_none() && !matches!(self.phase, Phase::Closing | Phase::Over) {
            self.say_goodbye("BYE Disconnected for inactivity");
        }
    }

    /// The server stops: says BYE as soon as the running command is over.
    pub fn shutdown(&mut self) {
        self.goodbye = Some("BYE [UNAVAILABLE] Server is shutting down");
        if matches!(self.phase, Phase::Line | Phase::Idle { .. } | Phase::Sasl { .. }) && self.work.is_none() {
            self.honour_goodbye();
        }
    }

    /// Whether the client is in IDLE.
    pub fn is_idling(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. })
    }

    /// Whether the client has logged in: the driver's idle timeout depends on it (RFC 9051 section 5.4).
    pub fn is_authenticated(&self) -> bool {
        self.core.authenticated
    }

    /// How many commands were read, APPEND aside.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Memory held in buffers, bytes; the snapshot aside.
    pub fn buffered_bytes(&self) -> usize {
        self.core.out.capacity() + self.framer.held_bytes() + self.queue.capacity() * size_of::<Output>()
    }

    fn is_ready(&self) -> bool {
        self.queue.is_empty() && self.work.is_none() && !self.core.is_full()
    }

    /// Lets the running command write as long as there is room.
    fn produce(&mut self) {
        while self.queue.is_empty() && !self.core.is_full() && matches!(self.work, Some(Work::More(_))) {
            if let Some(Work::More(running)) = self.work.take() {
                let step = running.resume(&mut self.core);
                self.step(step);
            }
        }
    }

    fn take_write(&mut self) -> Vec<u8> {
        if self.core.out.len() <= WRITE_BYTES_MAX {
            return std::mem::take(&mut self.core.out);
        }
        let rest = self.core.out.split_off(WRITE_BYTES_MAX);
        std::mem::replace(&mut self.core.out, rest)
    }

    fn turn(&mut self, turn: Turn) {
        let Phase::Sasl { tag, clients_turn, .. } = &mut self.phase else { return };
        match turn {
            Turn::Driver(output) => {
                *clients_turn = false;
                self.queue.push_back(output);
            }
            Turn::Client(line) => {
                *clients_turn = true;
                self.core.out.extend_from_slice(&line);
            }
            Turn::Over(step) => {
                self.phase = Phase::Command { tag: std::mem::take(tag) };
                self.step(step);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Finish(finish) => self.finish(finish),
            Step::Call(request, running) => {
                self.queue.push_back(Output::Call(request));
                self.work = Some(Work::Waiting(running));
            }
            Step::More(running) => self.work = Some(Work::More(running)),
            Step::Yield(running) => {
                self.queue.push_back(Output::Yield);
                self.work = Some(Work::More(running));
            }
            Step::Login { username, password } => {
                let (exchange, turn) = Exchange::login(username, password);
                self.begin_exchange(exchange, turn);
            }
            Step::Authenticate { mechanism, initial } => {
                match Exchange::authenticate(&mut self.core, &mechanism, initial) {
                    Ok((exchange, turn)) => self.begin_exchange(exchange, turn),
                    Err(step) => self.step(step),
                }
            }
            Step::Idle => {
                let tag = self.take_tag();
                self.core.write("+ idling\r\n");
                self.queue.push_back(Output::IdleStart);
                self.phase = Phase::Idle { tag };
                // What changed before the driver began to watch.
                self.mailbox_changed();
            }
            Step::StartTls(finish) => {
                self.write_tagged(&finish);
                self.queue.push_back(Output::StartTls);
                self.phase = Phase::StartTls;
            }
            Step::Compress(finish) => {
                self.write_tagged(&finish);
                self.queue.push_back(Output::StartCompress);
                self.phase = Phase::StartCompress;
            }
            Step::Close(finish) => {
                if !self.is_idling() {
                    self.write_tagged(&finish);
                }
                self.phase = Phase::Closing;
            }
        }
    }

    fn begin_exchange(&mut self, exchange: Exchange, turn: Turn) {
        let tag = self.take_tag();
        self.phase = Phase::Sasl { tag, exchange: Box::new(exchange), clients_turn: false };
        self.turn(turn);
    }

    fn take_tag(&mut self) -> String {
        match &mut self.phase {
            Phase::Command { tag } => std::mem::take(tag),
            _ => String::new(),
        }
    }

    /// A command is over, but for news of the mailbox.
    fn finish(&mut self, finish: Finish) {
        if self.is_idling() {
            // News told during IDLE; there may be more already.
            return self.after_command();
        }
        if sync::is_due(&self.core, &finish) {
            let step = sync::start(&mut self.core, finish);
            return self.step(step);
        }
        let bad = finish.status == "BAD";
        self.write_tagged(&finish);
        self.phase = Phase::Line;
        self.core.bad_commands = if bad { self.core.bad_commands + 1 } else { 0 };
        if self.core.bad_commands >= BAD_COMMANDS_MAX {
            return self.say_goodbye("BYE Too many invalid commands");
        }
        self.after_command();
    }

    fn after_command(&mut self) {
        if self.goodbye.is_some() {
            self.honour_goodbye();
        } else {
            self.tell_idler();
        }
    }

    fn tell_idler(&mut self) {
        if self.is_idling() && self.work.is_none() && self.core.changed && self.core.selected.is_some() {
            let step = sync::start(&mut self.core, Finish::ok("").news(News::Hold));
            self.step(step);
        }
    }

    /// It is not known where the client's next command begins.
    fn lose(&mut self, finish: Finish) {
        self.write_tagged(&finish);
        self.say_goodbye("BYE Cannot follow the input any more");
    }

    fn honour_goodbye(&mut self) {
        if let Some(text) = self.goodbye.take() {
            self.say_goodbye(text);
        }
    }

    fn say_goodbye(&mut self, text: &str) {
        self.leave_append();
        self.core.line(text);
        self.phase = Phase::Closing;
    }

    fn write_tagged(&mut self, finish: &Finish) {
        let tag = match &self.phase {
            Phase::Command { tag } => tag.as_str(),
            _ => "*",
        };
        let separator = if finish.code.is_empty() { "" } else { " " };
        let line = format!("{tag} {}{separator}{} {}\r\n", finish.status, finish.code, finish.text);
        self.core.write(&line);
    }
}

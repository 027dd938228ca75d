//! One connection without a socket: does what the session asks for, at once.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use bytes::BytesMut;
use protocols::imap::fetch::{self, FetchPlan, MessageFacts, RenderError, Sink};
use protocols::imap::search::{self, SearchPlan};
use protocols::imap::store::{Fetched, FlagNames, FolderId, Reply, Request, StoreError};
use protocols::imap::{Config, Output, Session};
use protocols::sasl::Material;

use super::account::{Account, Draft, Message, NOW};

/// A session with everything around it.
pub struct Connection {
    pub session: Session,
    pub account: Rc<RefCell<Account>>,
    /// What the client has been sent.
    pub sent: Vec<u8>,
    pub closed: bool,
    /// The greatest `Output::Write`.
    pub write_bytes_max: usize,
    input: BytesMut,
    selected: Option<FolderId>,
    drafts: Vec<Draft>,
    draft: Option<Draft>,
}

/// A listener with TLS to come, on a loopback address.
pub fn config() -> Config {
    Config {
        hostname: "mail.example.org".into(),
        tls: false,
        starttls: true,
        insecure_login: true,
        compress: true,
        append_bytes_max: 2_000_000,
    }
}

impl Connection {
    pub fn new(config: Config, account: Rc<RefCell<Account>>) -> Self {
        let mut connection = Self {
            session: Session::new(config),
            account,
            sent: Vec::new(),
            closed: false,
            write_bytes_max: 0,
            input: BytesMut::new(),
            selected: None,
            drafts: Vec::new(),
            draft: None,
        };
        connection.run();
        connection
    }

    /// The client sends bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.run();
    }

    /// A folder has changed.
    pub fn notify(&mut self, folder: FolderId) {
        if self.selected == Some(folder) {
            self.session.mailbox_changed();
            self.run();
        }
    }

    /// What was sent since the last call.
    pub fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent)
    }

    /// Works until the session waits.
    pub fn run(&mut self) {
        loop {
            self.session.handle_input(&mut self.input);
            match self.session.poll() {
                Some(output) => self.act(output),
                None => return,
            }
        }
    }

    fn act(&mut self, output: Output) {
        assert!(!self.closed, "output after Close: {output:?}");
        match output {
            Output::Write(bytes) => {
                assert!(!bytes.is_empty());
                self.write_bytes_max = self.write_bytes_max.max(bytes.len());
                self.sent.extend_from_slice(&bytes);
            }
            Output::Call(request) => {
                let reply = self.call(request);
                self.session.reply(reply);
            }
            Output::AppendChunk(chunk) => {
                assert!(!chunk.is_empty());
                self.draft.as_mut().expect("a message was begun").body.extend_from_slice(&chunk);
            }
            Output::AppendEnd => self.drafts.push(self.draft.take().expect("a message was begun")),
            Output::AppendAbort => {
                self.draft = None;
                self.drafts.clear();
            }
            Output::NeedSaslMaterial => self.session.sasl_material(Material::new(&[7; 18], [1; 32])),
            Output::CheckPassword { username, password, .. } => {
                let result =
                    if username == "busy" { Err(StoreError::Unavailable) } else { Ok(password.as_str() == "secret") };
                self.session.password_result(result);
            }
            Output::NeedScram { .. } => self.session.scram_keys(Ok(None)),
            Output::StartTls => {
                self.input.clear();
                self.session.tls_started();
            }
            Output::StartCompress => self.session.compress_started(),
            Output::IdleStart | Output::IdleStop | Output::Yield => {}
            Output::Close => self.closed = true,
        }
    }

    fn call(&mut self, request: Request) -> Result<Reply, StoreError> {
        let mut account = self.account.borrow_mut();
        if let Some(failure) = account.failure.take() {
            return Err(failure);
        }
        match request {
            Request::AppendStart { ref flags, internaldate, .. } => {
                let draft = Draft { flags: flags.clone(), internaldate: internaldate.unwrap_or(NOW), body: Vec::new() };
                let reply = account.answer(request)?;
                assert!(self.draft.replace(draft).is_none(), "the message before was not ended");
                Ok(reply)
            }
            Request::AppendCommit { mailbox } => account.append(&mailbox, std::mem::take(&mut self.drafts)),
            Request::Fetch(plan) => fetch_plan(&mut account, &plan, &mut self.sent),
            Request::Search(plan) => search_plan(&mut account, &plan),
            request => {
                let deselects = matches!(request, Request::Deselect { .. });
                let reply = account.answer(request);
                if let Ok(Reply::Selected(selected)) = &reply {
                    self.selected = Some(selected.folder);
                } else if deselects {
                    self.selected = None;
                }
                reply
            }
        }
    }
}

fn facts<'a>(message: &'a Message, email_id: &'a str) -> MessageFacts<'a> {
    MessageFacts {
        internaldate: message.internaldate,
        savedate: Some(NOW),
        size_bytes: message.body.len() as u64,
        email_id,
        thread_id: None,
        preview: None,
        envelope: Some(&message.digest.envelope),
        sent_date: message.digest.sent_date,
        structure: Some(&message.digest.structure),
    }
}

struct Socket<'a> {
    sent: &'a mut Vec<u8>,
    body: &'a [u8],
}

impl Sink for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.extend_from_slice(bytes);
        Ok(())
    }

    fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
        self.sent.extend_from_slice(&self.body[range.start as usize..range.end as usize]);
        Ok(())
    }
}

fn fetch_plan(account: &mut Account, plan: &FetchPlan, sent: &mut Vec<u8>) -> Result<Reply, StoreError> {
    let folder = account.folder(plan.folder)?;
    let mut fetched = Fetched::default();
    for target in &plan.messages {
        let Some(message) = folder.messages.get(&target.state.uid) else {
            fetched.missing = true;
            continue;
        };
        let email_id = format!("M{}", target.state.uid);
        let mut body = message.body.as_slice();
        let mut sink = Socket { sent: &mut *sent, body };
        match fetch::render(&plan.items, target, &facts(message, &email_id), &mut body, &mut sink) {
            Ok(()) => {}
            Err(RenderError::UnknownEncoding) => fetched.unknown_encoding = true,
            Err(error) => panic!("{error}"),
        }
    }
    Ok(Reply::Fetched(fetched))
}

fn search_plan(account: &mut Account, plan: &SearchPlan) -> Result<Reply, StoreError> {
    let folder = account.folder(plan.folder)?;
    let mut matched = Vec::new();
    for state in &plan.candidates {
        let Some(message) = folder.messages.get(&state.uid) else { continue };
        let email_id = format!("M{}", state.uid);
        let mut body = message.body.as_slice();
        if search::matches(&plan.program, state, &facts(message, &email_id), NOW, &mut body).expect("no reading error")
        {
            matched.push(state.uid);
        }
    }
    Ok(Reply::Matched(matched))
}

/// A message without flags.
pub fn plain(body: &[u8]) -> Draft {
    Draft { flags: FlagNames::default(), internaldate: NOW, body: body.to_vec() }
}

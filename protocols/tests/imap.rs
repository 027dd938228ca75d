//! Conversations in `tests/imap/*.txt`, each run twice: line by line and byte by byte. The replies must be the same.
//!
//! `C:` the client sends this line, `S:` the server's answers up to the next `C:`, `C2:`/`S2:` a second connection.
//! `! deliver BOX TEXT` puts a message (with `\n` for line breaks) into a mailbox, `! forget BOX` makes the store
//! forget expunges, `! stranger` connects from afar, `! fail` makes the next request fail, `! shutdown` and `! timeout` are events. A file that begins
//! with `! login` starts logged in. With UPDATE_TRANSCRIPTS=1 the answers are written anew, to be reviewed.

mod imap_store;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use imap_store::account::Account;
use imap_store::connection::{Connection, config, plain};
use protocols::imap::Config;
use protocols::imap::store::StoreError;

/// The transcript with the answers this run gave.
struct Run {
    account: Rc<RefCell<Account>>,
    connections: Vec<Connection>,
    bytewise: bool,
    text: String,
}

impl Run {
    fn new(bytewise: bool) -> Self {
        Self { account: Rc::new(RefCell::new(Account::new())), connections: Vec::new(), bytewise, text: String::new() }
    }

    fn transcript(mut self, script: &str) -> String {
        for line in script.lines() {
            if is_answer(line) {
                continue;
            }
            self.text.push_str(line);
            self.text.push('\n');
            if let Some(directive) = line.strip_prefix("! ") {
                self.directive(directive);
            } else if let Some((number, sent)) = client_line(line) {
                self.client(number, sent);
            }
            self.spread_news();
            self.collect();
        }
        self.text
    }

    fn connection(&mut self, number: usize) -> &mut Connection {
        while self.connections.len() < number {
            self.connections.push(Connection::new(config(), self.account.clone()));
        }
        &mut self.connections[number - 1]
    }

    fn client(&mut self, number: usize, line: &str) {
        let mut bytes = unescape(line);
        bytes.extend_from_slice(b"\r\n");
        // What stands behind STARTTLS is plaintext only as long as it comes before the handshake.
        let bytewise = self.bytewise && !line.contains("STARTTLS");
        let connection = self.connection(number);
        if bytewise {
            bytes.iter().for_each(|byte| connection.feed(&[*byte]));
        } else {
            connection.feed(&bytes);
        }
    }

    fn directive(&mut self, directive: &str) {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match word {
            "connect" => {
                self.connection(1);
            }
            "stranger" => {
                let config = Config { insecure_login: false, ..config() };
                self.connections.push(Connection::new(config, self.account.clone()));
            }
            "login" => {
                for number in 1..=rest.parse().unwrap_or(1) {
                    let connection = self.connection(number);
                    connection.feed(b"0 LOGIN ann secret\r\n");
                    connection.take_sent();
                }
            }
            "deliver" => {
                let (mailbox, body) = rest.split_once(' ').expect("mailbox and text");
                let delivered = self.account.borrow_mut().deliver(mailbox, plain(&unescape(body)));
                delivered.expect("the mailbox exists");
            }
            "forget" => {
                let mut account = self.account.borrow_mut();
                let folder = account.folders.get_mut(rest).expect("the mailbox exists");
                folder.forgotten = folder.modseq;
            }
            "overtake" => {
                let (mailbox, uids) = rest.split_once(' ').expect("mailbox and UIDs");
                let mut account = self.account.borrow_mut();
                let folder = account.folders.get_mut(mailbox).expect("the mailbox exists");
                folder.overtaking = uids.split(',').map(|uid| uid.parse().expect("a UID")).collect();
            }
            "fail" => self.account.borrow_mut().failure = Some(StoreError::Unavailable),
            "shutdown" | "timeout" => {
                let connection = self.connection(1);
                if word == "shutdown" {
                    connection.session.shutdown()
                } else {
                    connection.session.timeout()
                }
                connection.run();
            }
            _ => panic!("unknown directive {directive}"),
        }
    }

    fn spread_news(&mut self) {
        let touched = std::mem::take(&mut self.account.borrow_mut().touched);
        for folder in touched {
            self.connections.iter_mut().for_each(|connection| connection.notify(folder));
        }
    }

    fn collect(&mut self) {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let label = if index == 0 { String::from("S: ") } else { format!("S{}: ", index + 1) };
            let sent = connection.take_sent();
            let text = String::from_utf8_lossy(&sent).into_owned();
            for line in text.split_terminator("\r\n") {
                let visible = line.replace('\n', "\\n").replace('\0', "\\0");
                let _ = writeln!(self.text, "{label}{visible}");
            }
            if connection.closed && !self.text.ends_with("closed\n") && !sent.is_empty() {
                let _ = writeln!(self.text, "{label}closed");
            }
        }
    }
}

fn is_answer(line: &str) -> bool {
    let Some((label, _)) = line.split_once(": ").or_else(|| line.split_once(':')) else { return false };
    label.strip_prefix('S').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn client_line(line: &str) -> Option<(usize, &str)> {
    let (label, sent) = line.split_once(": ").or_else(|| line.split_once(':'))?;
    let number = label.strip_prefix('C')?;
    Some((if number.is_empty() { 1 } else { number.parse().ok()? }, sent))
}

/// `\n` is CRLF, `\0` a NUL, `\x` one byte 0xff; `\` before anything else stands for itself.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape: &[u8] = match rest.as_bytes().get(at + 1) {
            Some(b'n') => b"\r\n",
            Some(b'0') => b"\0",
            Some(b'x') => b"\xff",
            _ => b"",
        };
        if escape.is_empty() {
            bytes.push(b'\\');
            rest = &rest[at + 1..];
        } else {
            bytes.extend_from_slice(escape);
            rest = &rest[at + 2..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imap").join(name).with_extension("txt");
    let script = std::fs::read_to_string(&path).expect("the transcript is there");
    let by_line = Run::new(false).transcript(&script);
    let by_byte = Run::new(true).transcript(&script);
    assert_eq!(by_line, by_byte, "{name}: chunking changed the answers");
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, &by_line).expect("the transcript can be written");
        return;
    }
    for (number, (expected, actual)) in script.lines().zip(by_line.lines()).enumerate() {
        assert_eq!(expected, actual, "{name}, line {}", number + 1);
    }
    assert_eq!(script.lines().count(), by_line.lines().count(), "{name}: answers are missing or too many");
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_run() {
            let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imap");
            let mut found: Vec<String> = std::fs::read_dir(files)
                .expect("the folder is there")
                .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
                .collect();
            found.sort();
            let mut run = vec![$(stringify!($name).to_owned()),*];
            run.sort();
            assert_eq!(found, run);
        }
    };
}

transcripts! {
    append authenticate binary condstore copy_move create_delete_rename enable errors expunge fetch fresh idle list login
    invalid news pipelining privacy qresync search searchres select store store_overtaken utf8 timeout transport lifecycle
}

//! A mailbox of 100,000 messages: everything comes in pieces, and nothing is kept when the session idles. The test
//! that prints timings asserts none: `cargo test --release -p protocols --test imap_scale -- --ignored --nocapture`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use protocols::imap::fetch::{self, FetchItem, FetchItems, FetchTarget, MessageFacts, Sink};
use protocols::imap::parser::cursor::Cursor;
use protocols::imap::parser::search::search as search_arguments;
use protocols::imap::search;
use protocols::imap::snapshot::Snapshot;
use protocols::imap::store::{Changes, Fetched, Flags, MessageState, Reply, Request, Selected, Stored, UidRanges};
use protocols::imap::{Config, Output, Session};
use protocols::limits::imap::{FETCH_BATCH_MESSAGES, SEARCH_BATCH_MESSAGES, WRITE_BYTES_MAX};
use protocols::mime::Scanner;

const MESSAGES: u32 = 100_000;

/// A driver over states that are made up.
struct Driver {
    session: Session,
    input: BytesMut,
    lines: usize,
    bytes: usize,
    calls: usize,
    yields: usize,
    news: Option<Changes>,
}

fn state(uid: u32) -> MessageState {
    MessageState { uid, modseq: u64::from(uid), flags: Flags(u64::from(uid % 7) & 3) }
}

impl Driver {
    fn selected() -> Self {
        let config = Config {
            hostname: "h".into(),
            tls: true,
            starttls: false,
            insecure_login: false,
            compress: false,
            append_bytes_max: 1 << 30,
        };
        let session = Session::new(config);
        let mut driver = Self { session, input: BytesMut::new(), lines: 0, bytes: 0, calls: 0, yields: 0, news: None };
        driver.feed("a LOGIN ann secret\r\na SELECT INBOX\r\n");
        driver
    }

    fn feed(&mut self, text: &str) {
        (self.lines, self.bytes, self.calls) = (0, 0, 0);
        self.input.extend_from_slice(text.as_bytes());
        self.run();
    }

    fn run(&mut self) {
        loop {
            self.session.handle_input(&mut self.input);
            match self.session.poll() {
                Some(Output::Write(bytes)) => {
                    assert!(bytes.len() <= WRITE_BYTES_MAX);
                    self.bytes += bytes.len();
                    self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
                }
                Some(Output::Call(request)) => {
                    self.calls += 1;
                    let reply = self.answer(request);
                    self.session.reply(Ok(reply));
                }
                Some(Output::Yield) => self.yields += 1,
                Some(Output::CheckPassword { .. }) => self.session.password_result(Ok(true)),
                Some(_) => {}
                None => return,
            }
            // What waits to be written is bounded at any time, but for a line that has no pieces.
            assert!(self.session.buffered_bytes() <= 4 * WRITE_BYTES_MAX);
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Select { .. } => Reply::Selected(Box::new(Selected {
                folder: 1,
                uidvalidity: 1,
                uidnext: MESSAGES + 1,
                highest_modseq: MESSAGES.into(),
                messages: Arc::new((1..=MESSAGES).map(state).collect()),
                keywords: Arc::default(),
                read_only: false,
                vanished: None,
            })),
            Request::Store { uids, .. } => {
                assert_eq!(uids.ranges().len(), 1, "STORE 1:* is one range");
                let states = uids.iter().map(|uid| MessageState { flags: Flags::SEEN, ..state(uid) }).collect();
                Reply::Stored(Stored { states, ..Stored::default() })
            }
            Request::Fetch(plan) => {
                assert!(plan.messages.len() <= FETCH_BATCH_MESSAGES);
                Reply::Fetched(Fetched::default())
            }
            Request::Search(plan) => {
                assert!(plan.candidates.len() <= SEARCH_BATCH_MESSAGES);
                Reply::Matched(plan.candidates.iter().map(|state| state.uid).collect())
            }
            Request::Changes { .. } => Reply::Changes(Box::new(self.news.take().unwrap_or_default())),
            _ => Reply::Done,
        }
    }
}

#[test]
fn long_answers_come_in_pieces() {
    let mut driver = Driver::selected();
    // One call more than the work needs: what others may have changed is asked for first.
    driver.feed("a FETCH 1:* FLAGS\r\n");
    assert_eq!((driver.lines, driver.calls), (MESSAGES as usize + 1, 1));
    driver.feed("a UID FETCH 1:* (FLAGS MODSEQ)\r\n");
    assert_eq!(driver.lines, MESSAGES as usize + 1);
    driver.feed("a FETCH 1:* ENVELOPE\r\n");
    assert_eq!(driver.calls, 1 + (MESSAGES as usize).div_ceil(FETCH_BATCH_MESSAGES));
    driver.feed("a SEARCH UNDELETED\r\n");
    assert_eq!((driver.lines, driver.calls), (2, 1));
    driver.feed("a UID SEARCH SUBJECT x\r\n");
    assert_eq!(driver.calls, 1 + (MESSAGES as usize).div_ceil(SEARCH_BATCH_MESSAGES));
    driver.feed("a STORE 1:* FLAGS (\\Seen)\r\n");
    assert_eq!(driver.lines, MESSAGES as usize + 1);
}

#[test]
fn a_long_search_lets_others_have_their_turn() {
    let mut driver = Driver::selected();
    driver.feed("a SEARCH SEEN\r\n");
    assert_eq!(driver.yields, 0);
    driver.feed(&format!("a SEARCH DELETED{}\r\n", " SEEN".repeat(300)));
    assert!(driver.yields > 10, "{}", driver.yields);
    assert_eq!(driver.lines, 2);
}

#[test]
fn many_changes_come_in_pieces() {
    let mut driver = Driver::selected();
    driver.news = Some(Changes {
        changed: (1..=MESSAGES).map(|uid| MessageState { flags: Flags::FLAGGED, ..state(uid) }).collect(),
        highest_modseq: u64::from(MESSAGES) + 1,
        uidnext: MESSAGES + 1,
        ..Changes::default()
    });
    driver.feed("a NOOP\r\n");
    assert_eq!(driver.lines, MESSAGES as usize + 1);
    driver.news = Some(Changes { vanished: UidRanges::range(1, MESSAGES), ..Changes::default() });
    driver.feed("a NOOP\r\n");
    assert_eq!(driver.lines, MESSAGES as usize + 1);
}

#[test]
fn an_idle_session_keeps_nothing_but_its_snapshot() {
    let mut driver = Driver::selected();
    driver.feed("a FETCH 1:* FLAGS\r\na UID SEARCH SUBJECT x\r\na IDLE\r\n");
    assert!(driver.session.is_idling());
    assert_eq!(driver.session.buffered_bytes(), 0);
    assert!(size_of::<Session>() <= 1024, "{}", size_of::<Session>());
}

#[test]
#[ignore = "prints timings"]
fn timings() {
    let mut driver = Driver::selected();
    println!("session: {} bytes, message state: {} bytes", size_of::<Session>(), size_of::<MessageState>());
    for command in [
        "a NOOP",
        "a FETCH 1:* FLAGS",
        "a UID FETCH 1:* (UID FLAGS MODSEQ)",
        "a SEARCH UNSEEN NOT FLAGGED",
        "a UID SEARCH ALL",
        "a UID SEARCH SUBJECT x",
        "a FETCH 1:* ENVELOPE",
        "a SELECT INBOX",
    ] {
        let mut best = f64::MAX;
        for _ in 0..10 {
            let start = Instant::now();
            driver.feed(&format!("{command}\r\n"));
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{command:40} {:8.2} ms {:6.0} ns/message {:9} bytes",
            best * 1e3,
            best * 1e9 / f64::from(MESSAGES),
            driver.bytes
        );
    }
}

/// A sink that only counts.
struct Count(usize);

impl Sink for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0 += bytes.len();
        Ok(())
    }

    fn body_range(&mut self, range: Range<u64>) -> std::io::Result<()> {
        self.0 += (range.end - range.start) as usize;
        Ok(())
    }
}

#[test]
#[ignore = "prints timings"]
fn rendering_timings() {
    let message = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\nFrom: Ann Example <ann@example.org>\r\n\
        To: Bob <bob@example.org>, carol@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the sea\r\n\
        Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1234@example.org>\r\nContent-Type: text/plain\r\n\r\nHello\r\n";
    let mut scanner = Scanner::new();
    scanner.push(message);
    let digest = scanner.finish_digest();
    let facts = MessageFacts {
        size_bytes: message.len() as u64,
        envelope: Some(&digest.envelope),
        structure: Some(&digest.structure),
        ..MessageFacts::default()
    };
    let target = FetchTarget { sequence: 1, state: state(1), flags_changed: false };
    for item in [FetchItem::Envelope, FetchItem::BodyStructure, FetchItem::InternalDate] {
        let items = FetchItems::new(vec![FetchItem::Uid, item.clone()], Arc::default(), false, false);
        let mut sink = Count(0);
        let start = Instant::now();
        for _ in 0..MESSAGES {
            fetch::render(&items, &target, &facts, &mut &message[..], &mut sink).unwrap();
        }
        let each = start.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES);
        println!("render {item:?}: {each:.0} ns/message, {} bytes", sink.0 / MESSAGES as usize);
    }
    let arguments = search_arguments(&mut Cursor::new(b"SUBJECT nowhere")).unwrap();
    let Reply::Selected(selected) =
        Driver::selected().answer(Request::Select { name: String::new(), read_only: false, since: None })
    else {
        return;
    };
    let program = search::compile(&arguments.key, &Snapshot::new(&selected, false));
    let start = Instant::now();
    for _ in 0..MESSAGES {
        assert!(!search::matches(&program, &state(1), &facts, 0, &mut &message[..]).unwrap());
    }
    println!("SEARCH SUBJECT: {:.0} ns/message", start.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES));
}

//! Properties of the server machine: any bytes, cut in any way, give the same replies, and nothing panics.

use crate::driver::{Driver, config};
use proptest::prelude::*;
use protocols::smtp::server::{Service, Tls};

/// What a session must not change with the cutting of its input.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    replies: Vec<u8>,
    messages: Vec<Vec<u8>>,
    log: Vec<String>,
}

/// Runs a session to its end. What is left out of the log depends on how far a message came before its refusal.
pub fn run(service: Service, input: &[u8], size: usize) -> Seen {
    let mut config = config(service, Tls::Absent);
    config.peer_is_loopback = true;
    let mut driver = Driver::new(config);
    driver.feed(input, size);
    driver.server.handle_end_of_input();
    driver.pump();
    assert!(driver.closed, "a session ends with its input");
    let varies = |line: &String| line.starts_with("abort ") || line.starts_with("header ");
    driver.log.retain(|line| !varies(line));
    Seen { replies: driver.written, messages: driver.messages, log: driver.log }
}

/// Pieces that sessions are made of, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"EHLO a\r\n"[..],
        b"HELO a\r\n",
        b"LHLO a\r\n",
        b"MAIL FROM:<>\r\n",
        b"MAIL FROM:<a@b.org> BODY=BINARYMIME\r\n",
        b"MAIL FROM:<spam@b.org>\r\n",
        b"MAIL FROM:<noroom@b.org>\r\n",
        b"RCPT TO:<b@c.org>\r\n",
        b"RCPT TO:<b@c.org>\r\nRCPT TO:<full@c.org>\r\n",
        b"RCPT TO:<unknown@c.org>\r\n",
        b"RCPT TO:<closing@c.org>\r\n",
        b"DATA\r\n",
        b"Subject: x\r\nReceived: y\r\n\r\nbody\r\n",
        b"\r\n.\r\n",
        b".\r\n",
        b"..\r\n",
        b"BDAT 3\r\n",
        b"BDAT 5 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT x\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n",
        b"AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n",
        b"AUTH SCRAM-SHA-256 biwsbj1hbm4scj1hYmM=\r\n",
        b"*\r\n",
        b"\r",
        b"\n",
    ]);
    prop_oneof![
        8 => known.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (0..20_000_usize).prop_map(|length| vec![b'a'; length]),
    ]
}

/// A session that gets as far as message data more often than chance would.
fn session() -> impl Strategy<Value = Vec<u8>> {
    let start = prop::sample::select(vec![
        &b""[..],
        b"EHLO a\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<b@c.org>\r\n",
        b"EHLO a\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<b@c.org>\r\nDATA\r\n",
        b"LHLO a\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<b@c.org>\r\nRCPT TO:<full@c.org>\r\n",
    ]);
    let pieces = prop::collection::vec(piece(), 0..25);
    (start, pieces).prop_map(|(start, pieces)| [start.to_vec(), pieces.concat()].concat())
}

fn service() -> impl Strategy<Value = Service> {
    prop::sample::select(vec![Service::Mx, Service::Submission, Service::Lmtp])
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_session(service in service(), input in session(), size in 1..3000_usize) {
        prop_assert_eq!(run(service, &input, size), run(service, &input, usize::MAX));
    }

    #[test]
    fn small_pieces_give_the_same_session(service in service(), input in session(), size in 1..4_usize) {
        prop_assert_eq!(run(service, &input, size), run(service, &input, usize::MAX));
    }

    #[test]
    fn random_bytes_end_without_panic(service in service(), input in prop::collection::vec(any::<u8>(), 0..4000)) {
        run(service, &input, 64);
    }
}

#[test]
fn recipients_over_the_bound_get_452_and_the_message_goes_to_the_rest() {
    let maximum = protocols::limits::smtp::RECIPIENTS_MAX;
    let mut input = b"EHLO a\r\nMAIL FROM:<a@b.org>\r\n".to_vec();
    input.extend(b"RCPT TO:<b@c.org>\r\n".repeat(maximum + 2));
    input.extend(b"DATA\r\n.\r\nQUIT\r\n");
    let seen = run(Service::Mx, &input, 1000);
    let replies = String::from_utf8(seen.replies).unwrap();
    assert_eq!(replies.matches("250 2.1.5 Ok").count(), maximum);
    assert_eq!(replies.matches("452 4.5.3 Too many recipients").count(), 2);
    assert!(replies.ends_with("250 2.0.0 Stored\r\n221 2.0.0 Bye\r\n"));
}

#[test]
fn a_header_section_over_its_bound_is_refused() {
    let mut config = config(Service::Mx, Tls::Absent);
    config.message_bytes_max = 10_000_000;
    let mut driver = Driver::new(config);
    driver.feed(b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.org>\r\nDATA\r\n", usize::MAX);
    let line = [b"X: ".to_vec(), vec![b'y'; 900], b"\r\n".to_vec()].concat();
    let lines = protocols::limits::smtp::HEADER_BYTES_MAX as usize / line.len() + 1;
    driver.feed(&line.repeat(lines), 4096);
    driver.feed(b"\r\n.\r\n", 4096);
    assert_eq!(driver.take_replies().last().unwrap(), "554 5.6.0 The header of the message is too big");
    assert!(driver.log.contains(&"abort HeaderTooBig".to_owned()));
}

#[test]
fn a_command_line_over_its_bound_is_one_error() {
    let long = [vec![b'x'; 1_000_000], b"\r\nNOOP\r\n".to_vec()].concat();
    let seen = run(Service::Mx, &long, 1000);
    let replies = String::from_utf8(seen.replies).unwrap();
    let expected = "220 mx.example.org ESMTP ready\r\n500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n";
    assert_eq!(replies, expected);
}

#[test]
fn the_machine_stops_reading_while_an_answer_is_awaited() {
    use protocols::smtp::server::{Event, Server, Verdict};
    let mut server = Server::new(config(Service::Mx, Tls::Absent));
    server.handle_input(b"HELO a\r\nMAIL FROM:<>\r\n");
    let mut asked = false;
    while let Some(event) = server.poll() {
        asked |= matches!(event, Event::CheckMail(_));
    }
    assert!(asked && !server.wants_input());
    let mut taken = 0;
    while taken < 1_000_000 {
        match server.handle_input(&[b'x'; 1000]) {
            0 => break,
            count => taken += count,
        }
    }
    assert!(taken <= protocols::limits::smtp::INPUT_BYTES_MAX);
    server.answer_mail(Verdict::Accept).unwrap();
    assert!(server.answer_mail(Verdict::Accept).is_err());
}

#[test]
fn commands_that_move_no_mail_end_the_session_at_their_bound() {
    let idle = protocols::limits::smtp::IDLE_COMMANDS_MAX as usize;
    let start = "HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.org>\r\n";
    for line in ["NOOP\r\n", "BDAT 0\r\n", "MAIL FROM:<spam@b.org>\r\n", "RSET\r\n"] {
        let start = if line.starts_with("BDAT") { start } else { "HELO a\r\n" };
        let input = [start, &line.repeat(idle * 2)].concat();
        let seen = run(Service::Mx, input.as_bytes(), 1000);
        assert!(seen.replies.ends_with(b"421 4.7.0 Too many errors, closing connection\r\n"), "{line}");
        assert_eq!(seen.log.last().map(String::as_str), Some("close TooManyErrors"), "{line}");
    }
}

/// The writes of a session, one string each, with the decisions asked for between them.
fn writes(input: &[u8]) -> Vec<String> {
    use protocols::smtp::server::{Event, Server, Verdict};
    let mut server = Server::new(config(Service::Mx, Tls::Absent));
    let mut seen = Vec::new();
    server.handle_input(input);
    while let Some(event) = server.poll() {
        match event {
            Event::Write(bytes) => seen.push(String::from_utf8(bytes).unwrap()),
            Event::CheckMail(_) => server.answer_mail(Verdict::Accept).unwrap(),
            Event::CheckRecipient(_) => server.answer_recipient(Verdict::Accept).unwrap(),
            Event::DataStart(_) => server.answer_data_start(Verdict::Accept).unwrap(),
            _ => {}
        }
    }
    seen
}

#[test]
fn replies_to_a_group_leave_together_and_others_do_not_wait() {
    let group = b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.org>\r\nRCPT TO:<b@b.org>\r\nDATA\r\n";
    let seen = writes(group);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].ends_with("250 mx.example.org\r\n") && seen[1].contains("354 "), "{seen:?}");
    let seen = writes(b"HELO a\r\nNOOP\r\nFOO\r\nRSET\r\nRSET\r\n");
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn data_far_over_the_size_ends_the_session() {
    let mut driver = Driver::new(config(Service::Mx, Tls::Absent));
    driver.feed(b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.org>\r\nDATA\r\n\r\n", usize::MAX);
    let block = b"0123456789012345678901234567890123456789\r\n".repeat(25_000);
    let blocks = protocols::limits::smtp::DISCARD_BYTES_MAX as usize / block.len() + 2;
    for _ in 0..blocks {
        driver.feed(&block, usize::MAX);
    }
    assert_eq!(driver.take_replies().last().unwrap(), "552 5.3.4 Message too big");
    assert_eq!(driver.log.last().map(String::as_str), Some("close OutOfStep"));
}

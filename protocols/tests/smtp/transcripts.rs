//! Runs the conversations in `*.txt` beside this file against the server machine, each cut into pieces of several sizes.
//!
//! First lines `key: value` configure the session (service, tls, loopback, size) up to the first `S:`. Then
//! `C:` a line of the client, CRLF added; `C>` bytes of the client with `\r \n \xNN \\` escapes, nothing added;
//! `S:` the reply line expected now; `E:` the event expected now (see `driver.rs`); `!` shutdown, timeout or eof;
//! `C*N:` the line N times; `#` a comment.

use crate::driver::{Driver, config, tls_info};
use protocols::smtp::server::{Config, Service, Tls};
use std::path::Path;

/// What is said and expected between two changes of the speaker.
#[derive(Default)]
struct Turn {
    line: usize,
    input: Vec<u8>,
    order: Option<String>,
    replies: Vec<String>,
    events: Vec<String>,
}

#[test]
fn server_transcripts_hold_however_the_bytes_are_cut() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".txt") && !name.starts_with("client_") {
            let text = std::fs::read_to_string(&path).unwrap();
            for size in [usize::MAX, 1, 2, 7] {
                run(&name, &text, size);
            }
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} transcripts found");
}

fn run(name: &str, text: &str, size: usize) {
    let (config, turns) = parse(text);
    let mut driver = Driver::new(config);
    for turn in turns {
        driver.feed(&turn.input, size);
        driver.finish_tls();
        match turn.order.as_deref() {
            Some("shutdown") => driver.server.shutdown(),
            Some("timeout") => driver.server.timeout(),
            Some("eof") => driver.server.handle_end_of_input(),
            Some(other) => panic!("{name}: unknown order {other}"),
            None => {}
        }
        driver.pump();
        let place = format!("{name}, turn before line {}, pieces of {size}", turn.line);
        assert_eq!(driver.take_replies(), turn.replies, "replies: {place}");
        assert_eq!(std::mem::take(&mut driver.log), turn.events, "events: {place}");
    }
}

fn parse(text: &str) -> (Config, Vec<Turn>) {
    let mut config = config(Service::Mx, Tls::Absent);
    let mut turns = vec![Turn::default()];
    for (number, line) in text.lines().enumerate() {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut turn = turns.pop().unwrap();
        let speaks = mark.starts_with('C') || mark == "!";
        if speaks && (!turn.replies.is_empty() || !turn.events.is_empty() || turn.order.is_some()) {
            turns.push(turn);
            turn = Turn::default();
        }
        turn.line = number + 1;
        match mark {
            "" | "#" => {}
            "C:" => turn.input.extend(format!("{rest}\r\n").bytes()),
            "C>" => turn.input.extend(unescape(rest)),
            "S:" => turn.replies.push(rest.to_owned()),
            "E:" => turn.events.push(rest.to_owned()),
            "!" => turn.order = Some(rest.to_owned()),
            "service:" => config.service = service(rest),
            "tls:" => config.tls = tls(rest),
            "loopback:" => config.peer_is_loopback = rest == "yes",
            "size:" => config.message_bytes_max = rest.parse().unwrap(),
            _ => match mark.strip_prefix("C*").and_then(|times| times.strip_suffix(':')) {
                Some(times) => {
                    let line = [unescape(rest), b"\r\n".to_vec()].concat();
                    turn.input.extend(line.repeat(times.parse().unwrap()));
                }
                None => panic!("line {}: {line}", number + 1),
            },
        }
        turns.push(turn);
    }
    (config, turns)
}

fn service(name: &str) -> Service {
    match name {
        "mx" => Service::Mx,
        "submission" => Service::Submission,
        "lmtp" => Service::Lmtp,
        _ => panic!("service {name}"),
    }
}

fn tls(name: &str) -> Tls {
    match name {
        "absent" => Tls::Absent,
        "offered" => Tls::Offered,
        "active" => Tls::Active(tls_info()),
        _ => panic!("tls {name}"),
    }
}

/// Undoes the escapes of `C>`.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            bytes.extend(character.to_string().bytes());
            continue;
        }
        match characters.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('x') => {
                let digits: String = characters.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            Some('\\') => bytes.push(b'\\'),
            other => panic!("escape {other:?} in {text}"),
        }
    }
    bytes
}

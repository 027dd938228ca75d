//! Hostile and random input for a whole session: nothing panics, nothing grows past its bound, and the answers do not
//! depend on how the bytes were cut. The seeds in `fuzz/corpus/imap_session/` are replayed first.

mod imap_store;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use imap_store::account::Account;
use imap_store::connection::{Connection, config, plain};
use proptest::prelude::*;
use protocols::imap::Config;
use protocols::limits::imap::{COMMAND_BYTES_MAX, OUTPUT_BYTES_PAUSE, WRITE_BYTES_MAX};

/// Without STARTTLS, behind which plaintext is rightly treated by when it came.
fn listener() -> Config {
    Config { starttls: false, ..config() }
}

fn run(chunks: &[&[u8]]) -> Vec<u8> {
    let mut account = Account::new();
    for body in [&b"Subject: one\r\n\r\nbody\r\n"[..], b"From: a@b\r\n\r\nother\r\n"] {
        account.deliver("INBOX", plain(body));
    }
    let mut connection = Connection::new(listener(), Rc::new(RefCell::new(account)));
    for chunk in chunks {
        connection.feed(chunk);
        // Everything waiting has been taken; a command in progress may be held, and nothing else.
        assert!(connection.session.buffered_bytes() <= 2 * COMMAND_BYTES_MAX + OUTPUT_BYTES_PAUSE);
    }
    assert!(connection.write_bytes_max <= WRITE_BYTES_MAX);
    connection.sent
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|at| at % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut start = 0;
    for end in cuts {
        chunks.push(&bytes[start..end]);
        start = end;
    }
    chunks.push(&bytes[start..]);
    chunks
}

fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/imap_session");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a seed");
        let whole = run(&[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(visible(&whole), visible(&run(&single)));
        seeds += 1;
    }
    assert!(seeds > 0);
}

/// Pieces that together often make sense.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "a LOGIN ann secret\r\n",
        "a SELECT INBOX\r\n",
        "a IDLE\r\n",
        "DONE\r\n",
        "a AUTHENTICATE PLAIN\r\n",
        "AGFubgBzZWNyZXQ=\r\n",
        "a APPEND INBOX {5+}\r\n",
        "a APPEND INBOX (\\Seen) {3}\r\n",
        " (\\Draft) {4+}\r\n",
        "hello",
        "a FETCH 1:* (FLAGS BODY[]<0.5> ENVELOPE BODYSTRUCTURE)\r\n",
        "a UID FETCH 1:2 BINARY[1]\r\n",
        "a SEARCH RETURN (ALL) OR TEXT {4+}\r\nbody SEEN\r\n",
        "a STORE 1:* +FLAGS (\\Deleted $x)\r\n",
        "a EXPUNGE\r\n",
        "a COPY 1 Trash\r\n",
        "a UID MOVE 1:* Sent\r\n",
        "a LIST (SUBSCRIBED) \"\" (\"*\" %) RETURN (STATUS (MESSAGES))\r\n",
        "a ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2\r\n",
        "a SELECT INBOX (QRESYNC (1001 1 1:5 (1:2 1:2)))\r\n",
        "a COMPRESS DEFLATE\r\n",
        "a CREATE x/y\r\n",
        "a DELETE x/y\r\n",
        "a CLOSE\r\n",
        "a SELECT {5}\r\nINBOX\r\n",
        "a SELECT {99999999+}\r\n",
        "a SEARCH CHARSET X TEXT y\r\n",
        "\r\n",
        " ",
        "(",
        "\"",
        "{3+}\r\n",
    ]);
    prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => "[ -~]{0,30}\r\n".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_chunking_gives_the_same_answers(
        pieces in prop::collection::vec(piece(), 0..25),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        logged_in in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        if logged_in {
            bytes.extend_from_slice(b"0 LOGIN ann secret\r\n0 SELECT INBOX\r\n");
        }
        bytes.extend(pieces.concat());
        let whole = run(&[&bytes]);
        prop_assert_eq!(visible(&whole), visible(&run(&cut(&bytes, &cuts))));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(visible(&run(&[&bytes])), visible(&run(&single)));
    }
}

#[test]
fn a_line_without_end_is_bounded() {
    let mut account = Account::new();
    account.deliver("INBOX", plain(b"x"));
    let mut connection = Connection::new(listener(), Rc::new(RefCell::new(account)));
    connection.feed(b"a LOGIN ann secret\r\n");
    for _ in 0..1000 {
        connection.feed(&[b'x'; 1000]);
        assert!(connection.session.buffered_bytes() <= 2 * COMMAND_BYTES_MAX);
    }
    connection.take_sent();
    connection.feed(b"\r\nb NOOP\r\n");
    assert_eq!(
        visible(&connection.take_sent()),
        "* BAD Invalid tag\r\nb OK NOOP completed\r\n".replace("Invalid tag", "Command line too long")
    );
}

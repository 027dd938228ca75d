//! Any bytes as an IMAP session over a store in memory, cut in pieces: no panic, and nothing piles up.
#![no_main]

#[path = "../../protocols/tests/imap_store/mod.rs"]
#[allow(dead_code)]
mod imap_store;

use imap_store::account::Account;
use imap_store::connection::{Connection, config, plain};
use libfuzzer_sys::fuzz_target;
use protocols::limits::imap::{COMMAND_BYTES_MAX, OUTPUT_BYTES_PAUSE};
use std::cell::RefCell;
use std::rc::Rc;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, input)) = bytes.split_first() else { return };
    let mut account = Account::new();
    account.deliver("INBOX", plain(b"Subject: one\r\n\r\nbody\r\n"));
    let mut connection = Connection::new(config(), Rc::new(RefCell::new(account)));
    for chunk in input.chunks(usize::from(*first) + 1) {
        connection.feed(chunk);
        assert!(connection.session.buffered_bytes() <= 2 * COMMAND_BYTES_MAX + OUTPUT_BYTES_PAUSE);
    }
});

//! Any bytes as an SMTP session, cut in pieces: no panic, and the session ends with its input.
#![no_main]

#[path = "../../protocols/tests/smtp/driver.rs"]
#[allow(dead_code)]
mod driver;

use driver::{Driver, config};
use libfuzzer_sys::fuzz_target;
use protocols::smtp::server::{Service, Tls};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, input)) = bytes.split_first() else { return };
    let service = [Service::Mx, Service::Submission, Service::Lmtp][usize::from(first % 3)];
    let mut config = config(service, Tls::Absent);
    config.peer_is_loopback = true;
    let mut driver = Driver::new(config);
    driver.feed(input, usize::from(first / 3) + 1);
    driver.server.handle_end_of_input();
    driver.pump();
    assert!(driver.closed);
});

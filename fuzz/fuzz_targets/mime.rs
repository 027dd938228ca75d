//! Any bytes as a message: the scanner must not panic, and every range must lie inside the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocols::mime::{Needle, Scanner, TextSearch, bodystructure_text, envelope_text, preview};

fuzz_target!(|bytes: &[u8]| {
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let mut scanner = Scanner::new();
    scanner.push(head);
    scanner.push(tail);
    let digest = scanner.finish_digest();
    for part in &digest.structure.parts {
        assert!(part.header.start <= part.header.end && part.body.start <= part.body.end);
        assert!(part.body.end <= bytes.len() as u64);
    }
    let mut text = Vec::new();
    envelope_text(&digest.envelope, false, &mut text);
    bodystructure_text(&digest.structure, true, &mut text);
    let needle = Needle::new("needle");
    let mut source = bytes;
    let _ = TextSearch::new(&digest.structure, &needle).in_text(&mut source);
    let _ = preview(&digest.structure, &mut source);
});

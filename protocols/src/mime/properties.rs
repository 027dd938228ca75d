//! Properties of all views over arbitrary messages, and the replay of the committed corpus: nothing panics, any
//! chunking gives the same digest, every range lies inside the message, sections join up, IMAP texts are balanced.

use std::fs;
use std::ops::Range;
use std::path::Path;

use proptest::prelude::*;

use super::testing::{NESTED, PLAIN, digest_of};
use super::*;
use crate::limits::mime::{PARTS_MAX, PREVIEW_CHARACTERS_MAX, STRUCTURE_BYTES_MAX};

fn digest_in_chunks(message: &[u8], chunk_bytes: usize) -> Digest {
    let mut scanner = Scanner::new();
    message.chunks(chunk_bytes.max(1)).for_each(|chunk| scanner.push(chunk));
    scanner.finish_digest()
}

fn slice<'a>(message: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &message[range.start as usize..range.end as usize]
}

fn check_ranges(message: &[u8], digest: &Digest) {
    assert_eq!(digest.size, message.len() as u64);
    assert_eq!(digest.structure.size(), message.len() as u64);
    assert!(digest.structure.parts.len() <= PARTS_MAX);
    for (index, part) in digest.structure.parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= digest.size);
        let line_feeds = slice(message, &part.body).iter().filter(|&&octet| octet == b'\n').count();
        assert_eq!(part.lines as usize, line_feeds);
        assert_eq!(part.children.is_empty(), !part.is_multipart() && !part.is_message());
        assert_eq!(part.envelope.is_some(), part.is_message());
        for &child in &part.children {
            assert!(child as usize > index);
            let child = digest.structure.part(child).unwrap();
            assert!(child.header.start >= part.body.start && child.body.end <= part.body.end);
        }
    }
}

fn check_sections(message: &[u8], structure: &Structure) {
    let of = |path: &[u32], kind| section_range(structure, path, kind).map(|range| slice(message, &range).to_vec());
    assert_eq!(of(&[], SectionKind::Whole).unwrap(), message);
    for path in [&[][..], &[1], &[2], &[1, 1], &[2, 1], &[1, 2, 1], &[0], &[u32::MAX]] {
        if let (Some(header), Some(text)) = (of(path, SectionKind::Header), of(path, SectionKind::Text)) {
            assert_eq!([header, text].concat(), of(path, SectionKind::Whole).unwrap());
        }
        assert_eq!(find_part(structure, path).is_some(), of(path, SectionKind::Whole).is_some());
    }
}

fn depth(structure: &Structure, part: &Part) -> usize {
    1 + structure.children(part).map(|child| depth(structure, child)).max().unwrap_or(0)
}

/// A FETCH response with our texts is read whole by another implementation of the grammar, which gives up on
/// structures of more than eight levels.
fn check_grammar(digest: &Digest) {
    use imap_codec::decode::Decoder as _;
    if digest.structure.root().is_some_and(|root| depth(&digest.structure, root) > 8) {
        return;
    }
    let mut response = b"* 1 FETCH (ENVELOPE ".to_vec();
    envelope_text(&digest.envelope, false, &mut response);
    response.extend_from_slice(b" BODYSTRUCTURE ");
    bodystructure_text(&digest.structure, false, &mut response);
    response.extend_from_slice(b" BODY ");
    body_text(&digest.structure, false, &mut response);
    response.extend_from_slice(b")\r\n");
    match imap_codec::ResponseCodec::default().decode(&response) {
        Ok((rest, _)) => assert!(rest.is_empty()),
        Err(error) => panic!("{error:?} in {}", response.escape_ascii()),
    }
}

/// Walks over strings and literals and checks that parentheses pair and no stray octet stands outside.
fn check_imap_text(text: &[u8]) {
    let mut depth = 0_i32;
    let mut rest = text;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let (&octet, tail) = rest.split_first().expect("a quoted string ends");
                rest = if octet == b'\\' { &tail[1..] } else { tail };
                assert!(!matches!(octet, 0 | b'\r' | b'\n'));
                if octet == b'"' {
                    break;
                }
            },
            b'{' => {
                let end = rest.iter().position(|&octet| octet == b'}').expect("a literal's length ends");
                let length: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                rest = &rest[end + 3 + length..];
            }
            other => assert!(other == b' ' || other.is_ascii_alphanumeric(), "stray {other}"),
        }
        assert!(depth > 0 || rest.is_empty());
    }
    assert_eq!(depth, 0);
}

fn check_texts(digest: &Digest) {
    for utf8 in [false, true] {
        let mut text = Vec::new();
        envelope_text(&digest.envelope, utf8, &mut text);
        check_imap_text(&text);
        text.clear();
        body_text(&digest.structure, utf8, &mut text);
        check_imap_text(&text);
        text.clear();
        bodystructure_text(&digest.structure, utf8, &mut text);
        check_imap_text(&text);
    }
}

fn check_content(mut message: &[u8], digest: &Digest) {
    let source = message;
    for needle in ["", "text", "\u{fffd}"] {
        let needle = Needle::new(needle);
        let search = TextSearch::new(&digest.structure, &needle);
        let in_body = search.in_body(&mut message).unwrap();
        assert!(!in_body || search.in_text(&mut message).unwrap());
        header_contains(source, "subject", &needle);
        envelope_contains(&digest.envelope, AddressField::From, &needle);
    }
    assert!(preview(&digest.structure, &mut message).unwrap().chars().count() <= PREVIEW_CHARACTERS_MAX);
    for part in &digest.structure.parts {
        if let Ok(size) = decoded_size(part, &mut message).unwrap() {
            assert!(size <= part.body.end - part.body.start);
        }
        part.file_name();
    }
    let kept = filter_fields(source, &["subject", "to"], FilterMode::Keep);
    let dropped = filter_fields(source, &["subject", "to"], FilterMode::Drop);
    assert!(kept.ends_with(b"\r\n") && dropped.ends_with(b"\r\n"));
}

/// Everything that must hold for any message.
fn check(message: &[u8], chunk_bytes: usize) {
    let digest = digest_of(message);
    assert_eq!(digest_in_chunks(message, chunk_bytes), digest);
    check_ranges(message, &digest);
    check_sections(message, &digest.structure);
    check_texts(&digest);
    check_grammar(&digest);
    check_content(message, &digest);
    let stored = bincode::serde::encode_to_vec(&digest, bincode::config::standard()).unwrap();
    assert!(stored.len() < message.len() * 8 + STRUCTURE_BYTES_MAX);
    let (again, _): (Digest, _) = bincode::serde::decode_from_slice(&stored, bincode::config::standard()).unwrap();
    assert_eq!(again, digest);
}

/// Lines that make up messages, so that random sequences of them come near the interesting places.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let lines = [
        "",
        "text",
        "-",
        "--",
        "--a",
        "--a--",
        "--ab",
        "--ab--",
        "--a ",
        " ",
        "\t",
        "\r",
        "\0",
        "Subject: =?utf-8?q?=C3=A9?= x",
        "Content-Type: multipart/mixed; boundary=a",
        "Content-Type: multipart/digest; boundary=\"ab\"",
        "Content-Type: message/rfc822",
        "Content-Type: text/html; charset=utf-16; name*0*=utf-8'';name*1=b",
        "Content-Type: text/plain; charset=iso-2022-jp",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "Content-Disposition: attachment; filename=\"a\\\"b",
        "aGVsbG8=",
        "soft=",
        "=C3=A9=",
        "From: A (b) <@r:c@d>, g: e@f;",
        "To: \"",
        "Date: 1 Jan 2000 00:00:00 +0000",
        " folded",
        "<p>a&amp;b</p><style>",
        "Content-Language: a, b",
    ];
    let line = proptest::sample::select(lines.map(|line| line.as_bytes().to_vec()).to_vec());
    let line_break = proptest::sample::select(vec![b"\r\n".to_vec(), b"\n".to_vec(), b"".to_vec()]);
    prop_oneof![
        8 => (line, line_break).prop_map(|(line, line_break)| [line, line_break].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_make_a_sound_message(pieces in proptest::collection::vec(piece(), 0..40), chunk_bytes in 1_usize..40) {
        check(&pieces.concat(), chunk_bytes);
    }

    #[test]
    fn any_octets_make_a_sound_message(message in proptest::collection::vec(any::<u8>(), 0..600), chunk_bytes in 1_usize..40) {
        check(&message, chunk_bytes);
    }

    #[test]
    fn any_damage_leaves_a_sound_message(position in 0..NESTED.len(), octet: u8, cut in 0..NESTED.len(), chunk_bytes in 1_usize..90) {
        let mut message = NESTED.as_bytes().to_vec();
        message[position] = octet;
        message.truncate(cut.max(1));
        check(&message, chunk_bytes);
    }

    #[test]
    fn any_header_gives_an_envelope(value in "\\PC{0,60}|[ -~]{0,60}", name in "(?i)from|to|cc|date|subject|content-type|content-disposition") {
        check(format!("{name}: {value}\r\n\r\n").as_bytes(), 7);
    }
}

#[test]
fn the_summary_is_a_prefix_of_the_stored_digest() {
    for message in [PLAIN, NESTED] {
        let digest = digest_of(message);
        let stored = bincode::serde::encode_to_vec(&digest, bincode::config::standard()).unwrap();
        assert_eq!(stored[0], Digest::VERSION);
        let (summary, _): (DigestSummary, _) =
            bincode::serde::decode_from_slice(&stored, bincode::config::standard()).unwrap();
        assert_eq!((summary.version, summary.size, summary.sent_date), (digest.version, digest.size, digest.sent_date));
        assert_eq!(summary.envelope, digest.envelope);
    }
}

#[test]
fn long_lines_and_chunks_of_every_size_agree() {
    let long_lines =
        NESTED.replace("rich", &"r".repeat(3000)).replace("--outer2\r\n", &format!("--outer2{}\r\n", " ".repeat(600)));
    for message in [NESTED, PLAIN, &long_lines] {
        for chunk_bytes in [1, 2, 3, 5, 511, 512, 513, 4096] {
            check(message.as_bytes(), chunk_bytes);
        }
    }
}

#[test]
fn the_corpus_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/mime");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let message = fs::read(entry.unwrap().path()).unwrap();
        for chunk_bytes in [1, 7, 64, 1000] {
            check(&message, chunk_bytes);
        }
        count += 1;
    }
    assert!(count >= 10, "the corpus has its seeds");
}

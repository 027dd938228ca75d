//! Our parser beside `imap-codec`, on IMAP4rev1 commands made by the grammar and then spoilt: what the one takes the
//! other takes, with the same name and, for message sets, the same numbers.

mod imap_store;

use std::cell::RefCell;
use std::rc::Rc;

use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet as TheirSet};
use imap_codec::{CommandCodec, ResponseCodec};
use imap_store::account::Account;
use imap_store::connection::{Connection, config, plain};
use proptest::prelude::*;
use protocols::imap::parser::command::{Addressing, Command, command, split_tag};
use protocols::imap::parser::sequence::{SequenceEnd, SequenceSet};

fn ours(line: &[u8]) -> Option<Command> {
    let (_, mut cursor) = split_tag(line).ok()?;
    command(&mut cursor, false).ok()
}

fn theirs(line: &[u8]) -> Option<CommandBody<'static>> {
    let mut bytes = line.to_vec();
    bytes.extend_from_slice(b"\r\n");
    let (rest, command) = CommandCodec::default().decode(&bytes).ok()?;
    rest.is_empty().then(|| imap_codec::imap_types::IntoStatic::into_static(command).body)
}

/// Name and message set, as far as a command has one.
fn our_view(command: &Command) -> (String, Option<Vec<(u32, u32)>>) {
    let (name, set) = match command {
        Command::Fetch(arguments, addressing) => (named("FETCH", *addressing), Some(&arguments.set)),
        Command::Store(arguments, addressing) => (named("STORE", *addressing), Some(&arguments.set)),
        Command::Copy(set, _, addressing) => (named("COPY", *addressing), Some(set)),
        Command::Move(set, _, addressing) => (named("MOVE", *addressing), Some(set)),
        Command::Search(_, addressing) => (named("SEARCH", *addressing), None),
        Command::Select(arguments) if arguments.examine => ("EXAMINE".into(), None),
        Command::Select(_) => ("SELECT".into(), None),
        Command::Create { .. } => ("CREATE".into(), None),
        Command::Delete(_) => ("DELETE".into(), None),
        Command::Rename { .. } => ("RENAME".into(), None),
        Command::Subscribe(_, true) => ("SUBSCRIBE".into(), None),
        Command::Subscribe(_, false) => ("UNSUBSCRIBE".into(), None),
        Command::List(_) => ("LIST".into(), None),
        Command::Lsub(..) => ("LSUB".into(), None),
        Command::Status(..) => ("STATUS".into(), None),
        Command::Login { .. } => ("LOGIN".into(), None),
        Command::Expunge(set) => (named("EXPUNGE", Addressing::Sequence), set.as_ref()),
        other => (format!("{other:?}").to_uppercase(), None),
    };
    (name, set.map(our_set))
}

fn named(name: &str, addressing: Addressing) -> String {
    if addressing == Addressing::Uid { format!("UID {name}") } else { name.to_owned() }
}

fn our_set(set: &SequenceSet) -> Vec<(u32, u32)> {
    let number = |end: SequenceEnd| match end {
        SequenceEnd::Number(number) => number,
        SequenceEnd::Last => 0,
    };
    let SequenceSet::Ranges(ranges) = set else { return Vec::new() };
    sorted(ranges.iter().map(|range| (number(range.0), number(range.1))).collect())
}

fn their_view(body: &CommandBody<'_>) -> (String, Option<Vec<(u32, u32)>>) {
    let prefix = |uid: bool| if uid { "UID " } else { "" };
    let (name, set) = match body {
        CommandBody::Fetch { sequence_set, uid, .. } => (format!("{}FETCH", prefix(*uid)), Some(sequence_set)),
        CommandBody::Store { sequence_set, uid, .. } => (format!("{}STORE", prefix(*uid)), Some(sequence_set)),
        CommandBody::Copy { sequence_set, uid, .. } => (format!("{}COPY", prefix(*uid)), Some(sequence_set)),
        CommandBody::Move { sequence_set, uid, .. } => (format!("{}MOVE", prefix(*uid)), Some(sequence_set)),
        CommandBody::Search { uid, .. } => (format!("{}SEARCH", prefix(*uid)), None),
        other => (other.name().to_uppercase(), None),
    };
    (name, set.map(their_set))
}

fn their_set(set: &TheirSet) -> Vec<(u32, u32)> {
    let number = |end: &SeqOrUid| match end {
        SeqOrUid::Value(number) => number.get(),
        SeqOrUid::Asterisk => 0,
    };
    let range = |sequence: &Sequence| match sequence {
        Sequence::Single(end) => (number(end), number(end)),
        Sequence::Range(first, last) => (number(first), number(last)),
    };
    sorted(set.0.as_ref().iter().map(range).collect())
}

fn sorted(ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> =
        ranges.into_iter().map(|(a, b)| if b != 0 && (a == 0 || a > b) { (b, a) } else { (a, b) }).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// Their codec merges ranges when it reads them: both sides are compared as sets of numbers in a small mailbox.
fn numbers(ranges: &[(u32, u32)]) -> Vec<u32> {
    let last = 60;
    let end = |number: u32| if number == 0 { last } else { number };
    (1..=last)
        .filter(|at| ranges.iter().any(|r| (end(r.0).min(end(r.1))..=end(r.0).max(end(r.1))).contains(at)))
        .collect()
}

fn set() -> impl Strategy<Value = String> {
    let end = prop_oneof![9 => (1u32..50).prop_map(|number| number.to_string()), 1 => Just("*".to_owned())];
    let range = prop_oneof![end.clone(), (end.clone(), end).prop_map(|(a, b)| format!("{a}:{b}"))];
    prop::collection::vec(range, 1..5).prop_map(|ranges| ranges.join(","))
}

fn mailbox() -> impl Strategy<Value = String> {
    prop_oneof![Just("INBOX".to_owned()), "[a-zA-Z0-9./_-]{1,10}", "\"[a-zA-Z0-9 ./()%*-]{0,10}\"", "\\{3\\+\\}\r\nabc"]
}

fn section() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec!["", "HEADER", "TEXT", "HEADER.FIELDS (From \"To\")", "HEADER.FIELDS.NOT (x)"]);
    let path = "([1-9](\\.[1-9]){0,2})?";
    (text, path, prop::bool::ANY, prop::option::of((0u32..9, 1u32..9))).prop_map(|(text, path, peek, partial)| {
        let dot = if path.is_empty() || text.is_empty() { "" } else { "." };
        let partial = partial.map_or(String::new(), |(offset, count)| format!("<{offset}.{count}>"));
        format!("BODY{}[{path}{dot}{text}]{partial}", if peek { ".PEEK" } else { "" })
    })
}

fn fetch_items() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "FLAGS",
        "UID",
        "ENVELOPE",
        "INTERNALDATE",
        "RFC822.SIZE",
        "BODYSTRUCTURE",
        "BODY",
        "RFC822",
        "RFC822.HEADER",
        "RFC822.TEXT",
        "BODY[3.MIME]",
        "BINARY[1]",
        "BINARY.PEEK[1.2]<0.5>",
        "BINARY.SIZE[2]",
    ]);
    let item = prop_oneof![plain.prop_map(str::to_owned), section()];
    prop_oneof![
        prop::sample::select(vec!["ALL", "FAST", "FULL"]).prop_map(str::to_owned),
        item.clone(),
        prop::collection::vec(item, 1..5).prop_map(|items| format!("({})", items.join(" "))),
    ]
}

fn search_key() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "ALL",
        "ANSWERED",
        "NEW",
        "OLD",
        "RECENT",
        "SEEN",
        "UNDELETED",
        "UNSEEN",
        "FROM ann",
        "SUBJECT \"a b\"",
        "BODY {2+}\r\nab",
        "HEADER x \"\"",
        "KEYWORD $junk",
        "UNKEYWORD x",
        "LARGER 5",
        "SMALLER 10",
        "ON 1-Feb-2020",
        "BEFORE \"01-Feb-2020\"",
        "SENTSINCE 11-Dec-1999",
        "UID 1:*",
        "TEXT x",
        "3",
        "2:4,*",
    ]);
    plain.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|key| format!("NOT {key}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("OR {left} {right}")),
            prop::collection::vec(inner, 1..3).prop_map(|keys| format!("({})", keys.join(" "))),
        ]
    })
}

fn flags() -> impl Strategy<Value = String> {
    let flag = prop::sample::select(vec!["\\Seen", "\\Deleted", "\\Answered", "\\Draft", "\\Flagged", "$x", "Junk"]);
    prop_oneof![
        prop::collection::vec(flag.clone(), 0..4).prop_map(|flags| format!("({})", flags.join(" "))),
        prop::collection::vec(flag, 1..3).prop_map(|flags| flags.join(" ")),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let uid = prop::sample::select(vec!["", "UID "]);
    let body = prop_oneof![
        prop::sample::select(vec![
            "NOOP",
            "CAPABILITY",
            "LOGOUT",
            "CHECK",
            "CLOSE",
            "EXPUNGE",
            "UNSELECT",
            "IDLE",
            "LOGIN a b",
            "LOGIN \"a\" {1+}\r\nb",
            "ENABLE CONDSTORE",
            "COMPRESS DEFLATE",
            "AUTHENTICATE PLAIN",
        ])
        .prop_map(str::to_owned),
        (prop::sample::select(vec!["SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE"]), mailbox())
            .prop_map(|(name, mailbox)| format!("{name} {mailbox}")),
        (mailbox(), mailbox()).prop_map(|(from, to)| format!("RENAME {from} {to}")),
        (prop::sample::select(vec!["LIST", "LSUB"]), mailbox()).prop_map(|(name, to)| format!("{name} \"\" {to}")),
        mailbox().prop_map(|mailbox| format!("STATUS {mailbox} (MESSAGES UIDNEXT UNSEEN)")),
        (uid.clone(), set(), fetch_items()).prop_map(|(uid, set, items)| format!("{uid}FETCH {set} {items}")),
        (uid.clone(), set(), prop::sample::select(vec!["", "+", "-"]), flags())
            .prop_map(|(uid, set, sign, flags)| format!("{uid}STORE {set} {sign}FLAGS {flags}")),
        (uid.clone(), set(), mailbox()).prop_map(|(uid, set, mailbox)| format!("{uid}COPY {set} {mailbox}")),
        (uid.clone(), set(), mailbox()).prop_map(|(uid, set, mailbox)| format!("{uid}MOVE {set} {mailbox}")),
        (uid, prop::collection::vec(search_key(), 1..3))
            .prop_map(|(uid, keys)| format!("{uid}SEARCH {}", keys.join(" "))),
    ];
    body.prop_map(|body| format!("a1 {body}"))
}

fn compare(line: &str, command: &Command, body: &CommandBody<'_>) -> Result<(), TestCaseError> {
    let ((our_name, our_set), (their_name, their_set)) = (our_view(command), their_view(body));
    prop_assert_eq!(our_set.map(|set| numbers(&set)), their_set.map(|set| numbers(&set)), "{}", line);
    let first = |name: &str| name.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    if our_name.starts_with("UID ") || their_name.starts_with("UID ") {
        prop_assert_eq!(our_name, their_name, "{}", line);
    } else {
        prop_assert_eq!(first(&our_name), first(&their_name), "{}", line);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_the_grammar_makes_both_take(line in line()) {
        let (ours, theirs) = (ours(line.as_bytes()), theirs(line.as_bytes()));
        prop_assert!(ours.is_some(), "we refuse {line}");
        prop_assert!(theirs.is_some(), "they refuse {line}");
        if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
            compare(&line, ours, theirs)?;
        }
    }

    #[test]
    fn what_they_still_take_when_spoilt_we_take(line in line(), at in any::<usize>(), byte in "[ -~]") {
        let mut spoilt = line.clone().into_bytes();
        let at = at % spoilt.len();
        spoilt[at] = byte.as_bytes()[0];
        if let Some(theirs) = theirs(&spoilt) {
            let line = String::from_utf8_lossy(&spoilt).into_owned();
            if !known_difference(&line) {
                let ours = ours(&spoilt);
                prop_assert!(ours.is_some(), "we refuse {line}");
                if let Some(ours) = &ours {
                    compare(&line, ours, &theirs)?;
                }
            }
        }
    }
}

/// Where we are stricter on purpose: system flags that do not exist, mailbox names that are not modified UTF-7, dates
/// that do not exist.
fn known_difference(line: &str) -> bool {
    let flags = ["\\seen", "\\deleted", "\\answered", "\\draft", "\\flagged"];
    let words = || line.split([' ', '(', ')']).map(str::to_lowercase);
    words().any(|word| word.contains('\\') && !flags.contains(&word.as_str())) || line.contains('&')
}

/// What a session answers is read back by their codec, response for response.
#[test]
fn they_understand_our_answers() {
    let mut account = Account::new();
    let body = "From: =?utf-8?q?J=C3=B6rg?= <j@x>\r\nTo: a:b@c,\"q\\\"\" <d@e>;\r\nSubject: \u{fc} \"x\" \\\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Disposition: attachment; filename=\"a b.html\"\r\n\r\n<p>\r\n--q\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: in\r\n\r\nx\r\n--q--\r\n";
    account.deliver("INBOX", plain(body.as_bytes()));
    account.deliver("INBOX", plain(b""));
    account.deliver("INBOX", plain(b"\r\n"));
    let mut connection = Connection::new(config(), Rc::new(RefCell::new(account)));
    connection.take_sent();
    for line in [
        "LOGIN ann secret",
        "SELECT INBOX",
        "LIST \"\" *",
        "LSUB \"\" *",
        "STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)",
        "FETCH 1:* FULL",
        "FETCH 1:* (BODYSTRUCTURE UID)",
        "FETCH 1:* (BODY[] BODY.PEEK[1] BODY.PEEK[HEADER.FIELDS (Subject)] RFC822.HEADER)",
        "FETCH 1:* (BODY[TEXT]<0.5> BINARY.PEEK[1] BINARY.SIZE[1])",
        "STORE 1:2 +FLAGS (\\Deleted $x)",
        "SEARCH ALL",
        "COPY 1 Trash",
        "EXPUNGE",
        "MOVE 1 Nowhere",
        "FOO",
    ] {
        connection.feed(format!("a1 {line}\r\n").as_bytes());
        let sent = connection.take_sent();
        let mut rest: &[u8] = &sent;
        while !rest.is_empty() {
            match ResponseCodec::default().decode(rest) {
                Ok((next, _)) => rest = next,
                Err(error) => panic!("{line}: {error:?} at {}", String::from_utf8_lossy(rest)),
            }
        }
    }
}

/// Without NUL, which a literal may not carry in the grammar and which is sent all the same.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "From: ",
        "To: ",
        "Subject: ",
        "Date: ",
        "Content-Type: multipart/mixed; boundary=q\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: text/plain; charset=\"x\"; name*0=a; name*1=b\r\n",
        "Content-Disposition: attachment; filename=\"a \\\" b\"\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Language: de, en\r\n",
        "\"q\\\"\" <a@b>, g: c@d; ",
        "=?utf-8?q?=C3?=",
        "\r\n",
        "\r\n\r\n",
        "\r\n--q\r\n",
        "\r\n--q--\r\n",
        "aGVsbG8=",
        "\u{fc}\u{4e2d}",
        " text ",
        "\n",
        "\\ \" { } ( )",
    ]);
    let piece =
        prop_oneof![9 => piece.prop_map(|text| text.as_bytes().to_vec()), 1 => prop::collection::vec(1u8.., 1..8)];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn they_understand_what_we_say_of_any_message(message in message()) {
        let mut account = Account::new();
        account.deliver("INBOX", plain(&message));
        let mut connection = Connection::new(config(), Rc::new(RefCell::new(account)));
        connection.feed(b"a LOGIN ann secret\r\na SELECT INBOX\r\n");
        connection.take_sent();
        connection.feed(
            b"a FETCH 1 (FULL ENVELOPE BODYSTRUCTURE)\r\na FETCH 1 (ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE BODY[] \
              BODY[HEADER] BODY[TEXT] BODY[1] BODY[1.1] BODY[1.MIME] BODY[2.HEADER] BODY[HEADER.FIELDS (From X)] \
              BODY[]<3.7> BINARY[1] BINARY.SIZE[1])\r\n",
        );
        let sent = connection.take_sent();
        let mut rest: &[u8] = &sent;
        let mut responses = 0;
        while !rest.is_empty() {
            match ResponseCodec::default().decode(rest) {
                Ok((next, _)) => rest = next,
                Err(error) => prop_assert!(false, "{:?} at {}", error, String::from_utf8_lossy(rest)),
            }
            responses += 1;
        }
        prop_assert!(responses >= 2);
    }
}

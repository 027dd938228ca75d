//! Reading mail from a running node: what is delivered is announced, what is acknowledged survives a kill, large
//! messages pass through without being held, and clients that do not read hold up nobody.

use clients::imap::Imap;
use clients::smtp::Smtp;
use std::fs;
use tests::node::Node;

const USER: &str = "ann@example.org";
const PASSWORD: &str = "wind over water";

fn start() -> (tempfile::TempDir, Node) {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(&directory.path().join("data")).unwrap();
    node.add_account(USER, PASSWORD);
    (directory, node)
}

fn login(node: &Node) -> Imap {
    let mut imap = Imap::connect(node.address("imap")).unwrap();
    imap.login(USER, PASSWORD).unwrap();
    imap
}

fn text(responses: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&responses.join(&b'\n')).into_owned()
}

#[test]
fn delivered_mail_is_announced_to_an_idling_session() {
    let (_directory, node) = start();
    let mut imap = login(&node);
    imap.ok("SELECT INBOX").unwrap();
    let tag = imap.start("IDLE").unwrap();
    assert!(imap.response().unwrap().starts_with(b"+"));
    let mut smtp = Smtp::connect(node.address("smtp")).unwrap();
    smtp.command("EHLO client.example.net").unwrap().expect(250).unwrap();
    for number in 1..=3 {
        smtp.deliver("bob@example.net", &[USER], b"Subject: hello\r\n\r\nworld\r\n").unwrap().expect(250).unwrap();
        let announced = format!("* {number} EXISTS");
        while imap.response().unwrap() != announced.as_bytes() {}
    }
    imap.send(b"DONE\r\n").unwrap();
    assert!(imap.finish_with(&tag, drop).unwrap().starts_with("OK"));
    let fetched = imap.ok("FETCH 3 (ENVELOPE BODY.PEEK[HEADER])").unwrap();
    let fetched = text(&fetched.untagged);
    assert!(fetched.contains("\"hello\"") && fetched.contains("Return-Path: <bob@example.net>"), "{fetched}");
}

#[test]
fn acknowledged_changes_survive_a_kill_and_uids_never_fall() {
    let (directory, mut node) = start();
    let mut imap = login(&node);
    imap.ok("CREATE Work").unwrap();
    for number in 0..4 {
        imap.append("INBOX", "", format!("Subject: {number}\r\n\r\nbody\r\n").as_bytes()).unwrap();
    }
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 1 +FLAGS (\\Flagged later)").unwrap();
    imap.ok("MOVE 2 Work").unwrap();
    imap.ok("STORE 3 +FLAGS.SILENT (\\Deleted)").unwrap();
    imap.ok("EXPUNGE").unwrap();
    let counts = |imap: &mut Imap| {
        let status = |folder: &str| format!("STATUS {folder} (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)");
        ["INBOX", "Work"].map(|folder| text(&imap.ok(&status(folder)).unwrap().untagged))
    };
    let before = counts(&mut imap);
    assert!(before[0].contains("MESSAGES 2") && before[0].contains("UIDNEXT 5"), "{before:?}");
    node.kill();

    let node = Node::start(&directory.path().join("data")).unwrap();
    let mut imap = login(&node);
    assert_eq!(counts(&mut imap), before);
    imap.ok("SELECT INBOX").unwrap();
    let flags = text(&imap.ok("FETCH 1 (FLAGS)").unwrap().untagged);
    assert!(flags.contains("\\Flagged") && flags.contains("later"), "{flags}");
    let appended = imap.append("INBOX", "", b"Subject: next\r\n\r\nbody\r\n").unwrap();
    assert!(appended.status.contains(" 5]"), "{}", appended.status);
}

fn peak_kb(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_large_message_passes_both_ways_without_being_held() {
    let (_directory, node) = start();
    let mut imap = login(&node);
    let large =
        [b"Subject: large\r\n\r\n".as_slice(), &b"0123456789abcdef0123456789abcdef\r\n".repeat(1_500_000)].concat();
    // What the first message of any size loads does not count.
    imap.append("Drafts", "", b"Subject: small\r\n\r\nbody\r\n").unwrap();
    fs::write(format!("/proc/{}/clear_refs", node.pid()), "5").unwrap();
    let before = peak_kb(&node);
    assert!(imap.append("INBOX", "", &large).unwrap().status.starts_with("OK"));
    imap.ok("SELECT INBOX").unwrap();
    let fetched = imap.ok("FETCH 1 (BODY.PEEK[])").unwrap();
    assert!(fetched.untagged[0].windows(large.len()).next_back().is_some(), "all of it came");
    assert!(fetched.untagged[0].ends_with(b"0123456789abcdef\r\n)"));
    let rise = peak_kb(&node).saturating_sub(before);
    assert!(rise < 25_000, "a message of {} kB raised the peak by {rise} kB", large.len() / 1_000);
}

#[test]
fn clients_that_do_not_read_hold_up_nobody() {
    let (_directory, node) = start();
    let mut imap = login(&node);
    let large = b"Subject: large\r\n\r\n0123456789abcdef0123456789abcdef\r\n".repeat(200_000);
    assert!(imap.append("INBOX", "", &large).unwrap().status.starts_with("OK"));
    // More of them than the node has threads for blocking work.
    let mut silent = Vec::new();
    for _ in 0..160 {
        let mut client = login(&node);
        client.ok("SELECT INBOX").unwrap();
        client.start("FETCH 1 (BODY.PEEK[] BINARY.PEEK[1])").unwrap();
        silent.push(client);
    }
    imap.ok("SELECT INBOX").unwrap();
    let fetched = imap.ok("FETCH 1 (BODY.PEEK[HEADER] BODYSTRUCTURE)").unwrap();
    assert!(text(&fetched.untagged).contains("Subject: large"));
}

/// More messages than any entry changes: STORE, COPY, MOVE and EXPUNGE are carried out in parts.
#[test]
fn changes_of_many_messages_are_whole_before_and_after_a_kill() {
    const MANY: usize = 1_100;
    let (directory, mut node) = start();
    let mut imap = login(&node);
    let message = "Subject: many\r\n\r\nbody\r\n";
    let together = format!("APPEND INBOX{}", format!(" () {{{}+}}\r\n{message}", message.len()).repeat(MANY / 10));
    (0..10).for_each(|_| assert!(imap.command(&together).unwrap().status.starts_with("OK")));
    imap.ok("SELECT INBOX (CONDSTORE)").unwrap();
    let stored = imap.ok("STORE 1:* +FLAGS (\\Flagged later)").unwrap();
    let is_flagged = |line: &&Vec<u8>| {
        let line = text(&[line.to_vec()]);
        line.contains(" FETCH (") && line.contains("\\Flagged")
    };
    assert_eq!(stored.untagged.iter().filter(is_flagged).count(), MANY);
    let copied = imap.ok("COPY 1:* Archive").unwrap().status;
    assert!(copied.contains(" 1:1100 1:1100]"), "{copied}");
    let moved = imap.ok("MOVE 1:600 Trash").unwrap();
    assert!(text(&moved.untagged).contains(" 1:600 1:600]"), "{moved:?}");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)").unwrap();
    let expunged = imap.ok("EXPUNGE").unwrap();
    assert_eq!(expunged.untagged.iter().filter(|line| line.ends_with(b" EXPUNGE")).count(), MANY - 600);
    let counts = |imap: &mut Imap| {
        let status = |folder: &str| format!("STATUS {folder} (MESSAGES UIDNEXT UNSEEN)");
        ["INBOX", "Archive", "Trash"].map(|folder| text(&imap.ok(&status(folder)).unwrap().untagged))
    };
    let before = counts(&mut imap);
    for (counts, messages) in before.iter().zip([0, MANY, 600]) {
        assert!(counts.contains(&format!("MESSAGES {messages} ")), "{counts}");
    }
    node.kill();
    let node = Node::start(&directory.path().join("data")).unwrap();
    let mut imap = login(&node);
    assert_eq!(counts(&mut imap), before);
    imap.ok("SELECT Archive").unwrap();
    let fetched = imap.ok("FETCH 1:* (FLAGS)").unwrap();
    assert!(fetched.untagged.iter().all(|line| text(&[line.to_vec()]).contains("\\Flagged")), "flags are copied");
}

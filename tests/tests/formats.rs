//! Data directories of earlier formats open, and hold what was put into them. `tests/formats/make.sh` made them, each
//! with the release that wrote its format; none is ever replaced.

use clients::imap::Imap;
use clients::smtp::Smtp;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::node::Node;

fn archives() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect()
}

fn unpack(archive: &Path, into: &Path) -> PathBuf {
    let status = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(into).status().unwrap();
    assert!(status.success(), "{}", archive.display());
    into.join("data")
}

fn fetched(imap: &mut Imap, command: &str) -> String {
    let answer = imap.ok(command).unwrap();
    answer.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

fn check(node: &Node) {
    let mut imap = Imap::connect(node.address("imap")).unwrap();
    imap.login("ann@example.org", "secret-of-ann").unwrap();
    let status = fetched(&mut imap, "STATUS INBOX (MESSAGES UIDNEXT)");
    assert!(status.contains("MESSAGES 4") && status.contains("UIDNEXT 6"), "{status}");
    let folders = fetched(&mut imap, "LIST \"\" *");
    assert!(folders.contains("Projects/2026"), "{folders}");
    imap.ok("SELECT INBOX").unwrap();
    let flags = fetched(&mut imap, "UID FETCH 1:* (UID FLAGS)");
    for (number, uid) in [(1, 1), (2, 2), (3, 4), (4, 5)] {
        assert!(flags.contains(&format!("* {number} FETCH (UID {uid} ")), "{flags}");
    }
    let first = flags.lines().next().unwrap_or_default();
    assert!(first.contains("\\Seen") && first.contains("work"), "{flags}");
    let large = fetched(&mut imap, "UID FETCH 5 (BODY[TEXT])");
    assert_eq!(large.matches(&"x".repeat(60)).count(), 1000);
    imap.ok("SELECT Archive").unwrap();
    let copied = fetched(&mut imap, "FETCH 1 (BODY[HEADER.FIELDS (SUBJECT)])");
    assert!(copied.contains("Subject: number 1"), "{copied}");

    let mut smtp = Smtp::connect(node.address("smtp")).unwrap();
    smtp.command("EHLO client.example.net").unwrap().expect(250).unwrap();
    let message = b"Subject: new\r\n\r\nnew\r\n";
    smtp.deliver("bob@example.net", &["sales@example.org"], message).unwrap().expect(250).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let new = fetched(&mut imap, "UID FETCH 6 (BODY[HEADER.FIELDS (SUBJECT)])");
    assert!(new.contains("Subject: new"), "{new}");
}

#[test]
fn every_earlier_format_opens_and_goes_on() {
    let archives = archives();
    assert!(!archives.is_empty());
    for archive in archives {
        let directory = tempfile::tempdir().unwrap();
        let data = unpack(&archive, directory.path());
        let node = Node::start(&data).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
        check(&node);
        assert!(node.stop().0.success(), "{}", archive.display());
        let again = Node::start(&data).unwrap();
        let (status, log) = again.stop();
        assert!(status.success(), "{log}");
    }
}

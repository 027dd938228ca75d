//! A client with a cache (RFC 7162) goes from node to node and fetches only what changed: UIDs, MODSEQs and UIDVALIDITY
//! are the cluster's, not a node's (I6).

use clients::imap::{Answer, Imap};
use tests::cluster::{Cluster, PATIENCE};

const USER: &str = "ann@example.org";

const MESSAGES: u64 = 40;

/// What a client remembers of a folder.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    uidvalidity: u64,
    modseq: u64,
    uidnext: u64,
}

fn known(select: &Answer) -> Known {
    let number = |word: &str| select.number_after(word).unwrap_or_else(|| panic!("no {word} in {}", select.text()));
    Known { uidvalidity: number("[UIDVALIDITY"), modseq: number("[HIGHESTMODSEQ"), uidnext: number("[UIDNEXT") }
}

/// Comes with a cache and says what the server told: UIDs that vanished, lines of changed messages, the new state.
fn resynchronise(imap: &mut Imap, cache: Known) -> (String, Vec<String>, Known) {
    imap.ok("ENABLE QRESYNC").unwrap();
    let select = imap.ok(&format!("SELECT INBOX (QRESYNC ({} {}))", cache.uidvalidity, cache.modseq)).unwrap();
    let text = select.text();
    let vanished = text.lines().find_map(|line| line.strip_prefix("* VANISHED (EARLIER) ")).unwrap_or("").to_owned();
    let changed = text.lines().filter(|line| line.contains(" FETCH (")).map(str::to_owned).collect();
    (vanished, changed, known(&select))
}

#[test]
fn it_fetches_only_the_difference() {
    let mut cluster = Cluster::start(3);
    cluster.add_account(USER);
    let mut imap = cluster.imap(0, USER).unwrap();
    for number in 0..MESSAGES {
        let message = format!("Subject: number {number}\r\n\r\nbody\r\n");
        assert!(imap.append("INBOX", "", message.as_bytes()).unwrap().status.starts_with("OK"));
    }
    imap.ok("ENABLE QRESYNC").unwrap();
    let first = known(&imap.ok("SELECT INBOX").unwrap());
    assert_eq!(first.uidnext, MESSAGES + 1);
    drop(imap);

    // Nothing happened: nothing is told, on any node.
    for node in [1, 2] {
        let (vanished, changed, now) = resynchronise(&mut cluster.imap(node, USER).unwrap(), first);
        assert_eq!((vanished.as_str(), changed.len(), now), ("", 0, first), "on {}", cluster.name(node));
    }
    // Somebody works on the second node, which then dies.
    let mut other = cluster.imap(1, USER).unwrap();
    other.ok("SELECT INBOX").unwrap();
    other.ok("UID STORE 3,5 +FLAGS (\\Flagged)").unwrap();
    other.ok("UID STORE 7:8 +FLAGS.SILENT (\\Deleted)").unwrap();
    other.ok("EXPUNGE").unwrap();
    assert!(other.append("INBOX", "", b"Subject: new\r\n\r\nbody\r\n").unwrap().status.starts_with("OK"));
    cluster.kill(1);
    let second = cluster.wait_for("the third node to serve", PATIENCE, || {
        let mut imap = cluster.imap(2, USER).ok()?;
        imap.command("STATUS INBOX (MESSAGES)").ok().filter(|answer| answer.status.starts_with("OK"))?;
        let (vanished, changed, now) = resynchronise(&mut imap, first);
        assert_eq!(vanished, "7:8");
        let mut uids: Vec<_> =
            changed.iter().filter_map(|line| line.split("UID ").nth(1)?.split([' ', ')']).next()).collect();
        uids.sort_unstable();
        assert_eq!(uids, ["3", "41", "5"], "{changed:?}");
        Some(now)
    });
    assert_eq!((second.uidvalidity, second.uidnext), (first.uidvalidity, first.uidnext + 1));
    assert!(second.modseq > first.modseq);
    // Back home with the new cache, and to the node that came back.
    cluster.restart(1);
    cluster.wait_whole();
    for node in [0, 1] {
        let (vanished, changed, now) = resynchronise(&mut cluster.imap(node, USER).unwrap(), second);
        assert_eq!((vanished.as_str(), changed.len(), now), ("", 0, second), "on {}", cluster.name(node));
    }
    cluster.finish();
}

//! A node is away while much is written. It comes back by the log or by a snapshot, bodies and all, and then carries the
//! cluster with one other.

use clients::imap::Imap;
use tests::cluster::{Cluster, PATIENCE};

const USER: &str = "ann@example.org";

/// More than the log keeps behind a snapshot.
const SMALL: usize = 4_500;

/// Beyond what rides in an entry.
const LARGE: usize = 12;

fn large(number: usize) -> Vec<u8> {
    let mut text = format!("Subject: large {number}\r\n\r\n").into_bytes();
    text.extend(format!("line of the large message {number}\r\n").repeat(4_000).bytes());
    text
}

/// Many messages, each command sent before the answer to the one before is there.
fn append_many(imap: &mut Imap, count: usize) {
    for batch in 0..count / 100 {
        let message = |number: usize| format!("Subject: small {batch} {number}\r\n\r\nbody\r\n");
        let tags: Vec<_> = (0..100)
            .map(|number| {
                let message = message(number);
                let tag = imap.start(&format!("APPEND INBOX () {{{}+}}", message.len())).unwrap();
                imap.send(format!("{message}\r\n").as_bytes()).unwrap();
                tag
            })
            .collect();
        for tag in tags {
            let status = imap.finish_with(&tag, drop).unwrap();
            assert!(status.starts_with("OK"), "{status}");
        }
    }
}

fn every_large_one(cluster: &Cluster, node: usize) -> Vec<Vec<u8>> {
    let mut imap = cluster.imap(node, USER).unwrap();
    imap.ok("EXAMINE Large").unwrap();
    imap.ok("FETCH 1:* (UID BODY.PEEK[])").unwrap().untagged
}

#[test]
fn it_catches_up_and_then_carries_the_cluster() {
    let mut cluster = Cluster::start(3);
    cluster.add_account(USER);
    let away = (cluster.leader_of(USER) + 1) % 3;
    cluster.kill(away);
    let host = cluster.living().next().unwrap();
    let mut imap = cluster.imap(host, USER).unwrap();
    imap.ok("CREATE Large").unwrap();
    for number in 0..LARGE {
        assert!(imap.append("Large", "", &large(number)).unwrap().status.starts_with("OK"));
    }
    append_many(&mut imap, SMALL);
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("STORE 1:100 +FLAGS (\\Flagged)").unwrap();
    let expected = every_large_one(&cluster, host);
    assert_eq!(expected.len(), LARGE);

    cluster.restart(away);
    cluster.wait_whole();
    // Now one of the others goes: what the returned node does not hold is lost to the clients.
    let gone = (away + 1) % 3;
    cluster.kill(gone);
    cluster.wait_until("the returned node counts", PATIENCE, || {
        cluster.count(away, USER, "INBOX").is_ok_and(|count| count == SMALL as u64)
    });
    assert!(every_large_one(&cluster, away) == expected, "the same bytes");
    let mut imap = cluster.imap(away, USER).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    let flagged = imap.ok("SEARCH RETURN (COUNT) FLAGGED").unwrap();
    assert_eq!(flagged.number_after("COUNT"), Some(100));
    assert!(imap.append("INBOX", "", b"Subject: after\r\n\r\nbody\r\n").unwrap().status.starts_with("OK"));
    cluster.restart(gone);
    cluster.finish();
}

//! A leader is stopped where it stands and wakes up believing that it still leads.

use super::loaded::Loaded;
use tests::cluster::PATIENCE;

const USER: &str = "ann@example.org";

#[test]
fn a_leader_that_sleeps_is_replaced_and_what_it_says_on_waking_is_true() {
    let loaded = Loaded::start(3);
    let cluster = &loaded.cluster;
    cluster.add_account(USER);
    let load = loaded.work();
    loaded.progress("before the pause", 20);
    let leader = cluster.leader_of(USER);
    let other = (leader + 1) % 3;
    let mut asleep = cluster.imap(leader, USER).unwrap();
    cluster.pause(leader);
    loaded.progress("while the leader sleeps", 20);
    cluster.wait_until("a write to its shard", PATIENCE, || {
        cluster.deliver(other, USER, "while-it-slept").is_ok_and(|reply| reply.code == 250)
    });
    // These wait in the sleeper's socket: it reads them before it can hear that it leads no more.
    let (search, append) = ("EXAMINE INBOX", b"Subject: on waking\r\n\r\nbody\r\n");
    let selected = asleep.start(search).unwrap();
    let searched = asleep.start("UID SEARCH SUBJECT while-it-slept").unwrap();
    let appended = asleep.start(&format!("APPEND Woken () {{{}+}}", append.len())).unwrap();
    asleep.send(&[append.as_slice(), b"\r\n"].concat()).unwrap();
    cluster.resume(leader);
    let selected = asleep.finish_with(&selected, drop).unwrap();
    let mut found = String::new();
    let searched = asleep.finish_with(&searched, |line| found.push_str(&String::from_utf8_lossy(&line))).unwrap();
    if selected.starts_with("OK") && searched.starts_with("OK") {
        assert!(found.bytes().any(|byte| byte.is_ascii_digit()), "an answer from the past: {found}");
    }
    // There is no such folder; whoever knows says so, whoever does not know says that.
    let appended = asleep.finish_with(&appended, drop).unwrap();
    assert!(appended.starts_with("NO [TRYCREATE]") || appended.starts_with("NO [UNAVAILABLE]"), "{appended}");
    loaded.progress("after the leader woke", 20);
    cluster.wait_whole();
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

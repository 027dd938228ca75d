//! The leader of a shard is killed in the middle of everything. Sessions on other nodes stay, what was acknowledged
//! stays, what was under way is done once or not at all.

use super::loaded::Loaded;
use clients::imap::Imap;
use tests::cluster::{Cluster, PATIENCE};

/// The leader of the first user's shard, and a node that is not.
fn leader_and_other(cluster: &Cluster, user: &str) -> (usize, usize) {
    let leader = cluster.leader_of(user);
    (leader, (leader + 1) % cluster.size())
}

fn large(id: &str) -> Vec<u8> {
    let mut text = format!("Subject: {id}\r\n\r\n").into_bytes();
    text.extend(b"a line of a message that is longer than what rides in an entry\r\n".repeat(2_000));
    text
}

fn found(cluster: &Cluster, node: usize, user: &str, folder: &str, subject: &str) -> usize {
    let mut imap = cluster.imap(node, user).unwrap();
    imap.ok(&format!("EXAMINE {folder}")).unwrap();
    let answer = imap.ok(&format!("SEARCH SUBJECT \"{subject}\"")).unwrap().text();
    answer.lines().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or("").split_whitespace().count()
}

/// The session is alive and sees the mailbox.
fn alive(imap: &mut Imap) {
    imap.ok("NOOP").unwrap();
}

#[test]
fn in_the_middle_of_data_append_copy_and_delivery() {
    let mut loaded = Loaded::start(3);
    for user in ["first@example.org", "second@example.org", "third@example.org"] {
        loaded.cluster.add_account(user);
    }
    let load = loaded.work();
    loaded.progress("before any kill", 20);
    for (round, step) in [mid_data, mid_append, mid_copy, mid_delivery].into_iter().enumerate() {
        let (leader, other) = leader_and_other(&loaded.cluster, "first@example.org");
        let mut watcher = loaded.cluster.imap(other, "second@example.org").unwrap();
        watcher.ok("SELECT INBOX").unwrap();
        step(&mut loaded.cluster, leader, other);
        loaded.progress(&format!("after kill {round}"), 20);
        alive(&mut watcher);
        loaded.cluster.restart(leader);
        loaded.cluster.wait_whole();
    }
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

fn mid_data(cluster: &mut Cluster, leader: usize, other: usize) {
    let message = large("mid data");
    let (first, second) = message.split_at(message.len() / 2);
    let mut doomed = cluster.smtp(leader).unwrap();
    let mut smtp = cluster.smtp(other).unwrap();
    for session in [&mut doomed, &mut smtp] {
        session.command("MAIL FROM:<bob@example.net>").unwrap().expect(250).unwrap();
        session.command("RCPT TO:<first@example.org>").unwrap().expect(250).unwrap();
        session.command("DATA").unwrap().expect(354).unwrap();
        session.send(first).unwrap();
    }
    cluster.kill(leader);
    smtp.send(&[second, b"\r\n.\r\n"].concat()).unwrap();
    let reply = smtp.read().unwrap();
    assert!(reply.code == 250 || reply.code == 451, "{reply:?}");
    smtp.command("NOOP").unwrap().expect(250).unwrap();
    let copies = found(cluster, other, "first@example.org", "INBOX", "mid data");
    assert!(copies == 1 || copies == 0 && reply.code == 451, "{copies} copies after {reply:?}");
}

fn mid_append(cluster: &mut Cluster, leader: usize, other: usize) {
    let message = large("mid append");
    let (first, second) = message.split_at(message.len() / 2);
    let mut imap = cluster.imap(other, "first@example.org").unwrap();
    let tag = imap.start(&format!("APPEND INBOX () {{{}+}}", message.len())).unwrap();
    imap.send(first).unwrap();
    cluster.kill(leader);
    imap.send(&[second, b"\r\n"].concat()).unwrap();
    let status = imap.finish_with(&tag, drop).unwrap();
    assert!(status.starts_with("OK") || status.starts_with("NO [UNAVAILABLE]"), "{status}");
    alive(&mut imap);
    let copies = found(cluster, other, "first@example.org", "INBOX", "mid append");
    assert!(copies == 1 || copies == 0 && status.starts_with("NO"), "{copies} copies after {status}");
}

fn mid_copy(cluster: &mut Cluster, leader: usize, other: usize) {
    let mut imap = cluster.imap(other, "first@example.org").unwrap();
    imap.ok("CREATE Many").unwrap();
    imap.ok("CREATE Copied").unwrap();
    for number in 0..50 {
        let message = format!("Subject: many {number}\r\n\r\nbody\r\n");
        assert!(imap.append("Many", "", message.as_bytes()).unwrap().status.starts_with("OK"));
    }
    imap.ok("SELECT Many").unwrap();
    let tag = imap.start("COPY 1:* Copied").unwrap();
    cluster.kill(leader);
    let status = imap.finish_with(&tag, drop).unwrap();
    assert!(status.starts_with("OK") || status.starts_with("NO [UNAVAILABLE]"), "{status}");
    alive(&mut imap);
    let copied = cluster.count(other, "first@example.org", "Copied").unwrap();
    assert!(copied == 50 || copied == 0 && status.starts_with("NO"), "{copied} of 50 after {status}");
    assert_eq!(cluster.count(other, "first@example.org", "Many").unwrap(), 50);
}

fn mid_delivery(cluster: &mut Cluster, leader: usize, other: usize) {
    let users = ["first@example.org", "second@example.org", "third@example.org"];
    let mut smtp = cluster.smtp(other).unwrap();
    let reply = smtp.deliver("bob@example.net", &users, &large("mid delivery")).unwrap();
    assert_eq!(reply.code, 250, "{reply:?}");
    cluster.kill(leader);
    for user in users {
        let count = || found(cluster, other, user, "INBOX", "mid delivery");
        cluster.wait_until(&format!("the delivery to {user}"), PATIENCE, || count() > 0);
        assert_eq!(count(), 1, "{user} has it once");
    }
}

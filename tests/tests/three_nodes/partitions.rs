//! Cables fail: a minority never acknowledges (I10), the majority goes on, and everything meets again by itself.

use super::loaded::Loaded;
use clients::imap::Imap;
use clients::smtp::Smtp;
use std::time::Duration;
use tests::cluster::{Cluster, PASSWORD, PATIENCE};
use tests::relay::Way;

const USER: &str = "ann@example.org";

/// A node that answers later than this is as good as silent.
const SECONDS: Duration = Duration::from_secs(15);

/// What a node that was cut off says to writes, in sessions that were open before.
fn refuses(smtp: &mut Smtp, imap: &mut Imap) {
    smtp.command("RSET").unwrap().expect(250).unwrap();
    let reply = smtp.deliver("bob@example.net", &[USER], b"Subject: refused\r\n\r\nx\r\n");
    let text = match reply {
        Ok(reply) => format!("{} {}", reply.code, reply.text),
        // RCPT may say it already.
        Err(error) => error.to_string(),
    };
    assert!(text.contains("451"), "{text}");
    smtp.command("NOOP").unwrap().expect(250).unwrap();
    let answer = imap.append("INBOX", "", b"Subject: refused\r\n\r\nx\r\n").unwrap();
    assert!(answer.status.starts_with("NO [UNAVAILABLE]"), "{}", answer.status);
}

fn sessions(cluster: &Cluster, node: usize) -> (Smtp, Imap) {
    let mut smtp = Smtp::connect_patiently(cluster.address(node, "smtp"), SECONDS).unwrap();
    smtp.command("EHLO client.example.net").unwrap().expect(250).unwrap();
    let mut imap = Imap::connect_patiently(cluster.address(node, "imap"), SECONDS).unwrap();
    imap.login(USER, PASSWORD).unwrap();
    (smtp, imap)
}

/// A session that was open all the time takes writes again.
fn comes_back(cluster: &Cluster, imap: &mut Imap) {
    cluster.wait_until("the node that was cut off serves again", PATIENCE, || {
        let answer = imap.append("INBOX", "", b"Subject: back\r\n\r\nx\r\n").unwrap();
        assert!(answer.status.starts_with("OK") || answer.status.starts_with("NO [UNAVAILABLE]"), "{}", answer.status);
        answer.status.starts_with("OK")
    });
}

fn takes_mail(cluster: &Cluster, node: usize, when: &str) {
    cluster.wait_until(&format!("mail is taken {when}"), PATIENCE, || {
        cluster.deliver(node, USER, "taken").is_ok_and(|reply| reply.code == 250)
    });
}

#[test]
fn a_minority_refuses_and_the_majority_goes_on() {
    let loaded = Loaded::start(3);
    let cluster = &loaded.cluster;
    cluster.add_account(USER);
    let load = loaded.work();
    loaded.progress("before the cut", 20);
    // The leader alone.
    let alone = cluster.leader_of(USER);
    let (mut smtp, mut imap) = sessions(cluster, alone);
    cluster.isolate(alone);
    loaded.progress("of the majority", 20);
    refuses(&mut smtp, &mut imap);
    takes_mail(cluster, (alone + 1) % 3, "by the majority");
    refuses(&mut smtp, &mut imap);
    cluster.heal();
    comes_back(cluster, &mut imap);
    cluster.wait_whole();
    let counts = [0, 1, 2].map(|node| cluster.count(node, USER, "INBOX").unwrap());
    assert!(counts[0] >= 2 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    // All alone: nobody takes anything, then everybody does.
    let mut sessions = [0, 1, 2].map(|node| sessions(cluster, node));
    cluster.partition(&[0], &[1, 2]);
    cluster.partition(&[1], &[2]);
    for (smtp, imap) in &mut sessions {
        refuses(smtp, imap);
    }
    cluster.heal();
    comes_back(cluster, &mut imap);
    loaded.progress("after all were apart", 20);
    cluster.wait_whole();
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

#[test]
fn half_a_cable_and_a_loose_one_lose_nothing() {
    let loaded = Loaded::start(3);
    let cluster = &loaded.cluster;
    cluster.add_account(USER);
    let load = loaded.work();
    loaded.progress("before the cut", 20);
    let leader = cluster.leader_of(USER);
    for (what, mute) in [("the leader is not heard", true), ("the leader hears nobody", false)] {
        for other in (0..3).filter(|node| *node != leader) {
            let (from, to) = if mute { (leader, other) } else { (other, leader) };
            cluster.set_way(from, to, Way::Drop);
        }
        loaded.progress(what, 20);
        takes_mail(cluster, (leader + 1) % 3, what);
        cluster.heal();
        cluster.wait_whole();
    }
    // One pair does not see each other, but both see the third.
    cluster.partition(&[0], &[1]);
    loaded.progress("with one cable cut", 20);
    cluster.heal();
    for turn in 0..12 {
        cluster.isolate(turn % 3);
        std::thread::park_timeout(Duration::from_millis(150 + 70 * turn as u64));
        cluster.heal();
        std::thread::park_timeout(Duration::from_millis(200));
    }
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        cluster.set_way(from, to, Way::Loss(20));
        cluster.set_way(to, from, Way::Delay(Duration::from_millis(30)));
    }
    loaded.progress("over bad cables", 20);
    cluster.heal();
    loaded.progress("after all that", 20);
    cluster.wait_whole();
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

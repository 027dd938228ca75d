//! Whoever has no right to join is told why, the node that turned it away says so too, and nothing changes.

use super::loaded::Loaded;
use std::net::UdpSocket;
use std::path::Path;
use tests::cluster::{CLOCK_LIBRARY, Cluster, PASSWORD, PATIENCE, Shape};
use tests::node::Node;
use tests::programs::missing;

/// What a node that could not join said, and that it ended by itself.
fn refused(cluster: &mut Cluster, node: usize, host: &str, token: &str) -> String {
    cluster.spawn(node, &["--join", host, "--token", token]);
    let log = cluster.failed_start(node);
    assert!(!log.contains("panicked"), "{log}");
    log
}

#[test]
fn a_bad_token_is_refused_in_plain_words_on_both_sides() {
    let mut cluster = Cluster::first(Shape { relays: true });
    let (host, token) = cluster.invitation();
    let members = cluster.names_of_members(0);

    let stranger = cluster.add_member();
    let said = refused(&mut cluster, stranger, &host, "nonsense");
    assert!(said.contains("token"), "{said}");
    // The right cluster, a wrong secret.
    let (front, secret) = token.rsplit_once('.').unwrap();
    let wrong = format!("{front}.{}", "0".repeat(secret.len()));
    let said = refused(&mut cluster, stranger, &host, &wrong);
    assert!(said.contains("token"), "{said}");
    cluster.wait_until("the host tells of it", PATIENCE, || cluster.log(0).contains("token"));
    // Another cluster's token: the fingerprint of its authority is not this one's.
    let fingerprint = token.split('.').nth(1).unwrap();
    let other = token.replace(fingerprint, &"ab".repeat(fingerprint.len() / 2));
    let said = refused(&mut cluster, stranger, &host, &other);
    assert!(said.contains("cluster"), "{said}");
    assert_eq!(cluster.names_of_members(0), members, "nothing changed");

    // The same place may still join with the good one, which then is used up.
    cluster.spawn(stranger, &["--join", &host, "--token", &token]);
    cluster.ready(stranger);
    let second = cluster.add_member();
    let said = refused(&mut cluster, second, &host, &token);
    assert!(said.contains("used"), "{said}");
    cluster.wait_whole();
    cluster.finish();
}

#[test]
fn the_name_of_another_and_ones_own_address_are_refused() {
    let mut cluster = Cluster::first(Shape { relays: true });
    cluster.add_account("ann@example.org");
    // The same name twice.
    let (host, token) = cluster.invitation();
    let twin = cluster.add_member();
    cluster.set_name(twin, "n1");
    let said = refused(&mut cluster, twin, &host, &token);
    assert!(said.contains("n1"), "{said}");
    // Itself.
    let (_, token) = cluster.invitation();
    let lonely = cluster.add_member();
    let itself = cluster.advertised(lonely).to_string();
    let said = refused(&mut cluster, lonely, &itself, &token);
    assert!(said.contains("itself"), "{said}");
    assert_eq!(cluster.deliver(0, "ann@example.org", "still").unwrap().code, 250);
    // A directory that belongs just starts, whatever it is told.
    let (host, token) = cluster.invitation();
    let member = cluster.add_member();
    cluster.spawn(member, &["--join", &host, "--token", &token]);
    cluster.ready(member);
    cluster.wait_whole();
    cluster.kill(member);
    cluster.spawn(member, &["--join", &host, "--token", &token]);
    cluster.ready(member);
    cluster.wait_whole();
    cluster.finish();
}

#[test]
fn a_data_directory_of_another_cluster_or_node_is_refused_and_left_as_it_is() {
    let mut cluster = Cluster::first(Shape { relays: true });
    let members = cluster.names_of_members(0);
    let folder = tempfile::tempdir().unwrap();
    let mut other = Node::start(folder.path()).unwrap();
    other.add_account("bob@example.org", PASSWORD);
    other.kill();
    let (host, token) = cluster.invitation();
    let foreign = cluster.add_member();
    cluster.set_data(foreign, folder.path());
    let said = refused(&mut cluster, foreign, &host, &token);
    assert!(said.contains("another cluster"), "{said}");
    assert_eq!(cluster.names_of_members(0), members, "nothing changed here");
    // Nor there: it is its own cluster as before.
    cluster.spawn(foreign, &[]);
    cluster.ready(foreign);
    assert_eq!(cluster.deliver(foreign, "bob@example.org", "still").unwrap().code, 250);
    assert_eq!(cluster.count(foreign, "bob@example.org", "INBOX").unwrap(), 1);
    cluster.kill(foreign);
    // The token is as good as before. Then the directory is this node's and nobody else's.
    let member = cluster.add_member();
    cluster.spawn(member, &["--join", &host, "--token", &token]);
    cluster.ready(member);
    cluster.wait_whole();
    cluster.kill(member);
    let name = cluster.name(member).to_owned();
    cluster.set_name(member, "another");
    let said = refused(&mut cluster, member, &host, &token);
    assert!(said.contains(&name), "{said}");
    cluster.set_name(member, &name);
    cluster.restart(member);
    cluster.wait_whole();
    cluster.finish();
}

#[test]
fn a_token_expires_and_a_clock_that_is_hours_off_stops_nobody() {
    if !Path::new(CLOCK_LIBRARY).exists() {
        return missing("libfaketime");
    }
    let mut cluster = Cluster::first(Shape { relays: true });
    cluster.add_account("ann@example.org");
    let (host, late) = cluster.invitation();
    cluster.kill(0);
    cluster.set_clock(0, 2);
    cluster.restart(0);
    let member = cluster.add_member();
    let said = refused(&mut cluster, member, &host, &late);
    assert!(said.contains("expired"), "{said}");
    cluster.wait_until("the host tells of it", PATIENCE, || cluster.log(0).contains("expired"));
    // One made now is good, though the newcomer's clock is two hours behind the host's.
    let (host, token) = cluster.invitation();
    cluster.spawn(member, &["--join", &host, "--token", &token]);
    cluster.ready(member);
    cluster.wait_whole();
    for node in [0, 1] {
        assert_eq!(cluster.deliver(node, "ann@example.org", "hello").unwrap().code, 250);
    }
    assert_eq!([0, 1].map(|node| cluster.count(node, "ann@example.org", "INBOX").unwrap()), [2, 2]);
    let status = cluster.cli(1, &["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("clock") && said.contains("NTP"), "{said}");
    // Back to the right time.
    cluster.kill(0);
    cluster.set_clock(0, 0);
    cluster.restart(0);
    cluster.wait_whole();
    for node in [0, 1] {
        assert_eq!(cluster.deliver(node, "ann@example.org", "hello").unwrap().code, 250);
    }
    assert_eq!([0, 1].map(|node| cluster.count(node, "ann@example.org", "INBOX").unwrap()), [4, 4]);
    cluster.finish();
}

#[test]
fn garbage_and_replayed_datagrams_change_nothing() {
    let loaded = Loaded::start(3);
    let cluster = &loaded.cluster;
    let load = loaded.work();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = 1_u64;
    for round in 0..3_000_usize {
        let length = [0, 1, 20, 1_200, 1_452, 9_000, 60_000][round % 7];
        let garbage: Vec<u8> = (0..length)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        // What does not fit into a socket's queue is lost, as it should be.
        let _ = socket.send_to(&garbage, cluster.address(round % 3, "cluster"));
    }
    cluster.repeat_datagrams();
    loaded.progress("with every datagram sent twice", 100);
    cluster.heal();
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

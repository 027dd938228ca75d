//! A node that was down comes back at another address: it tells the others, and they reach it there.

use tests::cluster::{Cluster, PATIENCE, Shape};

const USER: &str = "ann@example.org";

fn whole_of(nodes: usize) -> Cluster {
    let mut cluster = Cluster::first(Shape { relays: false });
    while cluster.size() < nodes {
        cluster.grow();
    }
    cluster.wait_whole();
    cluster.add_account(USER);
    cluster
}

fn come_back_elsewhere(cluster: &mut Cluster, node: usize) {
    cluster.kill(node);
    cluster.move_cluster_port(node);
    cluster.restart(node);
    cluster.wait_whole();
}

fn takes_mail(cluster: &Cluster, node: usize) {
    cluster.wait_until("mail is taken", PATIENCE, || {
        cluster.deliver(node, USER, "taken").is_ok_and(|reply| reply.code == 250)
    });
}

#[test]
fn the_others_reach_a_node_at_its_new_address_and_count_on_it() {
    let mut cluster = whole_of(3);
    come_back_elsewhere(&mut cluster, 1);
    // A majority is now those two: they must have found each other.
    cluster.kill(2);
    takes_mail(&cluster, 0);
    takes_mail(&cluster, 1);
    cluster.restart(2);
    cluster.wait_whole();
    // The first node is nothing special.
    come_back_elsewhere(&mut cluster, 0);
    cluster.kill(2);
    takes_mail(&cluster, 0);
    let counts = [0, 1].map(|node| cluster.count(node, USER, "INBOX").unwrap());
    assert!(counts[0] >= 3 && counts[0] == counts[1], "{counts:?}");
    cluster.finish();
}

#[test]
fn of_two_nodes_each_may_return_elsewhere() {
    let mut cluster = whole_of(2);
    for node in [1, 0] {
        come_back_elsewhere(&mut cluster, node);
        takes_mail(&cluster, 0);
        takes_mail(&cluster, 1);
    }
    let counts = [0, 1].map(|node| cluster.count(node, USER, "INBOX").unwrap());
    assert!(counts[0] >= 4 && counts[0] == counts[1], "{counts:?}");
    cluster.finish();
}

//! A data directory is copied and the copy started beside the original: the copy is turned away and ends, both sides say
//! why, and mail goes on.

use std::process::Command;
use tests::cluster::{Cluster, PATIENCE, Shape};
use tests::node::Node;

const USER: &str = "ann@example.org";

#[test]
fn a_copy_beside_its_original_is_turned_away_and_ends() {
    let mut cluster = Cluster::first(Shape { relays: false });
    while cluster.size() < 3 {
        cluster.grow();
    }
    cluster.wait_whole();
    cluster.add_account(USER);
    let (original, copied) = (2, cluster.data(2).with_extension("copy"));
    cluster.kill(original);
    let copying = Command::new("cp").arg("-a").arg(cluster.data(original)).arg(&copied).status();
    assert!(copying.unwrap().success());
    cluster.restart(original);
    cluster.wait_whole();
    let name = cluster.name(original).to_owned();
    let flags = ["--ephemeral-ports", "--bind", "127.0.0.1", "--name", &name, "--hostname", "copy.example.org"];
    let mut copy = Node::spawn(&copied, &flags).unwrap();
    let (code, log) = copy.ended(PATIENCE).expect("the copy goes on");
    assert!(!matches!(code, None | Some(0)) && log.contains("copied"), "{code:?}: {log}");
    let told = |node: usize| cluster.log(node).contains("another process runs as node 3");
    assert!(told(0) || told(1), "nobody says who was turned away");
    for node in 0..3 {
        assert_eq!(cluster.deliver(node, USER, "still here").unwrap().code, 250);
    }
    let counts = [0, 1, 2].map(|node| cluster.count(node, USER, "INBOX").unwrap());
    assert_eq!(counts, [3; 3]);
    cluster.finish();
}

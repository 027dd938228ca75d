//! One node becomes two, three, four and three again while clients work, and nobody notices.

use super::loaded::Loaded;
use tests::cluster::{Cluster, PATIENCE, Shape};

#[test]
fn from_one_to_four_and_back_under_load() {
    let mut loaded = Loaded::on(Cluster::first(Shape { relays: true }));
    let load = loaded.work();
    loaded.progress("of one node", 20);
    for nodes in 2..=4 {
        let node = loaded.cluster.grow();
        loaded.progress(&format!("of {nodes} nodes"), 20);
        loaded.cluster.wait_whole();
        assert_eq!(node + 1, nodes);
    }
    load.stop();
    loaded.check(&[0, 1, 2, 3]);
    // The first node leaves: nothing may hang on it.
    let load = loaded.work();
    let removed = loaded.cluster.cli(1, &["node", "remove", "n1"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    loaded.cluster.wait_until("the removed node is off the list", PATIENCE, || {
        loaded.cluster.names_of_members(1).is_some_and(|names| !names.contains(&"n1".to_owned()))
    });
    loaded.cluster.kill(0);
    loaded.progress("without the first node", 20);
    load.stop();
    loaded.cluster.wait_whole();
    loaded.check(&[1, 2, 3]);
    loaded.cluster.finish();
}

#[test]
fn from_four_to_one_under_load() {
    let mut loaded = Loaded::on(Cluster::first(Shape { relays: false }));
    while loaded.cluster.size() < 4 {
        loaded.cluster.grow();
    }
    loaded.cluster.wait_whole();
    for node in [1, 3, 2] {
        let load = loaded.work();
        loaded.progress("before a node leaves", 20);
        let name = loaded.cluster.name(node).to_owned();
        let removed = loaded.cluster.cli(0, &["node", "remove", &name]);
        assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        loaded.cluster.wait_until("the removed node is off the list", PATIENCE, || {
            loaded.cluster.names_of_members(0).is_some_and(|names| !names.contains(&name))
        });
        loaded.cluster.kill(node);
        loaded.progress("without it", 20);
        load.stop();
        loaded.cluster.wait_whole();
        loaded.check(&loaded.cluster.living().collect::<Vec<_>>());
    }
    // All by itself it starts again and has everything.
    loaded.cluster.kill(0);
    loaded.cluster.restart(0);
    loaded.check(&[0]);
    loaded.cluster.finish();
}

#[test]
fn a_drained_node_may_be_killed_without_anybody_waiting() {
    let mut loaded = Loaded::start(3);
    let load = loaded.work();
    loaded.progress("before the drain", 20);
    let drained = loaded.cluster.cli(0, &["node", "drain", "n2"]);
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
    loaded.cluster.wait_until("the drained node leads nothing", PATIENCE, || loaded.cluster.led_by(0, 1) == Some(0));
    loaded.cluster.kill(1);
    loaded.progress("without the drained node", 20);
    loaded.cluster.restart(1);
    assert!(loaded.cluster.cli(0, &["node", "undrain", "n2"]).status.success());
    loaded.cluster.wait_until("it leads again", PATIENCE, || loaded.cluster.led_by(0, 1) > Some(0));
    load.stop();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

//! The power fails everywhere at once, again and again, and the nodes come back in any order.

use super::loaded::Loaded;

#[test]
fn they_start_in_any_order_and_nothing_acknowledged_is_lost() {
    let mut loaded = Loaded::start(3);
    for order in [[2, 0, 1], [1, 2, 0], [0, 2, 1]] {
        let load = loaded.work();
        loaded.progress("before the power fails", 30);
        (0..3).for_each(|node| loaded.cluster.kill(node));
        load.stop();
        order.into_iter().for_each(|node| loaded.cluster.spawn(node, &[]));
        order.into_iter().for_each(|node| loaded.cluster.ready(node));
        loaded.cluster.wait_whole();
        loaded.check(&order);
    }
    // Two of three are enough, and the third finds its way back.
    let load = loaded.work();
    loaded.progress("before the last failure", 30);
    (0..3).for_each(|node| loaded.cluster.kill(node));
    load.stop();
    loaded.cluster.spawn(2, &[]);
    loaded.cluster.spawn(1, &[]);
    loaded.cluster.ready(2);
    loaded.cluster.ready(1);
    let load = loaded.work();
    loaded.progress("of two nodes", 30);
    loaded.cluster.restart(0);
    load.stop();
    loaded.cluster.wait_whole();
    loaded.check(&[0, 1, 2]);
    loaded.cluster.finish();
}

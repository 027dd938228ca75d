//! Three equal nodes from outside: real processes that are killed, paused, cut off, filled up, added and removed while
//! clients work. Each file shows one thing. Clusters take turns, whatever the number of test threads.

mod a_copy_of_a_node;
mod a_node_returns_elsewhere;
mod all_nodes_are_killed;
mod any_node_serves;
mod client_moves_between_nodes;
mod disk;
mod disks_fail;
mod follower_falls_behind;
mod leader_is_killed;
mod leader_is_paused;
mod loaded;
mod nodes_come_and_go;
mod partitions;
mod strangers_at_the_cluster_port;

//! Mail in and mail out on a real store: sessions over sockets, the queue against scripted hosts.

mod dns;
mod outbound;
mod sessions;
mod sink;
mod world;

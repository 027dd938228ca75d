//! Latency without netem (whose kernel module is often missing): a process inside a namespace that takes packets from
//! NFQUEUE 1 and lets each go after a delay of its own, so that they also change their order.

use crate::limits::HELD_PACKETS_MAX;
use anyhow::Result;
use nfq::{Message, Queue, Verdict};
use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Holds packets for `delay` and up to `jitter` more, until the process is killed.
pub fn serve(delay: Duration, jitter: Duration, seed: u64) -> Result<()> {
    let mut queue = Queue::open()?;
    queue.bind(1)?;
    queue.set_queue_max_len(1, HELD_PACKETS_MAX)?;
    queue.set_copy_range(1, 64)?;
    queue.set_nonblocking(true);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut held: BTreeMap<(Instant, u64), Message> = BTreeMap::new();
    let mut number = 0;
    loop {
        match queue.recv() {
            Ok(packet) => {
                number += 1;
                let more = Duration::from_micros(random.u64(0..=u64::try_from(jitter.as_micros())?));
                held.insert((Instant::now() + delay + more, number), packet);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(Duration::from_millis(1)),
            // The socket's buffer ran over: those packets are lost, as on a full line.
            Err(error) if error.raw_os_error() == Some(105) => {}
            Err(error) => return Err(error.into()),
        }
        let full = held.len() > HELD_PACKETS_MAX as usize / 2;
        while let Some(first) = held.first_entry() {
            if !full && first.key().0 > Instant::now() {
                break;
            }
            let mut packet = first.remove();
            packet.set_verdict(Verdict::Accept);
            queue.verdict(packet)?;
        }
    }
}

//! Where work runs: on a named thread in the order it was sent, or at once on the caller for the simulator.

use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs one after the other.
pub enum Lane {
    /// On the calling thread, before `run` returns.
    Inline,
    /// On a thread of its own.
    Thread(Mutex<Option<Sender<Job>>>),
}

impl Lane {
    /// Starts a thread that ends when the lane is closed or dropped and its jobs are done.
    pub fn start(name: &str) -> std::io::Result<(Lane, JoinHandle<()>)> {
        let (sender, receiver): (_, Receiver<Job>) = channel();
        let thread = std::thread::Builder::new().name(name.to_string()).spawn(move || {
            for job in receiver {
                // One group's fault must not silence the others on this thread; its waiter sees its completion dropped.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("work on an apply thread panicked");
                }
            }
        })?;
        Ok((Lane::Thread(Mutex::new(Some(sender))), thread))
    }

    /// Runs a job. After the lane's thread has ended the job is dropped unrun.
    pub fn run(&self, job: Job) {
        match self {
            Lane::Inline => job(),
            Lane::Thread(sender) => {
                let sender = sender.lock().clone();
                if let Some(sender) = sender {
                    drop(sender.send(job));
                }
            }
        }
    }

    /// Lets the thread end once the jobs sent so far are done; later jobs are dropped unrun.
    pub fn close(&self) {
        if let Lane::Thread(sender) = self {
            sender.lock().take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_takes_no_other_with_it() {
        let (lane, thread) = Lane::start("test").unwrap();
        let (sender, receiver) = channel();
        lane.run(Box::new(|| panic!("on purpose")));
        lane.run(Box::new(move || sender.send(1).unwrap()));
        assert_eq!(receiver.recv(), Ok(1));
        lane.close();
        thread.join().unwrap();
    }
}

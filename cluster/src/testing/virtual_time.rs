//! A clock for tests of one future: it jumps to the next timer when there is nothing else to do, so that waiting is
//! exact and takes no time.

use crate::runtime::Instant;
use crate::runtime::simulation::{self, Simulation};
use futures::future::BoxFuture;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Runs a future that spawns nothing; its output, and how long it took on its own clock.
pub fn on_virtual_time<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let clock = Rc::new(Clock::default());
    let _entered = simulation::enter(clock.clone());
    let (began, mut future) = (Instant::now(), pin!(future));
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    loop {
        while woken.0.swap(false, Relaxed) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return (output, began.elapsed());
            }
        }
        clock.jump();
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[derive(Default)]
struct Clock {
    now: Cell<Duration>,
    numbers: Cell<u64>,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
}

impl Clock {
    fn jump(&self) {
        let next = self.timers.borrow_mut().pop_first();
        let ((at, _), waker) = next.expect("the future waits for what never comes");
        self.now.set(at.max(self.now.get()));
        waker.wake();
    }
}

impl Simulation for Clock {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn spawn(&self, _task: BoxFuture<'static, ()>) -> u64 {
        panic!("one future runs here")
    }

    fn abort(&self, _task: u64) {}

    fn new_timer(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    fn arm(&self, at: Duration, timer: u64, waker: &Waker) {
        let mut timers = self.timers.borrow_mut();
        timers.retain(|(_, armed), _| *armed != timer);
        timers.insert((at, timer), waker.clone());
    }

    fn disarm(&self, at: Duration, timer: u64) {
        self.timers.borrow_mut().remove(&(at, timer));
    }

    fn random(&self) -> u64 {
        0
    }

    fn run_until(&self, _future: Pin<&mut dyn Future<Output = ()>>) {
        panic!("one future runs here")
    }

    fn panicked(&self, message: &str) {
        panic!("{message}");
    }
}

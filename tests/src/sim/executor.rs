//! Runs every task of the simulated world on one thread and one clock. Which task goes next is drawn from the seed; time
//! passes only when none can. Everything that happens goes into a hash: two runs of a seed must have the same (I12).
//!
//! Each task belongs to an owner, a life of a machine; a crash drops the owner's tasks wherever they wait.

use super::random::Random;
use cluster::runtime::simulation::{Killed, Simulation};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Who a task belongs to.
pub type Owner = u64;
/// The world's own tasks: no crash ends them.
pub const WORLD: Owner = 0;
/// More tasks than this at one moment of simulated time means that some task never waits.
const POLLS_PER_MOMENT_MAX: u64 = 500_000;
/// The same of timers.
const TIMERS_PER_MOMENT_MAX: u64 = 500_000;

/// See the module.
pub struct Executor {
    tasks: RefCell<BTreeMap<u64, Task>>,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    ready: Arc<Mutex<Vec<u64>>>,
    /// Owners that stand still, with those of their tasks that would run.
    paused: RefCell<BTreeMap<Owner, BTreeSet<u64>>>,
    random: RefCell<Random>,
    now: Cell<Duration>,
    next: Cell<u64>,
    /// The tasks that run, the innermost last: each but that one waits inside of what cannot await.
    running: RefCell<Vec<u64>>,
    hash: Cell<u64>,
    polls: Cell<u64>,
    polls_now: Cell<u64>,
    timers_now: Cell<u64>,
    panics: RefCell<Vec<String>>,
}

struct Task {
    owner: Owner,
    /// Taken out while it runs.
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
    was_woken: bool,
    is_killed: bool,
}

struct WakeTask {
    number: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ready = self.ready.lock();
        // Sorted: in which order tasks were woken must not matter, because tokio's watch draws it.
        if let Err(at) = ready.binary_search(&self.number) {
            ready.insert(at, self.number);
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

/// The executor of this thread.
pub fn current() -> Rc<Executor> {
    CURRENT.with_borrow(Clone::clone).expect("the simulation is entered")
}

/// What ended a run that should not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing can run and nothing will.
    Deadlock,
    /// Some task never waits.
    Busy,
}

impl Executor {
    /// An executor of a seed.
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Executor {
            tasks: RefCell::default(),
            timers: RefCell::default(),
            ready: Arc::default(),
            paused: RefCell::default(),
            random: RefCell::new(Random::new(seed)),
            now: Cell::new(Duration::ZERO),
            next: Cell::new(1),
            running: RefCell::default(),
            hash: Cell::new(seed),
            polls: Cell::new(0),
            polls_now: Cell::new(0),
            timers_now: Cell::new(0),
            panics: RefCell::default(),
        })
    }

    /// Runs `main` and everything it begins until it is done.
    pub fn run<T: Send + 'static>(self: &Rc<Self>, main: impl Future<Output = T> + Send + 'static) -> Result<T, Stuck> {
        let entered = cluster::runtime::simulation::enter(self.clone());
        CURRENT.set(Some(self.clone()));
        let done = Arc::new(Mutex::new(None));
        let told = done.clone();
        self.spawn_for(WORLD, Box::pin(async move { *told.lock() = Some(main.await) }));
        let outcome = loop {
            if let Some(done) = done.lock().take() {
                break Ok(done);
            }
            if let Err(stuck) = self.step() {
                break Err(stuck);
            }
        };
        let owners: Vec<Owner> = self.tasks.borrow().values().map(|task| task.owner).collect();
        owners.into_iter().for_each(|owner| self.kill(owner));
        CURRENT.set(None);
        drop(entered);
        outcome
    }

    /// Runs a task for an owner.
    pub fn spawn_for(&self, owner: Owner, future: BoxFuture<'static, ()>) -> u64 {
        let number = self.draw_number();
        let wake = Arc::new(WakeTask { number, ready: self.ready.clone() });
        wake.wake_by_ref();
        let waker = Waker::from(wake);
        let task = Task { owner, future: Some(future), waker, was_woken: false, is_killed: false };
        self.tasks.borrow_mut().insert(number, task);
        number
    }

    /// From now on no task of an owner runs, as when its process is stopped. Time goes on.
    pub fn pause(&self, owner: Owner) {
        self.paused.borrow_mut().entry(owner).or_default();
    }

    /// Lets the tasks of an owner run again.
    pub fn resume(&self, owner: Owner) {
        let Some(waiting) = self.paused.borrow_mut().remove(&owner) else { return };
        let tasks = self.tasks.borrow();
        waiting.iter().filter_map(|number| tasks.get(number)).for_each(|task| task.waker.wake_by_ref());
    }

    /// Whether a task must wait, as its owner stands still; it is woken when that is over.
    fn is_held(&self, number: u64) -> bool {
        let Some(owner) = self.tasks.borrow().get(&number).map(|task| task.owner) else { return false };
        self.paused.borrow_mut().get_mut(&owner).map(|waiting| waiting.insert(number)).is_some()
    }

    /// Drops every task of an owner.
    pub fn kill(&self, owner: Owner) {
        self.paused.borrow_mut().remove(&owner);
        let mut dropped = Vec::new();
        {
            let mut tasks = self.tasks.borrow_mut();
            for task in tasks.values_mut().filter(|task| task.owner == owner) {
                task.is_killed = true;
                dropped.extend(task.future.take());
            }
            let running = self.running.borrow();
            tasks.retain(|number, task| !task.is_killed || running.contains(number));
        }
        // Only now: what they drop may ask for this executor.
        drop(dropped);
    }

    /// The owner of the task that runs.
    pub fn owner(&self) -> Owner {
        let running = self.running.borrow().last().copied();
        running.and_then(|number| self.tasks.borrow().get(&number).map(|task| task.owner)).unwrap_or(WORLD)
    }

    /// The hash of everything that has happened.
    pub fn trace(&self) -> u64 {
        self.hash.get()
    }

    /// How often a task was run.
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// What tasks panicked with.
    pub fn panics(&self) -> Vec<String> {
        self.panics.borrow().clone()
    }

    /// Adds something that happened to the trace.
    pub fn note(&self, what: &str) {
        tracing::info!(at = ?self.now.get(), what);
        what.bytes().for_each(|byte| self.mix(byte.into()));
    }

    fn mix(&self, number: u64) {
        self.hash.set((self.hash.get().rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95));
    }

    fn draw_number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    /// Runs one task that can, or lets time pass to the next timer.
    fn step(&self) -> Result<(), Stuck> {
        let chosen = {
            let mut ready = self.ready.lock();
            match ready.len() {
                0 => None,
                1 => ready.pop(),
                many => {
                    let at = usize::try_from(self.random.borrow_mut().below(many as u64)).unwrap_or(0);
                    Some(ready.remove(at))
                }
            }
        };
        match chosen {
            Some(number) => self.poll(number),
            None => self.pass_time(),
        }
    }

    fn poll(&self, number: u64) -> Result<(), Stuck> {
        if self.is_held(number) {
            return Ok(());
        }
        let (mut future, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&number) else { return Ok(()) };
            match task.future.take() {
                Some(future) => (future, task.waker.clone()),
                None => {
                    task.was_woken = true;
                    return Ok(());
                }
            }
        };
        self.polls.set(self.polls.get() + 1);
        self.polls_now.set(self.polls_now.get() + 1);
        if self.polls_now.get() > POLLS_PER_MOMENT_MAX {
            return Err(Stuck::Busy);
        }
        self.mix(self.now.get().as_nanos() as u64);
        self.mix(number);
        self.running.borrow_mut().push(number);
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        self.running.borrow_mut().pop();
        let polled = polled.unwrap_or_else(|payload| {
            if !payload.is::<Killed>() {
                self.panicked("a task of the world panicked");
            }
            Poll::Ready(())
        });
        let mut tasks = self.tasks.borrow_mut();
        match (polled, tasks.get_mut(&number)) {
            (Poll::Pending, Some(task)) if !task.is_killed => {
                task.future = Some(future);
                if std::mem::take(&mut task.was_woken) {
                    task.waker.wake_by_ref();
                }
            }
            _ => {
                tasks.remove(&number);
                drop(tasks);
                drop(future);
            }
        }
        Ok(())
    }

    fn pass_time(&self) -> Result<(), Stuck> {
        let mut due = Vec::new();
        {
            let mut timers = self.timers.borrow_mut();
            let Some(((at, _), _)) = timers.first_key_value() else { return Err(Stuck::Deadlock) };
            if *at > self.now.get() {
                self.now.set(*at);
                self.polls_now.set(0);
                self.timers_now.set(0);
            }
            while let Some(timer) = timers.first_entry().filter(|timer| timer.key().0 <= self.now.get()) {
                due.push(timer.remove());
            }
        }
        due.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

impl Simulation for Executor {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> u64 {
        self.spawn_for(self.owner(), task)
    }

    fn abort(&self, number: u64) {
        let dropped = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&number) else { return };
            task.is_killed = true;
            let dropped = task.future.take();
            if dropped.is_some() {
                tasks.remove(&number);
            }
            dropped
        };
        drop(dropped);
    }

    fn new_timer(&self) -> u64 {
        self.timers_now.set(self.timers_now.get() + 1);
        // Within one run of a task nothing else can end a loop whose deadline never comes.
        assert!(self.timers_now.get() < TIMERS_PER_MOMENT_MAX, "a task waits again and again without waiting");
        self.draw_number()
    }

    fn arm(&self, at: Duration, timer: u64, waker: &Waker) {
        self.timers.borrow_mut().insert((at, timer), waker.clone());
    }

    fn disarm(&self, at: Duration, timer: u64) {
        let disarmed = self.timers.borrow_mut().remove(&(at, timer));
        drop(disarmed);
    }

    fn random(&self) -> u64 {
        self.random.borrow_mut().number()
    }

    fn run_until(&self, mut future: Pin<&mut dyn Future<Output = ()>>) {
        struct Woken(Mutex<bool>);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                *self.0.lock() = true;
            }
        }
        let woken = Arc::new(Woken(Mutex::new(true)));
        let waker = Waker::from(woken.clone());
        let inside = self.running.borrow().last().copied();
        loop {
            let is_held = inside.is_some_and(|number| self.is_held(number));
            if !is_held && std::mem::take(&mut *woken.0.lock()) {
                if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    return;
                }
                continue;
            }
            let stuck = self.step().is_err();
            let is_killed = inside.and_then(|number| self.tasks.borrow().get(&number).map(|task| task.is_killed));
            if stuck || is_killed == Some(true) {
                std::panic::resume_unwind(Box::new(Killed));
            }
        }
    }

    fn panicked(&self, message: &str) {
        self.panics.borrow_mut().push(message.to_owned());
    }
}

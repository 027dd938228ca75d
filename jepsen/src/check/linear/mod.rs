//! Linearizability by Wing, Gong and Lowe: is there one order of operations, each between its beginning and its end, that
//! the model allows? Remembers configurations (which operations took effect, in what state), so that none is searched
//! twice. An operation of unknown end may take effect any time after its beginning, or never.
//!
//! Histories are cut per key before: linearizability is local.

mod bits;
mod list;

use crate::limits::{LINEAR_MEMO_BYTES_MAX, LINEAR_STEPS_MAX};
use bits::Bits;
use list::{List, Step};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What a remembered configuration takes beside a bit per operation.
const REMEMBERED_BYTES: usize = 128;

/// What an object may do.
pub trait Model {
    /// What it is asked, with what it answered.
    type Call;
    /// What it remembers.
    type State: Clone + Eq + Hash;
    /// How it begins.
    fn start(&self) -> Self::State;
    /// The state after a call; none when the call cannot have been answered so.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;
}

/// A call with its times.
#[derive(Clone, Debug)]
pub struct Timed<C> {
    /// What was asked and answered.
    pub call: C,
    /// When it began.
    pub from: u64,
    /// When it was done; none when nobody knows whether it was.
    pub to: Option<u64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is an order.
    Linearizable,
    /// There is none; in the longest attempt this call could not take effect before its end.
    Violated {
        /// Calls known to be done that the longest attempt explained.
        explained: usize,
        /// The number of the call that fits nowhere.
        stuck: usize,
    },
    /// The search was given up.
    Undecided,
}

/// Searches for an order.
pub fn check<M: Model>(model: &M, calls: &[Timed<M::Call>]) -> Answer {
    Search::new(model, calls).run()
}

struct Search<'a, M: Model> {
    model: &'a M,
    calls: &'a [Timed<M::Call>],
    list: List,
    taken: Bits,
    state: M::State,
    /// What took effect, with the state before.
    path: Vec<(usize, M::State)>,
    memo: HashMap<u64, Vec<(Bits, M::State)>>,
    remembered: usize,
    /// Known ends on the path.
    explained: usize,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, calls: &'a [Timed<M::Call>]) -> Self {
        Search {
            model,
            calls,
            list: List::new(calls),
            taken: Bits::new(calls.len()),
            state: model.start(),
            path: Vec::new(),
            memo: HashMap::new(),
            remembered: 0,
            explained: 0,
        }
    }

    fn run(mut self) -> Answer {
        let known = self.calls.iter().filter(|call| call.to.is_some()).count();
        let (mut best, mut stuck) = (0, 0);
        let mut place = self.list.first();
        for _ in 0..LINEAR_STEPS_MAX {
            if self.explained == known {
                return Answer::Linearizable;
            }
            if self.remembered * (self.calls.len() / 8 + REMEMBERED_BYTES) > LINEAR_MEMO_BYTES_MAX {
                return Answer::Undecided;
            }
            // The list holds an end as long as one is not explained, so it is not left at its end.
            let Some(here) = place else { return Answer::Undecided };
            place = match self.list.step(here) {
                Step::Begin(number) if self.take(number) => self.list.first(),
                Step::Begin(_) => self.list.after(here),
                Step::End(number) => {
                    if self.explained >= best {
                        (best, stuck) = (self.explained, number);
                    }
                    match self.give_back() {
                        Some(given) => self.list.after(self.list.begin(given)),
                        None => return Answer::Violated { explained: best, stuck },
                    }
                }
            };
        }
        Answer::Undecided
    }

    /// Lets a call take effect now, when the model allows it and this is not known to lead nowhere.
    fn take(&mut self, number: usize) -> bool {
        let Some(call) = self.calls.get(number) else { return false };
        let Some(state) = self.model.step(&self.state, &call.call) else { return false };
        self.taken.flip(number);
        if !self.is_new(&state) {
            self.taken.flip(number);
            return false;
        }
        self.path.push((number, std::mem::replace(&mut self.state, state)));
        self.explained += usize::from(call.to.is_some());
        self.list.lift(number);
        true
    }

    fn give_back(&mut self) -> Option<usize> {
        let (number, state) = self.path.pop()?;
        self.state = state;
        self.taken.flip(number);
        self.explained -= usize::from(self.calls.get(number).is_some_and(|call| call.to.is_some()));
        self.list.unlift(number);
        Some(number)
    }

    /// Remembers the present set with a state; false when it was known.
    fn is_new(&mut self, state: &M::State) -> bool {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let known = self.memo.entry(self.taken.hash() ^ hasher.finish()).or_default();
        if known.iter().any(|(taken, other)| *taken == self.taken && other == state) {
            return false;
        }
        known.push((self.taken.clone(), state.clone()));
        self.remembered += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register of numbers that begins with 0.
    struct Register;

    #[derive(Clone, Debug)]
    enum Call {
        Write(i64),
        Read(i64),
        Swap(i64, i64),
    }

    impl Model for Register {
        type Call = Call;
        type State = i64;
        fn start(&self) -> i64 {
            0
        }
        fn step(&self, state: &i64, call: &Call) -> Option<i64> {
            match call {
                Call::Write(value) => Some(*value),
                Call::Read(value) => (value == state).then_some(*state),
                Call::Swap(from, to) => (from == state).then_some(*to),
            }
        }
    }

    fn timed(call: Call, from: u64, to: u64) -> Timed<Call> {
        Timed { call, from, to: (to != 0).then_some(to) }
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_any_order() {
        let calls = [
            timed(Call::Write(1), 1, 10),
            timed(Call::Read(1), 2, 4),
            timed(Call::Swap(1, 2), 5, 12),
            timed(Call::Read(2), 6, 8),
        ];
        assert_eq!(check(&Register, &calls), Answer::Linearizable);
    }

    #[test]
    fn a_stale_read_is_found() {
        let calls = [timed(Call::Write(1), 1, 2), timed(Call::Read(0), 3, 4), timed(Call::Read(1), 5, 6)];
        assert_eq!(check(&Register, &calls), Answer::Violated { explained: 1, stuck: 1 });
    }

    #[test]
    fn a_call_of_unknown_end_may_take_effect_late_or_never() {
        let unknown = || timed(Call::Write(7), 1, 0);
        let late = [unknown(), timed(Call::Read(0), 2, 3), timed(Call::Read(7), 100, 101)];
        assert_eq!(check(&Register, &late), Answer::Linearizable);
        let never = [unknown(), timed(Call::Read(0), 2, 3)];
        assert_eq!(check(&Register, &never), Answer::Linearizable);
        let twice = [unknown(), timed(Call::Read(7), 2, 3), timed(Call::Read(0), 4, 5)];
        assert!(matches!(check(&Register, &twice), Answer::Violated { .. }));
    }

    #[test]
    fn two_swaps_from_one_value_do_not_both_succeed() {
        let calls = [timed(Call::Swap(0, 1), 1, 9), timed(Call::Swap(0, 2), 2, 8)];
        assert!(matches!(check(&Register, &calls), Answer::Violated { .. }));
    }

    /// What clients of a true register see: each call takes effect at one moment inside its time.
    /// One in `lost` is never heard of again.
    fn truthful(count: u64, clients: u64, seed: u64, lost: u64) -> Vec<Timed<Call>> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut moments: Vec<(u64, u64)> = (0..count).map(|number| (number * 10 + random.u64(0..9), number)).collect();
        moments.sort_unstable();
        let (mut value, mut calls) = (0, Vec::new());
        for (moment, number) in moments {
            let call = match random.u8(0..3) {
                0 => Call::Read(value),
                1 => Call::Write(random.i64(0..5)),
                _ => Call::Swap(value, random.i64(0..5)),
            };
            value = Register.step(&value, &call).unwrap();
            let from = moment.saturating_sub(random.u64(0..10 * clients));
            let to = moment + random.u64(1..10 * clients);
            calls.push(timed(call, from, if number % lost == 7 { 0 } else { to }));
        }
        calls
    }

    #[test]
    fn twenty_thousand_operations_of_one_key_are_checked() {
        let calls = truthful(20_000, 5, 11, 500);
        assert_eq!(check(&Register, &calls), Answer::Linearizable);
    }

    #[test]
    fn a_planted_violation_among_twenty_thousand_is_found() {
        let mut calls = truthful(20_000, 3, 12, u64::MAX);
        // A value that nobody ever wrote.
        let number =
            (15_000..).find(|number| matches!(calls[*number].call, Call::Read(_)) && calls[*number].to.is_some());
        calls[number.unwrap()].call = Call::Read(77);
        assert!(matches!(check(&Register, &calls), Answer::Violated { stuck, .. } if stuck == number.unwrap()));
    }
}

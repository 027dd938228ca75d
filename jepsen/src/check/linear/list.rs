//! Beginnings and ends of operations in the order of time, as a list from which an operation is taken out and put back in
//! constant time (Wing and Gong's algorithm as Lowe tuned it).

use super::Timed;

/// The place before the first entry.
const HEAD: usize = 0;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operation with this number begins.
    Begin(usize),
    /// It ends.
    End(usize),
}

/// The list.
pub struct List {
    steps: Vec<Step>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each operation: the place of its beginning, and of its end when it has one.
    places: Vec<(usize, Option<usize>)>,
}

impl List {
    /// All beginnings and ends. What ends at the moment another begins overlaps it.
    pub fn new<C>(calls: &[Timed<C>]) -> List {
        let mut order: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * calls.len());
        for (number, call) in calls.iter().enumerate() {
            order.push((call.from, false, number));
            order.extend(call.to.map(|to| (to, true, number)));
        }
        order.sort_unstable();
        let count = order.len() + 1;
        let mut list = List {
            steps: vec![Step::Begin(usize::MAX); count],
            next: (1..=count).map(|place| place % count).collect(),
            previous: (0..count).map(|place| (place + count - 1) % count).collect(),
            places: vec![(HEAD, None); calls.len()],
        };
        for (index, (_, end, number)) in order.into_iter().enumerate() {
            let place = index + 1;
            list.steps[place] = if end { Step::End(number) } else { Step::Begin(number) };
            match end {
                false => list.places[number].0 = place,
                true => list.places[number].1 = Some(place),
            }
        }
        list
    }

    /// The first place; none when the list is empty.
    pub fn first(&self) -> Option<usize> {
        self.after(HEAD)
    }

    /// The place behind another.
    pub fn after(&self, place: usize) -> Option<usize> {
        let next = self.next[place];
        (next != HEAD).then_some(next)
    }

    /// What stands at a place.
    pub fn step(&self, place: usize) -> Step {
        self.steps[place]
    }

    /// Where an operation begins.
    pub fn begin(&self, number: usize) -> usize {
        self.places[number].0
    }

    /// Takes an operation out.
    pub fn lift(&mut self, number: usize) {
        let (begin, end) = self.places[number];
        self.unlink(begin);
        if let Some(end) = end {
            self.unlink(end);
        }
    }

    /// Puts the operation that was lifted last back.
    pub fn unlift(&mut self, number: usize) {
        let (begin, end) = self.places[number];
        if let Some(end) = end {
            self.link(end);
        }
        self.link(begin);
    }

    fn unlink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }
}

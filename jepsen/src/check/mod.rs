//! Checkers: what a history must not show. Functions of histories alone; each has tests with planted violations.

pub mod bank;
pub mod copies;
pub mod coverage;
pub mod linear;
pub mod queue;
pub mod registers;
pub mod set;
pub mod uids;

use std::collections::BTreeMap;

/// What a checker says of a workload.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Each violation in words; none when the history is valid.
    pub violations: Vec<String>,
    /// Set when the checker could not decide: neither valid nor violated.
    pub undecided: Option<String>,
    /// Figures, by name.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Verdict {
    /// Neither a violation nor doubt.
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.undecided.is_none()
    }

    /// Notes a violation.
    pub fn violation(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    /// Adds to a figure.
    pub fn count(&mut self, name: &'static str, more: usize) {
        *self.counts.entry(name).or_default() += more as u64;
    }
}

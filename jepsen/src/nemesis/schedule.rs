//! When which faults come: a function of the seed, the length of the run and the kinds, so that a run can be repeated.
//! Kinds come in rounds, each once per round in a new order; later rounds combine two where that makes sense.

use super::is_about_processes;
use fastrand::Rng;
use std::time::Duration;

/// A planned fault, or two at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Quiet time before.
    pub calm: Duration,
    /// How long it lasts.
    pub hold: Duration,
    /// What comes.
    pub kinds: Vec<&'static str>,
}

/// Faults for a run; more than fit, the run ends them.
pub fn plan(seed: u64, length: Duration, kinds: &[&'static str]) -> Vec<Planned> {
    let mut random = Rng::with_seed(seed);
    let mut planned = Vec::new();
    let (mut time, mut round) = (Duration::ZERO, 0);
    // As much time for each kind as lets all of them come once, within what makes sense.
    let each = length.as_secs_f64() * 0.9 / kinds.len().max(1) as f64;
    let slot = each.clamp(9.0, 24.0);
    while time < length && !kinds.is_empty() {
        let mut deck = kinds.to_vec();
        random.shuffle(&mut deck);
        while let Some(first) = deck.pop() {
            let second = if round > 0 && random.bool() { partner(first, kinds, &mut random) } else { None };
            let calm = Duration::from_secs_f64(slot * (0.3 + 0.2 * random.f64()));
            let hold = Duration::from_secs_f64(slot * (0.3 + 0.2 * random.f64()));
            time += calm + hold;
            planned.push(Planned { calm, hold, kinds: [first].into_iter().chain(second).collect() });
        }
        round += 1;
    }
    planned
}

/// A kind that can go on at the same time.
fn partner(first: &str, kinds: &[&'static str], random: &mut Rng) -> Option<&'static str> {
    // Partitions and disturbances are undone all at once: one of each at a time.
    let family = |kind: &str| kind.split('-').next().unwrap_or_default().to_owned();
    let fits = |kind: &&&'static str| {
        let both_move = is_about_processes(first) && (is_about_processes(kind) || kind.starts_with("pause"));
        let both_move = both_move || first.starts_with("pause") && is_about_processes(kind);
        let slow = ["slow", "loss"];
        let both_slow = slow.contains(&first) && slow.contains(*kind);
        // Membership needs a majority that hears each other.
        let delicate = |kind: &str| matches!(kind, "members" | "drain" | "rolling");
        family(kind) != family(first) && !both_move && !both_slow && !delicate(first) && !delicate(kind)
    };
    let candidates: Vec<_> = kinds.iter().filter(fits).copied().collect();
    random.choice(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 5] = ["kill-one", "kill-all", "pause-one", "partition-halves", "members"];

    #[test]
    fn the_same_seed_makes_the_same_plan() {
        let minutes = Duration::from_secs(600);
        assert_eq!(plan(7, minutes, &KINDS), plan(7, minutes, &KINDS));
        assert_ne!(plan(7, minutes, &KINDS), plan(8, minutes, &KINDS));
    }

    #[test]
    fn every_kind_comes_in_the_time_there_is() {
        for seed in 0..50 {
            let mut time = Duration::ZERO;
            let planned = plan(seed, Duration::from_secs(120), &KINDS);
            let in_time = planned.iter().filter(|fault| {
                time += fault.calm + fault.hold;
                time < Duration::from_secs(120)
            });
            let come: Vec<_> = in_time.flat_map(|fault| fault.kinds.clone()).collect();
            assert!(KINDS.iter().all(|kind| come.contains(kind)), "seed {seed}: {come:?}");
        }
    }

    #[test]
    fn only_what_goes_together_is_combined() {
        let all: Vec<_> = super::super::KINDS.iter().map(|(kind, _)| *kind).collect();
        let planned = plan(3, Duration::from_secs(20_000), &all);
        let pairs: Vec<_> = planned.iter().filter(|fault| fault.kinds.len() == 2).map(|fault| &fault.kinds).collect();
        assert!(pairs.len() > 50);
        for pair in pairs {
            assert!(!(is_about_processes(pair[0]) && is_about_processes(pair[1])), "{pair:?}");
            assert!(!pair.contains(&"members") && pair[0] != pair[1], "{pair:?}");
        }
    }
}

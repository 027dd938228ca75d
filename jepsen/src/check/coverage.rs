//! Rejects a run that proves nothing: faults that never fired, or too few acknowledged operations.

use super::Verdict;
use std::collections::BTreeMap;

/// A fault as it was done.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its kind.
    pub kind: &'static str,
    /// Begin and end, nanoseconds since the run began.
    pub time: (u64, u64),
    /// What was done, in words.
    pub what: String,
    /// What shows that it met something: packets dropped, processes stopped. 0: it did not fire.
    pub evidence: u64,
}

/// Fewer acknowledged operations per workload than this many per minute prove nothing.
pub const ACKNOWLEDGED_PER_MINUTE_MIN: f64 = 12.0;

/// Why a run is rejected; nothing when it is not.
pub fn check(
    planned: &[&'static str],
    faults: &[Fault],
    verdicts: &BTreeMap<&'static str, Verdict>,
    minutes: f64,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for kind in planned {
        let fired = faults.iter().filter(|fault| fault.kind == *kind && fault.evidence > 0).count();
        if fired == 0 && !reasons.iter().any(|reason: &String| reason.contains(kind)) {
            reasons.push(format!("fault {kind} never fired"));
        }
    }
    let least = (ACKNOWLEDGED_PER_MINUTE_MIN * minutes) as u64;
    for (workload, verdict) in verdicts {
        let acknowledged = verdict.counts.get("acknowledged").copied().unwrap_or_default();
        if acknowledged < least {
            reasons
                .push(format!("workload {workload}: {acknowledged} operations acknowledged, at least {least} wanted"));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(evidence: u64, acknowledged: usize) -> usize {
        let fault = Fault { kind: "kill", time: (0, 1), what: String::new(), evidence };
        let mut verdict = Verdict::default();
        verdict.count("acknowledged", acknowledged);
        check(&["kill"], &[fault], &BTreeMap::from([("set", verdict)]), 1.0).len()
    }

    #[test]
    fn a_run_without_faults_or_operations_is_rejected() {
        assert_eq!([run(1, 500), run(0, 500), run(1, 3), run(0, 3)], [0, 1, 1, 2]);
        assert_eq!(check(&["pause"], &[], &BTreeMap::new(), 1.0).len(), 1);
    }
}

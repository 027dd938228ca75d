//! What a run showed: the verdict of each workload, what fired, how long writes were away; as text and as one HTML page
//! that needs nothing else.

mod plot;
mod recovery;

pub use recovery::{Times, times};

use crate::check::Verdict;
use crate::check::coverage::Fault;
use crate::history::Entry;
use plot::{Picture, escaped};
use recovery::figures;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1180px;color:#1c2330;background:#fff}\
h1{font-size:22px}h2{font-size:15px;margin:1.6em 0 .4em}svg{width:100%;background:#fafbfc;border:1px solid #dde2e8}\
table{border-collapse:collapse}td,th{padding:3px 12px 3px 0;text-align:left;border-bottom:1px solid #e5e8ec}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.valid{color:#14763c}.invalid{color:#b3261e}\
pre{background:#f5f6f8;padding:8px;overflow:auto;font-size:12px}text{font-size:11px;fill:#46505e}.tick{fill:#8a93a0}\
.name{font-size:9.5px}.grid{stroke:#e5e8ec}.ok{fill:#2e8b57}.fail{fill:#9aa3ae}.info{fill:#e08a1e}\
.fault{fill:#b9c7e6;opacity:.55}.fault.kill{fill:#e7b6b2}.fault.partition{fill:#c9bfe6}.fault.pause{fill:#efd9a7}";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No violation.
    Valid,
    /// A violation.
    Violated,
    /// The run proves nothing: a fault never fired, too little was acknowledged, or a checker gave up.
    Rejected,
}

/// A whole run.
pub struct Report {
    /// The command line that repeats it.
    pub command: String,
    /// Under which circumstances.
    pub circumstances: String,
    /// Per workload.
    pub verdicts: BTreeMap<&'static str, Verdict>,
    /// What no workload's checker says: nodes that ended, or did not come back.
    pub cluster: Vec<String>,
    /// Why the run is rejected.
    pub rejected: Vec<String>,
    /// What was done.
    pub faults: Vec<Fault>,
    /// How long writes were away.
    pub recovery: BTreeMap<&'static str, Times>,
    /// How long the cluster took to be whole after the last fault, milliseconds.
    pub whole_ms: Option<u64>,
}

impl Report {
    /// The end that counts: a violation is one whatever else is wrong with the run.
    pub fn ended(&self) -> Ended {
        if !self.cluster.is_empty() || self.verdicts.values().any(|verdict| !verdict.violations.is_empty()) {
            return Ended::Violated;
        }
        let decided = self.verdicts.values().all(Verdict::is_valid);
        if self.rejected.is_empty() && decided { Ended::Valid } else { Ended::Rejected }
    }

    /// The report in lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, verdict) in &self.verdicts {
            let _ = writeln!(out, "{name:<10} {:<10} {}", word(verdict), counts(verdict));
            for violation in verdict.violations.iter().take(crate::limits::SHOWN_MAX) {
                let _ = writeln!(out, "  VIOLATION {violation}");
            }
            let hidden = verdict.violations.len().saturating_sub(crate::limits::SHOWN_MAX);
            if hidden > 0 {
                let _ = writeln!(out, "  and {hidden} violations more");
            }
            if let Some(why) = &verdict.undecided {
                let _ = writeln!(out, "  undecided: {why}");
            }
        }
        for wrong in &self.cluster {
            let _ = writeln!(out, "  VIOLATION {wrong}");
        }
        for reason in &self.rejected {
            let _ = writeln!(out, "  rejected: {reason}");
        }
        let _ = writeln!(out, "{:<20} {:>5}   from its begin: min/median/p99/max ms   from its end", "fault", "fired");
        for (kind, times) in &self.recovery {
            let fired = self.faults.iter().filter(|fault| fault.kind == *kind && fault.evidence > 0).count();
            let [begin, end] = [&times.from_begin, &times.from_end].map(|times| shown(times));
            let _ = writeln!(out, "{kind:<20} {fired:>5}   {begin:<38}   {end}");
        }
        if let Some(whole) = self.whole_ms {
            let _ = writeln!(out, "whole {whole} ms after the last fault was undone");
        }
        let _ = write!(out, "{}: {}", self.circumstances, end_word(self.ended()));
        out
    }

    /// The report as a page.
    pub fn page(&self, entries: &[Entry]) -> String {
        let ended = self.ended();
        let class = if ended == Ended::Valid { "valid" } else { "invalid" };
        let mut out = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>jepsen: {0}</title><style>{STYLE}</style>\
             <h1>mailnode under faults: <span class=\"{class}\">{0}</span></h1><p>{1}</p><pre>{2}</pre>",
            end_word(ended),
            escaped(&self.circumstances),
            escaped(&self.command)
        );
        self.workload_table(&mut out);
        let picture = Picture::new(entries, &self.faults, self.verdicts.keys().copied().collect());
        out += &picture.timeline();
        out += &picture.latency();
        out += &picture.availability();
        self.recovery_table(&mut out);
        out.push_str("<h2>Faults</h2><table><tr><th>at<th>for<th>kind<th>what<th>evidence");
        for fault in &self.faults {
            let (from, length) = (fault.time.0 as f64 / 1e9, (fault.time.1 - fault.time.0) as f64 / 1e9);
            let (kind, what, evidence) = (fault.kind, escaped(&fault.what), fault.evidence);
            let _ = write!(
                out,
                "<tr><td class=\"n\">{from:.1} s<td class=\"n\">{length:.1} s<td>{kind}<td>{what}<td class=\"n\">{evidence}"
            );
        }
        out + "</table></html>\n"
    }

    fn workload_table(&self, out: &mut String) {
        out.push_str("<h2>Workloads</h2><table><tr><th>workload<th>verdict<th>figures");
        for (name, verdict) in &self.verdicts {
            let class = if verdict.is_valid() { "valid" } else { "invalid" };
            let (word, counts) = (word(verdict), counts(verdict));
            let _ = write!(out, "<tr><td>{name}<td class=\"{class}\">{word}<td>{counts}");
        }
        out.push_str("</table>");
        let all = self.verdicts.values().flat_map(|verdict| verdict.violations.iter().chain(&verdict.undecided));
        let all: Vec<_> = all.chain(&self.cluster).chain(&self.rejected).collect();
        if !all.is_empty() {
            out.push_str("<h2>What is wrong</h2>");
            for text in all.into_iter().take(200) {
                let _ = write!(out, "<pre>{}</pre>", escaped(text));
            }
        }
    }

    fn recovery_table(&self, out: &mut String) {
        out.push_str(
            "<h2>Writes away, milliseconds: min / median / p99 / max</h2><table>\
             <tr><th>fault<th>samples<th>from its beginning, every workload<th>from its end, every node",
        );
        for (kind, times) in &self.recovery {
            let [begin, end] = [&times.from_begin, &times.from_end].map(|times| shown(times));
            let samples = times.from_begin.len();
            let _ = write!(out, "<tr><td>{kind}<td class=\"n\">{samples}<td class=\"n\">{begin}<td class=\"n\">{end}");
        }
        out.push_str("</table>");
    }
}

fn shown(times: &[u64]) -> String {
    figures(times).map_or("-".to_owned(), |[least, median, high, most]| format!("{least} / {median} / {high} / {most}"))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        verdict if !verdict.violations.is_empty() => "INVALID",
        verdict if verdict.undecided.is_some() => "undecided",
        _ => "valid",
    }
}

fn counts(verdict: &Verdict) -> String {
    verdict.counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn end_word(ended: Ended) -> &'static str {
    match ended {
        Ended::Valid => "valid",
        Ended::Violated => "INVALID",
        Ended::Rejected => "rejected",
    }
}

//! Inline SVG of a run: operations on a time line, their latency, and how many were acknowledged each second. Faults are
//! bands behind all of them.

use crate::check::coverage::Fault;
use crate::history::{Entry, Kind};
use crate::limits::PLOT_POINTS_MAX;
use std::collections::HashMap;
use std::fmt::Write as _;

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 90.0;
const ROW: f64 = 22.0;
const PLOT: f64 = 200.0;

/// An operation as it is drawn.
struct Mark {
    workload: &'static str,
    from: f64,
    to: f64,
    kind: Kind,
}

/// A run as it is drawn.
pub struct Picture<'a> {
    marks: Vec<Mark>,
    faults: &'a [Fault],
    workloads: Vec<&'static str>,
    seconds: f64,
}

impl<'a> Picture<'a> {
    /// Of a history and its faults.
    pub fn new(entries: &[Entry], faults: &'a [Fault], workloads: Vec<&'static str>) -> Picture<'a> {
        let mut open: HashMap<u64, f64> = HashMap::new();
        let mut marks = Vec::new();
        for entry in entries.iter().filter(|entry| entry.workload != "nemesis") {
            let time = entry.time as f64 / 1e9;
            if entry.kind == Kind::Invoke {
                open.insert(entry.process, time);
            } else if let Some(from) = open.remove(&entry.process) {
                marks.push(Mark { workload: entry.workload, from, to: time, kind: entry.kind });
            }
        }
        let seconds = marks.iter().map(|mark| mark.to).fold(1.0, f64::max);
        Picture { marks, faults, workloads, seconds }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (WIDTH - LEFT - 10.0)
    }

    fn frame(&self, height: f64, title: &str, inner: &str) -> String {
        let mut out = format!("<h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">", height + 24.0);
        for fault in self.faults {
            let (from, to) = (self.x(fault.time.0 as f64 / 1e9), self.x(fault.time.1 as f64 / 1e9));
            let _ = write!(
                out,
                "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\" class=\"fault {}\"><title>{}: {}</title></rect>",
                (to - from).max(1.5),
                fault.kind.split('-').next().unwrap_or_default(),
                fault.kind,
                escaped(&fault.what),
            );
        }
        out.push_str(inner);
        let step = (self.seconds / 12.0).ceil().max(1.0) as usize;
        for tick in (0..=self.seconds as usize).step_by(step) {
            let x = self.x(tick as f64);
            let _ = write!(out, "<text x=\"{x:.0}\" y=\"{}\" class=\"tick\">{tick} s</text>", height + 16.0);
        }
        out + "</svg>"
    }

    /// What is drawn of all marks: every nth when there are too many, but all that did not go well.
    fn drawn(&self) -> impl Iterator<Item = &Mark> {
        let step = self.marks.len().div_ceil(PLOT_POINTS_MAX).max(1);
        self.marks
            .iter()
            .enumerate()
            .filter(move |(index, mark)| mark.kind == Kind::Info || index % step == 0)
            .map(|(_, mark)| mark)
    }

    /// One row per workload, one stroke per operation; the names of the faults above.
    pub fn timeline(&self) -> String {
        let mut inner = String::new();
        for (number, fault) in self.faults.iter().enumerate() {
            let (x, y) = (self.x(fault.time.0 as f64 / 1e9), 11.0 + (number % 3) as f64 * 11.0);
            let _ = write!(inner, "<text x=\"{x:.0}\" y=\"{y}\" class=\"name\">{}</text>", fault.kind);
        }
        let y = |workload: &str| {
            let row = self.workloads.iter().position(|name| *name == workload).unwrap_or_default();
            46.0 + row as f64 * ROW
        };
        for name in &self.workloads {
            let _ = write!(inner, "<text x=\"4\" y=\"{}\">{name}</text>", y(name) + 10.0);
        }
        for mark in self.drawn() {
            let (from, to, y) = (self.x(mark.from), self.x(mark.to), y(mark.workload));
            let (class, width) = (class(mark.kind), (to - from).max(0.7));
            let _ =
                write!(inner, "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"14\" class=\"{class}\"/>");
        }
        self.frame(50.0 + self.workloads.len() as f64 * ROW, "Operations", &inner)
    }

    /// Latency of each operation, on a logarithmic scale from 1 ms to 100 s.
    pub fn latency(&self) -> String {
        let y = |seconds: f64| PLOT - ((seconds.max(0.001).log10() + 3.0) / 5.0).clamp(0.0, 1.0) * PLOT;
        let mut inner = String::new();
        for (seconds, label) in [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s")] {
            let y = y(seconds);
            let _ = write!(inner, "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.0}\" y2=\"{y:.0}\" class=\"grid\"/>");
            let _ = write!(inner, "<text x=\"30\" y=\"{:.0}\">{label}</text>", y + 4.0);
        }
        for mark in self.drawn() {
            let (x, y, class) = (self.x(mark.to), y(mark.to - mark.from), class(mark.kind));
            let _ = write!(inner, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.6\" class=\"{class}\"/>");
        }
        self.frame(PLOT, "Latency", &inner)
    }

    /// Acknowledged and other operations each second.
    pub fn availability(&self) -> String {
        let mut bins = vec![(0_u32, 0_u32); self.seconds as usize + 1];
        for mark in &self.marks {
            if let Some(bin) = bins.get_mut(mark.to as usize) {
                if mark.kind == Kind::Ok { bin.0 += 1 } else { bin.1 += 1 }
            }
        }
        let most = bins.iter().map(|bin| bin.0 + bin.1).max().unwrap_or(1).max(1);
        let mut inner = format!("<text x=\"30\" y=\"12\">{most}/s</text>");
        for (second, (good, bad)) in bins.iter().enumerate() {
            let (x, width) = (self.x(second as f64), (self.x(1.0) - self.x(0.0)).max(0.7));
            let height = |count: u32| f64::from(count) / f64::from(most) * PLOT;
            let (up, down) = (height(*good), height(*bad));
            let _ = write!(
                inner,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{up:.1}\" class=\"ok\"/>\
                 <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{down:.1}\" class=\"info\"/>",
                PLOT - up,
                PLOT - up - down,
            );
        }
        self.frame(PLOT, "Operations each second: acknowledged, and not", &inner)
    }
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok | Kind::Invoke => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    }
}

/// Text inside HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

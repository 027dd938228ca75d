//! What happened: every operation's beginning and end with process, node and time, and what the nemesis did, in one
//! order. Written as EDN in Jepsen's form.

mod value;

pub use value::Value;

use std::fmt::{self, Write as _};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What an entry says of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It was done.
    Ok,
    /// It was certainly not done.
    Fail,
    /// Nobody knows; it may still be done later.
    Info,
}

/// One entry of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who; a process that does not know how its operation ended gets a new number.
    pub process: u64,
    /// What is said.
    pub kind: Kind,
    /// The workload it belongs to; `nemesis` for faults.
    pub workload: &'static str,
    /// What is done.
    pub f: &'static str,
    /// With what, or with what result.
    pub value: Value,
    /// Since the run began, nanoseconds.
    pub time: u64,
    /// Which node was asked.
    pub node: usize,
    /// Why it did not go well.
    pub error: Option<String>,
}

/// An operation with its end.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// Its beginning.
    pub invoke: &'a Entry,
    /// Its end; none when the run ended first.
    pub end: Option<&'a Entry>,
}

impl Operation<'_> {
    /// How it ended; what never ended is unknown.
    pub fn kind(&self) -> Kind {
        self.end.map_or(Kind::Info, |end| end.kind)
    }

    /// What it gave, when it was done.
    pub fn result(&self) -> Option<&Value> {
        self.end.filter(|end| end.kind == Kind::Ok).map(|end| &end.value)
    }

    /// When it was done; never, unless it is known to be.
    pub fn done(&self) -> u64 {
        self.end.filter(|end| end.kind == Kind::Ok).map_or(u64::MAX, |end| end.time)
    }
}

/// Takes entries from all threads.
pub struct Recorder {
    begun: Instant,
    entries: Mutex<Vec<Entry>>,
    processes: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { begun: Instant::now(), entries: Mutex::default(), processes: AtomicU64::new(0) }
    }
}

impl Recorder {
    /// A number nobody had.
    pub fn process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an entry; its time is now, and the order of entries is the order of times.
    pub fn note(&self, mut entry: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entry.time = self.now();
        entries.push(entry);
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many operations were done so far, and how many of them in the last moments.
    pub fn done(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.kind == Kind::Ok && entry.workload != "nemesis").count()
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The operations of a workload, by beginning.
pub fn operations<'a>(entries: &'a [Entry], workload: &str) -> Vec<Operation<'a>> {
    let mut all: Vec<Operation<'a>> = Vec::new();
    let mut open = std::collections::HashMap::new();
    for entry in entries.iter().filter(|entry| entry.workload == workload) {
        if entry.kind == Kind::Invoke {
            open.insert(entry.process, all.len());
            all.push(Operation { invoke: entry, end: None });
        } else if let Some(operation) = open.remove(&entry.process).and_then(|index: usize| all.get_mut(index)) {
            operation.end = Some(entry);
        }
    }
    all
}

impl fmt::Display for Entry {
    /// As EDN, in Jepsen's form.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let Entry { process, workload, f, value, time, node, .. } = self;
        if *workload == "nemesis" {
            write!(out, "{{:process :nemesis, ")?;
        } else {
            write!(out, "{{:process {process}, :workload :{workload}, :node \"n{}\", ", node + 1)?;
        }
        write!(out, ":type :{kind}, :f :{f}, :value {value}, :time {time}")?;
        if let Some(error) = &self.error {
            out.write_str(", :error ")?;
            value::write_text(out, error)?;
        }
        out.write_char('}')
    }
}

/// Writes a history as EDN, one entry per line, each with its index.
pub fn write(entries: &[Entry], to: &mut impl io::Write) -> io::Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        let text = entry.to_string();
        writeln!(to, "{{:index {index}, {}", text.trim_start_matches('{'))?;
    }
    Ok(())
}

/// Histories for tests of checkers.
#[cfg(test)]
pub mod made {
    use super::{Entry, Kind, Value};

    /// An entry of workload `w` at node 0.
    pub fn entry(process: u64, kind: Kind, f: &'static str, value: Value, time: u64) -> Entry {
        Entry { process, kind, workload: "w", f, value, time, node: 0, error: None }
    }

    /// A whole operation.
    pub fn operation(
        process: u64,
        f: &'static str,
        asked: Value,
        end: (Kind, Value),
        (from, to): (u64, u64),
    ) -> [Entry; 2] {
        [entry(process, Kind::Invoke, f, asked, from), entry(process, end.0, f, end.1, to)]
    }

    /// Operations in the order of their times.
    pub fn history(operations: Vec<[Entry; 2]>) -> Vec<Entry> {
        let mut entries: Vec<_> = operations.into_iter().flatten().collect();
        entries.sort_by_key(|entry| entry.time);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::made::{entry, history, operation};
    use super::*;

    #[test]
    fn an_entry_is_written_as_jepsen_does() {
        let mut it = entry(3, Kind::Info, "add", Value::map([("element", 7.into()), ("to", "a\"b".into())]), 12);
        it.error = Some("closed".into());
        let mut out = Vec::new();
        write(&[it], &mut out).unwrap();
        let wanted = "{:index 0, :process 3, :workload :w, :node \"n1\", :type :info, :f :add, \
                      :value {:element 7, :to \"a\\\"b\"}, :time 12, :error \"closed\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn ends_meet_their_beginnings() {
        let entries = history(vec![
            operation(1, "add", 1.into(), (Kind::Ok, 1.into()), (0, 5)),
            operation(2, "add", 2.into(), (Kind::Info, 2.into()), (1, 3)),
        ]);
        let all = operations(&entries, "w");
        assert_eq!(all.iter().map(Operation::kind).collect::<Vec<_>>(), [Kind::Ok, Kind::Info]);
        assert_eq!((all[0].done(), all[1].done()), (5, u64::MAX));
        assert!(operations(&entries, "other").is_empty());
    }
}

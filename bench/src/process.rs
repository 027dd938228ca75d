//! CPU time and memory of the server's processes, from /proc.

use std::collections::HashMap;
use std::fs;

const TICKS_PER_SECOND: f64 = 100.0;

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // utime, stime, and those of children that ended and were waited for.
    Some(Stat { parent: number(1)? as u32, ticks: number(11)? + number(12)? + number(13)? + number(14)? })
}

fn tree(roots: &[u32]) -> Vec<(u32, Stat)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: HashMap<u32, Stat> = pids
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect();
    let within = |mut pid: u32| {
        while let Some(stat) = all.get(&pid) {
            if roots.contains(&pid) {
                return true;
            }
            pid = stat.parent;
        }
        false
    };
    let members: Vec<u32> = all.keys().copied().filter(|pid| within(*pid)).collect();
    let mut all = all;
    members.into_iter().filter_map(|pid| Some((pid, all.remove(&pid)?))).collect()
}

/// Seconds of CPU used so far.
pub fn cpu_seconds(roots: &[u32]) -> f64 {
    tree(roots).iter().map(|(_, stat)| stat.ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// Resident memory now, in kB; memory shared between processes counts once per process that maps it, divided.
pub fn memory_kb(roots: &[u32]) -> u64 {
    tree(roots).iter().map(|(pid, _)| rollup_kb(*pid, "Pss:")).sum()
}

/// Resident memory now, in kB, as `ps` shows it: memory shared between processes counts in full for each.
pub fn resident_kb(roots: &[u32]) -> u64 {
    tree(roots).iter().map(|(pid, _)| rollup_kb(*pid, "Rss:")).sum()
}

fn rollup_kb(pid: u32, what: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

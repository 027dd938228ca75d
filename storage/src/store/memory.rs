//! How much memory this machine gives a process, and what of it the block cache takes.

use crate::limits;
use std::fs;

/// The block cache's size in bytes when nothing is set.
pub fn block_cache_bytes() -> usize {
    part_of(machine_bytes())
}

fn part_of(memory_bytes: Option<u64>) -> usize {
    let part = memory_bytes.unwrap_or(0) / limits::BLOCK_CACHE_MEMORY_PART;
    let part = usize::try_from(part).unwrap_or(usize::MAX);
    part.clamp(limits::BLOCK_CACHE_BYTES_MIN, limits::BLOCK_CACHE_BYTES_MAX)
}

/// The machine's memory in bytes, or the container's where that is less.
fn machine_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_memory_within_its_bounds() {
        let gib = 1 << 30;
        assert_eq!(part_of(Some(24 * gib)), 128 << 20);
        assert_eq!(part_of(Some(gib)), limits::BLOCK_CACHE_BYTES_MIN);
        assert_eq!(part_of(Some(4096 * gib)), limits::BLOCK_CACHE_BYTES_MAX);
        assert_eq!(part_of(None), limits::BLOCK_CACHE_BYTES_MIN);
    }

    #[test]
    fn the_total_is_read_from_the_kernels_table() {
        assert_eq!(total_of("MemTotal:       24570000 kB\nMemFree: 1 kB\n"), Some(24_570_000 * 1024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert!(machine_bytes().is_some());
    }
}

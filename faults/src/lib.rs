//! Faults that can be planted to see that a test finds them. In every build but one made for that, [`planted`] is
//! constantly false and costs nothing; the `mailnode` binary does not compile in the other.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

/// Whether faults can be planted in this build.
pub const ENABLED: bool = cfg!(planted);

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The log says that an entry is durable before it is synced (I1).
    AckBeforeSync = 1,
    /// Apply draws UIDs from a counter of the process instead of the folder's row (I3, I6).
    UidFromLocalCounter = 2,
    /// Apply reads this machine's clock (I3).
    ApplyReadsClock = 3,
    /// A retry is carried out again (I7, I8).
    DedupOff = 4,
    /// A leader answers reads without asking its quorum (I10).
    StaleLeaderServes = 5,
    /// A vote is answered and never written (Raft's own rule).
    VoteNotWritten = 6,
    /// A record counts as durable without the bodies it names (I2).
    BodyUnsynced = 7,
    /// A leader answers claims on queue messages by itself, so that one that is none any more sends (I7).
    StaleLeaderSends = 8,
    /// STORE changes what has changed after UNCHANGEDSINCE (I3).
    UnchangedSinceIgnored = 9,
    /// A change of flags leaves the message's MODSEQ as it was (I6).
    FlagsKeepModseq = 10,
    /// An expunge leaves no trace for who asks later what vanished (I6).
    VanishedForgotten = 11,
    /// An expunge takes every message of its folder (I1).
    ExpungeTakesAll = 12,
    /// A peer that cannot be reached counts as having every entry (I10).
    UnreachableCounted = 13,
    /// An undone COPY leaves what it had copied (I5).
    UndoneCopyStays = 14,
}

/// All of them.
pub const ALL: [Fault; 14] = [
    Fault::AckBeforeSync,
    Fault::UidFromLocalCounter,
    Fault::ApplyReadsClock,
    Fault::DedupOff,
    Fault::StaleLeaderServes,
    Fault::VoteNotWritten,
    Fault::BodyUnsynced,
    Fault::StaleLeaderSends,
    Fault::UnchangedSinceIgnored,
    Fault::FlagsKeepModseq,
    Fault::VanishedForgotten,
    Fault::ExpungeTakesAll,
    Fault::UnreachableCounted,
    Fault::UndoneCopyStays,
];

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a fault in this process; none for `None`. Without effect where they cannot be planted.
pub fn plant(fault: Option<Fault>) {
    PLANTED.store(fault.map_or(0, |fault| fault as u8), Relaxed);
}

/// Whether this fault is planted.
#[inline]
pub fn planted(fault: Fault) -> bool {
    ENABLED && PLANTED.load(Relaxed) == fault as u8
}

/// A number that every caller in this process gets another of: what no replica may use.
pub fn local_counter() -> u32 {
    static COUNTER: AtomicU32 = AtomicU32::new(1);
    COUNTER.fetch_add(1, Relaxed)
}

impl Fault {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Fault::AckBeforeSync => "ack-before-sync",
            Fault::UidFromLocalCounter => "uid-from-local-counter",
            Fault::ApplyReadsClock => "apply-reads-clock",
            Fault::DedupOff => "dedup-off",
            Fault::StaleLeaderServes => "stale-leader-serves",
            Fault::VoteNotWritten => "vote-not-written",
            Fault::BodyUnsynced => "body-unsynced",
            Fault::StaleLeaderSends => "stale-leader-sends",
            Fault::UnchangedSinceIgnored => "unchanged-since-ignored",
            Fault::FlagsKeepModseq => "flags-keep-modseq",
            Fault::VanishedForgotten => "vanished-forgotten",
            Fault::ExpungeTakesAll => "expunge-takes-all",
            Fault::UnreachableCounted => "unreachable-counted",
            Fault::UndoneCopyStays => "undone-copy-stays",
        }
    }

    /// The fault of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        ALL.into_iter().find(|fault| fault.name() == name)
    }
}

//! Every bound of the harness, with its reason.

use std::time::Duration;

/// A client gives a silent node this long. Nodes answer "unavailable" after 8 s at most; beyond is "unknown".
pub const CLIENT_SILENCE: Duration = Duration::from_secs(12);
/// A CLI command that a stopped node does not answer is given up.
pub const CLI_PATIENCE: Duration = Duration::from_secs(20);
/// A command of the machine (`ip`, `iptables`, `mount`).
pub const TOOL_PATIENCE: Duration = Duration::from_secs(20);
/// A node's first start, on a machine that also compiles.
pub const START_PATIENCE: Duration = Duration::from_secs(120);
/// All faults are undone: until every group has a leader and level replicas again. Beyond it the run is invalid.
pub const WHOLE_PATIENCE: Duration = Duration::from_secs(240);
/// The final read of one mailbox through one node, with all attempts.
pub const FINAL_READ_PATIENCE: Duration = Duration::from_secs(120);
/// A COPY that lost its session is undone 120 s after its latest part; leaders look every 30 s, and may change once.
pub const COPIES_UNDONE_PATIENCE: Duration = Duration::from_secs(240);
/// A claim on a queue message lives 5 minutes after its holder was killed; then it is tried again.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(420);
/// A removed node's replicas must have moved within this, else the fault is given up (and the run says so).
pub const REMOVAL_PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks at a condition.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Between two progress lines.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// Steps of the linearizability checker per key before it says that it cannot decide: some ten seconds.
pub const LINEAR_STEPS_MAX: usize = 20_000_000;
/// What the configurations of one key may take in memory, bytes.
pub const LINEAR_MEMO_BYTES_MAX: usize = 1 << 30;
/// Operations shown around a violation.
pub const SHOWN_MAX: usize = 12;
/// Points of a plot in a report: more is not seen and makes pages of megabytes.
pub const PLOT_POINTS_MAX: usize = 12_000;
/// Packets held back at a time by the delay fault.
pub const HELD_PACKETS_MAX: u32 = 20_000;
/// A line of an SMTP client at the sink.
pub const SINK_LINE_BYTES_MAX: usize = 64 * 1024;

//! Every bound of the agreement layer (I9), each with its reason.

use std::time::Duration;

/// The largest encoded entry. A delivery of an inline body to the most recipients a message may have
/// stays well below; larger bodies are staged beside the log, not in it.
pub const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Encoded entries of this node that wait for their outcome, over all groups. Beyond it proposers wait
/// for their turn until their deadline, so memory stays bounded when the disk is slow.
pub const PROPOSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a proposer waits when it names no deadline: longer than an election, shorter than the patience of an SMTP client.
pub const PROPOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for its barrier before it counts as unavailable.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of entries handed out by one read of a log, for replication and for apply; one entry is always handed out.
pub const READ_BYTES_MAX: usize = 1024 * 1024;
/// Entries applied in one go: they share one write of rows, and their proposers wait for the whole of it.
pub const APPLY_ENTRIES_MAX: usize = 256;
/// Decoded entries kept per group so that apply and replication do not read the disk for what was just written.
pub const TAIL_BYTES_MAX: usize = 256 * 1024;
/// Entries of a group's log after which a snapshot is taken and the log before it purged.
pub const LOG_ENTRIES_MAX: u64 = 4_000;
/// Bytes of a group's log after which the same happens. The logs of 33 groups together stay below the write buffer
/// storage gives them (128 MiB): entries purged before it is full are never written a second time.
pub const LOG_BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Entries that a replica which is alone keeps behind a snapshot: one that is added soon after needs less of it.
pub const LOG_ENTRIES_KEPT: u64 = 500;
/// Entries of a group's log kept for a replica that is away: beyond it that replica gets a snapshot when it is back.
pub const LOG_ENTRIES_AWAY_MAX: u64 = 50_000;
/// Bytes of the same: 33 groups under load for about two minutes at most, half a gigabyte of disk.
pub const LOG_BYTES_AWAY_MAX: u64 = 16 * 1024 * 1024;
/// Changes a watcher may fall behind before it is told to read again instead.
pub const CHANGES_QUEUED_MAX: usize = 1024;
/// Groups opened at the same time when a node starts: enough to keep two cores and a disk busy.
pub const STARTING_GROUPS_MAX: usize = 8;
/// Placements of accounts remembered before the memory is emptied.
pub const PLACEMENTS_REMEMBERED_MAX: usize = 10_000;
/// Messages queued for one group's consensus task; proposers wait when it is full.
pub const GROUP_MESSAGES_QUEUED_MAX: u64 = 4_096;
/// The wait before a failed group is rebuilt the first time; doubled with every failure in a row. Not shorter than a leader's
/// lease, of which the rebuilt replica knows nothing.
pub const REBUILD_WAIT_MIN: Duration = ELECTION_TIMEOUT_MAX;
/// The longest wait before a failed group is rebuilt.
pub const REBUILD_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a group is given to elect itself and apply what was committed when it starts alone.
pub const RECOVERY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a blank node asks to be admitted: a start of the other node, or an election there, fits.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The wait before it asks again.
pub const JOIN_RETRY_WAIT: Duration = Duration::from_millis(500);
/// How often a node that waits for its first copy of the directory looks whether it has come.
pub const DIRECTORY_WAIT: Duration = Duration::from_millis(50);
/// How long a node waits for another to say how it stands.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a node looks whom to talk to, when the directory does not change.
pub const STEWARD_INTERVAL: Duration = Duration::from_millis(500);
/// The first wait before a node that could not announce itself tries again; doubled each time.
pub const ANNOUNCE_WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest such wait.
pub const ANNOUNCE_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a node asks whether a replica it should not hold may go.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(2);
/// How long it waits for an answer: who is asked asks the others first.
pub const SWEEP_ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a leader takes the next step of a change of its group.
pub const RECONCILE_INTERVAL: Duration = Duration::from_millis(100);
/// How often a node looks for groups to change, when the directory does not change: leaders come and go.
pub const RECONCILE_INTERVAL_IDLE: Duration = Duration::from_secs(2);
/// Groups whose change a node drives at a time, so that copying to newcomers leaves room for mail.
pub const RECONCILED_AT_A_TIME: usize = 4;
/// How long one step of a change may take before it is looked at again.
pub const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries a replica may lack and count as caught up: what is proposed in a moment under load.
pub const CATCH_UP_LAG_MAX: u64 = 200;
/// How often the leader of the directory plans while groups are changing.
pub const DIRECT_INTERVAL: Duration = Duration::from_millis(250);
/// How often it plans otherwise.
pub const DIRECT_INTERVAL_IDLE: Duration = Duration::from_secs(5);
/// Groups that change their nodes at a time.
pub const PLACED_AT_A_TIME: usize = 8;
/// How often leaders look whether another should lead.
pub const BALANCE_INTERVAL: Duration = Duration::from_millis(500);
/// Leaderships a node hands over at a time: each costs its group a moment.
pub const TRANSFERS_PER_ROUND: usize = 2;
/// How long a group that was handed over is not handed over again by the same node.
pub const BALANCE_REST: Duration = Duration::from_secs(30);
/// How long the same nodes must have answered before leaders spread over them: a restart must not move all of them twice.
pub const BALANCE_SETTLED_AFTER: Duration = Duration::from_secs(5);
/// How long a node that stops waits for others to take over what it leads; they would elect themselves a little later.
pub const ABDICATION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long shutdown waits for proposals on their way before it stops the groups.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the leader of the directory looks whether every node speaks a later format, when the directory does not change.
pub const GATE_INTERVAL: Duration = Duration::from_secs(5);
/// Replica ids passed over when one node goes on without the others: more than these can have drawn without its knowledge.
pub const REPLICAS_SKIPPED: u64 = 1 << 20;
/// Account ids passed over for the same reason.
pub const ACCOUNTS_SKIPPED: u64 = 1 << 20;

// Certificates.

/// How long a node's certificate holds.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * DAY_SECONDS);
/// A certificate that holds for less is replaced: a node that is down for weeks still starts with a good one.
pub const CERTIFICATE_LIFE_LEFT_MIN: Duration = Duration::from_secs(30 * DAY_SECONDS);
/// How far before its making a certificate begins, so that peers whose clocks are behind take it.
pub const CERTIFICATE_PREDATED: Duration = Duration::from_secs(7 * DAY_SECONDS);
/// How often a running node looks whether its certificate is due.
pub const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(6 * 3600);
const DAY_SECONDS: u64 = 24 * 3600;

// Traffic between nodes.

/// The largest frame of a stream: an entry with its envelope, or a batch of entries of [`READ_BYTES_MAX`] whose last
/// entry is as large as an entry may be.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest request of a node that is no member, and of the answer to it: names, hashes, two PEM texts and peers.
pub const STRANGER_BYTES_MAX: usize = 64 * 1024;
/// Memory set aside for a frame before its bytes arrive; more is taken as they do.
pub const FRAME_BYTES_FIRST: usize = 64 * 1024;
/// Bytes of requests of one peer that are read or carried out at a time; further ones wait in their streams.
pub const CALLED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Streams a peer may have open on one connection: 33 groups with a few streams each, and calls of hundreds of sessions.
pub const STREAMS_MAX: u32 = 1024;
/// Connections kept of one peer: two lanes, and those of a former process of it that have not timed out.
pub const CONNECTIONS_PER_PEER_MAX: usize = 6;
/// Connections that are being set up at a time; those beyond are turned away unanswered.
pub const HANDSHAKES_MAX: usize = 64;
/// Connections of nodes that are no members, at a time.
pub const STRANGERS_MAX: usize = 8;
/// How long setting up a connection may take, and sending the head of a stream or a stranger's request.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one try to reach a peer may take. Lost packets are sent again within it.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Addresses of a peer's host name that are tried, one after the other.
pub const DIAL_ADDRESSES_MAX: usize = 4;
/// The wait after the first failed try to reach a peer; doubled with every failure in a row.
pub const DIAL_WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait between tries: a peer that is back is found within a second.
pub const DIAL_WAIT_MAX: Duration = Duration::from_millis(500);
/// A connection without a sign of life for this long is given up, and its calls end as unknown.
pub const SILENCE_MAX: Duration = Duration::from_secs(4);
/// How often a connection that is idle shows that it lives.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// The round trip assumed before the first is measured: peers are near, and lost first packets are sent again soon.
pub const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(100);
/// Bytes of one stream of the control lane that may wait unread at its receiver: one frame.
pub const CONTROL_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of one stream of the bulk lane that may wait unread at its receiver.
pub const BULK_STREAM_WINDOW: u32 = 8 * 1024 * 1024;
/// Bytes of all streams of a connection that may wait unread, or unacknowledged: several streams may stand still
/// without holding up the rest.
pub const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// How long a process may take to acknowledge something before another process of its node is let in.
pub const TWIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether it has.
pub const TWIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Refusals in a row by one peer after which a process takes itself for the copy of one that runs.
pub const TWIN_REFUSALS_MIN: u32 = 3;
/// And for how long at least it must have been refused: what a dead process had sent has arrived by then.
pub const TWIN_REFUSED_FOR_MIN: Duration = Duration::from_secs(1);
/// For how long a process is taken for one that was just started.
pub const TWIN_YOUNG_FOR: Duration = Duration::from_secs(30);
/// For how long a process must have been refused that runs for longer: a copy that was just started has given up by then.
pub const TWIN_REFUSED_FOR_MIN_LATER: Duration = Duration::from_secs(10);
/// Bytes of unread datagrams a connection keeps: they are sent to be acknowledged, not to be read.
pub const PROBE_BYTES_KEPT: usize = 64;
/// How long a stopping node waits for its peers to hear of it.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);
/// Complaints about what arrives on the cluster port that are remembered so that each is logged once.
pub const COMPLAINTS_REMEMBERED_MAX: usize = 256;
/// After this long a complaint is logged again.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(600);
/// How often leaders send heartbeats: several fit into an election timeout, so that losing one changes nothing.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// How long after a heartbeat a follower's timers rest. They are looked at with every beat of this node, so they run
/// again well before the lease of a silent leader and the shortest election timeout have passed.
pub const LEADER_SILENCE_MAX: Duration = Duration::from_millis(300);
/// How long heartbeats of different groups wait for each other before they leave together.
pub const BEAT_WINDOW: Duration = Duration::from_millis(5);
/// Heartbeats that wait for their call to one peer: more than a node has groups.
pub const BEATS_QUEUED_MAX: usize = 1_024;
/// How long one group's answer to a heartbeat may hold up those of the others in its frame.
pub const BEAT_ANSWER_TIMEOUT: Duration = Duration::from_millis(150);
/// How long a call to another replica may take before it counts as lost; less than an election timeout.
pub const REPLICA_CALL_TIMEOUT: Duration = Duration::from_millis(300);
/// The shortest silence after a leader's lease that makes a follower ask for votes.
pub const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(350);
/// The longest such silence, and the leader's lease.
pub const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(600);
/// How long a leader without a quorum is silent, and then beats again: longer than a lease and an election.
pub const QUORUM_PROBE_INTERVAL: Duration = Duration::from_millis(1_500);
/// Entries of one append request; their bytes are bounded by [`READ_BYTES_MAX`].
pub const PAYLOAD_ENTRIES_MAX: u64 = 300;
/// Bytes of appends to one replica that are not answered yet: enough to fill a link, little enough for 33 groups at once.
pub const UNANSWERED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a replica that cannot take entries, as a body they name is out of reach, puts off their next try.
pub const APPEND_REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// How long a stream to a peer may take to open.
pub const STREAM_OPEN_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait before an unreachable replica is tried again the first time; doubled with every failure in a row.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest such wait: a replica that comes back is spoken to within it.
pub const BACKOFF_MAX: Duration = Duration::from_millis(800);
/// Snapshots a node sends at a time: each reads rows and files at the speed of the disk.
pub const SNAPSHOTS_SENT_MAX: usize = 2;
/// Snapshots a node receives at a time.
pub const SNAPSHOTS_RECEIVED_MAX: usize = 2;
/// Names of bodies in one frame of a snapshot: 256 KiB.
pub const MANIFEST_NAMES_PER_FRAME: usize = 8_192;
/// Bodies one snapshot may name: 640 MB of names in memory while it is received.
pub const MANIFEST_NAMES_MAX: usize = 20_000_000;
/// Bodies asked for at once: 32 KiB of names, and enough small bodies to keep a link busy.
pub const BODIES_PER_REQUEST_MAX: usize = 1_024;
/// Bytes of bodies in one frame.
pub const BODY_FRAME_BYTES: usize = 512 * 1024;
/// How long a peer may be silent while it sends a body.
pub const BODY_FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes per second of snapshots and of bodies asked for that a node gives when no other rate is set: most of a gigabit
/// link, and about a third of what one core encrypts.
pub const CATCH_UP_BYTES_PER_SECOND: u64 = 64_000_000;
/// How much of that rate may be made up for after a pause.
pub const CATCH_UP_BURST: Duration = Duration::from_millis(100);
/// Bodies a node pushes to replicas at a time; those beyond are fetched. Each has up to [`PUSH_PIECES_QUEUED_MAX`] pieces
/// and one on its way per replica, which share their memory.
pub const PUSHES_MAX: usize = 64;
/// Pieces of a pushed body that wait for one replica: one is written there while the next arrives.
pub const PUSH_PIECES_QUEUED_MAX: usize = 2;
/// How long one replica may hold up a body in all: a hiccup passes, a stopped node costs its senders no more than this.
pub const PUSH_HELD_MAX: Duration = Duration::from_millis(500);
/// How long nothing is pushed to a node that did not keep up or was not reached.
pub const PUSH_AVOIDED: Duration = Duration::from_secs(5);
/// How long a body that is complete waits for a majority of the replicas to have it; then it is named regardless.
pub const PUSH_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long it then waits at least for the others: as a rule they are as fast, and need not fetch it.
pub const PUSH_STRAGGLER_TIMEOUT_MIN: Duration = Duration::from_millis(20);
/// And at most, for a body that took long to arrive: what is almost there need not be sent twice.
pub const PUSH_STRAGGLER_TIMEOUT_MAX: Duration = Duration::from_millis(250);
/// Pushed bodies a node takes at a time: what several peers may push, an open file each.
pub const PUSHES_TAKEN_MAX: usize = 256;
/// The largest pushed body: several times the largest message that is taken.
pub const PUSHED_BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a pushed body may stand still: longer than an SMTP client may pause (RFC 5321 section 4.5.3.2).
pub const PUSH_SILENCE_MAX: Duration = Duration::from_secs(11 * 60);
/// Streams of bodies a node serves at a time.
pub const BODY_STREAMS_MAX: usize = 16;

// Calls about groups.

/// The first wait before a proposal or a read is tried again.
pub const CALL_RETRY_WAIT_MIN: Duration = Duration::from_millis(10);
/// The longest such wait: an election takes several of them.
pub const CALL_RETRY_WAIT_MAX: Duration = Duration::from_millis(100);
/// How long one try to propose on another node may take before its leader is looked for again. A proposer without a
/// replica does not see its leader die.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a leader elsewhere may take to say how far to read.
pub const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);
/// How long proposals and reads wait for the replica here to show what is done elsewhere, before they do without it.
pub const BEHIND_MAX: Duration = Duration::from_millis(500);
/// How long a replica that was seen to be behind is not waited for.
pub const BEHIND_REMEMBERED: Duration = Duration::from_secs(1);
/// Views of rows that nodes without a replica keep open here at a time: each pins what it shows.
pub const VIEWS_SERVED_MAX: usize = 256;
/// Bytes of rows in one answer to a scan from another node.
pub const VIEW_CHUNK_BYTES: usize = 64 * 1024;
/// A view that is not looked at for this long is closed.
pub const VIEW_IDLE_MAX: Duration = Duration::from_secs(30);
/// Bodies that readers here wait for from other nodes at a time.
pub const BODIES_BORROWED_MAX: usize = 8;
/// How long one look at rows on another node may take.
pub const VIEW_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often lost bodies are looked for.
pub const MEND_INTERVAL: Duration = Duration::from_secs(5);

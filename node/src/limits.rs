//! Every bound of the node's edge (I9), each with its reason. Bounds of protocols and of replicated state stand in their crates.

use std::time::Duration;

/// Sessions of all protocols together: at 20 kB each an idle crowd of this size stays near 200 MB.
pub const SESSIONS_MAX: usize = 10_000;
/// Sessions of one peer address (one /64 in IPv6); an office behind one address fits, one attacker cannot take all.
/// Loopback peers are not counted: they are proxies and tools of this machine.
pub const SESSIONS_PER_ADDRESS_MAX: usize = 1_000;
/// A TLS handshake from its first byte to its last.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A header of the PROXY protocol in bytes: addresses are 36, the rest may carry what the balancer knows of TLS.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;
/// How long a balancer may take for its header: its specification asks for three seconds at least.
pub const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP connections of balancers whose header is awaited at a time; health checks and scrapers are few.
pub const PROXY_HEADERS_AWAITED_MAX: usize = 64;
/// Connections waiting in the kernel for accept.
pub const LISTEN_BACKLOG: u32 = 1_024;
/// The pause after a failed accept (no file descriptors left), so that the loop does not burn a processor.
pub const ACCEPT_FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How long sessions have to say goodbye when the node stops, before they are cut.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long threads that still work when everything has stopped are waited for.
pub const STRAGGLERS_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before a listener that failed is started again, doubled with each failure in a row.
pub const LISTENER_RESTART_WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
pub const LISTENER_RESTART_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often certificate files are looked at for a new modification time.
pub const CERTIFICATE_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// A certificate or key file in bytes: a long chain is 20 kB.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Addresses whose resolution is remembered before the memory is emptied: about 200 bytes each.
pub const RESOLUTIONS_REMEMBERED_MAX: usize = 20_000;
/// How long a "no" waits for this node's copy of the directory to be up to date: an election and a round trip.
pub const DIRECTORY_CATCH_UP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a node that receives replicas looks how far it is.
pub const ARRIVAL_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often a node makes sure that a majority is in reach: what `/readyz` says is no older than this and a timeout.
pub const TOUCH_INTERVAL: Duration = Duration::from_secs(2);
/// The pause between looks of a node that has just joined for its copy of the directory.
pub const DIRECTORY_WAIT: Duration = Duration::from_millis(500);
/// How long a verified password is taken again without hashing it: clients reconnect often, and a hash costs 20 ms.
pub const VERIFIED_PASSWORD_LIFETIME: Duration = Duration::from_secs(60);
/// Verified passwords remembered before the memory is emptied.
pub const VERIFIED_PASSWORDS_MAX: usize = 10_000;
/// Password checks that may wait for a processor; beyond it a login is told to come back later.
pub const PASSWORD_CHECKS_WAITING_MAX: usize = 256;
/// The pause before a wrong password is answered.
pub const FAILED_LOGIN_PAUSE: Duration = Duration::from_secs(1);
/// Argon2id memory in KiB, passes and lanes: one of the settings OWASP holds equal, with less memory per check.
pub const ARGON2_MEMORY_KIB: u32 = 12 * 1024;
/// See [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 3;
/// See [`ARGON2_MEMORY_KIB`].
pub const ARGON2_LANES: u32 = 1;
/// Argon2 memory in KiB of an imported hash: a check may not take more than a small machine has to spare.
pub const FOREIGN_ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Argon2 passes of an imported hash: with [`FOREIGN_ARGON2_MEMORY_KIB_MAX`] about two seconds.
pub const FOREIGN_ARGON2_PASSES_MAX: u32 = 10;
/// Argon2 lanes of an imported hash: they are computed one after another.
pub const FOREIGN_ARGON2_LANES_MAX: u32 = 16;
/// bcrypt cost of an imported hash, the logarithm of its rounds: about two seconds.
pub const FOREIGN_BCRYPT_COST_MAX: u32 = 15;
/// Rounds of an imported hash of SHA-256-crypt or SHA-512-crypt: about a second.
pub const FOREIGN_SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// Rounds of an imported hash of PBKDF2-HMAC-SHA-1: about a second.
pub const FOREIGN_PBKDF2_ROUNDS_MAX: u32 = 1_000_000;

// Mail in.

/// A message in bytes, announced by SIZE (RFC 1870): a 50 MB attachment in base64 fits.
pub const MESSAGE_BYTES_MAX: u64 = 80 * 1024 * 1024;
/// What one SMTP session reads at a time; the machine takes as much again.
pub const SMTP_READ_BYTES: usize = 16 * 1024;
/// Bytes of a large message gathered before a blocking thread writes them: few thread switches, little memory.
pub const STAGING_PIECE_BYTES: usize = 256 * 1024;
/// The same for messages beyond [`LARGE_PIECES_MAX`] at a time: slower, but a crowd of them stays within memory.
pub const STAGING_PIECE_BYTES_MIN: usize = 64 * 1024;
/// Large messages at a time that are gathered in large pieces: 16 MiB in all.
pub const LARGE_PIECES_MAX: usize = 64;
/// How long a client may take to accept bytes of a reply; one that does not read is not waited for.
pub const SMTP_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the acceptance of a message is proposed again while its outcome is unknown. Clients wait ten minutes
/// (RFC 5321 section 4.5.3.2.6); a minority must say so within seconds (I10).
pub const ACCEPT_PATIENCE: Duration = Duration::from_secs(8);
/// How long a read waits for a leader: an election takes two seconds, and a client waits longer.
pub const READ_PATIENCE: Duration = Duration::from_secs(5);
/// The same for reads that may be answered from what is here.
pub const STALE_READ_PATIENCE: Duration = Duration::from_secs(3);
/// After a session waited for a leader in vain it reads what is here for so long before it asks again: one command
/// waits once, not for each of its parts.
pub const STALE_READ_AGAIN: Duration = Duration::from_secs(1);
/// The pause before a read is tried again.
pub const READ_AGAIN_WAIT: Duration = Duration::from_millis(50);
/// The pause before something is proposed again.
pub const PROPOSE_AGAIN_WAIT: Duration = Duration::from_millis(100);

// The queue and mail out.

/// The wait before the second attempt; doubled with every attempt.
pub const RETRY_FIRST_MS: u64 = 5 * 60 * 1000;
/// The longest wait between attempts.
pub const RETRY_LONGEST_MS: u64 = 4 * 3600 * 1000;
/// How long a message is tried (RFC 5321 section 4.5.4.1: at least 4 to 5 days).
pub const QUEUE_LIFETIME_MS: u64 = 5 * 24 * 3600 * 1000;
/// When the sender is told that a message is late (RFC 5321 section 4.5.4.1 leaves it open; four hours is the custom).
pub const DELAY_TOLD_AFTER_MS: u64 = 4 * 3600 * 1000;
/// A claim on a queue message. Longer than a stuck worker needs to notice, short enough that a dead node's mail moves on.
pub const LEASE_MS: u64 = 5 * 60 * 1000;
/// How often a worker renews its claim: three chances before it ends.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(75);
/// A worker stops when its claim has less than this left: nobody else may begin while it still sends.
pub const LEASE_MARGIN: Duration = Duration::from_secs(60);
/// One attempt at one message, whatever it does; a slow host gets the rest another time.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Deliveries of this node at a time, over all shards: sockets, memory (64 KiB each) and file handles stay few.
pub const DELIVERIES_MAX: usize = 128;
/// Deliveries to one destination at a time: hosts refuse more, and others need a turn.
pub const DELIVERIES_PER_DESTINATION: usize = 10;
/// Queue messages claimed by one proposal.
pub const CLAIMED_AT_ONCE_MAX: usize = 32;
/// Messages a shard looks past because their destination is busy, before it waits for one of them.
pub const PARKED_MAX: usize = 10_000;
/// The pause of a queue shard after something it needs failed: no leader, no rows.
pub const QUEUE_TROUBLE_WAIT: Duration = Duration::from_secs(1);
/// The longest sleep of a queue shard; it is woken by changes, this only heals a missed one.
pub const QUEUE_SLEEP_MAX: Duration = Duration::from_secs(300);
/// The shortest sleep of a queue shard that found nothing to do.
pub const QUEUE_SLEEP_MIN: Duration = Duration::from_millis(50);
/// How long running deliveries may go on when the node stops. What is cut is tried again after the start.
pub const QUEUE_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the report of an attempt is proposed again. What is not reported is tried twice, so this is patient.
pub const REPORT_PATIENCE: Duration = Duration::from_secs(120);
/// MX hosts of a domain that are tried (RFC 5321 section 5.1 asks for at least two).
pub const MX_HOSTS_MAX: usize = 10;
/// Addresses of one host that are tried.
pub const HOST_ADDRESSES_MAX: usize = 6;
/// A TCP connection to another host.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// One question to a name server.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// Further attempts at a question.
pub const DNS_ATTEMPTS: usize = 2;
/// Questions under way on one connection to a name server: every delivery may have one.
pub const DNS_QUERIES_MAX: usize = 256;
/// What is read of a body at a time while it is sent.
pub const SEND_PIECE_BYTES: usize = 64 * 1024;
/// An original message returned whole in a report (RFC 3461 section 4.3 allows headers only for larger ones).
pub const RETURNED_BYTES_MAX: usize = 256 * 1024;
/// The header section of an original returned in a report.
pub const RETURNED_HEADER_BYTES_MAX: usize = 64 * 1024;
/// A node's clock that is off by more, milliseconds, is told in `status`: dates in mail and retries suffer first.
pub const CLOCK_OFFSET_WARNED_MS: u64 = 5_000;
/// How often a plan for a shard is made again because somebody else changed its placement meanwhile.
pub const STALE_PLANS_MAX: usize = 8;
/// How long an invitation for a node may be good, seconds: it is a secret that lies about.
pub const TOKEN_VALID_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// How long an invitation is good when nothing is said, seconds.
pub const TOKEN_VALID_SECONDS: u64 = 3600;
/// One request or reply on the admin socket, in bytes: a page of the longest listing fits.
pub const ADMIN_FRAME_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Items in one page of a listing; the client asks for the next.
pub const ADMIN_PAGE_ITEMS_MAX: usize = 1_000;
/// Admin connections at a time; each serves one command after another.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// How long an admin connection may be silent.
pub const ADMIN_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an admin command tries to get a proposal through.
pub const ADMIN_PROPOSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Accounts in one request of an import or one page of an export.
pub const IMPORT_BATCH_ACCOUNTS_MAX: usize = model::limits::IMPORTED_PER_ENTRY_MAX;
/// Bytes of accounts in one request of an import, and so in one log entry (at most 2 MiB): leaves room for SCRAM keys.
pub const IMPORT_BATCH_BYTES_MAX: usize = 512 * 1024;
/// Passwords in one request of an import that the node hashes, 40 ms each: the progress bar moves.
pub const IMPORT_BATCH_PASSWORDS_MAX: usize = 32;
/// A file to import, in bytes: over a million accounts. It is read whole, because it is checked whole.
pub const IMPORT_FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A line of a file to import, in bytes: the longest address as often as an account may have aliases.
pub const IMPORT_LINE_BYTES_MAX: usize = 64 * 1024;
/// How long the count of accounts per shard is used for placing imported ones before it is made again.
pub const SHARD_COUNT_LIFETIME: Duration = Duration::from_secs(60);
/// Entries that reap one removed account before the rest is left to the next start: a thousand rows each.
pub const REAP_ENTRIES_MAX: usize = 100_000;
/// How long a mailbox change is proposed again while its outcome is unknown, before the client hears so: two elections,
/// and within the minute that clients wait.
pub const PROPOSAL_DEADLINE: Duration = Duration::from_secs(8);
/// How often a node looks which groups it leads: news of an election, for work that is not in a hurry. 33 reads of a
/// value in memory.
pub const LEADERSHIP_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The pause before changes of a group are listened for again when its replica went away.
pub const WATCH_AGAIN_WAIT: Duration = Duration::from_secs(1);
/// Messages whose flags one entry changes: a few milliseconds of the shard's time. With 1,000, three nodes on two processors
/// held up others for 200 ms at p99.
pub const FLAGS_PER_ENTRY: usize = 250;
/// Messages that one entry copies, moves or expunges: each is a name of a file made or removed, ten milliseconds in all.
pub const FILES_PER_ENTRY: usize = 250;
/// The format whose entries know parts of a COPY and of a removal.
pub const FORMAT_OF_PARTS: u32 = 3;
/// A COPY whose next part does not come for so long has lost its session and is undone: longer than any part is retried.
pub const COPY_ABANDONED_AFTER: Duration = Duration::from_secs(120);
/// How often a leader looks for COPYs that lost their session.
pub const COPY_LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// The pause before reaping is tried again.
pub const REAP_RETRY_WAIT: Duration = Duration::from_secs(1);
/// A mailbox actor that had nothing to do for between one and two of these ends itself; starting one costs microseconds.
pub const MAILBOX_ACTOR_IDLE: Duration = Duration::from_secs(30);
/// How often a change is asked again because the actor that had it was lost, before it is given up.
pub const ACTOR_LOSSES_MAX: usize = 4;
/// Bytes of small bodies inside one APPEND entry; the messages of a MULTIAPPEND beyond it go to staging, so that the
/// entry stays below what a log entry may have.
pub const APPEND_INLINE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an arriving body gathered for one write to staging: few system calls, little memory.
pub const STAGING_WRITE_BYTES: usize = 256 * 1024;
/// Bodies up to this size are read whole while they are rendered or searched; larger ones by ranges.
pub const BODY_KEPT_BYTES_MAX: u64 = 128 * 1024;
/// Bytes of one read of a body that is sent to a client.
pub const BODY_PIECE_BYTES: usize = 128 * 1024;
/// Bytes of FETCH responses rendered before they are sent and more is rendered.
pub const FETCH_SLICE_BYTES: usize = 256 * 1024;
/// The most one slice may have: a single response larger than this (a decoded attachment) is rendered again from its
/// start for each further slice, which is cheap as long as slices are large.
pub const FETCH_SLICE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Snapshots remembered before those that no session holds are looked for: each entry is some 60 bytes.
pub const SNAPSHOTS_SWEEP_MIN: usize = 1_024;
/// Messages whose rows and digests are looked up together: one scan for many.
pub const LOOKUP_MESSAGES: usize = 256;
/// As [`LOOKUP_MESSAGES`] when bodies are wanted too: about as many as fill a slice.
pub const LOOKUP_BODIES: usize = 64;
/// Bytes of digests looked up together; those of hostile messages (512 kB each) beyond it are read one by one.
pub const DIGESTS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// UIDs between two wanted ones that a scan reads over instead of ending.
pub const LOOKUP_GAP_MAX: u32 = 32;
/// Bytes read from a client at a time; the read buffer lives on the stack and is not kept while waiting.
pub const IMAP_READ_BYTES: usize = 16 * 1024;
/// Bytes of IMAP input the machine has not taken yet, above which reading pauses.
pub const IMAP_INPUT_BYTES_PAUSE: usize = 64 * 1024;
/// Bytes of IMAP output gathered before they are written.
pub const IMAP_WRITE_BYTES: usize = 32 * 1024;
/// Silence before login after which an IMAP session ends.
pub const IMAP_LOGIN_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// Silence after login after which an IMAP session ends: at least 30 minutes (RFC 9051 section 5.4).
pub const IMAP_IDLE_TIMEOUT: Duration = Duration::from_secs(31 * 60);
/// How long a client may take none of its output before its session is cut.
pub const IMAP_WRITE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Destinations of one message that are spoken to at a time.
pub const DESTINATIONS_AT_ONCE: usize = 4;
/// How long a message with several destinations waits for a turn at one that is busy.
pub const TURN_PATIENCE: Duration = Duration::from_secs(60);

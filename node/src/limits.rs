//! Every bound of the node's edge (I9), each with its reason. Bounds of protocols and of replicated state stand in their crates.

use std::time::Duration;

/// Sessions of all protocols together: at 20 kB each an idle crowd of this size stays near 200 MB.
pub const SESSIONS_MAX: usize = 10_000;
/// Sessions of one peer address (one /64 in IPv6); an office behind one address fits, one attacker cannot take all.
/// Loopback peers are not counted: they are proxies and tools of this machine.
pub const SESSIONS_PER_ADDRESS_MAX: usize = 1_000;
/// A TLS handshake from its first byte to its last.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections waiting in the kernel for accept.
pub const LISTEN_BACKLOG: u32 = 1_024;
/// The pause after a failed accept (no file descriptors left), so that the loop does not burn a processor.
pub const ACCEPT_FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How long sessions have to say goodbye when the node stops, before they are cut.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);
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

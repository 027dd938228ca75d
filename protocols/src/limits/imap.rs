//! Bounds of the IMAP machine (I9). Each with its reason.

/// Bytes of one command after login, its buffered literals included: long UID lists of large mailboxes fit (Dovecot's
/// `imap_max_line_length` has the same value).
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one command before login: names, passwords and SASL messages need no more.
pub const COMMAND_BYTES_BEFORE_LOGIN_MAX: usize = 16 * 1024;
/// Bytes of one line that answers a continuation request (SASL, DONE).
pub const CONTINUATION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a tag: no client needs more, and it is echoed in every reply.
pub const TAG_BYTES_MAX: usize = 128;
/// Bytes of one `Output::Write`.
pub const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Production of untagged responses pauses when this much waits to be written; with one response on top it stays
/// well below what a slow client may cost.
pub const OUTPUT_BYTES_PAUSE: usize = 32 * 1024;
/// Bytes of one `Output::AppendChunk`: what one read of a socket brings.
pub const APPEND_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a refused message that are taken and thrown away so that the connection can live on.
pub const APPEND_DRAIN_BYTES_MAX: u64 = 1 << 30;
/// Messages of one MULTIAPPEND: all are one atomic step of the store.
pub const APPEND_MESSAGES_MAX: usize = 1000;
/// Bytes of a decoded mailbox name: four levels of the longest file names.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1000;
/// Levels of a mailbox name: deeper trees are mistakes of clients.
pub const MAILBOX_LEVELS_MAX: usize = 32;
/// Keywords named in one command: a folder cannot have more.
pub const KEYWORDS_MAX: usize = 56;
/// Bytes of one keyword.
pub const KEYWORD_BYTES_MAX: usize = 255;
/// Ranges of one sequence set; a 64 KiB command holds no more.
pub const SEQUENCE_RANGES_MAX: usize = 32 * 1024;
/// Nesting of search keys: chains of OR nest once per term.
pub const SEARCH_DEPTH_MAX: usize = 128;
/// Search keys in one command: each may cost a pass over every message.
pub const SEARCH_KEYS_MAX: usize = 1000;
/// Items of one FETCH.
pub const FETCH_ITEMS_MAX: usize = 200;
/// Header names of one `HEADER.FIELDS`.
pub const HEADER_NAMES_MAX: usize = 200;
/// Part numbers of one section: as deep as the MIME views look.
pub const SECTION_DEPTH_MAX: usize = 100;
/// Patterns of one LIST; each is matched with every mailbox.
pub const LIST_PATTERNS_MAX: usize = 16;
/// Parameters of one ID (RFC 2971 section 3.3), counted as strings.
pub const ID_STRINGS_MAX: usize = 60;
/// Messages of one fetch call to the store: enough to hide its cost, few enough to stay small.
pub const FETCH_BATCH_MESSAGES: usize = 1024;
/// Candidates of one search call to the store.
pub const SEARCH_BATCH_MESSAGES: usize = 4096;
/// Tests of one key on one message before other sessions have their turn: some ten milliseconds.
pub const SEARCH_SLICE_STEPS: usize = 500_000;
/// Bytes of patterns times bytes of names compared before other sessions have their turn: some ten milliseconds.
pub const LIST_SLICE_STEPS: usize = 5_000_000;
/// Commands in a row that are answered BAD before the connection is closed (as Dovecot).
pub const BAD_COMMANDS_MAX: u32 = 20;
/// Failed logins before the connection is closed.
pub const LOGIN_FAILURES_MAX: u32 = 5;

//! Bounds of the SMTP and LMTP machines, and the timeouts their drivers keep.

use std::time::Duration;

/// Longest local part in bytes. RFC 5321 section 4.5.3.1.1 says 64 and allows more; return addresses of mailing
/// lists (VERP) are often beyond 64 and their mail must not be lost.
pub const LOCAL_PART_BYTES_MAX: usize = 256;

/// Longest domain in bytes (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_BYTES_MAX: usize = 255;

/// Longest argument of HELO, EHLO and LHLO in bytes: a domain or address literal.
pub const HELO_BYTES_MAX: usize = 255;

/// Longest command line in bytes with its CRLF. RFC 5321 section 4.5.3.1.4 says 512, RFC 3461 section 5.4 asks for 1036 and
/// RFC 4954 section 3 adds 500 for AUTH=; this is the next power of two.
pub const COMMAND_LINE_BYTES_MAX: usize = 2048;

/// Longest AUTH command or answer line in bytes with its CRLF (RFC 4954 section 4).
pub const AUTH_LINE_BYTES_MAX: usize = 12_288;

/// Bytes of input a server machine holds; beyond it the driver keeps them and stops reading. Large enough that message
/// data moves in chunks of tens of kilobytes, small enough for thousands of sessions.
pub const INPUT_BYTES_MAX: usize = 32 * 1024;

/// Bytes of replies gathered before they are handed to the driver although more commands are buffered.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// Longest line of message text in bytes without its CRLF. RFC 5321 section 4.5.3.1.6 says 998; programs that put a whole
/// HTML page on one line exist, lines beyond this bound are no mail.
pub const TEXT_LINE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of the header section of a message, counted up to the empty line. Real ones rarely pass 64 KiB.
pub const HEADER_BYTES_MAX: u64 = 512 * 1024;

/// Received fields at which a message is taken to loop. RFC 5321 section 6.3 recommends a hundred; no mail takes a way of
/// fifty hops, and Postfix stops there too.
pub const HOPS_MAX: u32 = 50;

/// Bytes of the Message-ID kept by the header peek; longer ones are cut and serve only for logs.
pub const MESSAGE_ID_BYTES_MAX: usize = 512;

/// Recipients of one message (RFC 5321 section 4.5.3.1.8 asks for at least 100).
pub const RECIPIENTS_MAX: usize = 1000;

/// Protocol errors in one session before it is ended with 421.
pub const ERRORS_MAX: u32 = 20;

/// Refused recipients in one session before it is ended with 421: a client that guesses addresses.
pub const REFUSED_RECIPIENTS_MAX: u32 = 100;

/// Commands in a row that move no mail (NOOP, RSET, VRFY, HELP, EHLO, empty chunks, refused senders) before the session is ended with 421.
pub const IDLE_COMMANDS_MAX: u32 = 100;

/// Failed AUTH exchanges in one session before it is ended with 421.
pub const AUTH_FAILURES_MAX: u32 = 3;

/// Bytes of a refused message that are read past its refusal to keep the conversation in step; beyond it the
/// connection is closed.
pub const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest ENVID in bytes of xtext (RFC 3461 section 5.4).
pub const ENVELOPE_ID_BYTES_MAX: usize = 100;

/// Longest ORCPT in bytes of xtext (RFC 3461 sections 4.2 and 5.4).
pub const ORIGINAL_RECIPIENT_BYTES_MAX: usize = 500;

/// Longest text of one reply in bytes that this server sends (RFC 5321 section 4.5.3.1.5: 512 with code and CRLF).
pub const REPLY_TEXT_BYTES_MAX: usize = 480;

/// Longest reply line in bytes a client machine reads: twice and more what RFC 5321 section 4.5.3.1.5 allows.
pub const CLIENT_REPLY_LINE_BYTES_MAX: usize = 2048;

/// Bytes of one multi-line reply a client machine keeps; an EHLO reply is some hundred bytes.
pub const CLIENT_REPLY_BYTES_MAX: usize = 16 * 1024;

/// Lines of one multi-line reply a client machine reads.
pub const CLIENT_REPLY_LINES_MAX: usize = 128;

/// Characters of a host's reply that a report quotes, so that its lines stay under 998 bytes (RFC 5322 section 2.1.1).
pub const DIAGNOSTIC_CHARACTERS_MAX: usize = 200;

/// Recipients a client machine names before it waits for their replies. RFC 2920 section 3.1 warns of both sides filling
/// the other's window; the replies to fifty commands fit any socket buffer.
pub const CLIENT_PIPELINED_RECIPIENTS: usize = 50;

/// How long a server waits for the next bytes of a client (RFC 5321 section 4.5.3.2.7).
pub const SERVER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a client waits for the greeting (RFC 5321 section 4.5.3.2.1).
pub const CLIENT_GREETING_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a client waits for the reply to MAIL (RFC 5321 section 4.5.3.2.2), and to EHLO, STARTTLS and AUTH.
pub const CLIENT_MAIL_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a client waits for the reply to RCPT (RFC 5321 section 4.5.3.2.3).
pub const CLIENT_RECIPIENT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a client waits for 354 after DATA (RFC 5321 section 4.5.3.2.4).
pub const CLIENT_DATA_START_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// How long a client waits for one block of message data to leave (RFC 5321 section 4.5.3.2.5).
pub const CLIENT_DATA_BLOCK_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How long a client waits for the reply to the final dot (RFC 5321 section 4.5.3.2.6).
pub const CLIENT_DATA_END_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long a client waits for the reply to QUIT: nothing depends on it.
pub const CLIENT_QUIT_TIMEOUT: Duration = Duration::from_secs(5);

//! IDLE (RFC 2177, RFC 9051 section 6.3.13).

use super::Finish;

/// How an IDLE ends: by the line DONE, or by anything else, which is an error.
pub(crate) fn ended(line: &[u8]) -> Finish {
    if line.eq_ignore_ascii_case(b"DONE") { Finish::ok("IDLE completed") } else { Finish::bad("Expected DONE") }
}

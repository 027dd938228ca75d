//! CAPABILITY (RFC 9051 section 6.1.1), and the same list as a response code after login.

use super::{Finish, Step};
use crate::imap::core::Core;

/// What every client may use before it has logged in.
const BEFORE_LOGIN: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE";

/// What a client may use once it has.
const AFTER_LOGIN: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UNSELECT UIDPLUS MULTIAPPEND \
    CHILDREN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE BINARY CONDSTORE QRESYNC ESEARCH \
    SEARCHRES WITHIN MOVE UTF8=ACCEPT OBJECTID PREVIEW SAVEDATE";

pub(super) fn start(core: &mut Core) -> Step {
    let line = format!("CAPABILITY {}", capabilities(core));
    core.line(&line);
    Finish::ok("CAPABILITY completed").into()
}

/// The capabilities in the session's present state.
pub(crate) fn capabilities(core: &Core) -> String {
    if core.authenticated {
        let compress = core.config.compress && !core.compressed;
        return format!("{AFTER_LOGIN}{}", if compress { " COMPRESS=DEFLATE" } else { "" });
    }
    let mut list = BEFORE_LOGIN.to_owned();
    if core.config.starttls && !core.tls {
        list.push_str(" STARTTLS");
    }
    if readable_passwords_allowed(core) {
        list.push_str(" AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256");
    } else {
        // RFC 9051 section 6.2.3.
        list.push_str(" AUTH=SCRAM-SHA-256 LOGINDISABLED");
    }
    list
}

/// Whether LOGIN, PLAIN and the like are allowed (RFC 9051 section 11.1).
pub(crate) fn readable_passwords_allowed(core: &Core) -> bool {
    core.tls || core.config.insecure_login
}

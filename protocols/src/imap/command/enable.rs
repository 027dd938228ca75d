//! ENABLE (RFC 5161).

use super::{Finish, News, Step};
use crate::imap::core::Core;

pub(super) fn start(core: &mut Core, names: &[String]) -> Step {
    let mut enabled = String::from("ENABLED");
    for name in names {
        let features = &mut core.features;
        let known = match name.as_str() {
            "CONDSTORE" => {
                features.condstore = true;
                true
            }
            "QRESYNC" => {
                // RFC 7162 section 3.2.3: QRESYNC brings CONDSTORE.
                features.condstore = true;
                features.qresync = true;
                true
            }
            "IMAP4REV2" => {
                features.rev2 = true;
                true
            }
            "UTF8=ACCEPT" => {
                features.utf8 = true;
                true
            }
            _ => false,
        };
        if known {
            enabled.push(' ');
            enabled.push_str(if name == "IMAP4REV2" { "IMAP4rev2" } else { name });
        }
    }
    core.line(&enabled);
    Finish::ok("ENABLE completed").news(News::Hold).into()
}

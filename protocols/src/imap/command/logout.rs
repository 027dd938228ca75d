//! LOGOUT (RFC 9051 section 6.1.3).

use super::{Finish, News, Step};
use crate::imap::core::Core;

pub(super) fn start(core: &mut Core) -> Step {
    core.line("BYE Logging out");
    Step::Close(Finish::ok("LOGOUT completed").news(News::Hold))
}

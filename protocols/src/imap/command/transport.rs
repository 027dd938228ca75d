//! STARTTLS (RFC 9051 section 6.2.1) and COMPRESS (RFC 4978): the layers below change after the tagged OK.

use super::{Finish, News, Step};
use crate::imap::core::Core;

pub(super) fn start_tls(core: &mut Core) -> Step {
    if core.tls || !core.config.starttls {
        return Finish::bad("TLS is not available here").into();
    }
    Step::StartTls(Finish::ok("Begin TLS negotiation now").news(News::Hold))
}

pub(super) fn compress(core: &mut Core) -> Step {
    if core.compressed {
        // RFC 4978 section 3: "NO [COMPRESSIONACTIVE]".
        return Finish::no("[COMPRESSIONACTIVE]", "DEFLATE is active already").into();
    }
    if !core.config.compress {
        return Finish::no("[CANNOT]", "Compression is not available").into();
    }
    Step::Compress(Finish::ok("DEFLATE active").news(News::Hold))
}

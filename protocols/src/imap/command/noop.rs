//! NOOP (RFC 9051 section 6.1.2) and CHECK (RFC 3501 section 6.4.1): the client asks for news.

use super::{Finish, News, Step};

pub(super) fn start(text: &'static str) -> Step {
    Finish::ok(text).news(News::Ask).into()
}

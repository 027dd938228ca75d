//! What a host offers in its EHLO or LHLO reply.

/// The offered extensions that matter to a sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Extensions {
    pub(super) pipelining: bool,
    pub(super) size: bool,
    /// The greatest size in bytes, when the host names one (RFC 1870 section 4: zero means no fixed limit).
    pub(super) size_max: Option<u64>,
    pub(super) eight_bit: bool,
    pub(super) smtputf8: bool,
    pub(super) chunking: bool,
    pub(super) binary: bool,
    pub(super) dsn: bool,
    pub(super) start_tls: bool,
    pub(super) auth_plain: bool,
}

impl Extensions {
    /// Reads the text of the reply: the first line greets, each other one is a keyword with parameters.
    pub(super) fn parse(text: &str) -> Extensions {
        let mut extensions = Extensions::default();
        for line in text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => extensions.pipelining = true,
                "SIZE" => {
                    extensions.size = true;
                    let size = words.next().and_then(|digits| digits.parse().ok());
                    extensions.size_max = size.filter(|size| *size > 0);
                }
                "8BITMIME" => extensions.eight_bit = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "CHUNKING" => extensions.chunking = true,
                "BINARYMIME" => extensions.binary = true,
                "DSN" => extensions.dsn = true,
                "STARTTLS" => extensions.start_tls = true,
                "AUTH" => extensions.auth_plain = words.any(|name| name.eq_ignore_ascii_case("PLAIN")),
                _ => {}
            }
        }
        extensions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_found_in_any_case() {
        let parsed = Extensions::parse("PIPELINING.example\nsize 0\nDsn\nAUTH LOGIN plain\nX");
        let expected = Extensions { size: true, dsn: true, auth_plain: true, ..Extensions::default() };
        assert_eq!(parsed, expected);
        assert_eq!(Extensions::parse("h\nSIZE 100").size_max, Some(100));
    }
}

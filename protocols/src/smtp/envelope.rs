//! The envelope of a message as types: who sends, to whom, with which wishes of ESMTP. No parsing, no IO.

use crate::address::Address;
use std::fmt;

/// What the content claims to be (RFC 6152, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Body {
    /// Lines of ASCII, the default.
    #[default]
    SevenBit,
    /// Lines of any octets.
    EightBit,
    /// Any octets, not in lines; travels by BDAT only.
    Binary,
}

impl Body {
    /// The value of the BODY parameter.
    pub fn keyword(self) -> &'static str {
        match self {
            Body::SevenBit => "7BIT",
            Body::EightBit => "8BITMIME",
            Body::Binary => "BINARYMIME",
        }
    }
}

/// How much of the message a failure report brings back (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Return {
    /// The whole message.
    Full,
    /// Its header section.
    Headers,
}

impl Return {
    /// The value of the RET parameter.
    pub fn keyword(self) -> &'static str {
        match self {
            Return::Full => "FULL",
            Return::Headers => "HDRS",
        }
    }
}

/// When the sender of a message wants to hear about a recipient (RFC 3461 section 4.1). All false is NEVER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notify {
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// No report at all.
    pub const NEVER: Notify = Notify { success: false, failure: false, delay: false };
}

/// Prints the value of the NOTIFY parameter.
impl fmt::Display for Notify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut separator = "";
        for (_, word) in words.into_iter().filter(|(wanted, _)| *wanted) {
            write!(formatter, "{separator}{word}")?;
            separator = ",";
        }
        if *self == Notify::NEVER { formatter.write_str("NEVER") } else { Ok(()) }
    }
}

/// The recipient as the first sender wrote it (RFC 3461 section 4.2, RFC 6533 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient {
    /// `rfc822`, `utf-8` or another registered type, in lower case.
    pub address_type: String,
    /// The address, decoded; no control characters.
    pub address: String,
}

/// The sender side of an envelope: what MAIL said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mail {
    /// Where reports go; `None` is the null sender `<>`.
    pub sender: Option<Address>,
    /// The size in bytes the client announced (RFC 1870).
    pub size: Option<u64>,
    /// What the content claims to be.
    pub body: Body,
    /// Whether header or addresses may hold UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// How much a failure report brings back; `None` leaves it to the reporter.
    pub ret: Option<Return>,
    /// The sender's own name for this envelope, decoded (RFC 3461 section 4.4).
    pub envelope_id: Option<String>,
}

/// One recipient: what RCPT said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where to deliver. `<Postmaster>` without domain arrives with the server's host name as domain.
    pub address: Address,
    /// When to report; `None` means the default: on failure, and on delay if one likes.
    pub notify: Option<Notify>,
    /// The recipient as first written.
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without wishes.
    pub fn new(address: Address) -> Recipient {
        Recipient { address, notify: None, original: None }
    }
}

/// What the driver knows of the TLS layer, for the Received field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// How a message came, as far as the `with` clause of Received tells (RFC 3848, RFC 6531 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transport {
    /// LMTP rather than SMTP.
    pub lmtp: bool,
    /// The client said EHLO; always true in LMTP.
    pub extended: bool,
    /// Under TLS.
    pub tls: bool,
    /// From an authenticated client.
    pub authenticated: bool,
    /// With SMTPUTF8 for this message.
    pub smtputf8: bool,
}

impl Transport {
    /// The keyword of the `with` clause.
    pub fn keyword(self) -> &'static str {
        const EXTENDED: [&str; 4] = ["ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"];
        const LMTP: [&str; 4] = ["LMTP", "LMTPA", "LMTPS", "LMTPSA"];
        const UTF8: [&str; 4] = ["UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"];
        const UTF8_LMTP: [&str; 4] = ["UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"];
        let [plain, authenticated, secured, both] = match (self.lmtp, self.smtputf8) {
            (true, true) => UTF8_LMTP,
            (true, false) => LMTP,
            (false, true) => UTF8,
            (false, false) if self.extended => EXTENDED,
            (false, false) => return "SMTP",
        };
        match (self.tls, self.authenticated) {
            (false, false) => plain,
            (false, true) => authenticated,
            (true, false) => secured,
            (true, true) => both,
        }
    }
}

/// Everything about a message but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What MAIL said.
    pub mail: Mail,
    /// The accepted recipients in the order of their RCPT commands; duplicates are kept.
    pub recipients: Vec<Recipient>,
    /// What the client called itself in HELO, EHLO or LHLO.
    pub helo: String,
    /// How the message came.
    pub transport: Transport,
    /// The user name proven by AUTH.
    pub authenticated: Option<String>,
    /// The TLS layer, when there is one.
    pub tls: Option<TlsInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_have_their_registered_keywords() {
        let smtp = Transport { lmtp: false, extended: true, tls: true, authenticated: true, smtputf8: false };
        assert_eq!(smtp.keyword(), "ESMTPSA");
        assert_eq!(Transport { smtputf8: true, ..smtp }.keyword(), "UTF8SMTPSA");
        assert_eq!(Transport { lmtp: true, authenticated: false, ..smtp }.keyword(), "LMTPS");
        let helo = Transport { extended: false, tls: false, authenticated: false, ..smtp };
        assert_eq!(helo.keyword(), "SMTP");
    }

    #[test]
    fn notify_prints_its_parameter() {
        assert_eq!(Notify::NEVER.to_string(), "NEVER");
        let two = Notify { success: true, delay: true, ..Notify::NEVER };
        assert_eq!(two.to_string(), "SUCCESS,DELAY");
    }
}

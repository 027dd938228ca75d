//! The trace fields a server puts on top of a message: Received and Return-Path, made of typed facts.
//! Time is an argument; whatever a client said is made safe before it becomes part of a field.

use super::envelope::{TlsInfo, Transport};
use crate::address::Address;
use chrono::DateTime;
use std::net::IpAddr;

/// What a Received field tells.
#[derive(Debug, Clone, Copy)]
pub struct Received<'facts> {
    /// What the client called itself.
    pub helo: &'facts str,
    /// Where the connection came from.
    pub peer: IpAddr,
    /// The verified name of that address.
    pub peer_name: Option<&'facts str>,
    /// The name of this host.
    pub by: &'facts str,
    /// How the message came.
    pub transport: Transport,
    /// The TLS layer, when there is one.
    pub tls: Option<&'facts TlsInfo>,
    /// The id of the message in the logs of this host.
    pub id: &'facts str,
    /// The recipient; to be given only when it is the only one, or others would learn of it.
    pub recipient: Option<&'facts Address>,
    /// When, in UTC seconds since 1970.
    pub time: i64,
}

/// Makes the field with its CRLF, folded.
///
/// ```abnf
/// Time-stamp-line = "Received:" FWS From-domain By-domain Opt-info [CFWS] ";" FWS date-time CRLF
/// Opt-info        = [Via] [With] [ID] [For] [Additional-Registered-Clauses]
/// ```
/// (RFC 5321 section 4.4; the `tls` clause is of RFC 8314 section 4.3)
pub fn header(facts: &Received<'_>) -> String {
    let peer = match facts.peer.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    let name = facts.peer_name.map(|name| format!("{} ", safe_word(name))).unwrap_or_default();
    let mut field = format!("Received: from {} ({name}{peer})\r\n", safe_word(facts.helo));
    field.push_str(&format!("\tby {} with {}", safe_word(facts.by), facts.transport.keyword()));
    if let Some(tls) = facts.tls {
        field.push_str(&format!(" ({})", safe_word(&tls.version)));
    }
    field.push_str(&format!(" id {}", safe_word(facts.id)));
    let printable = |address: &&Address| facts.transport.smtputf8 || address.is_ascii();
    if let Some(recipient) = facts.recipient.filter(printable) {
        field.push_str(&format!("\r\n\tfor <{recipient}>"));
    }
    if let Some(tls) = facts.tls {
        field.push_str(&format!("\r\n\ttls {}", safe_word(&tls.cipher)));
    }
    field.push_str(&format!(";\r\n\t{}\r\n", date_time(facts.time)));
    field
}

/// Makes the Return-Path field of final delivery with its CRLF; `None` is the null sender (RFC 5321 section 4.4).
pub fn return_path(sender: Option<&Address>) -> String {
    match sender {
        Some(sender) => format!("Return-Path: <{sender}>\r\n"),
        None => "Return-Path: <>\r\n".to_owned(),
    }
}

/// Prints UTC seconds since 1970 as `date-time` of RFC 5322 section 3.3; times out of range print as 1970.
pub fn date_time(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// A word that cannot end a clause, open a comment or break the line; empty becomes `unknown`.
fn safe_word(text: &str) -> String {
    let safe = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']' | '/' => character,
        _ => '?',
    };
    if text.is_empty() { "unknown".to_owned() } else { text.chars().map(safe).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_holds_all_clauses_in_order() {
        let recipient = Address::parse("ann@example.org").unwrap();
        let tls = TlsInfo { version: "TLSv1.3".into(), cipher: "TLS_AES_256_GCM_SHA384".into() };
        let facts = Received {
            helo: "evil\r\nX: (y)",
            peer: "2001:db8::1".parse().unwrap(),
            peer_name: Some("mail.example.net"),
            by: "mx.example.org",
            transport: Transport { lmtp: false, extended: true, tls: true, authenticated: false, smtputf8: false },
            tls: Some(&tls),
            id: "0a1b",
            recipient: Some(&recipient),
            time: 1_000_000_000,
        };
        let expected = "Received: from evil??X:??y? (mail.example.net [IPv6:2001:db8::1])\r\n\
            \tby mx.example.org with ESMTPS (TLSv1.3) id 0a1b\r\n\
            \tfor <ann@example.org>\r\n\
            \ttls TLS_AES_256_GCM_SHA384;\r\n\
            \tSun, 09 Sep 2001 01:46:40 +0000\r\n";
        assert_eq!(header(&facts), expected);
    }

    #[test]
    fn the_null_sender_has_a_return_path_too() {
        assert_eq!(return_path(None), "Return-Path: <>\r\n");
        let sender = Address::parse("\"a b\"@x.org").unwrap();
        assert_eq!(return_path(Some(&sender)), "Return-Path: <\"a b\"@x.org>\r\n");
    }

    #[test]
    fn any_time_prints() {
        assert_eq!(date_time(i64::MAX), "Thu, 01 Jan 1970 00:00:00 +0000");
    }
}

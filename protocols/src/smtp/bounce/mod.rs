//! Composes delivery status notifications (RFC 3464, RFC 3461, RFC 6533): typed results per recipient in, the bytes of a
//! multipart/report out. Deterministic: boundary, date and Message-ID are arguments. Sending it, from the null sender and
//! never in answer to one, is the caller's duty.

mod status;
mod text;

use super::envelope::{Body, Notify, Recipient};
use super::received::date_time;
use super::reply::{EnhancedCode, Reply};
use crate::address::Address;

/// What became of a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not delivered yet; attempts go on.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Handed to a host that sends no reports.
    Relayed,
}

/// One recipient in a report.
#[derive(Debug, Clone, Copy)]
pub struct RecipientStatus<'facts> {
    /// The recipient as the envelope has it.
    pub recipient: &'facts Recipient,
    /// What became of it.
    pub action: Action,
    /// The status code; its class should fit the action: 5, 4 or 2.
    pub status: EnhancedCode,
    /// The host that gave the reply.
    pub remote_host: Option<&'facts str>,
    /// The reply of that host, or one made here in its style.
    pub reply: Option<&'facts Reply>,
    /// When it was last tried, in UTC seconds since 1970.
    pub last_attempt: Option<i64>,
    /// Until when attempts go on, in UTC seconds since 1970; for delayed ones.
    pub retry_until: Option<i64>,
}

/// How much of the original message the report brings back (RFC 3461 section 6.2).
#[derive(Debug, Clone, Copy)]
pub enum Original<'facts> {
    /// Its header section, with or without the empty line at its end.
    Headers(&'facts [u8]),
    /// All of it: the caller writes its bytes between [`Bounce::before`] and [`Bounce::after`]. Meant for failures: other
    /// reports should bring back the header section only.
    Full {
        /// What its content is.
        body: Body,
    },
}

/// Everything a report tells.
#[derive(Debug, Clone, Copy)]
pub struct Report<'facts> {
    /// The name of the reporting host.
    pub hostname: &'facts str,
    /// The sender of the original message.
    pub to: &'facts Address,
    /// The sender's name for the envelope (ENVID).
    pub envelope_id: Option<&'facts str>,
    /// When the original arrived, in UTC seconds since 1970.
    pub arrival: Option<i64>,
    /// At least one.
    pub recipients: &'facts [RecipientStatus<'facts>],
    /// What to bring back.
    pub original: Original<'facts>,
    /// Whether the original was sent with SMTPUTF8; then the report may hold UTF-8 and is sent with it too.
    pub smtputf8: bool,
    /// When the report is made, in UTC seconds since 1970.
    pub time: i64,
    /// The part of the Message-ID before `@`, unique on this host.
    pub unique: &'facts str,
    /// MIME boundary, up to 70 letters and digits; random, so that the original cannot hold it.
    pub boundary: &'facts str,
}

/// A composed report: its bytes are `before`, the original message if that was asked for, `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// Bytes before the original message.
    pub before: Vec<u8>,
    /// Bytes after it.
    pub after: Vec<u8>,
    /// What the whole content is, for the envelope of the report.
    pub body: Body,
    /// Whether the report must be sent with SMTPUTF8.
    pub smtputf8: bool,
}

/// Whether the sender wants to hear of this (RFC 3461 section 4.1). Without NOTIFY: of failures and delays.
pub fn is_wanted(notify: Option<Notify>, action: Action) -> bool {
    let notify = notify.unwrap_or(Notify { success: false, failure: true, delay: true });
    match action {
        Action::Failed => notify.failure,
        Action::Delayed => notify.delay,
        Action::Delivered | Action::Relayed => notify.success,
    }
}

/// Composes the report.
pub fn compose(report: &Report<'_>) -> Bounce {
    let boundary = report.boundary;
    let explanation = text::explanation(report);
    let status = status::fields(report);
    let (original_type, original_body, headers) = original(report);
    let mut before = header(report);
    before.push_str(&format!("\r\n--{boundary}\r\n"));
    before.push_str("Content-Type: text/plain; charset=utf-8\r\n");
    before.push_str(&format!("Content-Transfer-Encoding: {}\r\n\r\n", encoding(text_body(&explanation))));
    before.push_str(&explanation);
    // RFC 6533 section 4: message/global-delivery-status may hold UTF-8, message/delivery-status must not.
    let status_type = if report.smtputf8 { "message/global-delivery-status" } else { "message/delivery-status" };
    before.push_str(&format!("\r\n--{boundary}\r\nContent-Type: {status_type}\r\n"));
    before.push_str(&format!("Content-Transfer-Encoding: {}\r\n\r\n", encoding(text_body(&status))));
    before.push_str(&status);
    before.push_str(&format!("\r\n--{boundary}\r\nContent-Type: {original_type}\r\n"));
    before.push_str(&format!("Content-Transfer-Encoding: {}\r\n\r\n", encoding(original_body)));
    let own_body = text_body(&before);
    let mut before = before.into_bytes();
    before.extend_from_slice(headers);
    if !headers.is_empty() && !headers.ends_with(b"\n") {
        before.extend_from_slice(b"\r\n");
    }
    Bounce {
        before,
        after: format!("\r\n--{boundary}--\r\n").into_bytes(),
        body: if original_body == Body::SevenBit { own_body } else { original_body },
        smtputf8: report.smtputf8,
    }
}

fn header(report: &Report<'_>) -> String {
    let Report { hostname, to, boundary, unique, .. } = report;
    let mut header = format!("From: Mail Delivery System <MAILER-DAEMON@{hostname}>\r\n");
    // A UTF-8 address cannot stand in the header of a report that goes without SMTPUTF8; the envelope has it.
    if report.smtputf8 || to.is_ascii() {
        header.push_str(&format!("To: <{to}>\r\n"));
    } else {
        header.push_str("To: undisclosed-recipients:;\r\n");
    }
    header.push_str(&format!("Subject: {}\r\n", text::subject(report)));
    header.push_str(&format!("Date: {}\r\n", date_time(report.time)));
    header.push_str(&format!("Message-ID: <{unique}@{hostname}>\r\n"));
    // RFC 3834 section 5: nobody answers this automatically.
    header.push_str("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
    header.push_str("Content-Type: multipart/report; report-type=delivery-status;\r\n");
    header.push_str(&format!("\tboundary=\"{boundary}\"\r\n"));
    header
}

/// Type and encoding of the third part, and the header bytes to put there.
fn original<'facts>(report: &Report<'facts>) -> (&'static str, Body, &'facts [u8]) {
    match (report.original, report.smtputf8) {
        (Original::Full { body }, true) => ("message/global", body, &[]),
        (Original::Full { body }, false) => ("message/rfc822", body, &[]),
        (Original::Headers(headers), smtputf8) => {
            let body = if headers.is_ascii() { Body::SevenBit } else { Body::EightBit };
            (if smtputf8 { "message/global-headers" } else { "text/rfc822-headers" }, body, headers)
        }
    }
}

fn text_body(text: &str) -> Body {
    if text.is_ascii() { Body::SevenBit } else { Body::EightBit }
}

fn encoding(body: Body) -> &'static str {
    match body {
        Body::SevenBit => "7bit",
        Body::EightBit => "8bit",
        Body::Binary => "binary",
    }
}

#[cfg(test)]
mod tests {
    use super::super::OriginalRecipient;
    use super::*;

    fn recipient(address: &str) -> Recipient {
        Recipient::new(Address::parse(address).unwrap())
    }

    fn failed<'facts>(recipient: &'facts Recipient, reply: &'facts Reply) -> RecipientStatus<'facts> {
        RecipientStatus {
            recipient,
            action: Action::Failed,
            status: EnhancedCode::new(5, 1, 1),
            remote_host: Some("mx.example.net"),
            reply: Some(reply),
            last_attempt: Some(1_000_000_000),
            retry_until: None,
        }
    }

    fn report<'facts>(
        to: &'facts Address,
        recipients: &'facts [RecipientStatus<'facts>],
        original: Original<'facts>,
    ) -> Report<'facts> {
        Report {
            hostname: "mx.example.org",
            to,
            envelope_id: Some("e+1"),
            arrival: Some(999_999_000),
            recipients,
            original,
            smtputf8: false,
            time: 1_000_000_000,
            unique: "u1",
            boundary: "b0",
        }
    }

    #[test]
    fn a_failure_with_headers_is_complete() {
        let to = Address::parse("ann@example.org").unwrap();
        let mut recipient = recipient("bob@example.net");
        recipient.original =
            Some(OriginalRecipient { address_type: "rfc822".into(), address: "Bob@old.example".into() });
        let reply = Reply::new(550, EnhancedCode::new(5, 1, 1), "No such\nuser");
        let recipients = [failed(&recipient, &reply)];
        let bounce = compose(&report(&to, &recipients, Original::Headers(b"Subject: hi")));
        let expected = "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n\
            To: <ann@example.org>\r\n\
            Subject: Your message could not be delivered\r\n\
            Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n\
            Message-ID: <u1@mx.example.org>\r\n\
            Auto-Submitted: auto-replied\r\n\
            MIME-Version: 1.0\r\n\
            Content-Type: multipart/report; report-type=delivery-status;\r\n\
            \tboundary=\"b0\"\r\n\
            \r\n\
            --b0\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            This is the mail system at mx.example.org.\r\n\
            \r\n\
            Your message could not be delivered to the recipients below.\r\n\
            It will not be tried again.\r\n\
            \r\n\
            <bob@example.net>\r\n\
            \x20   mx.example.net said: 550 5.1.1 No such user\r\n\
            \r\n\
            --b0\r\n\
            Content-Type: message/delivery-status\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            Reporting-MTA: dns; mx.example.org\r\n\
            Original-Envelope-Id: e+1\r\n\
            Arrival-Date: Sun, 09 Sep 2001 01:30:00 +0000\r\n\
            \r\n\
            Original-Recipient: rfc822; Bob@old.example\r\n\
            Final-Recipient: rfc822; bob@example.net\r\n\
            Action: failed\r\n\
            Status: 5.1.1\r\n\
            Remote-MTA: dns; mx.example.net\r\n\
            Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\
            Last-Attempt-Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n\
            \r\n\
            --b0\r\n\
            Content-Type: text/rfc822-headers\r\n\
            Content-Transfer-Encoding: 7bit\r\n\
            \r\n\
            Subject: hi\r\n";
        assert_eq!(String::from_utf8(bounce.before).unwrap(), expected);
        assert_eq!(bounce.after, b"\r\n--b0--\r\n");
        assert_eq!((bounce.body, bounce.smtputf8), (Body::SevenBit, false));
    }

    #[test]
    fn what_a_host_said_cannot_make_fields() {
        let to = Address::parse("ann@example.org").unwrap();
        let recipient = recipient("bob@example.net");
        let reply = Reply::plain(550, format!("é\r\n\r\nAction: delivered{}", "x".repeat(5000)));
        let recipients = [failed(&recipient, &reply)];
        let bounce = compose(&report(&to, &recipients, Original::Headers(b"")));
        let text = String::from_utf8(bounce.before).unwrap();
        assert!(!text.contains("\nAction: delivered"));
        assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() < 998));
    }

    #[test]
    fn utf8_goes_as_global_types_or_is_encoded() {
        let to = Address::parse("jörg@example.org").unwrap();
        let recipient = recipient("bø@example.net");
        let reply = Reply::plain(450, "later");
        let mut delayed = failed(&recipient, &reply);
        delayed.action = Action::Delayed;
        delayed.retry_until = Some(1_000_086_400);
        let recipients = [delayed];
        let mut report = report(&to, &recipients, Original::Full { body: Body::EightBit });
        let bounce = compose(&report);
        let text = String::from_utf8(bounce.before).unwrap();
        assert!(text.is_ascii() && text.contains("Final-Recipient: utf-8; b\\x{F8}@example.net\r\n"), "{text}");
        assert!(
            text.contains("Will-Retry-Until: Mon, 10 Sep 2001")
                && text.ends_with("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
        );
        assert_eq!(bounce.body, Body::EightBit);
        report.smtputf8 = true;
        let text = String::from_utf8(compose(&report).before).unwrap();
        assert!(text.contains("To: <jörg@example.org>") && text.contains("utf-8; bø@example.net"));
        assert!(text.contains("message/global-delivery-status") && text.contains("message/global\r\n"));
    }

    #[test]
    fn notify_decides_what_is_wanted() {
        assert!(is_wanted(None, Action::Failed) && !is_wanted(None, Action::Delivered));
        assert!(!is_wanted(Some(Notify::NEVER), Action::Failed));
        assert!(is_wanted(Some(Notify { success: true, ..Notify::NEVER }), Action::Relayed));
    }
}

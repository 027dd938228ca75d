//! The part of a report that people read, and the making safe of what others said for it.

use super::super::received::date_time;
use super::super::reply::Reply;
use super::super::xtext;
use super::{Action, RecipientStatus, Report};
use crate::limits::smtp::DIAGNOSTIC_CHARACTERS_MAX;

/// The Subject of a report: the worst that happened.
pub(super) fn subject(report: &Report<'_>) -> &'static str {
    let any = |action| report.recipients.iter().any(|status| status.action == action);
    if any(Action::Failed) {
        "Your message could not be delivered"
    } else if any(Action::Delayed) {
        "Your message is delayed"
    } else {
        "Your message was delivered"
    }
}

/// The whole text: one paragraph for each thing that happened, with its recipients.
pub(super) fn explanation(report: &Report<'_>) -> String {
    let mut text = format!("This is the mail system at {}.\r\n", one_line(report.hostname, false));
    for (action, paragraph) in [
        (
            Action::Failed,
            "Your message could not be delivered to the recipients below.\r\nIt will not be tried again.\r\n",
        ),
        (
            Action::Delayed,
            "Your message could not be delivered yet to the recipients below.\r\n\
             Attempts go on; you need not send it again.\r\n",
        ),
        (Action::Delivered, "Your message was delivered to the recipients below.\r\n"),
        (
            Action::Relayed,
            "Your message was handed to hosts that may send no further reports,\r\nfor the recipients below.\r\n",
        ),
    ] {
        let mut concerned = report.recipients.iter().filter(|status| status.action == action).peekable();
        if concerned.peek().is_some() {
            text.push_str("\r\n");
            text.push_str(paragraph);
        }
        for status in concerned {
            recipient(status, report.smtputf8, &mut text);
        }
    }
    text
}

fn recipient(status: &RecipientStatus<'_>, utf8: bool, text: &mut String) {
    let address = status.recipient.address.to_string();
    let address = if utf8 { address } else { ascii_form(&address) };
    text.push_str(&format!("\r\n<{address}>\r\n"));
    if let Some(reply) = status.reply {
        let speaker = status.remote_host.map(|host| format!("{} said: ", one_line(host, false)));
        let speaker = speaker.unwrap_or_default();
        text.push_str(&format!("    {speaker}{}\r\n", quoted_reply(reply, utf8)));
    }
    if let Some(time) = status.retry_until.filter(|_| status.action == Action::Delayed) {
        text.push_str(&format!("    It will be tried until {}.\r\n", date_time(time)));
    }
}

fn ascii_form(address: &str) -> String {
    if address.is_ascii() { address.to_owned() } else { xtext::encode_unicode(address) }
}

/// A reply as one line of bounded length.
pub(super) fn quoted_reply(reply: &Reply, utf8: bool) -> String {
    one_line(&reply.to_string(), utf8).chars().take(DIAGNOSTIC_CHARACTERS_MAX).collect()
}

/// Replaces what could end a line, and without `utf8` what is not ASCII.
pub(super) fn one_line(text: &str, utf8: bool) -> String {
    let safe = |character: char| {
        if character.is_control() || !(utf8 || character.is_ascii()) { '?' } else { character }
    };
    text.chars().map(safe).collect()
}

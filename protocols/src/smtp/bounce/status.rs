//! The machine-readable part of a report: the fields of message/delivery-status (RFC 3464 section 2).

use super::super::received::date_time;
use super::super::xtext;
use super::text::{one_line, quoted_reply};
use super::{Action, RecipientStatus, Report};

/// The fields about the message, then a group of fields about each recipient, each group behind an empty line.
pub(super) fn fields(report: &Report<'_>) -> String {
    let utf8 = report.smtputf8;
    let mut fields = format!("Reporting-MTA: dns; {}\r\n", one_line(report.hostname, false));
    if let Some(id) = report.envelope_id {
        fields.push_str(&format!("Original-Envelope-Id: {}\r\n", one_line(id, false)));
    }
    if let Some(arrival) = report.arrival {
        fields.push_str(&format!("Arrival-Date: {}\r\n", date_time(arrival)));
    }
    for status in report.recipients {
        fields.push_str("\r\n");
        recipient(status, utf8, &mut fields);
    }
    fields
}

fn recipient(status: &RecipientStatus<'_>, utf8: bool, fields: &mut String) {
    if let Some(original) = &status.recipient.original {
        let address = typed_address(&original.address_type, &original.address, utf8);
        fields.push_str(&format!("Original-Recipient: {address}\r\n"));
    }
    let address = status.recipient.address.to_string();
    let address_type = if address.is_ascii() { "rfc822" } else { "utf-8" };
    fields.push_str(&format!("Final-Recipient: {}\r\n", typed_address(address_type, &address, utf8)));
    fields.push_str(&format!("Action: {}\r\nStatus: {}\r\n", word(status.action), status.status));
    if let Some(host) = status.remote_host {
        fields.push_str(&format!("Remote-MTA: dns; {}\r\n", one_line(host, false)));
        // RFC 3464 section 2.3.6: the diagnostic code is what another host said.
        if let Some(reply) = status.reply {
            fields.push_str(&format!("Diagnostic-Code: smtp; {}\r\n", quoted_reply(reply, utf8)));
        }
    }
    if let Some(time) = status.last_attempt {
        fields.push_str(&format!("Last-Attempt-Date: {}\r\n", date_time(time)));
    }
    if let Some(time) = status.retry_until.filter(|_| status.action == Action::Delayed) {
        fields.push_str(&format!("Will-Retry-Until: {}\r\n", date_time(time)));
    }
}

/// RFC 6533 section 3: in a report of ASCII a UTF-8 address stands in its xtext form.
fn typed_address(address_type: &str, address: &str, utf8: bool) -> String {
    let address =
        if address_type == "utf-8" && !utf8 { xtext::encode_unicode(address) } else { one_line(address, utf8) };
    format!("{}; {address}", one_line(address_type, false))
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
    }
}

//! What a submission server adds to messages of its own users: the fields they must have and came without.

use super::header_peek::HeaderFacts;
use super::received::date_time;

/// The fields to put at the end of the header section, at the place of [`super::server::Event::HeaderEnd`]; empty when
/// nothing is missing. `time` is in UTC seconds since 1970; `unique` makes the Message-ID on `hostname` and must be of
/// letters, digits, dots and hyphens.
///
/// RFC 6409 sections 8.2 and 8.3: Date and Message-ID may be added by a submission server.
pub fn missing_fields(facts: &HeaderFacts, time: i64, unique: &str, hostname: &str) -> String {
    let mut fields = String::new();
    if !facts.has_date {
        fields.push_str(&format!("Date: {}\r\n", date_time(time)));
    }
    if facts.message_id.is_none() {
        fields.push_str(&format!("Message-ID: <{unique}@{hostname}>\r\n"));
    }
    // A field cannot follow a line that has no end.
    if facts.line_open && !fields.is_empty() { format!("\r\n{fields}") } else { fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        let both = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <u.1@mx.org>\r\n";
        assert_eq!(missing_fields(&HeaderFacts::default(), 0, "u.1", "mx.org"), both);
        let complete = HeaderFacts { has_date: true, message_id: Some("<a@b>".into()), ..HeaderFacts::default() };
        assert_eq!(missing_fields(&complete, 0, "u.1", "mx.org"), "");
        let open = HeaderFacts { line_open: true, ..HeaderFacts::default() };
        assert_eq!(missing_fields(&open, 0, "u.1", "mx.org"), format!("\r\n{both}"));
    }
}

//! The Date field of a message as a moment and the zone it was written in. No clock here.

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use serde::{Deserialize, Serialize};

const SECONDS_PER_DAY: i64 = 86_400;

/// When the sender says the message was written (RFC 5322 section 3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentDate {
    /// UTC seconds since 1970-01-01.
    pub utc_seconds: i64,
    /// The zone's offset from UTC in minutes, east positive.
    pub zone_minutes: i16,
}

impl SentDate {
    /// Reads a Date field value, obsolete forms too. `None` when it is no valid date.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut line = super::header::unfold(value).into_owned();
        line.push(b'\n');
        let HeaderValue::DateTime(date) = MessageStream::new(&line).parse_date() else {
            return None;
        };
        // A leap second is a valid date (RFC 5322 section 3.3); mail-parser's own check refuses it.
        let checked = mail_parser::DateTime { second: date.second.min(59), ..date };
        if !checked.is_valid() || date.second > 60 {
            return None;
        }
        let zone = i16::from(date.tz_hour) * 60 + i16::from(date.tz_minute);
        let zone_minutes = if date.tz_before_gmt { -zone } else { zone };
        Some(Self { utc_seconds: date.to_timestamp(), zone_minutes })
    }

    /// Days since 1970-01-01 of the date as it was written, disregarding time and zone:
    /// what SENTON, SENTBEFORE and SENTSINCE compare (RFC 9051 section 6.4.4).
    pub fn local_day(&self) -> i64 {
        (self.utc_seconds + i64::from(self.zone_minutes) * 60).div_euclid(SECONDS_PER_DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(i64, i16)> {
        SentDate::parse(value.as_bytes()).map(|date| (date.utc_seconds, date.zone_minutes))
    }

    #[test]
    fn dates_are_read_with_their_zone() {
        assert_eq!(parse(" Fri, 21 Nov 1997 09:55:06 -0600"), Some((880_127_706, -360)));
        assert_eq!(parse("Thu, 1 Jan 1970 00:00:00 +0000"), Some((0, 0)));
        assert_eq!(parse("Thu,\r\n 1 Jan 1970\r\n 05:30:00 +0530 (IST)"), Some((0, 330)));
        assert_eq!(parse("Thu, 1 Jan 1970 00:00:00 GMT"), Some((0, 0)));
    }

    #[test]
    fn the_local_day_disregards_the_zone() {
        let late = SentDate::parse(b"Fri, 2 Jan 1970 23:30:00 -0800").unwrap();
        assert_eq!(late.local_day(), 1);
        let early = SentDate::parse(b"Fri, 2 Jan 1970 00:30:00 +1400").unwrap();
        assert_eq!(early.local_day(), 1);
    }

    #[test]
    fn what_is_no_date_gives_none() {
        for value in ["", "yesterday", "32 Foo 2000 25:61:61 +9999", "1 Jan", "\0\0"] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }
}

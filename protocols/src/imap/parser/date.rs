//! Dates as clients write them.

use super::cursor::{Cursor, Parsed, syntax};
use crate::imap::date::{days_from_civil, month_number};

/// Days since 1970 of a search date.
///
/// ```text
/// date      = date-text / DQUOTE date-text DQUOTE
/// date-text = date-day "-" date-month "-" date-year
/// ```
pub fn date(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let quoted = cursor.skip(b'"');
    let day = civil(cursor)?;
    if quoted {
        cursor.expect(b'"', "Invalid date")?;
    }
    Ok(day)
}

/// Seconds since 1970 UTC of a date-time.
///
/// ```text
/// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// time      = 2DIGIT ":" 2DIGIT ":" 2DIGIT
/// zone      = ("+" / "-") 4DIGIT
/// ```
pub fn date_time(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    cursor.expect(b'"', "Invalid date")?;
    cursor.skip(b' ');
    let day = civil(cursor)?;
    cursor.expect(b' ', "Invalid date")?;
    let hour = two_digits(cursor, 23)?;
    cursor.expect(b':', "Invalid time")?;
    let minute = two_digits(cursor, 59)?;
    cursor.expect(b':', "Invalid time")?;
    // A leap second counts as the next one.
    let second = two_digits(cursor, 60)?;
    cursor.expect(b' ', "Invalid time")?;
    let west = match (cursor.skip(b'-'), cursor.skip(b'+')) {
        (true, false) => true,
        (false, true) => false,
        _ => return syntax("Invalid zone"),
    };
    let offset = two_digits(cursor, 23)? * 3600 + two_digits(cursor, 59)? * 60;
    cursor.expect(b'"', "Invalid date")?;
    let local = day * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(if west { local + offset } else { local - offset })
}

fn civil(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let day = cursor.take_while(|byte| byte.is_ascii_digit());
    cursor.expect(b'-', "Invalid date")?;
    let month = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    cursor.expect(b'-', "Invalid date")?;
    let year = cursor.take_while(|byte| byte.is_ascii_digit());
    let days = match (small(day, 2), month_number(month), small(year, 4)) {
        (Some(day), Some(month), Some(year)) if year.len == 4 => {
            days_from_civil(year.value, month, u32::try_from(day.value).unwrap_or(0))
        }
        _ => None,
    };
    match days {
        Some(days) => Ok(days),
        None => syntax("Invalid date"),
    }
}

struct Small {
    value: i64,
    len: usize,
}

fn small(digits: &[u8], length_max: usize) -> Option<Small> {
    if digits.is_empty() || digits.len() > length_max {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(Small { value, len: digits.len() })
}

fn two_digits(cursor: &mut Cursor<'_>, greatest: i64) -> Parsed<i64> {
    let mut value = 0;
    for _ in 0..2 {
        match cursor.peek() {
            Some(digit) if digit.is_ascii_digit() => {
                cursor.skip(digit);
                value = value * 10 + i64::from(digit - b'0');
            }
            _ => return syntax("Invalid time"),
        }
    }
    if value > greatest {
        return syntax("Invalid time");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times() {
        let moment = |text: &str| date_time(&mut Cursor::new(text.as_bytes()));
        assert_eq!(moment("\"17-Jul-1996 02:44:25 -0700\""), Ok(837_596_665));
        assert_eq!(moment("\" 1-Jan-1970 01:00:00 +0100\""), Ok(0));
        assert_eq!(moment("\"01-Jan-1970 00:00:00 +0000\""), Ok(0));
        for bad in [
            "\"31-Feb-1996 02:44:25 -0700\"",
            "\"17-Jul-1996 24:44:25 -0700\"",
            "\"17-Jul-1996 02:44:25\"",
            "17-Jul-1996",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(date(&mut Cursor::new(b"2-Jan-1970")), Ok(1));
        assert_eq!(date(&mut Cursor::new(b"\"02-jan-1970\"")), Ok(1));
        assert!(date(&mut Cursor::new(b"2-Jan-70")).is_err());
    }
}

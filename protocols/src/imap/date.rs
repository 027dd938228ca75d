//! Dates of the IMAP grammar and the calendar behind them; seconds and days since 1970-01-01 UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_SECONDS: i64 = 86_400;

/// Days since 1970 of a date of the proleptic Gregorian calendar, if there is such a date.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from((month + 9) % 12);
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Year, month and day of a day since 1970.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = (if shifted < 10 { shifted + 3 } else { shifted - 9 }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day of a moment, UTC.
pub fn day_of(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_SECONDS)
}

/// Number of the month with this English three-letter name, from 1.
pub fn month_number(name: &[u8]) -> Option<u32> {
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    u32::try_from(index + 1).ok()
}

/// Writes a moment as `"17-Jul-1996 02:44:25 +0000"`.
///
/// ```text
/// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
/// date-day-fixed = (SP DIGIT) / 2DIGIT
/// ```
/// Two digits always, as Dovecot writes it.
pub fn write_date_time(out: &mut Vec<u8>, seconds: i64) {
    // Years outside four digits cannot be written in the grammar.
    let seconds = seconds.clamp(-62_135_596_800, 253_402_300_799);
    let (year, month, day) = civil_from_days(day_of(seconds));
    let time = seconds.rem_euclid(DAY_SECONDS);
    let digit = |number: i64| b'0' + (number % 10) as u8;
    let day = i64::from(day);
    out.push(b'"');
    out.extend_from_slice(&[digit(day / 10), digit(day), b'-']);
    let name = MONTHS.get(month as usize - 1).copied().unwrap_or("Jan");
    out.extend_from_slice(name.as_bytes());
    out.push(b'-');
    out.extend([1000, 100, 10, 1].map(|place| digit(year / place)));
    out.push(b' ');
    for (unit, end) in [(time / 3600, b':'), (time / 60 % 60, b':'), (time % 60, b' ')] {
        out.extend_from_slice(&[digit(unit / 10), digit(unit), end]);
    }
    out.extend_from_slice(b"+0000\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        for days in (-700_000..2_000_000).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
        assert_eq!(days_from_civil(1970, 1, 1), Some(0));
        assert_eq!(days_from_civil(2023, 2, 29), None);
        assert_eq!(days_from_civil(2000, 2, 29), Some(11_016));
    }

    #[test]
    fn date_time_has_fixed_width() {
        let mut out = Vec::new();
        write_date_time(&mut out, 837_571_465);
        assert_eq!(out, b"\"17-Jul-1996 02:44:25 +0000\"");
        out.clear();
        write_date_time(&mut out, 0);
        assert_eq!(out, b"\"01-Jan-1970 00:00:00 +0000\"");
    }
}

//! Days of the calendar, for when a photograph was taken.

use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar, from year 1 to 9999: `2024-05-31`. Earlier days are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// Nothing, where there is no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Day> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=9999).contains(&year) && (1..=last).contains(&day)).then_some(Day { year, month, day })
    }

    /// As EXIF has it at the beginning of a time: `2024:05:31`.
    pub(super) fn of_exif(text: &str) -> Option<Day> {
        Day::read(text.get(..10)?, ':')
    }

    /// The day in UTC, by the seconds since 1970. Nothing beyond the year 9999.
    ///
    /// The days of a year are counted from March on, as H. Hinnant does (chrono-compatible low-level date algorithms, 2013): so the leap day ends one.
    pub fn of_seconds(seconds: u64) -> Option<Day> {
        // Days since 0000-03-01, by eras of 400 years.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Day::new((year + 400 * era + later).try_into().ok()?, month as u8, day as u8)
    }

    fn read(text: &str, between: char) -> Option<Day> {
        let mut parts = text.split(between);
        let mut part = |length| {
            parts.next().filter(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        Day::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
            .filter(|_| parts.next().is_none())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// No day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDay(String);

impl fmt::Display for NoDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no day: write it as 2024-05-31", self.0)
    }
}

impl std::error::Error for NoDay {}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Day, NoDay> {
        Day::read(text, '-').ok_or_else(|| NoDay(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_read_and_compared() {
        let day = |text: &str| text.parse::<Day>();
        assert_eq!(day("2024-02-29").unwrap().to_string(), "2024-02-29");
        for wrong in [
            "",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-1-1",
            "2024-01-01-",
            "0000-01-01",
        ] {
            assert!(day(wrong).unwrap_err().to_string().contains("2024-05-31"), "{wrong}");
        }
        assert!(day("1999-12-31").unwrap() < day("2000-01-01").unwrap());
        assert!(day("2000-02-29").unwrap() < day("2000-03-01").unwrap());
    }

    #[test]
    fn seconds_are_days_as_the_calendar_counts_them() {
        let day = |seconds: u64| Day::of_seconds(seconds).unwrap().to_string();
        // Python: datetime.fromtimestamp(n, timezone.utc).date()
        for (seconds, want) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day(seconds), want, "{seconds}");
        }
        assert_eq!(Day::of_seconds(u64::MAX), None);
    }
}

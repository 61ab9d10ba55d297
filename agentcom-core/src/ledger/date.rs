//! This file counts days and months of the calendar, in UTC.

use core::fmt;
use core::str::FromStr;

use crate::time::Wall;

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

/// A month, counted from January of the year 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(pub u32);

/// Days from 0000-03-01, where a year of the count begins, to 1970-01-01.
const EPOCH: u32 = 719_468;
/// Days of 400 years, after which the calendar repeats itself.
const ERA: u32 = 146_097;

impl Day {
    /// The day of a time.
    #[must_use]
    pub fn of(at: Wall) -> Self {
        Self(u32::try_from(at.0 / 86_400_000).unwrap_or(u32::MAX - EPOCH))
    }

    /// The month that it is in.
    #[must_use]
    pub const fn month(self) -> Month {
        self.civil().0
    }

    /// Month, and day of it from 1. Years are counted from March, so that a leap day is the last of
    /// its year; this is Howard Hinnant's `civil_from_days`.
    const fn civil(self) -> (Month, u32) {
        let days = self.0 + EPOCH;
        let (era, day) = (days / ERA, days % ERA);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        (Month((year + era * 400) * 12 + month + 2), day)
    }
}

impl Month {
    /// Its first day.
    #[must_use]
    pub const fn first(self) -> Day {
        // The inverse of `civil`, Hinnant's `days_from_civil`.
        let since_march = self.0.saturating_sub(2);
        let (year, month) = (since_march / 12, since_march % 12);
        let (era, of_era) = (year / 400, year % 400);
        let day = of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5;
        Day((era * ERA + day).saturating_sub(EPOCH))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (month, day) = self.civil();
        write!(f, "{month}-{day:02}")
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Not a date: a day is `2026-11-26`, a month `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written 2026-11-26 and a month 2026-11")]
pub struct BadDate;

impl FromStr for Month {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, BadDate> {
        let (year, month) = text.split_once('-').ok_or(BadDate)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| BadDate);
        let (year, month) = (number(year)?, number(month)?);
        if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) {
            return Err(BadDate);
        }
        Ok(Self(year * 12 + month - 1))
    }
}

impl FromStr for Day {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Self, BadDate> {
        let (month, day) = text.rsplit_once('-').ok_or(BadDate)?;
        let (month, day): (Month, u32) = (month.parse()?, day.parse().map_err(|_| BadDate)?);
        let found = Self(month.first().0 + day.saturating_sub(1));
        if found.civil() == (month, day) { Ok(found) } else { Err(BadDate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn days_have_their_dates() {
        let date = |secs: u64| Day::of(Wall(secs * 1000)).to_string();
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(951_868_800), "2000-03-01");
        assert_eq!(date(1_795_651_199), "2026-11-25");
        assert_eq!(date(1_795_651_200), "2026-11-26");
        assert_eq!(Day::of(Wall(u64::MAX)), Day(u32::MAX - EPOCH));
        for bad in ["", "2026-02-29", "2026-13-01", "2026-11-00", "2026-11", "x-1-1"] {
            assert_eq!(bad.parse::<Day>(), Err(BadDate), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn days_follow_each_other_and_are_read_back(day in 0_u32..2_900_000) {
            let (day, next) = (Day(day), Day(day + 1));
            prop_assert_eq!(day.to_string().parse(), Ok(day));
            prop_assert!(day.month().first() <= day);
            prop_assert_eq!(next.month().0 - day.month().0, u32::from(next.civil().1 == 1));
            prop_assert_eq!(day.month().to_string().parse(), Ok(day.month()));
        }
    }
}

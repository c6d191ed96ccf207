//! Cron schedules as Kubernetes reads them: five fields, names, steps, lists, and the `@` words.
//!
//! Not a rule; `cronjob_missed` asks. The syntax is that of the scheduler's own parser (the Go package
//! robfig/cron, `ParseStandard`): where day of month and day of week are both restricted, either will do; `7` is no
//! weekday; a time that a change of the clocks skips is not run.

use jiff::{
    SignedDuration, Timestamp, ToSpan, Zoned, civil,
    tz::{AmbiguousOffset, TimeZone},
};

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// No valid schedule is further away than this: 29 February, over a year that is none.
const HORIZON_YEARS: i16 = 9;

/// A parsed schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// Bits by value.
    Fields {
        /// 0-59
        minutes: u64,
        /// 0-23
        hours: u64,
        /// 1-31
        days: u64,
        /// 1-12
        months: u64,
        /// 0-6, Sunday first
        weekdays: u64,
        /// Day of month or day of week is `*`: then both must match, else one is enough.
        both_days: bool,
    },
    /// `@every 1h30m`
    Every(SignedDuration),
}

impl Schedule {
    /// `None` where it is no schedule.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(word) = text.strip_prefix('@') {
            let fields = match word {
                "yearly" | "annually" => "0 0 1 1 *",
                "monthly" => "0 0 1 * *",
                "weekly" => "0 0 * * 0",
                "daily" | "midnight" => "0 0 * * *",
                "hourly" => "0 * * * *",
                _ => return Self::every(word.strip_prefix("every ")?),
            };
            return Self::parse(fields);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let is_star = |field: &str| field.starts_with(['*', '?']);
        Some(Self::Fields {
            minutes: bits(minutes, 0, 59, &[])?,
            hours: bits(hours, 0, 23, &[])?,
            days: bits(days, 1, 31, &[])?,
            months: bits(months, 1, 12, MONTHS)?,
            weekdays: bits(weekdays, 0, 6, DAYS)?,
            both_days: is_star(days) || is_star(weekdays),
        })
    }

    fn every(text: &str) -> Option<Self> {
        let every: SignedDuration = text.trim().parse().ok()?;
        Some(Self::Every(every.max(SignedDuration::from_secs(1))))
    }

    /// The first time after this one. `None`: there is none.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let Self::Fields { minutes, hours, days, months, weekdays, both_days } = self else {
            let Self::Every(every) = self else { return None };
            return after.checked_add(*every).ok();
        };
        let start = Zoned::new(after, zone.clone());
        let last_year = start.year().checked_add(HORIZON_YEARS)?;
        let mut date = start.date();
        while date.year() <= last_year {
            if !has(*months, date.month()) {
                date = date.first_of_month().checked_add(1.month()).ok()?;
                continue;
            }
            let by_month = has(*days, date.day());
            let by_week = has(*weekdays, date.weekday().to_sunday_zero_offset());
            let is_day = if *both_days { by_month && by_week } else { by_month || by_week };
            if is_day && let Some(found) = first_of_day(date, (*hours, *minutes), after, zone) {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

fn first_of_day(
    date: civil::Date,
    (hours, minutes): (u64, u64),
    after: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    (0..24).filter(|h| has(hours, *h)).find_map(|hour| {
        (0..60).filter(|m| has(minutes, *m)).find_map(|minute| {
            let ambiguous = zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
            // A time that the clocks skip does not exist; one that comes twice is taken at its first.
            if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
                return None;
            }
            ambiguous.earlier().ok().filter(|at| *at > after)
        })
    })
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|v| bits & (1 << v) != 0)
}

/// A field as bits: `*`, `5`, `1-5`, `*/15`, `10-30/5`, `5/15`, names, and lists of these.
fn bits(field: &str, min: u32, max: u32, names: &[&str]) -> Option<u64> {
    field.split(',').try_fold(0_u64, |all, part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|s| *s > 0)?)),
            None => (part, None),
        };
        let value = |text: &str| {
            let by_name = names.iter().position(|n| n.eq_ignore_ascii_case(text));
            let number = by_name.and_then(|n| u32::try_from(n).ok()).map(|n| n + min);
            number.or_else(|| text.parse().ok()).filter(|v| (min..=max).contains(v))
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (min, max),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/15` is `5-59/15`.
            None => (value(range)?, if step.is_some() { max } else { value(range)? }),
        };
        (from <= to).then_some(())?;
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        Some((from..=to).step_by(step).fold(all, |bits, v| bits | 1 << v))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str, zone: &str) -> Option<String> {
        let schedule = Schedule::parse(schedule)?;
        let zone = TimeZone::get(zone).unwrap();
        schedule.next_after(after.parse().unwrap(), &zone).map(|t| t.to_string())
    }

    #[test]
    fn the_next_time_follows_each_form_of_a_field() {
        let after = "2026-01-15T10:07:30Z"; // a Thursday
        for (schedule, expected) in [
            ("* * * * *", "2026-01-15T10:08:00Z"),
            ("*/5 * * * *", "2026-01-15T10:10:00Z"),
            ("5/15 * * * *", "2026-01-15T10:20:00Z"),
            ("0 8-18/4 * * *", "2026-01-15T12:00:00Z"),
            ("30 3 * * *", "2026-01-16T03:30:00Z"),
            ("0 0 * * mon", "2026-01-19T00:00:00Z"),
            ("0 0 1 FEB ?", "2026-02-01T00:00:00Z"),
            ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
            ("0 0 31 * 5", "2026-01-16T00:00:00Z"), // the 31st or a Friday
            ("7,9 10 * * *", "2026-01-15T10:09:00Z"),
            ("@hourly", "2026-01-15T11:00:00Z"),
            ("@every 1h30m", "2026-01-15T11:37:30Z"),
        ] {
            assert_eq!(next(schedule, after, "UTC").as_deref(), Some(expected), "{schedule}");
        }
    }

    #[test]
    fn the_zone_moves_with_its_clocks() {
        let berlin = |after| next("30 2 * * *", after, "Europe/Berlin");
        assert_eq!(berlin("2026-01-15T10:00:00Z").as_deref(), Some("2026-01-16T01:30:00Z"));
        assert_eq!(berlin("2026-07-15T10:00:00Z").as_deref(), Some("2026-07-16T00:30:00Z"));
        // 2026-03-29 has no 02:30 there.
        assert_eq!(berlin("2026-03-28T10:00:00Z").as_deref(), Some("2026-03-30T00:30:00Z"));
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        for text in
            ["", "* * * *", "60 * * * *", "* * * * 7", "*/0 * * * *", "5-1 * * * *", "@never", "a * * * *"]
        {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
        assert_eq!(next("0 0 31 2 *", "2026-01-01T00:00:00Z", "UTC"), None);
    }
}

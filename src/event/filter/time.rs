//! Times in a filter. They stay relative: `since:1h` means an hour before each look, not before the parse.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// A time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// So many seconds before now.
    Ago(i64),
    /// The last time the clock showed this.
    Clock(Time),
    /// So many days ago: from its first instant, or to its last.
    Day(i64),
    /// A date: the same.
    Date(Date),
    /// A date and time in the filter's zone.
    Local(DateTime),
    /// An instant.
    At(Timestamp),
}

pub(super) const EXPECTED: &str = "expected a duration (90s, 15m, 1h30m, 2d, 1w), a time (09:30), today, yesterday, or a date (2026-11-22, 2026-11-22T09:30)";

/// Ten years: longer than any retention, and far from where arithmetic on times overflows.
const LONGEST: i64 = 10 * 366 * 86_400;

impl When {
    pub(super) fn parse(text: &str) -> Option<When> {
        match text.to_ascii_lowercase().as_str() {
            "now" => return Some(When::Ago(0)),
            "today" => return Some(When::Day(0)),
            "yesterday" => return Some(When::Day(1)),
            _ => {}
        }
        if let Some(secs) = duration_secs(text) {
            return (secs <= LONGEST).then_some(When::Ago(secs));
        }
        if !text.is_ascii() {
            return None;
        }
        let date_like = text.len() >= 10 && text.bytes().filter(|b| *b == b'-').count() >= 2;
        if !date_like {
            let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
            return padded.contains(':').then(|| padded.parse().ok()).flatten().map(When::Clock);
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(When::At(at));
        }
        if text.len() == 10 {
            return text.parse().ok().map(When::Date);
        }
        text.parse().ok().map(When::Local)
    }

    /// The instant it means, seen from `now`. `end`: a whole day counts to its end.
    pub(super) fn resolve(self, now: Timestamp, tz: &TimeZone, end: bool) -> Option<Timestamp> {
        let today = now.to_zoned(tz.clone()).date();
        let day = |date: Date| -> Option<Timestamp> {
            let date = if end { date.tomorrow().ok()? } else { date };
            date.to_zoned(tz.clone()).ok().map(|z| z.timestamp())
        };
        match self {
            When::Ago(secs) => now.checked_sub(secs.seconds()).ok(),
            When::At(at) => Some(at),
            When::Local(local) => local.to_zoned(tz.clone()).ok().map(|z| z.timestamp()),
            When::Date(date) => day(date),
            When::Day(ago) => day(today.checked_sub(ago.days()).ok()?),
            When::Clock(time) => {
                let at = |date: Date| date.to_datetime(time).to_zoned(tz.clone()).ok().map(|z| z.timestamp());
                let first = at(today)?;
                if first <= now { Some(first) } else { at(today.yesterday().ok()?) }
            }
        }
    }
}

/// `90s`, `15m`, `1h30m`, `2d`, `1w`: whole numbers, each with its unit.
fn duration_secs(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut number: Option<i64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    (number.is_none() && !text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str, end: bool) -> String {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let tz = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::fixed(jiff::tz::offset(1)));
        When::parse(text).unwrap().resolve(now, &tz, end).unwrap().to_string()
    }

    #[test]
    fn times_are_relative_to_the_look_and_in_the_readers_zone() {
        assert_eq!(seen("1h30m", false), "2026-11-22T06:30:00Z");
        assert_eq!(seen("1w", false), "2026-11-15T08:00:00Z");
        assert_eq!(seen("08:30", false), "2026-11-22T07:30:00Z");
        assert_eq!(seen("9:00", false), "2026-11-22T08:00:00Z");
        // 22:00 has not come yet today: last night is meant.
        assert_eq!(seen("22:00", false), "2026-11-21T21:00:00Z");
        assert_eq!(seen("today", false), "2026-11-21T23:00:00Z");
        assert_eq!(seen("yesterday", true), "2026-11-21T23:00:00Z");
        assert_eq!(seen("2026-11-20", true), "2026-11-20T23:00:00Z");
        assert_eq!(seen("2026-11-20T10:00", false), "2026-11-20T09:00:00Z");
        assert_eq!(seen("2026-11-20T10:00:00Z", false), "2026-11-20T10:00:00Z");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "1", "h", "1x", "25:00", "99999999999999999999d", "9999w", "2026-13-01", "soon", "1h30"]
        {
            assert_eq!(When::parse(text), None, "{text}");
        }
    }
}

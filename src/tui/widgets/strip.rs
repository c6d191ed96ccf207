//! The rate strip: warnings per minute over the last hour, with what was not watched marked.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use ratatui::{buffer::Buffer, layout::Rect};

use super::paint;
use crate::{
    event::Event,
    store::GapRow,
    tui::{model::Shared, text, theme::Theme},
};

/// Minutes shown.
pub const MINUTES: usize = 60;

/// Repeats are folded into the first for ten minutes, where nothing else is configured: a row may happen again for so
/// long, at least.
pub const FOLDED_FOR: SignedDuration = SignedDuration::from_mins(20);
/// Rows that are remembered because they may happen again; of more than these a repeat counts in its own minute.
const REMEMBERED: usize = 10_000;

/// How often one row of the store happened, and when: the store keeps the first, the last and how often, so what is
/// between them is spread evenly. A storm that was folded into one row is then high for as long as it lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    first: i64,
    last: i64,
    count: u64,
}

impl Spread {
    /// Of an event.
    pub fn of(event: &Event) -> Self {
        let (first, last) = (event.first_seen.as_second() / 60, event.last_seen.as_second() / 60);
        let count = event.count.max(1);
        // What happened once happened then; a row that was given no first time has none to spread from.
        let first = if count == 1 { last } else { first.min(last) };
        Self { first, last, count }
    }

    /// How many fell into a minute.
    fn within(self, minute: i64) -> u32 {
        if !(self.first..=self.last).contains(&minute) {
            return 0;
        }
        let up_to = |m: i64| {
            let share = i128::from(self.count) * i128::from(m) / i128::from(self.last - self.first + 1);
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        let place = minute - self.first;
        up_to(place + 1).saturating_sub(up_to(place))
    }
}

/// Counts by minute, and the rows that may still happen again.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// The minute (since 1970) of the last count.
    last: i64,
    /// The oldest first; `None` = not looked at.
    counts: VecDeque<Option<u32>>,
    /// For how many minutes a row may happen again.
    folded: i64,
    recent: HashMap<u64, Spread>,
}

impl Counted {
    /// Nothing yet, up to this time.
    pub fn new(end: Timestamp, folded: SignedDuration) -> Self {
        let counts = vec![Some(0); MINUTES].into();
        Self { last: end.as_second() / 60, counts, folded: folded.as_mins(), recent: HashMap::new() }
    }

    /// One row as it is now, in place of what is known of it. Always the same, however often it is read.
    pub fn take(&mut self, seq: u64, event: &Event) {
        let spread = Spread::of(event);
        let old = self.recent.remove(&seq);
        let young = self.last - spread.last < self.folded;
        let forgotten = old.is_none() && self.recent.len() >= REMEMBERED;
        if young && !forgotten {
            self.recent.insert(seq, spread);
        }
        // How much of it was counted before is not known any more: the repeat alone is new.
        let new = if young && forgotten {
            Spread { first: spread.last, last: spread.last, count: 1 }
        } else {
            spread
        };
        let start = self.last - (self.counts.len() as i64 - 1);
        for (minute, count) in (start..).zip(&mut self.counts) {
            if let Some(count) = count {
                let gone = old.map_or(0, |s| s.within(minute));
                *count = (*count + new.within(minute)).saturating_sub(gone);
            }
        }
    }

    /// Before this minute nothing was looked at.
    pub fn unknown_before(&mut self, minute: i64) {
        let start = self.last - (self.counts.len() as i64 - 1);
        for (_, count) in (start..minute).zip(&mut self.counts) {
            *count = None;
        }
    }

    /// Moves on to this minute.
    fn advance(&mut self, now: Timestamp) {
        let minute = now.as_second() / 60;
        if self.counts.is_empty() || minute <= self.last {
            return;
        }
        for _ in 0..(minute - self.last).min(MINUTES as i64) {
            self.counts.pop_front();
            self.counts.push_back(Some(0));
        }
        self.last = minute;
        self.recent.retain(|_, s| minute - s.last < self.folded);
    }
}

/// The chart.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    counted: Counted,
}

impl Strip {
    /// From the store.
    pub fn set(&mut self, counted: Counted) {
        self.counted = counted;
    }

    /// Nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.counted.counts.is_empty()
    }

    /// A warning, or one that happened again.
    pub fn add(&mut self, seq: u64, event: &Event, now: Timestamp) {
        if !self.is_empty() {
            self.counted.advance(now);
            self.counted.take(seq, event);
        }
    }

    /// Draws it into four lines or more.
    pub fn view(&mut self, buf: &mut Buffer, area: Rect, shared: &Shared, theme: &Theme) {
        const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        self.counted.advance(shared.known_to());
        let counts = &self.counted.counts;
        let gaps = &shared.unwatched();
        let since = shared.totals.watched_since;
        let gapped: Vec<bool> = (0..counts.len())
            .map(|i| self.gap_at(i, gaps) || since.is_some_and(|since| self.minute_at(i) < since.as_second()))
            .collect();
        let title = if gapped.contains(&true) {
            "warnings/min · last 60 min · ░ = not watching"
        } else {
            "warnings/min · last 60 min"
        };
        paint::rule(buf, area, 0, title, theme);
        let rows = usize::from(area.height.saturating_sub(2));
        let most = counts.iter().flatten().copied().max().unwrap_or(0).max(1);
        let width = usize::from(area.width.saturating_sub(6)).max(1);
        for row in 0..rows {
            let label = match row {
                0 => text::fit_right(&most.to_string(), 4),
                r if r + 1 == rows => "   0".to_owned(),
                _ => "    ".to_owned(),
            };
            let mut line = format!("{label}┤");
            for x in 0..width {
                let i = x * counts.len() / width;
                let bar = counts.get(i).copied().flatten().map(|count| {
                    let eighths = (u64::from(count) * rows as u64 * 8).div_ceil(u64::from(most)) as usize;
                    let under = (rows - 1 - row) * 8;
                    BARS.get(eighths.saturating_sub(under).min(8)).copied().unwrap_or(" ")
                });
                // A gap takes a part of its minute: what was seen in the rest is shown under it.
                line.push_str(match bar {
                    Some(bar) if bar != " " => bar,
                    _ if gapped.get(i).is_some_and(|gap| *gap) => "░",
                    Some(bar) => bar,
                    None => "·",
                });
            }
            paint::pieces(buf, area, 1 + row as u16, &[(&line, theme.dim)]);
        }
        let start =
            Timestamp::from_second((self.counted.last - MINUTES as i64 + 1) * 60).unwrap_or(shared.now);
        let from = text::short_clock(start, shared.now, &shared.tz);
        let to = text::short_clock(shared.now, shared.now, &shared.tz);
        let axis = format!("     {}{}", text::fit(&from, width.saturating_sub(text::width(&to))), to);
        paint::pieces(buf, area, area.height.saturating_sub(1), &[(&axis, theme.dim)]);
    }

    /// The first second of the minute at a place.
    fn minute_at(&self, place: usize) -> i64 {
        (self.counted.last - (self.counted.counts.len() - 1 - place) as i64) * 60
    }

    fn gap_at(&self, place: usize, gaps: &[GapRow]) -> bool {
        let start = self.minute_at(place);
        gaps.iter().any(|g| g.from.as_second() < start + 60 && g.to.is_none_or(|to| to.as_second() > start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::blank::blank_event;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60 + 5).unwrap()
    }

    fn event(first: i64, last: i64, count: u64) -> Event {
        Event { first_seen: at(first), last_seen: at(last), count, ..blank_event() }
    }

    fn newest(strip: &Strip, minutes: usize) -> Vec<Option<u32>> {
        strip.counted.counts.iter().rev().take(minutes).rev().copied().collect()
    }

    #[test]
    fn warnings_land_in_their_minute_and_old_ones_fall_out() {
        let mut strip = Strip::default();
        strip.set(Counted::new(at(1000), FOLDED_FOR));
        strip.add(1, &event(1000, 1000, 1), at(1000));
        strip.add(2, &event(999, 999, 1), at(1000));
        strip.add(3, &event(1002, 1002, 1), at(1002));
        assert_eq!(newest(&strip, 4), [Some(1), Some(1), Some(0), Some(1)]);
        strip.add(4, &event(5, 5, 1), at(1002));
        strip.counted.advance(at(2000));
        assert_eq!(strip.counted.counts.iter().flatten().sum::<u32>(), 0);
        assert_eq!((strip.counted.counts.len(), strip.counted.recent.len()), (MINUTES, 0));
    }

    #[test]
    fn a_folded_storm_is_as_long_and_as_high_as_it_was() {
        let mut strip = Strip::default();
        strip.set(Counted::new(at(1000), FOLDED_FOR));
        for (minute, count) in [(1000, 1), (1001, 20), (1002, 40), (1003, 60), (1005, 80)] {
            strip.add(7, &event(1000, minute, count), at(minute));
        }
        let live = newest(&strip, 8);
        assert_eq!(live.iter().flatten().sum::<u32>(), 80, "{live:?}");
        assert!(live.iter().skip(2).all(|n| n.is_some_and(|n| n >= 13)), "{live:?}");
        // The store has one row of it; read anew it looks the same.
        let mut read = Counted::new(at(1005), FOLDED_FOR);
        read.take(7, &event(1000, 1005, 80));
        strip.set(read);
        assert_eq!(newest(&strip, 8), live);
    }
}

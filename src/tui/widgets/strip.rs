//! The rate strip: warnings per minute over the last hour, with what was not watched marked.

use std::collections::VecDeque;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::paint;
use crate::{
    store::GapRow,
    tui::{model::Shared, text, theme::Theme},
};

/// Minutes shown.
pub const MINUTES: usize = 60;

/// Counts by minute.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    /// The minute (since 1970) of the last count.
    last: i64,
    /// The oldest first; `None` = not looked at.
    counts: VecDeque<Option<u32>>,
}

impl Strip {
    /// From the store.
    pub fn set(&mut self, end: Timestamp, counts: Vec<Option<u32>>) {
        self.last = end.as_second() / 60;
        self.counts = counts.into();
    }

    /// Nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// One more warning.
    pub fn add(&mut self, at: Timestamp, now: Timestamp) {
        self.advance(now);
        let ago = self.last - at.as_second() / 60;
        if let Some(place) = usize::try_from(ago).ok().and_then(|a| self.counts.len().checked_sub(a + 1))
            && let Some(Some(count)) = self.counts.get_mut(place)
        {
            *count += 1;
        }
    }

    /// Moves on to this minute.
    pub fn advance(&mut self, now: Timestamp) {
        let minute = now.as_second() / 60;
        if self.counts.is_empty() {
            return;
        }
        for _ in 0..(minute - self.last).clamp(0, MINUTES as i64) {
            self.counts.pop_front();
            self.counts.push_back(Some(0));
        }
        self.last = self.last.max(minute);
    }

    /// Draws it into four lines or more.
    pub fn view(&mut self, buf: &mut Buffer, area: Rect, shared: &Shared, theme: &Theme) {
        const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        self.advance(shared.now);
        let gaps = &shared.totals.gaps;
        let any_gap = (0..self.counts.len()).any(|i| self.gap_at(i, gaps));
        let title = if any_gap {
            "warnings/min · last 60 min · ░ = not watching"
        } else {
            "warnings/min · last 60 min"
        };
        paint::rule(buf, area, 0, title, theme);
        let rows = usize::from(area.height.saturating_sub(2));
        let most = self.counts.iter().flatten().copied().max().unwrap_or(0).max(1);
        let width = usize::from(area.width.saturating_sub(6)).max(1);
        for row in 0..rows {
            let label = match row {
                0 => text::fit_right(&most.to_string(), 4),
                r if r + 1 == rows => "   0".to_owned(),
                _ => "    ".to_owned(),
            };
            let mut line = format!("{label}┤");
            for x in 0..width {
                let i = x * self.counts.len() / width;
                line.push_str(match self.counts.get(i).copied().flatten() {
                    _ if self.gap_at(i, gaps) => "░",
                    None => "·",
                    Some(count) => {
                        let eighths = (u64::from(count) * rows as u64 * 8).div_ceil(u64::from(most)) as usize;
                        let under = (rows - 1 - row) * 8;
                        BARS.get(eighths.saturating_sub(under).min(8)).copied().unwrap_or(" ")
                    }
                });
            }
            paint::pieces(buf, area, 1 + row as u16, &[(&line, theme.dim)]);
        }
        let start = Timestamp::from_second((self.last - MINUTES as i64 + 1) * 60).unwrap_or(shared.now);
        let from = text::short_clock(start, shared.now, &shared.tz);
        let to = text::short_clock(shared.now, shared.now, &shared.tz);
        let axis = format!("     {}{}", text::fit(&from, width.saturating_sub(text::width(&to))), to);
        paint::pieces(buf, area, area.height.saturating_sub(1), &[(&axis, theme.dim)]);
    }

    fn gap_at(&self, place: usize, gaps: &[GapRow]) -> bool {
        let start = (self.last - (self.counts.len() - 1 - place) as i64) * 60;
        gaps.iter().any(|g| g.from.as_second() < start + 60 && g.to.is_none_or(|to| to.as_second() > start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_land_in_their_minute_and_old_ones_fall_out() {
        let at = |m: i64| Timestamp::from_second(m * 60 + 5).unwrap();
        let mut strip = Strip::default();
        strip.set(at(1000), vec![Some(0); MINUTES]);
        strip.add(at(1000), at(1000));
        strip.add(at(999), at(1000));
        strip.add(at(1002), at(1002));
        assert_eq!(
            strip.counts.iter().rev().take(4).copied().collect::<Vec<_>>(),
            [Some(1), Some(0), Some(1), Some(1)]
        );
        strip.add(at(5), at(1002));
        strip.advance(at(2000));
        assert_eq!(strip.counts.iter().flatten().sum::<u32>(), 0);
        assert_eq!(strip.counts.len(), MINUTES);
    }
}

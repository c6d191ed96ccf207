//! Times as the screens word them: ages, spans and clock times, or full times where those are wanted.

use jiff::Timestamp;

use super::{model::Shared, text};

impl Shared {
    /// An age as far as it is known, or the full time where full times are wanted.
    pub fn age(&self, at: Timestamp) -> String {
        self.age_at(at, self.known_to())
    }

    /// How long ago something was that goes on whatever the engine does: its own silence, a message of this screen.
    pub fn ago(&self, at: Timestamp) -> String {
        self.age_at(at, self.now)
    }

    /// `for 26m`, or since the full time.
    pub fn lasting(&self, at: Timestamp) -> String {
        if self.absolute { format!("since {}", self.age(at)) } else { format!("for {}", self.age(at)) }
    }

    /// `26m ago`, or at the full time.
    pub fn past(&self, at: Timestamp) -> String {
        if self.absolute { format!("at {}", self.age(at)) } else { format!("{} ago", self.age(at)) }
    }

    fn age_at(&self, at: Timestamp, end: Timestamp) -> String {
        if self.absolute {
            return text::full(at, &self.tz);
        }
        if end == self.now && end.as_second() - at.as_second() < 60 {
            self.moving.set(true);
        }
        text::age(at, end)
    }

    /// A clock time, or the full time where full times are wanted.
    pub fn clock(&self, at: Timestamp) -> String {
        if self.absolute { text::full(at, &self.tz) } else { text::clock(at, self.now, &self.tz) }
    }

    /// Whether the oldest of some times is of today.
    pub fn is_today(&self, oldest: Option<Timestamp>) -> bool {
        let date = |at: Timestamp| at.to_zoned(self.tz.clone()).date();
        oldest.is_none_or(|at| date(at) == date(self.now))
    }

    /// Width of a clock time's column.
    pub fn clock_width(&self, today: bool) -> usize {
        match (self.absolute, today) {
            (true, _) => 23,
            (false, true) => 8,
            (false, false) => 12,
        }
    }
}

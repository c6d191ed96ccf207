//! The rate in the header.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Events per second over the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    seconds: VecDeque<(i64, u64)>,
}

impl Rate {
    const WINDOW: i64 = 10;

    /// Counts events.
    pub fn add(&mut self, now: Timestamp, events: u64) {
        let second = now.as_second();
        match self.seconds.back_mut() {
            Some((s, n)) if *s == second => *n += events,
            _ => self.seconds.push_back((second, events)),
        }
        while self.seconds.front().is_some_and(|(s, _)| *s < second - Self::WINDOW) {
            self.seconds.pop_front();
        }
    }

    /// Per second; zero again ten seconds after the last.
    pub fn per_second(&self, now: Timestamp) -> f64 {
        let from = now.as_second() - Self::WINDOW;
        let events: u64 = self.seconds.iter().filter(|(s, _)| *s >= from).map(|(_, n)| n).sum();
        events as f64 / Self::WINDOW as f64
    }
}

//! What the log says about a destination: when it changes, not with every message. Pure; time is an argument.

use jiff::{SignedDuration, Timestamp};

/// A destination takes messages again when nothing has failed for so long: one that takes half of them is in trouble.
const QUIET: SignedDuration = SignedDuration::from_secs(30);
/// Dead letters that follow one that was told are counted, and told together.
const DEAD_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Told {
    failing: Option<Failing>,
    /// The first message that was taken since something failed.
    good_at: Option<Timestamp>,
    dead_at: Option<Timestamp>,
    dead: u64,
    paused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Timestamp,
    last: Timestamp,
    attempts: u64,
}

/// A destination takes messages again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovered {
    /// From the first failure to the first message that was taken after the last one.
    pub after: SignedDuration,
    /// Attempts that failed.
    pub attempts: u64,
}

impl Told {
    /// An attempt failed; whether that is news.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        let before = self.failing;
        let since = before.map_or(now, |f| f.since);
        let attempts = before.map_or(0, |f| f.attempts) + 1;
        self.failing = Some(Failing { since, last: now, attempts });
        self.good_at = None;
        before.is_none()
    }

    /// A message was taken.
    pub fn delivered(&mut self, now: Timestamp) {
        self.good_at.get_or_insert(now);
    }

    /// So many messages became dead letters; how many are to be told now.
    pub fn gave_up(&mut self, now: Timestamp, letters: u64) -> Option<u64> {
        self.dead += letters;
        self.unsaid(now)
    }

    /// Dead letters that were counted and not told yet, once it is time.
    pub fn unsaid(&mut self, now: Timestamp) -> Option<u64> {
        let due = self.dead > 0 && self.dead_at.is_none_or(|at| now.duration_since(at) >= DEAD_EVERY);
        due.then(|| {
            self.dead_at = Some(now);
            std::mem::take(&mut self.dead)
        })
    }

    /// Whether it is over, once it is.
    pub fn recovered(&mut self, now: Timestamp) -> Option<Recovered> {
        let failing = self.failing?;
        let good = self.good_at?;
        if now.duration_since(failing.last) < QUIET {
            return None;
        }
        self.failing = None;
        let after = good.duration_since(failing.since);
        Some(Recovered { after, attempts: failing.attempts })
    }

    /// Whether it has paused itself, or goes on; what it is now, where that is news.
    pub fn paused(&mut self, paused: bool) -> Option<bool> {
        (std::mem::replace(&mut self.paused, paused) != paused).then_some(paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + secs).unwrap()
    }

    #[test]
    fn failing_is_told_once_and_its_end_once() {
        let mut told = Told::default();
        let news: Vec<bool> = (0..20).map(|n| told.failed(at(n))).collect();
        assert_eq!(news.iter().filter(|n| **n).count(), 1);
        assert_eq!(told.recovered(at(100)), None, "nothing was taken yet");
        told.delivered(at(101));
        told.delivered(at(105));
        let recovered = told.recovered(at(110)).unwrap();
        assert_eq!((recovered.after.as_secs(), recovered.attempts), (101, 20), "to the first that was taken");
        assert_eq!(told.recovered(at(102)), None);
        assert!(told.failed(at(200)), "a new trouble");
    }

    #[test]
    fn a_destination_that_takes_half_is_one_trouble() {
        let mut told = Told::default();
        let mut lines = 0;
        for n in 0..300 {
            lines += u32::from(told.failed(at(n)));
            told.delivered(at(n));
            lines += u32::from(told.recovered(at(n)).is_some());
        }
        assert_eq!(lines, 1);
        assert!(told.recovered(at(330)).is_some());
    }

    #[test]
    fn dead_letters_are_told_at_once_and_then_together() {
        let mut told = Told::default();
        let said: Vec<u64> = (0..100).filter_map(|n| told.gave_up(at(n), 1)).collect();
        assert_eq!(said, [1]);
        assert_eq!(
            (told.unsaid(at(599)), told.unsaid(at(600)), told.unsaid(at(9_999))),
            (None, Some(99), None)
        );
    }

    #[test]
    fn a_pause_is_news_when_it_begins_and_when_it_ends() {
        let mut told = Told::default();
        let said: Vec<_> = [false, true, true, false, false].into_iter().map(|p| told.paused(p)).collect();
        assert_eq!(said, [None, Some(true), None, Some(false), None]);
    }
}

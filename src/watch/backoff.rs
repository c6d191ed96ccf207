//! How long to wait before the next try.

use std::time::Duration;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, jitter included.
pub const LONGEST: Duration = Duration::from_mins(1);
/// The longest that a server's Retry-After is obeyed: a broken proxy must not silence a stream for a day.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// Doubles from 1 s to 60 s, each with jitter, so that the streams of one cluster do not come back in step.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait; `random` in 0..1. What the server asked for is the least.
    pub fn next(&mut self, asked: Option<Duration>, random: f64) -> Duration {
        let base = FIRST.saturating_mul(1 << self.tries.min(6)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let wait = base.mul_f64(0.5 + random * 0.5).min(LONGEST);
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_obey_the_server_up_to_five() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next(None, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(None, 0.0), Duration::from_millis(500));
        assert_eq!(backoff.next(Some(Duration::from_secs(30)), 0.0), Duration::from_secs(30));
        assert_eq!(backoff.next(Some(Duration::from_hours(24)), 0.0), Duration::from_mins(5));
    }
}

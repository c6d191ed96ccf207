//! When a destination may be sent to: back-off, the service's own wishes, the storm brake. Pure; time is an argument.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The first pause after a failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_mins(5);
/// The longest of a message to a destination that takes others meanwhile.
const LONGEST_BESIDE_OTHERS: Duration = Duration::from_secs(5);
/// After so many attempts that pause grows all the same: a message that is never taken costs the others little.
const TRIES_BESIDE_OTHERS: u32 = 8;
/// The weight of the newest answer in the share of good ones: a destination that dies is known after a dozen.
const WEIGHT: f64 = 0.1;
/// A destination that takes at least this share goes on at full speed: its refusals cost their own messages a pause.
const GOOD_SHARE: f64 = 0.25;
/// A pause is never shorter: an unlucky draw must not become a hot loop.
const SHORTEST: Duration = Duration::from_millis(50);

/// Full jitter: anywhere between nothing and 1 s doubled with every attempt, at most 5 min. `chance` is in 0..1.
pub fn back_off(attempts: u32, chance: f64) -> Duration {
    let ceiling = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
    ceiling.mul_f64(chance.clamp(0.0, 1.0)).max(SHORTEST)
}

/// The time after now.
pub fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// One destination.
#[derive(Debug)]
pub struct Pace {
    max_per_minute: Option<u32>,
    min_interval: Duration,
    minute: i64,
    taken: u32,
    braked: bool,
    /// Rounds of failures in a row: answers within one pause are one round.
    failures: u32,
    /// Rounds in a row in which it said that there is too much, and not when to come again.
    throttles: u32,
    /// The share of good answers among the newest.
    share: f64,
    /// After the newest round of failures.
    pause: Duration,
    /// Failures until then belong to the newest round.
    round_until: Option<Timestamp>,
    probe_at: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    next_send: Option<Timestamp>,
}

/// How many new messages may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of any kind.
    pub any: usize,
    /// Resolves, which the brake never holds back.
    pub resolves: usize,
    /// What the last minute held back goes out as one digest first.
    pub fold: bool,
}

impl Pace {
    /// Without history.
    pub fn new(max_per_minute: Option<u32>, min_interval: Duration) -> Self {
        Self {
            max_per_minute,
            min_interval,
            minute: i64::MIN,
            taken: 0,
            braked: false,
            failures: 0,
            throttles: 0,
            share: 0.0,
            pause: Duration::ZERO,
            round_until: None,
            probe_at: None,
            paused_until: None,
            next_send: None,
        }
    }

    /// How many new messages may be claimed now, out of `wanted`.
    pub fn room(&mut self, now: Timestamp, wanted: usize) -> Room {
        let none = Room { any: 0, resolves: 0, fold: false };
        if self.paused_until.is_some_and(|until| now < until) {
            return none;
        }
        let mut wanted = wanted;
        if self.in_trouble() {
            if self.probe_at.is_some_and(|at| now < at) {
                return none;
            }
            // One message tells whether the destination is back.
            wanted = wanted.min(1);
        }
        let Some(max) = self.max_per_minute else {
            return Room { any: wanted, resolves: wanted, fold: false };
        };
        let minute = now.as_second().div_euclid(60);
        if minute != self.minute {
            self.minute = minute;
            self.taken = 0;
        }
        let left = max.saturating_sub(self.taken) as usize;
        Room { any: wanted.min(left), resolves: wanted, fold: self.braked && left > 0 }
    }

    /// So many messages were claimed.
    pub fn took(&mut self, messages: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(messages).unwrap_or(u32::MAX));
    }

    /// Messages were held back by the brake: the next minute begins with a digest.
    pub fn brake(&mut self) {
        self.braked = true;
    }

    /// The digest was made, or there was nothing to fold.
    pub fn folded(&mut self) {
        self.braked = false;
    }

    /// Whether the brake holds messages back now, and until when.
    pub fn braked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let minute = now.as_second().div_euclid(60);
        let full = self.max_per_minute.is_some_and(|max| minute == self.minute && self.taken >= max);
        if full { Timestamp::from_second((minute + 1) * 60).ok() } else { None }
    }

    /// Whether an attempt may start now; if so, the next one waits for the service's interval.
    pub fn may_send(&mut self, now: Timestamp) -> bool {
        if self.paused_until.is_some_and(|until| now < until) || self.next_send.is_some_and(|at| now < at) {
            return false;
        }
        if self.in_trouble() {
            if self.probe_at.is_some_and(|at| now < at) {
                return false;
            }
            // The next one waits for this one's answer, or as long as the last pause was.
            self.probe_at = Some(later(now, self.pause));
        }
        if self.min_interval > Duration::ZERO {
            self.next_send = Some(later(now, self.min_interval));
        }
        true
    }

    /// The destination answered well; the rounds of failures before that.
    pub fn succeeded(&mut self) -> u32 {
        (self.probe_at, self.throttles) = (None, 0);
        self.share += WEIGHT * (1.0 - self.share);
        std::mem::take(&mut self.failures)
    }

    /// The destination refused a message for what it is, so it is there; the rounds of failures before that.
    pub fn refused(&mut self) -> u32 {
        (self.probe_at, self.throttles) = (None, 0);
        std::mem::take(&mut self.failures)
    }

    /// The destination as a whole seems to be in trouble.
    pub fn failed(&mut self, now: Timestamp, chance: f64) {
        self.share -= WEIGHT * self.share;
        // What was on the wire together fails together: that says no more than one of them.
        if self.failures == 0 || self.round_until.is_none_or(|at| now >= at) {
            self.failures = self.failures.saturating_add(1);
            self.pause = back_off(self.failures, chance);
            self.round_until = Some(later(now, self.pause));
            self.probe_at = self.round_until;
        }
    }

    /// It refuses nearly everything, or says that there is too much: one message at a time tells when it is back.
    pub fn in_trouble(&self) -> bool {
        self.throttles > 0 || (self.failures > 0 && self.share < GOOD_SHARE)
    }

    /// How long a message waits after so many attempts.
    pub fn pause_after(&self, attempts: u32, chance: f64) -> Duration {
        let pause = back_off(attempts, chance);
        if self.share < GOOD_SHARE {
            return pause;
        }
        let beside = back_off(attempts.saturating_sub(TRIES_BESIDE_OTHERS), chance);
        pause.min(beside.max(LONGEST_BESIDE_OTHERS))
    }

    /// The service asked for silence.
    pub fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// The same in an answer: it knows best, so what was to be waited for by earlier failures counts no more.
    pub fn asked(&mut self, until: Timestamp) {
        self.pause(until);
        (self.round_until, self.probe_at) = (self.paused_until, self.paused_until);
    }

    /// There is too much for the service, and it did not say until when: nothing goes to it for a while that grows.
    /// Answers how long. At least half of it is certain: all that waits would come again at the luckiest draw.
    pub fn throttled(&mut self, now: Timestamp, chance: f64) -> Duration {
        if self.throttles == 0 || self.paused_until.is_none_or(|until| now >= until) {
            self.throttles = self.throttles.saturating_add(1);
            self.pause = back_off(self.throttles, 0.5 + chance.clamp(0.0, 1.0) / 2.0);
            self.asked(later(now, self.pause));
        }
        let left = self.paused_until.map(|until| until.duration_since(now)).unwrap_or_default();
        Duration::try_from(left).unwrap_or_default()
    }

    /// Until when the service asked for silence.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.paused_until.filter(|until| now < *until)
    }

    /// Rounds of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// From when on the next attempt may start, where something holds it back.
    pub fn opens_at(&self) -> Option<Timestamp> {
        self.waits().max()
    }

    /// When to look again, if something waits: the next time at which less holds it back.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        self.waits().filter(|at| *at > now).min()
    }

    /// The times before which nothing is sent.
    fn waits(&self) -> impl Iterator<Item = Timestamp> {
        let probe = self.probe_at.filter(|_| self.in_trouble());
        [self.paused_until, probe, self.next_send].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_736_937_000 + secs).unwrap()
    }

    #[test]
    fn back_off_grows_to_five_minutes_with_full_jitter() {
        let most: Vec<u64> = (1..=11).map(|n| back_off(n, 1.0).as_secs()).collect();
        assert_eq!(most, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(back_off(40, 0.0), SHORTEST);
        assert_eq!(back_off(3, 0.5), Duration::from_secs(2));
    }

    #[test]
    fn the_brake_holds_the_rest_of_the_minute_but_no_resolve() {
        let mut pace = Pace::new(Some(30), Duration::ZERO);
        assert_eq!(pace.room(at(0), 64), Room { any: 30, resolves: 64, fold: false });
        pace.took(30);
        pace.brake();
        assert_eq!(pace.room(at(59), 64), Room { any: 0, resolves: 64, fold: false });
        assert_eq!(pace.braked_until(at(59)), Some(at(60)));
        assert_eq!(pace.room(at(60), 64), Room { any: 30, resolves: 64, fold: true });
        pace.folded();
        assert!(!pace.room(at(61), 64).fold);
    }

    #[test]
    fn a_failing_destination_gets_one_probe_at_a_time() {
        let mut pace = Pace::new(None, Duration::ZERO);
        pace.failed(at(0), 1.0);
        assert_eq!(pace.room(at(0), 64).any, 0);
        assert_eq!(pace.room(at(1), 64).any, 1);
        assert!(pace.may_send(at(1)) && !pace.may_send(at(1)), "also of what was claimed before");
        assert_eq!(pace.room(at(1), 64).any, 0);
        assert_eq!(pace.succeeded(), 1);
        assert_eq!(pace.room(at(1), 64).any, 64);
    }

    #[test]
    fn what_fails_together_is_one_failure() {
        let mut pace = Pace::new(None, Duration::ZERO);
        (0..16).for_each(|_| pace.failed(at(0), 1.0));
        assert_eq!((pace.failures(), pace.room(at(1), 64).any), (1, 1), "a second later it is probed");
        pace.failed(at(2), 1.0);
        assert_eq!(pace.failures(), 2);
    }

    /// Sixteen connections, an answer takes 20 ms; each step is one round of them. How many of `steps` sends were
    /// taken, and how many were tried.
    fn drain(steps: i64, answers: impl Fn(i64, i64) -> bool) -> (i64, i64) {
        let mut pace = Pace::new(None, Duration::ZERO);
        let (mut taken, mut tried) = (0, 0);
        for step in 0..steps {
            let now = at(0) + SignedDuration::from_millis(step * 20);
            let sent = (0..pace.room(now, 16).any).filter(|_| pace.may_send(now)).count();
            for _ in 0..sent {
                tried += 1;
                if answers(tried, step / 50) {
                    taken += 1;
                    pace.succeeded();
                } else {
                    pace.failed(now, 0.5);
                }
            }
        }
        (taken, tried)
    }

    #[test]
    fn a_destination_that_takes_half_drains_at_half_its_speed_and_a_dead_one_is_left_in_peace() {
        let minute = 60 * 50;
        let (healthy, _) = drain(minute, |_, _| true);
        assert_eq!(healthy, minute * 16);
        // Neither alternating nor in step with the sixteen connections.
        let (half, _) = drain(minute, |n, _| n.wrapping_mul(7_919).rem_euclid(101) < 50);
        assert!(half > healthy * 4 / 10, "{half} of {healthy}");
        let (taken, tried) = drain(minute, |_, _| false);
        assert!(taken == 0 && tried < 30, "{tried}");
        // One that dies is noticed after a few rounds, and one that comes back is at full speed again.
        let (taken, tried) = drain(minute, |_, second| second < 20);
        assert!(tried < taken + 16 + 60, "{tried}");
        let (taken, _) = drain(minute, |_, second| !(20..25).contains(&second));
        assert!(taken > healthy * 7 / 10, "{taken} of {healthy}");
    }

    #[test]
    fn what_a_service_asks_for_counts_in_place_of_older_pauses() {
        let mut pace = Pace::new(None, Duration::ZERO);
        (0..6).for_each(|n| pace.failed(at(n * 100), 1.0));
        assert_eq!(pace.opens_at(), Some(at(532)), "32 s after the newest failure");
        pace.failed(at(532), 1.0);
        pace.asked(at(547));
        assert_eq!(pace.opens_at(), Some(at(547)));
        assert!(!pace.may_send(at(546)) && pace.may_send(at(547)) && !pace.may_send(at(547)));
    }

    #[test]
    fn too_much_without_a_time_pauses_everything_for_longer_and_longer() {
        let mut pace = Pace::new(None, Duration::ZERO);
        // It has taken everything until now.
        (0..50).for_each(|_| assert_eq!(pace.succeeded(), 0));
        let (mut now, mut sent) = (at(0), Vec::new());
        while now < at(35) {
            // Five messages want to go all the time.
            for _ in 0..5 {
                if pace.may_send(now) {
                    sent.push(now.duration_since(at(0)).as_secs());
                    assert!(pace.throttled(now, 1.0) >= Duration::from_millis(500));
                }
            }
            now += SignedDuration::from_millis(100);
        }
        assert_eq!(sent, [0, 1, 3, 7, 15, 31]);
        pace.succeeded();
        assert_eq!((0..5).filter(|_| pace.may_send(at(99))).count(), 5);
    }

    #[test]
    fn the_services_silence_holds_everything() {
        let mut pace = Pace::new(None, Duration::from_secs(1));
        assert!(pace.may_send(at(0)) && !pace.may_send(at(0)) && pace.may_send(at(1)));
        pace.pause(at(30));
        pace.pause(at(20));
        assert!(!pace.may_send(at(29)) && pace.room(at(29), 1).any == 0 && pace.may_send(at(30)));
    }
}

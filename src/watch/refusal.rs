//! When a 403 is believed. A starting API server refuses what it permits, until its caches of roles are filled.
//!
//! A right that had worked, or that is asked for while the server has only just come back, is doubted: it is tried
//! again soon, until the server has called itself ready for a while and refuses it still. Owned by `stream`.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// So long after the server's return, or after the first refusal where the server does not say whether it is ready, a
/// refusal may be that of a start.
const STARTING: Duration = Duration::from_mins(2);
/// Refused so long after the server called itself ready, it is no matter of caches. Behind one address there may be
/// several servers, of which another one answered: long enough for those, too.
const CONFIRMED: Duration = Duration::from_secs(10);
/// The longest wait between tries of a doubted right.
const LONGEST: Duration = Duration::from_secs(10);

/// What is known of the server, beside the refusal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Server {
    /// Whether it called itself ready when it was asked last.
    pub(super) readiness: Readiness,
    /// When it came back from an outage, in this run.
    pub(super) back: Option<Instant>,
}

/// What `/readyz` answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Readiness {
    /// Not asked, or not permitted to ask.
    #[default]
    Unknown,
    /// It said so then.
    Ready(Instant),
    /// It said that it is not, or did not answer.
    Not,
}

/// What to make of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The right is missing; otherwise it is in doubt.
    pub(super) believed: bool,
    /// Try again after this; `None`: slowly.
    pub(super) again: Option<Duration>,
}

/// The refusals of one stream.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    worked: bool,
    believed: bool,
    /// The first refusal in a row, of a server that did not say that it is not ready.
    since: Option<Instant>,
    /// The first time since then at which the server called itself ready.
    ready: Option<Instant>,
    backoff: Backoff,
}

impl Refusals {
    /// It is permitted.
    pub(super) fn worked(&mut self) {
        *self = Self { worked: true, ..Self::default() };
    }

    /// Something else happened in between: what follows is judged anew, and known to be missing until it works.
    pub(super) fn interrupted(&mut self) {
        *self = Self { worked: self.worked, believed: self.believed, ..Self::default() };
    }

    /// Refused now. `stored`: whether the right had worked in an earlier run. `random` in 0..1.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        server: Server,
        stored: impl FnOnce() -> bool,
        random: f64,
    ) -> Verdict {
        if self.since.is_none() && !self.worked && !self.believed {
            self.worked = stored();
        }
        let since = self.since.unwrap_or(now);
        self.ready = match server.readiness {
            Readiness::Ready(at) if at >= since => self.ready.or(Some(at)),
            Readiness::Ready(_) | Readiness::Unknown => self.ready,
            Readiness::Not => None,
        };
        let unready = server.readiness == Readiness::Not;
        let since = if unready { now } else { since };
        self.since = Some(since);
        let starting = unready || server.back.is_some_and(|at| now.duration_since(at) < STARTING);
        let confirmed = self.ready.is_some_and(|at| now.duration_since(at) >= CONFIRMED)
            || now.duration_since(since) >= STARTING;
        // What never worked, or is known to be missing, is in doubt only while the server starts.
        let doubted = !confirmed && (starting || (self.worked && !self.believed));
        self.believed |= !doubted;
        let again = doubted.then(|| self.backoff.next(None, random).min(LONGEST));
        Verdict { believed: self.believed, again }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refused again and again from `start` on, as the server is at each time; when it was believed, in seconds.
    fn believed_after(
        refusals: &mut Refusals,
        start: Instant,
        server: impl Fn(Instant) -> Server,
        stored: bool,
    ) -> u64 {
        let mut now = start;
        for _ in 0..100 {
            let verdict = refusals.judge(now, server(now), || stored, 1.0);
            if verdict.believed {
                return now.duration_since(start).as_secs();
            }
            let wait = verdict.again.expect("a try soon");
            assert!(wait <= LONGEST, "{wait:?}");
            now += wait;
        }
        panic!("never believed");
    }

    fn healthy(now: Instant) -> Server {
        Server { readiness: Readiness::Ready(now), back: None }
    }

    #[test]
    fn a_right_that_was_never_there_is_believed_missing_at_once() {
        let start = Instant::now();
        assert_eq!(believed_after(&mut Refusals::default(), start, healthy, false), 0);
        let before = move |_| Server { readiness: Readiness::Ready(start), back: None };
        let later = start + Duration::from_hours(1);
        assert_eq!(believed_after(&mut Refusals::default(), later, before, false), 0);
        let mute = |_| Server::default();
        assert_eq!(believed_after(&mut Refusals::default(), start, mute, false), 0);
    }

    #[test]
    fn a_right_that_had_worked_is_doubted_until_a_server_that_is_ready_refuses_it() {
        let start = Instant::now();
        let mut worked = Refusals::default();
        worked.worked();
        assert_eq!(believed_after(&mut worked, start, healthy, false), 15);
        // And of an earlier run.
        assert_eq!(believed_after(&mut Refusals::default(), start, healthy, true), 15);
        // That it was ready before the refusal says nothing: not asked again, as where /readyz is refused.
        worked.worked();
        let before = move |_| Server { readiness: Readiness::Ready(start), back: None };
        assert_eq!(believed_after(&mut worked, start + Duration::from_secs(1), before, false), 125);
    }

    #[test]
    fn while_a_server_says_that_it_is_not_ready_nothing_is_believed() {
        let start = Instant::now();
        let ready_at = start + Duration::from_secs(200);
        let server = |now| Server {
            readiness: if now < ready_at { Readiness::Not } else { Readiness::Ready(now) },
            back: (now >= ready_at).then_some(ready_at),
        };
        assert_eq!(believed_after(&mut Refusals::default(), start, server, false), 215);
    }

    #[test]
    fn after_an_outage_a_first_refusal_is_doubted_and_a_known_one_is_tried_soon() {
        let start = Instant::now();
        let server = |now| Server { readiness: Readiness::Ready(now), back: Some(start) };
        let mut refusals = Refusals::default();
        assert_eq!(believed_after(&mut refusals, start, server, false), 15);
        // Known to be missing from before the outage: shown so all the time.
        refusals.interrupted();
        let verdict = refusals.judge(start, server(start), || false, 1.0);
        assert_eq!(verdict, Verdict { believed: true, again: Some(Duration::from_secs(1)) });
        let later = start + Duration::from_secs(20);
        let verdict = refusals.judge(later, server(later), || false, 1.0);
        assert_eq!(verdict, Verdict { believed: true, again: None });
    }

    #[test]
    fn other_failures_in_between_begin_the_doubt_anew() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        refusals.worked();
        assert!(!refusals.judge(start, healthy(start), || false, 1.0).believed);
        refusals.interrupted();
        let later = start + Duration::from_mins(10);
        assert_eq!(believed_after(&mut refusals, later, healthy, false), 15);
    }
}

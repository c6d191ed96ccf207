//! Whether an API server is there: asked only when nothing was heard of it for a while, or when a stream met trouble.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cx::Cx,
    error::{Error, Fault, Result},
    refusal::{Readiness, Server},
};

/// With no word from the server for this long, it is asked whether it is ready.
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Failed probes in a row that make the API away.
pub(super) const PROBES: u32 = 2;
/// The pause between failed probes, while they are few.
const PROBE_AGAIN: Duration = Duration::from_secs(2);

/// `/readyz`. A server that refuses the question is there. What it says is kept for those that it refuses.
pub(super) async fn ready(cx: &Cx) -> Result<()> {
    let answer = tokio::time::timeout(PROBE_WITHIN, cx.api.get("/readyz")).await;
    let answer = answer.unwrap_or_else(|_| Err(Error::timed_out("/readyz", PROBE_WITHIN)));
    let (readiness, answer) = match answer {
        Ok(_) => (Readiness::Ready(Instant::now()), Ok(())),
        Err(e) if matches!(e.fault, Fault::Forbidden | Fault::NotFound | Fault::Throttled) => {
            (Readiness::Unknown, Ok(()))
        }
        Err(e) => (Readiness::Not, Err(e)),
    };
    let before = cx.server.get();
    let returned = before.readiness == Readiness::Not && answer.is_ok();
    let back = if returned { Some(Instant::now()) } else { before.back };
    cx.server.set(Server { readiness, back });
    answer
}

/// When to ask next.
#[derive(Default)]
pub(super) struct Probe {
    pub(super) failures: u32,
    last: Option<Instant>,
}

impl Probe {
    /// So many probes in a row have failed now.
    pub(super) fn failed(&mut self, failures: u32) {
        self.failures = failures;
        self.last = Some(Instant::now());
    }

    /// Until the next probe after failures.
    pub(super) fn pause(&self) -> Duration {
        PROBE_AGAIN.saturating_mul(self.failures.max(1)).min(PROBE_AFTER)
    }

    /// Until the next probe is due: after a failure, after silence, or at once when a stream met trouble.
    pub(super) async fn wait(&self, cx: &Cx) {
        let earliest = self.last.map(|at| at + PROBE_AGAIN);
        if self.failures > 0 {
            return tokio::time::sleep_until(self.last.unwrap_or_else(Instant::now) + self.pause()).await;
        }
        loop {
            let silent = cx.heard.get().max(self.last.unwrap_or(cx.heard.get())) + PROBE_AFTER;
            tokio::select! {
                () = cx.troubled.notified() => {
                    if let Some(at) = earliest {
                        tokio::time::sleep_until(at).await;
                    }
                    return;
                }
                () = tokio::time::sleep_until(silent) => {
                    if cx.heard.get() + PROBE_AFTER <= Instant::now() {
                        return;
                    }
                }
            }
        }
    }
}

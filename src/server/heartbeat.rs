//! The dead-man's switch: a sign of life to somewhere else, while all is well and only then.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::health;
use crate::status::Status;

/// Before it is told that there is no heartbeat yet.
const FIRST_LISTS: Duration = Duration::from_secs(30);

/// Calls `beat` (one GET, by `app`) every `interval` while every stream that is switched on is live (`health::silent`
/// has the one exception), the store commits and no connector has paused itself; ends with `stop`. A missing beat is the alarm, so a failed one is not repeated
/// before its time.
pub async fn heartbeat<F, B>(
    interval: Duration,
    mut status: watch::Receiver<Arc<Status>>,
    stop: CancellationToken,
    mut beat: F,
) where
    F: FnMut() -> B,
    B: Future<Output = Result<(), String>>,
{
    // A start is no trouble: the first lists take a moment.
    tokio::select! {
        () = stop.cancelled() => return,
        _ = status.wait_for(|s| health::unready(s).is_empty()) => {}
        () = tokio::time::sleep(FIRST_LISTS.min(interval)) => {}
    }
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A failure that repeats is logged when it changes.
    let mut last = String::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let why = health::silent(&status.borrow()).join("; ");
        let trouble = if why.is_empty() {
            tokio::select! {
                () = stop.cancelled() => return,
                sent = beat() => sent.err().map(|e| format!("the heartbeat failed: {e}")),
            }
        } else {
            Some(format!("no heartbeat: {why}"))
        };
        let trouble = trouble.unwrap_or_default();
        if trouble != last {
            if trouble.is_empty() {
                tracing::info!("the heartbeat goes out again");
            } else {
                tracing::warn!("{trouble}");
            }
            last = trouble;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::health::tests::*, *};
    use crate::{event::Kind, status::StreamState};

    #[tokio::test(start_paused = true)]
    async fn it_beats_while_all_is_well_and_only_then() {
        let well = Arc::new(status(vec![stream(Kind::Pod, StreamState::Live)]));
        let ill = Arc::new(status(vec![stream(Kind::Pod, StreamState::Syncing)]));
        let (send, latest) = watch::channel(Arc::clone(&well));
        let stop = CancellationToken::new();
        let beats = std::cell::Cell::new(0);
        let beat = async || {
            beats.set(beats.get() + 1);
            if beats.get() == 2 { Err("refused".to_owned()) } else { Ok(()) }
        };
        let test = async {
            tokio::time::sleep(Duration::from_secs(95)).await;
            assert_eq!(beats.get(), 4, "at 0, 30, 60 and 90 s, a failed one among them");
            send.send_replace(ill);
            tokio::time::sleep(Duration::from_secs(90)).await;
            assert_eq!(beats.get(), 4);
            send.send_replace(well);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(beats.get(), 5);
            stop.cancel();
        };
        let run = heartbeat(Duration::from_secs(30), latest, stop.clone(), beat);
        futures::future::join(run, test).await;
    }
}

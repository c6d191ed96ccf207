//! The pipeline's task: batches in, one transaction each, then feed and wake-ups.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::engine::{Engine, Input};
use crate::{
    feed::Feed,
    object::Said,
    status::PipelineStatus,
    store::{FreshRows, Store},
};

/// What is said is taken into one transaction while it waits, up to this much: a busy cluster must not wait for a
/// commit per change, and a commit must stay short (a tenth of a second at most).
const TOGETHER: usize = 1024;
/// Time between looks at the clock when nothing else wakes the task; due rows are slept for exactly.
const TICK: Duration = Duration::from_secs(1);
/// How often it is noted that the engine watches: the start of the gap that a crash leaves.
const ALIVE: Duration = Duration::from_secs(10);
/// Pauses before a batch is taken again after a failed commit.
const AGAIN: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(5)];

/// Hands a connector's new rows to its worker.
pub type Hand = Arc<dyn Fn(&str, FreshRows) + Send + Sync>;

/// What the task needs, and whom it tells.
pub struct Handles {
    /// The store.
    pub store: Store,
    /// The engine, as loaded; shared with whoever reconfigures it or reads its counters.
    pub engine: Arc<Mutex<Engine>>,
    /// What watches say, in batches.
    pub said: mpsc::Receiver<Vec<Said>>,
    /// What else there is to take in.
    pub inputs: mpsc::Receiver<Input>,
    /// What was committed.
    pub feed: broadcast::Sender<Feed>,
    /// Connectors with new rows.
    pub hand: Hand,
    /// The clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Whether reading must stop: the outbox is at its cap.
    pub full: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Ends the task, after what is queued has been committed.
    pub stop: CancellationToken,
}

fn lock(engine: &Mutex<Engine>) -> std::sync::MutexGuard<'_, Engine> {
    // A panic within a job is caught there; the engine is reloaded after any failure.
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until `stop`. Never loses an input: a batch is taken again until its
/// commit succeeds.
pub async fn run(mut h: Handles) {
    let mut batch = Vec::new();
    let mut open = true;
    let mut alive_at = tokio::time::Instant::now();
    loop {
        while (h.full)() && !h.stop.is_cancelled() {
            tokio::time::sleep(TICK).await;
        }
        let stopping = h.stop.is_cancelled();
        // Nothing more is coming then: what is there is taken at once.
        let wait = if stopping { Duration::ZERO } else { sleep_for(&h) };
        tokio::select! {
            biased;
            Some(input) = h.inputs.recv() => batch.push(input),
            said = h.said.recv(), if open => match said {
                Some(said) => batch.extend(said.into_iter().map(Input::Said)),
                None => open = false,
            },
            () = h.stop.cancelled(), if !stopping => {}
            () = tokio::time::sleep(wait) => {}
        }
        while batch.len() < TOGETHER
            && let Ok(said) = h.said.try_recv()
        {
            batch.extend(said.into_iter().map(Input::Said));
        }
        let alive = tokio::time::Instant::now() >= alive_at;
        if alive {
            alive_at = tokio::time::Instant::now() + ALIVE;
        }
        let now = (h.clock)();
        let due = lock(&h.engine).next_due().is_some_and(|at| at <= now);
        if !batch.is_empty() || due || alive {
            let committed = commit(&h, Arc::new(std::mem::take(&mut batch)), alive).await;
            if !committed {
                break;
            }
        }
        // The watches have ended before: what they said is committed.
        if stopping && h.inputs.is_empty() && h.said.is_empty() {
            break;
        }
    }
}

fn sleep_for(h: &Handles) -> Duration {
    let next = lock(&h.engine).next_due();
    let Some(at) = next else { return TICK };
    let wait = at.duration_since((h.clock)());
    Duration::try_from(wait).unwrap_or_default().clamp(Duration::from_millis(1), TICK)
}

/// Whether it was committed. Only the end of the program cuts the attempts short; then the engine holds what was not
/// stored, and must take nothing more: the next start finds it again.
async fn commit(h: &Handles, batch: Arc<Vec<Input>>, alive: bool) -> bool {
    let mut attempt = 0;
    let began = tokio::time::Instant::now();
    loop {
        let now = (h.clock)();
        let (engine, inputs) = (Arc::clone(&h.engine), Arc::clone(&batch));
        let result = h
            .store
            .write(move |tx| {
                let mut engine = lock(&engine);
                engine.process(tx, &inputs, now)?;
                if alive { engine.alive(tx, now) } else { Ok(()) }
            })
            .await;
        match result {
            Ok(()) => {
                tracing::trace!(inputs = batch.len(), took = ?began.elapsed(), waiting = h.said.len(), "committed");
                publish(h, &batch);
                return true;
            }
            Err(error) => {
                if attempt == 0 {
                    tracing::warn!(%error, "a commit failed; nothing is lost, it is tried again");
                }
                if matches!(error, crate::store::Error::Closed) && h.stop.is_cancelled() {
                    return false;
                }
                tokio::time::sleep(AGAIN[attempt.min(AGAIN.len() - 1)]).await;
                attempt += 1;
                if !reload(h).await {
                    return false;
                }
            }
        }
    }
}

/// The engine forgets what was not stored. Until it has, nothing is taken again: what it still holds from the write
/// that failed would look as if it had been stored. Answers whether it has; only the end of the program cuts it short.
async fn reload(h: &Handles) -> bool {
    let mut attempt = 0;
    loop {
        let loaded = h.store.snapshot().and_then(|snapshot| lock(&h.engine).reload(&snapshot));
        let Err(error) = loaded else { return true };
        tracing::debug!(%error, "cannot read the store back yet");
        if h.stop.is_cancelled() {
            return false;
        }
        tokio::time::sleep(AGAIN[attempt.min(AGAIN.len() - 1)]).await;
        attempt += 1;
    }
}

fn publish(h: &Handles, batch: &[Input]) {
    let (feed, routed) = {
        let mut engine = lock(&h.engine);
        engine.committed(batch);
        engine.take_news()
    };
    for item in feed {
        // Nobody has to listen.
        let _ = h.feed.send(item);
    }
    for (connector, rows) in routed {
        (h.hand)(&connector, rows);
    }
}

impl Engine {
    /// Counters, for the status.
    pub fn counters(engine: &Mutex<Engine>) -> PipelineStatus {
        lock(engine).status()
    }

    /// Objects held, by cluster uid.
    pub fn objects_of(engine: &Mutex<Engine>) -> std::collections::BTreeMap<String, u64> {
        lock(engine).objects()
    }
}

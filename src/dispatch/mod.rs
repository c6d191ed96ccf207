//! Delivery: one worker per connector over its own queue in the outbox; a slow or dead destination delays no other.
//!
//! `app` builds a `Dispatcher`, gives its task to the set of tasks, and calls `apply` with the connectors at the start
//! and after every change. The pipeline calls `hand` after a commit with new rows. Nothing here decides what is told;
//! nothing elsewhere sends.

mod admin;
mod answers;
mod blame;
mod claims;
mod digest;
mod ledger;
mod lines;
mod news;
mod pace;
mod queue;
mod rows;
mod told;
mod worker;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ConnectorSpec, Origin},
    connector::{Built, Clock, Connector, Deliver, Problem, settings_hash},
    status::ConnectorStatus,
    store::{
        self, CONNECTOR_STATES, ConnectorState, DeliveryRow, DeliveryState, Read, Store,
        pages::{self, Limits},
    },
};
pub use admin::TestReport;
pub use lines::{Died, LastLines};
use worker::{Control, Shared, Worker};

/// Waiting rows are counted up to here.
const COUNTED: u64 = 100_000;
/// Why nothing is sent where nothing may be.
const WATCH_ONLY: &str = "--watch-only: this process sends nothing, no test either";

/// Who looks on: the feed, the detector of failing connectors.
pub trait Observer: Send + Sync {
    /// A delivery row was committed.
    fn delivery(&self, seq: u64, row: &DeliveryRow) {
        let _ = (seq, row);
    }
    /// A connector paused itself, or goes on.
    fn state_changed(&self, status: &ConnectorStatus) {
        let _ = status;
    }
}

/// An observer that does not look.
#[derive(Debug)]
pub struct Nobody;
impl Observer for Nobody {}

/// What every worker works with.
pub struct Deps {
    /// Queues and logs.
    pub store: Store,
    /// Now.
    pub clock: Clock,
    /// After this time of trying, a row becomes a dead letter.
    pub horizon: Duration,
    /// Unclaimed rows older than this go out as one digest.
    pub stale_after: Mutex<Duration>,
    /// Who looks on.
    pub observer: Arc<dyn Observer>,
    /// Who reads the last lines of containers that died; `None` = nobody.
    pub lines: Option<Arc<dyn LastLines>>,
    /// Connectors are known and listed, and nothing is sent to them: no worker runs, no test goes out.
    pub watch_only: bool,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("horizon", &self.horizon).finish_non_exhaustive()
    }
}

impl Deps {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn stale_after(&self) -> Duration {
        *self.stale_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::unused_self)]
    fn chance(&self) -> f64 {
        rand::random::<f64>()
    }
}

/// A connector as it should run.
#[derive(Debug)]
pub struct Definition {
    /// As somebody wrote it.
    pub spec: ConnectorSpec,
    /// Built, or why not: incomplete and wrong ones keep their queue and never send.
    pub built: Result<Built, Vec<Problem>>,
}

/// Where a worker sends, and within which limits.
#[derive(Clone)]
struct Destination {
    connector: Option<Arc<dyn Connector>>,
    incomplete: Option<String>,
    settings_hash: String,
    max_per_minute: Option<u32>,
    min_interval: Duration,
    in_flight: usize,
    /// Several rows may become one message.
    folds: bool,
}

impl Destination {
    fn of(spec: &ConnectorSpec, built: Result<Built, Vec<Problem>>) -> Self {
        match built {
            Ok(built) => Self {
                connector: Some(Arc::from(built.connector)),
                incomplete: None,
                settings_hash: built.settings_hash,
                max_per_minute: built.common.max_per_minute,
                min_interval: built.def.min_interval,
                in_flight: built.def.in_flight.max(1),
                folds: built.common.deliver == Deliver::Incidents,
            },
            Err(problems) => {
                let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Self {
                    connector: None,
                    incomplete: Some(why.join("; ")),
                    settings_hash: settings_hash(spec),
                    max_per_minute: None,
                    min_interval: Duration::ZERO,
                    in_flight: 1,
                    folds: false,
                }
            }
        }
    }
}

/// What the store knows of connectors from before.
struct Before {
    dead: BTreeMap<String, u64>,
    /// The newest first, as far back as a look may go.
    log: Vec<DeliveryRow>,
}

impl Before {
    fn newest(&self, connector: &str, which: impl Fn(&DeliveryRow) -> bool) -> Option<&DeliveryRow> {
        self.log.iter().find(|d| d.connector == connector && which(d))
    }
}

/// A worker that runs.
struct Running {
    origin: Origin,
    destination: Destination,
    shared: Arc<Shared>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

type Workers = Arc<Mutex<BTreeMap<String, Running>>>;

/// The handle: cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    deps: Arc<Deps>,
    workers: Workers,
    writers: news::Writers,
    /// New workers, for the task that owns them.
    starts: mpsc::Sender<Start>,
    /// One change of the set of workers at a time; whether this is the first.
    changing: Arc<tokio::sync::Mutex<bool>>,
    asked: Arc<lines::Asked>,
}

struct Start {
    worker: Worker,
    stop: CancellationToken,
    stopped: CancellationToken,
}

/// The task that owns the workers.
pub struct Task {
    starts: mpsc::Receiver<Start>,
    workers: Workers,
}

/// A worker died: a fault of ours, never of a destination.
#[derive(Debug, thiserror::Error)]
#[error("the worker of a connector died: {0}")]
pub struct WorkerDied(String);

impl Dispatcher {
    /// Without connectors yet. `Task::run` must be driven for anything to be sent.
    pub fn new(deps: Deps) -> (Self, Task) {
        // A start is taken at once by the task; this is room for one reload of many connectors.
        let (starts, queue) = mpsc::channel(64);
        let workers = Workers::default();
        let changing = Arc::new(tokio::sync::Mutex::new(true));
        let task = Task { starts: queue, workers: Arc::clone(&workers) };
        let (asked, writers) = (Arc::default(), Arc::default());
        (Self { deps: Arc::new(deps), workers, starts, changing, asked, writers }, task)
    }

    /// Makes the workers match the definitions: what has not changed goes on undisturbed, what is gone stops and
    /// keeps its rows (`remove` drops them).
    ///
    /// # Errors
    /// The store; what was changed until then stays changed.
    pub async fn apply(&self, definitions: Vec<Definition>) -> store::Result<()> {
        let mut first = self.changing.lock().await;
        if std::mem::take(&mut *first) {
            self.finish_removals().await?;
        }
        let names: Vec<String> = definitions.iter().map(|d| d.spec.name.clone()).collect();
        let gone: Vec<String> = self.with(|w| w.keys().filter(|n| !names.contains(n)).cloned().collect());
        for name in gone {
            self.stop(&name).await;
            self.tell_left_behind(&name)?;
        }
        let before = Before {
            dead: pages::dead_counts(&self.deps.store.snapshot()?)?,
            log: self.newest_deliveries()?,
        };
        for definition in definitions {
            self.apply_one(definition, &before).await?;
        }
        self.count_waiting()
    }

    /// Where no worker runs, nobody else counts what waits.
    fn count_waiting(&self) -> store::Result<()> {
        if !self.deps.watch_only {
            return Ok(());
        }
        let mut counts = pages::outbox_counts(&self.deps.store.snapshot()?, COUNTED)?;
        self.with(|workers| {
            for (name, running) in workers.iter() {
                let waits = counts.remove(name).unwrap_or_default();
                running
                    .shared
                    .update(|s| (s.queued, s.oldest) = (waits.queued + waits.claimed, waits.oldest));
            }
        });
        Ok(())
    }

    async fn apply_one(&self, definition: Definition, before: &Before) -> store::Result<()> {
        let Definition { spec, built } = definition;
        let destination = Destination::of(&spec, built);
        let state = self.resume_if_changed(&spec.name, &destination.settings_hash).await?;
        let enabled =
            if spec.origin == Origin::Store { spec.enabled } else { state.enabled.unwrap_or(spec.enabled) };
        let silence = self.silence(&state, &destination.settings_hash);
        let control = Control { enabled, paused: state.paused };
        let same = |r: &Running| {
            r.destination.settings_hash == destination.settings_hash
                && r.destination.incomplete == destination.incomplete
        };
        let unchanged = self.with(|w| w.get(&spec.name).filter(|r| same(r)).map(|r| Arc::clone(&r.shared)));
        if let Some(shared) = unchanged {
            shared.control.send_if_modified(|c| {
                let differs = *c != control;
                *c = control;
                differs
            });
            return Ok(());
        }
        self.stop(&spec.name).await;
        self.start(&spec, destination, (control, silence), before).await;
        Ok(())
    }

    async fn start(
        &self,
        spec: &ConnectorSpec,
        destination: Destination,
        (control, silence): (Control, Option<Timestamp>),
        before: &Before,
    ) {
        let status = ConnectorStatus {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            origin: spec.origin.as_str().into(),
            dead: before.dead.get(&spec.name).copied().unwrap_or(0),
            last_delivered: before.newest(&spec.name, |d| d.state == DeliveryState::Delivered).map(|d| d.at),
            last_error: before
                .newest(&spec.name, |d| matches!(d.state, DeliveryState::Dead | DeliveryState::Retrying))
                .map(|d| (d.at, d.detail.clone())),
            ..ConnectorStatus::default()
        };
        let shared = Arc::new(Shared {
            wake: tokio::sync::Notify::new(),
            inbox: news::Inbox::default(),
            status: Mutex::new(status),
            control: tokio::sync::watch::Sender::new(control),
        });
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let running = Running {
            origin: spec.origin,
            destination: destination.clone(),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        if self.deps.watch_only {
            // Nobody waits for a worker that never ran.
            stopped.cancel();
            self.with(|w| w.insert(spec.name.clone(), running));
            return;
        }
        let worker = Worker::new(
            spec.name.clone(),
            destination,
            shared,
            (Arc::clone(&self.deps), Arc::clone(&self.asked)),
        )
        .silent_until(silence);
        self.with(|w| w.insert(spec.name.clone(), running));
        // The task is gone only when the program ends.
        drop(self.starts.send(Start { worker, stop, stopped }).await);
    }

    /// Stops a worker and waits until its sends in flight are answered and written.
    async fn stop(&self, name: &str) {
        let Some(running) = self.with(|w| w.remove(name)) else { return };
        running.stop.cancel();
        if !self.starts.is_closed() {
            running.stopped.cancelled().await;
        }
    }

    /// A connector that paused itself goes on when its settings have changed since.
    async fn resume_if_changed(&self, name: &str, hash: &str) -> store::Result<ConnectorState> {
        let state = self.deps.store.snapshot()?.get(&CONNECTOR_STATES, name)?.unwrap_or_default();
        if state.paused.is_none() || state.settings_hash == hash {
            return Ok(state);
        }
        self.resume_stored(name, "its settings changed").await
    }

    /// Until when its service asked for silence, under the same settings. Never longer than it may be asked for: the
    /// clock may have been set back since.
    fn silence(&self, state: &ConnectorState, hash: &str) -> Option<Timestamp> {
        let (until, of) = state.silent_until.as_ref()?;
        let most = pace::later(self.deps.now(), self.deps.horizon);
        (of == hash && *until > self.deps.now()).then(|| (*until).min(most))
    }

    /// From now on, unclaimed rows older than this go out as one digest.
    pub fn set_stale_after(&self, stale_after: Duration) {
        *self.deps.stale_after.lock().unwrap_or_else(PoisonError::into_inner) = stale_after;
    }

    /// There may be new rows for any of them.
    pub fn wake_all(&self) {
        self.with(|w| w.values().for_each(|r| r.shared.look()));
    }

    /// How every connector is doing, by name.
    pub fn status(&self) -> Vec<ConnectorStatus> {
        let line = |r: &Running| {
            let mut status = r.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // The worker may not have come to it yet: what was switched is shown at once.
            let control = r.shared.control.borrow().clone();
            worker::show_switch(&mut status, r.destination.incomplete.as_deref(), control);
            if self.deps.watch_only && status.state == "on" {
                (status.state, status.why) = ("not used".into(), WATCH_ONLY.into());
            }
            status
        };
        self.with(|w| w.values().map(line).collect())
    }

    fn shared(&self, name: &str) -> Option<Arc<Shared>> {
        self.with(|w| w.get(name).map(|r| Arc::clone(&r.shared)))
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Running>) -> T) -> T {
        // A map of handles: whole at any time.
        look(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A connector that is in no configuration any more: its messages wait for it to come back.
    fn tell_left_behind(&self, name: &str) -> store::Result<()> {
        let snapshot = self.deps.store.snapshot()?;
        let state = snapshot.get(&CONNECTOR_STATES, name)?.unwrap_or_default();
        let waiting =
            pages::outbox_counts(&snapshot, COUNTED)?.remove(name).map_or(0, |c| c.queued + c.claimed);
        if waiting > 0 && !state.removing {
            tracing::warn!(
                connector = name,
                waiting,
                "the connector is not configured any more; what waits for it stays, and goes out when it is there again"
            );
        }
        Ok(())
    }

    fn newest_deliveries(&self) -> store::Result<Vec<DeliveryRow>> {
        let snapshot = self.deps.store.snapshot()?;
        let page = pages::deliveries_back(&snapshot, None, Limits::rows(Limits::EXAMINE), &|_| true)?;
        Ok(page.rows.into_iter().map(|(_, row)| row).collect())
    }
}

impl Task {
    /// Runs the workers until `stop`; then each finishes what is on the wire, at most 5 s.
    ///
    /// # Errors
    /// A worker that died: the program should end with its name and cause.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), WorkerDied> {
        let mut workers: JoinSet<()> = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(start) = self.starts.recv() => spawn(&mut workers, start),
                Some(done) = workers.join_next() => done.map_err(|e| WorkerDied(e.to_string()))?,
            }
        }
        for running in self.workers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            running.stop.cancel();
        }
        // Nobody waits for a worker that was not started any more.
        self.starts.close();
        while let Some(start) = self.starts.recv().await {
            start.stopped.cancel();
        }
        while let Some(done) = workers.join_next().await {
            done.map_err(|e| WorkerDied(e.to_string()))?;
        }
        Ok(())
    }
}

fn spawn(workers: &mut JoinSet<()>, start: Start) {
    let Start { worker, stop, stopped } = start;
    workers.spawn(async move {
        // Also when the worker dies, so that nobody waits for it for ever.
        let _stopped = stopped.drop_guard();
        worker.run(stop).await;
    });
}

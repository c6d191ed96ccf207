//! Collects how things are, once a second, for screen, health, metrics and the socket.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    commands::check_store,
    engine::{InForce, now},
};
use crate::{
    feed::Feed,
    pipeline::Engine,
    status::{Called, Status, StoreStatus},
    store::{Store, maintain, retention},
    watch::Board,
};

/// How often it is collected; a look at the store is cheap, but not free.
const EVERY: Duration = Duration::from_secs(1);
/// A look at the store may be under way on a slow disk; an answer does not wait for it for ever.
const REFRESH_WITHIN: Duration = Duration::from_secs(5);
/// Over how many collections the rate is taken.
const RATE_OVER: usize = 10;
/// How often rows are counted.
const COUNT_EVERY: u32 = 5;

/// What connectors report; filled in by dispatch.
pub type Connectors = Arc<dyn Fn() -> Vec<crate::status::ConnectorStatus> + Send + Sync>;

/// The task that collects.
pub struct Reporter {
    store: Store,
    engine: Arc<Mutex<Engine>>,
    board: Board,
    settings: InForce,
    full: Arc<AtomicBool>,
    out: watch::Sender<Arc<Status>>,
    events: VecDeque<u64>,
    last_store: StoreStatus,
    dedup_window: Duration,
    connectors: Connectors,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    ask: Refresh,
}

/// Asks for a new status now: after it, what was just done can be seen.
#[derive(Debug, Clone)]
pub struct Refresh(mpsc::Sender<oneshot::Sender<()>>);

impl Refresh {
    /// Waits until a status was collected that is younger than this call. At an engine's end there is none any more.
    pub async fn now(&self) {
        let (done, wait) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            let _ = tokio::time::timeout(REFRESH_WITHIN, wait).await;
        }
    }
}

/// Resident memory of this process in bytes, from proc(5): `status` says kB.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}

fn began_empty(store: &Store) -> String {
    format!(
        "the store {} was there with 0 bytes, and begins anew: whatever it held is forgotten; stop and restore a backup \
         if there is one",
        store.path().display()
    )
}

impl Reporter {
    pub fn new(
        (store, engine, board): (Store, Arc<Mutex<Engine>>, Board),
        (settings, dir): (InForce, &std::path::Path),
        (mode, watch_only): (&str, bool),
        called: Called,
    ) -> Self {
        let empty = store.began_empty().then(|| began_empty(&store));
        let open = check_store::open_to_others(dir).map(|f| format!("{}: {}", f.text, f.next));
        let warnings: Vec<String> = empty.into_iter().chain(open).collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let first = Status {
            warnings,
            at: now(),
            started_at: now(),
            pid: std::process::id(),
            mode: mode.to_owned(),
            watch_only,
            called,
            ..Status::default()
        };
        // A person asks for one thing at a time.
        let (ask, asked) = mpsc::channel(4);
        Self {
            asked,
            ask: Refresh(ask),
            store,
            engine,
            board,
            settings,
            full: Arc::default(),
            out: watch::Sender::new(Arc::new(first)),
            events: VecDeque::new(),
            last_store: StoreStatus::default(),
            dedup_window: Duration::ZERO,
            connectors: Arc::new(Vec::new),
        }
    }

    /// Whether the outbox is at its cap.
    pub fn full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.full)
    }

    /// The newest status, at any time.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Status>> {
        self.out.subscribe()
    }

    /// To ask for a new status.
    pub fn refresh(&self) -> Refresh {
        self.ask.clone()
    }

    /// Where connectors' lines come from.
    pub fn with_connectors(mut self, connectors: Connectors) -> Self {
        self.connectors = connectors;
        self
    }

    /// Collects until it is stopped.
    pub async fn run(mut self, feed: broadcast::Sender<Feed>, stop: CancellationToken) {
        let mut round = 0_u32;
        let mut answers: Vec<oneshot::Sender<()>> = Vec::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    if round.is_multiple_of(COUNT_EVERY) {
                        self.look_at_store().await;
                    }
                    round = round.wrapping_add(1);
                    self.count_events();
                }
                Some(answer) = self.asked.recv() => answers.push(answer),
            }
            let status = Arc::new(self.collect());
            self.out.send_replace(Arc::clone(&status));
            let _ = feed.send(Feed::Status { status });
            for answer in answers.drain(..) {
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
        }
    }

    /// Once per tick: the rate is taken over these.
    fn count_events(&mut self) {
        self.events.push_back(Engine::counters(&self.engine).events);
        if self.events.len() > RATE_OVER + 1 {
            self.events.pop_front();
        }
    }

    async fn look_at_store(&mut self) {
        let (store, settings) = (self.store.clone(), Arc::clone(&*self.settings.lock().await));
        self.dedup_window = settings.longest_dedup_window();
        let looked = tokio::task::spawn_blocking(move || {
            let full =
                store.snapshot().and_then(|s| retention::outbox_full(&s, &settings.store)).unwrap_or(false);
            (maintain::status(&store, full, now()), full)
        });
        match looked.await {
            Ok((Ok(status), full)) => {
                let was = self.full.swap(full, Ordering::Relaxed);
                if full && !was {
                    tracing::error!(
                        "the outbox is at its cap (store.outbox_max_bytes): reading from the clusters stops until messages \
                         are taken; see `barrelman deliveries list`"
                    );
                } else if was && !full {
                    tracing::info!("there is room in the outbox again: reading from the clusters goes on");
                }
                self.last_store = status;
            }
            Ok((Err(error), _)) => {
                self.last_store = maintain::unreadable(&self.last_store, &self.store, &error);
            }
            Err(error) => tracing::warn!(%error, "the store's state could not be read"),
        }
    }

    fn collect(&mut self) -> Status {
        let mut pipeline = Engine::counters(&self.engine);
        let (first, steps) = (self.events.front().copied().unwrap_or(0), self.events.len().saturating_sub(1));
        if steps > 0 {
            pipeline.rate = pipeline.events.saturating_sub(first) as f64 / steps as f64 / EVERY.as_secs_f64();
        }
        let objects = Engine::objects_of(&self.engine);
        let mut clusters = self.board.snapshot();
        for cluster in &mut clusters {
            cluster.objects = objects.get(&cluster.uid).copied().unwrap_or(0);
        }
        let previous = Arc::clone(&self.out.borrow());
        let mut store = self.last_store.clone();
        // That it fails is known at once, not with the next look.
        store.error = maintain::trouble(&self.store).or(store.error);
        Status {
            at: now(),
            clusters,
            connectors: (self.connectors)(),
            store,
            pipeline,
            memory: resident(),
            dedup_window_secs: self.dedup_window.as_secs(),
            ..(*previous).clone()
        }
    }
}

//! Builds and runs the engine: watches, pipeline, store, dispatch; and stops them in order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{status::Reporter, tasks::Tasks};
use crate::{
    config::Settings,
    event::ClusterUid,
    feed::{FEED_CAPACITY, Feed},
    object::Said,
    pipeline::{Engine, EngineConfig, Handles, Input, Target},
    status::Status,
    store::{META, Read, Store, retention},
    watch::{self as watching, Board},
};

/// The one place that reads the clock.
#[allow(clippy::disallowed_methods, reason = "only app reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Inputs of other parts to the pipeline; each is rare.
const INPUTS: usize = 64;
/// A stop must not hang on a watch that does not end.
const WATCH_STOP: Duration = Duration::from_secs(5);

/// A running engine.
pub struct Running {
    /// The store.
    pub store: Store,
    /// What is committed.
    pub feed: broadcast::Sender<Feed>,
    /// How things are.
    pub status: watch::Receiver<Arc<Status>>,
    /// Its tasks.
    pub tasks: Tasks,
    pub(super) engine: Arc<Mutex<Engine>>,
    pub(super) inputs: mpsc::Sender<Input>,
    board: Board,
    /// Asks the cluster about one object.
    pub ask: watching::Handle,
    said: mpsc::Sender<Vec<Said>>,
    watching: Option<Watching>,
    stop_pipeline: CancellationToken,
    pub(super) stop_rest: CancellationToken,
}

struct Watching {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

/// What the pipeline needs of the settings.
pub(super) fn engine_config(settings: &Settings) -> Arc<EngineConfig> {
    Arc::new(EngineConfig {
        incidents: settings.incidents.clone(),
        types: settings.types.clone(),
        ignore: settings.ignore.clone(),
        watch_only: settings.watch_only,
    })
}

impl Running {
    /// Opens the store and starts everything.
    pub fn start(settings: &Settings, targets: Arc<[Target]>, mode: &str) -> Result<Self> {
        let store = Store::open(&settings.store.dir)?;
        let snapshot = store.snapshot()?;
        let engine = Engine::load(&snapshot, engine_config(settings), targets)?;
        drop(snapshot);
        let engine = Arc::new(Mutex::new(engine));
        let (feed, _) = broadcast::channel(FEED_CAPACITY);
        let (inputs, inputs_out) = mpsc::channel(INPUTS);
        let (said, said_out) = mpsc::channel(watching::CHANNEL);
        let board = Board::default();
        let (stop_pipeline, stop_rest) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = Tasks::default();
        let reporter = Reporter::new(
            (store.clone(), Arc::clone(&engine), board.clone()),
            settings.store.clone(),
            (mode, settings.watch_only),
        );
        let full = reporter.full();
        let handles = Handles {
            store: store.clone(),
            engine: Arc::clone(&engine),
            said: said_out,
            inputs: inputs_out,
            feed: feed.clone(),
            wake: Arc::new(|_| {}),
            clock: Arc::new(now),
            full: Arc::new(move || full.load(std::sync::atomic::Ordering::Relaxed)),
            stop: stop_pipeline.clone(),
        };
        tasks.run("pipeline", crate::pipeline::run(handles));
        let status = reporter.subscribe();
        tasks.run("status", reporter.run(feed.clone(), stop_rest.clone()));
        let limits = retention::Retention::new(&settings.store, settings.delivery.horizon);
        tasks.run("retention", sweep(store.clone(), limits, settings.watch.poll_interval, stop_rest.clone()));
        let mut running = Self {
            store,
            feed,
            status,
            tasks,
            engine,
            inputs,
            board,
            ask: watching::handle().0,
            said,
            watching: None,
            stop_pipeline,
            stop_rest,
        };
        running.watch(settings)?;
        Ok(running)
    }

    /// Starts the watches, on a thread of their own.
    pub(super) fn watch(&mut self, settings: &Settings) -> Result<()> {
        let options = watching::Options {
            clusters: settings.clusters.clone(),
            watch: settings.watch.clone(),
            hash_key: hash_key(&self.store)?,
            known_uids: known_uids(&self.store)?,
            clock: now,
        };
        let stop = CancellationToken::new();
        let (ask, questions) = watching::handle();
        self.ask = ask;
        let links = watching::Links {
            out: self.said.clone(),
            board: self.board.clone(),
            questions,
            cancel: stop.clone(),
        };
        let (ended, wait) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || {
                let _ = ended.send(watching::run(options, links));
            })
            .context("cannot start the thread of the watches")?;
        self.tasks.start("watch", async move {
            match wait.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the thread of the watches panicked".to_owned()),
            }
        });
        self.watching = Some(Watching { stop, thread });
        Ok(())
    }

    /// Ends the watches and waits for them.
    pub(super) async fn stop_watching(&mut self) {
        let Some(watching) = self.watching.take() else { return };
        watching.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || watching.thread.join());
        let _ = tokio::time::timeout(WATCH_STOP, joined).await;
    }

    /// Stops in order: watches, pipeline (drained and committed), the rest, the store.
    pub async fn stop(mut self) {
        self.stop_watching().await;
        self.stop_pipeline.cancel();
        while let Some((name, result)) = self.tasks.ended().await {
            if let Err(error) = result {
                tracing::warn!(task = name, %error, "a task failed while stopping");
            }
            if name == "pipeline" {
                break;
            }
        }
        self.stop_rest.cancel();
        let all = async { while self.tasks.ended().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(6), all).await.is_err() {
            self.tasks.abort().await;
        }
        let Self { store, engine, .. } = self;
        drop(engine);
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }

    /// Other incident settings or connectors, without restarting anything else.
    pub(super) fn configure(&self, settings: &Settings, targets: Arc<[Target]>) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.configure(engine_config(settings), targets);
    }
}

async fn sweep(store: Store, limits: retention::Retention, every: Duration, stop: CancellationToken) {
    loop {
        match retention::sweep(&store, limits.clone(), now()).await {
            Ok(evicted) => {
                let evicted: BTreeMap<_, _> = evicted.into_iter().filter(|(_, n)| *n > 0).collect();
                if !evicted.is_empty() {
                    tracing::info!(?evicted, "old rows were evicted");
                }
            }
            Err(error) => tracing::warn!(%error, "old rows could not be evicted"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

fn hash_key(store: &Store) -> Result<[u8; 32]> {
    let text = store.snapshot()?.get(&META, "hash_key")?;
    let text = text
        .and_then(|v| v.as_str().map(str::to_owned))
        .ok_or_else(|| anyhow!("the store has no hash key"))?;
    hex::decode(text)?.try_into().map_err(|_| anyhow!("the store's hash key has not 32 bytes"))
}

fn known_uids(store: &Store) -> Result<BTreeMap<String, ClusterUid>> {
    let rows = store.snapshot()?.all(&META, "context\0")?;
    let uid = |v: serde_json::Value| v.as_str().map(|uid| ClusterUid(uid.to_owned()));
    Ok(rows
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("context\0")?.to_owned(), uid(value)?)))
        .collect())
}

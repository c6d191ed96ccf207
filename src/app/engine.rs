//! Builds and runs the engine: watches, pipeline, store, dispatch; and stops them in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    actions::{Desk, REQUESTS},
    connectors::{self, Workshop},
    lines::FromCluster,
    observe::Observe,
    outward::{self, Outward},
    status::{Refresh, Reporter},
    tasks::Tasks,
};
use crate::{
    config::Settings,
    connector::Pages,
    dispatch::{Deps, Dispatcher},
    event::ClusterUid,
    feed::{FEED_CAPACITY, Feed, Reply},
    object::Said,
    pipeline::{self, Engine, EngineConfig, Handles, Input, Target},
    server::Request,
    status::{Called, Status},
    store::{self, META, Read, Store, retention},
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
/// How long a forwarder waits for a store that somebody else holds.
const HELD_FOR: Duration = Duration::from_secs(2);
/// Sends in flight get this long, and a little more to be written down.
const DISPATCH_STOP: Duration = Duration::from_secs(7);

/// What is asked of whoever owns the engine.
#[derive(Debug)]
pub enum Command {
    /// List everything again.
    RestartWatches,
    /// Read the configuration again, and tell whoever asked what came of it.
    Reload(Option<oneshot::Sender<Reply>>),
}

/// The settings in force: a reload puts others in their place.
pub type InForce = Arc<tokio::sync::Mutex<Arc<Settings>>>;

/// Handles of a running engine, for those who act on it.
pub struct Control {
    engine: Arc<Mutex<Engine>>,
    status: watch::Receiver<Arc<Status>>,
    ask: Arc<Mutex<watching::Handle>>,
    /// Whether the last lines of containers are read.
    logs: Arc<AtomicBool>,
    commands: mpsc::Sender<Command>,
}

impl Control {
    /// Lists everything again.
    pub fn restart_watches(&self) {
        // A full queue holds the same command already.
        let _ = self.commands.try_send(Command::RestartWatches);
    }

    /// Reads the configuration again; what came of it, once that is known.
    pub async fn reload(&self) -> Reply {
        let (answer, told) = oneshot::channel();
        if self.commands.send(Command::Reload(Some(answer))).await.is_err() {
            return Reply::Failed("the engine is stopping".to_owned());
        }
        told.await.unwrap_or_else(|_| Reply::Failed("the engine is stopping".to_owned()))
    }

    /// The newest status.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Asks the cluster about one object.
    pub fn ask(&self) -> watching::Handle {
        self.ask.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what no setting changes: for tests that cannot wait.
    pub fn tune(&self, change: impl FnOnce(&mut EngineConfig)) {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).tune(change);
    }

    /// Other incident settings or connectors.
    pub fn configure(&self, settings: &Settings, targets: Arc<[Target]>) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.configure(engine_config(settings), targets);
        self.logs.store(settings.incidents.logs, Ordering::Relaxed);
    }
}

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
    /// To act on it.
    pub control: Arc<Control>,
    /// What its owner is asked to do.
    pub commands: mpsc::Receiver<Command>,
    /// Where actions go.
    pub requests: mpsc::Sender<Request>,
    /// Ends whatever runs beside watches, pipeline and dispatch.
    pub stop_rest: CancellationToken,
    pub(super) dispatcher: Dispatcher,
    pub(super) workshop: Workshop,
    pub(super) refresh: Refresh,
    pub(super) settings: InForce,
    pub(super) outward: Outward,
    board: Board,
    said: mpsc::Sender<Vec<Said>>,
    watching: Option<Watching>,
    stop_pipeline: CancellationToken,
    stop_dispatch: CancellationToken,
}

struct Watching {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<()>,
}

/// What the pipeline needs of the settings.
pub fn engine_config(settings: &Settings) -> Arc<EngineConfig> {
    Arc::new(EngineConfig {
        incidents: settings.incidents.clone(),
        types: settings.types.clone(),
        ignore: settings.ignore.clone(),
        watch_only: settings.watch_only,
        away: pipeline::AWAY,
        // `start` and `reconfigure` refuse what cannot be used.
        pages: Arc::new(Pages::new(&settings.incidents).unwrap_or_default()),
        by_context: !settings.clusters.contexts.is_empty(),
    })
}

/// A command that looks at what a killed process left holds the file for a moment, to repair it; a forwarder that is
/// being restarted waits for that.
async fn open_store(settings: &Settings, mode: &str) -> Result<Store> {
    // A file that was taken away from an engine must not be made anew under it.
    if !store::maintain::file_of(&settings.store.dir).exists() {
        crate::server::attach::nobody(&settings.store.dir).await?;
    }
    let deadline = tokio::time::Instant::now() + HELD_FOR;
    loop {
        match Store::open(&settings.store.dir) {
            Err(store::Error::Held(_)) if mode == "forward" && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(HELD_FOR / 20).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// Only for who looks on: a full disk is no reason not to start.
async fn sign(store: &Store, watch_only: bool) {
    let signed = store::Whose { pid: std::process::id(), watch_only };
    if let Err(error) = store::sign(store, signed).await {
        tracing::warn!(%error, "the engine could not sign the store");
    }
}

impl Running {
    /// Opens the store and starts everything.
    pub async fn start(settings: Settings, mode: &str, called: Called) -> Result<Self> {
        connectors::check_pages(&settings)?;
        let store = open_store(&settings, mode).await?;
        sign(&store, settings.watch_only).await;
        let workshop = Workshop::new(&settings)?;
        let wired = connectors::wire(&settings, &store, &workshop)?;
        let engine = Engine::load(&store.snapshot()?, engine_config(&settings), wired.targets)?;
        let engine = Arc::new(Mutex::new(engine));
        let (feed, _) = broadcast::channel(FEED_CAPACITY);
        let (inputs, inputs_out) = mpsc::channel(INPUTS);
        let (said, said_out) = mpsc::channel(watching::CHANNEL);
        let (commands, commands_out) = mpsc::channel(4);
        let (requests, requests_out) = mpsc::channel(REQUESTS);
        let board = Board::default();
        let (stop_pipeline, stop_dispatch, stop_rest) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let mut tasks = Tasks::default();
        let ask = Arc::new(Mutex::new(watching::handle().0));
        let logs = Arc::new(AtomicBool::new(settings.incidents.logs));
        let lines = FromCluster { ask: Arc::clone(&ask), wanted: Arc::clone(&logs) };
        let observe = Observe::new(feed.clone(), inputs.clone());
        let dispatcher = start_dispatch((&settings, &store), (observe, lines), &mut tasks, &stop_dispatch);
        let seen = (store.clone(), Arc::clone(&engine), board.clone());
        let in_force: InForce = Arc::new(tokio::sync::Mutex::new(Arc::new(settings.clone())));
        let known = (Arc::clone(&in_force), settings.store.dir.as_path());
        let reporter = Reporter::new(seen, known, (mode, settings.watch_only), called)
            .with_connectors(lines_of(&dispatcher));
        let full: Arc<AtomicBool> = reporter.full();
        let handles = Handles {
            store: store.clone(),
            engine: Arc::clone(&engine),
            said: said_out,
            inputs: inputs_out,
            feed: feed.clone(),
            hand: hand_to(&dispatcher),
            clock: Arc::new(now),
            full: Arc::new(move || full.load(Ordering::Relaxed)),
            stop: stop_pipeline.clone(),
        };
        tasks.run("pipeline", crate::pipeline::run(handles));
        let (status, refresh) = (reporter.subscribe(), reporter.refresh());
        tasks.run("status", reporter.run(feed.clone(), stop_rest.clone()));
        start_rest(&in_force, (&store, &status, inputs), &mut tasks, &stop_rest);
        let control = Arc::new(Control { engine, status: status.clone(), ask, logs, commands });
        let desk = Desk {
            store: store.clone(),
            dispatcher: dispatcher.clone(),
            workshop: workshop.clone(),
            settings: Arc::clone(&in_force),
            control: Arc::clone(&control),
            refresh: refresh.clone(),
            changing: tokio::sync::Mutex::default(),
        };
        start_desk(desk, requests_out, &mut tasks, stop_rest.clone());
        dispatcher.apply(wired.definitions).await?;
        let mut running = Self {
            store,
            feed,
            status,
            tasks,
            control,
            commands: commands_out,
            requests,
            stop_rest,
            dispatcher,
            workshop,
            refresh,
            settings: in_force,
            outward: Outward::default(),
            board,
            said,
            watching: None,
            stop_pipeline,
            stop_dispatch,
        };
        running.watch().await?;
        Ok(running)
    }

    /// Starts the watches, on a thread of their own.
    async fn watch(&mut self) -> Result<()> {
        let settings = Arc::clone(&*self.settings.lock().await);
        let options = watching::Options {
            clusters: settings.clusters.clone(),
            watch: settings.watch.clone(),
            hash_key: hash_key(&self.store)?,
            known_uids: known_uids(&self.store)?,
            clock: now,
            stored: Some(stored_in(&self.control.engine)),
        };
        let (ask, questions) = watching::handle();
        *self.control.ask.lock().unwrap_or_else(PoisonError::into_inner) = ask;
        let stop = CancellationToken::new();
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

    /// Ends the watches and starts them anew: everything is listed again and compared.
    pub async fn restart_watches(&mut self) -> Result<()> {
        self.stop_watching().await;
        self.watch().await
    }

    /// The settings in force.
    pub async fn settings(&self) -> Arc<Settings> {
        Arc::clone(&*self.settings.lock().await)
    }

    async fn stop_watching(&mut self) {
        let Some(watching) = self.watching.take() else { return };
        watching.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || watching.thread.join());
        if tokio::time::timeout(WATCH_STOP, joined).await.is_err() {
            tracing::warn!("the watches did not end in time; they are left behind");
        }
    }

    /// What its owner is asked to do next; an error when a task ended without being asked to, because the engine
    /// cannot go on then. Cancel safe.
    pub async fn next(&mut self) -> Result<Command> {
        loop {
            let ended = tokio::select! {
                Some(command) = self.commands.recv() => return Ok(command),
                error = self.store.broken() => return Err(error.into()),
                ended = self.tasks.ended() => ended,
            };
            match ended {
                // Watches end when they are restarted.
                Some((name, Ok(()))) if name == "watch" || outward::REPLACED.contains(&name) => {}
                Some((name, Ok(()))) => return Err(anyhow!("{name} ended unexpectedly")),
                Some((name, Err(error))) => return Err(anyhow!("{name} died: {error}")),
                None => return Err(anyhow!("every task has ended")),
            }
        }
    }

    /// Stops in order: watches, pipeline (drained and committed), sends in flight, the rest, the store.
    pub async fn stop(mut self) {
        self.stop_watching().await;
        self.stop_pipeline.cancel();
        self.wait_for("pipeline", DISPATCH_STOP).await;
        self.stop_dispatch.cancel();
        self.wait_for("dispatch", DISPATCH_STOP).await;
        self.stop_rest.cancel();
        let all = async { while self.tasks.ended().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(2), all).await.is_err() {
            self.tasks.abort().await;
        }
        let Self { store, control, dispatcher, requests, .. } = self;
        drop((control, dispatcher, requests));
        let closing = tokio::task::spawn_blocking(move || store.close());
        let _ = tokio::time::timeout(WATCH_STOP, closing).await;
    }

    async fn wait_for(&mut self, task: &str, most: Duration) {
        let ended = async {
            while let Some((name, result)) = self.tasks.ended().await {
                if let Err(error) = result {
                    tracing::warn!(task = name, %error, "a task failed while stopping");
                }
                if name == task {
                    return;
                }
            }
        };
        if tokio::time::timeout(most, ended).await.is_err() {
            tracing::warn!(task, "did not end in time");
        }
    }
}

fn start_dispatch(
    (settings, store): (&Settings, &Store),
    (observe, lines): (Observe, FromCluster),
    tasks: &mut Tasks,
    stop: &CancellationToken,
) -> Dispatcher {
    let (dispatcher, dispatch) = Dispatcher::new(Deps {
        store: store.clone(),
        clock: Arc::new(now),
        horizon: settings.delivery.horizon,
        stale_after: settings.incidents.stale_after.into(),
        observer: Arc::new(observe),
        lines: Some(Arc::new(lines)),
        watch_only: settings.watch_only,
    });
    let stop = stop.clone();
    tasks.start("dispatch", async move { dispatch.run(stop).await.map_err(|e| e.to_string()) });
    dispatcher
}

/// What looks after the store and the connectors now and then.
fn start_rest(
    settings: &InForce,
    (store, status, inputs): (&Store, &watch::Receiver<Arc<Status>>, mpsc::Sender<Input>),
    tasks: &mut Tasks,
    stop: &CancellationToken,
) {
    tasks.run("retention", sweep(store.clone(), Arc::clone(settings), stop.clone()));
    let seen = (store.clone(), status.clone());
    tasks.run("slow connectors", super::observe::slow(seen, inputs, stop.clone()));
}

fn lines_of(dispatcher: &Dispatcher) -> super::status::Connectors {
    let dispatcher = dispatcher.clone();
    Arc::new(move || dispatcher.status())
}

fn hand_to(dispatcher: &Dispatcher) -> pipeline::Hand {
    let dispatcher = dispatcher.clone();
    Arc::new(move |name, rows| dispatcher.hand(name, rows))
}

fn start_desk(desk: Desk, requests: mpsc::Receiver<Request>, tasks: &mut Tasks, stop: CancellationToken) {
    tasks.run("actions", async move {
        tokio::select! { () = desk.run(requests) => {}, () = stop.cancelled() => {} }
    });
}

async fn sweep(store: Store, settings: InForce, stop: CancellationToken) {
    loop {
        let settings = Arc::clone(&*settings.lock().await);
        let limits = retention::Retention::new(&settings.store, settings.delivery.horizon);
        match retention::sweep(&store, limits, now()).await {
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
            () = tokio::time::sleep(settings.watch.poll_interval) => {}
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

/// What is stored of a stream's scope: where a selector is set, the watch asks for each object that is not listed any
/// more whether it is gone, or only out of scope.
fn stored_in(engine: &Arc<Mutex<Engine>>) -> watching::Stored {
    let engine = Arc::clone(engine);
    Arc::new(move |stream| engine.lock().unwrap_or_else(PoisonError::into_inner).known_in(stream))
}

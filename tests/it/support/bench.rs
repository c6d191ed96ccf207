//! A dispatcher over a real store, with a clock that the test can move.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use barrelman::{
    config::{ConnectorSpec, Origin},
    connector::{Clock, HttpClients, Notification, build, samples},
    dispatch::{Definition, Deps, Dispatcher, LastLines, Nobody, Observer, WorkerDied},
    event::{EventType, IncidentId, NotificationId, incident::Phase},
    status::ConnectorStatus,
    store::{DEAD, DELIVERIES, DeadLetter, DeliveryRow, OUTBOX, OutboxRow, Read, Store, keys},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connectors::{at, settings};

pub struct Bench {
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub stop: CancellationToken,
    task: JoinHandle<Result<(), WorkerDied>>,
    offset_ms: Arc<AtomicI64>,
    started: tokio::time::Instant,
    clients: HttpClients,
}

/// Remembers the changes of state it was told of.
#[derive(Default)]
pub struct Watcher(pub Mutex<Vec<(String, String)>>);
impl Observer for Watcher {
    fn state_changed(&self, status: &ConnectorStatus) {
        self.0.lock().unwrap().push((status.name.clone(), status.state.clone()));
    }
}

impl Bench {
    pub fn open(dir: &Path) -> Bench {
        Self::watched(dir, Arc::new(Nobody))
    }

    pub fn watched(dir: &Path, observer: Arc<dyn Observer>) -> Bench {
        Self::with(dir, observer, None)
    }

    pub fn with(dir: &Path, observer: Arc<dyn Observer>, lines: Option<Arc<dyn LastLines>>) -> Bench {
        Self::start(dir, (observer, lines), false)
    }

    /// Nothing is sent.
    pub fn watch_only(dir: &Path) -> Bench {
        Self::start(dir, (Arc::new(Nobody), None), true)
    }

    #[allow(clippy::disallowed_methods)]
    fn start(
        dir: &Path,
        (observer, lines): (Arc<dyn Observer>, Option<Arc<dyn LastLines>>),
        watch_only: bool,
    ) -> Bench {
        let store = Store::open(dir).unwrap();
        let offset_ms = Arc::new(AtomicI64::new(0));
        let started = tokio::time::Instant::now();
        let clock: Clock = {
            let offset = Arc::clone(&offset_ms);
            Arc::new(move || {
                let real = SignedDuration::try_from(started.elapsed()).unwrap();
                at() + real + SignedDuration::from_millis(offset.load(Ordering::SeqCst))
            })
        };
        let clients = HttpClients::new(&settings(), Arc::clone(&clock)).unwrap();
        let (horizon, stale_after) = (settings().horizon, Duration::from_secs(3600).into());
        let (dispatcher, task) = Dispatcher::new(Deps {
            store: store.clone(),
            clock,
            horizon,
            stale_after,
            observer,
            lines,
            watch_only,
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(task.run(stop.clone()));
        Bench { store, dispatcher, stop, task, offset_ms, started, clients }
    }

    pub fn now(&self) -> Timestamp {
        let real = SignedDuration::try_from(self.started.elapsed()).unwrap();
        at() + real + SignedDuration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Moves the clock and lets everybody look at it.
    pub fn advance(&self, by: Duration) {
        self.offset_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        self.dispatcher.wake_all();
    }

    pub fn definition(&self, name: &str, kind: &str, config: &Value) -> Definition {
        let config = config.as_object().unwrap().clone();
        let spec = ConnectorSpec {
            name: name.into(),
            kind: kind.into(),
            enabled: true,
            config,
            origin: Origin::File,
        };
        Definition { built: build(&spec, &self.clients), spec }
    }

    pub async fn apply(&self, connectors: &[(&str, &str, Value)]) {
        let definitions = connectors.iter().map(|(n, k, c)| self.definition(n, k, c)).collect();
        self.dispatcher.apply(definitions).await.unwrap();
    }

    /// Commits rows, as the pipeline does, and wakes the connector.
    pub async fn put(&self, notifications: Vec<Notification>) -> Vec<u64> {
        let now = self.now();
        self.put_due(notifications, now).await
    }

    pub async fn put_due(&self, notifications: Vec<Notification>, due_at: Timestamp) -> Vec<u64> {
        let rows = self.commit(notifications, due_at).await;
        self.dispatcher.wake_all();
        rows.iter().map(|row| row.seq).collect()
    }

    /// Commits rows of one connector and hands them to it.
    pub async fn hand(&self, connector: &str, notifications: Vec<Notification>) {
        let rows = self.commit(notifications, self.now()).await;
        self.dispatcher.hand(connector, Some(rows));
    }

    async fn commit(&self, notifications: Vec<Notification>, due_at: Timestamp) -> Vec<Arc<OutboxRow>> {
        let commit = self.store.write(move |tx| {
            let mut rows = Vec::new();
            for notification in notifications {
                let seq = tx.next_seq()?;
                let row = OutboxRow { seq, notification, due_at, claim: None };
                tx.put(&OUTBOX, &keys::outbox(&row.notification.connector, seq), &row)?;
                rows.push(Arc::new(row));
            }
            Ok(rows)
        });
        commit.await.unwrap()
    }

    /// The numbers of the dead letters.
    pub fn dead_seqs(&self) -> Vec<u64> {
        let mut seqs = Vec::new();
        let mut each = |seq, _: DeadLetter| {
            seqs.push(seq);
            true
        };
        self.store.snapshot().unwrap().read_log(&DEAD, 0, &mut each).unwrap();
        seqs
    }

    /// One message about an incident.
    pub fn message(&self, connector: &str, incident: &str, phase: Phase) -> Notification {
        let mut notification = samples::notification(EventType::PodCrashLoop, phase, connector);
        if let Some(facts) = notification.incident.as_mut() {
            facts.id = IncidentId::from(incident);
        } else {
            notification.event.object.uid = incident.to_owned();
        }
        notification.id = NotificationId::new(connector, incident, phase.as_str(), 0);
        notification.event.title = format!("{incident} {}", phase.as_str());
        notification.created_at = self.now();
        notification
    }

    pub fn outbox(&self, connector: &str) -> Vec<OutboxRow> {
        let rows = self.store.snapshot().unwrap().all(&OUTBOX, &keys::prefix(&[connector])).unwrap();
        rows.into_iter().map(|(_, row)| row).collect()
    }

    pub fn deliveries(&self) -> Vec<DeliveryRow> {
        let mut rows = Vec::new();
        self.store
            .snapshot()
            .unwrap()
            .read_log(&DELIVERIES, 0, &mut |_, row| {
                rows.push(row);
                true
            })
            .unwrap();
        rows
    }

    pub fn status(&self, name: &str) -> ConnectorStatus {
        self.dispatcher.status().into_iter().find(|s| s.name == name).unwrap()
    }

    /// Stops in order and closes the file.
    pub async fn close(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        drop(self.dispatcher);
        self.store.close();
    }

    /// As a kill: nothing is finished.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
        drop(self.dispatcher);
        self.store.close();
    }
}

/// Waits until it holds, at most 20 s; then says what did not.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 20 s: {what}");
}

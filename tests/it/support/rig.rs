//! The pipeline on a clock of the test's own: a simulated cluster is written to, its changes are said to a real
//! engine over a real store, time is moved from one due thing to the next, and what is due in the outbox is taken as
//! a sink would take it. Nothing sleeps, and every run is the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use barrelman::{
    app,
    config::{Settings, Sources, resolve},
    connector::{HttpClients, Notification, build},
    demo::{Cluster, Options, Sim},
    event::{ClusterUid, Event, EventType, Kind, Severity, incident::Incident, incident::Phase},
    feed::Feed,
    object::{Object, ObjectKey, Said, StreamId},
    pipeline::{Engine, Input, Target},
    status::StreamState,
    store::{
        self, DELIVERIES, DeliveryRow, EVENTS, INCIDENTS, MEMBERS, OUTBOX, OutboxRow, Read, Store, TOLD, keys,
    },
    watch,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::noon;

/// One webhook that takes everything there is to take of incidents.
pub const HOOK: &str = r#"
[[connectors]]
name = "hook"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
"#;

/// A message that a sink has taken.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Timestamp,
    pub message: Notification,
}

/// One watched cluster of a rig.
pub struct Watched {
    pub cluster: Cluster,
    pub sim: Option<Sim>,
    pub uid: ClusterUid,
    pub name: String,
    seen: BTreeMap<ObjectKey, (String, String, Object)>,
    revision: u64,
    /// Kinds whose watch is refused.
    pub shut: Vec<Kind>,
    /// Namespaces that are watched; empty = all.
    pub namespaces: Vec<String>,
}

pub struct Rig {
    clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
    store: Option<Store>,
    engine: Arc<Mutex<Engine>>,
    pub settings: Settings,
    pub watched: Vec<Watched>,
    pub sent: Vec<Sent>,
    /// What the engine told the screen since it was last taken.
    pub news: Vec<Feed>,
    /// A sink that is down takes nothing.
    pub sink_up: bool,
    /// Commits fail for so many times.
    pub failing: u32,
    /// How many rows the engine read in all its transactions.
    pub rows_read: u64,
}

pub fn settings(toml: &str, dir: &std::path::Path) -> Settings {
    let file = Some(("test.toml".to_owned(), toml.to_owned()));
    let sources = Sources { file, default_data_dir: dir.to_owned(), ..Sources::default() };
    resolve(&sources).unwrap_or_else(|e| panic!("{e}")).settings
}

fn targets(settings: &Settings) -> Arc<[Target]> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clients = HttpClients::new(&settings.delivery, Arc::new(noon)).unwrap();
    let target = |spec: &barrelman::config::ConnectorSpec| {
        let built = build(spec, &clients).unwrap_or_else(|e| panic!("{e:?}"));
        app::target(spec, &built.common, settings)
    };
    settings.connectors.iter().filter(|c| c.enabled).map(target).collect()
}

impl Rig {
    /// The simulated shop, watched since a moment ago by a first start.
    pub fn shop() -> Rig {
        Rig::shop_with(HOOK)
    }

    pub fn shop_with(toml: &str) -> Rig {
        let mut rig = Rig::empty(toml);
        rig.add("shop", |cluster| Some(Sim::demo(cluster, noon(), 1.0)));
        rig.start();
        rig.advance(1);
        rig
    }

    /// Without a cluster.
    pub fn empty(toml: &str) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(toml, dir.path());
        let store = Store::open(dir.path()).unwrap();
        let config = app::engine_config(&settings);
        let engine = Engine::load(&store.snapshot().unwrap(), config, targets(&settings)).unwrap();
        Rig {
            clock: Arc::new(AtomicI64::new(noon().as_millisecond())),
            dir,
            store: Some(store),
            engine: Arc::new(Mutex::new(engine)),
            settings,
            watched: Vec::new(),
            sent: Vec::new(),
            news: Vec::new(),
            sink_up: true,
            failing: 0,
            rows_read: 0,
        }
    }

    /// A cluster with no life of its own but what `live` gives it.
    pub fn add(&mut self, name: &str, live: impl FnOnce(Cluster) -> Option<Sim>) -> usize {
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || Timestamp::from_millisecond(clock.load(Ordering::Relaxed)).unwrap());
        let seed = self.watched.len() as u64 + 7;
        let cluster = Cluster::new(Options { name: name.to_owned(), ..Options::new(seed, clock) });
        let sim = live(cluster.clone());
        let uid = cluster.get("namespaces", "", "kube-system").unwrap()["metadata"]["uid"].clone();
        let uid = ClusterUid(uid.as_str().unwrap().to_owned());
        self.watched.push(Watched {
            cluster,
            sim,
            uid,
            name: name.to_owned(),
            seen: BTreeMap::new(),
            revision: 0,
            shut: Vec::new(),
            namespaces: Vec::new(),
        });
        self.watched.len() - 1
    }

    /// Where the store is.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The store itself, for who reads it as the screen does.
    pub fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::Relaxed)).unwrap()
    }

    pub fn cluster(&self) -> &Cluster {
        &self.watched[0].cluster
    }

    /// What happens now in the simulated shop.
    pub fn sim(&mut self) -> &mut Sim {
        let now = self.now();
        let sim = self.watched[0].sim.as_mut().unwrap();
        sim.advance(now);
        sim
    }

    /// Lists everything of every cluster, as watches do that have just begun or begun again.
    pub fn start(&mut self) {
        for index in 0..self.watched.len() {
            let said = self.watched[index].list();
            self.process(said);
        }
        self.deliver();
    }

    /// The process ends and begins again; nobody has watched since.
    pub fn restart(&mut self) {
        self.stop();
        self.begin();
        self.start();
    }

    pub fn stop(&mut self) {
        self.store.take().unwrap().close();
    }

    /// A reload of the configuration, which the pipeline takes up between two batches.
    pub fn reconfigure(&mut self, toml: &str) {
        self.settings = settings(toml, self.dir.path());
        let config = app::engine_config(&self.settings);
        self.engine.lock().unwrap().configure(config, targets(&self.settings));
    }

    /// A new process has read its store and reached no cluster yet.
    pub fn begin(&mut self) {
        let store = Store::open(self.dir.path()).unwrap();
        let config = app::engine_config(&self.settings);
        let engine = Engine::load(&store.snapshot().unwrap(), config, targets(&self.settings)).unwrap();
        self.store = Some(store);
        self.engine = Arc::new(Mutex::new(engine));
    }

    /// Time goes by, from one due thing to the next.
    pub fn advance(&mut self, secs: i64) {
        let end = self.now() + SignedDuration::from_secs(secs);
        self.watch();
        loop {
            let soon = self.now() + SignedDuration::from_millis(1);
            let next = self.engine.lock().unwrap().next_due().into_iter();
            let next = next.chain(self.watched.iter().filter_map(|w| w.sim.as_ref()?.next_due()));
            let waiting = if self.sink_up { self.outbox() } else { Vec::new() };
            let next = next.chain(waiting.into_iter().map(|row| row.due_at)).min().unwrap_or(end);
            let at = next.max(soon).min(end);
            self.clock.store(at.as_millisecond(), Ordering::Relaxed);
            for watched in &mut self.watched {
                if let Some(sim) = &mut watched.sim {
                    sim.advance(at);
                }
            }
            self.watch();
            if at >= end {
                return;
            }
        }
    }

    /// Time goes by in the clusters while nobody watches.
    pub fn unwatched(&mut self, secs: i64) {
        let at = self.now() + SignedDuration::from_secs(secs);
        self.clock.store(at.as_millisecond(), Ordering::Relaxed);
        for watched in &mut self.watched {
            if let Some(sim) = &mut watched.sim {
                sim.advance(at);
            }
        }
    }

    /// Time goes by while nothing can be seen of any cluster.
    pub fn say_for(&mut self, secs: i64) {
        let end = self.now() + SignedDuration::from_secs(secs);
        while self.now() < end {
            let next = self.engine.lock().unwrap().next_due().unwrap_or(end);
            let at = next.max(self.now() + SignedDuration::from_millis(1)).min(end);
            self.clock.store(at.as_millisecond(), Ordering::Relaxed);
            self.say(Vec::new());
        }
    }

    /// The engine notes that it runs, as it does every few seconds.
    pub fn alive(&mut self) {
        let (engine, now) = (Arc::clone(&self.engine), self.now());
        let noted =
            self.store.as_ref().unwrap().write_blocking(move |tx| engine.lock().unwrap().alive(tx, now));
        noted.unwrap();
    }

    /// What changed is said, what is due is done, what is to be sent is taken.
    pub fn watch(&mut self) {
        let mut said = Vec::new();
        for watched in &mut self.watched {
            said.extend(watched.changes());
        }
        let due = self.engine.lock().unwrap().next_due().is_some_and(|at| at <= self.now());
        if due || !said.is_empty() {
            self.process(said);
        }
        self.deliver();
    }

    /// Says something, whether or not it is so.
    pub fn say(&mut self, said: Vec<Said>) {
        self.process(said);
        self.deliver();
    }

    fn process(&mut self, said: Vec<Said>) {
        let inputs: Arc<Vec<Input>> = Arc::new(said.into_iter().map(Input::Said).collect());
        self.input(&inputs);
    }

    /// One transaction, again and again until it succeeds.
    pub fn input(&mut self, inputs: &Arc<Vec<Input>>) {
        let now = self.now();
        let store = self.store.as_ref().unwrap();
        loop {
            let (engine, batch) = (Arc::clone(&self.engine), Arc::clone(inputs));
            let fails = self.failing > 0;
            self.failing = self.failing.saturating_sub(1);
            let result = store.write_blocking(move |tx| {
                engine.lock().unwrap().process(tx, &batch, now)?;
                if fails { Err(store::Error::Refused("the disk is full".into())) } else { Ok(tx.rows_read()) }
            });
            let mut engine = self.engine.lock().unwrap();
            if let Ok(rows) = result {
                self.rows_read += rows;
                engine.committed(inputs);
                self.news.extend(engine.take_news().0);
                return;
            }
            engine.reload(&store.snapshot().unwrap()).unwrap();
        }
    }

    /// What dispatch does with a sink that takes everything: a resolve of what was never told is dropped.
    pub fn deliver(&mut self) {
        if !self.sink_up {
            return;
        }
        let now = self.now();
        if self.outbox().iter().all(|row| row.due_at > now) {
            return;
        }
        let sent = self.store.as_ref().unwrap().write_blocking(move |tx| {
            let mut sent = Vec::new();
            for (key, row) in tx.all(&OUTBOX, "")? {
                let row: OutboxRow = row;
                if row.due_at > now {
                    continue;
                }
                tx.remove(&OUTBOX, &key)?;
                if let Some(incident) = &row.notification.incident {
                    let key = keys::told(&row.notification.connector, &incident.id);
                    let mut told = tx.get(&TOLD, &key)?.unwrap_or_default();
                    if row.notification.phase == Phase::Resolved && told.told_at.is_none() {
                        continue;
                    }
                    told.told_at.get_or_insert(now);
                    told.last_at = Some(now);
                    match row.notification.phase {
                        Phase::Resolved => told.resolved_at = Some(now),
                        Phase::Reopened => told.resolved_at = None,
                        _ => {}
                    }
                    tx.put(&TOLD, &key, &told)?;
                }
                sent.push(Sent { at: now, message: row.notification });
            }
            Ok(sent)
        });
        self.sent.extend(sent.unwrap());
    }

    pub fn read<T>(&self, f: impl FnOnce(&store::Snapshot) -> store::Result<T>) -> T {
        f(&self.store.as_ref().unwrap().snapshot().unwrap()).unwrap()
    }

    pub fn outbox(&self) -> Vec<OutboxRow> {
        self.read(|s| s.all(&OUTBOX, "")).into_iter().map(|(_, row)| row).collect()
    }

    pub fn incidents(&self) -> Vec<Incident> {
        self.read(|s| s.all(&INCIDENTS, "")).into_iter().map(|(_, row)| row).collect()
    }

    /// The newest incident of a subject, as `Deployment/shop/web`.
    pub fn incident(&self, subject: &str) -> Incident {
        let mut all = self.incidents();
        all.retain(|i| i.subject.key() == subject);
        all.sort_by_key(|i| i.opened_at);
        all.pop().unwrap_or_else(|| panic!("no incident of {subject}: {:#?}", self.story()))
    }

    pub fn members(&self, incident: &Incident) -> Vec<barrelman::event::incident::Member> {
        let prefix = keys::prefix(&[incident.id.as_str()]);
        self.read(|s| s.all(&MEMBERS, &prefix)).into_iter().map(|(_, row)| row).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        let mut found = Vec::new();
        self.read(|s| {
            s.read_log_back(&EVENTS, u64::MAX, &mut |_, event: Event| {
                found.push(event);
                true
            })
        });
        found.reverse();
        found
    }

    pub fn events_of(&self, event_type: EventType) -> Vec<Event> {
        self.events().into_iter().filter(|e| e.event_type == event_type).collect()
    }

    pub fn deliveries(&self) -> Vec<DeliveryRow> {
        let mut found = Vec::new();
        self.read(|s| {
            s.read_log_back(&DELIVERIES, u64::MAX, &mut |_, row: DeliveryRow| {
                found.push(row);
                true
            })
        });
        found.reverse();
        found
    }

    /// `hook opened pod_crash_loop critical`: what was sent, a line each.
    pub fn told(&self) -> Vec<String> {
        self.sent
            .iter()
            .map(|s| {
                let m = &s.message;
                let (event_type, severity): (EventType, Severity) = match &m.incident {
                    Some(i) => (i.event_type, i.severity),
                    None => (m.event.event_type, m.event.severity),
                };
                format!("{} {} {} {}", m.connector, m.phase.as_str(), event_type.name(), severity.as_str())
            })
            .collect()
    }

    /// The same with subjects, for one to look at when a test fails.
    pub fn story(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .events()
            .iter()
            .map(|e| {
                format!(
                    "{} {} {} {} {} of {} in {:?}{}",
                    e.observed_at,
                    e.event_type.name(),
                    e.status.as_str(),
                    e.severity.as_str(),
                    e.object.key(),
                    e.subject.key(),
                    e.incident.as_ref().map(|i| i.as_str().get(..6).unwrap_or_default().to_owned()),
                    if e.standing { " standing" } else { "" },
                )
            })
            .collect();
        lines.extend(self.sent.iter().map(|s| {
            let about = s.message.incident.as_ref().map(|i| i.subject.key());
            let m = &s.message;
            format!(
                "{} SENT {} {} {} {about:?}",
                s.at,
                m.connector,
                m.phase.as_str(),
                m.event.event_type.name()
            )
        }));
        lines.sort();
        lines
    }

    /// Messages of a phase about a subject.
    pub fn about(&self, subject: &str, phase: Phase) -> Vec<&Sent> {
        let of = |s: &&Sent| s.message.incident.as_ref().is_some_and(|i| i.subject.key() == subject);
        self.sent.iter().filter(of).filter(|s| s.message.phase == phase).collect()
    }
}

impl Watched {
    fn streams(&self) -> Vec<Arc<StreamId>> {
        let mut streams = Vec::new();
        let everywhere = vec![String::new()];
        for kind in Kind::ALL {
            let scoped = kind.namespaced() && !self.namespaces.is_empty();
            for namespace in if scoped { &self.namespaces } else { &everywhere } {
                streams.push(Arc::new(StreamId {
                    cluster: self.uid.clone(),
                    kind: *kind,
                    namespace: namespace.as_str().into(),
                    selector: "".into(),
                }));
            }
        }
        streams
    }

    pub fn stream(&self, kind: Kind) -> Arc<StreamId> {
        self.streams().into_iter().find(|s| s.kind == kind).unwrap()
    }

    fn open(&self, kind: Kind, namespace: &str) -> Option<Arc<StreamId>> {
        let fits =
            |s: &Arc<StreamId>| s.kind == kind && (s.namespace.is_empty() || *s.namespace == *namespace);
        self.streams().into_iter().find(fits).filter(|_| !self.shut.contains(&kind))
    }

    /// Everything there is, by key.
    fn objects(&self) -> BTreeMap<ObjectKey, (String, String, Object)> {
        let mut found = BTreeMap::new();
        for kind in Kind::ALL {
            for value in self.cluster.list(*kind) {
                let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or("");
                let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
                if self.open(*kind, namespace).is_none() {
                    continue;
                }
                let key = ObjectKey::new(*kind, namespace, name);
                let (uid, version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
                let held = self.seen.get(&key).filter(|(u, v, _)| u == uid && v == version);
                let object = held.map_or_else(|| decode(*kind, &value), |(_, _, object)| object.clone());
                found.insert(key, (uid.to_owned(), version.to_owned(), object));
            }
        }
        found
    }

    /// All lists, as at a start of the watches.
    pub fn list(&mut self) -> Vec<Said> {
        let streams: Vec<StreamId> = self.streams().iter().map(|s| (**s).clone()).collect();
        let (name, context) = (self.name.as_str().into(), self.name.as_str().into());
        let mut said = vec![
            Said::Cluster { uid: self.uid.clone(), name, context },
            Said::Live(self.uid.clone()),
            Said::Scope { cluster: self.uid.clone(), streams },
        ];
        self.seen = self.objects();
        for stream in self.streams() {
            if self.shut.contains(&stream.kind) {
                let missing = format!("list,watch {}", stream.kind.plural());
                said.push(Said::Stream(stream, StreamState::Forbidden { missing }));
                continue;
            }
            said.push(Said::Stream(Arc::clone(&stream), StreamState::Syncing));
            said.push(Said::ListStart(Arc::clone(&stream)));
            for (key, (_, _, object)) in &self.seen {
                let here = stream.namespace.is_empty() || *key.namespace == *stream.namespace;
                if key.kind == stream.kind && here {
                    said.push(Said::Listed(Arc::clone(&stream), Box::new(object.clone())));
                }
            }
            said.push(Said::ListEnd(Arc::clone(&stream)));
            said.push(Said::Stream(stream, StreamState::Live));
        }
        said
    }

    /// What changed since the last look, in the order of versions.
    fn changes(&mut self) -> Vec<Said> {
        if std::mem::replace(&mut self.revision, self.cluster.revision()) == self.cluster.revision() {
            return Vec::new();
        }
        let new = self.objects();
        let mut said: Vec<(u64, Said)> = Vec::new();
        for (key, (uid, version, object)) in &new {
            let before = self.seen.get(key);
            if before.is_some_and(|(u, v, _)| u == uid && v == version) {
                continue;
            }
            let Some(stream) = self.open(key.kind, &key.namespace) else { continue };
            if let Some((was, _, old)) = before
                && was != uid
            {
                said.push((0, Said::Deleted(Arc::clone(&stream), Box::new(old.clone()))));
            }
            let at = version.parse().unwrap_or(u64::MAX);
            said.push((at, Said::Applied(stream, Box::new(object.clone()))));
        }
        for (key, (_, _, old)) in &self.seen {
            if !new.contains_key(key)
                && let Some(stream) = self.open(key.kind, &key.namespace)
            {
                said.push((u64::MAX, Said::Deleted(stream, Box::new(old.clone()))));
            }
        }
        self.seen = new;
        said.sort_by_key(|(at, _)| *at);
        said.into_iter().map(|(_, said)| said).collect()
    }
}

pub fn decode(kind: Kind, value: &Value) -> Object {
    watch::decode(kind, &serde_json::to_vec(value).unwrap(), [7; 32]).unwrap()
}

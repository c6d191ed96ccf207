//! The state of the pipeline, and its way through one batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    cluster::{ChangeNote, Cluster, OpenIncident},
    dues::Dues,
    flood,
    judge::Rules,
    route::Target,
};
use crate::{
    config::{IncidentSettings, TypeSettings},
    connector::Pages,
    event::{
        ClusterUid, Event, EventType,
        filter::Filter,
        incident::{Incident, IncidentStatus},
    },
    feed::Feed,
    object::{Object, ObjectKey, Said, StreamId},
    status::PipelineStatus,
    store::{
        BASELINES, EVENTS, FIRINGS, FreshRows, INCIDENTS, KUBE_EVENTS, MEMBERS, META, OBJECTS, Read, Result,
        Tx, keys,
    },
};

/// How many due rows one batch works off, so that a thundering herd does not hold up a commit.
const DUES_PER_BATCH: usize = 500;

/// What the pipeline needs of the settings.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Windows and delays.
    pub incidents: IncidentSettings,
    /// Overrides per type.
    pub types: BTreeMap<EventType, TypeSettings>,
    /// What is told to nobody.
    pub ignore: Vec<Filter>,
    /// Write no outbox rows.
    pub watch_only: bool,
    /// How long a cluster's API may be away before that is a trouble.
    pub away: Duration,
    /// Links to runbook and dashboard.
    pub pages: Arc<Pages>,
    /// Contexts were named: commands name theirs.
    pub by_context: bool,
}

/// An API that is away for less is a restart.
pub const AWAY: Duration = Duration::from_mins(1);

/// One thing for the engine to take in.
#[derive(Debug, Clone)]
pub enum Input {
    /// A watch said something.
    Said(Said),
    /// A connector cannot deliver (why), or can again.
    Connector {
        /// Its name.
        name: String,
        /// `None`: a delivery succeeded.
        trouble: Option<String>,
    },
}

/// All clusters, and the incident logic.
pub struct Engine {
    pub(super) config: Arc<EngineConfig>,
    pub(super) targets: Arc<[Target]>,
    pub(super) rules: Arc<Rules>,
    pub(super) clusters: BTreeMap<ClusterUid, Cluster>,
    pub(super) dues: Dues,
    /// What the lists under way have named so far. Not in the store, and changed only in ways that can be repeated:
    /// a batch whose commit failed is taken again.
    pub(super) listing: HashMap<Arc<StreamId>, HashSet<ObjectKey>>,
    /// Those lists that the batch under way began anew, as they were before it.
    pub(super) lists_before: HashMap<Arc<StreamId>, Option<HashSet<ObjectKey>>>,
    pub(super) feed: Vec<Feed>,
    pub(super) routed: BTreeMap<String, FreshRows>,
    pub(super) counts: PipelineStatus,
    pub(super) store_id: String,
    /// What fires unseen has to be looked at: what is to be ignored may be other things than before.
    ignoring_anew: bool,
}

impl Engine {
    /// From what the store holds.
    pub fn load(read: &impl Read, config: Arc<EngineConfig>, targets: Arc<[Target]>) -> Result<Self> {
        let store_id =
            read.get(&META, "store_id")?.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let mut engine = Self {
            config,
            targets,
            rules: Arc::new(Rules::new()),
            clusters: BTreeMap::new(),
            dues: Dues::load(read)?,
            listing: HashMap::new(),
            lists_before: HashMap::new(),
            feed: Vec::new(),
            routed: BTreeMap::new(),
            counts: PipelineStatus::default(),
            store_id,
            ignoring_anew: true,
        };
        engine.load_clusters(read)?;
        Ok(engine)
    }

    /// After a failed commit: forgets what was not stored.
    ///
    /// # Errors
    /// The store cannot be read: then nothing may be taken in before this has succeeded.
    pub fn reload(&mut self, read: &impl Read) -> Result<()> {
        self.feed.clear();
        self.routed.clear();
        self.ignoring_anew = true;
        let dues = Dues::load(read)?;
        let old = std::mem::take(&mut self.clusters);
        if let Err(error) = self.load_clusters(read) {
            // What it knows of the streams is nowhere else.
            self.clusters = old;
            return Err(error);
        }
        self.dues = dues;
        for (uid, was) in old {
            let cluster = self.cluster_mut(&uid, &was.name);
            cluster.keep_liveness(was);
        }
        for (stream, before) in std::mem::take(&mut self.lists_before) {
            match before {
                Some(named) => self.listing.insert(stream, named),
                None => self.listing.remove(&stream),
            };
        }
        Ok(())
    }

    pub(super) fn cluster_mut(&mut self, uid: &ClusterUid, name: &Arc<str>) -> &mut Cluster {
        self.clusters.entry(uid.clone()).or_insert_with(|| Cluster::new(uid.clone(), Arc::clone(name)))
    }

    fn load_clusters(&mut self, read: &impl Read) -> Result<()> {
        let unnamed: Arc<str> = "".into();
        let at = |key: &str| ClusterUid(keys::parts(key).next().unwrap_or_default().to_owned());
        read.scan(&BASELINES, "", "", &mut |key, row| {
            self.cluster_mut(&at(key), &unnamed).baselines.insert(key.to_owned(), row);
            true
        })?;
        let mut warnings: Vec<(ClusterUid, Object)> = Vec::new();
        read.scan(&OBJECTS, "", "", &mut |key, object: Object| {
            self.cluster_mut(&at(key), &unnamed).world.insert(Arc::new(object));
            true
        })?;
        read.scan(&KUBE_EVENTS, "", "", &mut |key, object: Object| {
            if object.kube_event().is_some_and(|e| e.warning) {
                warnings.push((at(key), object));
            }
            true
        })?;
        // The newest are held: the oldest first, as they came.
        warnings.sort_by_key(|(_, object)| object.kube_event().and_then(|e| e.last));
        for (uid, object) in warnings {
            let (cluster, place) = (self.cluster_mut(&uid, &unnamed), object.key());
            cluster.world.insert(Arc::new(object));
            cluster.note_warning(place);
        }
        read.scan(&FIRINGS, "", "", &mut |key, row| {
            self.cluster_mut(&at(key), &unnamed).put_firing(row);
            true
        })?;
        read.scan(&INCIDENTS, "", "", &mut |_, incident: Incident| {
            if incident.status == IncidentStatus::Open {
                self.note_open(&incident);
            }
            true
        })?;
        for (uid, cluster) in &mut self.clusters {
            let name = read.get(&META, &keys::prefix(&["name", uid.as_str()]))?;
            if let Some(name) = name.as_ref().and_then(|n| n.as_str()) {
                cluster.name = name.into();
            }
            let alive = read.get(&META, &keys::prefix(&["alive", uid.as_str()]))?.and_then(|v| v.as_i64());
            cluster.watched_until = alive.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        }
        read.scan(&META, &keys::prefix(&["context"]), "", &mut |key, uid: serde_json::Value| {
            let context = keys::parts(key).nth(1).unwrap_or_default();
            let uid = ClusterUid(uid.as_str().unwrap_or_default().to_owned());
            if let Some(cluster) = self.clusters.get_mut(&uid) {
                cluster.context = context.into();
            }
            true
        })?;
        let mut held = 0;
        let mut notes = Vec::new();
        let mut failed = None;
        read.read_log_back(&EVENTS, u64::MAX, &mut |_, event: Event| {
            held += 1;
            match is_affected(read, &event) {
                Ok(affected) => {
                    notes.extend(ChangeNote::of(&event, affected).map(|n| (event.cluster_uid.clone(), n)));
                }
                Err(error) => failed = Some(error),
            }
            failed.is_none() && held < 5_000
        })?;
        failed.map_or(Ok(()), Err)?;
        for (uid, note) in notes.into_iter().rev() {
            self.cluster_mut(&uid, &unnamed).note_change(note);
        }
        Ok(())
    }

    pub(super) fn note_open(&mut self, incident: &Incident) {
        let name: Arc<str> = incident.cluster.as_str().into();
        let open = OpenIncident {
            id: incident.id.clone(),
            holding: incident.holding,
            since: incident.since(),
            standing: incident.standing,
            warned: flood::is_apart(incident.event_type, &incident.subject),
        };
        self.cluster_mut(&incident.cluster_uid, &name).open.insert(incident.subject.key(), open);
    }

    /// One batch, within a transaction. An error means that nothing of it is stored, and that this engine must be
    /// reloaded before it takes the same batch again.
    ///
    /// # Errors
    /// The store's.
    pub fn process(&mut self, tx: &Tx<'_>, batch: &[Input], now: Timestamp) -> Result<()> {
        self.lists_before.clear();
        self.clusters.values_mut().for_each(Cluster::begin);
        for input in batch {
            match input {
                Input::Said(said) => self.take(tx, said, now)?,
                Input::Connector { name, trouble } => self.connector(tx, name, trouble.as_deref(), now)?,
            }
        }
        if std::mem::take(&mut self.ignoring_anew) {
            self.look_at_unseen(tx, None, now)?;
        }
        self.work_off(tx, now)
    }

    /// After the commit: lists that are complete are forgotten, unless the same batch began them anew.
    pub fn committed(&mut self, batch: &[Input]) {
        self.lists_before.clear();
        self.clusters.values_mut().for_each(Cluster::commit);
        let mut complete: HashSet<&Arc<StreamId>> = HashSet::new();
        for input in batch {
            match input {
                Input::Said(Said::ListEnd(stream)) => complete.insert(stream),
                Input::Said(Said::ListStart(stream)) => complete.remove(stream),
                _ => continue,
            };
        }
        for stream in complete {
            self.listing.remove(stream);
        }
    }

    /// What was committed since the last call: for the feed, and new rows by connector.
    pub fn take_news(&mut self) -> (Vec<Feed>, BTreeMap<String, FreshRows>) {
        (std::mem::take(&mut self.feed), std::mem::take(&mut self.routed))
    }

    pub(super) fn work_off(&mut self, tx: &Tx<'_>, now: Timestamp) -> Result<()> {
        for key in self.dues.due(now, DUES_PER_BATCH) {
            self.due(tx, &key, now)?;
        }
        Ok(())
    }

    /// When it wants to be called, although nothing happens.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.ignoring_anew { Some(Timestamp::MIN) } else { self.dues.next() }
    }

    /// Other settings or connectors.
    pub fn configure(&mut self, config: Arc<EngineConfig>, targets: Arc<[Target]>) {
        self.ignoring_anew |= self.config.ignore != config.ignore;
        self.config = config;
        self.targets = targets;
    }

    /// Changes what no setting changes: for tests that cannot wait.
    pub fn tune(&mut self, change: impl FnOnce(&mut EngineConfig)) {
        change(Arc::make_mut(&mut self.config));
    }

    /// Counters for the status.
    pub fn status(&self) -> PipelineStatus {
        PipelineStatus {
            open_incidents: self.clusters.values().map(|c| c.open.len() as u64).sum(),
            ..self.counts.clone()
        }
    }

    /// Place and uid of everything held in a stream's scope.
    pub fn known_in(&self, stream: &StreamId) -> Vec<(ObjectKey, crate::object::Str)> {
        let Some(cluster) = self.clusters.get(&stream.cluster) else { return Vec::new() };
        let all = cluster.world.of_kind(stream.kind);
        all.filter(|o| stream.namespace.is_empty() || o.meta.namespace == stream.namespace)
            .map(|o| (o.key(), o.meta.uid.clone()))
            .collect()
    }

    /// Objects held, by cluster uid.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        self.clusters.iter().map(|(uid, c)| (uid.0.clone(), c.world.len() as u64)).collect()
    }
}

/// Whether a node's trouble was taken for another's doing.
fn is_affected(read: &impl Read, event: &Event) -> Result<bool> {
    let node = event.incident.as_ref().filter(|_| event.event_type == EventType::NodeUnhealthy);
    let Some(incident) = node else { return Ok(false) };
    Ok(read.get(&MEMBERS, &keys::member(incident, &event.fingerprint))?.is_some_and(|m| m.affected))
}

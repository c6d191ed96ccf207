//! From what a watch says to changes: mark and sweep of lists, baselines, scope.

use std::{collections::HashSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{cluster::LOST, engine::Engine};
use crate::{
    detect::{Change, Origin},
    event::{ClusterUid, EventType, Kind},
    object::{Object, ObjectKey, Said, Str, StreamId},
    status::StreamState,
    store::{BASELINES, Baseline, FIRINGS, GAPS, GapRow, KUBE_EVENTS, META, OBJECTS, Read, Result, Tx, keys},
};

/// Shorter losses of a stream are not shown as gaps: watches end and are renewed all the time.
const GAP_FROM: SignedDuration = SignedDuration::from_secs(5);
/// Losses of several streams within this time are one gap.
const GAP_TOGETHER: SignedDuration = SignedDuration::from_secs(15);

impl Engine {
    pub(super) fn take(&mut self, tx: &Tx<'_>, said: &Said, now: Timestamp) -> Result<()> {
        match said {
            Said::Cluster { uid, name, context } => {
                let cluster = self.cluster_mut(uid, name);
                cluster.name = Arc::clone(name);
                cluster.context = Arc::clone(context);
                // What is due at the next start, before the cluster answers, has to name it.
                tx.put(&META, &keys::prefix(&["name", uid.as_str()]), &(**name).into())?;
                // Kept per context, so that a right that comes or goes later does not make it another cluster.
                tx.put(&META, &crate::store::key(&["context", context]), &uid.0.clone().into())
            }
            Said::Scope { cluster, streams } => self.scope(tx, cluster, streams, now),
            Said::ListStart(stream) => {
                let before = self.listing.insert(Arc::clone(stream), HashSet::new());
                self.lists_before.entry(Arc::clone(stream)).or_insert(before);
                Ok(())
            }
            Said::Listed(stream, object) => self.listed(tx, stream, object, now),
            // It is there, whatever it is: not listed as gone.
            Said::Unreadable(stream, key) => {
                if let Some(named) = self.listing.get_mut(stream) {
                    named.insert(key.clone());
                }
                Ok(())
            }
            Said::ListEnd(stream) => self.list_end(tx, stream, now),
            Said::Applied(stream, object) => self.applied(tx, stream, object, now),
            Said::Deleted(stream, object) => {
                let key = object.key();
                let last = Arc::new((**object).clone());
                let change = Change { key, before: Some(last), after: None, origin: Origin::Live };
                self.change(tx, &stream.cluster, &change, now)
            }
            Said::LeftScope(stream, key) => {
                let held = self.clusters.get(&stream.cluster).and_then(|c| c.world.get(key)).cloned();
                held.map_or(Ok(()), |object| self.forget(tx, &stream.cluster, &object, now))
            }
            Said::Stream(stream, state) => self.stream(tx, stream, state, now),
            Said::Clock { cluster, ahead } => {
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.clocks.ahead = *ahead;
                }
                Ok(())
            }
            Said::Live(cluster) => self.live(tx, cluster, now),
            Said::Unreached { cluster, name, since, why } => {
                // A restart has to name it, too; under its context the uid is not kept.
                self.cluster_mut(cluster, name).name = Arc::clone(name);
                tx.put(&META, &keys::prefix(&["name", cluster.as_str()]), &(**name).into())?;
                self.away(tx, cluster, (*since, why), now)
            }
            Said::Away { cluster, since, why } => self.away(tx, cluster, (*since, why), now),
        }
    }

    fn known(&self, stream: &StreamId) -> Option<String> {
        let key = baseline_key(stream);
        self.clusters.get(&stream.cluster).filter(|c| c.baselines.contains_key(&key)).map(|_| key)
    }

    /// What is stored of the object that is now as given. Kubernetes Events are mostly not held in memory.
    fn stored(&self, tx: &Tx<'_>, cluster: &ClusterUid, now: &Object) -> Result<Option<Arc<Object>>> {
        if now.kind == Kind::Event {
            return Ok(tx.get(&KUBE_EVENTS, &keys::kube_event(cluster, now))?.map(Arc::new));
        }
        Ok(self.clusters.get(cluster).and_then(|c| c.world.get(&now.key())).cloned())
    }

    fn listed(&mut self, tx: &Tx<'_>, stream: &Arc<StreamId>, object: &Object, now: Timestamp) -> Result<()> {
        let key = object.key();
        self.listing.entry(Arc::clone(stream)).or_default().insert(key.clone());
        let before = self.stored(tx, &stream.cluster, object)?;
        if before.as_ref().is_some_and(|b| same(b, object)) {
            return Ok(());
        }
        if self.known(stream).is_some() {
            if self.is_left_out(stream, object) {
                return Ok(());
            }
            let change = Change { key, before, after: Some(Arc::new(object.clone())), origin: Origin::Late };
            return self.change(tx, &stream.cluster, &change, now);
        }
        // The first sight of a scope is silent; what is broken in it is judged when the list is complete.
        self.place(tx, &stream.cluster, &Arc::new(object.clone()))
    }

    fn list_end(&mut self, tx: &Tx<'_>, stream: &Arc<StreamId>, now: Timestamp) -> Result<()> {
        let seen = self.listing.get(stream).cloned().unwrap_or_default();
        let known = self.known(stream);
        if let Some(cluster) = self.clusters.get_mut(&stream.cluster) {
            cluster.note_listed(stream.kind, &stream.namespace);
        }
        for before in self.gone(tx, stream, &seen)? {
            if known.is_none() {
                self.forget(tx, &stream.cluster, &before, now)?;
            } else {
                let change =
                    Change { key: before.key(), before: Some(before), after: None, origin: Origin::Late };
                self.change(tx, &stream.cluster, &change, now)?;
            }
        }
        self.ask_again(&stream.cluster, now);
        if known.is_none() {
            let key = baseline_key(stream);
            let row = Baseline { since: now, live_until: now };
            tx.put(&BASELINES, &key, &row)?;
            if let Some(cluster) = self.clusters.get_mut(&stream.cluster) {
                cluster.baselines.insert(key, row);
            }
            // The list is complete: rules that ask whether this kind is watched may be asked now.
            self.stream(tx, stream, &StreamState::Live, now)?;
            // In the order of keys, so that a baseline is the same at every start.
            let mut seen: Vec<_> = seen.into_iter().collect();
            seen.sort_unstable();
            self.judge_baseline(tx, &stream.cluster, &seen, now)?;
        }
        Ok(())
    }

    /// Everything stored that this stream would list, and did not.
    fn gone(&self, tx: &Tx<'_>, stream: &StreamId, seen: &HashSet<ObjectKey>) -> Result<Vec<Arc<Object>>> {
        let Some(cluster) = self.clusters.get(&stream.cluster) else { return Ok(Vec::new()) };
        let is_gone = |object: &Object| !seen.contains(&object.key());
        if stream.kind == Kind::Event {
            let parts = [stream.cluster.as_str(), &stream.namespace];
            let parts = if stream.namespace.is_empty() { &parts[..1] } else { &parts };
            let mut found = Vec::new();
            tx.scan(&KUBE_EVENTS, &keys::prefix(parts), "", &mut |_, object| {
                if is_gone(&object) {
                    found.push(Arc::new(object));
                }
                true
            })?;
            return Ok(found);
        }
        Ok(if stream.namespace.is_empty() {
            cluster.world.of_kind(stream.kind).filter(|o| is_gone(o)).cloned().collect()
        } else {
            let held = cluster.world.in_namespace(stream.kind, &stream.namespace);
            held.filter(|o| is_gone(o)).cloned().collect()
        })
    }

    fn applied(&mut self, tx: &Tx<'_>, stream: &StreamId, object: &Object, now: Timestamp) -> Result<()> {
        let key = object.key();
        let before = self.stored(tx, &stream.cluster, object)?;
        if before.as_ref().is_some_and(|b| same(b, object)) {
            return Ok(());
        }
        if self.is_left_out(stream, object) {
            return Ok(());
        }
        let change = Change { key, before, after: Some(Arc::new(object.clone())), origin: Origin::Live };
        self.change(tx, &stream.cluster, &change, now)
    }

    fn is_left_out(&self, stream: &StreamId, object: &Object) -> bool {
        object.kind == Kind::Event
            && self.clusters.get(&stream.cluster).is_some_and(|c| c.is_left_out(object))
    }

    /// Puts an object in its place, in memory and on disk.
    pub(super) fn place(&mut self, tx: &Tx<'_>, cluster: &ClusterUid, object: &Arc<Object>) -> Result<()> {
        let (table, place) = keys::record(cluster, object);
        tx.put(table, &place, &**object)?;
        self.check_annotation(cluster, object);
        let Some(cluster) = self.clusters.get_mut(cluster) else { return Ok(()) };
        if object.kind != Kind::Event {
            cluster.world.insert(Arc::clone(object));
        } else if object.kube_event().is_some_and(|e| e.warning)
            && cluster.world.insert(Arc::clone(object)).is_none()
        {
            cluster.note_warning(object.key());
        }
        Ok(())
    }

    /// Takes an object out, in memory and on disk.
    pub(super) fn displace(&mut self, tx: &Tx<'_>, cluster: &ClusterUid, object: &Object) -> Result<()> {
        let (table, place) = keys::record(cluster, object);
        tx.remove(table, &place)?;
        let key = object.key();
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            cluster.note_opted_out(&key);
            cluster.world.remove(&key);
        }
        Ok(())
    }

    /// An object left what is watched: it is neither deleted nor healed, and nobody is told.
    pub(super) fn forget(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        object: &Object,
        now: Timestamp,
    ) -> Result<()> {
        let key = object.key();
        self.displace(tx, uid, object)?;
        self.forget_judging(tx, uid, &key, &object.meta.uid)?;
        let rows = self.clusters.get_mut(uid).and_then(|c| c.firings.remove(&key)).unwrap_or_default();
        for row in rows {
            let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
            tx.remove(&FIRINGS, &place)?;
            self.leave(tx, uid, &row, now)?;
            if row.event_type == EventType::NodeUnhealthy {
                self.nodes_left(tx, uid, now)?;
            }
        }
        Ok(())
    }

    fn scope(&mut self, tx: &Tx<'_>, uid: &ClusterUid, streams: &[StreamId], now: Timestamp) -> Result<()> {
        let Some(cluster) = self.clusters.get_mut(uid) else { return Ok(()) };
        let kept: HashSet<(Kind, Str)> = streams.iter().map(|s| (s.kind, s.namespace.clone())).collect();
        cluster.set_streams(&kept);
        cluster.selected = streams.iter().filter(|s| !s.selector.is_empty()).map(|s| s.kind).collect();
        let wanted: HashSet<String> = streams.iter().map(baseline_key).collect();
        let gone: Vec<String> = cluster.baselines.keys().filter(|k| !wanted.contains(*k)).cloned().collect();
        for key in &gone {
            cluster.baselines.remove(key);
            tx.remove(&BASELINES, key)?;
        }
        let covered = |kind: Kind, namespace: &Str| {
            kept.contains(&(kind, Str::default())) || kept.contains(&(kind, namespace.clone()))
        };
        let mut outside: Vec<Object> = Vec::new();
        for table in [&OBJECTS, &KUBE_EVENTS] {
            tx.scan(table, &keys::prefix(&[uid.as_str()]), "", &mut |_, object| {
                if !covered(object.kind, &object.meta.namespace) {
                    outside.push(object);
                }
                true
            })?;
        }
        for object in outside {
            self.forget(tx, uid, &object, now)?;
        }
        Ok(())
    }

    fn stream(&mut self, tx: &Tx<'_>, stream: &StreamId, state: &StreamState, now: Timestamp) -> Result<()> {
        let Some(cluster) = self.clusters.get_mut(&stream.cluster) else { return Ok(()) };
        let live = matches!(state, StreamState::Live);
        let shut = matches!(state, StreamState::Forbidden { .. } | StreamState::Absent);
        let lost = cluster.set_stream((stream.kind, &stream.namespace), live, shut, now);
        if let Some(from) = lost {
            let from = cluster.unwatched_since(from, now, GAP_TOGETHER);
            let why = cluster.why_unwatched(stream.kind, from, now);
            self.gap(tx, &stream.cluster, from, now, &why)?;
        }
        if live || shut {
            self.ask_again(&stream.cluster, now);
        }
        Ok(())
    }

    /// Time that was not watched: shown, and one row for losses that belong together.
    pub(super) fn gap(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        from: Timestamp,
        to: Timestamp,
        why: &str,
    ) -> Result<()> {
        if to.duration_since(from) < GAP_FROM {
            return Ok(());
        }
        let name = self.clusters.get(uid).map(|c| c.name.to_string()).unwrap_or_default();
        let mut last: Option<(u64, GapRow)> = None;
        tx.read_log_back(&GAPS, u64::MAX, &mut |seq, row: GapRow| {
            let ours = row.cluster == name;
            if ours {
                last = Some((seq, row));
            }
            !ours
        })?;
        let gap = match last {
            Some((seq, mut row)) if from.duration_since(row.from).abs() < GAP_TOGETHER => {
                row.from = row.from.min(from);
                row.to = row.to.max(Some(to));
                // What took several with it says more than one of them.
                if row.why.starts_with(LOST) {
                    why.clone_into(&mut row.why);
                }
                tx.put_entry(&GAPS, seq, &row)?;
                row
            }
            _ => {
                let row = GapRow { cluster: name, from, to: Some(to), why: why.to_owned() };
                tx.append(&GAPS, &row)?;
                row
            }
        };
        self.feed.push(crate::feed::Feed::Gap { gap });
        Ok(())
    }

    /// Notes that the engine is alive and watching; at a start, what lies between is a gap.
    ///
    /// # Errors
    /// The store's.
    pub fn alive(&mut self, tx: &Tx<'_>, now: Timestamp) -> Result<()> {
        self.connectors_gone(tx, now)?;
        // One that is away, or was not reached yet, goes on not being watched, whoever runs.
        for (uid, _) in self.clusters.iter().filter(|(_, cluster)| cluster.is_watched()) {
            tx.put(&META, &keys::prefix(&["alive", uid.as_str()]), &now.as_millisecond().into())?;
        }
        Ok(())
    }
}

fn same(stored: &Object, object: &Object) -> bool {
    stored.meta.uid == object.meta.uid && stored.meta.version == object.meta.version
}

fn baseline_key(stream: &StreamId) -> String {
    keys::baseline(&stream.cluster, stream.kind.as_str(), &stream.namespace, &stream.selector)
}

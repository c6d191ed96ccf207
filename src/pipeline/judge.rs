//! The harness around the rules: thresholds, transitions, ends that must hold.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    cause::CLUSTER,
    cluster::{Cluster, View},
    engine::Engine,
};
use crate::{
    detect::{
        CONDITIONS, Change, Condition, Context, Draft, Finding, MOMENTS, Moment, Origin, Output, Verdict,
        kube_reasons,
    },
    event::{ClusterUid, EventType, Fingerprint, Kind, Status},
    object::{Object, ObjectKey},
    store::{Due, EVENTS, FIRINGS, FiringRow, INCIDENTS, MEMORY, Read, Result, Tx, keys},
};

/// While the watch that a due row needs is not live, it is looked at again after this time.
const NOT_LIVE: SignedDuration = SignedDuration::from_secs(2);

/// The registered rules, by the kind whose changes they want.
pub(super) struct Rules {
    conditions: Vec<(Kind, Vec<&'static dyn Condition>)>,
    also: Vec<(Kind, Vec<&'static dyn Condition>)>,
    moments: Vec<(Kind, Vec<&'static dyn Moment>)>,
}

impl Rules {
    pub fn new() -> Self {
        let by = |pick: &dyn Fn(&dyn Condition, Kind) -> bool| {
            Kind::ALL
                .iter()
                .map(|kind| (*kind, CONDITIONS.iter().copied().filter(|c| pick(*c, *kind)).collect()))
                .collect()
        };
        Self {
            conditions: by(&|c, kind| c.kind() == kind),
            also: by(&|c, kind| c.also_on().contains(&kind)),
            moments: Kind::ALL
                .iter()
                .map(|kind| (*kind, MOMENTS.iter().copied().filter(|m| m.kinds().contains(kind)).collect()))
                .collect(),
        }
    }
}

fn of<T: Copy>(table: &[(Kind, Vec<T>)], kind: Kind) -> Vec<T> {
    table.iter().find(|(k, _)| *k == kind).map(|(_, rules)| rules.clone()).unwrap_or_default()
}

impl Engine {
    /// One change: state, rules, events, incidents and messages.
    pub(super) fn change(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        change: &Change,
        now: Timestamp,
    ) -> Result<()> {
        self.counts.changes += 1;
        match &change.after {
            Some(object) => self.place(tx, uid, object)?,
            None => self.displace(tx, uid, &change.key)?,
        }
        let first = self.feed.len();
        if let Some(gone) = change.deleted().map(|o| o.meta.uid.clone()) {
            self.end_all(tx, uid, &change.key, &gone, now)?;
        }
        let rules = Arc::clone(&self.rules);
        for rule in of(&rules.moments, change.key.kind) {
            self.moment(tx, uid, rule, now, change.origin, |cx, out| rule.detect(change, cx, out))?;
        }
        if change.after.is_some() {
            for rule in of(&rules.conditions, change.key.kind) {
                self.judge(tx, uid, rule, &change.key, change.origin, now)?;
            }
        }
        for rule in of(&rules.also, change.key.kind) {
            for key in self.also(tx, uid, rule, change, now) {
                self.judge(tx, uid, rule, &key, change.origin, now)?;
            }
        }
        self.post(tx, uid, change, first, now)?;
        self.subject_changed(tx, uid, change, now)
    }

    /// What is already broken at the first sight of a scope.
    pub(super) fn judge_baseline(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        seen: &[ObjectKey],
        now: Timestamp,
    ) -> Result<()> {
        let rules = Arc::clone(&self.rules);
        for key in seen {
            for rule in of(&rules.conditions, key.kind) {
                self.judge(tx, uid, rule, key, Origin::Baseline, now)?;
            }
            let also = of(&rules.also, key.kind);
            let Some(after) = self.clusters.get(uid).and_then(|c| c.world.get(key)).cloned() else {
                continue;
            };
            let change =
                Change { key: key.clone(), before: None, after: Some(after), origin: Origin::Baseline };
            for rule in also {
                for key in self.also(tx, uid, rule, &change, now) {
                    self.judge(tx, uid, rule, &key, Origin::Baseline, now)?;
                }
            }
        }
        Ok(())
    }

    fn also(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &'static dyn Condition,
        change: &Change,
        now: Timestamp,
    ) -> Vec<ObjectKey> {
        self.call(tx, uid, rule.name(), now, |cx| rule.also(change, cx)).unwrap_or_default()
    }

    /// Calls a rule. One that panics loses this change, is counted and logged, and stops nobody else.
    fn call<T>(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &str,
        now: Timestamp,
        f: impl FnOnce(&Context<'_>) -> T,
    ) -> Option<T> {
        let cluster = self.clusters.get(uid)?;
        let view = View { cluster, tx };
        let cx = Context { cluster: &cluster.name, now, world: &cluster.world, memory: &view };
        let result = catch_unwind(AssertUnwindSafe(|| f(&cx)));
        if result.is_err() {
            tracing::error!(
                rule,
                "a rule failed on a change, which is a fault of barrelman; it goes on without it"
            );
            self.counts.faults += 1;
        }
        result.ok()
    }

    fn moment(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &'static dyn Moment,
        now: Timestamp,
        origin: Origin,
        f: impl FnOnce(&Context<'_>, &mut Output),
    ) -> Result<()> {
        let mut out = Output::default();
        if self.call(tx, uid, rule.name(), now, |cx| f(cx, &mut out)).is_none() {
            return Ok(());
        }
        self.outputs(tx, uid, rule.name(), &mut out)?;
        for (key, at) in out.dues {
            let place = crate::store::key(&["moment", uid.as_str(), rule.name(), &key]);
            let what = || (uid.0.clone(), Due::Moment { rule: rule.name().into(), key: key.clone() });
            self.dues.set(tx, &place, Some(at), what)?;
        }
        for draft in out.drafts {
            self.tell(tx, uid, draft, origin, now)?;
        }
        Ok(())
    }

    fn outputs(&mut self, tx: &Tx<'_>, uid: &ClusterUid, rule: &str, out: &mut Output) -> Result<()> {
        for (key, value) in out.memory.drain(..) {
            let place = keys::memory(uid, rule, &key);
            match value {
                Some(value) => tx.put(&MEMORY, &place, &value)?,
                None => {
                    tx.remove(&MEMORY, &place)?;
                }
            }
        }
        Ok(())
    }

    /// Asks a rule for an object's state, and notices what began and what ended.
    pub(super) fn judge(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &'static dyn Condition,
        key: &ObjectKey,
        origin: Origin,
        now: Timestamp,
    ) -> Result<()> {
        let Some(object) = self.clusters.get(uid).and_then(|c| c.world.get(key)).cloned() else {
            return Ok(());
        };
        let mut out = Output::default();
        let verdict = self.call(tx, uid, rule.name(), now, |cx| rule.judge(&object, cx, &mut out));
        self.outputs(tx, uid, rule.name(), &mut out)?;
        for draft in std::mem::take(&mut out.drafts) {
            self.tell(tx, uid, draft, origin, now)?;
        }
        let mut next = out.look_again.iter().min().copied();
        if let Some(Verdict::Known(findings)) = verdict {
            let mut firing =
                self.clusters.get(uid).map(|c| c.firings_of(key, rule.name())).unwrap_or_default();
            for finding in findings {
                let known = firing.iter().position(|f| {
                    f.event_type == finding.draft.event_type && f.discriminator == finding.draft.discriminator
                });
                if let Some(position) = known {
                    self.still(tx, uid, firing.swap_remove(position), finding.draft, now)?;
                } else {
                    let at = later(finding.draft.at, Duration::from_secs(finding.after_secs.into()));
                    if at <= now {
                        self.fire(tx, uid, rule.name(), finding, origin, now)?;
                    } else {
                        next = Some(next.map_or(at, |n| n.min(at)));
                    }
                }
            }
            for row in firing {
                if let Some(at) = self.heal(tx, uid, row, now)? {
                    next = Some(next.map_or(at, |n| n.min(at)));
                }
            }
        } else {
            // Nothing could be said: what waits goes on waiting. Where that is because a watch is still listing, it
            // is asked again: no further change may come to do so.
            let place = judge_key(uid, rule.name(), key);
            next = next.or_else(|| self.dues.get(&place).map(|row| row.at)).filter(|at| *at > now);
            if next.is_none() && self.is_unsettled(uid, rule, key) {
                next = Some(now + NOT_LIVE);
            }
        }
        let place = judge_key(uid, rule.name(), key);
        let what = || (uid.0.clone(), Due::Judge { rule: rule.name().into(), key: key.clone() });
        self.dues.set(tx, &place, next, what)
    }

    fn is_unsettled(&self, uid: &ClusterUid, rule: &dyn Condition, key: &ObjectKey) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return false };
        let mut kinds = rule.also_on().iter().chain(std::iter::once(&key.kind));
        kinds.any(|kind| !cluster.is_settled(*kind, &key.namespace))
    }

    fn fire(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &'static str,
        Finding { draft, .. }: Finding,
        origin: Origin,
        now: Timestamp,
    ) -> Result<()> {
        let standing = origin == Origin::Baseline || self.stood_at_baseline(uid, &draft);
        let (key, discriminator, since) = (draft.object.key(), draft.discriminator.clone(), draft.at);
        let event_type = draft.event_type;
        let mut event = self.build(uid, draft, (Status::Firing, origin), now);
        event.standing = standing;
        let (object, severity) = (event.object.clone(), event.severity);
        let (fingerprint, id) = (event.fingerprint.clone(), event.id.clone());
        let Some((seq, incident)) = self.record(tx, event, now)? else { return Ok(()) };
        let row = FiringRow {
            rule: rule.to_owned(),
            key,
            object,
            event_type,
            severity,
            discriminator,
            fingerprint,
            since,
            event: id,
            seq,
            incident,
            healthy_since: None,
            standing,
        };
        self.put_firing(tx, uid, row)?;
        if event_type == crate::event::EventType::NodeUnhealthy {
            self.nodes_changed(tx, uid, now)
        } else {
            Ok(())
        }
    }

    /// It was so before we first looked, although its threshold passed only now.
    fn stood_at_baseline(&self, uid: &ClusterUid, draft: &Draft) -> bool {
        let meta = &draft.object.meta;
        let baseline = self.clusters.get(uid).and_then(|c| c.baseline_of(draft.object.kind, &meta.namespace));
        baseline.is_some_and(|since| draft.at <= since && meta.created_at.is_some_and(|c| c <= since))
    }

    pub(super) fn put_firing(&mut self, tx: &Tx<'_>, uid: &ClusterUid, row: FiringRow) -> Result<()> {
        let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
        tx.put(&FIRINGS, &place, &row)?;
        if let Some(cluster) = self.clusters.get_mut(uid) {
            cluster.put_firing(row);
        }
        Ok(())
    }

    /// A trouble goes on: an end that was waited for is off, and what became worse is told.
    fn still(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        mut row: FiringRow,
        draft: Draft,
        now: Timestamp,
    ) -> Result<()> {
        let healed = row.healthy_since.take().is_some();
        let worse = draft.severity > row.severity;
        if worse {
            row.severity = draft.severity;
            let mut draft = draft;
            draft.at = now;
            let mut event = self.build(uid, draft, (Status::Firing, Origin::Live), now);
            event.standing = false;
            if let Some((seq, incident)) = self.record(tx, event, now)? {
                row.seq = seq;
                row.incident = incident.or(row.incident);
            }
        }
        if healed || worse { self.put_firing(tx, uid, row) } else { Ok(()) }
    }

    /// A trouble's end holds: answers when it will have held for long enough, or ends it.
    fn heal(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        mut row: FiringRow,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let hold = self.config.incidents.heal_for(&self.config.types, row.event_type);
        let since = *row.healthy_since.get_or_insert(now);
        let at = later(since, hold);
        if at <= now {
            self.end(tx, uid, &row, since, now)?;
            return Ok(None);
        }
        self.put_firing(tx, uid, row)?;
        Ok(Some(at))
    }

    /// The object is gone: whatever fired for it ends at once.
    fn end_all(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        key: &ObjectKey,
        object_uid: &str,
        now: Timestamp,
    ) -> Result<()> {
        let rows = self.clusters.get(uid).and_then(|c| c.firings.get(key)).cloned().unwrap_or_default();
        for row in rows.into_iter().filter(|r| r.object.uid == object_uid) {
            self.end(tx, uid, &row, now, now)?;
        }
        let rules = Arc::clone(&self.rules);
        for rule in of(&rules.conditions, key.kind) {
            self.dues.set(tx, &judge_key(uid, rule.name(), key), None, || unreachable_due(uid))?;
            tx.remove(&MEMORY, &keys::memory(uid, rule.name(), object_uid))?;
        }
        Ok(())
    }

    /// Stores the end of a trouble as an event, and takes it out of its incident.
    fn end(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        row: &FiringRow,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
        tx.remove(&FIRINGS, &place)?;
        if let Some(cluster) = self.clusters.get_mut(uid) {
            cluster.drop_firing(row);
        }
        self.resolved(tx, uid, row, at, now)
    }

    /// Something is due.
    pub(super) fn due(&mut self, tx: &Tx<'_>, key: &str, now: Timestamp) -> Result<()> {
        let Some(row) = self.dues.get(key).cloned() else { return Ok(()) };
        let uid = ClusterUid(row.cluster.clone());
        if self.must_wait(tx, &uid, &row.what)? {
            self.dues.postpone(key, now + NOT_LIVE);
            return Ok(());
        }
        self.dues.take(tx, key)?;
        match row.what {
            Due::Judge { rule, key: object } => {
                match CONDITIONS.iter().find(|c| c.name() == rule && c.kind() == object.kind) {
                    Some(rule) => self.judge(tx, &uid, *rule, &object, Origin::Live, now),
                    None => Ok(()),
                }
            }
            Due::Moment { rule, key: name } => match MOMENTS.iter().find(|m| m.name() == rule) {
                Some(rule) => {
                    self.moment(tx, &uid, *rule, now, Origin::Live, |cx, out| rule.due(&name, cx, out))
                }
                None => Ok(()),
            },
            Due::PendingJoin { seq, types } => self.join_or_lead(tx, &uid, seq, &types, now),
            Due::Held { seq } => self.held(tx, &uid, seq, now),
            Due::Api { away } => self.api_due(tx, &uid, away, now),
            Due::Incident { id, step } => self.step(tx, &id, &step, now),
        }
    }

    /// Whether a due row waits because its cluster, or what it needs of it, cannot be seen: after a start not yet, or
    /// not any more.
    fn must_wait(&self, tx: &Tx<'_>, uid: &ClusterUid, due: &Due) -> Result<bool> {
        let cluster = self.clusters.get(uid);
        Ok(match due {
            Due::Judge { key, .. } => !cluster.is_some_and(|c| c.is_live(key.kind, &key.namespace)),
            Due::Moment { .. } => !cluster.is_some_and(Cluster::is_seen),
            Due::PendingJoin { seq, types } => {
                let Some(event) = tx.entry(&EVENTS, *seq)? else { return Ok(false) };
                let kind =
                    |t: &EventType| kube_reasons::judged_kind(*t).or_else(|| Kind::parse(&event.object.kind));
                !cluster.is_some_and(|c| {
                    types.iter().filter_map(kind).all(|k| c.is_settled(k, &event.object.namespace))
                })
            }
            Due::Held { .. } => !cluster.is_some_and(|c| c.is_settled(Kind::Node, "")),
            Due::Api { .. } => false,
            Due::Incident { id, .. } => match tx.get(&INCIDENTS, id.as_str())? {
                // These are judged by ourselves.
                Some(i) if i.subject.kind == CLUSTER || Kind::parse(&i.subject.kind).is_none() => false,
                Some(i) => !self.clusters.get(&i.cluster_uid).is_some_and(Cluster::is_seen),
                None => false,
            },
        })
    }
}

fn judge_key(uid: &ClusterUid, rule: &str, key: &ObjectKey) -> String {
    keys::judge_due(uid, rule, key)
}

/// For `Dues::set` calls that remove and so never ask.
fn unreachable_due(uid: &ClusterUid) -> (String, Due) {
    (uid.0.clone(), Due::Moment { rule: String::new(), key: String::new() })
}

/// `at + by`, or the end of time.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// The fingerprint of a draft.
pub(super) fn fingerprint(uid: &ClusterUid, draft: &Draft, object: &Object) -> Fingerprint {
    let about = draft.about.as_ref().map_or(object.meta.uid.as_str(), |a| a.uid.as_str());
    Fingerprint::new(uid, draft.event_type.name(), about, &draft.discriminator)
}

//! The harness around the rules: thresholds, transitions, ends that must hold.

use std::{cell::RefCell, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    cluster::{Cluster, Missed, View},
    engine::Engine,
    firing::{is_of, well_since},
    ignore::unannotated,
};
use crate::{
    detect::{
        CONDITIONS, Change, Condition, Context, Draft, MOMENTS, Moment, Origin, Output, Verdict, kube_reasons,
    },
    event::{ClusterUid, EventType, Fingerprint, IncidentId, Kind, ObjectRef, incident::CLUSTER},
    object::{Object, ObjectKey},
    store::{Due, DueRow, EVENTS, HEAL, INCIDENTS, MEMORY, Read, Result, Tx, keys, unwound},
};

/// While the watch that a due row needs is not live, it is looked at again after this time.
const NOT_LIVE: SignedDuration = SignedDuration::from_secs(2);
/// How soon it is looked again whether the lists of what an object belongs to are complete.
pub(super) const PLACING: SignedDuration = SignedDuration::from_millis(250);
/// So long after its own list a broken object waits for those of its owners: one that cannot be listed must not hide it.
const PLACED_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// What an object may belong to, and what may say that it is to be ignored.
const ABOVE: [Kind; 7] = [
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
];

/// The registered rules, by the kind whose changes they want.
pub(super) struct Rules {
    pub(super) conditions: Vec<(Kind, Vec<&'static dyn Condition>)>,
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

pub(super) fn of<T: Copy>(table: &[(Kind, Vec<T>)], kind: Kind) -> Vec<T> {
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
        match (&change.after, &change.before) {
            (Some(object), _) => self.place(tx, uid, object)?,
            (None, Some(gone)) => self.displace(tx, uid, gone)?,
            (None, None) => return Ok(()),
        }
        if let Some(namespace) = unannotated(change) {
            // Before the object itself is judged: what began first opens the incident.
            self.look_at_unseen(tx, Some((uid, namespace)), now)?;
            self.work_off(tx, now)?;
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
        let (found, _) = self.call(tx, uid, rule.name(), now, |cx| rule.also(change, cx));
        found.unwrap_or_default()
    }

    /// Calls a rule. One that panics loses this change, is counted and logged, and stops nobody else. With what it
    /// answers, what it asked for that is not listed yet.
    fn call<T>(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &str,
        now: Timestamp,
        f: impl FnOnce(&Context<'_>) -> T,
    ) -> (Option<T>, Vec<Missed>) {
        let Some(cluster) = self.clusters.get(uid) else { return (None, Vec::new()) };
        let view = View { cluster, tx, missed: RefCell::default() };
        let cx = Context { cluster: &cluster.name, now, world: &cluster.world, memory: &view };
        let result = unwound(|| f(&cx));
        if result.is_err() {
            tracing::error!(
                rule,
                "a rule failed on a change, which is a fault of barrelman; it goes on without it"
            );
            self.counts.faults += 1;
        }
        (result.ok(), view.missed.into_inner())
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
        let (told, _) = self.call(tx, uid, rule.name(), now, |cx| f(cx, &mut out));
        if told.is_none() {
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
        let place = judge_key(uid, rule.name(), key);
        let first_sight = |row: &DueRow| matches!(row.what, Due::Judge { baseline: true, .. });
        let origin = if self.dues.get(&place).is_some_and(first_sight) { Origin::Baseline } else { origin };
        let mut out = Output::default();
        let (verdict, mut missed) =
            self.call(tx, uid, rule.name(), now, |cx| rule.judge(&object, cx, &mut out));
        let finds = matches!(&verdict, Some(Verdict::Known(findings)) if !findings.is_empty());
        let first = origin == Origin::Baseline;
        let waits = finds
            && if first { !self.is_placed(uid, key, now) } else { self.stands_first(uid, rule, key, now) };
        if waits {
            // Nor is anything remembered: to the rule the next look is the first one still.
            let what = || {
                (uid.0.clone(), Due::Judge { rule: rule.name().into(), key: key.clone(), baseline: first })
            };
            return self.dues.set(tx, &place, Some(now + PLACING), what);
        }
        if let Some(Verdict::Known(findings)) = &verdict
            && self.parts(tx, uid, rule.name(), (key, findings), now)?
        {
            return self.judge(tx, uid, rule, key, origin, now);
        }
        self.outputs(tx, uid, rule.name(), &mut out)?;
        for draft in std::mem::take(&mut out.drafts) {
            self.tell(tx, uid, draft, origin, now)?;
        }
        let mut next = out.look_again.iter().min().copied();
        if let Some(Verdict::Known(findings)) = verdict {
            let mut firing =
                self.clusters.get(uid).map(|c| c.firings_of(key, rule.name())).unwrap_or_default();
            let began = self.held_since(uid, &place, &findings, now);
            for (finding, began) in findings.into_iter().zip(began) {
                if let Some(position) = firing.iter().position(|f| is_of(f, &finding.draft)) {
                    if let Some(at) = self.still(tx, uid, firing.swap_remove(position), finding.draft, now)? {
                        next = Some(next.map_or(at, |n| n.min(at)));
                    }
                } else {
                    let at = later(began, Duration::from_secs(finding.after_secs.into()));
                    if at <= now {
                        self.fire(tx, uid, rule.name(), finding, origin, now)?;
                    } else {
                        next = Some(next.map_or(at, |n| n.min(at)));
                    }
                }
            }
            for row in firing {
                let well = well_since(&object, &row).filter(|_| origin == Origin::Late);
                let well = well.map_or(now, |at| self.ours(uid, at).min(now));
                if let Some(at) = self.heal(tx, uid, row, (well, now))? {
                    next = Some(next.map_or(at, |n| n.min(at)));
                }
            }
        } else {
            // Nothing could be said: what waits goes on waiting.
            next = next.or_else(|| self.dues.get(&place).map(|row| row.at)).filter(|at| *at > now);
            if missed.is_empty() {
                missed = self.unsettled(uid, rule, key);
            }
        }
        // It is asked again when those lists are complete: no further change may come to do so.
        let baseline = origin == Origin::Baseline && !missed.is_empty();
        if !missed.is_empty() {
            next = Some(next.map_or(now + NOT_LIVE, |at| at.min(now + NOT_LIVE)));
        }
        if let Some(cluster) = self.clusters.get_mut(uid) {
            cluster.set_awaited(&place, missed);
        }
        let what = || (uid.0.clone(), Due::Judge { rule: rule.name().into(), key: key.clone(), baseline });
        self.dues.set(tx, &place, next, what)
    }

    /// A list is complete, or will not come: what waited for it is asked now.
    pub(super) fn ask_again(&mut self, uid: &ClusterUid, now: Timestamp) {
        let answered = self.clusters.get_mut(uid).map(Cluster::take_answered).unwrap_or_default();
        for due in answered {
            self.dues.postpone(&due, now);
        }
    }

    /// Whether everything is known that an object may belong to, or has had its time.
    pub(super) fn is_above_settled(&self, uid: &ClusterUid, namespace: &str, now: Timestamp) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return true };
        cluster.watched_for(now) > PLACED_AFTER
            || ABOVE.iter().all(|kind| cluster.is_settled(*kind, namespace))
    }

    /// Whether it can be told to whom an object belongs: at the first sight the lists of its owners, and of the Pods
    /// of a Service, may still be under way.
    fn is_placed(&self, uid: &ClusterUid, key: &ObjectKey, now: Timestamp) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return true };
        let since = cluster.baseline_of(key.kind, &key.namespace).unwrap_or(now);
        let mut kinds = ABOVE.iter().chain((key.kind == Kind::Service).then_some(&Kind::Pod));
        now.duration_since(since) > PLACED_AFTER
            || kinds.all(|kind| cluster.is_settled(*kind, &key.namespace))
    }

    /// Whether what stood at the first sight is still being placed: what belongs to it must not be told as new before.
    fn stands_first(&self, uid: &ClusterUid, rule: &dyn Condition, key: &ObjectKey, now: Timestamp) -> bool {
        let Some(cluster) = self.clusters.get(uid) else { return false };
        cluster.watched_for(now) <= PLACED_AFTER
            && cluster.firings_of(key, rule.name()).is_empty()
            && self
                .dues
                .rows()
                .any(|row| row.cluster == uid.0 && matches!(row.what, Due::Judge { baseline: true, .. }))
    }

    fn unsettled(&self, uid: &ClusterUid, rule: &dyn Condition, key: &ObjectKey) -> Vec<Missed> {
        let Some(cluster) = self.clusters.get(uid) else { return Vec::new() };
        let kinds = rule.also_on().iter().chain(std::iter::once(&key.kind));
        kinds
            .filter(|kind| !cluster.is_settled(**kind, &key.namespace))
            .map(|kind| (*kind, key.namespace.clone()))
            .collect()
    }

    /// Something is due.
    pub(super) fn due(&mut self, tx: &Tx<'_>, key: &str, now: Timestamp) -> Result<()> {
        let Some(row) = self.dues.get(key).cloned() else { return Ok(()) };
        let uid = ClusterUid(row.cluster.clone());
        let awaits = self.clusters.get(&uid).is_some_and(|c| c.awaits(key));
        if awaits {
            self.dues.postpone(key, now + NOT_LIVE);
            return Ok(());
        }
        if let Some(wait) = self.must_wait(tx, &uid, &row.what, now)? {
            self.dues.postpone(key, now + wait);
            return Ok(());
        }
        self.dues.take(tx, key)?;
        match row.what {
            Due::Judge { rule, key: object, baseline } => {
                let origin = if baseline { Origin::Baseline } else { Origin::Live };
                match CONDITIONS.iter().find(|c| c.name() == rule && c.kind() == object.kind) {
                    Some(rule) => self.judge(tx, &uid, *rule, &object, origin, now),
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

    /// How long a due row waits because its cluster, or what it needs of it, cannot be seen: after a start not yet, or
    /// not any more.
    fn must_wait(
        &self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        due: &Due,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        let cluster = self.clusters.get(uid);
        let settled = |kind: Kind, namespace: &str| cluster.is_some_and(|c| c.is_settled(kind, namespace));
        let ready = match due {
            Due::Judge { key, baseline: true, .. } if !self.is_placed(uid, key, now) => {
                return Ok(Some(PLACING));
            }
            Due::Judge { key, .. } => cluster.is_some_and(|c| c.is_live(key.kind, &key.namespace)),
            Due::Moment { .. } => cluster.is_some_and(Cluster::is_seen),
            Due::PendingJoin { seq, types } => {
                let Some(event) = tx.entry(&EVENTS, *seq)? else { return Ok(None) };
                let kind =
                    |t: &EventType| kube_reasons::judged_kind(*t).or_else(|| Kind::parse(&event.object.kind));
                types.iter().filter_map(kind).all(|k| settled(k, &event.object.namespace))
            }
            Due::Held { .. } => settled(Kind::Node, ""),
            // That it answers is known by nothing but its answer to this process.
            Due::Api { away } => *away || cluster.is_some_and(Cluster::answers),
            Due::Incident { id, step } => self.can_step(tx, id, step)?,
        };
        Ok((!ready).then_some(NOT_LIVE))
    }

    fn can_step(&self, tx: &Tx<'_>, id: &IncidentId, step: &str) -> Result<bool> {
        let Some(incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(true) };
        let (subject, cluster) = (&incident.subject, self.clusters.get(&incident.cluster_uid));
        Ok(match Kind::parse(&subject.kind) {
            // These are judged by ourselves.
            _ if subject.kind == CLUSTER => true,
            None => true,
            Some(kind) if step == HEAL => cluster.is_some_and(|c| c.is_settled(kind, &subject.namespace)),
            Some(_) => cluster.is_some_and(Cluster::is_seen),
        })
    }
}

pub(super) fn judge_key(uid: &ClusterUid, rule: &str, key: &ObjectKey) -> String {
    keys::judge_due(uid, rule, key)
}

/// For `Dues::set` calls that remove and so never ask.
pub(super) fn unreachable_due(uid: &ClusterUid) -> (String, Due) {
    (uid.0.clone(), Due::Moment { rule: String::new(), key: String::new() })
}

/// `at + by`, or the end of time.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// The uid, or where a Kubernetes Event names an object without one, its place.
pub(super) fn identity(reference: &ObjectRef) -> String {
    if reference.uid.is_empty() { reference.key() } else { reference.uid.clone() }
}

/// The fingerprint of a draft.
pub(super) fn fingerprint(uid: &ClusterUid, draft: &Draft, object: &Object) -> Fingerprint {
    let about = draft.about.as_ref().map_or_else(|| object.meta.uid.to_string(), identity);
    Fingerprint::new(uid, draft.event_type.name(), &about, &draft.discriminator)
}

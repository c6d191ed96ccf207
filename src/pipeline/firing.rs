//! What fires: its beginning, what it is like while it goes on, and its end.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    engine::Engine,
    ignore::Unseen,
    judge::{PLACING, judge_key, later, of, unreachable_due},
};
use crate::{
    detect::{Draft, Finding, Origin},
    event::{ClusterUid, Event, EventId, EventType, Moment, Status, TimeSource},
    feed::Feed,
    object::{Condition, Object, ObjectKey},
    store::{EVENT_IDS, FIRINGS, FiringRow, INCIDENTS, MEMBERS, MEMORY, Read, Result, Tx, Words, keys},
};

/// The end of a trouble.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    /// Since when it is over.
    pub at: Timestamp,
    /// When that has held for long enough.
    pub now: Timestamp,
    /// Its object is gone: that says nothing of what the object belonged to.
    pub gone: bool,
}

impl Engine {
    /// A trouble has held for as long as it takes.
    pub(super) fn fire(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        rule: &'static str,
        Finding { mut draft, .. }: Finding,
        origin: Origin,
        now: Timestamp,
    ) -> Result<()> {
        if let Some(since) =
            draft.stands_since.filter(|since| origin == Origin::Baseline && *since < draft.at)
        {
            draft = draft.at(since);
        }
        let standing = origin == Origin::Baseline || self.stood_at_baseline(uid, &draft);
        let (key, discriminator) = (draft.object.key(), draft.discriminator.clone());
        let (event_type, words) = (draft.event_type, words(&draft));
        let mut event = self.build(uid, draft, (Status::Firing, origin), now);
        event.standing = standing;
        anew(tx, &mut event, &discriminator, now)?;
        let (object, severity, since) = (event.object.clone(), event.severity, event.timestamp);
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
            words: Some(words),
        };
        self.put_firing(tx, uid, row)?;
        if event_type == EventType::NodeUnhealthy { self.nodes_changed(tx, uid, (now, now)) } else { Ok(()) }
    }

    /// What fires in a cluster, of all its objects.
    pub(super) fn firing_in(&self, uid: &ClusterUid) -> impl Iterator<Item = &FiringRow> {
        self.clusters.get(uid).into_iter().flat_map(|c| c.firings.values().flatten())
    }

    /// It was so before we first looked, although its threshold passed only now.
    fn stood_at_baseline(&self, uid: &ClusterUid, draft: &Draft) -> bool {
        let meta = &draft.object.meta;
        let baseline = self.clusters.get(uid).and_then(|c| c.baseline_of(draft.object.kind, &meta.namespace));
        let before = |at: Timestamp, since: Timestamp| self.ours(uid, at) <= since;
        baseline.is_some_and(|since| {
            before(draft.at, since) && meta.created_at.is_some_and(|created| before(created, since))
        })
    }

    pub(super) fn put_firing(&mut self, tx: &Tx<'_>, uid: &ClusterUid, row: FiringRow) -> Result<()> {
        let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
        tx.put(&FIRINGS, &place, &row)?;
        if let Some(cluster) = self.clusters.get_mut(uid) {
            cluster.put_firing(row);
        }
        Ok(())
    }

    /// A trouble goes on: an end that was waited for is off, what became worse is told, and what is said of it follows
    /// what is true now. Answers when it wants to be looked at again.
    pub(super) fn still(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        mut row: FiringRow,
        draft: Draft,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let healed = row.healthy_since.take().is_some();
        let seen = self.unignored(tx, uid, &mut row, &draft, now)?;
        // A rule that looks between two failures has nothing new to say.
        let words = Some(words(&draft)).filter(|w| !w.description.is_empty());
        let words = words.map(|words| without(words, row.words.as_ref()));
        let changed = words.filter(|w| row.words.as_ref() != Some(w));
        let severity = self.severity_of(draft.event_type, draft.severity);
        let worse = severity > row.severity;
        if worse {
            row.severity = severity;
            let mut draft = draft;
            draft.at = now;
            let discriminator = draft.discriminator.clone();
            let mut event = self.build(uid, draft, (Status::Firing, Origin::Live), now);
            event.standing = false;
            anew(tx, &mut event, &discriminator, now)?;
            let id = event.id.clone();
            if let Some((seq, incident)) = self.record(tx, event, now)? {
                row.seq = seq;
                row.event = id;
                row.incident = incident.or(row.incident);
            }
        }
        let words_changed = changed.is_some();
        if let Some(words) = changed {
            self.reword(tx, &row, &words)?;
            row.words = Some(words);
        }
        if healed || worse || words_changed || seen == Unseen::Told {
            if healed {
                self.turned(tx, &row, Some(now))?;
            }
            let node = healed && row.event_type == EventType::NodeUnhealthy;
            self.put_firing(tx, uid, row)?;
            if node {
                self.nodes_changed(tx, uid, (now, now))?;
            }
        }
        Ok((seen == Unseen::Later).then_some(now + PLACING))
    }

    /// Member and incident say what is so now; nobody is told of that.
    fn reword(&mut self, tx: &Tx<'_>, row: &FiringRow, words: &Words) -> Result<()> {
        let same = |old: &Words| old.title == words.title && old.description == words.description;
        if row.words.as_ref().is_some_and(same) {
            return Ok(());
        }
        let Some(id) = &row.incident else { return Ok(()) };
        let key = keys::member(id, &row.fingerprint);
        if let Some(mut member) = tx.get(&MEMBERS, &key)?.filter(|m| m.title != words.title) {
            member.title.clone_from(&words.title);
            tx.put(&MEMBERS, &key, &member)?;
        }
        match tx.get(&INCIDENTS, id.as_str())? {
            Some(mut incident) if incident.worst_event == row.event => {
                incident.title.clone_from(&words.title);
                incident.description.clone_from(&words.description);
                self.save(tx, &incident)
            }
            _ => Ok(()),
        }
    }

    /// A trouble's end holds, `well` since then where it is new: answers when it will have held for long enough, or ends it.
    pub(super) fn heal(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        mut row: FiringRow,
        (well, now): (Timestamp, Timestamp),
    ) -> Result<Option<Timestamp>> {
        let hold = self.config.incidents.heal_for(&self.config.types, row.event_type);
        let turned = row.healthy_since.is_none();
        let since = *row.healthy_since.get_or_insert(well);
        let at = later(since, hold);
        if at <= now {
            self.end(tx, uid, &row, Over { at: since, now, gone: false })?;
            return Ok(None);
        }
        if turned {
            self.turned(tx, &row, None)?;
        }
        let node = turned && row.event_type == EventType::NodeUnhealthy;
        self.put_firing(tx, uid, row)?;
        if node {
            self.nodes_changed(tx, uid, (since, now))?;
        }
        Ok(Some(at))
    }

    /// A trouble went away for now, or came `back`: also where its incident's row stays the same, who shows it has to
    /// look again.
    pub(super) fn turned(&mut self, tx: &Tx<'_>, row: &FiringRow, back: Option<Timestamp>) -> Result<()> {
        let Some(id) = &row.incident else { return Ok(()) };
        let Some(mut incident) = tx.get(&INCIDENTS, id.as_str())? else { return Ok(()) };
        if let Some(at) = back
            && self.refire(tx, &mut incident, at)?
        {
            return self.save(tx, &incident);
        }
        self.feed.push(Feed::Incident { incident: Arc::new(incident) });
        Ok(())
    }

    /// The object is gone: whatever fired for it ends at once.
    pub(super) fn end_all(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        key: &ObjectKey,
        object_uid: &str,
        now: Timestamp,
    ) -> Result<()> {
        let rows = self.clusters.get(uid).and_then(|c| c.firings.get(key)).cloned().unwrap_or_default();
        for row in rows.into_iter().filter(|r| r.object.uid == object_uid) {
            // What was well when it went had ended before.
            let at = row.healthy_since.unwrap_or(now);
            self.end(tx, uid, &row, Over { at, now, gone: true })?;
        }
        self.forget_judging(tx, uid, key, object_uid)
    }

    /// What the rules wanted to look at again, and remembered, of an object.
    pub(super) fn forget_judging(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        key: &ObjectKey,
        object_uid: &str,
    ) -> Result<()> {
        let rules = Arc::clone(&self.rules);
        for rule in of(&rules.conditions, key.kind) {
            self.dues.set(tx, &judge_key(uid, rule.name(), key), None, || unreachable_due(uid))?;
            tx.remove(&MEMORY, &keys::memory(uid, rule.name(), object_uid))?;
        }
        Ok(())
    }

    /// Stores the end of a trouble as an event, and takes it out of its incident.
    pub(super) fn end(&mut self, tx: &Tx<'_>, uid: &ClusterUid, row: &FiringRow, over: Over) -> Result<()> {
        let place = keys::firing(uid, &row.key, &row.rule, row.event_type.name(), &row.discriminator);
        tx.remove(&FIRINGS, &place)?;
        if let Some(cluster) = self.clusters.get_mut(uid) {
            cluster.drop_firing(row);
        }
        self.resolved(tx, uid, row, over)
    }
}

/// Since when the object itself says that a trouble is over: a condition that has held since then, after the trouble
/// began. For an end that came while nobody watched.
pub(super) fn well_since(object: &Object, row: &FiringRow) -> Option<Timestamp> {
    let (conditions, kind) = match row.event_type {
        EventType::NodeUnhealthy => (&object.node()?.conditions, row.discriminator.as_str()),
        EventType::PodUnschedulable => (&object.pod()?.conditions, "PodScheduled"),
        EventType::PodUnready
        | EventType::PodCrashLoop
        | EventType::PodStartFailed
        | EventType::ImagePullFailed => (&object.pod()?.conditions, "Ready"),
        _ => return None,
    };
    let condition = Condition::find(conditions, kind)?;
    // Of a node's conditions only Ready is well when it is true.
    let well = condition.is_true() != (row.event_type == EventType::NodeUnhealthy && kind != "Ready");
    condition.since.filter(|since| well && *since > row.since)
}

/// Whether it is this trouble, of the object that was looked at.
pub(super) fn is_of(row: &FiringRow, draft: &Draft) -> bool {
    row.event_type == draft.event_type && row.discriminator == draft.discriminator
}

pub(super) fn words(draft: &Draft) -> Words {
    Words {
        title: draft.title.clone(),
        description: draft.description.clone(),
        details: draft.details.clone(),
    }
}

/// Details that were there before and are not any more are empty from now on: what was told with them is not so.
fn without(mut words: Words, before: Option<&Words>) -> Words {
    for key in before.into_iter().flat_map(|before| before.details.keys()) {
        words.details.entry(key.clone()).or_insert(serde_json::Value::Null);
    }
    words
}

/// A trouble that was told with this very cluster time, and ended, is there again: a certificate that was put back,
/// a scope that is watched again. It began anew when that was seen, and has an id of its own.
fn anew(tx: &Tx<'_>, event: &mut Event, discriminator: &str, now: Timestamp) -> Result<()> {
    let mut at = now;
    while tx.get(&EVENT_IDS, event.id.as_str())?.is_some() {
        let names = (event.event_type.name(), event.status.as_str());
        event.id = EventId::new(&event.cluster_uid, &event.object.uid, Moment::At(at), names, discriminator);
        event.timestamp = at;
        event.first_seen = at;
        event.last_seen = at;
        event.time_source = TimeSource::Observed;
        let source = serde_json::to_value(event.time_source).unwrap_or_default();
        event.details.insert("time_source".into(), source);
        at = later(at, Duration::from_millis(1));
    }
    Ok(())
}

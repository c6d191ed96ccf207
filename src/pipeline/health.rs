//! Troubles of our own sight: a cluster's API that does not answer, many nodes at once, a connector that cannot
//! deliver. They are events like any other, about subjects that are no objects of a cluster.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::json;

use super::{cause::cluster_ref, cluster::Cluster, engine::Engine, firing::Over, judge::later};
use crate::{
    event::{
        ClusterUid, Event, EventId, EventType, Fingerprint, Kind, Moment, ObjectRef, Recommendation, Status,
        TimeSource,
        incident::{Incident, IncidentStatus},
    },
    object::ObjectKey,
    store::{Due, FiringRow, INCIDENTS, MEMORY, Read, Result, Tx, keys},
};

/// Fewer unhealthy nodes than this are incidents of their own.
const NODES: usize = 2;
/// And at least every so-manieth: more than 20 %.
const NODE_SHARE: usize = 5;

/// What a trouble of our own is about.
struct Own {
    event_type: EventType,
    subject: ObjectRef,
    /// `api`, `nodes`
    what: &'static str,
    /// It was so at the first sight.
    standing: bool,
}

impl Own {
    fn of_cluster(cluster: &Cluster, what: &'static str) -> Self {
        Self { event_type: EventType::ClusterUnhealthy, subject: cluster_ref(cluster), what, standing: false }
    }

    fn memory(&self, uid: &ClusterUid) -> String {
        keys::memory(uid, self.event_type.name(), &format!("{}/{}", self.subject.name, self.what))
    }
}

impl Engine {
    /// The API does not answer.
    pub(super) fn away(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        (since, why): (Timestamp, &str),
        now: Timestamp,
    ) -> Result<()> {
        let Some(cluster) = self.clusters.get_mut(uid) else { return Ok(()) };
        let since = *cluster.away_since.get_or_insert(since.min(now));
        let own = Own::of_cluster(cluster, "api");
        tx.put(&MEMORY, &keys::memory(uid, "api", "why"), &why.into())?;
        tx.remove(&MEMORY, &keys::memory(uid, "api", "back"))?;
        self.own_turned(tx, uid, &own, (None, now))?;
        self.dues.set(tx, &keys::api_due(uid, false), None, || api(uid, false))?;
        self.dues.set(tx, &keys::api_due(uid, true), Some(later(since, self.config.away)), || api(uid, true))
    }

    /// The API answers.
    pub(super) fn live(&mut self, tx: &Tx<'_>, uid: &ClusterUid, now: Timestamp) -> Result<()> {
        let Some(cluster) = self.clusters.get_mut(uid) else { return Ok(()) };
        let first = cluster.back(now);
        let own = Own::of_cluster(cluster, "api");
        self.dues.set(tx, &keys::api_due(uid, true), None, || api(uid, true))?;
        if tx.get(&MEMORY, &own.memory(uid))?.is_some() {
            let hold = self.config.incidents.heal_for(&self.config.types, EventType::ClusterUnhealthy);
            self.own_turned(tx, uid, &own, (Some(now), now))?;
            let key = keys::api_due(uid, false);
            // Nobody saw whether it answered while no process ran: then it has to hold from now on.
            if first || self.dues.get(&key).is_none() {
                tx.put(&MEMORY, &keys::memory(uid, "api", "back"), &now.to_string().into())?;
                self.dues.set(tx, &key, Some(later(now, hold)), || api(uid, false))?;
            }
        }
        Ok(())
    }

    /// It has been away, or back, for long enough.
    pub(super) fn api_due(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        away: bool,
        now: Timestamp,
    ) -> Result<()> {
        let Some(cluster) = self.clusters.get(uid) else { return Ok(()) };
        let own = Own::of_cluster(cluster, "api");
        match (away, cluster.away_since) {
            (true, Some(since)) => {
                let why = tx.get(&MEMORY, &keys::memory(uid, "api", "why"))?;
                let why = why.and_then(|w| w.as_str().map(str::to_owned)).unwrap_or_default();
                let name = cluster.name.to_string();
                let title = format!("The API server of {name} does not answer");
                let look =
                    [("Ask the API server whether it is ready", "kubectl get --raw '/readyz?verbose'")];
                self.own_fire(tx, uid, &own, (since, now), (title, why), &look)
            }
            (false, None) => {
                let back = tx.get(&MEMORY, &keys::memory(uid, "api", "back"))?;
                let back = back.and_then(|at| at.as_str()?.parse().ok());
                self.own_end(tx, uid, &own, (back.unwrap_or(now), now))
            }
            _ => Ok(()),
        }
    }

    /// A node became unhealthy or well, since when: many at once are the cluster's trouble.
    pub(super) fn nodes_changed(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        (at, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        let Some(cluster) = self.clusters.get(uid) else { return Ok(()) };
        let total = cluster.world.of_kind(Kind::Node).count();
        let failing: Vec<&FiringRow> =
            cluster.firings.values().flatten().filter(|f| f.is_lost_node()).collect();
        let standing = failing.iter().all(|f| f.standing);
        let own = Own { standing, ..Own::of_cluster(cluster, "nodes") };
        if !are_many(failing.len(), total) {
            return self.own_end(tx, uid, &own, (at, now));
        }
        // One that is back, and has only to stay so, is ready: rebooted one after the other, they are never many.
        let down: Vec<&FiringRow> = failing.into_iter().filter(|f| f.healthy_since.is_none()).collect();
        let is_many = are_many(down.len(), total);
        if tx.get(&MEMORY, &own.memory(uid))?.is_some() {
            return self.own_turned(tx, uid, &own, ((!is_many).then_some(at), now));
        }
        if !is_many {
            return Ok(());
        }
        let title = format!("{} of {total} nodes of {} are not ready", down.len(), cluster.name);
        let mut names: Vec<String> = down.iter().map(|f| f.key.name.to_string()).collect();
        names.sort_unstable();
        let why = format!("Not ready: {}", names.join(", "));
        let look = [("List the nodes", "kubectl get nodes -o wide")];
        let ids: Vec<_> = names
            .iter()
            .filter_map(|name| cluster.open.get(&ObjectRef::new(Kind::Node, "", name, "").key()))
            .map(|open| open.id.clone())
            .collect();
        self.own_fire(tx, uid, &own, (now, now), (title, why), &look)?;
        let mut untold = Vec::new();
        for id in ids {
            let incident: Option<Incident> = tx.get(&INCIDENTS, id.as_str())?;
            untold.extend(incident.filter(|i| i.status == IncidentStatus::Open));
        }
        self.overtaken(tx, &untold, now)
    }

    /// A failing node left what is watched. Where those that are left are not many, the cluster's trouble has left with
    /// it: nobody is told of an end.
    pub(super) fn nodes_left(&mut self, tx: &Tx<'_>, uid: &ClusterUid, now: Timestamp) -> Result<()> {
        let Some(cluster) = self.clusters.get(uid) else { return Ok(()) };
        let total = cluster.world.of_kind(Kind::Node).count();
        let failing = cluster.firings.values().flatten().filter(|f| f.is_lost_node()).count();
        let place = Own::of_cluster(cluster, "nodes").memory(uid);
        if are_many(failing, total) {
            return Ok(());
        }
        let Some(row) = tx.get(&MEMORY, &place)? else { return Ok(()) };
        tx.remove(&MEMORY, &place)?;
        match serde_json::from_value::<FiringRow>(row) {
            Ok(row) => self.leave(tx, uid, &row, now),
            Err(_) => Ok(()),
        }
    }

    /// A connector cannot deliver, or can again.
    pub(super) fn connector(
        &mut self,
        tx: &Tx<'_>,
        name: &str,
        trouble: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let uid = ClusterUid(self.store_id.clone());
        // A single cluster lends its name; with several, we speak for ourselves.
        let named: BTreeSet<Arc<str>> =
            self.clusters.iter().filter(|(u, _)| **u != uid).map(|(_, c)| Arc::clone(&c.name)).collect();
        let only = named.first().filter(|_| named.len() == 1);
        let own_name: Arc<str> = only.map_or_else(|| "barrelman".into(), Arc::clone);
        self.cluster_mut(&uid, &own_name).name = Arc::clone(&own_name);
        let subject = ObjectRef {
            kind: "Connector".into(),
            namespace: String::new(),
            name: name.to_owned(),
            uid: name.to_owned(),
        };
        let own = Own { event_type: EventType::ConnectorFailed, subject, what: "delivery", standing: false };
        match trouble {
            Some(why) => {
                let title = format!("Connector {name} cannot deliver");
                let look = [
                    ("See what was not delivered", "barrelman deliveries list --dead"),
                    ("Check the connector", "barrelman check"),
                ];
                self.own_fire(tx, &uid, &own, (now, now), (title, why.to_owned()), &look)
            }
            None => self.own_end(tx, &uid, &own, (now, now)),
        }
    }

    /// A connector that was removed or switched off fails no more.
    pub(super) fn connectors_gone(&mut self, tx: &Tx<'_>, now: Timestamp) -> Result<()> {
        if self.config.watch_only {
            return Ok(());
        }
        let uid = ClusterUid(self.store_id.clone());
        let rule = EventType::ConnectorFailed.name();
        for (_, row) in tx.all(&MEMORY, &keys::prefix(&[uid.as_str(), rule]))? {
            let Ok(row) = serde_json::from_value::<FiringRow>(row) else { continue };
            if !self.targets.iter().any(|t| t.name == row.object.name) {
                let name = row.object.name;
                self.connector(tx, &name, None, now)?;
            }
        }
        Ok(())
    }

    fn own_fire(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        own: &Own,
        (since, now): (Timestamp, Timestamp),
        (title, why): (String, String),
        look: &[(&str, &str)],
    ) -> Result<()> {
        let place = own.memory(uid);
        if tx.get(&MEMORY, &place)?.is_some() {
            return Ok(());
        }
        let def = own.event_type.def();
        let fingerprint = Fingerprint::new(uid, def.name, &own.subject.uid, own.what);
        let names = (def.name, Status::Firing.as_str());
        let id = EventId::new(uid, &own.subject.uid, Moment::At(since), names, own.what);
        let mut details = serde_json::Map::new();
        details.insert("reason".into(), json!(why));
        details.insert("what".into(), json!(own.what));
        let severity =
            self.config.types.get(&own.event_type).and_then(|t| t.severity).unwrap_or(def.severity);
        let event = Event {
            id: id.clone(),
            fingerprint: fingerprint.clone(),
            event_type: own.event_type,
            severity,
            status: Status::Firing,
            role: def.role,
            timestamp: since,
            time_source: TimeSource::Observed,
            observed_at: now,
            cluster: self.clusters.get(uid).map(|c| c.name.to_string()).unwrap_or_default(),
            cluster_uid: uid.clone(),
            object: own.subject.clone(),
            subject: own.subject.clone(),
            title,
            description: why,
            details,
            recommendations: look
                .iter()
                .map(|(action, command)| Recommendation {
                    action: (*action).to_owned(),
                    command: (*command).to_owned(),
                })
                .collect(),
            links: Vec::new(),
            labels: std::collections::BTreeMap::default(),
            annotations: std::collections::BTreeMap::default(),
            owner_references: Vec::new(),
            count: 1,
            first_seen: since,
            last_seen: since,
            late: false,
            standing: own.standing,
            ignored: None,
            incident: None,
        };
        let object = event.object.clone();
        let Some((seq, incident)) = self.record(tx, event, now)? else { return Ok(()) };
        let row = FiringRow {
            rule: def.name.to_owned(),
            key: ObjectKey::new(Kind::Namespace, "", own.what),
            object,
            event_type: own.event_type,
            severity,
            discriminator: own.what.to_owned(),
            fingerprint,
            since,
            event: id,
            seq,
            incident,
            healthy_since: None,
            standing: own.standing,
            words: None,
        };
        tx.put(&MEMORY, &place, &serde_json::to_value(row).unwrap_or_default())
    }

    /// It is `well` for now, since then, or there again.
    fn own_turned(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        own: &Own,
        (well, now): (Option<Timestamp>, Timestamp),
    ) -> Result<()> {
        let place = own.memory(uid);
        let row = tx.get(&MEMORY, &place)?.and_then(|row| serde_json::from_value::<FiringRow>(row).ok());
        let Some(mut row) = row.filter(|row| row.healthy_since.is_some() != well.is_some()) else {
            return Ok(());
        };
        row.healthy_since = well;
        self.turned(tx, &row, well.is_none().then_some(now))?;
        tx.put(&MEMORY, &place, &serde_json::to_value(row).unwrap_or_default())
    }

    fn own_end(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        own: &Own,
        (at, now): (Timestamp, Timestamp),
    ) -> Result<()> {
        let place = own.memory(uid);
        let Some(row) = tx.get(&MEMORY, &place)? else { return Ok(()) };
        tx.remove(&MEMORY, &place)?;
        match serde_json::from_value::<FiringRow>(row) {
            Ok(row) => {
                // Of many nodes the last to end may have been well before there were many: another was removed.
                let at = if at > row.since { at } else { now };
                self.resolved(tx, uid, &row, Over { at, now, gone: false })
            }
            Err(_) => Ok(()),
        }
    }
}

fn are_many(count: usize, total: usize) -> bool {
    count >= NODES && count * NODE_SHARE > total
}

fn api(uid: &ClusterUid, away: bool) -> (String, Due) {
    (uid.0.clone(), Due::Api { away })
}

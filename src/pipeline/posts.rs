//! One PainChain post per change of an object, for connectors with `deliver = "events"`.
//!
//! The body comes from a mapping of its own beside the detectors; what our detectors said of the same version rides
//! along in `data.types`, `data.severity` and `data.incident`.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{engine::Engine, route::Deliver};
use crate::{
    connector::Notification,
    detect::{Change, Draft, Origin, painchain},
    event::{
        ClusterUid, Event, EventType, Kind, NotificationId, Role, Severity, Status, digest, incident::Phase,
    },
    feed::Feed,
    store::{Result, Tx},
};

impl Engine {
    /// `first` is the place in the feed where this change's events begin.
    pub(super) fn post(
        &mut self,
        tx: &Tx<'_>,
        uid: &ClusterUid,
        change: &Change,
        first: usize,
        now: Timestamp,
    ) -> Result<()> {
        let targets = self.targets();
        if change.origin == Origin::Baseline || !targets.iter().any(|t| t.deliver == Deliver::Posts) {
            return Ok(());
        }
        let Some(cluster) = self.clusters.get(uid) else { return Ok(()) };
        let Some(mut body) = painchain::post(change, &cluster.name, &cluster.world, now) else {
            return Ok(());
        };
        let events = self.events_since(first);
        let told: Vec<&Arc<Event>> = events.iter().filter(|e| e.ignored.is_none() && !e.standing).collect();
        if told.is_empty() && !events.is_empty() {
            return Ok(());
        }
        let worst = told.iter().max_by_key(|e| e.severity).map(|e| (***e).clone());
        let event = worst.unwrap_or_else(|| self.plain(uid, change, &body, now));
        if told.is_empty() && self.ignored(&event, now).is_some() {
            return Ok(());
        }
        enrich(&mut body, &told, &event);
        let about = digest("post", &[uid.as_str(), &event.object.uid, external_id(&body)]);
        for target in targets.iter().filter(|t| t.deliver == Deliver::Posts) {
            let passes = told.iter().any(|e| (target.passes)(e, now)) || (target.passes)(&event, now);
            if !passes {
                continue;
            }
            let notification = Notification {
                id: NotificationId::new(&target.name, &about, Phase::Event.as_str(), 0),
                connector: target.name.clone(),
                phase: Phase::Event,
                event: event.clone(),
                incident: None,
                digest: Vec::new(),
                post: Some(body.clone()),
                created_at: now,
            };
            self.enqueue(tx, notification, now)?;
        }
        Ok(())
    }

    fn events_since(&self, first: usize) -> Vec<Arc<Event>> {
        self.feed
            .iter()
            .skip(first)
            .filter_map(|item| match item {
                Feed::Event { event, .. } => Some(Arc::clone(event)),
                _ => None,
            })
            .collect()
    }

    /// An event for a change that no detector speaks of: it is not stored, only carries the post.
    fn plain(&self, uid: &ClusterUid, change: &Change, body: &Value, now: Timestamp) -> Event {
        let event_type = match change.key.kind {
            Kind::Event => EventType::KubernetesEvent,
            Kind::Service => EventType::ServiceChanged,
            Kind::Ingress => EventType::IngressChanged,
            Kind::ConfigMap | Kind::Secret => EventType::ConfigChanged,
            _ => EventType::PodStatusChanged,
        };
        let title = body.get("title").and_then(Value::as_str).unwrap_or_default();
        let at = body.get("timestamp").and_then(Value::as_str).and_then(|t| t.parse().ok()).unwrap_or(now);
        let draft = Draft::new(event_type, change.object(), title)
            .severity(Severity::Info)
            .role(Role::Context)
            .at(at);
        self.build(uid, draft, (Status::Info, change.origin), now)
    }
}

fn external_id(body: &Value) -> &str {
    body.get("externalId").and_then(Value::as_str).unwrap_or_default()
}

fn enrich(body: &mut Value, told: &[&Arc<Event>], event: &Event) {
    let Some(data) = body.get_mut("data").and_then(Value::as_object_mut) else { return };
    let mut types: Vec<&str> = told.iter().map(|e| e.event_type.name()).collect();
    types.dedup();
    data.insert("types".into(), json!(types));
    data.insert("severity".into(), json!(event.severity));
    data.insert("incident".into(), json!(told.iter().find_map(|e| e.incident.as_ref())));
    data.entry("links").or_insert_with(|| json!(event.links));
}

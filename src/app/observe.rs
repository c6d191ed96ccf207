//! Looks at deliveries: for the feed, and for the event that a connector cannot deliver.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::Observer,
    event::{EventType, incident::Phase},
    feed::Feed,
    pipeline::Input,
    status::{ConnectorStatus, Status},
    store::{DeliveryRow, DeliveryState, MEMORY, META, Read, Store, keys},
};

/// An undelivered row older than this is trouble.
const SLOW: SignedDuration = SignedDuration::from_mins(15);
/// How often that is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Passes on what dispatch commits.
pub struct Observe {
    feed: broadcast::Sender<Feed>,
    inputs: mpsc::Sender<Input>,
}

impl Observe {
    pub fn new(feed: broadcast::Sender<Feed>, inputs: mpsc::Sender<Input>) -> Self {
        Self { feed, inputs }
    }
}

impl Observer for Observe {
    fn delivery(&self, seq: u64, row: &DeliveryRow) {
        // What a person is told; a stream of single events is not for the log.
        if row.state == DeliveryState::Delivered && row.phase != Phase::Event {
            tracing::info!(
                connector = row.connector, phase = row.phase.as_str(), severity = %row.severity, attempts = row.attempts,
                "told: {}", row.title
            );
        }
        let _ = self.feed.send(Feed::Delivery { seq, delivery: Arc::new(row.clone()) });
    }

    fn state_changed(&self, status: &ConnectorStatus) {
        let trouble = (status.enabled && status.state == "paused").then(|| status.why.clone());
        // A full queue means that the pipeline waits for the disk; `slow` asks again.
        let _ = self.inputs.try_send(Input::Connector { name: status.name.clone(), trouble });
    }
}

/// Tells of connectors whose oldest row is too old, or that are paused, until a delivery succeeds, or until they are off
/// or gone. What was told before a restart is in the store, and ends like the rest.
pub async fn slow(
    (store, status): (Store, watch::Receiver<Arc<Status>>),
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut failing = told_before(&store).unwrap_or_else(|error| {
        tracing::warn!(%error, "which connectors were failing before cannot be read");
        BTreeSet::new()
    });
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = Arc::clone(&status.borrow());
        if now.watch_only {
            continue;
        }
        for (name, trouble) in changes(&failing, &now) {
            match &trouble {
                Some(_) => failing.insert(name.clone()),
                None => failing.remove(&name),
            };
            if inputs.send(Input::Connector { name, trouble }).await.is_err() {
                return;
            }
        }
    }
}

/// The connectors of which the store says that they cannot deliver.
fn told_before(store: &Store) -> crate::store::Result<BTreeSet<String>> {
    let read = store.snapshot()?;
    let id = read.get(&META, "store_id")?.and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let rows = read.all(&MEMORY, &keys::prefix(&[&id, EventType::ConnectorFailed.name()]))?;
    let name = |(_, row): (String, serde_json::Value)| {
        row.pointer("/object/name").and_then(|n| n.as_str()).map(str::to_owned)
    };
    Ok(rows.into_iter().filter_map(name).collect())
}

/// Whose trouble began or ended.
fn changes(failing: &BTreeSet<String>, now: &Status) -> Vec<(String, Option<String>)> {
    let gone = failing.iter().filter(|name| !now.connectors.iter().any(|c| c.name == **name));
    let gone = gone.map(|name| (name.clone(), None));
    let there = now.connectors.iter().map(|c| (c.name.clone(), trouble(c, now)));
    there.filter(|(name, trouble)| trouble.is_some() != failing.contains(name)).chain(gone).collect()
}

fn trouble(connector: &ConnectorStatus, status: &Status) -> Option<String> {
    if !connector.enabled {
        return None;
    }
    if connector.state == "paused" {
        return Some(connector.why.clone());
    }
    let waiting = connector.oldest?;
    let age = status.at.duration_since(waiting);
    let why = connector.last_error.as_ref().map_or("no answer yet", |(_, why)| why.as_str());
    (age > SLOW).then(|| format!("its oldest message has waited for {} min: {why}", age.as_mins()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_ends_when_the_connector_is_well_off_or_gone() {
        let connector = |name: &str, enabled, state: &str| ConnectorStatus {
            name: name.into(),
            enabled,
            state: state.into(),
            why: "status 401".into(),
            ..ConnectorStatus::default()
        };
        let now = Status {
            connectors: vec![
                connector("well", true, "on"),
                connector("off", false, "paused"),
                connector("still", true, "paused"),
                connector("new", true, "paused"),
                connector("never", true, "on"),
            ],
            ..Status::default()
        };
        let failing: BTreeSet<String> = ["well", "off", "still", "gone"].map(str::to_owned).into();
        let mut found = changes(&failing, &now);
        found.sort();
        let names: Vec<(&str, bool)> = found.iter().map(|(n, t)| (n.as_str(), t.is_some())).collect();
        assert_eq!(names, [("gone", false), ("new", true), ("off", false), ("well", false)]);
    }
}

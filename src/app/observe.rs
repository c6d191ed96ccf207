//! Looks at deliveries: for the feed, and for the event that a connector cannot deliver.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::Observer,
    feed::Feed,
    pipeline::Input,
    status::{ConnectorStatus, Status},
    store::DeliveryRow,
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
        let _ = self.feed.send(Feed::Delivery { seq, delivery: Arc::new(row.clone()) });
    }

    fn state_changed(&self, status: &ConnectorStatus) {
        let trouble = (status.state == "paused").then(|| status.why.clone());
        // A full queue means that the pipeline waits for the disk; `slow` asks again.
        let _ = self.inputs.try_send(Input::Connector { name: status.name.clone(), trouble });
    }
}

/// Tells of connectors whose oldest row is too old, or that are paused, until a delivery succeeds.
pub async fn slow(
    status: watch::Receiver<Arc<Status>>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut failing: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = Arc::clone(&status.borrow());
        for connector in &now.connectors {
            let trouble = trouble(connector, &now);
            if trouble.is_some() == failing.contains(&connector.name) {
                continue;
            }
            match &trouble {
                Some(_) => failing.insert(connector.name.clone()),
                None => failing.remove(&connector.name),
            };
            if inputs.send(Input::Connector { name: connector.name.clone(), trouble }).await.is_err() {
                return;
            }
        }
    }
}

fn trouble(connector: &ConnectorStatus, status: &Status) -> Option<String> {
    if connector.state == "paused" {
        return Some(connector.why.clone());
    }
    let waiting = connector.oldest.filter(|_| connector.enabled)?;
    let age = status.at.duration_since(waiting);
    let why = connector.last_error.as_ref().map_or("no answer yet", |(_, why)| why.as_str());
    (age > SLOW).then(|| format!("its oldest message has waited for {} min: {why}", age.as_mins()))
}

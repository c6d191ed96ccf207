//! The metrics, made from a `Status` when they are asked for. Labels are configured names and closed words alone:
//! cluster, kind, connector, state, table; never an object's name.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::health;
use crate::status::{ClusterState, Status, StreamState};

type Labels = Vec<(&'static str, String)>;

/// In the text format of `OpenMetrics`.
pub fn metrics(status: &Status) -> String {
    let mut page = Page(Registry::with_prefix("barrelman"));
    process(&mut page, status);
    clusters(&mut page, status);
    streams(&mut page, status);
    connectors(&mut page, status);
    store(&mut page, status);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut text, &page.0);
    text
}

struct Page(Registry);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn counter(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn one_gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    fn one_counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }

    /// Absent where there is none yet.
    fn one_time(&mut self, name: &str, help: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(seconds(at));
            self.0.register_with_unit(name, help, Unit::Seconds, gauge);
        }
    }

    /// Seconds since 1970: an age is for the reader to compute. Of equal labels the oldest counts.
    fn time(&mut self, name: &str, help: &str, rows: impl IntoIterator<Item = (Labels, Option<Timestamp>)>) {
        let mut oldest: BTreeMap<Labels, Timestamp> = BTreeMap::new();
        for (labels, at) in rows {
            let Some(at) = at else { continue };
            oldest.entry(labels).and_modify(|o| *o = at.min(*o)).or_insert(at);
        }
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, at) in oldest {
            family.get_or_create(&labels).set(seconds(at));
        }
        self.0.register_with_unit(name, help, Unit::Seconds, family);
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn process(page: &mut Page, status: &Status) {
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("mode", status.mode.clone())];
    page.gauge("build_info", "The program; always 1", [(version, 1.0)]);
    page.one_time("start_time", "When this engine started", Some(status.started_at));
    let ready = health::unready(status).is_empty();
    page.one_gauge("ready", "1 when /readyz answers 200", flag(ready));
    let p = &status.pipeline;
    for (name, help, value) in [
        ("changes", "Changes of objects taken in", p.changes),
        ("events", "Events stored", p.events),
        ("events_folded", "Repeats folded into earlier events", p.folded),
        ("notifications_routed", "Notifications routed to connectors", p.routed),
        ("faults", "Faults of barrelman itself: rules that failed, events that were refused", p.faults),
    ] {
        page.one_counter(name, help, value);
    }
    page.one_gauge("open_incidents", "Incidents open now", p.open_incidents as f64);
}

fn clusters(page: &mut Page, status: &Status) {
    let each = || status.clusters.iter().map(|c| (vec![("cluster", c.name.clone())], c));
    let up = each().map(|(l, c)| (l, flag(c.state == ClusterState::Live)));
    page.gauge("cluster_up", "1 while the cluster's API answers", up);
    let requests = each().map(|(l, c)| (l, c.requests));
    page.counter("api_requests", "Requests to the API server, lists and watches included", requests);
    page.gauge("objects", "Objects held", each().map(|(l, c)| (l, c.objects as f64)));
}

fn streams(page: &mut Page, status: &Status) {
    let each = || {
        status.clusters.iter().flat_map(|c| {
            c.streams
                .iter()
                .map(|s| (vec![("cluster", c.name.clone()), ("kind", s.kind.plural().to_owned())], s))
        })
    };
    let by_state = each().map(|(mut labels, s)| {
        labels.push(("state", state_name(&s.state).to_owned()));
        (labels, 1.0)
    });
    page.gauge("streams", "Watches by what they are doing", by_state);
    let activity = each().filter(|(_, s)| s.state == StreamState::Live).map(|(l, s)| (l, s.last_activity));
    let help = "The last sign of life of a live watch; of several the oldest";
    page.time("stream_last_activity_timestamp", help, activity);
    page.counter("relists", "Times that a kind was listed again", each().map(|(l, s)| (l, s.relists)));
    let undecodable = each().map(|(l, s)| (l, s.undecodable));
    page.counter("undecodable_objects", "Objects that could not be decoded", undecodable);
}

const fn state_name(state: &StreamState) -> &'static str {
    match state {
        StreamState::Syncing => "syncing",
        StreamState::Live => "live",
        StreamState::Retrying { .. } => "retrying",
        StreamState::Forbidden { .. } => "forbidden",
        StreamState::Absent => "absent",
    }
}

fn connectors(page: &mut Page, status: &Status) {
    let each = || status.connectors.iter().map(|c| (vec![("connector", c.name.clone())], c));
    let states = each().map(|(mut labels, c)| {
        labels.push(("state", c.state.clone()));
        (labels, 1.0)
    });
    page.gauge("connectors", "Connectors by state: on, off, paused, incomplete", states);
    page.gauge("outbox_rows", "Notifications waiting", each().map(|(l, c)| (l, c.queued as f64)));
    let in_flight = each().map(|(l, c)| (l, c.in_flight as f64));
    page.gauge(
        "outbox_in_flight",
        "Notifications on the wire, or answered and not written down yet",
        in_flight,
    );
    let oldest = each().map(|(l, c)| (l, c.oldest));
    page.time("outbox_oldest_timestamp", "When the oldest waiting notification was made", oldest);
    page.counter("deliveries", "Notifications acknowledged", each().map(|(l, c)| (l, c.delivered)));
    let failures = each().flat_map(|(labels, c)| {
        c.failures.iter().map(move |(reason, n)| {
            let reason = ("reason", reason.clone());
            (labels.iter().cloned().chain([reason]).collect::<Labels>(), *n)
        })
    });
    page.counter("delivery_failures", "Attempts that failed, and messages given up, by reason", failures);
    let unreadable = each().map(|(l, c)| (l, c.unreadable as f64));
    page.gauge("outbox_unreadable_rows", "Notifications that this version cannot read", unreadable);
    page.gauge("dead_letters", "Notifications given up", each().map(|(l, c)| (l, c.dead as f64)));
    let last = each().map(|(l, c)| (l, c.last_delivered));
    page.time("last_delivery_timestamp", "The newest acknowledged notification", last);
}

fn store(page: &mut Page, status: &Status) {
    let store = &status.store;
    let tables = |map: &BTreeMap<String, u64>| -> Vec<(Labels, u64)> {
        map.iter().map(|(table, n)| (vec![("table", table.clone())], *n)).collect()
    };
    page.one_gauge("store_file_bytes", "Size of the store's file", store.bytes as f64);
    let rows = tables(&store.rows).into_iter().map(|(l, n)| (l, n as f64));
    page.gauge("store_rows", "Rows by table", rows);
    page.counter(
        "store_evicted_rows",
        "Rows evicted by the limits of age and size since the file was made",
        tables(&store.evicted),
    );
    page.one_counter("store_commits", "Durable commits", store.commits);
    page.one_time("store_last_commit_timestamp", "The last durable commit", store.last_commit);
    page.one_time("store_oldest_event_timestamp", "The oldest event kept", store.oldest_event);
    page.one_gauge("store_failing", "1 while commits fail", flag(store.error.is_some()));
    page.one_gauge("outbox_full", "1 while the outbox is at its cap", flag(store.full));
}

#[cfg(test)]
mod tests {
    use super::{super::health::tests::*, *};
    use crate::{event::Kind, status::ConnectorStatus};

    #[test]
    fn every_counter_of_the_status_is_there_with_its_labels() {
        let mut status = status(vec![
            stream(Kind::Pod, StreamState::Live),
            stream(Kind::Pod, StreamState::Live),
            stream(Kind::Node, StreamState::Absent),
        ]);
        status.connectors = vec![ConnectorStatus {
            name: "ops \"chat\"".into(),
            state: "on".into(),
            delivered: 7,
            failures: BTreeMap::from([("server_error".into(), 3)]),
            oldest: Some(Timestamp::from_second(5).unwrap()),
            ..ConnectorStatus::default()
        }];
        status.store.evicted.insert("events".into(), 9);
        status.pipeline.events = 11;
        let text = metrics(&status);
        for line in [
            r#"barrelman_cluster_up{cluster="prod"} 1.0"#,
            r#"barrelman_api_requests_total{cluster="prod"} 12"#,
            r#"barrelman_streams{cluster="prod",kind="pods",state="live"} 2.0"#,
            r#"barrelman_streams{cluster="prod",kind="nodes",state="absent"} 1.0"#,
            r#"barrelman_relists_total{cluster="prod",kind="pods"} 2"#,
            r#"barrelman_stream_last_activity_timestamp_seconds{cluster="prod",kind="pods"} 1000.0"#,
            r#"barrelman_deliveries_total{connector="ops \"chat\""} 7"#,
            r#"barrelman_delivery_failures_total{connector="ops \"chat\"",reason="server_error"} 3"#,
            r#"barrelman_outbox_oldest_timestamp_seconds{connector="ops \"chat\""} 5.0"#,
            r#"barrelman_store_evicted_rows_total{table="events"} 9"#,
            "barrelman_events_total 11",
            "barrelman_ready 1.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}

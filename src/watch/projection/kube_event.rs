//! Kubernetes Events (core/v1).

use jiff::{SignedDuration, Timestamp};

use super::{
    de::{Count, Long, Short, Time, slim},
    meta::MetaIn,
};
use crate::object::{KubeEvent, Str};

slim! {
    struct EventIn {
        metadata: MetaIn,
        #[serde(rename = "type")]
        kind: Short,
        reason: Short,
        message: Long,
        involved_object: InvolvedIn,
        source: SourceIn,
        reporting_component: Short,
        reporting_instance: Short,
        count: Option<Count>,
        series: Option<SeriesIn>,
        first_timestamp: Time,
        last_timestamp: Time,
        event_time: Time,
    }

    struct InvolvedIn {
        kind: Short,
        namespace: Short,
        name: Short,
        uid: Short,
        field_path: Short,
    }

    struct SourceIn {
        component: Short,
        host: Short,
    }

    struct SeriesIn {
        count: Option<Count>,
        last_observed_time: Time,
    }
}

/// Nobody says anything of what happened so long before.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// Clocks differ by so much without anybody minding.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// The record; what the server noted is the last resort of its times: when it was created, and when written last.
pub(super) fn kube_event(
    e: EventIn,
    created_at: Option<Timestamp>,
    written_at: Option<Timestamp>,
) -> KubeEvent {
    let series = e.series.unwrap_or_default();
    // Clocks of nodes go wrong, and whoever may create an Event may write any time into it: the server's own times
    // bound what can be true.
    let said = |time: Time, written: Option<Timestamp>| {
        let early = |at: Timestamp| created_at.is_some_and(|created| created.duration_since(at) > BEFORE);
        let at = time.0.filter(|at| !early(*at))?;
        Some(written.filter(|written| at.duration_since(*written) > AHEAD).unwrap_or(at))
    };
    // Where nobody noted that, a count may have grown at any time since.
    let written_at = written_at.map(|at| at.max(created_at.unwrap_or(at)));
    let first = said(e.first_timestamp, created_at);
    let event_time = said(e.event_time, created_at);
    let last = said(series.last_observed_time, written_at)
        .or(said(e.last_timestamp, written_at))
        .or(event_time)
        .or(first)
        .or(created_at);
    let first = first.or(event_time).or(created_at);
    KubeEvent {
        warning: &*e.kind.0 == "Warning",
        reason: word(e.reason.0),
        message: e.message.0,
        involved_kind: word(e.involved_object.kind.0),
        involved_namespace: word(e.involved_object.namespace.0),
        involved_name: word(e.involved_object.name.0),
        involved_uid: word(e.involved_object.uid.0),
        field_path: word(e.involved_object.field_path.0),
        component: word(either(e.source.component, e.reporting_component)),
        host: word(either(e.source.host, e.reporting_instance)),
        // A count of 0 is what a server writes where nobody set one.
        count: [series.count, e.count]
            .into_iter()
            .flatten()
            .map(|c| c.0)
            .find(|c| *c > 0)
            .unwrap_or(1)
            .into(),
        first,
        last,
    }
}

fn either(a: Short, b: Short) -> Str {
    if a.0.is_empty() { b.0 } else { a.0 }
}

/// A name or reason on one line: the API server takes any text there.
fn word(text: Str) -> Str {
    if text.contains(char::is_whitespace) {
        return Str::new(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text
}

//! Pages of events: all, about an object, of an incident.

use jiff::{SignedDuration, Timestamp};

use super::{Found, Limits, Page, Verdict, back, ended, keep_if, on};
use crate::{
    event::{ClusterUid, Event, IncidentId},
    store::{EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, INCIDENT_EVENTS, error::Result, keys, tx::Read},
};

/// A cluster's clock may be ahead of ours by so much without an event being missed by `since`.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// From (inclusive) and to (exclusive), by the events' own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Span {
    /// No bounds.
    pub const ALL: Span = Span { since: None, until: None };

    fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|s| at >= s) && self.until.is_none_or(|u| at < u)
    }
}

/// Events newest first (in the order of commits), from below a cursor.
///
/// # Errors
/// A row that cannot be read, or the disk.
pub fn events_back(
    read: &impl Read,
    below: Option<u64>,
    span: Span,
    limits: Limits,
    wanted: &dyn Fn(&Event) -> bool,
) -> Result<Page<(u64, Event)>> {
    // Rows are in the order in which we saw them, and we see nothing before it happens: what was seen before
    // `since` happened before it, and so did all older rows. Late events are why `until` is no such bound.
    let oldest = span.since.map(|s| s.saturating_sub(SKEW).unwrap_or(Timestamp::MIN));
    back(read, &EVENTS, below, limits, &|event: &Event| {
        if oldest.is_some_and(|o| event.observed_at < o) {
            return Verdict::Stop;
        }
        keep_if(span.holds(event.timestamp) && wanted(event))
    })
}

/// Events oldest first, from a seq on; `next` is the seq to go on from, and is also given at the end of what is
/// there, so that a follower can ask again.
///
/// # Errors
/// As `events_back`.
pub fn events_on(
    read: &impl Read,
    from: u64,
    span: Span,
    limits: Limits,
    wanted: &dyn Fn(&Event) -> bool,
) -> Result<Page<(u64, Event)>> {
    let start = match span.since {
        Some(since) => from.max(seq_at(read, since.saturating_sub(SKEW).unwrap_or(Timestamp::MIN))?),
        None => from,
    };
    on(read, &EVENTS, start, limits, &|event: &Event| span.holds(event.timestamp) && wanted(event))
}

/// The first event that was seen at or after a time; the seq after the newest if there is none.
///
/// # Errors
/// As `events_back`.
pub fn seq_at(read: &impl Read, at: Timestamp) -> Result<u64> {
    let (mut low, mut high) = (0, 0);
    read.read_log(&EVENTS, 0, &mut |seq, _| {
        low = seq;
        false
    })?;
    read.read_log_back(&EVENTS, u64::MAX, &mut |seq, _| {
        high = seq + 1;
        false
    })?;
    // Numbers are shared with other logs: a probe takes the next event at or after the middle.
    while low < high {
        let middle = low + (high - low) / 2;
        let mut probe = None;
        read.read_log(&EVENTS, middle, &mut |seq, event| {
            probe = Some((seq, event.observed_at));
            false
        })?;
        match probe {
            Some((seq, seen)) if seen < at => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The oldest event kept: its seq, and when it was seen.
///
/// # Errors
/// As `events_back`.
pub fn oldest_event(read: &impl Read) -> Result<Option<(u64, Timestamp)>> {
    let mut oldest = None;
    read.read_log(&EVENTS, 0, &mut |seq, event| {
        oldest = Some((seq, event.observed_at));
        false
    })?;
    Ok(oldest)
}

/// One event.
///
/// # Errors
/// As `events_back`.
pub fn event(read: &impl Read, seq: u64) -> Result<Option<Event>> {
    read.entry(&EVENTS, seq)
}

/// One event by its whole id.
///
/// # Errors
/// As `events_back`.
pub fn event_by_id(read: &impl Read, id: &str) -> Result<Option<(u64, Event)>> {
    let Some(seq) = read.get(&EVENT_IDS, id)? else { return Ok(None) };
    Ok(read.entry(&EVENTS, seq)?.map(|event| (seq, event)))
}

/// One event by the beginning of its id.
///
/// # Errors
/// As `events_back`.
pub fn find_event(read: &impl Read, id: &str) -> Result<Found<(u64, Event)>> {
    let mut ids = Vec::new();
    read.scan(&EVENT_IDS, id, id, &mut |key, seq| {
        ids.push((key.to_owned(), seq));
        ids.len() < 10
    })?;
    match ids.as_slice() {
        [] => Ok(Found::Nothing),
        [(_, seq)] => {
            Ok(read.entry(&EVENTS, *seq)?.map_or(Found::Nothing, |event| Found::One((*seq, event))))
        }
        _ => Ok(Found::Several(ids.into_iter().map(|(id, _)| id).collect())),
    }
}

/// The events of an incident, newest first.
///
/// # Errors
/// As `events_back`.
pub fn events_of_incident(
    read: &impl Read,
    incident: &IncidentId,
    below: Option<u64>,
    limits: Limits,
) -> Result<Page<(u64, Event)>> {
    let end = below.map(|seq| keys::incident_event(incident, seq));
    let prefix = keys::prefix(&[incident.as_str()]);
    let mut page = Page::new();
    let mut seqs = Vec::new();
    read.scan_back(&INCIDENT_EVENTS, &prefix, end.as_deref(), &mut |key, ()| {
        page.examined += 1;
        page.next = keys::last_seq(key);
        seqs.extend(page.next);
        seqs.len() < limits.rows && page.examined < limits.examine
    })?;
    let full = seqs.len() >= limits.rows || page.examined >= limits.examine;
    page.rows = load(read, seqs)?;
    if !full {
        page.next = None;
    }
    Ok(page)
}

/// The events about an object or subject (`ObjectRef::key()`), newest first by their own time; the cursor is opaque.
///
/// # Errors
/// As `events_back`.
pub fn events_about(
    read: &impl Read,
    about: (&ClusterUid, &str),
    before: Option<&str>,
    span: Span,
    limits: Limits,
) -> Result<Page<(u64, Event), String>> {
    let prefix = keys::events_about(about.0, about.1);
    let at = |at| keys::events_about_from(about.0, about.1, at);
    let oldest = span.since.map(at).unwrap_or_default();
    let newest = span.until.map(at);
    let end = match (before, newest.as_deref()) {
        (Some(before), Some(newest)) => Some(before.min(newest)),
        (before, newest) => before.or(newest),
    };
    let mut page: Page<u64, String> = Page::new();
    read.scan_back(&EVENTS_BY_OBJECT, &prefix, end, &mut |key, ()| {
        if key < oldest.as_str() {
            page.next = None;
            return false;
        }
        page.examined += 1;
        page.rows.extend(keys::last_seq(key));
        page.next = Some(key.to_owned());
        page.rows.len() < limits.rows && page.examined < limits.examine
    })?;
    let Page { rows, examined, next } = ended(page, limits);
    Ok(Page { rows: load(read, rows)?, examined, next })
}

/// What is still there of these.
fn load(read: &impl Read, seqs: Vec<u64>) -> Result<Vec<(u64, Event)>> {
    let mut rows = Vec::with_capacity(seqs.len());
    for seq in seqs {
        rows.extend(read.entry(&EVENTS, seq)?.map(|event| (seq, event)));
    }
    Ok(rows)
}

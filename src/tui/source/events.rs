//! Pages of events, counts and searches, in slices of a snapshot each.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    Job, incidents,
    paging::{self, Log},
};
use crate::{
    event::{Event, IncidentId},
    store::{
        Result, Snapshot,
        pages::{self, Limits, Span},
    },
    tui::{
        effect::{PageAsk, Wanted},
        msg::{Answer, EventDetail},
        query::{EventQuery, Scope, is_warning},
        widgets::strip::{Counted, MINUTES},
    },
};

/// Rows that the rate strip looks at.
const STRIP_ROWS: usize = 200_000;
/// Of which so many warnings at a time.
const STRIP_PAGE: usize = 5_000;

/// The rows that may pass, for the store to stop at.
fn span(query: &EventQuery, now: Timestamp) -> Span {
    let since = query.since(now).map(|s| s.checked_sub(query.folded).unwrap_or(Timestamp::MIN));
    Span { since, until: None }
}

/// The events that are asked for.
struct Wished<'a> {
    query: &'a EventQuery,
    incident: Option<IncidentId>,
    now: Timestamp,
}

impl Log for Wished<'_> {
    type Row = Event;

    fn back(
        &self,
        snapshot: &Snapshot,
        below: Option<u64>,
        limits: Limits,
    ) -> Result<pages::Page<(u64, Event)>> {
        let passes = |e: &Event| self.query.matches(e, self.now);
        match &self.incident {
            Some(id) => {
                let mut page = pages::events_of_incident(snapshot, id, below, limits)?;
                page.rows.retain(|(_, e)| passes(e));
                Ok(page)
            }
            None => pages::events_back(snapshot, below, span(self.query, self.now), limits, &passes),
        }
    }

    fn on(&self, snapshot: &Snapshot, from: u64, limits: Limits) -> Result<pages::Page<(u64, Event)>> {
        let span = span(self.query, self.now);
        pages::events_on(snapshot, from, span, limits, &|e| self.query.matches(e, self.now))
    }
}

/// A page.
pub fn page(job: &Job<'_>, query: &EventQuery, ask: PageAsk, now: Timestamp) -> Result<Option<Answer>> {
    let wished = Wished { query, incident: query.incident(), now };
    let found = paging::page(job, &wished, ask)?;
    Ok(found.map(|(page, partial)| Answer::Events { page, partial }))
}

/// How many pass: told as it goes.
pub fn count(job: &Job<'_>, query: Box<EventQuery>, now: Timestamp) -> Result<Option<Answer>> {
    let (mut found, mut looked, mut slices) = (0_u64, 0_u64, 0_u32);
    let mut below = None;
    let incident = query.incident();
    loop {
        let snapshot = job.snapshot()?;
        let (hits, examined, next) = if let Some(id) = &incident {
            let page = pages::events_of_incident(&snapshot, id, below, Limits::rows(1_000))?;
            let hits = page.rows.iter().filter(|(_, e)| query.matches(e, now)).count();
            (hits as u64, page.examined, page.next)
        } else {
            let hits = std::cell::Cell::new(0_u64);
            let page = pages::events_back(&snapshot, below, span(&query, now), Limits::rows(1), &|e| {
                hits.set(hits.get() + u64::from(query.matches(e, now)));
                false
            })?;
            (hits.get(), page.examined, page.next)
        };
        drop(snapshot);
        found += hits;
        looked += examined as u64;
        slices += 1;
        let done = next.is_none();
        if done {
            return Ok(Some(Answer::Count { query, found, looked, done }));
        }
        if job.stale() {
            return Ok(None);
        }
        if slices % 8 == 1 {
            job.send(Answer::Count { query: query.clone(), found, looked, done });
        }
        below = next;
    }
}

/// The next row that is wanted, older or newer than a row.
pub fn find(
    job: &Job<'_>,
    (query, wanted): (&EventQuery, &Wanted),
    (from, towards_older): (u64, bool),
    jump: u64,
    now: Timestamp,
) -> Result<Option<Answer>> {
    let passes = |event: &Event| {
        query.matches(event, now)
            && match wanted {
                Wanted::Warning => is_warning(event),
                Wanted::Filter(filter) => filter.matches(event, now),
            }
    };
    let mut cursor = if towards_older { from } else { from + 1 };
    loop {
        let snapshot = job.snapshot()?;
        let limits = Limits::rows(1);
        let (hit, next, end) = if towards_older {
            let page = pages::events_back(&snapshot, Some(cursor), span(query, now), limits, &passes)?;
            (page.rows.first().map(|(s, _)| *s), page.next, page.next.is_none())
        } else {
            let page = pages::events_on(&snapshot, cursor, span(query, now), limits, &passes)?;
            (page.rows.first().map(|(s, _)| *s), page.next, page.examined < limits.examine)
        };
        drop(snapshot);
        if hit.is_some() || end {
            return Ok(Some(Answer::Found { jump, seq: hit }));
        }
        if job.stale() {
            return Ok(None);
        }
        cursor = next.unwrap_or(cursor);
    }
}

/// Everything about one event.
pub fn detail(job: &Job<'_>, seq: u64) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let Some(event) = pages::event(&snapshot, seq)? else { return Ok(Answer::Event(None)) };
    let incident = match &event.incident {
        Some(id) => pages::incident(&snapshot, id)?,
        None => None,
    };
    let owners = incidents::owners(&snapshot, &event)?;
    let told = incidents::marks(&snapshot, event.id.as_str())?;
    Ok(Answer::Event(Some(Box::new(EventDetail { seq, event: Arc::new(event), owners, incident, told }))))
}

/// Warnings per minute of the last hour.
pub fn strip(job: &Job<'_>, scope: &Scope, folded: SignedDuration, now: Timestamp) -> Result<Option<Answer>> {
    // What began before the hour may have happened again within it.
    let hour = SignedDuration::from_mins(MINUTES as i64).saturating_add(folded);
    let since = now.checked_sub(hour).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut counted = Counted::new(now, folded);
    let oldest_seen = std::cell::Cell::new(now);
    let mut below = None;
    let mut looked = 0;
    loop {
        let snapshot = job.snapshot()?;
        let page = pages::events_back(
            &snapshot,
            below,
            Span { since: Some(since), until: None },
            Limits::rows(STRIP_PAGE),
            &|e| {
                oldest_seen.set(oldest_seen.get().min(e.observed_at));
                is_warning(e) && scope.holds(&e.cluster, &e.object.namespace)
            },
        )?;
        drop(snapshot);
        for (seq, event) in &page.rows {
            counted.take(*seq, event);
        }
        looked += page.examined;
        let whole = page.next.is_none();
        if whole || looked >= STRIP_ROWS {
            if !whole {
                // What was not looked at is not known to be zero.
                counted.unknown_before(oldest_seen.get().as_second() / 60);
            }
            return Ok(Some(Answer::Strip(counted)));
        }
        if job.stale() {
            return Ok(None);
        }
        below = page.next;
    }
}

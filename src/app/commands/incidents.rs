//! `incidents`: what is broken, what was; or one of them with all that belongs to it.

use std::fmt::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    filter_of,
    out::{Console, Listed, View, span},
    table::{Table, one_line},
    usage,
};
use crate::{
    cli::{Exit, Incidents, Output},
    config::Resolved,
    event::{
        Event, Role, Status,
        filter::Filter,
        incident::{Incident, IncidentStatus, Member},
    },
    store::{
        DeliveryRow, Read, Reader, Snapshot,
        pages::{self, Found, Limits},
    },
};

/// Of one incident so many members, events and messages are shown.
const PARTS: usize = 200;

/// Prints incidents.
///
/// # Errors
/// A filter that cannot be used, no store, the disk.
pub fn run(
    args: &Incidents,
    (resolved, scope): (&Resolved, &str),
    console: &mut Console<'_>,
) -> Result<Exit> {
    let instead = "barrelman incidents lists them, barrelman incidents --id ID shows one";
    let filter = filter_of(&args.filter, &format!("{} {scope}", args.filter()), instead, &console.tz)?;
    let reader = Reader::open(&resolved.settings.store.dir)?;
    if let Some(id) = &args.id {
        return one(id, args.list.output, &reader, console);
    }
    let limit = args.list.limit;
    let mut rows = listed(&reader, &filter, (args.open, limit.saturating_add(1)), console.view().now)?;
    let left_out = rows.len().saturating_sub(limit);
    rows.drain(..left_out);
    console.list(args.list.output, &rows)?;
    if rows.is_empty() {
        if args.list.output == Output::Table {
            console.note(if args.open {
                "nothing is broken that passes"
            } else {
                "nothing is stored that passes"
            });
        }
        if let Some(caution) = filter.caution() {
            console.note(caution);
        }
    }
    if left_out > 0 {
        console.note(super::older_left_out(limit));
    }
    Ok(Exit::Ok)
}

/// The newest, oldest first.
fn listed(
    reader: &Reader,
    filter: &Filter,
    (open, limit): (bool, usize),
    now: Timestamp,
) -> Result<Vec<Incident>> {
    let wanted = |snapshot: &Snapshot, i: &Incident| {
        filter.is_empty() || filter.matches(&looked_at(snapshot, i, now), now)
    };
    let mut rows = Vec::new();
    if open {
        let snapshot = reader.snapshot()?;
        rows.extend(pages::open_incidents(&snapshot)?.into_iter().filter(|i| wanted(&snapshot, i)));
        rows.sort_by_key(|i| std::cmp::Reverse(i.opened_at));
        rows.truncate(limit);
    } else {
        let mut before = None;
        while rows.len() < limit {
            let snapshot = reader.snapshot()?;
            let limits = Limits::rows(limit - rows.len());
            let page =
                pages::incidents_back(&snapshot, before.as_deref(), limits, &|i| wanted(&snapshot, i))?;
            rows.extend(page.rows);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
    }
    rows.reverse();
    Ok(rows)
}

/// The worst event, or what the incident kept of it, over the time of the whole incident.
fn looked_at(read: &impl Read, incident: &Incident, now: Timestamp) -> Event {
    let worst = pages::event_by_id(read, incident.worst_event.as_str()).ok().flatten();
    let last = match incident.status {
        IncidentStatus::Open => now,
        IncidentStatus::Resolved => incident.resolved_at.unwrap_or(incident.last_at),
    };
    let mut event = worst.map_or_else(|| kept(incident), |(_, event)| event);
    event.timestamp = incident.opened_at;
    event.last_seen = last;
    event
}

fn kept(incident: &Incident) -> Event {
    Event {
        id: incident.worst_event.clone(),
        fingerprint: crate::event::Fingerprint::default(),
        event_type: incident.event_type,
        severity: incident.severity,
        status: Status::Firing,
        role: Role::Opens,
        timestamp: incident.opened_at,
        time_source: crate::event::TimeSource::default(),
        observed_at: incident.opened_at,
        cluster: incident.cluster.clone(),
        cluster_uid: incident.cluster_uid.clone(),
        object: incident.subject.clone(),
        subject: incident.subject.clone(),
        title: incident.title.clone(),
        description: incident.description.clone(),
        details: serde_json::Map::new(),
        recommendations: Vec::new(),
        links: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        annotations: std::collections::BTreeMap::new(),
        owner_references: Vec::new(),
        count: incident.events,
        first_seen: incident.opened_at,
        last_seen: incident.last_at,
        late: false,
        standing: incident.standing,
        ignored: None,
        incident: Some(incident.id.clone()),
    }
}

fn state(incident: &Incident) -> &'static str {
    match incident.status {
        IncidentStatus::Open => "open",
        IncidentStatus::Resolved => "ended",
    }
}

fn lasted(incident: &Incident, now: Timestamp) -> String {
    let end = match incident.status {
        IncidentStatus::Open => now,
        IncidentStatus::Resolved => incident.resolved_at.unwrap_or(incident.last_at),
    };
    span(end.duration_since(incident.since()).as_secs().max(0).unsigned_abs())
}

impl Listed for Incident {
    const TITLES: &'static [&'static str] =
        &["ID", "STATE", "SEVERITY", "SINCE", "LASTED", "CLUSTER", "NAMESPACE", "SUBJECT", "EVENTS", "TITLE"];
    const CSV: &'static [&'static str] = &[
        "id",
        "status",
        "severity",
        "event_type",
        "opened_at",
        "last_at",
        "resolved_at",
        "cluster",
        "namespace",
        "kind",
        "name",
        "events",
        "members",
        "affected",
        "reopened",
        "standing",
        "title",
        "description",
    ];

    fn cells(&self, view: &View) -> Vec<String> {
        let title = if self.standing { format!("{} (standing)", self.title) } else { self.title.clone() };
        vec![
            self.id.as_str().get(..8).unwrap_or(self.id.as_str()).to_owned(),
            state(self).into(),
            self.severity.to_string(),
            view.time(self.since()),
            lasted(self, view.now),
            self.cluster.clone(),
            self.subject.namespace.clone(),
            self.subject.resource(),
            self.events.to_string(),
            title,
        ]
    }

    fn record(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            state(self).into(),
            self.severity.to_string(),
            self.event_type.name().into(),
            self.opened_at.to_string(),
            self.last_at.to_string(),
            self.resolved_at.map(|at| at.to_string()).unwrap_or_default(),
            self.cluster.clone(),
            self.subject.namespace.clone(),
            self.subject.kind.clone(),
            self.subject.name.clone(),
            self.events.to_string(),
            self.members.to_string(),
            self.affected.to_string(),
            self.reopened.to_string(),
            self.standing.to_string(),
            self.title.clone(),
            self.description.clone(),
        ]
    }

    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// All that belongs to an incident, oldest first.
struct Whole {
    incident: Incident,
    members: Vec<Member>,
    events: Vec<Event>,
    messages: Vec<DeliveryRow>,
}

fn one(id: &str, output: Output, reader: &Reader, console: &mut Console<'_>) -> Result<Exit> {
    if output == Output::Csv {
        return Err(usage("one incident is no list: use -o table, json or jsonl"));
    }
    let snapshot = reader.snapshot()?;
    let incident = match pages::find_incident(&snapshot, id)? {
        Found::One(incident) => incident,
        Found::Nothing => {
            console.note(format!("no incident begins with {id}: `barrelman incidents` lists them"));
            return Ok(Exit::Failed);
        }
        Found::Several(ids) => {
            console.note(format!("several incidents begin with {id}: {}", ids.join(", ")));
            return Ok(Exit::Failed);
        }
    };
    let members = pages::members(&snapshot, &incident.id, PARTS)?;
    let events = pages::events_of_incident(&snapshot, &incident.id, None, Limits::rows(PARTS))?;
    let messages = pages::deliveries_about(&snapshot, incident.id.as_str(), None, Limits::rows(PARTS))?;
    drop(snapshot);
    let mut events: Vec<Event> = events.rows.into_iter().rev().map(|(_, e)| e).collect();
    // Stored in the order in which they were seen; told in the order in which they happened.
    events.sort_by_key(|e| e.timestamp);
    let whole = Whole {
        incident,
        members,
        events,
        messages: messages.rows.into_iter().rev().map(|(_, d)| d).collect(),
    };
    match output {
        Output::Table => text(&whole, console)?,
        Output::Json => console.json(&whole.json())?,
        Output::Jsonl | Output::Csv => console.line(whole.json().to_string())?,
    }
    Ok(Exit::Ok)
}

impl Whole {
    fn json(&self) -> Value {
        json!({
            "incident": self.incident,
            "members": self.members,
            "events": self.events,
            "messages": self.messages,
        })
    }
}

fn text(whole: &Whole, console: &mut Console<'_>) -> Result<()> {
    let (i, view) = (&whole.incident, console.view());
    let place = if i.subject.namespace.is_empty() { "" } else { " in " };
    console.line(one_line(&i.title))?;
    if !i.description.is_empty() {
        console.line(format!("  {}", one_line(&i.description)))?;
    }
    for (name, value) in [
        ("id", i.id.to_string()),
        ("state", life(i, &view)),
        ("severity", format!("{} ({})", i.severity, i.event_type)),
        ("subject", one_line(&format!("{}{place}{}", i.subject.resource(), i.subject.namespace))),
        ("cluster", one_line(&i.cluster)),
        ("counts", counts(i)),
    ] {
        console.line(format!("  {name:<9} {value}"))?;
    }
    let suspects: Vec<Vec<String>> = i
        .suspects
        .iter()
        .map(|s| {
            let by = if s.manager.is_empty() { String::new() } else { format!(" by {}", s.manager) };
            let sure = format!("{:.0} %", s.score * 100.0);
            vec![view.time(s.at), sure, s.link.clone(), s.object.resource(), format!("{}{by}", s.title)]
        })
        .collect();
    section(
        "changed just before (correlation, not proof)",
        &["TIME", "SCORE", "BY WAY OF", "OBJECT", "CHANGE"],
        &suspects,
        console,
    )?;
    let (affected, members): (Vec<&Member>, Vec<&Member>) = whole.members.iter().partition(|m| m.affected);
    for (title, members) in [("members", members), ("taken down with it", affected)] {
        let rows: Vec<Vec<String>> = members
            .iter()
            .map(|m| {
                let ended = m.ended_at.map_or("still".to_owned(), |at| view.time(at));
                let object = m.object.resource();
                vec![
                    view.time(m.since),
                    ended,
                    m.severity.to_string(),
                    object,
                    m.count.to_string(),
                    m.title.clone(),
                ]
            })
            .collect();
        section(title, &["SINCE", "UNTIL", "SEVERITY", "OBJECT", "COUNT", "TITLE"], &rows, console)?;
    }
    let events: Vec<Vec<String>> = whole
        .events
        .iter()
        .map(|e| {
            let status = e.status.as_str().to_owned();
            vec![
                view.time(e.timestamp),
                status,
                e.event_type.name().into(),
                e.object.resource(),
                e.title.clone(),
            ]
        })
        .collect();
    section("events", &["TIME", "STATUS", "TYPE", "OBJECT", "TITLE"], &events, console)?;
    let messages: Vec<Vec<String>> = whole
        .messages
        .iter()
        .map(|d| {
            let state = super::deliveries::state_word(d.state).to_owned();
            vec![view.time(d.at), d.connector.clone(), d.phase.as_str().into(), state, d.detail.clone()]
        })
        .collect();
    section("messages", &["TIME", "CONNECTOR", "PHASE", "STATE", "ANSWER"], &messages, console)
}

fn life(i: &Incident, view: &View) -> String {
    let then = |word: &str, at: Option<Timestamp>| {
        at.map(|at| format!(", {word} {}", view.time(at))).unwrap_or_default()
    };
    let again =
        then("again", i.reopened_at) + &then("broke anew", i.refired_at) + &then("ended", i.resolved_at);
    format!("{}, opened {}{again}, lasted {}", state(i), view.time(i.opened_at), lasted(i, view.now))
}

fn counts(i: &Incident) -> String {
    let mut text = format!("{} events, {} members, {} hold it open", i.events, i.members, i.holding);
    if i.affected > 0 {
        _ = write!(text, ", {} others taken down", i.affected);
    }
    if i.reopened > 0 {
        _ = write!(text, ", reopened {} times", i.reopened);
    }
    text
}

fn section(title: &str, titles: &[&str], rows: &[Vec<String>], console: &mut Console<'_>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let table = Table::fit(titles, rows, console.width.map(|w| w.saturating_sub(2)));
    console.line(format!("\n{title}"))?;
    console.line(format!("  {}", table.head(titles)))?;
    for row in rows {
        console.line(format!("  {}", table.row(row)))?;
    }
    Ok(())
}

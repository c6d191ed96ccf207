//! `deliveries list | retry | purge`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    counted, filter,
    out::{Console, Listed, View},
    running, usage,
};
use crate::{
    app::connectors::all_specs,
    cli::{Deliveries, DeliveriesCommand, Exit, List, Output, Which},
    config::{Resolved, Settings},
    event::nearest,
    feed::Action,
    store::{
        DEAD, DeadLetter, DeliveryRow, DeliveryState, Read, Reader,
        pages::{self, Limits},
    },
};

/// Waiting rows are counted up to here.
const COUNTED: u64 = 100_000;

/// Lists deliveries, or does something about dead letters.
///
/// # Errors
/// No store, another process that holds it, the disk.
pub async fn run(args: &Deliveries, resolved: &Resolved, console: &mut Console<'_>) -> Result<Exit> {
    let settings = &resolved.settings;
    match &args.command {
        None => {
            let which = Which { connector: args.connector.clone(), numbers: Vec::new() };
            print(&which, args.dead, &args.list, resolved, console).await
        }
        Some(DeliveriesCommand::List { which, dead, list }) => {
            print(which, *dead, list, resolved, console).await
        }
        Some(DeliveriesCommand::Retry { which }) => {
            let Which { connector, numbers } = which.clone();
            let reader = Reader::open(&settings.store.dir)?;
            known(connector.as_deref(), settings, &reader).await?;
            there(&numbers, &reader)?;
            drop(reader);
            let done = running::act(settings, Action::RetryDead { connector, seqs: numbers }).await?;
            console.line(done)?;
            Ok(Exit::Ok)
        }
        Some(DeliveriesCommand::Purge { which, yes }) => {
            let Which { connector, numbers } = which.clone();
            let reader = Reader::open(&settings.store.dir)?;
            known(connector.as_deref(), settings, &reader).await?;
            there(&numbers, &reader)?;
            drop(reader);
            if !yes && !console.confirm(&format!("Delete {} for good?", described(which)))? {
                console.line("nothing was deleted")?;
                return Ok(Exit::Ok);
            }
            let done = running::act(settings, Action::PurgeDead { connector, seqs: numbers }).await?;
            console.line(done)?;
            Ok(Exit::Ok)
        }
    }
}

/// Refuses the name of a connector that is not there, and never was as far as the store remembers.
async fn known(connector: Option<&str>, settings: &Settings, reader: &Reader) -> Result<()> {
    let Some(name) = connector else { return Ok(()) };
    let snapshot = reader.snapshot()?;
    let mut names: BTreeSet<String> = all_specs(settings, &snapshot)?.into_iter().map(|s| s.name).collect();
    names.extend(pages::outbox_counts(&snapshot, COUNTED)?.into_keys());
    names.extend(pages::dead_counts(&snapshot)?.into_keys());
    drop(snapshot);
    // An engine that was started with another configuration knows its own.
    let status = running::status(&settings.store.dir).await.ok().flatten();
    names.extend(status.iter().flat_map(|s| s.connectors.iter().map(|c| c.name.clone())));
    if names.contains(name) {
        return Ok(());
    }
    // One that was removed is still in the log.
    let mut below = None;
    loop {
        let ours = |d: &DeliveryRow| d.connector == name;
        let page = pages::deliveries_back(&reader.snapshot()?, below, Limits::rows(1), &ours)?;
        if !page.rows.is_empty() {
            return Ok(());
        }
        below = page.next;
        if below.is_none() {
            break;
        }
    }
    let near = nearest(name, names.iter().map(String::as_str));
    let hint = near.map_or_else(
        || ": `barrelman connectors list` names them".to_owned(),
        |near| format!(", did you mean {near}?"),
    );
    Err(usage(format!("there is no connector {name:?}{hint}")))
}

/// Refuses numbers of dead letters that are not there.
fn there(numbers: &[u64], reader: &Reader) -> Result<()> {
    let snapshot = reader.snapshot()?;
    for number in numbers {
        if snapshot.entry(&DEAD, *number)?.is_none() {
            let hint = "`barrelman deliveries list --dead` numbers them";
            return Err(usage(format!("there is no dead letter {number}: {hint}")));
        }
    }
    Ok(())
}

fn described(which: &Which) -> String {
    let what = match which.numbers.len() {
        0 => "all dead letters".to_owned(),
        n => counted(n as u64, "dead letter"),
    };
    which.connector.as_ref().map_or(what.clone(), |c| format!("{what} of {c}"))
}

async fn print(
    which: &Which,
    dead: bool,
    list: &List,
    resolved: &Resolved,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let now = console.view().now;
    let times = filter(&list.filter(&[]), &console.tz)?;
    let (since, until) = (times.since(now), times.until(now));
    let reader = Reader::open(&resolved.settings.store.dir)?;
    let connector = which.connector.as_deref();
    known(connector, &resolved.settings, &reader).await?;
    let idle = Idle::ask(&resolved.settings).await;
    let wanted = |name: &str, at: Timestamp| {
        connector.is_none_or(|c| c == name) && since.is_none_or(|s| at >= s) && until.is_none_or(|u| at <= u)
    };
    if dead {
        let page = |below| {
            let keep = |l: &DeadLetter| wanted(&l.row.notification.connector, l.at);
            pages::dead_letters_back(&reader.snapshot()?, below, Limits::rows(list.limit), &keep)
        };
        let rows = newest(list.limit, &which.numbers, page, console)?;
        console.list(list.output, &rows.into_iter().map(|(n, l)| Dead(n, l)).collect::<Vec<_>>())?;
    } else {
        let page = |below| {
            let keep = |d: &DeliveryRow| wanted(&d.connector, d.at);
            pages::deliveries_back(&reader.snapshot()?, below, Limits::rows(list.limit), &keep)
        };
        let mut rows = newest(list.limit, &which.numbers, page, console)?;
        if list.output == Output::Table {
            // When it would have been tried is of no use to a person.
            for (_, d) in &mut rows {
                d.next_at = d.next_at.filter(|at| *at > now && idle.of(&d.connector).is_none());
            }
        }
        console.list(list.output, &rows.into_iter().map(|(n, d)| Sent(n, d)).collect::<Vec<_>>())?;
    }
    if list.output == Output::Table {
        waiting(&reader, connector, &idle, console)?;
    }
    Ok(Exit::Ok)
}

/// Why nothing that waits is tried now.
enum Idle {
    /// The engine did not say.
    Unknown,
    /// Nobody is there to try.
    NotRunning,
    /// The running engine's connectors that are not on, each with its state.
    Connectors(BTreeMap<String, String>),
}

impl Idle {
    async fn ask(settings: &Settings) -> Self {
        match running::status(&settings.store.dir).await {
            Err(_) => Self::Unknown,
            Ok(None) => Self::NotRunning,
            Ok(Some(status)) => {
                let idle = status.connectors.iter().filter(|c| c.state != "on");
                Self::Connectors(idle.map(|c| (c.name.clone(), c.state.clone())).collect())
            }
        }
    }

    fn of(&self, connector: &str) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::NotRunning => Some("no barrelman is running".into()),
            Self::Connectors(idle) => idle.get(connector).map(|state| format!("the connector is {state}")),
        }
    }
}

/// Pages backwards until there are enough; oldest first.
fn newest<T>(
    limit: usize,
    numbers: &[u64],
    page: impl Fn(Option<u64>) -> crate::store::Result<pages::Page<(u64, T)>>,
    console: &mut Console<'_>,
) -> Result<Vec<(u64, T)>> {
    let mut rows = Vec::new();
    let mut below = None;
    // One more tells whether there are more.
    while rows.len() <= limit {
        let page = page(below)?;
        rows.extend(page.rows.into_iter().filter(|(n, _)| numbers.is_empty() || numbers.contains(n)));
        below = page.next;
        if below.is_none() {
            break;
        }
    }
    if rows.len() > limit {
        console.note(super::older_left_out(limit));
    }
    rows.truncate(limit);
    rows.reverse();
    Ok(rows)
}

/// What waits, and how many dead letters there are.
fn waiting(reader: &Reader, connector: Option<&str>, idle: &Idle, console: &mut Console<'_>) -> Result<()> {
    let snapshot = reader.snapshot()?;
    let counts = pages::outbox_counts(&snapshot, COUNTED)?;
    let dead = pages::dead_counts(&snapshot)?;
    drop(snapshot);
    let view = console.view();
    let ours = |name: &str| connector.is_none_or(|c| c == name);
    for (name, count) in counts.iter().filter(|(n, _)| ours(n)) {
        let more = if count.more { "more than " } else { "" };
        let oldest = count.oldest.map(|at| format!(", the oldest for {}", view.ago(at))).unwrap_or_default();
        let way = match idle.of(name) {
            None => format!("{} of them on the way", count.claimed),
            Some(why) => format!("nothing is tried because {why}"),
        };
        console.line(format!("{name}: {more}{} waiting, {way}{oldest}", count.queued + count.claimed))?;
    }
    for (name, n) in dead.iter().filter(|(n, _)| ours(n)) {
        let letters = counted(*n, "dead letter");
        console.line(format!("{name}: {letters} (barrelman deliveries list --dead --connector '{name}')"))?;
    }
    Ok(())
}

/// The word of a delivery's state.
pub fn state_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
        DeliveryState::Dropped => "dropped",
        DeliveryState::Retrying => "retrying",
    }
}

struct Sent(u64, DeliveryRow);

impl Listed for Sent {
    const TITLES: &'static [&'static str] =
        &["NUMBER", "TIME", "CONNECTOR", "STATE", "PHASE", "SEVERITY", "TRIES", "TOOK", "TITLE", "ANSWER"];
    const CSV: &'static [&'static str] = &[
        "number",
        "at",
        "connector",
        "state",
        "phase",
        "severity",
        "event_type",
        "event",
        "incident",
        "notification",
        "attempts",
        "status",
        "next_at",
        "latency_ms",
        "title",
        "detail",
    ];

    fn cells(&self, view: &View) -> Vec<String> {
        let Sent(number, d) = self;
        let next = d.next_at.map(|at| format!(" (next try {})", view.time(at))).unwrap_or_default();
        vec![
            number.to_string(),
            view.time(d.at),
            d.connector.clone(),
            state_word(d.state).into(),
            d.phase.as_str().into(),
            d.severity.to_string(),
            d.attempts.to_string(),
            took(d.latency_ms),
            d.title.clone(),
            format!("{}{next}", d.detail),
        ]
    }

    fn record(&self) -> Vec<String> {
        let Sent(number, d) = self;
        vec![
            number.to_string(),
            d.at.to_string(),
            d.connector.clone(),
            state_word(d.state).into(),
            d.phase.as_str().into(),
            d.severity.to_string(),
            d.event_type.name().into(),
            d.event.to_string(),
            d.incident.as_ref().map(ToString::to_string).unwrap_or_default(),
            d.notification.to_string(),
            d.attempts.to_string(),
            d.status.to_string(),
            d.next_at.map(|at| at.to_string()).unwrap_or_default(),
            d.latency_ms.to_string(),
            d.title.clone(),
            d.detail.clone(),
        ]
    }

    fn json(&self) -> Value {
        numbered(self.0, &self.1)
    }
}

struct Dead(u64, DeadLetter);

impl Listed for Dead {
    const TITLES: &'static [&'static str] =
        &["NUMBER", "TIME", "CONNECTOR", "REASON", "PHASE", "TRIES", "TITLE", "DETAIL"];
    const CSV: &'static [&'static str] =
        &["number", "at", "connector", "reason", "phase", "attempts", "notification", "title", "detail"];

    fn cells(&self, view: &View) -> Vec<String> {
        let Dead(number, letter) = self;
        let notification = &letter.row.notification;
        vec![
            number.to_string(),
            view.time(letter.at),
            notification.connector.clone(),
            letter.reason.as_str().into(),
            notification.phase.as_str().into(),
            attempts(letter).to_string(),
            notification.event.title.clone(),
            letter.detail.clone(),
        ]
    }

    fn record(&self) -> Vec<String> {
        let Dead(number, letter) = self;
        let notification = &letter.row.notification;
        vec![
            number.to_string(),
            letter.at.to_string(),
            notification.connector.clone(),
            letter.reason.as_str().into(),
            notification.phase.as_str().into(),
            attempts(letter).to_string(),
            notification.id.to_string(),
            notification.event.title.clone(),
            letter.detail.clone(),
        ]
    }

    fn json(&self) -> Value {
        numbered(self.0, &self.1)
    }
}

fn attempts(letter: &DeadLetter) -> u32 {
    letter.row.claim.as_ref().map_or(0, |c| c.attempts)
}

/// The stored row, with the number that the commands take.
fn numbered(number: u64, row: &impl serde::Serialize) -> Value {
    let mut value = json!({"number": number});
    if let (Some(all), Ok(Value::Object(own))) = (value.as_object_mut(), serde_json::to_value(row)) {
        all.extend(own);
    }
    value
}

fn took(ms: u64) -> String {
    if ms < 10_000 { format!("{ms}ms") } else { super::out::span(ms / 1000) }
}

//! `events`: what is stored, the newest last; with `--follow`, what is committed from then on.

use anyhow::Result;
use serde_json::Value;

use super::{
    filter_of, follow,
    out::{Console, Listed, View},
    usage,
};
use crate::{
    cli::{Events, Exit, Output},
    config::{Resolved, Settings},
    event::{
        Event,
        filter::{Filter, KEYS},
    },
    store::{
        Reader,
        pages::{self, Limits, Span},
    },
};

/// Prints events.
///
/// # Errors
/// A filter that cannot be used, no store, the disk.
pub async fn run(
    args: &Events,
    (resolved, scope): (&Resolved, &str),
    console: &mut Console<'_>,
) -> Result<Exit> {
    let instead = "barrelman events lists them, and what follows is a filter";
    let filter = filter_of(&args.filter, &format!("{} {scope}", args.filter()), instead, &console.tz)?;
    if args.follow && args.list.output == Output::Json {
        return Err(usage("-o json is one array, which never ends with --follow: use -o jsonl"));
    }
    let settings = &resolved.settings;
    if args.follow {
        return follow::run(&filter, &args.list, settings, console).await;
    }
    let reader = Reader::open(&settings.store.dir)?;
    let limit = args.list.limit;
    // One more tells whether there are more.
    let (mut rows, _) = stored(&reader, &filter, (limit.saturating_add(1), console.view().now), settings)?;
    let left_out = rows.len().saturating_sub(limit);
    rows.drain(..left_out);
    let events: Vec<Row> = rows.into_iter().map(|(_, e)| Row(e)).collect();
    console.list(args.list.output, &events)?;
    if events.is_empty() {
        if args.list.output == Output::Table {
            console.note("nothing is stored that passes");
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

/// The newest events that pass, oldest first, and the seq from which on nothing was looked at.
///
/// # Errors
/// The disk.
pub fn stored(
    reader: &Reader,
    filter: &Filter,
    (limit, now): (usize, jiff::Timestamp),
    settings: &Settings,
) -> Result<(Vec<(u64, Event)>, u64)> {
    let newest = pages::events_back(&reader.snapshot()?, None, Span::ALL, Limits::rows(1), &|_| true)?;
    let next = newest.rows.first().map_or(0, |(seq, _)| seq + 1);
    let span = Span { since: oldest(filter, now, settings), until: None };
    let mut rows = Vec::new();
    let mut below = Some(next);
    while let Some(cursor) = below
        && rows.len() < limit
    {
        let limits = Limits::rows(limit - rows.len());
        let wanted = |event: &Event| filter.matches(event, now);
        let page = pages::events_back(&reader.snapshot()?, Some(cursor), span, limits, &wanted)?;
        rows.extend(page.rows);
        below = page.next;
    }
    rows.reverse();
    Ok((rows, next))
}

/// A folded event keeps its first time: one of whose occurrences is new enough may have begun a window earlier.
fn oldest(filter: &Filter, now: jiff::Timestamp, settings: &Settings) -> Option<jiff::Timestamp> {
    let window = settings.longest_dedup_window();
    let since = filter.since(now)?;
    Some(since.saturating_sub(window).unwrap_or(jiff::Timestamp::MIN))
}

/// One event in a list.
pub struct Row(pub Event);

impl Listed for Row {
    const TITLES: &'static [&'static str] =
        &["TIME", "SEVERITY", "STATUS", "TYPE", "CLUSTER", "NAMESPACE", "OBJECT", "COUNT", "TITLE"];
    const CSV: &'static [&'static str] = &[
        "id",
        "timestamp",
        "observed_at",
        "cluster",
        "namespace",
        "kind",
        "name",
        "event_type",
        "severity",
        "status",
        "count",
        "first_seen",
        "last_seen",
        "title",
        "description",
        "incident",
    ];

    fn cells(&self, view: &View) -> Vec<String> {
        let e = &self.0;
        let mut title = e.title.clone();
        for (said, mark) in [(e.late, "late"), (e.standing, "standing"), (e.ignored.is_some(), "ignored")] {
            if said {
                title = format!("{title} ({mark})");
            }
        }
        vec![
            view.time(e.timestamp),
            e.severity.to_string(),
            e.status.as_str().into(),
            e.event_type.name().into(),
            e.cluster.clone(),
            e.object.namespace.clone(),
            e.object.resource(),
            e.count.to_string(),
            title,
        ]
    }

    fn record(&self) -> Vec<String> {
        let e = &self.0;
        vec![
            e.id.to_string(),
            e.timestamp.to_string(),
            e.observed_at.to_string(),
            e.cluster.clone(),
            e.object.namespace.clone(),
            e.object.kind.clone(),
            e.object.name.clone(),
            e.event_type.name().into(),
            e.severity.to_string(),
            e.status.as_str().into(),
            e.count.to_string(),
            e.first_seen.to_string(),
            e.last_seen.to_string(),
            e.title.clone(),
            e.description.clone(),
            e.incident.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    }

    fn json(&self) -> Value {
        // An event is maps, texts and numbers: it always prints.
        serde_json::to_value(&self.0).unwrap_or_default()
    }
}

/// Explains the filter language, from its own table.
///
/// # Errors
/// The output.
pub fn filter_help(console: &mut Console<'_>) -> Result<Exit> {
    console.line("A filter is terms with spaces between them:\n")?;
    for key in KEYS {
        let names = key.names.join(", ");
        console.line(format!("  {:<24} {names}: {}", key.example, key.means))?;
    }
    console.line(
        "
  \"free text\"              in title, description, object and reason
  /regex/  !regex          a regular expression over the same; without it
  ~fuzzy  -f fuzzy         letters in this order
  -l app=api               as in kubectl

The same key again means either (ns:a ns:b is ns:a|b), different keys must all hold; - or ! before a term excludes.
Values are globs (*, ?) without regard to case; in quotes they are literal, between slashes regular expressions.
On the command line write !obj:x for -obj:x, or put the filter after --.",
    )?;
    Ok(Exit::Ok)
}

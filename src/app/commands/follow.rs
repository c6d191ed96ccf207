//! `events --follow`: stored events, then those to come, each once and in the order of commits.
//!
//! The feed of a running engine only says that there is something to read: new events are always read from the store,
//! by seq, so that a lagging feed, a broken connection and an engine's restart lose and repeat nothing. Stored events
//! whose count grew are printed again, from the feed; who lags may miss some of those. Without an engine the store is
//! looked at once a second, and nothing grows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;

use super::{
    events::{Row, stored},
    out::{Console, Listed},
    table::Table,
};
use crate::{
    cli::{Exit, List, Output},
    config::Settings,
    event::{Event, filter::Filter},
    store::{
        Error, Reader,
        pages::{self, Limits, Span},
    },
};

/// How often a store is looked at that nobody serves.
const POLL: Duration = Duration::from_secs(1);
/// Usual widths of time, severity, status, type, cluster, namespace, object, count and title.
const USUAL: [usize; 9] = [14, 8, 8, 21, 12, 16, 40, 3, 40];
/// Rows between two flushes.
const PAGE: usize = 500;

/// Prints until it is interrupted, or nobody reads any more.
///
/// # Errors
/// No store, the disk.
pub async fn run(
    filter: &Filter,
    list: &List,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let mut wake = Wake::new(settings).await;
    let reader = super::reader(&settings.store.dir)?;
    let (rows, next) = stored(&reader, filter, (list.limit, console.view().now), settings)?;
    let printed = rows.iter().map(|(seq, e)| (*seq, e.count)).collect();
    let rows: Vec<Row> = rows.into_iter().map(|(_, e)| Row(e)).collect();
    let view = console.view();
    let cells: Vec<Vec<String>> = rows.iter().map(|r| r.cells(&view)).collect();
    // What comes later stands below what is there: the columns leave room for it.
    let usual = USUAL.iter().map(|width| "x".repeat(*width)).collect();
    let table =
        Table::fit(Row::TITLES, &cells.iter().cloned().chain([usual]).collect::<Vec<_>>(), console.width);
    if list.output == Output::Table {
        console.line(table.head(Row::TITLES))?;
        cells.iter().try_for_each(|row| console.line(table.row(row)))?;
    } else {
        console.list(list.output, &rows)?;
    }
    console.out.flush()?;
    let output = list.output;
    let mut follower = Follower { filter, output, settings, reader: Some(reader), next, table, printed };
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        follower.print_new(console)?;
        follower.print_grown(wake.take(), console)?;
        tokio::select! {
            _ = &mut interrupted => return Ok(Exit::Ok),
            () = wake.wait(settings) => {}
        }
    }
}

struct Follower<'a> {
    filter: &'a Filter,
    output: Output,
    settings: &'a Settings,
    /// Opened again after an error: the engine may have restarted.
    reader: Option<Reader>,
    next: u64,
    table: Table,
    /// With which count the newest were printed.
    printed: BTreeMap<u64, u64>,
}

/// The counts of so many events are remembered: of those that may still grow, within their dedup window.
const PRINTED: usize = 10_000;

impl Follower<'_> {
    fn print_new(&mut self, console: &mut Console<'_>) -> Result<()> {
        loop {
            let now = console.view().now;
            let page = match self.read(now) {
                Ok(page) => page,
                // An engine that crashed left the file to be repaired by the next one.
                Err(Error::NeedsWriter(_) | Error::Io { .. }) => {
                    self.reader = None;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            let more = page.examined >= PAGE || page.rows.len() >= PAGE;
            for (seq, event) in page.rows {
                self.remember(seq, event.count);
                self.print(&Row(event), console)?;
            }
            self.next = page.next.unwrap_or(self.next).max(self.next);
            console.out.flush()?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Repeats of stored events: they grow in their row, which has its old place.
    fn print_grown(&mut self, grown: Vec<(u64, Arc<Event>)>, console: &mut Console<'_>) -> Result<()> {
        let now = console.view().now;
        for (seq, event) in grown {
            let more = event.count > self.printed.get(&seq).copied().unwrap_or(1);
            if seq < self.next && more && self.filter.matches(&event, now) {
                self.remember(seq, event.count);
                self.print(&Row(Event::clone(&event)), console)?;
            }
        }
        console.out.flush()?;
        Ok(())
    }

    fn remember(&mut self, seq: u64, count: u64) {
        self.printed.insert(seq, count);
        if self.printed.len() > PRINTED {
            self.printed.pop_first();
        }
    }

    fn read(&mut self, now: jiff::Timestamp) -> Result<pages::Page<(u64, Event)>, Error> {
        let reader = match &self.reader {
            Some(reader) => reader,
            None => self.reader.insert(Reader::open(&self.settings.store.dir)?),
        };
        let limits = Limits { rows: PAGE, examine: PAGE };
        let wanted = |event: &Event| self.filter.matches(event, now);
        pages::events_on(&reader.snapshot()?, self.next, Span::ALL, limits, &wanted)
    }

    fn print(&self, row: &Row, console: &mut Console<'_>) -> Result<()> {
        match self.output {
            Output::Table => console.line(self.table.row(&row.cells(&console.view())))?,
            Output::Json | Output::Jsonl => console.line(row.json().to_string())?,
            Output::Csv => console.csv(&row.record())?,
        }
        Ok(())
    }
}

/// Says when there may be something new, and which stored events have grown.
#[cfg(unix)]
struct Wake {
    attached: Option<crate::server::attach::Attached>,
    told: Vec<(u64, Arc<Event>)>,
}

#[cfg(unix)]
impl Wake {
    async fn new(settings: &Settings) -> Self {
        // Attached before the store is read: what is committed after the reading wakes us.
        let attached = crate::server::attach::connect(&settings.store.dir).await.ok();
        Self { attached, told: Vec::new() }
    }

    /// What was told of since the last call.
    fn take(&mut self) -> Vec<(u64, Arc<Event>)> {
        std::mem::take(&mut self.told)
    }

    /// Cancel safe: what was announced and not taken is read from the store at the next call.
    async fn wait(&mut self, settings: &Settings) {
        use crate::feed::Feed;
        let Some(attached) = &mut self.attached else {
            tokio::time::sleep(POLL).await;
            // An engine may have been started meanwhile.
            self.attached = crate::server::attach::connect(&settings.store.dir).await.ok();
            return;
        };
        loop {
            tokio::select! {
                // The engine, or the connection, has ended: the store is looked at from now on.
                _ = &mut attached.driver => {
                    self.attached = None;
                    return;
                }
                item = attached.feed.recv() => match item {
                    Some(Feed::Event { seq, event }) => {
                        self.told.push((seq, event));
                        break;
                    }
                    Some(Feed::Lagged { .. }) | None => break,
                    Some(_) => {}
                },
            }
        }
        // All that is announced already is read at once.
        while let Ok(item) = attached.feed.try_recv() {
            if let Feed::Event { seq, event } = item {
                self.told.push((seq, event));
            }
        }
    }
}

/// There is no socket on this platform.
#[cfg(not(unix))]
struct Wake;

#[cfg(not(unix))]
impl Wake {
    async fn new(_settings: &Settings) -> Self {
        Self
    }

    fn take(&mut self) -> Vec<(u64, Arc<Event>)> {
        Vec::new()
    }

    async fn wait(&mut self, _settings: &Settings) {
        tokio::time::sleep(POLL).await;
    }
}

//! `events --follow`: stored events, then those to come, each once and in the order of commits.
//!
//! The feed of a running engine only says that there is something to read: events are always read from the store, by
//! seq, so that a lagging feed, a broken connection and an engine's restart lose and repeat nothing. Without an
//! engine the store is looked at once a second.

use std::time::Duration;

use anyhow::Result;

use super::{
    events::{Row, stored},
    out::{Console, Listed},
    table::Table,
};
use crate::{
    cli::{Exit, List, Output},
    config::Settings,
    event::filter::Filter,
    store::{
        Error, Reader,
        pages::{self, Limits, Span},
    },
};

/// How often a store is looked at that nobody serves.
const POLL: Duration = Duration::from_secs(1);
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
    let reader = Reader::open(&settings.store.dir)?;
    let (rows, next) = stored(&reader, filter, (list.limit, console.view().now), settings)?;
    let rows: Vec<Row> = rows.into_iter().map(|(_, e)| Row(e)).collect();
    let view = console.view();
    let cells: Vec<Vec<String>> = rows.iter().map(|r| r.cells(&view)).collect();
    let table = Table::fit(Row::TITLES, &cells, console.width);
    console.list(list.output, &rows)?;
    console.out.flush()?;
    let mut follower = Follower { filter, output: list.output, settings, reader: Some(reader), next, table };
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        follower.print_new(console)?;
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
}

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
            for (_, event) in page.rows {
                self.print(&Row(event), console)?;
            }
            self.next = page.next.unwrap_or(self.next).max(self.next);
            console.out.flush()?;
            if !more {
                return Ok(());
            }
        }
    }

    fn read(&mut self, now: jiff::Timestamp) -> Result<pages::Page<(u64, crate::event::Event)>, Error> {
        let reader = match &self.reader {
            Some(reader) => reader,
            None => self.reader.insert(Reader::open(&self.settings.store.dir)?),
        };
        let limits = Limits { rows: PAGE, examine: PAGE };
        let wanted = |event: &crate::event::Event| self.filter.matches(event, now);
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

/// Says when there may be something new.
#[cfg(unix)]
struct Wake(Option<crate::server::attach::Attached>);

#[cfg(unix)]
impl Wake {
    async fn new(settings: &Settings) -> Self {
        // Attached before the store is read: what is committed after the reading wakes us.
        Self(crate::server::attach::connect(&settings.store.dir).await.ok())
    }

    /// Cancel safe: what was announced and not taken is read from the store at the next call.
    async fn wait(&mut self, settings: &Settings) {
        use crate::feed::Feed;
        let Some(attached) = &mut self.0 else {
            tokio::time::sleep(POLL).await;
            // An engine may have been started meanwhile.
            self.0 = crate::server::attach::connect(&settings.store.dir).await.ok();
            return;
        };
        loop {
            tokio::select! {
                // The engine, or the connection, has ended: the store is looked at from now on.
                _ = &mut attached.driver => {
                    self.0 = None;
                    return;
                }
                item = attached.feed.recv() => match item {
                    Some(Feed::Event { .. } | Feed::Lagged { .. }) | None => break,
                    Some(_) => {}
                },
            }
        }
        // All that is announced already is read at once.
        while attached.feed.try_recv().is_ok() {}
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

    async fn wait(&mut self, _settings: &Settings) {
        tokio::time::sleep(POLL).await;
    }
}

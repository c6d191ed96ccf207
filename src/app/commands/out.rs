//! Where commands read and print: the one place that holds standard output. A reader that went away (`| head`) ends
//! a command quietly; commands write through `Console` and never print by themselves.

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::Value;

use super::table::Table;
use crate::{app::engine::now, cli::Output};

/// What a command talks to.
pub struct Console<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// Answers and `-`.
    pub input: &'a mut dyn BufRead,
    /// Somebody can be asked.
    pub interactive: bool,
    /// Columns of the terminal; `None` where the output is no terminal, and nothing is cut.
    pub width: Option<usize>,
    /// For times in tables and filters.
    pub tz: TimeZone,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

/// Something that is printed in lists.
pub trait Listed {
    /// The heads of the table's columns; the last one takes what room is left.
    const TITLES: &'static [&'static str];
    /// The names of the CSV's columns.
    const CSV: &'static [&'static str];
    /// For the table.
    fn cells(&self, view: &View) -> Vec<String>;
    /// For CSV.
    fn record(&self) -> Vec<String>;
    /// For JSON.
    fn json(&self) -> Value;
}

/// How times are shown.
#[derive(Debug, Clone)]
pub struct View {
    /// Now.
    pub now: Timestamp,
    /// Local time.
    pub tz: TimeZone,
}

impl View {
    /// `11-22 09:30:00`, with the year where it is another one.
    pub fn time(&self, at: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.tz.clone()), self.now.to_zoned(self.tz.clone()));
        let format = if at.year() == now.year() { "%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.strftime(format).to_string()
    }

    /// How long ago: `45s`, `12m`, `3h 5m`, `4d 2h`.
    pub fn ago(&self, at: Timestamp) -> String {
        span(self.now.duration_since(at).as_secs().max(0).unsigned_abs())
    }
}

/// `45s`, `12m`, `3h 5m`, `4d 2h`.
pub fn span(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs}s"),
        (0, 0, m) => format!("{m}m"),
        (0, h, 0) => format!("{h}h"),
        (0, h, m) => format!("{h}h {m}m"),
        (d, 0, _) => format!("{d}d"),
        (d, h, _) => format!("{d}d {h}h"),
    }
}

impl Console<'_> {
    /// How times are shown now.
    pub fn view(&self) -> View {
        View { now: (self.clock)(), tz: self.tz.clone() }
    }

    /// One line.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", text.as_ref())
    }

    /// One line beside the output.
    pub fn note(&mut self, text: impl AsRef<str>) {
        // Who cannot be told is told nothing.
        let _ = writeln!(self.err, "{}", text.as_ref());
    }

    /// One JSON value, pretty.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.line(text)
    }

    /// A list in the wanted format.
    pub fn list<T: Listed>(&mut self, output: Output, items: &[T]) -> io::Result<()> {
        match output {
            Output::Table => {
                let view = self.view();
                let rows: Vec<_> = items.iter().map(|i| i.cells(&view)).collect();
                let table = Table::fit(T::TITLES, &rows, self.width);
                self.line(table.head(T::TITLES))?;
                rows.iter().try_for_each(|row| self.line(table.row(row)))
            }
            Output::Json => self.json(&items.iter().map(Listed::json).collect::<Vec<_>>()),
            Output::Jsonl => items.iter().try_for_each(|i| self.line(i.json().to_string())),
            Output::Csv => {
                self.csv(T::CSV)?;
                items.iter().try_for_each(|i| self.csv(&i.record()))
            }
        }
    }

    /// One line of CSV.
    pub fn csv<S: AsRef<str>>(&mut self, fields: &[S]) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer
            .write_record(fields.iter().map(|f| inert(f.as_ref()).into_owned()))
            .map_err(io::Error::other)?;
        self.out.write_all(&writer.into_inner().map_err(|e| io::Error::other(e.to_string()))?)
    }

    /// Asks, if there is somebody to ask.
    ///
    /// # Errors
    /// There is nobody: what to say instead.
    pub fn confirm(&mut self, question: &str) -> anyhow::Result<bool> {
        if !self.interactive {
            return Err(super::usage(format!("{question} Nobody is there to be asked: say --yes")));
        }
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }
}

/// Runs a command on the standard streams.
///
/// # Errors
/// The command's own; a closed output is none.
pub async fn on_standard<T>(command: T) -> anyhow::Result<crate::cli::Exit>
where
    T: AsyncFnOnce(&mut Console<'_>) -> anyhow::Result<crate::cli::Exit>,
{
    let stdin = io::stdin();
    let interactive = stdin.is_terminal();
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut err, mut input) = (io::stderr(), stdin.lock());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        interactive,
        width: width(),
        tz: TimeZone::system(),
        clock: now,
    };
    let ended = command(&mut console).await;
    let flushed = out.flush();
    // What is left in the buffer of a closed pipe is nobody's; dropping it would try again.
    drop(out.into_parts());
    match ended.and_then(|exit| flushed.map(|()| exit).map_err(Into::into)) {
        Err(error) if closed(&error) => Ok(crate::cli::Exit::Ok),
        ended => ended,
    }
}

/// Text from a cluster must not become a formula in a spreadsheet: what begins like one gets a ' before it.
fn inert(field: &str) -> std::borrow::Cow<'_, str> {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}").into()
    } else {
        field.into()
    }
}

fn closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return Some(size.ws_col.into());
    }
    Some(120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_parts_at_most() {
        for (secs, text) in
            [(0, "0s"), (59, "59s"), (720, "12m"), (11_100, "3h 5m"), (7_200, "2h"), (352_800, "4d 2h")]
        {
            assert_eq!(span(secs), text);
        }
    }
}

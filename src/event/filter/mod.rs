//! The one filter language of screen, connectors, `ignore` and command line.
//!
//! `type:pod_* severity>=high ns:a|b -obj:canary-* label:app=api since:1h "free text" /regex/ ~fuzzy`
//!
//! - Terms are separated by spaces. The same key again means either (`ns:a ns:b` is `ns:a|b`; for labels, the same
//!   label); different keys must all hold; `-` or `!` excludes. Comparisons (`count>=3 count<9`) and free text all
//!   must hold.
//! - Values are globs over the whole (`*`, `?`), without regard to case; in quotes they are literal; between slashes
//!   they are regular expressions. `|` separates alternatives.
//! - k9s's `!re`, `-l a=b` and `-f xyz` work.
//! - `since:` and `until:` look at an event's occurrences: it passes if one of them lies between. They stay relative
//!   to the time of the look.
//!
//! A filter that cannot be understood is an error with its place; it never falls back to everything. Evaluation does
//! not allocate but for `Kind/name`. No I/O, no clock: `now` and the time zone are arguments.

mod compile;
mod error;
mod keys;
mod lex;
mod pattern;
mod test;
mod time;

use std::{fmt, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};

pub use error::FilterError;
pub use keys::{KEYS, Key, KeyDef};
pub use pattern::Glob;

use super::{Event, EventType};

/// A parsed filter; cheap to clone. The default passes everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    source: String,
    compiled: Option<Arc<compile::Compiled>>,
}

impl Filter {
    /// What is worth a word where nothing passes: something in it that other languages read otherwise.
    pub fn caution(&self) -> Option<&'static str> {
        self.compiled.as_ref().filter(|c| c.has_bracket()).map(|_| {
            "a bracket in a name stands for itself: write obj:web-a*|web-b*, or a regular expression, obj:/web-[ab]/"
        })
    }

    /// Parses and compiles. Clock times (`since:09:30`, `today`) are read in `tz`. Empty text passes everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and the nearest word that would be right.
    pub fn parse(text: &str, tz: &TimeZone) -> Result<Filter, FilterError> {
        let source = text.trim();
        let terms = lex::terms(source)?;
        if terms.is_empty() {
            return Ok(Filter::default());
        }
        let compiled = compile::compile(source, terms, tz)?;
        Ok(Filter { source: source.to_owned(), compiled: Some(Arc::new(compiled)) })
    }

    /// What was written, without spaces around it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// It passes everything.
    pub fn is_empty(&self) -> bool {
        self.compiled.is_none()
    }

    /// Whether the event passes, seen from `now`.
    pub fn matches(&self, event: &Event, now: Timestamp) -> bool {
        let Some(compiled) = &self.compiled else { return true };
        self.since(now).is_none_or(|since| event.last_seen.max(event.timestamp) >= since)
            && self.until(now).is_none_or(|until| event.timestamp <= until)
            && compiled.clauses.iter().all(|c| c.holds(event))
    }

    /// Events whose last occurrence is older do not pass: lets the store bound a scan.
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let compiled = self.compiled.as_deref()?;
        compiled.since?.resolve(now, &compiled.tz, false)
    }

    /// Events that began later do not pass.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let compiled = self.compiled.as_deref()?;
        compiled.until?.resolve(now, &compiled.tz, true)
    }

    /// It has `since:` or `until:`.
    pub fn is_timed(&self) -> bool {
        self.compiled.as_deref().is_some_and(|c| c.since.is_some() || c.until.is_some())
    }

    /// Whether events of this type can pass at all.
    pub fn may_match(&self, event_type: EventType) -> bool {
        self.compiled.as_deref().is_none_or(|c| compile::may_match(c, event_type))
    }
}

/// Equal as written.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Filter {}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The language on one page, for people.
pub fn help() -> String {
    let line = |def: &KeyDef| {
        let others = def.names.get(1..).unwrap_or_default().join(", ");
        let also = if others.is_empty() { others } else { format!(" (also {others})") };
        format!("  {:<26} {}{also}\n", def.example, def.means)
    };
    std::iter::once(HELP.to_owned()).chain(KEYS.iter().map(line)).collect()
}

const HELP: &str = "Terms are separated by spaces. The same key means either, different keys all; - or ! excludes.
Values are globs (*, ?) without regard to case; a|b is either; in \"quotes\" they are literal, /between slashes/ they are
regular expressions. What has no key is searched for as text: crash, \"two words\", /regex/, ~fuzzy.
As in k9s: !regex, -l app=api,tier!=db, -f fuzzy.

  ns:payments|checkout type:trouble severity>=high -obj:canary-* since:2h

";

/// A value that means exactly this text: as it is where that is safe, else in quotes.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text != "-" && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;

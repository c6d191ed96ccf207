//! Keeps a template from making a text that grows with every step: the engine counts steps, not bytes.
//!
//! A filter's result is capped where it is made. Joining texts (`~`, `+`) cannot be, so it is bounded when the template
//! is parsed: what names the result of a join for further use may multiply a text only so often. Only `template` calls.

use minijinja::{Environment, Error, ErrorKind, Value};

/// The longest text that a filter may make.
const MAX_TEXT: usize = 1024 * 1024;
/// By so much all joins that are named may multiply a text.
const MAX_GROWTH: u64 = 1_000;
/// The same where a text may be repeated (`*`): the engine lets it become 100 MB.
const MAX_GROWTH_OF_REPEATED: u64 = 8;
/// What may stand after `{%`.
const STATEMENTS: &[&str] =
    &["if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "raw", "endraw"];

/// Refuses what could grow without bounds.
///
/// # Errors
/// The statement that cannot be used, or that too much is joined.
pub fn check(source: &str) -> Result<(), String> {
    let (mut growth, mut most): (u64, u64) = (1, MAX_GROWTH);
    let mut rest = source;
    while let Some((at, open)) = rest.match_indices('{').find_map(|(at, _)| {
        let open = rest.get(at..at + 2)?;
        ["{%", "{{", "{#"].contains(&open).then_some((at, open))
    }) {
        let inside = rest.get(at + 2..).unwrap_or_default();
        let close = match open {
            "{%" => "%}",
            "{{" => "}}",
            _ => "#}",
        };
        let end = if open == "{#" { inside.find(close) } else { end_of(inside, close) };
        // A tag that does not end is the parser's to refuse.
        let Some(end) = end else { break };
        let tag = inside.get(..end).unwrap_or_default();
        rest = inside.get(end + 2..).unwrap_or_default();
        if open != "{#" && outside_quotes(tag).any(|c| c == '*') {
            most = MAX_GROWTH_OF_REPEATED;
        }
        if open == "{%" {
            let word = statement(tag)?;
            if word == "raw" {
                rest = after_raw(rest);
            } else if ["set", "with", "for"].contains(&word) {
                growth = growth.saturating_mul(1 + joins(tag));
            }
        }
    }
    if growth > most {
        return Err(
            "joins texts (~, +) in so many steps that they could grow without end: join them in one".into()
        );
    }
    Ok(())
}

fn statement(tag: &str) -> Result<&str, String> {
    let tag = tag.trim_start_matches(['-', '+']).trim();
    let word = tag.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    let block_set = word == "set" && !outside_quotes(tag).any(|c| c == '=');
    let recursive = word == "for" && tag.trim_end_matches('-').trim_end().ends_with("recursive");
    if !STATEMENTS.contains(&word) || block_set || tag.contains("namespace(") || recursive {
        let what = if block_set { "set without =" } else { word };
        return Err(format!(
            "{{% {what} %}} cannot be used here: there are if, for, set and with, without namespace and recursive"
        ));
    }
    Ok(word)
}

/// Operators that make a longer text of two, and lists: `[a, a]` is joined by a filter later.
fn joins(tag: &str) -> u64 {
    outside_quotes(tag).filter(|c| matches!(c, '~' | '+')).count() as u64
}

/// The characters of a tag that stand in no quoted text.
fn outside_quotes(tag: &str) -> impl Iterator<Item = char> {
    let (mut quote, mut escaped) = (None, false);
    tag.chars().filter(move |c| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(q) => {
            escaped = *c == '\\';
            if *c == q {
                quote = None;
            }
            false
        }
        None if matches!(c, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        None => true,
    })
}

/// Where a tag ends: not within a quoted text.
fn end_of(inside: &str, close: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in inside.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) => {
                escaped = c == '\\';
                if c == q {
                    quote = None;
                }
            }
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if inside.get(at..).is_some_and(|rest| rest.starts_with(close)) => return Some(at),
            None => {}
        }
    }
    None
}

/// The text after the `endraw` of a `raw`.
fn after_raw(rest: &str) -> &str {
    let end = rest.match_indices("{%").find(|(at, _)| {
        let tag = rest.get(at + 2..).unwrap_or_default();
        tag.trim_start_matches(['-', '+']).trim_start().starts_with("endraw")
    });
    end.and_then(|(at, _)| rest.get(at..)).unwrap_or_default()
}

/// Puts filters in place of those that can make a text longer than what they are given.
pub fn cap_filters(env: &mut Environment<'_>) {
    env.add_filter("replace", |text: String, from: String, to: String| {
        let hits = if from.is_empty() { text.chars().count() + 1 } else { text.matches(&from).count() };
        capped(text.len() + hits.saturating_mul(to.len()))?;
        Ok::<_, Error>(text.replace(&from, &to))
    });
    env.add_filter("join", |values: Value, between: Option<String>| {
        let between = between.unwrap_or_default();
        let (mut joined, mut first) = (String::new(), true);
        for value in values.try_iter()? {
            if !std::mem::take(&mut first) {
                joined.push_str(&between);
            }
            match value.as_str() {
                Some(text) => joined.push_str(text),
                None => joined.push_str(&value.to_string()),
            }
            capped(joined.len())?;
        }
        Ok::<_, Error>(joined)
    });
    env.add_filter("indent", |text: String, width: usize| {
        capped(text.len() + width.saturating_mul(text.lines().count()))?;
        Ok::<_, Error>(text.replace('\n', &format!("\n{}", " ".repeat(width))))
    });
}

fn capped(len: usize) -> Result<(), Error> {
    if len <= MAX_TEXT {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOperation, "a text of more than 1 MiB comes out"))
}

//! Keeps a template from making a text that grows with every step: the engine counts steps, not bytes.
//!
//! What a filter makes is capped where it is made (`work`). What operators make cannot be, so it is bounded when the
//! template is parsed: what names the result of a join (`~`, `+`) or a list for further use may multiply a text only so
//! often, and nothing is repeated (`*`). Only `template` calls.

/// By so much all joins and lists that are named may multiply a text.
const MAX_GROWTH: u64 = 100;
/// What may stand after `{%`.
const STATEMENTS: &[&str] =
    &["if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "raw", "endraw"];

/// Refuses what could grow without bounds.
///
/// # Errors
/// The statement that cannot be used, or that too much is joined.
pub fn check(source: &str) -> Result<(), String> {
    let mut growth: u64 = 1;
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
            return Err(
                "`*` repeats texts without end: multiply numbers with the filter times, {{ x | times(100) }}"
                    .into(),
            );
        }
        if open == "{%" {
            let word = statement(tag)?;
            if word == "raw" {
                rest = after_raw(rest);
            } else if ["set", "with", "for"].contains(&word) {
                growth = growth.saturating_mul(1 + grows(tag));
            }
        }
    }
    if growth > MAX_GROWTH {
        return Err(
            "joins texts (~, +) or makes lists in so many steps that they could grow without end: do it in one".into()
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

/// How often a tag puts what it is given into something longer: by operators, where no quoted text stands between two
/// of them, and in lists, `[a, a]`, whose elements a filter joins later. The commas of a call's arguments are none.
fn grows(tag: &str) -> u64 {
    let (mut count, mut calls, mut before, mut word) = (0, Vec::new(), ' ', false);
    for c in outside_quotes(tag) {
        match c {
            '~' | '+' if !matches!(before, '~' | '+') => count += 1,
            '(' | '[' | '{' => calls.push(c == '(' && word),
            ')' | ']' | '}' => drop(calls.pop()),
            ',' if !calls.last().copied().unwrap_or_default() => count += 1,
            _ => {}
        }
        if !c.is_whitespace() {
            (before, word) = (c, c.is_alphanumeric() || c == '_');
        }
    }
    count
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

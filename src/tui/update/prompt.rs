//! The filter being written: in force as soon as it can be read, without a term that is not finished. While there is a
//! mistake in it, what was in force before stays: half of what is meant would show something that nobody asked for.

use crossterm::event::KeyCode;

use crate::{
    event::filter::{Filter, KEYS},
    tui::{
        effect::Effect,
        keymap::Chord,
        model::{Model, Prompt},
        overlays::notice::Notice,
        widgets::editor::Editor,
    },
};

/// Filters kept for ↑.
const HISTORY: usize = 50;

/// Opens it over the filter in force.
pub fn open(model: &mut Model) -> Vec<Effect> {
    let filter = model.panes.get(model.current).and_then(|p| p.filter()).cloned();
    let Some(before) = filter else {
        // What is typed now is meant for a filter: it must not run as commands.
        let text = "This screen is short enough without a filter. Incidents (1), Stream (2) and Deliveries (7) have one.";
        return vec![Effect::Show(Box::new(Notice::new("No filter here", text)))];
    };
    let mut editor = Editor::new(before.source());
    if !before.is_empty() {
        editor.insert(" ");
    }
    model.prompt = Some(Prompt { editor, before, error: None, history: None });
    Vec::new()
}

/// Takes a key.
pub fn key(model: &mut Model, chord: Chord) -> Vec<Effect> {
    let Some(prompt) = model.prompt.as_mut() else { return Vec::new() };
    match chord.code {
        KeyCode::Esc => {
            let before = prompt.before.clone();
            model.prompt = None;
            return set(model, before);
        }
        KeyCode::Enter if prompt.error.is_some() => return Vec::new(),
        KeyCode::Enter => {
            let text = prompt.editor.text().trim().to_owned();
            let Ok(filter) = Filter::parse(&text, &model.shared.tz) else { return Vec::new() };
            model.prompt = None;
            if !text.is_empty() {
                model.shared.filters.retain(|f| *f != text);
                model.shared.filters.push(text);
                let spare = model.shared.filters.len().saturating_sub(HISTORY);
                model.shared.filters.drain(..spare);
            }
            return set(model, filter);
        }
        KeyCode::Up | KeyCode::Down => {
            let filters = &model.shared.filters;
            let last = filters.len().checked_sub(1);
            prompt.history = match (prompt.history, chord.code) {
                (None, KeyCode::Up) => last,
                (Some(i), KeyCode::Up) => Some(i.saturating_sub(1)),
                (Some(i), _) if Some(i) < last => Some(i + 1),
                _ => None,
            };
            let text = prompt.history.and_then(|i| filters.get(i)).cloned().unwrap_or_default();
            prompt.editor = Editor::new(&text);
        }
        KeyCode::Tab => complete(&mut prompt.editor),
        _ => {
            prompt.editor.key(chord);
        }
    }
    apply(model)
}

/// Takes pasted text.
pub fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if let Some(prompt) = model.prompt.as_mut() {
        prompt.editor.insert(text);
    }
    apply(model)
}

/// The word before the cursor becomes the key that begins like it.
fn complete(editor: &mut Editor) {
    let word = editor.word().trim_start_matches(['-', '!']);
    if word.is_empty() || word.contains([':', '>', '<', '=']) {
        return;
    }
    let sign_len = editor.word().len() - word.len();
    let sign = editor.word().get(..sign_len).unwrap_or_default().to_owned();
    let names = KEYS.iter().flat_map(|k| k.names);
    if let Some(name) = names.into_iter().find(|n| n.starts_with(word)) {
        // Some are compared rather than matched: `severity>=high`.
        let def = KEYS.iter().find(|k| k.names.contains(name));
        let after = def.and_then(|d| d.example.strip_prefix(d.names.first()?));
        let operator = if after.is_some_and(|a| a.starts_with(">=")) { ">=" } else { ":" };
        let word = format!("{sign}{name}{operator}");
        editor.complete(&word);
    }
}

fn apply(model: &mut Model) -> Vec<Effect> {
    let Some(prompt) = model.prompt.as_mut() else { return Vec::new() };
    let text = prompt.editor.text();
    let parse = |text: &str| Filter::parse(text, &model.shared.tz);
    let found = match parse(&text) {
        Ok(filter) => {
            prompt.error = None;
            // `sev` on the way to `severity>=high` is no text to search for.
            let finished =
                unfinished(&prompt.editor).and_then(|(from, to)| parse(&without(&text, from, to)).ok());
            finished.unwrap_or(filter)
        }
        Err(error) => {
            prompt.error = Some(error);
            prompt.before.clone()
        }
    };
    set(model, found)
}

/// The bytes of a word at the end that a key begins with.
fn unfinished(editor: &Editor) -> Option<(usize, usize)> {
    let (before, after) = editor.halves();
    let word = editor.word().trim_start_matches(['-', '!']);
    let begins = |names: &&str| names.len() > word.len() && names.starts_with(word);
    (after.is_empty() && word.len() >= 2 && KEYS.iter().flat_map(|k| k.names).any(begins))
        .then(|| (before.len() - word.len(), before.len()))
}

/// A text without the terms that hold these bytes.
fn without(text: &str, from: usize, to: usize) -> String {
    let start = text.get(..from).and_then(|t| t.rfind(char::is_whitespace)).map_or(0, |i| i + 1);
    let rest = text.get(to..).unwrap_or_default();
    let end = rest.find(char::is_whitespace).map_or(text.len(), |i| to + i);
    format!("{}{}", text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default())
}

fn set(model: &mut Model, filter: Filter) -> Vec<Effect> {
    match model.panes.get_mut(model.current) {
        Some(pane) => pane.set_filter(filter, &mut model.shared),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_term_is_left_out_whole() {
        assert_eq!(without("ns:a -seve obj:b", 6, 10), "ns:a  obj:b");
        assert_eq!(without("seve", 0, 4), "");
        assert_eq!(without("ns:a typ", 5, 8), "ns:a ");
    }

    #[test]
    fn the_beginning_of_a_key_is_not_searched_for() {
        assert_eq!(unfinished(&Editor::new("ns:a sev")), Some((5, 8)));
        assert_eq!(unfinished(&Editor::new("ns:a sevr")), None);
        assert_eq!(unfinished(&Editor::new("-lab")), Some((1, 4)));
        assert_eq!(unfinished(&Editor::new("nod ")), None);
    }
}

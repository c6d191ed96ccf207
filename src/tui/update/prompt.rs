//! The filter being written: in force as soon as it can be read; while it cannot, the previous result stays.

use crossterm::event::KeyCode;

use crate::{
    event::filter::{Filter, KEYS},
    tui::{
        effect::Effect,
        keymap::Chord,
        model::{Level, Model, Prompt},
        widgets::editor::Editor,
    },
};

/// Filters kept for ↑.
const HISTORY: usize = 50;

/// Opens it over the filter in force.
pub fn open(model: &mut Model) -> Vec<Effect> {
    let filter = model.panes.get(model.current).and_then(|p| p.filter()).cloned();
    match filter {
        Some(before) => {
            let mut editor = Editor::new(before.source());
            if !before.is_empty() {
                editor.insert(" ");
            }
            model.prompt = Some(Prompt { editor, before, error: None, history: None });
        }
        None => model.shared.say(Level::Bad, "this screen has no filter"),
    }
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
            model.prompt = None;
            if !text.is_empty() {
                model.shared.filters.retain(|f| *f != text);
                model.shared.filters.push(text);
                let spare = model.shared.filters.len().saturating_sub(HISTORY);
                model.shared.filters.drain(..spare);
            }
            return Vec::new();
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
    if word.is_empty() || word.contains(':') {
        return;
    }
    let sign_len = editor.word().len() - word.len();
    let sign = editor.word().get(..sign_len).unwrap_or_default().to_owned();
    let names = KEYS.iter().flat_map(|k| k.names);
    if let Some(name) = names.into_iter().find(|n| n.starts_with(word)) {
        let word = format!("{sign}{name}:");
        editor.complete(&word);
    }
}

fn apply(model: &mut Model) -> Vec<Effect> {
    let Some(prompt) = model.prompt.as_mut() else { return Vec::new() };
    match Filter::parse(&prompt.editor.text(), &model.shared.tz) {
        Ok(filter) => {
            prompt.error = None;
            set(model, filter)
        }
        Err(error) => {
            prompt.error = Some(error);
            Vec::new()
        }
    }
}

fn set(model: &mut Model, filter: Filter) -> Vec<Effect> {
    match model.panes.get_mut(model.current) {
        Some(pane) => pane.set_filter(filter, &mut model.shared),
        None => Vec::new(),
    }
}

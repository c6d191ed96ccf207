//! The mouse, where a person asked for it: the wheel moves, a click chooses a tab or a row.

use crossterm::event::KeyCode;

use super::keys;
use crate::tui::{action::Action, effect::Effect, keymap::Chord, model::Model, panes::PANES, view};

/// Rows of one notch.
const NOTCH: usize = 3;

/// Moves in whatever is open, whichever keys do that: what lies over the screen knows the arrows, and a filter that is
/// being written has nothing to move in.
pub fn wheel(model: &mut Model, down: bool) -> Vec<Effect> {
    // A question waits for a key: to turn the wheel is no answer.
    let asks = model.overlays.last().is_some_and(|o| o.says_all_in_its_keys());
    if asks || model.prompt.is_some() || model.shared.is_too_small() {
        return Vec::new();
    }
    (model.chosen, model.left_at) = (true, None);
    let mut effects = Vec::new();
    for _ in 0..NOTCH {
        effects.extend(if model.overlays.is_empty() {
            keys::act(model, if down { Action::Down } else { Action::Up })
        } else {
            keys::key(model, Chord::plain(if down { KeyCode::Down } else { KeyCode::Up }))
        });
    }
    effects
}

/// A tab shows its screen; a row is walked to.
pub fn click(model: &mut Model, column: u16, line: u16) -> Vec<Effect> {
    if !model.overlays.is_empty() || model.prompt.is_some() || model.shared.is_too_small() {
        return Vec::new();
    }
    model.chosen = true;
    if line == 1 && !model.shared.zoom {
        let tab = view::header::tab_at(model, column).and_then(|i| PANES.get(i));
        return tab.map_or_else(Vec::new, |def| keys::act(model, def.show));
    }
    let Some(steps) = model.panes.get(model.current).and_then(|p| p.steps_to(line)) else {
        return Vec::new();
    };
    let action = if steps < 0 { Action::Up } else { Action::Down };
    let mut effects = Vec::new();
    for _ in 0..steps.unsigned_abs() {
        effects.extend(keys::act(model, action));
    }
    effects
}

//! The mouse, where a person asked for it: the wheel moves, a click chooses a tab or a row.

use super::keys;
use crate::tui::{action::Action, effect::Effect, keymap::Chord, model::Model, panes::PANES, view};

/// Rows of one notch.
const NOTCH: usize = 3;

/// As the keys of moving, so that it works in whatever is open.
pub fn wheel(model: &mut Model, down: bool) -> Vec<Effect> {
    let action = if down { Action::Down } else { Action::Up };
    let chord: Option<Chord> = model.shared.keymap.chords(action).iter().rev().copied().next();
    let mut effects = Vec::new();
    for chord in std::iter::repeat_n(chord, NOTCH).flatten() {
        effects.extend(keys::key(model, chord));
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

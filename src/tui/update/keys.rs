//! Who gets a key: the topmost overlay, the filter being written, else the screen.

use super::{global, prompt};
use crate::tui::{
    action::Action,
    effect::Effect,
    keymap::Chord,
    model::{Level, Model},
    options::Exit,
    panes::PANES,
};

/// Ctrl-c twice within this time quits.
const TWICE_SECS: i64 = 3;

pub fn key(model: &mut Model, chord: Chord) -> Vec<Effect> {
    model.chosen = true;
    model.left_at = None;
    let own = PANES.get(model.current).map_or(&[][..], |p| p.bindings);
    let action = model.shared.keymap.action(chord, own);
    if action != Some(Action::Interrupt) {
        model.shared.interrupted = None;
    }
    // These work wherever one is.
    match action {
        Some(Action::Interrupt) => return interrupt(model),
        Some(Action::Suspend) => return vec![Effect::Suspend],
        Some(Action::Redraw) => return vec![Effect::Redraw],
        _ => {}
    }
    if model.shared.is_too_small() && !model.overlays.last().is_some_and(|o| o.says_all_in_its_keys()) {
        // What cannot be seen is not touched: a key would switch, send or delete something behind the notice.
        return match action {
            Some(action @ (Action::Close | Action::Quit)) => global::act(model, action).unwrap_or_default(),
            _ => Vec::new(),
        };
    }
    if let Some(overlay) = model.overlays.last_mut() {
        let turn = overlay.key(chord, &mut model.shared);
        let mut effects = turn.effects;
        if turn.close {
            model.overlays.pop();
        }
        if turn.reread {
            effects.extend(global::reread(model));
        }
        if let Some(action) = turn.action {
            effects.extend(act(model, action));
        }
        return effects;
    }
    if model.prompt.is_some() {
        return prompt::key(model, chord);
    }
    let Some(action) = action else {
        let help = model.shared.keymap.shown(Action::Help);
        model.shared.say(Level::Bad, format!("{chord} does nothing here; {help} shows the keys"));
        return Vec::new();
    };
    act(model, action)
}

/// Pasted text goes to a field alone: a pasted `q` or line break is never a key.
pub fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if model.shared.is_too_small() {
        return Vec::new();
    }
    if let Some(overlay) = model.overlays.last_mut() {
        overlay.paste(text);
        return Vec::new();
    }
    if model.prompt.is_some() {
        return prompt::paste(model, text);
    }
    model.shared.say(Level::Bad, "pasted text goes into a field: / opens the filter");
    Vec::new()
}

/// An action of the keymap or the palette.
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(effects) = global::act(model, action) {
        return effects;
    }
    match model.panes.get_mut(model.current) {
        Some(pane) => pane.act(action, &mut model.shared),
        None => Vec::new(),
    }
}

fn interrupt(model: &mut Model) -> Vec<Effect> {
    let now = model.shared.now;
    let again = model.shared.interrupted.is_some_and(|at| now.as_second() - at.as_second() <= TWICE_SECS);
    if again {
        return vec![Effect::Quit(Exit::Now)];
    }
    model.shared.interrupted = Some(now);
    model.shared.say(Level::Bad, "ctrl-c again quits at once");
    // It asks as every other key that quits; over a question it adds none.
    if model.overlays.last().is_some_and(|o| o.says_all_in_its_keys()) {
        return Vec::new();
    }
    global::act(model, Action::Quit).unwrap_or_default()
}

//! The palette: runs anything by its name, found by a part of it or a word of what it does.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::tui::{
    action::Action,
    keymap::{Binding, Chord, GLOBAL, PALETTE_ONLY},
    model::Shared,
    panes::PANES,
    text,
    widgets::{editor::Editor, paint},
};

/// Its state.
pub struct Palette {
    pane: usize,
    editor: Editor,
    at: usize,
}

impl Palette {
    /// Over the screen with this place in `PANES`.
    pub fn new(pane: usize) -> Self {
        Self { pane, editor: Editor::default(), at: 0 }
    }

    /// What can be run here, the best match first.
    fn found(&self) -> Vec<&'static Binding> {
        let own = PANES.get(self.pane).map_or(&[][..], |p| p.bindings);
        let all = own.iter().chain(PALETTE_ONLY).chain(GLOBAL).filter(|b| {
            !matches!(
                b.action,
                Action::Palette | Action::Interrupt | Action::MoreKeys | Action::Back | Action::Close
            )
        });
        let typed = self.editor.text();
        let typed = match typed.trim() {
            // As vim and k9s have it.
            "q" | "q!" | "wq" | "x" => "quit",
            other => other,
        };
        if typed.is_empty() {
            return all.collect();
        }
        let typed = typed.to_lowercase();
        let mut ranked: Vec<(u8, &Binding)> = all.filter_map(|b| Some((rank(b, &typed)?, b))).collect();
        ranked.sort_by_key(|(rank, b)| (*rank, b.action.name()));
        ranked.into_iter().map(|(_, b)| b).collect()
    }
}

/// How well a thing to do fits what was typed, the best 0; `None`: not at all. What runs at a key must be what was
/// meant: letters that merely occur in this order somewhere are no match.
fn rank(binding: &Binding, typed: &str) -> Option<u8> {
    let name = binding.action.name();
    let words = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect::<Vec<_>>();
        words.retain(|w| !w.is_empty());
        words
    };
    let wanted = words(typed);
    let begins = |text: &str| {
        let has = words(text);
        !wanted.is_empty() && wanted.iter().all(|w| has.iter().any(|h| h.starts_with(w)))
    };
    match () {
        () if name == typed => Some(0),
        () if name.starts_with(typed) => Some(1),
        () if begins(name) => Some(2),
        () if name.contains(typed) => Some(3),
        () if begins(binding.label) || begins(binding.help) => Some(4),
        () => None,
    }
}

impl Overlay for Palette {
    fn key(&mut self, chord: Chord, _: &mut Shared) -> Turn {
        match chord.code {
            KeyCode::Esc => return Turn::close(),
            KeyCode::Backspace if self.editor.is_empty() => return Turn::close(),
            KeyCode::Enter => {
                return match self.found().get(self.at) {
                    Some(binding) => Turn::run(binding.action),
                    None => Turn::stay(),
                };
            }
            KeyCode::Down | KeyCode::Tab => self.at += 1,
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            _ => {
                self.editor.key(chord);
                self.at = 0;
            }
        }
        self.at = self.at.min(self.found().len().saturating_sub(1));
        Turn::stay()
    }

    fn paste(&mut self, text: &str) {
        self.editor.insert(text);
    }

    fn keys(&self) -> String {
        "type a name · ↑ ↓ choose · ⏎ run · Esc closes".into()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let found = self.found();
        let height = (found.len() as u16 + 3).clamp(4, 16);
        let mut room = paint::centred(area, 76, height);
        room.y = area.y + 1.min(area.height.saturating_sub(height));
        let inside = paint::frame(frame.buffer_mut(), room, &format!(": {}▏", self.editor.text()), theme);
        if found.is_empty() {
            paint::pieces(frame.buffer_mut(), inside, 0, &[(" nothing has such a name", theme.warn)]);
        }
        let rows = usize::from(inside.height);
        let top = (self.at + 1).saturating_sub(rows);
        for (y, (i, b)) in found.iter().enumerate().skip(top).take(rows).enumerate() {
            let key = shared.keymap.shown(b.action);
            let (key, name) = (text::fit_right(&key, 8), text::fit(b.action.name(), 20));
            paint::pieces(
                frame.buffer_mut(),
                inside,
                y as u16,
                &[
                    (" ", Style::new()),
                    (&name, Style::new()),
                    (&key, theme.key),
                    ("  ", Style::new()),
                    (b.help, theme.dim),
                ],
            );
            if i == self.at {
                paint::select(frame.buffer_mut(), inside, y as u16, theme);
            }
        }
    }
}

//! The palette: runs anything by its name, found by a few of its letters.

use crossterm::event::KeyCode;
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};
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
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
        let mut buffer = Vec::new();
        let mut scored: Vec<(u32, &Binding)> = all
            .filter_map(|b| {
                let name = pattern.score(Utf32Str::new(b.action.name(), &mut buffer), &mut matcher);
                let help = pattern.score(Utf32Str::new(b.help, &mut buffer), &mut matcher);
                let exact = if b.action.name() == typed { 10_000 } else { 0 };
                // The name weighs more than what is said about it.
                Some((name.map(|s| s * 3).max(help)? + exact, b))
            })
            .collect();
        scored.sort_by_key(|(score, b)| (std::cmp::Reverse(*score), b.action.name()));
        scored.into_iter().map(|(_, b)| b).collect()
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

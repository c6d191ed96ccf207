//! A few words that stay until they are read: whatever is typed meanwhile does nothing.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::tui::{keymap::Chord, model::Shared, text, widgets::paint};

/// Its words.
pub struct Notice {
    title: String,
    text: String,
}

impl Notice {
    /// With these words.
    pub fn new(title: &str, text: &str) -> Self {
        Self { title: title.to_owned(), text: text.to_owned() }
    }
}

impl Overlay for Notice {
    fn key(&mut self, chord: Chord, _: &mut Shared) -> Turn {
        if matches!(chord.code, KeyCode::Esc | KeyCode::Enter) { Turn::close() } else { Turn::stay() }
    }

    fn keys(&self) -> String {
        "Esc or ⏎ closes".into()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let width = area.width.saturating_sub(6).min(70);
        let lines = text::wrap(&self.text, usize::from(width.saturating_sub(4)), 8);
        let room = paint::centred(area, width, lines.len() as u16 + 4);
        let inside = paint::frame(frame.buffer_mut(), room, &self.title, &shared.theme);
        for (i, line) in lines.iter().enumerate() {
            let plain = Style::new();
            paint::pieces(frame.buffer_mut(), inside, i as u16 + 1, &[(" ", plain), (line, plain)]);
        }
    }
}

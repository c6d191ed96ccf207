//! A question before something that cannot be taken back: another key than the one that asked says yes, any other no.

use ratatui::{Frame, layout::Rect};

use super::{Overlay, Turn};
use crate::tui::{effect::Effect, keymap::Chord, model::Shared, text, widgets::paint};

/// The question.
pub struct Confirm {
    title: String,
    text: String,
    yes: Chord,
    word: String,
    effects: Vec<Effect>,
}

impl Confirm {
    /// `yes` is the one key that agrees; `word` says what it does.
    pub fn new(title: &str, text: String, yes: &str, word: &str, effects: Vec<Effect>) -> Self {
        let yes = Chord::parse(yes).expect("the key of a question is one of ours");
        Self { title: title.into(), text, yes, word: word.into(), effects }
    }
}

impl Overlay for Confirm {
    fn key(&mut self, chord: Chord, _: &mut Shared) -> Turn {
        let effects = if chord == self.yes { std::mem::take(&mut self.effects) } else { Vec::new() };
        Turn { effects, ..Turn::close() }
    }

    fn says_all_in_its_keys(&self) -> bool {
        true
    }

    fn keys(&self) -> String {
        format!("{} {} · any other key: no", self.yes, self.word)
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let width = area.width.saturating_sub(6).min(70);
        let lines = text::wrap(&self.text, usize::from(width.saturating_sub(4)), 10);
        let room = paint::centred(area, width, lines.len() as u16 + 5);
        let inside = paint::frame(frame.buffer_mut(), room, &self.title, theme);
        let plain = ratatui::style::Style::new();
        for (i, line) in lines.iter().enumerate() {
            paint::pieces(frame.buffer_mut(), inside, i as u16 + 1, &[(" ", plain), (line, plain)]);
        }
        let yes = format!(" {} ", self.yes);
        let bottom = inside.height.saturating_sub(1);
        paint::pieces(
            frame.buffer_mut(),
            inside,
            bottom,
            &[(&yes, theme.key), (&self.word, plain), ("   any other key: no", theme.dim)],
        );
    }
}

//! The time range: how far back every list goes.

use crossterm::event::KeyCode;
use jiff::SignedDuration;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::tui::{keymap::Chord, model::Shared, text, widgets::paint};

/// The choices: key, seconds, words.
const CHOICES: &[(char, Option<i64>, &str)] = &[
    ('0', None, "everything that is stored"),
    ('1', Some(300), "the last 5 minutes"),
    ('2', Some(900), "the last 15 minutes"),
    ('3', Some(3600), "the last hour"),
    ('4', Some(6 * 3600), "the last 6 hours"),
    ('5', Some(24 * 3600), "the last 24 hours"),
    ('6', Some(7 * 86_400), "the last 7 days"),
];

/// In words, for the filter line.
pub fn words(range: SignedDuration) -> String {
    format!("last {}", text::span(range.as_secs()))
}

/// Its state.
pub struct Range {
    at: usize,
}

impl Range {
    /// Standing on what is in force.
    pub fn new(shared: &Shared) -> Self {
        let secs = shared.range.map(|r| r.as_secs());
        Self { at: CHOICES.iter().position(|(_, s, _)| *s == secs).unwrap_or(0) }
    }

    fn choose(&self, shared: &mut Shared) -> Turn {
        if let Some((_, secs, _)) = CHOICES.get(self.at) {
            shared.range = secs.map(SignedDuration::from_secs);
        }
        Turn::reread()
    }
}

impl Overlay for Range {
    fn key(&mut self, chord: Chord, shared: &mut Shared) -> Turn {
        match chord.code {
            KeyCode::Esc | KeyCode::Char('q' | 't') => Turn::close(),
            KeyCode::Down | KeyCode::Char('j') => {
                self.at = (self.at + 1).min(CHOICES.len() - 1);
                Turn::stay()
            }
            KeyCode::Up | KeyCode::Char('k') => {
                self.at = self.at.saturating_sub(1);
                Turn::stay()
            }
            KeyCode::Enter => self.choose(shared),
            KeyCode::Char(c) => match CHOICES.iter().position(|(k, _, _)| *k == c) {
                Some(at) => {
                    self.at = at;
                    self.choose(shared)
                }
                None => Turn::stay(),
            },
            _ => Turn::stay(),
        }
    }

    fn keys(&self) -> String {
        "0-6 or ⏎ choose · Esc closes · since: and until: in a filter take any time".into()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let room = paint::centred(area, 40, CHOICES.len() as u16 + 2);
        let inside = paint::frame(frame.buffer_mut(), room, "Time range", theme);
        for (i, (key, _, words)) in CHOICES.iter().enumerate() {
            let key = format!("  {key}  ");
            paint::pieces(frame.buffer_mut(), inside, i as u16, &[(&key, theme.key), (words, Style::new())]);
            if i == self.at {
                paint::select(frame.buffer_mut(), inside, i as u16, theme);
            }
        }
    }
}

//! The help: every key that is valid here, made from the tables; typing searches it.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::{
    event::filter::KEYS,
    tui::{
        keymap::{Chord, GLOBAL, PALETTE_ONLY},
        model::Shared,
        panes::PANES,
        text,
        widgets::{editor::Editor, paint},
    },
};

/// The help of one screen.
pub struct Help {
    pane: usize,
    search: Editor,
    scroll: usize,
}

impl Help {
    /// For the screen with this place in `PANES`.
    pub fn new(pane: usize) -> Self {
        Self { pane, search: Editor::default(), scroll: 0 }
    }

    /// Key, name and meaning, under headings (which have no key).
    fn lines(&self, shared: &Shared) -> Vec<(String, String, String)> {
        let mut out = Vec::new();
        let needle = self.search.text().to_lowercase();
        let passes = |parts: &[&str]| parts.iter().any(|p| p.to_lowercase().contains(&needle));
        let Some(pane) = PANES.get(self.pane) else { return out };
        let tables =
            [(pane.title.0, pane.bindings), ("Everywhere", GLOBAL), ("By name, with :", PALETTE_ONLY)];
        for (title, bindings) in tables {
            let at = out.len();
            for b in bindings {
                let keys: Vec<String> =
                    shared.keymap.chords(b.action).iter().map(ToString::to_string).collect();
                let keys = keys.join(" ");
                if passes(&[&keys, b.action.name(), b.help, b.label]) {
                    out.push((keys, b.action.name().to_owned(), b.help.to_owned()));
                }
            }
            if out.len() > at {
                out.insert(at, (String::new(), title.to_owned(), String::new()));
            }
        }
        let at = out.len();
        for key in KEYS {
            if passes(&[&key.names.join(" "), key.means, key.example, "filter"]) {
                out.push((key.names.join(" "), key.example.to_owned(), key.means.to_owned()));
            }
        }
        if out.len() > at {
            out.insert(at, (String::new(), "The filter language".to_owned(), String::new()));
        }
        out
    }
}

impl Overlay for Help {
    fn key(&mut self, chord: Chord, shared: &mut Shared) -> Turn {
        match chord.code {
            KeyCode::Esc if !self.search.is_empty() => self.search = Editor::default(),
            KeyCode::Esc | KeyCode::Enter => return Turn::close(),
            KeyCode::Char('q' | '?') if self.search.is_empty() => return Turn::close(),
            KeyCode::Down => self.scroll += 1,
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll += 10,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            _ => {
                self.search.key(chord);
                self.scroll = 0;
            }
        }
        shared.dirty = true;
        Turn::stay()
    }

    fn paste(&mut self, text: &str) {
        self.search.insert(text);
    }

    fn keys(&self) -> String {
        "type to search · ↑ ↓ scroll · Esc closes".into()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let room = paint::centred(area, 110.min(area.width), area.height);
        let title = format!("Keys · search: {}▏", self.search.text());
        let inside = paint::frame(frame.buffer_mut(), room, &title, theme);
        let lines = self.lines(shared);
        let height = usize::from(inside.height);
        self.scroll = self.scroll.min(lines.len().saturating_sub(height));
        if lines.is_empty() {
            paint::notice(
                frame.buffer_mut(),
                inside,
                ("nothing matches", theme.warn),
                &["Esc clears the search.".into()],
                theme,
            );
        }
        let (keys_width, name_width) = if inside.width >= 90 { (16, 24) } else { (12, 18) };
        for (y, (keys, name, help)) in lines.iter().skip(self.scroll).take(height).enumerate() {
            if help.is_empty() {
                paint::pieces(
                    frame.buffer_mut(),
                    inside,
                    y as u16,
                    &[(" ", theme.title), (name, theme.title)],
                );
                continue;
            }
            let keys = format!(" {} ", text::fit(keys, keys_width));
            let name = format!("{} ", text::fit(name, name_width));
            paint::pieces(
                frame.buffer_mut(),
                inside,
                y as u16,
                &[(&keys, theme.key), (&name, Style::new()), (help, theme.dim)],
            );
        }
        let below = lines.len().saturating_sub(self.scroll + height);
        if below > 0 {
            paint::right(
                frame.buffer_mut(),
                inside,
                inside.height - 1,
                (&format!(" +{below} lines ↓ "), theme.accent),
                0,
            );
        }
    }
}

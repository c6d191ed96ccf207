//! The help: every key that is valid here, made from the tables; typing searches it.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn, viewer};
use crate::{
    event::filter::KEYS,
    tui::{
        keymap::{Chord, GLOBAL, PALETTE_ONLY},
        model::Shared,
        panes::PANES,
        text,
        theme::Theme,
        widgets::{editor::Editor, paint},
    },
};

/// What stands in the columns without words: sign, where, meaning.
const SIGNS: &[(&str, &str, &str)] = &[
    ("✖ ! ▲ • ·", "severity", "critical, high, medium, low, info"),
    ("◒", "incident", "well at this moment; recovering once that has lasted, and over if it stays so"),
    ("✓", "incident, event", "over, or healthy again"),
    ("standing", "incident", "it was so when we first looked: shown, but nobody was told"),
    ("again (×2)", "incident", "broken for the second time; SINCE is this time's beginning"),
    ("✓ ↻ … ✖ –", "told", "delivered, tried again, waiting, given up (a dead letter), nobody was to be told"),
    ("untold", "told", "nobody was told: it was so when we first looked"),
    ("+2", "told", "two more than there is room for"),
    ("4/6 pods", "affected", "four of six wanted pods are not ready or in trouble"),
    ("23 pods", "affected", "pods with the trouble, or taken down; of a node that is lost, the pods on it"),
    ("svc/web, 1 svc", "affected", "one object has the trouble: this, or one of this kind"),
    ("2 objects", "affected", "so many objects have the trouble, and none is a pod"),
    ("itself", "affected", "only the object that the row names"),
    ("11 events, 31 times", "incident", "rows of the stream, and how often they happened in all"),
    (
        "SEEN",
        "event",
        "when it was seen last, by which the rows stand: a change of endpoints, or what has to last for a while, is seen \
         after it happened. The detail has both times; TIME, which o sorts by, is when it first happened",
    ),
    ("×5", "event", "five times: repeats within ten minutes are one row, at the time of the last"),
    ("×2k", "event", "two thousand times and more; the detail has the exact number"),
    ("late:", "event", "it happened while nobody watched; the detail says when"),
    ("● ▲ ○ ▮ ✖", "connector", "on, on but failing, off, paused, incomplete or stopped"),
    ("░", "chart", "not watched then"),
];

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
        let mut tables =
            vec![(pane.title.0, pane.bindings), ("Everywhere", GLOBAL), ("By name, with :", PALETTE_ONLY)];
        // Who searches may not know on which screen a key works.
        if !needle.is_empty() {
            tables.extend(
                PANES
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != self.pane)
                    .map(|(_, p)| (p.title.0, p.bindings)),
            );
        }
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
        for (keys, name, help) in viewer::KEYS {
            if passes(&[keys, name, help]) {
                out.push(((*keys).to_owned(), (*name).to_owned(), (*help).to_owned()));
            }
        }
        if out.len() > at {
            out.insert(at, (String::new(), "In a page of text".to_owned(), String::new()));
        }
        let at = out.len();
        for (sign, name, means) in SIGNS {
            if passes(&[sign, name, means, "signs"]) {
                out.push(((*sign).to_owned(), (*name).to_owned(), (*means).to_owned()));
            }
        }
        if out.len() > at {
            out.insert(at, (String::new(), "What the signs mean".to_owned(), String::new()));
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
        let esc = if self.search.is_empty() { "closes" } else { "clears the search" };
        format!("type to search · ↑ ↓ scroll · Esc {esc}")
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let room = paint::centred(area, 110.min(area.width), area.height);
        let title = format!("Keys · search: {}▏", self.search.text());
        let inside = paint::frame(frame.buffer_mut(), room, &title, theme);
        let entries = self.lines(shared);
        let lines = laid_out(&entries, inside.width.into(), theme);
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
        let rest = lines.get(self.scroll..).unwrap_or_default();
        paint::lines(frame.buffer_mut(), inside, rest, " ↓", theme);
    }
}

/// The entries as lines: no key, name or meaning is cut, what is long goes on below.
fn laid_out(entries: &[(String, String, String)], width: usize, theme: &Theme) -> Vec<Vec<(String, Style)>> {
    let (keys_width, name_width) = if width >= 90 { (18, 24) } else { (12, 18) };
    let mut out = Vec::new();
    for (keys, name, help) in entries {
        if help.is_empty() {
            out.push(vec![(format!(" {name}"), theme.title)]);
            continue;
        }
        let keys = text::wrap(keys, keys_width, 4);
        let names = text::wrap(name, name_width, 4);
        let helps = text::wrap(help, width.saturating_sub(keys_width + name_width + 4).max(1), 8);
        for i in 0..keys.len().max(names.len()).max(helps.len()) {
            let part = |parts: &[String], cells| text::fit(parts.get(i).map_or("", String::as_str), cells);
            out.push(vec![
                (format!(" {} ", part(&keys, keys_width)), theme.key),
                (format!("{} ", part(&names, name_width)), Style::new()),
                (helps.get(i).cloned().unwrap_or_default(), theme.dim),
            ]);
        }
    }
    out
}

//! The scope: clusters × namespaces. Space marks several, Enter takes one.

use std::collections::BTreeSet;

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::tui::{
    action::Action,
    keymap::Chord,
    model::Shared,
    msg::Answer,
    query::Scope,
    widgets::{cursor::Cursor, editor::Editor, paint},
};

/// Its state.
pub struct ScopePicker {
    scope: Scope,
    /// Cluster and namespace; an empty namespace stands for the cluster's row.
    known: Vec<(String, String)>,
    read: bool,
    search: Editor,
    cursor: Cursor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Row {
    Cluster(String),
    Namespace(String),
}

impl ScopePicker {
    /// Starting from what is in force.
    pub fn new(shared: &Shared) -> Self {
        Self {
            scope: shared.scope.clone(),
            known: Vec::new(),
            read: false,
            search: Editor::default(),
            cursor: Cursor::default(),
        }
    }

    /// Clusters (where there are several), then namespaces; those that are marked but not known stay visible.
    fn rows(&self) -> Vec<Row> {
        let needle = self.search.text().to_lowercase();
        let mut clusters: BTreeSet<&str> = self.known.iter().map(|(c, _)| c.as_str()).collect();
        clusters.extend(self.scope.clusters.iter().map(String::as_str));
        let chosen = |c: &str| self.scope.clusters.is_empty() || self.scope.clusters.contains(c);
        let mut namespaces: BTreeSet<&str> =
            self.known.iter().filter(|(c, _)| chosen(c)).map(|(_, n)| n.as_str()).collect();
        namespaces.extend(self.scope.namespaces.iter().map(String::as_str));
        namespaces.insert("-");
        let several = clusters.len() > 1;
        let clusters = clusters.into_iter().filter(|_| several).map(|c| Row::Cluster(c.to_owned()));
        let namespaces =
            namespaces.into_iter().filter(|n| !n.is_empty()).map(|n| Row::Namespace(n.to_owned()));
        clusters.chain(namespaces).filter(|r| r.name().to_lowercase().contains(&needle)).collect()
    }

    fn toggle(&mut self, row: &Row) {
        let set = match row {
            Row::Cluster(_) => &mut self.scope.clusters,
            Row::Namespace(_) => &mut self.scope.namespaces,
        };
        if !set.remove(row.name()) {
            set.insert(row.name().to_owned());
        }
    }
}

impl Row {
    fn name(&self) -> &str {
        match self {
            Row::Cluster(name) | Row::Namespace(name) => name,
        }
    }
}

impl Overlay for ScopePicker {
    fn key(&mut self, chord: Chord, shared: &mut Shared) -> Turn {
        let rows = self.rows();
        let row = rows.get(self.cursor.at).cloned();
        match chord.code {
            KeyCode::Esc if !self.search.is_empty() => self.search = Editor::default(),
            KeyCode::Esc => return Turn::close(),
            KeyCode::Char(' ') => {
                if let Some(row) = row {
                    self.toggle(&row);
                }
            }
            KeyCode::Enter => {
                // With nothing marked, Enter takes the row under the cursor.
                if let Some(row) = row.filter(|_| self.scope == shared.scope) {
                    self.scope = Scope::default();
                    self.toggle(&row);
                }
                shared.scope = std::mem::take(&mut self.scope);
                return Turn::reread();
            }
            KeyCode::Down => {
                self.cursor.act(Action::Down, rows.len());
            }
            KeyCode::Up => {
                self.cursor.act(Action::Up, rows.len());
            }
            KeyCode::PageDown => {
                self.cursor.act(Action::PageDown, rows.len());
            }
            KeyCode::PageUp => {
                self.cursor.act(Action::PageUp, rows.len());
            }
            _ => {
                self.search.key(chord);
                self.cursor = Cursor::default();
            }
        }
        Turn::stay()
    }

    fn paste(&mut self, text: &str) {
        self.search.insert(text);
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) {
        if let Answer::Scopes(known) = answer {
            self.known = std::mem::take(known);
            self.read = true;
            shared.dirty = true;
        }
    }

    fn keys(&self) -> String {
        "type to search · space marks · ⏎ takes · Esc closes · 0 on a screen: all".into()
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let rows = self.rows();
        let height = (rows.len() as u16 + 3).clamp(6, area.height.saturating_sub(2).max(6));
        let room = paint::centred(area, 56, height);
        let title = format!("Scope · {} · search: {}▏", self.scope.words(), self.search.text());
        let inside = paint::frame(frame.buffer_mut(), room, &title, theme);
        if rows.is_empty() {
            let line = if self.read { "no such cluster or namespace" } else { "reading the store …" };
            paint::pieces(frame.buffer_mut(), inside, 0, &[(" ", theme.dim), (line, theme.dim)]);
        }
        for (y, i) in self.cursor.visible(rows.len(), inside.height.into()).enumerate() {
            let Some(row) = rows.get(i) else { break };
            let (marked, word) = match row {
                Row::Cluster(name) => (self.scope.clusters.contains(name), "cluster   "),
                Row::Namespace(name) => (self.scope.namespaces.contains(name), "namespace "),
            };
            let mark = if marked { " [x] " } else { " [ ] " };
            let name = if row.name() == "-" { "-  (cluster-scoped)" } else { row.name() };
            paint::pieces(
                frame.buffer_mut(),
                inside,
                y as u16,
                &[(mark, theme.key), (word, theme.dim), (name, Style::new())],
            );
            if i == self.cursor.at {
                paint::select(frame.buffer_mut(), inside, y as u16, theme);
            }
        }
    }
}

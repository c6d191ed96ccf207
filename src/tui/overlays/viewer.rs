//! A page of text: a description, a manifest, the log, the messages. Searchable, never interpreted.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::{
    event::ObjectRef,
    feed,
    tui::{
        action::Action,
        effect::{About, Effect},
        keymap::{Chord, GLOBAL},
        model::Shared,
        msg::Answer,
        text,
        widgets::{editor::Editor, paint},
    },
};

/// The longest line that is drawn, in characters.
const LONGEST: usize = 8_192;

/// Its state.
pub struct Viewer {
    title: String,
    lines: Vec<String>,
    top: usize,
    left: usize,
    height: usize,
    search: Option<Editor>,
    needle: String,
    /// It shows the log and takes its answer.
    logs: bool,
    /// It shows a manifest, with colours for its keys.
    keys: bool,
    /// It waits for what the engine fetches.
    waits: bool,
}

/// The manifest of an object: asked for, and shown when it is here.
pub fn manifest(cluster: &str, object: &ObjectRef) -> Effect {
    let title = format!("{} · manifest", text::object(object));
    Effect::Act {
        action: feed::Action::Manifest {
            cluster: cluster.to_owned(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        },
        about: About::Manifest(title),
    }
}

impl Viewer {
    /// With its text.
    pub fn new(title: &str, lines: Vec<String>) -> Self {
        Self {
            title: title.to_owned(),
            lines,
            top: 0,
            left: 0,
            height: 0,
            search: None,
            needle: String::new(),
            logs: false,
            keys: false,
            waits: false,
        }
    }

    /// Waiting for a manifest.
    pub fn waiting(title: &str) -> Self {
        let lines = vec!["fetching from the cluster …".to_owned()];
        Self { waits: true, keys: true, ..Self::new(title, lines) }
    }

    /// The log file; its end is asked for beside.
    pub fn logs() -> Self {
        Self { logs: true, ..Self::new("log of this process", vec!["reading …".to_owned()]) }
    }

    fn scroll_to(&mut self, forward: bool) {
        if self.needle.is_empty() {
            return;
        }
        let needle = self.needle.to_lowercase();
        let hit = |i: &usize| self.lines.get(*i).is_some_and(|l| l.to_lowercase().contains(&needle));
        let found = if forward {
            (self.top + 1..self.lines.len()).chain(0..=self.top).find(hit)
        } else {
            (0..self.top).rev().chain((self.top..self.lines.len()).rev()).find(hit)
        };
        if let Some(found) = found {
            self.top = found;
        }
    }

    fn writing(&mut self, chord: Chord) -> Turn {
        let Some(editor) = self.search.as_mut() else { return Turn::stay() };
        match chord.code {
            KeyCode::Esc => self.search = None,
            KeyCode::Enter => {
                self.needle = editor.text();
                self.search = None;
                self.scroll_to(true);
            }
            _ => {
                editor.key(chord);
            }
        }
        Turn::stay()
    }
}

impl Overlay for Viewer {
    fn key(&mut self, chord: Chord, shared: &mut Shared) -> Turn {
        if self.search.is_some() {
            return self.writing(chord);
        }
        // The keys of moving are those of the screens, remapped or not.
        let page = self.height.max(1);
        match shared.keymap.action(chord, GLOBAL) {
            Some(Action::Down) => self.top += 1,
            Some(Action::Up) => self.top = self.top.saturating_sub(1),
            Some(Action::HalfDown) => self.top += page / 2,
            Some(Action::HalfUp) => self.top = self.top.saturating_sub(page / 2),
            Some(Action::PageDown) => self.top += page,
            Some(Action::PageUp) => self.top = self.top.saturating_sub(page),
            Some(Action::Top) => self.top = 0,
            Some(Action::Bottom) => self.top = usize::MAX / 2,
            Some(Action::Filter) => self.search = Some(Editor::default()),
            Some(Action::Close | Action::Back) => return Turn::close(),
            Some(Action::Refresh) if self.logs => {
                return Turn {
                    effects: vec![Effect::Query(crate::tui::effect::Query::Logs)],
                    ..Turn::stay()
                };
            }
            _ => match chord.code {
                KeyCode::Char('n') => self.scroll_to(true),
                KeyCode::Char('N') => self.scroll_to(false),
                KeyCode::Char('l') | KeyCode::Right => self.left += 8,
                KeyCode::Char('h') | KeyCode::Left => self.left = self.left.saturating_sub(8),
                KeyCode::Char('c') => {
                    return Turn { effects: vec![Effect::Copy(self.lines.join("\n"))], ..Turn::stay() };
                }
                _ => {}
            },
        }
        Turn::stay()
    }

    fn paste(&mut self, text: &str) {
        if let Some(editor) = &mut self.search {
            editor.insert(text);
        }
    }

    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) {
        if let (true, Answer::Logs(lines)) = (self.logs, answer) {
            self.lines = std::mem::take(lines);
            self.top = usize::MAX / 2;
            shared.dirty = true;
        }
    }

    fn page(&mut self, title: &str, text: &Result<String, String>) -> bool {
        if !self.waits || self.title != title {
            return false;
        }
        self.waits = false;
        self.lines = match text {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(why) => vec!["It could not be fetched:".to_owned(), why.clone()],
        };
        true
    }

    fn keys(&self) -> String {
        match &self.search {
            Some(_) => "⏎ search · Esc leaves the search".into(),
            None => "j k h l move · / search · n N next · c copy all · Esc closes".into(),
        }
    }

    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let title = match &self.search {
            Some(editor) => format!("{} · search: {}▏", self.title, editor.text()),
            None => self.title.clone(),
        };
        let inside = paint::frame(frame.buffer_mut(), area, &title, theme);
        self.height = inside.height.into();
        self.top = self.top.min(self.lines.len().saturating_sub(self.height));
        let needle = self.needle.to_lowercase();
        for (y, line) in self.lines.iter().skip(self.top).take(self.height).enumerate() {
            let shown: String = line.chars().take(LONGEST).skip(self.left).collect();
            let found = !needle.is_empty() && line.to_lowercase().contains(&needle);
            if found {
                paint::pieces(
                    frame.buffer_mut(),
                    inside,
                    y as u16,
                    &[(" ", theme.found), (&shown, theme.found)],
                );
                continue;
            }
            let split = if self.keys && self.left == 0 { yaml_key(&shown) } else { 0 };
            let (key, rest) = shown.split_at_checked(split).unwrap_or(("", &shown));
            paint::pieces(
                frame.buffer_mut(),
                inside,
                y as u16,
                &[(" ", Style::new()), (key, theme.key), (rest, Style::new())],
            );
        }
        let last = (self.top + self.height).min(self.lines.len());
        let place = format!(" {}–{last} of {} ", self.top + 1, self.lines.len());
        let bottom = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            x: area.x + 2,
            width: area.width.saturating_sub(4),
        };
        paint::right(frame.buffer_mut(), bottom, 0, (&place, theme.dim), 0);
    }
}

/// Where the key of a line of YAML ends.
fn yaml_key(line: &str) -> usize {
    let start = line.find(|c: char| c != ' ' && c != '-').unwrap_or(0);
    let key_like = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '"');
    match line.find(':') {
        Some(colon) if line.get(start..colon).is_some_and(|k| !k.is_empty() && k.chars().all(key_like)) => {
            colon + 1
        }
        _ => 0,
    }
}

//! A page of text: a description, a manifest, the log, the messages. Searchable, never interpreted.

use crossterm::event::KeyCode;
use ratatui::{Frame, layout::Rect, style::Style};

use super::{Overlay, Turn};
use crate::{
    event::{Kind, ObjectRef},
    feed,
    tui::{
        action::Action,
        effect::{About, Effect},
        keymap::{Chord, GLOBAL},
        model::{Level, Shared},
        msg::Answer,
        text,
        widgets::{editor::Editor, paint},
    },
};

/// The longest line that is drawn, in characters.
const LONGEST: usize = 8_192;

/// Its own keys, for the help: keys, name, meaning.
pub const KEYS: &[(&str, &str, &str)] = &[
    ("w", "wrap", "Wraps long lines, or cuts them at the edge"),
    ("h l", "left, right", "Where lines are cut: to what is left and right of the edge"),
    ("n N", "next, previous", "To the next and the previous place that the search (/) found"),
    ("c", "copy all", "Copies the whole page"),
];

/// A row of the screen: which line it belongs to, and its text.
type Row = (usize, String);

/// Its state.
pub struct Viewer {
    title: String,
    lines: Vec<String>,
    /// The lines as rows of the screen, for this width.
    rows: Vec<Row>,
    /// For which width the rows were made; `None`: they are to be made.
    made_for: Option<usize>,
    wrap: bool,
    /// The first row that is shown.
    top: usize,
    left: usize,
    height: usize,
    search: Option<Editor>,
    needle: String,
    /// It shows the log and takes its answer.
    logs: bool,
    /// It shows a manifest, with colours for its keys.
    keys: bool,
    /// It waits for what the engine fetches, under this number.
    waits: Option<u64>,
}

/// `Pod payments/web-1`, and in which cluster where there are several: what a page is about.
pub fn title(cluster: &str, object: &ObjectRef, shared: &Shared) -> String {
    let place = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    let known = shared.status.as_ref().map_or(0, |s| s.clusters.len()).max(shared.totals.clusters.len());
    let cluster = if known > 1 { format!(" · {cluster}") } else { String::new() };
    format!("{} {place}{}{cluster}", object.kind, object.name)
}

/// The manifest of an object: asked for, and shown when it is here.
pub fn manifest(cluster: &str, object: &ObjectRef, shared: &mut Shared) -> Vec<Effect> {
    if Kind::parse(&object.kind).is_none() {
        // A connector, or a cluster as a whole: incidents of ours.
        let text =
            format!("{} is no object of the cluster: 6 shows connectors, 8 clusters", text::object(object));
        shared.say(Level::Bad, text);
        return Vec::new();
    }
    let title = format!("{} · manifest", title(cluster, object, shared));
    shared.manifests += 1;
    vec![Effect::Act {
        action: feed::Action::Manifest {
            cluster: cluster.to_owned(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        },
        about: About::Manifest { title, number: shared.manifests },
    }]
}

impl Viewer {
    /// With its text.
    pub fn new(title: &str, lines: Vec<String>) -> Self {
        Self {
            title: title.to_owned(),
            lines,
            rows: Vec::new(),
            made_for: None,
            wrap: true,
            top: 0,
            left: 0,
            height: 0,
            search: None,
            needle: String::new(),
            logs: false,
            keys: false,
            waits: None,
        }
    }

    /// Waiting for a manifest.
    pub fn waiting(title: &str, number: u64) -> Self {
        let lines = vec!["fetching from the cluster …".to_owned()];
        Self { waits: Some(number), keys: true, ..Self::new(title, lines) }
    }

    /// The log file; its end is asked for beside.
    pub fn logs() -> Self {
        Self { logs: true, ..Self::new("log file", vec!["reading …".to_owned()]) }
    }

    /// The next or previous line that holds what was searched for.
    fn scroll_to(&mut self, forward: bool) {
        if self.needle.is_empty() {
            return;
        }
        let needle = self.needle.to_lowercase();
        let hit = |i: &usize| self.lines.get(*i).is_some_and(|l| l.to_lowercase().contains(&needle));
        let here = self.rows.get(self.top).map_or(0, |(line, _)| *line);
        let found = if forward {
            (here + 1..self.lines.len()).chain(0..=here).find(hit)
        } else {
            (0..here).rev().chain((here..self.lines.len()).rev()).find(hit)
        };
        if let Some(row) = found.and_then(|found| self.rows.iter().position(|(line, _)| *line == found)) {
            self.top = row;
        }
    }

    fn set(&mut self, lines: Vec<String>) {
        self.lines = lines;
        self.made_for = None;
    }

    /// The rows for this width; the line on top stays there.
    fn lay_out(&mut self, width: usize) {
        if self.made_for == Some(width) {
            return;
        }
        let first = self.rows.get(self.top).map(|(line, _)| *line);
        self.rows.clear();
        for (i, line) in self.lines.iter().enumerate() {
            let line: String = line.chars().take(LONGEST).collect();
            if !self.wrap || text::width(&line) <= width {
                self.rows.push((i, line));
                continue;
            }
            let words = line.trim_start_matches(' ');
            let indent = (line.len() - words.len()).min(width / 2);
            let parts = text::wrap(words, width.saturating_sub(indent + 2).max(8), LONGEST);
            for (part, words) in parts.into_iter().enumerate() {
                let indent = " ".repeat(if part == 0 { indent } else { indent + 2 });
                self.rows.push((i, format!("{indent}{words}")));
            }
        }
        self.made_for = Some(width);
        if let Some(first) = first.filter(|_| self.top < usize::MAX / 2) {
            self.top = self.rows.iter().position(|(line, _)| *line == first).unwrap_or(0);
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
                KeyCode::Char('w') => {
                    self.wrap = !self.wrap;
                    self.left = 0;
                    self.made_for = None;
                }
                KeyCode::Char('l') | KeyCode::Right if !self.wrap => self.left += 8,
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
            self.set(std::mem::take(lines));
            self.top = usize::MAX / 2;
            shared.dirty = true;
        }
    }

    fn page(&mut self, number: u64, text: &Result<String, String>) -> bool {
        if self.waits != Some(number) {
            return false;
        }
        self.waits = None;
        self.keys = text.is_ok();
        self.set(match text {
            Ok(text) => as_yaml(text).lines().map(str::to_owned).collect(),
            Err(why) => {
                vec![
                    "It could not be fetched:".to_owned(),
                    why.clone(),
                    String::new(),
                    "What was stored of it stands in d; 8 shows the cluster and the rights; y tries again."
                        .to_owned(),
                ]
            }
        });
        true
    }

    fn keys(&self) -> String {
        match &self.search {
            Some(_) => "⏎ search · Esc leaves the search".into(),
            None if self.wrap => {
                "j k move · / search · n N next · w cut lines · c copy all · Esc closes".into()
            }
            None => "j k h l move · / search · n N next · w wrap · c copy all · Esc closes".into(),
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
        self.lay_out(usize::from(inside.width).saturating_sub(2).max(1));
        self.top = self.top.min(self.rows.len().saturating_sub(self.height));
        let needle = self.needle.to_lowercase();
        for (y, (i, row)) in self.rows.iter().skip(self.top).take(self.height).enumerate() {
            let shown: String = row.chars().skip(self.left).collect();
            let line = self.lines.get(*i).map_or("", String::as_str);
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
        let last = (self.top + self.height).min(self.rows.len());
        let place = format!(" {}–{last} of {} ", (self.top + 1).min(last), self.rows.len());
        let bottom = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            x: area.x + 2,
            width: area.width.saturating_sub(4),
        };
        paint::right(frame.buffer_mut(), bottom, 0, (&place, theme.dim), 0);
    }
}

/// A manifest as people write it; what is no JSON stays as it is.
fn as_yaml(text: &str) -> String {
    let json = serde_json::from_str::<serde_json::Value>(text).ok();
    json.and_then(|json| serde_saphyr::to_string(&json).ok()).unwrap_or_else(|| text.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_shown_as_yaml() {
        let json = serde_json::json!({
            "kind": "Pod",
            "metadata": {"name": "web", "labels": {"app": "web", "on": "yes", "n": "1"}},
            "spec": {"containers": [{"name": "a", "args": ["--x", "a: b", "#c"], "ready": true, "port": 80}], "text": "one\ntwo\n", "none": null, "empty": {}},
        });
        let yaml = as_yaml(&json.to_string());
        assert!(yaml.contains("kind: Pod\n") && yaml.contains("  name: web\n"), "{yaml}");
        let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(back, json, "{yaml}");
        assert_eq!(as_yaml("kind: Pod\n"), "kind: Pod\n");
    }

    #[test]
    fn long_lines_are_wrapped_and_keep_their_indent() {
        let mut viewer = Viewer::new("t", vec!["  command: one two three four five".into(), "short".into()]);
        viewer.lay_out(20);
        let rows: Vec<&str> = viewer.rows.iter().map(|(_, r)| r.as_str()).collect();
        assert_eq!(rows, ["  command: one two", "    three four five", "short"]);
        viewer.wrap = false;
        viewer.made_for = None;
        viewer.lay_out(20);
        assert_eq!(viewer.rows.len(), 2);
    }
}

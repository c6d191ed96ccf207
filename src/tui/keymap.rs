//! Keys: chords and their text, the table of what is valid everywhere, and the map made from all tables and the
//! configuration. Help, footer and palette are made from the same tables.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{action::Action, panes::PANES};

/// One key press.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chord {
    /// The key; letters carry their case.
    pub code: KeyCode,
    /// Control or alt; shift only where the key does not show it.
    pub modifiers: KeyModifiers,
}

/// A row of a table of keys.
#[derive(Debug)]
pub struct Binding {
    /// What it does.
    pub action: Action,
    /// As a configuration would write them; the first is shown.
    pub keys: &'static [&'static str],
    /// A word or two for the footer.
    pub label: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
    /// Its place in the footer, smaller first; 0 = only in the help.
    pub footer: u8,
}

/// Shortens the tables.
pub const fn bind(
    action: Action,
    keys: &'static [&'static str],
    label: &'static str,
    help: &'static str,
    footer: u8,
) -> Binding {
    Binding { action, keys, label, help, footer }
}

use Action as A;

/// What holds on every screen.
pub const GLOBAL: &[Binding] = &[
    bind(A::Screen1, &["1"], "incidents", "What is broken now, and who was told", 0),
    bind(A::Screen2, &["2"], "stream", "Everything that happens, live", 0),
    bind(A::Screen6, &["6"], "connectors", "Who can be told: state, queue, test", 0),
    bind(A::Screen7, &["7"], "deliveries", "What was sent, and the dead letters", 0),
    bind(A::Screen8, &["8"], "health", "Clusters, streams, rights, memory, database", 0),
    bind(A::Down, &["j", "down"], "down", "One row down", 0),
    bind(A::Up, &["k", "up"], "up", "One row up", 0),
    bind(A::HalfDown, &["ctrl-d"], "½ down", "Half a page down", 0),
    bind(A::HalfUp, &["ctrl-u"], "½ up", "Half a page up", 0),
    bind(A::PageDown, &["pgdn"], "page down", "A page down", 0),
    bind(A::PageUp, &["pgup"], "page up", "A page up", 0),
    bind(A::Top, &["g", "home"], "newest", "To the first row; in the stream the newest, followed", 0),
    bind(A::Bottom, &["G", "end"], "oldest", "To the last row; in the stream the oldest that is kept", 0),
    bind(
        A::Back,
        &["esc"],
        "back",
        "Back: clears the filter first, then leads back to where one came from",
        0,
    ),
    bind(A::Close, &["q"], "quit", "Closes what is open; at the root asks whether to quit", 90),
    bind(A::Interrupt, &["ctrl-c"], "quit now", "Asks and quits; twice: quits at once", 0),
    bind(
        A::Filter,
        &["/"],
        "filter",
        "Filter with the one filter language (Tab completes keys, ↑ history)",
        70,
    ),
    bind(A::Scope, &["s"], "scope", "Choose clusters and namespaces", 0),
    bind(A::AllNamespaces, &["0"], "all", "All clusters and namespaces again", 0),
    bind(A::TimeRange, &["t"], "time", "Show only the last minutes, hours or days", 0),
    bind(A::AbsoluteTimes, &["T"], "dates", "Full dates and times instead of ages and clock times", 0),
    bind(A::Zoom, &["+"], "zoom", "One column over the whole screen, without borders", 0),
    bind(A::Refresh, &["r"], "refresh", "Reads the store again; tries clusters that are away at once", 0),
    bind(A::Relist, &["ctrl-r"], "re-list", "Asks the engine to list everything again", 0),
    bind(A::Palette, &[":"], "palette", "Runs anything by its name", 95),
    bind(A::Help, &["?"], "keys", "This help; type to search it", 99),
    bind(A::MoreKeys, &["."], "more", "More keys in the last line", 98),
    bind(
        A::Mouse,
        &["ctrl-o"],
        "mouse",
        "Takes the mouse (wheel and click), or gives it back to the terminal",
        0,
    ),
    bind(A::Suspend, &["ctrl-z"], "suspend", "Suspends; `fg` resumes", 0),
    bind(A::Redraw, &["ctrl-l"], "redraw", "Draws everything anew", 0),
];

/// What only the palette runs; a configuration may give it keys.
pub const PALETTE_ONLY: &[Binding] = &[
    bind(A::Quit, &[], "quit", "Quits; asks where connectors would stop", 0),
    bind(A::Reread, &[], "read again", "Reads the store again, without asking any cluster", 0),
    bind(A::Messages, &[], "messages", "Every message of this session", 0),
    bind(A::Logs, &[], "logs", "The log file of this process", 0),
    bind(A::ThemeDark, &[], "dark theme", "Colours for a dark background", 0),
    bind(A::ThemeLight, &[], "light theme", "Colours for a light background", 0),
    bind(A::ThemeMono, &[], "mono theme", "No colour at all", 0),
    bind(A::Reload, &[], "reload", "The engine reads its configuration again", 0),
    bind(A::TakeOver, &[], "take over", "Watch and deliver from here, when the engine beside is gone", 0),
];

/// A key of the configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such action.
    #[error("{name}: there is no such action{}", nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    Action {
        /// What was written.
        name: String,
        /// The nearest that exists.
        nearest: Option<&'static str>,
    },
    /// Not a key.
    #[error(
        "{action}: {key:?} is no key; write for instance \"x\", \"ctrl-x\", \"alt-x\", \"f5\", \"space\", \"enter\", \"pgdn\""
    )]
    Key {
        /// For which action.
        action: &'static str,
        /// What was written.
        key: String,
    },
    /// Two actions on one key.
    #[error(
        "key {key:?} on screen {screen} would do both {first:?} and {second:?}: give one of them another key"
    )]
    Conflict {
        /// The key.
        key: String,
        /// Where.
        screen: &'static str,
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

/// The keys in force.
#[derive(Debug, Clone)]
pub struct Keymap {
    keys: BTreeMap<Action, Vec<Chord>>,
}

impl Keymap {
    /// The built-in keys, with those of the configuration in place of theirs.
    ///
    /// # Errors
    /// Every unknown action, unknown key and conflict at once.
    pub fn new(overrides: &BTreeMap<String, Vec<String>>) -> Result<Self, Vec<KeyError>> {
        let mut errors = Vec::new();
        let mut keys: BTreeMap<Action, Vec<Chord>> = BTreeMap::new();
        for binding in every_binding() {
            let chords = binding.keys.iter().filter_map(|k| Chord::parse(k));
            let list = keys.entry(binding.action).or_default();
            for chord in chords {
                if !list.contains(&chord) {
                    list.push(chord);
                }
            }
        }
        for (name, texts) in overrides {
            let Some(action) = Action::parse(name) else {
                errors.push(KeyError::Action { name: name.clone(), nearest: nearest(name) });
                continue;
            };
            let mut chords = Vec::new();
            for text in texts {
                match Chord::parse(text) {
                    Some(chord) => chords.push(chord),
                    None => errors.push(KeyError::Key { action: action.name(), key: text.clone() }),
                }
            }
            keys.insert(action, chords);
        }
        let map = Self { keys };
        for def in PANES {
            map.conflicts(def.name, def.bindings, &mut errors);
        }
        if errors.is_empty() { Ok(map) } else { Err(errors) }
    }

    fn conflicts(&self, screen: &'static str, pane: &[Binding], errors: &mut Vec<KeyError>) {
        let mut seen: Vec<(Chord, Action)> = Vec::new();
        for binding in pane.iter().chain(GLOBAL).chain(PALETTE_ONLY) {
            for chord in self.chords(binding.action) {
                match seen.iter().find(|(c, _)| c == chord) {
                    Some((_, first)) if *first != binding.action => {
                        let error = KeyError::Conflict {
                            key: chord.to_string(),
                            screen,
                            first: first.name(),
                            second: binding.action.name(),
                        };
                        if !errors.contains(&error) {
                            errors.push(error);
                        }
                    }
                    Some(_) => {}
                    None => seen.push((*chord, binding.action)),
                }
            }
        }
    }

    /// The keys of an action, the one to show first.
    pub fn chords(&self, action: Action) -> &[Chord] {
        self.keys.get(&action).map_or(&[], Vec::as_slice)
    }

    /// The key to show for an action; empty where it has none.
    pub fn shown(&self, action: Action) -> String {
        self.chords(action).first().map(ToString::to_string).unwrap_or_default()
    }

    /// What a key does on a screen with these bindings.
    pub fn action(&self, chord: Chord, pane: &[Binding]) -> Option<Action> {
        pane.iter()
            .chain(GLOBAL)
            .chain(PALETTE_ONLY)
            .map(|b| b.action)
            .find(|a| self.chords(*a).contains(&chord))
    }
}

/// Every table, panes first.
pub fn every_binding() -> impl Iterator<Item = &'static Binding> {
    PANES.iter().flat_map(|p| p.bindings).chain(GLOBAL).chain(PALETTE_ONLY)
}

fn nearest(name: &str) -> Option<&'static str> {
    Action::ALL
        .iter()
        .map(|a| (strsim::damerau_levenshtein(name, a.name()), a.name()))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name)
}

const NAMED: &[(&str, KeyCode)] = &[
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("del", KeyCode::Delete),
    ("ins", KeyCode::Insert),
    ("backspace", KeyCode::Backspace),
];

impl Chord {
    /// Without modifiers.
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, modifiers: KeyModifiers::NONE }
    }

    /// From the terminal's own event.
    pub fn of(key: KeyEvent) -> Self {
        // Letters and signs carry shift in themselves; terminals disagree on reporting it again.
        let keep = KeyModifiers::CONTROL | KeyModifiers::ALT;
        Self { code: key.code, modifiers: key.modifiers & keep }
    }

    /// `x`, `G`, `ctrl-d`, `alt-x`, `pgdn`, `f5`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut modifiers = KeyModifiers::NONE;
        loop {
            if let Some(after) = rest.strip_prefix("ctrl-").filter(|r| !r.is_empty()) {
                modifiers |= KeyModifiers::CONTROL;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("alt-").filter(|r| !r.is_empty()) {
                modifiers |= KeyModifiers::ALT;
                rest = after;
            } else {
                break;
            }
        }
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)) {
            return Some(Self { code: *code, modifiers });
        }
        let mut chars = rest.chars();
        let first = chars.next()?;
        if chars.as_str().is_empty() {
            return Some(Self { code: KeyCode::Char(first), modifiers });
        }
        let number = rest.strip_prefix(['f', 'F'])?.parse().ok().filter(|n| (1..=12).contains(n))?;
        Some(Self { code: KeyCode::F(number), modifiers })
    }
}

impl std::fmt::Display for Chord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        match self.code {
            KeyCode::Enter => f.write_str("⏎"),
            KeyCode::Up => f.write_str("↑"),
            KeyCode::Down => f.write_str("↓"),
            KeyCode::Left => f.write_str("←"),
            KeyCode::Right => f.write_str("→"),
            KeyCode::Esc => f.write_str("Esc"),
            KeyCode::Tab => f.write_str("Tab"),
            KeyCode::F(n) => write!(f, "F{n}"),
            KeyCode::Char(c) if c != ' ' => write!(f, "{c}"),
            code => f.write_str(NAMED.iter().find(|(_, c)| *c == code).map_or("?", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_key_parses_and_none_conflicts() {
        for binding in every_binding() {
            for key in binding.keys {
                assert!(Chord::parse(key).is_some(), "{key}");
            }
        }
        Keymap::new(&BTreeMap::new()).expect("no conflict");
    }

    #[test]
    fn a_remapped_key_works_and_mistakes_are_all_named() {
        let over = |list: &[(&str, &str)]| -> BTreeMap<String, Vec<String>> {
            list.iter().map(|(a, k)| ((*a).to_owned(), vec![(*k).to_owned()])).collect()
        };
        let map = Keymap::new(&over(&[("follow", "ctrl-f")])).unwrap();
        assert_eq!(map.action(Chord::parse("f").unwrap(), PANES[1].bindings), None);
        assert_eq!(map.action(Chord::parse("ctrl-f").unwrap(), PANES[1].bindings), Some(Action::Follow));
        let errors =
            Keymap::new(&over(&[("folow", "x"), ("filter", "hyper-x"), ("scope", "0")])).unwrap_err();
        assert!(errors.iter().any(|e| e.to_string().contains("did you mean \"follow\"")), "{errors:?}");
        assert!(errors.iter().any(|e| matches!(e, KeyError::Key { action: "filter", .. })));
        assert!(errors.iter().any(|e| e.to_string().contains("would do both")));
    }
}

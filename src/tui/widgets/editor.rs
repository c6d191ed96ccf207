//! A line of text being written: what every field is made of.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::tui::keymap::Chord;

/// The longest line that is taken, in characters.
const LONGEST: usize = 1_000;

/// The text and the place of the cursor in it.
#[derive(Debug, Clone, Default)]
pub struct Editor {
    before: String,
    after: String,
}

impl Editor {
    /// With text, the cursor at its end.
    pub fn new(text: &str) -> Self {
        Self { before: text.to_owned(), after: String::new() }
    }

    /// The whole text.
    pub fn text(&self) -> String {
        format!("{}{}", self.before, self.after)
    }

    /// The text before the cursor and after it.
    pub fn halves(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    /// Nothing is written.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Pasted text: line breaks become spaces and act as no key.
    pub fn insert(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.before.chars().count() + self.after.chars().count());
        // Terminals paste a line break as a carriage return, which cleaning would drop with the words joined.
        let text = text.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
        let clean = crate::event::sanitize::clean(&text);
        self.before.extend(clean.chars().take(room));
    }

    /// Replaces the word before the cursor.
    pub fn complete(&mut self, word: &str) {
        let keep = self.before.rfind(' ').map_or(0, |i| i + 1);
        self.before.truncate(keep);
        self.before.push_str(word);
    }

    /// The word before the cursor.
    pub fn word(&self) -> &str {
        self.before.rsplit(' ').next().unwrap_or_default()
    }

    /// Takes a key of writing; whether it was one.
    pub fn key(&mut self, chord: Chord) -> bool {
        let ctrl = chord.modifiers.contains(KeyModifiers::CONTROL);
        let alt = chord.modifiers.contains(KeyModifiers::ALT);
        match chord.code {
            KeyCode::Char(c) if !ctrl && !alt => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if !ctrl && !alt => {
                self.before.pop();
            }
            KeyCode::Delete => {
                self.after = self.after.chars().skip(1).collect();
            }
            KeyCode::Left => {
                if let Some(c) = self.before.pop() {
                    self.after.insert(0, c);
                }
            }
            KeyCode::Right => {
                let mut rest = self.after.chars();
                if let Some(c) = rest.next() {
                    self.before.push(c);
                    self.after = rest.collect();
                }
            }
            KeyCode::Home | KeyCode::Char('a') => self.after = std::mem::take(&mut self.before) + &self.after,
            KeyCode::End | KeyCode::Char('e') => self.before.push_str(&std::mem::take(&mut self.after)),
            KeyCode::Char('u') if ctrl => self.before.clear(),
            KeyCode::Char('k') if ctrl => self.after.clear(),
            KeyCode::Char('w') | KeyCode::Backspace => {
                let kept = self.before.trim_end().rfind(' ').map_or(0, |i| i + 1);
                self.before.truncate(kept);
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_pasting() {
        let mut editor = Editor::new("ns:a typ");
        assert_eq!(editor.word(), "typ");
        editor.complete("type:");
        editor.insert("pod_*\rq\x1b[A");
        assert_eq!(editor.text(), "ns:a type:pod_* q[A");
        assert!(editor.key(Chord::parse("ctrl-w").unwrap()));
        assert!(editor.key(Chord::parse("ctrl-a").unwrap()));
        assert!(editor.key(Chord::parse("del").unwrap()));
        assert_eq!(editor.text(), "s:a type:pod_* ");
        assert!(!editor.key(Chord::parse("enter").unwrap()));
    }
}

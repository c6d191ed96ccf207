//! What lies over a screen and takes its keys: help, palette, pickers, questions, pages of text.

pub mod confirm;
pub mod help;
pub mod notice;
pub mod palette;
pub mod range;
pub mod scope;
pub mod viewer;

use ratatui::{Frame, layout::Rect};

use super::{action::Action, effect::Effect, keymap::Chord, model::Shared, msg::Answer};

/// What comes of a key.
#[derive(Default)]
pub struct Turn {
    /// It is done, and goes.
    pub close: bool,
    /// Then the screen does this.
    pub action: Option<Action>,
    /// What it changed decides what is shown: all of it is read again.
    pub reread: bool,
    /// And this.
    pub effects: Vec<Effect>,
}

impl Turn {
    /// Nothing more.
    pub fn stay() -> Self {
        Self::default()
    }

    /// It goes.
    pub fn close() -> Self {
        Self { close: true, ..Self::default() }
    }

    /// It goes, and the screen does this.
    pub fn run(action: Action) -> Self {
        Self { close: true, action: Some(action), ..Self::default() }
    }

    /// It goes, and what is shown is another.
    pub fn reread() -> Self {
        Self { close: true, reread: true, ..Self::default() }
    }
}

/// One of them.
pub trait Overlay: Send {
    /// Takes a key.
    fn key(&mut self, chord: Chord, shared: &mut Shared) -> Turn;
    /// Takes pasted text; most have no field.
    fn paste(&mut self, text: &str) {
        let _ = text;
    }
    /// A worker's answer came.
    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) {
        let _ = (answer, shared);
    }
    /// A page that the engine made (a manifest); whether it was for this one.
    fn page(&mut self, number: u64, text: &Result<String, String>) -> bool {
        let _ = (number, text);
        false
    }
    /// Its line of keys alone is enough to answer it, where there is no room for more.
    fn says_all_in_its_keys(&self) -> bool {
        false
    }
    /// Its keys, for the last line.
    fn keys(&self) -> String;
    /// Draws it.
    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared);
}

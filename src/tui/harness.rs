//! The dashboard without a terminal: keys in, text out, the store read in place. For tests, measurements and
//! recordings; the update and the view are the real ones.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use tokio::sync::mpsc;

use super::{
    effect::Effect,
    keymap::{Chord, Keymap},
    model::Model,
    msg::Msg,
    options::{Exit, Options, Pages, Said},
    session::Session,
    source::Source,
    theme::Theme,
    update, view,
};
use crate::feed::{self, Feed, Reply};

/// A dashboard that is driven by hand.
pub struct Harness {
    model: Model,
    terminal: Terminal<TestBackend>,
    source: Source,
    inbox: mpsc::Receiver<Msg>,
    /// The time of the next message.
    pub now: Timestamp,
    /// What was asked of the engine, not answered yet.
    pub asked: Vec<feed::Action>,
    about: Vec<super::effect::About>,
    /// What was copied.
    pub copied: Vec<String>,
    /// Why it ended.
    pub exit: Option<Exit>,
    queries: usize,
    session_file: Option<PathBuf>,
    said: Said,
}

impl Harness {
    /// Over a store, at a size, in a theme.
    pub fn new(
        pages: &Arc<dyn Pages>,
        options: &Options,
        theme: Theme,
        size: (u16, u16),
        now: Timestamp,
    ) -> Self {
        let (answers, inbox) = mpsc::channel(1024);
        let log: Option<&PathBuf> = options.log_file.as_ref();
        let source = Source::start(pages, log, &answers).expect("threads can be started");
        let keymap = Keymap::new(&options.keys).expect("the keys do not conflict");
        let terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("a test backend never fails");
        let mut model = Model::new(options, keymap, theme, now);
        model.shared.size = size;
        let mut harness = Self {
            model,
            terminal,
            source,
            inbox,
            now,
            asked: Vec::new(),
            about: Vec::new(),
            copied: Vec::new(),
            exit: None,
            queries: 0,
            session_file: options.session_file.clone(),
            said: options.said.clone(),
        };
        if let Some(session) = options.session_file.as_deref().and_then(Session::load) {
            session.restore(&mut harness.model);
        }
        let effects = update::start(&mut harness.model);
        harness.run(effects);
        harness
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Query(query) => {
                    self.queries += 1;
                    if let Err(query) = self.source.ask(query) {
                        self.send(Msg::LeftOut(query));
                    }
                }
                Effect::Act { action, about } => {
                    self.asked.push(action);
                    self.about.push(about);
                }
                Effect::Copy(text) => {
                    self.copied.push(text.clone());
                    self.send(Msg::Copied(Ok(format!("copied: {text}"))));
                }
                Effect::Quit(exit) => self.exit = Some(exit),
                _ => {}
            }
        }
    }

    fn send(&mut self, msg: Msg) {
        let effects = update::update(&mut self.model, msg, self.now);
        self.run(effects);
    }

    /// Takes the workers' answers until nothing is asked any more.
    pub fn settle(&mut self) -> &mut Self {
        loop {
            let idle = self.source.is_idle();
            match self.inbox.try_recv() {
                Ok(msg) => self.send(msg),
                Err(_) if idle => return self,
                Err(_) => std::thread::sleep(std::time::Duration::from_micros(200)),
            }
        }
    }

    /// How many questions were put to the store so far.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// Takes the answers that are there, without waiting.
    pub fn poll(&mut self) -> &mut Self {
        while let Ok(msg) = self.inbox.try_recv() {
            self.send(msg);
        }
        self
    }

    /// Presses keys, written as in a configuration, with spaces between.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.split_whitespace() {
            let chord = Chord::parse(key).expect("a key");
            self.send(Msg::Key(chord));
            // As the loop does: each key is answered with a frame.
            self.draw();
        }
        self
    }

    /// Types a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.send(Msg::Key(Chord::plain(crossterm::event::KeyCode::Char(c))));
        }
        self
    }

    /// The wheel.
    pub fn wheel(&mut self, down: bool) -> &mut Self {
        self.send(Msg::Wheel { down });
        self.draw();
        self
    }

    /// The left button, on a cell.
    pub fn click(&mut self, column: u16, line: u16) -> &mut Self {
        self.draw();
        self.send(Msg::Click { column, line });
        self.draw();
        self
    }

    /// The end: the session is kept.
    pub fn leave(&mut self) -> &mut Self {
        self.said.keep(&self.model.shared.messages);
        if let Some(path) = &self.session_file {
            Session::of(&self.model).save(path).expect("a place for the session");
        }
        self
    }

    /// Pastes.
    pub fn paste(&mut self, text: &str) -> &mut Self {
        self.send(Msg::Paste(text.to_owned()));
        self
    }

    /// What the engine tells.
    pub fn feed(&mut self, items: Vec<Feed>) -> &mut Self {
        self.send(Msg::Feed(items));
        self
    }

    /// The engine ends.
    pub fn engine_gone(&mut self) -> &mut Self {
        self.send(Msg::EngineGone);
        self
    }

    /// A second passes.
    pub fn tick(&mut self) -> &mut Self {
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(1)).expect("not the end of time");
        self.send(Msg::Tick);
        self
    }

    /// The engine answers the oldest question.
    pub fn reply(&mut self, reply: Reply) -> &mut Self {
        if !self.about.is_empty() {
            let about = self.about.remove(0);
            self.asked.remove(0);
            self.send(Msg::Replied { about, reply });
        }
        self
    }

    /// Another size.
    pub fn resize(&mut self, width: u16, height: u16) -> &mut Self {
        self.terminal.backend_mut().resize(width, height);
        self.send(Msg::Resize(width, height));
        self
    }

    /// Whether something is to be drawn; drawing answers no until something changes.
    pub fn dirty(&self) -> bool {
        self.model.shared.dirty
    }

    /// Draws a frame.
    pub fn draw(&mut self) -> &Buffer {
        self.model.shared.dirty = false;
        let model = &mut self.model;
        self.terminal.draw(|frame| view::view(model, frame)).expect("a test backend never fails");
        self.terminal.backend().buffer()
    }

    /// A frame as text, without trailing spaces.
    pub fn screen(&mut self) -> String {
        let buffer = self.draw();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut x = 0;
            while x < buffer.area.width {
                let symbol = buffer.cell((x, y)).map_or(" ", |c| c.symbol());
                line.push_str(symbol);
                x += (unicode_width::UnicodeWidthStr::width(symbol) as u16).max(1);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

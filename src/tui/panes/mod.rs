//! The screens. A pane is one file here with its `DEF`, and a line in `PANES`: title, key, help and footer come from
//! that.

mod connectors;
mod connectors_view;
mod deliveries;
mod deliveries_view;
mod event_detail;
mod health;
mod incident_detail;
mod incidents;
mod incidents_view;
mod stream;
mod stream_view;

pub use event_detail::describe;
pub use incidents::told_state;

use ratatui::{Frame, layout::Rect};

use super::{action::Action, effect::Effect, keymap::Binding, model::Shared, msg::Answer};
use crate::{event::filter::Filter, feed::Feed};

/// Every screen. The numbers are fixed: what a later version adds takes the free ones.
pub const PANES: &[PaneDef] = &[incidents::DEF, stream::DEF, connectors::DEF, deliveries::DEF, health::DEF];

/// What is fixed about a screen.
#[derive(Debug)]
pub struct PaneDef {
    /// Its key.
    pub number: u8,
    /// For the palette and the configuration's errors.
    pub name: &'static str,
    /// In the line of tabs, wide and narrow.
    pub title: (&'static str, &'static str),
    /// The action that shows it.
    pub show: Action,
    /// Its own keys.
    pub bindings: &'static [Binding],
    /// Makes one.
    pub make: fn() -> Box<dyn Pane>,
}

/// One screen: its own state, and how it changes and looks.
pub trait Pane: Send {
    /// Behind the title: `(3)`, `(2!)`.
    fn badge(&self, shared: &Shared) -> String {
        let _ = shared;
        String::new()
    }
    /// It is shown now, or everything is to be read again (after a lag, a change of scope, a refresh).
    fn reload(&mut self, shared: &mut Shared) -> Vec<Effect>;
    /// A key.
    fn act(&mut self, action: Action, shared: &mut Shared) -> Vec<Effect>;
    /// Something was committed. Sets `shared.dirty` where that shows.
    fn feed(&mut self, item: &Feed, shared: &mut Shared) -> Vec<Effect> {
        let _ = (item, shared);
        Vec::new()
    }
    /// An answer of a worker.
    fn answer(&mut self, answer: &mut Answer, shared: &mut Shared) -> Vec<Effect> {
        let _ = (answer, shared);
        Vec::new()
    }
    /// Time has passed: what was put off is asked for.
    fn tick(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let _ = shared;
        Vec::new()
    }
    /// The filter in force; `None` where the screen has none.
    fn filter(&self) -> Option<&Filter> {
        None
    }
    /// Another filter.
    fn set_filter(&mut self, filter: Filter, shared: &mut Shared) -> Vec<Effect> {
        let _ = (filter, shared);
        Vec::new()
    }
    /// What stands right of the filter: how many of how many.
    fn count(&self, shared: &Shared) -> String {
        let _ = shared;
        String::new()
    }
    /// Draws it.
    fn view(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared);
}

/// The place of a screen in `PANES`, by its name.
pub fn index(name: &str) -> Option<usize> {
    PANES.iter().position(|p| p.name == name)
}

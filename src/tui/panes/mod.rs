//! The screens. A pane is one file here with its `DEF`, and a line in `PANES`: title, key, help and footer come from
//! that.

mod connectors;
mod connectors_view;
mod deliveries;
mod deliveries_view;
mod event_detail;
mod facets;
mod health;
mod incident_detail;
mod incident_news;
mod incident_next;
mod incident_order;
mod incident_rows;
mod incident_suspects;
mod incidents;
mod incidents_view;
mod sorted;
mod stream;
mod stream_places;
mod stream_view;
mod told;

pub use event_detail::{describe, shell};
pub use told::told_state;

use ratatui::{Frame, layout::Rect};
use serde::{Deserialize, Serialize};

use super::{
    action::Action,
    effect::{Effect, Query},
    keymap::Binding,
    model::Shared,
    msg::Answer,
};
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
    /// A question could not be answered, or not even be put.
    fn failed(&mut self, query: &Query, shared: &mut Shared) {
        let _ = (query, shared);
    }
    /// Somebody comes from another screen for something of this one: what was open here before is not what he wants.
    fn enter(&mut self) {}
    /// Another screen is shown: what would move the cursor is not waited for any more.
    fn leave(&mut self) {}
    /// Time has passed: what was put off is asked for.
    fn tick(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let _ = shared;
        Vec::new()
    }
    /// A second has passed and the screen is shown: what stands there is looked at again where it may have changed.
    fn refresh(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let _ = shared;
        Vec::new()
    }
    /// How many rows down (or, below 0, up) the row on a line of the screen is; `None` where none is.
    fn steps_to(&self, line: u16) -> Option<i32> {
        let _ = line;
        None
    }
    /// It shows counters of the engine's status, which change every second.
    fn shows_status(&self) -> bool {
        false
    }
    /// There is a row to do something with.
    fn has_row(&self) -> bool {
        true
    }
    /// What the next session is to find again.
    fn keep(&self) -> PaneState {
        PaneState {
            filter: self.filter().map(|f| f.source().to_owned()).unwrap_or_default(),
            ..PaneState::default()
        }
    }
    /// Takes up what an earlier session left; its filter was set already.
    fn take_up(&mut self, state: &PaneState) {
        let _ = state;
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

/// What of a screen outlives the session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PaneState {
    /// Its filter, as it was written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Warnings only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub warnings: bool,
    /// How it was sorted: the place in its own list of orders.
    pub order: u8,
    /// Sorted the other way round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
    /// Which columns.
    pub columns: u8,
    /// The selected row's id or name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selected: String,
}

/// The place of a screen in `PANES`, by its name.
pub fn index(name: &str) -> Option<usize> {
    PANES.iter().position(|p| p.name == name)
}

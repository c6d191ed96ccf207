//! What a session leaves for the next one: screen, scope, filters, columns, order, selection. A small file of the
//! state directory that only its owner can read; what cannot be read of it is as if it were not there.

use std::{collections::BTreeMap, io::Write, path::Path};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    model::Model,
    panes::{self, PANES, PaneState},
    query::Scope,
};
use crate::event::filter::Filter;

/// A session that is larger than this is not ours.
const LARGEST: u64 = 256 * 1024;
/// Earlier filters that are kept.
const FILTERS: usize = 50;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// When it was left.
    left_at: Option<Timestamp>,
    /// The screen's name.
    screen: String,
    /// Where.
    scope: Scope,
    /// How far back, in seconds.
    range_secs: Option<i64>,
    /// Full dates.
    absolute: bool,
    /// Earlier filters, the newest last.
    filters: Vec<String>,
    /// What each screen keeps, by its name.
    panes: BTreeMap<String, PaneState>,
}

impl Session {
    /// Reads it; nothing where there is none that can be read.
    pub fn load(path: &Path) -> Option<Self> {
        let small = std::fs::metadata(path).ok()?.len() <= LARGEST;
        let text = small.then(|| std::fs::read_to_string(path).ok()).flatten()?;
        serde_json::from_str(&text).ok()
    }

    /// What is to be found again.
    pub fn of(model: &Model) -> Self {
        let shared = &model.shared;
        let panes = PANES.iter().zip(&model.panes).map(|(def, pane)| (def.name.to_owned(), pane.keep()));
        Self {
            left_at: Some(shared.now),
            screen: PANES.get(model.current).map(|p| p.name.to_owned()).unwrap_or_default(),
            scope: shared.scope.clone(),
            range_secs: shared.range.map(|r| r.as_secs()),
            absolute: shared.absolute,
            filters: shared.filters.iter().rev().take(FILTERS).rev().cloned().collect(),
            panes: panes.collect(),
        }
    }

    /// Puts a model into the state that was left. A filter that no longer parses is left out.
    pub fn restore(self, model: &mut Model) {
        let shared = &mut model.shared;
        shared.scope = self.scope;
        shared.range = self.range_secs.filter(|s| *s > 0).map(SignedDuration::from_secs);
        shared.absolute = self.absolute;
        shared.filters = self.filters;
        for (def, pane) in PANES.iter().zip(&mut model.panes) {
            let Some(state) = self.panes.get(def.name) else { continue };
            pane.take_up(state);
            // The incident of a drill-down is over for whoever comes back later.
            let kept = Some(&state.filter).filter(|f| !f.is_empty() && !f.starts_with("incident:"));
            if let Some(filter) = kept.and_then(|f| Filter::parse(f, &shared.tz).ok()) {
                // The first reading of the store asks for it; what this asks for is asked again then.
                let _ = pane.set_filter(filter, shared);
            }
        }
        if let Some(index) = panes::index(&self.screen) {
            model.current = index;
            model.left_at = self.left_at;
        }
    }

    /// Writes it, for its owner alone, in place of the old one as a whole.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&beside).and_then(|mut file| file.write_all(&text));
        let moved = written.and_then(|()| std::fs::rename(&beside, path));
        if moved.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        moved
    }
}

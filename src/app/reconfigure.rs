//! Other settings for a running engine: only what changed is touched, and what only a restart can change is named.

use std::sync::Arc;

use anyhow::Result;

use super::{connectors, engine::Running, logging, outward};
use crate::config::{LogSettings, Settings, StoreSettings};

/// The settings that can be in force now, and what of the new ones is left to a restart. What is left stays as it is,
/// all of it: nothing is half in force.
fn possible(old: &Settings, new: Settings, has_screen: bool) -> (Settings, Vec<&'static str>) {
    let changes = [
        (old.store.dir != new.store.dir, "[store] dir"),
        (old.log.json != new.log.json, "[log] format"),
        (old.watch_only != new.watch_only, "watch_only"),
        (old.delivery != new.delivery, "[delivery]"),
        (has_screen && old.ui != new.ui, "[ui]"),
    ];
    let later = changes.into_iter().filter_map(|(changed, what)| changed.then_some(what)).collect();
    let settings = Settings {
        store: StoreSettings { dir: old.store.dir.clone(), ..new.store },
        log: LogSettings { json: old.log.json, ..new.log },
        watch_only: old.watch_only,
        delivery: old.delivery.clone(),
        ui: old.ui.clone(),
        ..new
    };
    (settings, later)
}

impl Running {
    /// Runs with other settings: only what changed is touched. Answers what needs a restart of the program.
    ///
    /// # Errors
    /// What cannot be used; as far as it could be told before, nothing has changed then.
    pub async fn reconfigure(&mut self, new: Settings) -> Result<Vec<&'static str>> {
        connectors::check_pages(&new)?;
        let old = self.settings().await;
        let has_screen = self.status.borrow().mode != "forward";
        let (new, later) = possible(&old, new, has_screen);
        let wired = connectors::wire(&new, &self.store, &self.workshop)?;
        let moved = old.listen != new.listen;
        let listener = if moved { outward::bind(&new).await? } else { None };
        let new = Arc::new(new);
        *self.settings.lock().await = Arc::clone(&new);
        logging::set_level(&new.log.level);
        self.control.configure(&new, wired.targets);
        self.dispatcher.set_stale_after(new.incidents.stale_after);
        self.dispatcher.apply(wired.definitions).await?;
        if moved {
            outward::listen(self, listener);
        }
        if old.heartbeat != new.heartbeat {
            outward::beat(self, &new)?;
        }
        if old.clusters != new.clusters || old.watch != new.watch {
            self.restart_watches().await?;
        } else {
            // The paths are the same; what is in the files need not be.
            self.control.ask().look_again();
        }
        self.refresh.now().await;
        Ok(later)
    }
}

//! Whether the engine is heard: it is there, it hangs, or it is gone. What is known is as old as its last word.

use jiff::{SignedDuration, Timestamp};

use super::model::{Level, Shared};

/// An engine says how it is every second: one that says nothing for so long hangs, or its disk does.
const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// Ticks come every second: after a longer pause it was this process that stood still, not the engine.
const SLEPT: SignedDuration = SignedDuration::from_secs(3);

impl Shared {
    /// The engine has said something.
    pub fn hear(&mut self) {
        self.heard.0 = self.now;
        self.silent_pid = None;
        if self.silent.take().is_some() {
            self.say(Level::Good, "the engine answers again");
        }
    }

    /// Time has passed: an engine that should have said something by now is said to be silent.
    pub fn listen(&mut self) {
        let slept = self.heard.1.replace(self.now).is_none_or(|at| self.now.duration_since(at) > SLEPT);
        if slept {
            self.heard.0 = self.now;
        }
        let (at, _) = self.heard;
        if self.gone.is_none() && self.silent.is_none() && self.now.duration_since(at) >= SILENT_AFTER {
            self.silent = Some(at);
            self.say(Level::Bad, "the engine says nothing any more: what was asked of it may not be done");
        }
    }

    /// The engine beside holds the store and says nothing, from the first moment on.
    pub fn hangs(&mut self, pid: Option<u32>) {
        self.gone = None;
        self.silent_pid = pid;
        if self.silent.is_none() {
            self.silent = Some(self.now);
            self.say(Level::Bad, "the engine does not answer: what is shown is what was stored");
        }
    }

    /// The process of the engine, where it is known.
    pub fn engine_pid(&self) -> Option<u32> {
        self.silent_pid.or_else(|| self.status.as_ref().map(|s| s.pid).filter(|pid| *pid > 0))
    }

    /// Somebody watches, as far as is known here.
    pub fn is_watched(&self) -> bool {
        self.gone.is_none() && self.silent.is_none()
    }

    /// Up to when what is shown is known: now, or the moment from which on nobody told.
    pub fn known_to(&self) -> Timestamp {
        self.gone.into_iter().chain(self.silent).min().unwrap_or(self.now)
    }
}

//! The watch phase of a stream, and how objects become messages.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::Instant;

use super::{
    api::next_piece,
    error::{Error, Fault, Result},
    events::{self, EventKind},
    lines::{Line, Lines},
    projection,
    stream::Stream,
};
use crate::{
    event::Kind,
    object::{Object, ObjectKey, Said, Str, StreamId},
    status::StreamState,
};

/// A watch that closes without a word sooner than this is a refusal in disguise.
const TOO_SOON: Duration = Duration::from_secs(1);
/// A watch that lived this long was a good one: the next failure starts the waits anew, and a close needs no wait.
const GOOD: Duration = Duration::from_secs(5);
/// Added to a watch's own time-out before silence counts as a dead peer.
const GRACE: Duration = Duration::from_secs(5);
/// Pieces of a body, each about an event, that are taken together if they are there.
const TOGETHER: usize = 64;
/// Watches end at different times, so that they do not all come back at once.
const JITTER: Duration = Duration::from_secs(15);

impl Stream {
    /// Follows from a version until the server ends the watch, which is no failure.
    pub(super) async fn follow(&mut self, version: &str) -> Result<()> {
        if self.doubtful && !self.still_knows(version).await? {
            return Err(Error::new(
                Fault::Gone,
                "the server stands before what it has told: it was restored",
            ));
        }
        let lasts = self.watch_timeout();
        let query = format!(
            "watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            super::resources::encode(version),
            lasts.as_secs().max(1)
        );
        let path = self.path(&query);
        let started = Instant::now();
        let mut body = self.cx.api.open(&path).await?;
        self.heard();
        self.say(StreamState::Live, "");
        self.flush().await;
        let (mut lines, mut silent) = (Lines::default(), true);
        let mut after = None;
        loop {
            let next = match after.take() {
                Some(next) => next,
                None => next_piece(&mut body, &path, lasts + GRACE).await,
            };
            let Some(piece) = next? else { break };
            self.heard();
            lines.push(&piece);
            // What has arrived while the engine was busy goes to it together.
            for _ in 1..TOGETHER {
                match next_piece(&mut body, &path, GRACE).now_or_never() {
                    Some(Ok(Some(piece))) => lines.push(&piece),
                    other => {
                        after = other;
                        break;
                    }
                }
            }
            while let Some(line) = lines.next_line() {
                self.take_line(line).await?;
                silent = false;
                self.backoff.reset();
                self.flush_full().await;
            }
            self.flush().await;
        }
        self.closed(started.elapsed(), silent, lines.is_cut()).await
    }

    /// Whether the server has come as far as we have. One that was set back to a backup has not, and would keep a watch
    /// open and silent until it comes by our version. Where versions are not numbers it cannot be told.
    async fn still_knows(&mut self, version: &str) -> Result<bool> {
        let body = self.cx.api.get(&self.path("limit=1")).await?;
        let newest = events::page(&body).map(|page| page.version).unwrap_or_default();
        self.doubtful = false;
        Ok(match (newest.parse::<u128>(), version.parse::<u128>()) {
            (Ok(newest), Ok(ours)) => newest >= ours,
            _ => true,
        })
    }

    /// What the end of a watch means.
    async fn closed(&mut self, lived: Duration, silent: bool, cut: bool) -> Result<()> {
        if cut {
            return Err(Error::new(Fault::Broken, "the watch was cut within an event"));
        }
        if silent && lived < TOO_SOON {
            return Err(Error::new(Fault::EmptyClose, "the watch closed at once, without an event"));
        }
        if lived < GOOD {
            // Something between us and the server ends watches early: go on, but not in a hot loop.
            tokio::time::sleep(TOO_SOON.mul_f64(0.5 + rand::random::<f64>())).await;
        } else {
            self.backoff.reset();
        }
        Ok(())
    }

    fn watch_timeout(&self) -> Duration {
        let base = self.cx.settings.watch_timeout;
        let jitter = JITTER.min(base / 4);
        base.saturating_sub(jitter) + jitter.mul_f64(2.0 * rand::random::<f64>())
    }

    async fn take_line(&mut self, line: Line) -> Result<()> {
        let Line::Whole(line) = line else {
            self.count_unreadable();
            return Ok(());
        };
        match events::split(&line) {
            Some((EventKind::Added | EventKind::Modified, json)) => self.take_changed(json),
            Some((EventKind::Deleted, json)) => self.take_deleted(json).await,
            Some((EventKind::Bookmark, json)) => {
                if let Some((version, _)) = events::bookmark(json) {
                    self.version = Some(Str::unique(&version));
                }
            }
            Some((EventKind::Error, json)) => return Err(self.cx.api.cut(super::api::status_error(0, json))),
            None => self.count_unreadable(),
        }
        Ok(())
    }

    fn take_changed(&mut self, json: &[u8]) {
        let Ok(object) = self.decode(json) else {
            self.push_unreadable(json);
            return;
        };
        self.advance(&object);
        if object.kind == Kind::Namespace {
            self.cx.namespaces.add(&object.meta.name);
        }
        self.select(&object);
        self.push(&object.meta.name.clone(), |stream| Said::Applied(stream, Box::new(object)));
    }

    async fn take_deleted(&mut self, json: &[u8]) {
        let Ok(object) = self.decode(json) else {
            self.push_unreadable(json);
            return;
        };
        self.advance(&object);
        self.gone(object).await;
    }

    /// An object that the server says DELETED of.
    pub(super) async fn gone(&mut self, object: Object) {
        if object.kind == Kind::Namespace {
            self.cx.namespaces.remove(&object.meta.name);
        }
        let left = self.left_selector(&object).await;
        self.push(&object.meta.name.clone(), |stream| {
            if left { Said::LeftScope(stream, object.key()) } else { Said::Deleted(stream, Box::new(object)) }
        });
    }

    /// Remembers what is in the selector.
    pub(super) fn select(&mut self, object: &Object) {
        if !self.id.selector.is_empty() {
            self.selected.insert(object.key(), object.meta.uid.clone());
        }
    }

    /// Under a selector the server says DELETED of what no longer matches, too.
    async fn left_selector(&mut self, object: &Object) -> bool {
        if self.id.selector.is_empty() {
            return false;
        }
        let key = object.key();
        self.selected.remove(&key);
        // Where it cannot be told, a deletion takes positive evidence: that it was asked for.
        self.still_exists(&key, &object.meta.uid).await.unwrap_or(!object.is_terminating())
    }

    /// Whether an object still exists under its uid; one GET, repeated only where it failed. `None` = unknown.
    pub(super) async fn still_exists(&self, key: &ObjectKey, uid: &Str) -> Option<bool> {
        const TRIES: u32 = 3;
        let path = self.resource.object_path(&key.namespace, &key.name);
        for wait in 0..TRIES {
            match self.cx.api.get(&path).await {
                // Another object under its name: the one that we knew is gone.
                Ok(json) => return Some(self.decode(&json).map_or(true, |now| now.meta.uid == *uid)),
                Err(e) if e.fault == Fault::NotFound => return Some(false),
                Err(e) if e.fault == Fault::Forbidden => break,
                Err(_) => tokio::time::sleep(Duration::from_secs(wait.into())).await,
            }
        }
        None
    }

    fn advance(&mut self, object: &Object) {
        if !object.meta.version.is_empty() {
            self.version = Some(object.meta.version.clone());
        }
    }

    /// A record of the object's JSON; counted where that fails.
    pub(super) fn decode(&self, json: &[u8]) -> serde_json::Result<Object> {
        self.cx.decoder.object(self.resource.kind, self.resource.shape, json).inspect_err(|error| {
            self.count_unreadable();
            tracing::debug!(stream = %self.id, %error, "an object could not be read");
        })
    }

    /// Tells of an object that could not be decoded; `None` where it cannot even be named.
    pub(super) fn push_unreadable(&mut self, json: &[u8]) -> Option<ObjectKey> {
        let (key, version) = projection::identity(self.resource.kind, json);
        if self.version.is_some() && version.is_some() {
            self.version = version.as_deref().map(Str::unique);
        }
        let key = key?;
        if key.kind == Kind::Namespace {
            self.cx.namespaces.see(&key.name);
        }
        self.push(&key.name, |stream| Said::Unreadable(stream, key.clone()));
        Some(key)
    }

    /// One more that could not be read.
    pub(super) fn count_unreadable(&self) {
        self.board(|s| s.undecodable += 1);
    }

    /// Puts a message into the batch, if the engine wants to know of this object.
    pub(super) fn push(&mut self, name: &str, message: impl FnOnce(Arc<StreamId>) -> Said) {
        if self.wants(name) {
            self.out.push(message(Arc::clone(&self.id)));
        }
    }
}

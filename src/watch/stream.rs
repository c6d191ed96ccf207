//! One watch: a kind in a namespace (or in all), listed and then followed for as long as the process lives.
//!
//! `version` tells where it stands. `None`: the list comes next. `Some`: the watch goes on from there. Failures keep
//! the version, unless the server no longer has it (410) or behaves as if (an empty close): then it is listed
//! again. Nothing ends a stream but its being dropped. Run by `cluster`, one task per stream.

use std::{collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Batch,
    backoff::{Backoff, LONGEST},
    cx::Cx,
    error::{Error, Fault},
    refusal::{Refusals, Verdict},
    resources::{Resource, encode},
    rights,
};
use crate::{
    event::Kind,
    object::{ObjectKey, Said, Str, StreamId},
    status::{StreamState, StreamStatus},
};

/// Messages that are sent at once; the channel's capacity counts these batches.
const BATCH: usize = 256;
/// A watch that loses its history again within this time is in trouble.
const GONE_AGAIN: Duration = Duration::from_secs(30);
/// Streams that the API's return wakes come back within this time, not all in one instant.
const STAGGER: Duration = Duration::from_millis(500);

/// The state of one watch.
pub(super) struct Stream {
    pub(super) cx: Rc<Cx>,
    pub(super) id: Arc<StreamId>,
    pub(super) resource: Resource,
    /// Where the watch goes on; `None` = list first.
    pub(super) version: Option<Str>,
    /// The connection was lost: the server may have been set back to a backup meanwhile.
    pub(super) doubtful: bool,
    /// A streaming list failed here: pages instead.
    pub(super) paged: bool,
    /// Lists in a row that held something unnameable.
    pub(super) unnamed_lists: u32,
    pub(super) backoff: Backoff,
    /// What it was refused.
    refusals: Refusals,
    /// When the server last had no history for us.
    gone_at: Option<Instant>,
    /// Under a selector: what is in it, so that what a list no longer has can be asked about.
    pub(super) selected: HashMap<ObjectKey, Str>,
    /// Not sent yet.
    pub(super) out: Batch,
    state: StreamState,
    /// What the log said last, while it was not watched.
    logged: Option<StreamState>,
    /// Whether the engine wants this kind, or it is only watched for the scope's globs.
    pub(super) told: bool,
}

impl Stream {
    /// Before its first list.
    pub(super) fn new(cx: Rc<Cx>, id: Arc<StreamId>, resource: Resource) -> Self {
        let told = cx.settings.kinds.contains(&id.kind);
        let stored = cx.stored.as_ref().filter(|_| !id.selector.is_empty()).map(|stored| stored(&id));
        let selected = stored.unwrap_or_default().into_iter().collect();
        cx.board.put_stream(
            cx.index,
            StreamStatus {
                kind: id.kind,
                namespace: id.namespace.to_string(),
                state: StreamState::Syncing,
                last_activity: None,
                synced: (0, 0),
                undecodable: 0,
                relists: 0,
                last_error: String::new(),
            },
        );
        Self {
            cx,
            id,
            resource,
            version: None,
            doubtful: false,
            paged: false,
            unnamed_lists: 0,
            backoff: Backoff::default(),
            refusals: Refusals::default(),
            gone_at: None,
            selected,
            out: Batch::new(),
            state: StreamState::Syncing,
            logged: None,
            told,
        }
    }

    /// Lists and follows until it is dropped.
    pub(super) async fn run(mut self) {
        self.say(StreamState::Syncing, "");
        self.flush().await;
        loop {
            let step = match self.version.clone() {
                None => self.list().await,
                Some(version) => self.follow(&version).await,
            };
            self.flush().await;
            match step {
                Ok(()) => self.refusals.worked(),
                Err(error) => self.recover(error).await,
            }
        }
    }

    /// Waits as long as the failure deserves, visibly.
    async fn recover(&mut self, error: Error) {
        let mut at_once = false;
        if matches!(error.fault, Fault::Gone | Fault::EmptyClose) && self.version.take().is_some() {
            self.board(|s| s.relists += 1);
            // History that is gone is no failure of the server, however long it was away before: list now. Where that
            // repeats itself, it is one.
            let last = self.gone_at.replace(Instant::now());
            at_once = error.fault == Fault::Gone && last.is_none_or(|at| at.elapsed() > GONE_AGAIN);
        }
        if error.fault != Fault::Forbidden {
            self.refusals.interrupted();
        }
        let slow = self.cx.settings.poll_interval.mul_f64(0.9 + rand::random::<f64>() * 0.2);
        let (state, wait) = match error.fault {
            Fault::Forbidden => self.refused(slow),
            Fault::NotFound => (StreamState::Absent, slow),
            // The request itself is wrong (a selector that the server refuses): haste changes nothing.
            Fault::Refused => (self.cx.retrying(LONGEST), LONGEST),
            Fault::Gone if at_once => (StreamState::Syncing, STAGGER.mul_f64(rand::random())),
            _ => {
                let wait = self.backoff.next(error.retry_after, rand::random());
                (self.cx.retrying(wait), wait)
            }
        };
        self.say(state, &error.to_string());
        self.flush().await;
        let away = error.fault.is_away();
        self.doubtful |= away;
        // What a server does not permit, or does not have, may be another matter after its restart.
        let wakes = away || matches!(error.fault, Fault::Forbidden | Fault::NotFound);
        if away {
            self.cx.trouble.replace(Some(error));
            self.cx.troubled.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.cx.back.notified(), if wakes => {
                self.refusals.interrupted();
                tokio::time::sleep(STAGGER.mul_f64(rand::random())).await;
            }
        }
    }

    /// What a 403 means, and when to try again. While it is in doubt, the server is asked whether it is ready.
    fn refused(&mut self, slow: Duration) -> (StreamState, Duration) {
        let stored = || self.cx.stored.as_ref().is_some_and(|stored| !stored(&self.id).is_empty());
        let server = self.cx.server.get();
        let Verdict { believed, again } = self.refusals.judge(Instant::now(), server, stored, rand::random());
        if again.is_some() {
            self.cx.troubled.notify_one();
        }
        let wait = again.unwrap_or(slow).min(slow);
        let state = if believed {
            StreamState::Forbidden { missing: rights::missing(&self.resource, &self.id.namespace) }
        } else {
            self.cx.retrying(wait)
        };
        (state, wait)
    }

    /// Shows and tells a state, if it is another than before.
    pub(super) fn say(&mut self, state: StreamState, error: &str) {
        self.board(|s| {
            s.state = state.clone();
            if !error.is_empty() {
                error.clone_into(&mut s.last_error);
            }
        });
        if state == StreamState::Live {
            self.refusals.worked();
        }
        let first = self.state == StreamState::Syncing && state == StreamState::Syncing;
        if self.state != state || first {
            self.log_change(&state, error);
            self.state = state.clone();
            if self.told {
                let stream = Arc::clone(&self.id);
                self.out.push(Said::Stream(stream, state));
            }
        }
    }

    /// The server said something.
    pub(super) fn heard(&self) {
        self.cx.heard.set(Instant::now());
        let now = self.cx.now();
        self.board(|s| s.last_activity = Some(now));
    }

    /// Changes this stream's line on the board.
    pub(super) fn board(&self, change: impl FnOnce(&mut StreamStatus)) {
        self.cx.board.stream(self.cx.index, (self.id.kind, &self.id.namespace), change);
    }

    /// Sends what has gathered. Waits while the engine is busy: that is how it slows us down.
    pub(super) async fn flush(&mut self) {
        self.cx.send(std::mem::take(&mut self.out)).await;
    }

    /// Sends when there is enough.
    pub(super) async fn flush_full(&mut self) {
        if self.out.len() >= BATCH {
            self.flush().await;
        }
    }

    /// The path of a list or watch of this scope, with its selector.
    pub(super) fn path(&self, query: &str) -> String {
        let path = self.resource.path(&self.id.namespace);
        match self.id.selector.as_str() {
            "" => format!("{path}?{query}"),
            selector => format!("{path}?{query}&labelSelector={}", encode(selector)),
        }
    }

    /// Whether an object's message goes to the engine. Of the namespaces only those in scope do.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.told && (self.id.kind != Kind::Namespace || self.cx.scope.has(name))
    }

    /// Once per change: a right that is missing still, or a kind that is, says nothing new, however often it is tried.
    fn log_change(&mut self, state: &StreamState, error: &str) {
        let id = &self.id;
        match state {
            StreamState::Live if self.is_shut() => tracing::info!(stream = %id, "watched now"),
            StreamState::Live => tracing::debug!(stream = %id, "live"),
            StreamState::Syncing => return tracing::debug!(stream = %id, selector = %id.selector, "listing"),
            StreamState::Retrying { .. } => {
                return tracing::debug!(stream = %id, error, "lost, trying again");
            }
            known if self.logged.as_ref() == Some(known) => {}
            // Taken where it is permitted, and not missed where it is not.
            StreamState::Forbidden { missing } if self.is_optional() => {
                tracing::info!(stream = %id, missing, "not permitted, and not missed");
            }
            StreamState::Forbidden { missing } => tracing::warn!(stream = %id, missing, "not permitted"),
            StreamState::Absent => tracing::info!(stream = %id, "the server does not have it"),
        }
        self.logged = Some(state.clone());
    }

    /// The log said last that it is not watched.
    fn is_shut(&self) -> bool {
        matches!(self.logged, Some(StreamState::Forbidden { .. } | StreamState::Absent))
    }

    fn is_optional(&self) -> bool {
        self.logged != Some(StreamState::Live) && rights::optional(&self.cx.settings).contains(&self.id.kind)
    }
}

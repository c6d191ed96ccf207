//! watch: one JSON line per change, bookmarks, streaming lists, and the ways in which a watch ends.
//!
//! A watch keeps a cursor into the storage's history and sleeps until its resource changes; it has no queue of its
//! own, so a slow client costs nothing and is told 410 when the window has passed it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::api::Resource;
use super::super::cluster::Cluster;
use super::super::failure::Failure;
use super::super::faults::{Asked, Fault, WatchEnd};
use super::super::object::Stored;
use super::super::selector::Selector;
use super::super::storage::{Action, Change};
use super::convert::{self, Shape};
use super::{Call, list, reply};

/// A real server picks 30 to 60 minutes where the client names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);
/// Changes that go into one chunk of the reply.
const CHUNK: usize = 256;

struct Watch {
    cluster: Cluster,
    resource: Resource,
    namespace: String,
    selector: Selector,
    shape: Shape,
    bookmarks: bool,
    cursor: u64,
    /// Lines to be sent before anything else.
    first: Vec<Bytes>,
    epoch: u64,
    changed: tokio::sync::watch::Receiver<u64>,
    epochs: tokio::sync::watch::Receiver<u64>,
    next_bookmark: Instant,
    deadline: Instant,
    state: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Nothing more is sent; the reply ends cleanly.
    Over,
    /// Nothing more is sent; the connection breaks.
    Broken,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cluster.faults().watch_closed(self.resource.plural);
    }
}

/// Answers a watch request.
pub(super) fn watch(call: Call<'_>) -> Result<Response, Failure> {
    let selector = list::selector(&call)?;
    let changed = call.cluster.subscribe(call.at.resource.plural);
    let (cursor, first, stage) = start(&call, &selector)?;
    let now = Instant::now();
    let timeout = call.params.number("timeoutSeconds")?.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let epochs = call.cluster.faults().epochs();
    let epoch = *epochs.borrow();
    call.cluster.faults().watch_opened(call.at.resource.plural);
    let watch = Watch {
        cluster: call.cluster.clone(),
        bookmarks: call.params.is_true("allowWatchBookmarks"),
        resource: call.at.resource,
        namespace: call.at.namespace,
        selector,
        shape: call.shape,
        cursor,
        first,
        epoch,
        changed,
        epochs,
        next_bookmark: now + call.cluster.inner.options.bookmark_every,
        deadline: now + timeout,
        state: stage,
    };
    let stream = futures::stream::unfold(watch, |mut watch| async move {
        let chunk = watch.next().await?;
        Some((chunk, watch))
    });
    Ok(reply(StatusCode::OK, "application/json", Body::from_stream(stream)))
}

/// Where a watch begins: its cursor, its first lines, and whether it goes on at all.
fn start(call: &Call<'_>, selector: &Selector) -> Result<(u64, Vec<Bytes>, Stage), Failure> {
    match &call.fault {
        Some(Fault::InBand(failure)) => return Ok((0, vec![error_line(failure)], Stage::Over)),
        Some(Fault::EmptyWatch) => return Ok((0, Vec::new(), Stage::Over)),
        _ => {}
    }
    let options = &call.cluster.inner.options;
    let from = call.params.number("resourceVersion")?.unwrap_or(0);
    let initial = call.params.is_true("sendInitialEvents");
    if !call.params.text("sendInitialEvents").is_empty() {
        check_initial(call, options.streaming_lists)?;
    }
    let wants_none = call.params.text("sendInitialEvents") == "false";
    if (from == 0 && !wants_none) || initial {
        let (revision, objects) = list::select(call, selector)?;
        let mut lines: Vec<Bytes> =
            objects.iter().map(|o| line("ADDED", o, &call.at.resource, call.shape)).collect();
        if initial {
            lines.push(bookmark_line(&call.at.resource, call.shape, revision, true));
        }
        return Ok((revision, lines, Stage::Running));
    }
    let storage = call.cluster.storage();
    let from = if from == 0 { storage.revision() } else { from };
    match storage.check(call.at.resource.plural, from) {
        Ok(()) => Ok((from, Vec::new(), Stage::Running)),
        Err(failure) if options.gone_in_band => Ok((from, vec![error_line(&failure)], Stage::Over)),
        Err(failure) => Err(failure),
    }
}

fn check_initial(call: &Call<'_>, enabled: bool) -> Result<(), Failure> {
    let invalid = |text: &str| {
        Err(Failure::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {text}")))
    };
    if !enabled {
        return invalid(
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate \
             is enabled",
        );
    }
    if call.params.text("resourceVersionMatch") != "NotOlderThan" {
        return invalid(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                        NotOlderThan",
        );
    }
    Ok(())
}

impl Watch {
    /// The next piece of the reply; `None` ends it.
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        loop {
            if !self.first.is_empty() {
                let lines: Vec<Bytes> = self.first.drain(..self.first.len().min(CHUNK)).collect();
                return Some(Ok(self.spoil(&lines)));
            }
            match self.state {
                Stage::Running => {}
                Stage::Over => return None,
                Stage::Broken => return Some(Err(std::io::ErrorKind::ConnectionReset.into())),
            }
            self.obey_end();
            if self.state != Stage::Running {
                continue;
            }
            self.changed.mark_unchanged();
            if !self.read_history() {
                self.wait().await;
            }
        }
    }

    /// Reads what is new into `first`; whether there was anything to read.
    fn read_history(&mut self) -> bool {
        let storage = self.cluster.storage();
        let changes = storage.since(self.resource.plural, self.cursor, CHUNK);
        let now = storage.revision();
        drop(storage);
        match changes {
            Ok(changes) if changes.is_empty() => {
                self.cursor = now.max(self.cursor);
                false
            }
            Ok(changes) => {
                self.cursor = changes.last().map_or(self.cursor, |c| c.revision);
                self.first = changes.iter().filter_map(|c| self.line_of(c)).collect();
                true
            }
            Err(failure) => {
                self.first.push(error_line(&failure));
                self.state = Stage::Over;
                true
            }
        }
    }

    /// A change as this watch sees it: what enters its selection is added, what leaves it deleted.
    fn line_of(&self, change: &Change) -> Option<Bytes> {
        if !self.namespace.is_empty() && change.object.namespace != self.namespace {
            return None;
        }
        let before = change.previous.as_deref().is_some_and(|o| self.selector.matches(o));
        let after = change.action != Action::Deleted && self.selector.matches(&change.object);
        let event = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(line(event, &change.object, &self.resource, self.shape))
    }

    async fn wait(&mut self) {
        let until = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
        tokio::select! {
            _ = self.changed.changed() => {}
            _ = self.epochs.changed() => {}
            () = tokio::time::sleep_until(until) => self.on_timer(),
        }
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        if self.bookmarks {
            self.next_bookmark = now + self.cluster.inner.options.bookmark_every;
        }
        // At the deadline too: a real server lets a client go with a fresh version. It has no word for one that is
        // ahead of it.
        if self.bookmarks && self.cursor <= self.cluster.revision() {
            self.first.push(bookmark_line(&self.resource, self.shape, self.cursor, false));
        }
        if now >= self.deadline {
            self.state = Stage::Over;
        }
    }

    fn obey_end(&mut self) {
        match self.cluster.faults().end_of(self.epoch, self.resource.plural) {
            None => {}
            Some(WatchEnd::Eof) => self.state = Stage::Over,
            Some(WatchEnd::Broken) => self.state = Stage::Broken,
            Some(WatchEnd::InBand(failure)) => {
                self.first.push(error_line(&failure));
                self.state = Stage::Over;
            }
        }
    }

    /// Joins lines to a chunk, with the fault of a single line where one is due.
    fn spoil(&mut self, lines: &[Bytes]) -> Bytes {
        let asked =
            Asked { verb: "watch", resource: self.resource.plural, namespace: &self.namespace, path: "" };
        let mut out = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
        match self.cluster.faults().take_line(&asked) {
            Some(Fault::CutLine) => {
                let line = lines.first().cloned().unwrap_or_default();
                self.first.clear();
                self.state = Stage::Broken;
                return line.slice(..line.len() / 2);
            }
            Some(_) => out.put_slice(self.undecodable().as_bytes()),
            None => {}
        }
        for line in lines {
            out.put_slice(line);
        }
        out.freeze()
    }

    fn undecodable(&self) -> String {
        let (api_version, kind) = self.shape.type_of(&self.resource);
        let object = json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": ["not", "a", "name"], "labels": 7}, "spec": "broken", "status": 1});
        format!("{}\n", json!({"type": "MODIFIED", "object": object}))
    }
}

fn line(event: &str, object: &Arc<Stored>, resource: &Resource, shape: Shape) -> Bytes {
    let (api_version, kind) = shape.type_of(resource);
    let body = convert::body(object, resource, shape);
    let head =
        format!("{{\"type\":\"{event}\",\"object\":{{\"apiVersion\":\"{api_version}\",\"kind\":\"{kind}\",");
    let mut out = BytesMut::with_capacity(head.len() + body.len() + 2);
    out.put_slice(head.as_bytes());
    out.put_slice(body.get(1..).unwrap_or_default());
    out.put_slice(b"}\n");
    out.freeze()
}

fn bookmark_line(resource: &Resource, shape: Shape, revision: u64, initial_end: bool) -> Bytes {
    let (api_version, kind) = shape.type_of(resource);
    let mut meta = json!({"resourceVersion": revision.to_string(), "creationTimestamp": Value::Null});
    if initial_end {
        meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    // A real server sends the other fields of the kind empty; clients must default them.
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": meta});
    if shape == Shape::Whole && matches!(resource.plural, "pods" | "nodes" | "deployments") {
        object["spec"] = if resource.plural == "pods" { json!({"containers": null}) } else { json!({}) };
        object["status"] = json!({});
    }
    Bytes::from(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
}

fn error_line(failure: &Failure) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": failure.status()})))
}

//! The list phase of a stream: a streaming list where the server has it, else pages.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    api::{ANSWER, next_piece},
    error::{Error, Fault, Result},
    events::{self, EventKind},
    lines::{Line, Lines},
    resources::encode,
    stream::Stream,
};
use crate::{
    event::Kind,
    object::{ObjectKey, Said, Str},
    status::StreamState,
};

/// How long the server may keep a streaming list open. Its end is told by a bookmark; this is only a bound.
const STREAMING: Duration = Duration::from_mins(10);

/// A list with an object that cannot be named is repeated this often.
const UNNAMED_LISTS: u32 = 2;

impl Stream {
    /// Lists the scope and sets the version to follow from.
    pub(super) async fn list(&mut self) -> Result<()> {
        self.say(StreamState::Syncing, "");
        if self.cx.streaming.get() && !self.paged {
            match self.list_streaming().await {
                Err(error) if error.fault == Fault::Refused => {
                    tracing::debug!(stream = %self.id, %error, "no streaming lists here: pages");
                    self.cx.streaming.set(false);
                }
                done => return done,
            }
        }
        self.list_pages().await
    }

    async fn list_streaming(&mut self) -> Result<()> {
        let path = self.path(&format!(
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true\
             &timeoutSeconds={}",
            STREAMING.as_secs()
        ));
        let mut body = self.cx.api.open(&path).await?;
        let (mut lines, mut count) = (Lines::default(), Count::default());
        self.start();
        while let Some(piece) = next_piece(&mut body, &path, ANSWER).await? {
            self.heard();
            lines.push(&piece);
            while let Some(line) = lines.next_line() {
                if let Some(version) = self.take_initial(line, &mut count).await? {
                    // Dropping the body closes the connection: the watch is a request of its own, so that its
                    // time-out is one that notices a dead peer.
                    return self.end(&version, &mut count).await;
                }
                self.flush_full().await;
            }
            self.board(|s| s.synced = (count.seen, 0));
            self.flush().await;
        }
        // A server that ignores what it does not know never says where the list ends.
        self.paged = true;
        Err(Error::new(Fault::Broken, "the list ended before it was complete"))
    }

    async fn take_initial(&mut self, line: Line, count: &mut Count) -> Result<Option<String>> {
        let Line::Whole(line) = line else {
            self.count_unreadable();
            count.unnamed = true;
            return Ok(None);
        };
        match events::split(&line) {
            Some((EventKind::Added | EventKind::Modified, object)) => self.take_listed(object, count),
            Some((EventKind::Deleted, object)) => {
                if let Ok(object) = self.decode(object) {
                    count.selected.remove(&object.key());
                    self.gone(object).await;
                }
            }
            Some((EventKind::Bookmark, object)) => {
                return Ok(events::bookmark(object).and_then(|(version, end)| end.then_some(version)));
            }
            Some((EventKind::Error, object)) => {
                return Err(self.cx.api.cut(super::api::status_error(0, object)));
            }
            None => {
                self.count_unreadable();
                count.unnamed = true;
            }
        }
        Ok(None)
    }

    async fn list_pages(&mut self) -> Result<()> {
        let (mut next, mut count) = (String::new(), Count::default());
        let mut started = false;
        loop {
            let mut path = self.path(&format!("limit={}", self.resource.page()));
            if !next.is_empty() {
                path = format!("{path}&continue={}", encode(&next));
            }
            let body = self.cx.api.get(&path).await?;
            self.heard();
            if !std::mem::replace(&mut started, true) {
                self.start();
            }
            let page = events::page(&body).map_err(|e| {
                Error::new(Fault::Nonsense, format!("the list of {} cannot be read: {e}", self.id))
            })?;
            for item in &page.items {
                self.take_listed(item.get().as_bytes(), &mut count);
                self.flush_full().await;
            }
            self.board(|s| s.synced = (count.seen, count.seen + page.remaining));
            self.flush().await;
            if page.next.is_empty() {
                return self.end(&page.version, &mut count).await;
            }
            next = page.next;
        }
    }

    fn start(&mut self) {
        if self.id.kind == Kind::Namespace {
            self.cx.namespaces.start();
        }
        if self.told {
            self.out.push(Said::ListStart(Arc::clone(&self.id)));
        }
    }

    async fn end(&mut self, version: &str, count: &mut Count) -> Result<()> {
        // What cannot even be named might be anything that is known, and a sweep would call that deleted. Broken on
        // the way, it is whole the next time; if not, one piece of junk must not keep a kind away for ever.
        if count.unnamed && self.unnamed_lists < UNNAMED_LISTS {
            self.unnamed_lists += 1;
            return Err(Error::new(
                Fault::Nonsense,
                format!("an object in the list of {} cannot be read", self.id),
            ));
        }
        self.unnamed_lists = 0;
        self.ask_about_the_missing(count).await;
        if self.id.kind == Kind::Namespace {
            self.cx.namespaces.end();
        }
        if self.told {
            self.out.push(Said::ListEnd(Arc::clone(&self.id)));
        }
        self.board(|s| s.synced = (count.seen, count.seen));
        self.version = Some(Str::unique(version));
        Ok(())
    }

    /// What a list under a selector no longer has may be gone, or may only have left the selector.
    async fn ask_about_the_missing(&mut self, count: &mut Count) {
        let before = std::mem::replace(&mut self.selected, std::mem::take(&mut count.selected));
        for (key, uid) in before {
            if !self.selected.contains_key(&key) && self.still_exists(&key, &uid).await != Some(false) {
                self.push(&key.name.clone(), |stream| Said::LeftScope(stream, key));
            }
        }
    }

    fn take_listed(&mut self, json: &[u8], count: &mut Count) {
        count.seen += 1;
        match self.decode(json) {
            Ok(object) => {
                if object.kind == Kind::Namespace {
                    self.cx.namespaces.see(&object.meta.name);
                }
                if !self.id.selector.is_empty() {
                    count.selected.insert(object.key(), object.meta.uid.clone());
                }
                self.push(&object.meta.name.clone(), |stream| Said::Listed(stream, Box::new(object)));
            }
            Err(_) => match self.push_unreadable(json) {
                Some(key) if !self.id.selector.is_empty() => {
                    count.selected.insert(key, Str::default());
                }
                named => count.unnamed |= named.is_none(),
            },
        }
    }
}

/// What a list under way has seen.
#[derive(Default)]
struct Count {
    seen: u64,
    /// Under a selector: what the list has.
    selected: HashMap<ObjectKey, Str>,
    /// Something was listed that could not even be named.
    unnamed: bool,
}

//! What the simulated API server remembers: objects, a bounded history per resource, and revisions.
//!
//! Plain state behind the lock of `Cluster`; no I/O, no clock. One revision counter serves all resources, as in
//! etcd. A watch reads the history after its cursor; what is older than the window is refused with 410.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::failure::Failure;
use super::object::Stored;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub revision: u64,
    pub action: Action,
    /// After the change; for a deletion the last state, with the deletion's revision.
    pub object: Arc<Stored>,
    pub previous: Option<Arc<Stored>>,
}

/// Namespace and name.
pub(super) type Key = (String, String);

#[derive(Debug, Default, Clone)]
struct Table {
    objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Change>,
    /// The newest revision that fell out of `history`.
    trimmed: u64,
}

/// All objects and their recent history. A copy is a backup.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    revision: u64,
    /// Watches and exact lists from before this are refused.
    compacted: u64,
    history_limit: usize,
    tables: HashMap<String, Table>,
    snapshots: VecDeque<Snapshot>,
    next_snapshot: u64,
}

#[derive(Debug, Clone)]
struct Snapshot {
    id: u64,
    revision: u64,
    objects: Arc<Vec<Arc<Stored>>>,
}

/// Lists that are being paged at once; the oldest is forgotten, and its next page answers 410.
const SNAPSHOTS: usize = 64;

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub revision: u64,
    pub objects: Vec<Arc<Stored>>,
    /// Snapshot and offset of the next page.
    pub next: Option<(u64, usize)>,
    pub remaining: usize,
}

impl Storage {
    pub fn new(history_limit: usize) -> Self {
        Storage {
            // A real cluster has seen some life before anybody looks at it.
            revision: 1000,
            compacted: 0,
            history_limit,
            tables: HashMap::new(),
            snapshots: VecDeque::new(),
            next_snapshot: 1,
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    pub fn get(&self, plural: &str, key: &Key) -> Option<Arc<Stored>> {
        self.tables.get(plural)?.objects.get(key).cloned()
    }

    pub fn count(&self, plural: &str) -> usize {
        self.tables.get(plural).map_or(0, |table| table.objects.len())
    }

    /// Puts a new version in place; the object carries its revision.
    pub fn put(&mut self, plural: &str, object: Arc<Stored>) {
        let key = (object.namespace.clone(), object.name.clone());
        let table = self.tables.entry(plural.to_owned()).or_default();
        let previous = table.objects.insert(key, Arc::clone(&object));
        let action = if previous.is_some() { Action::Modified } else { Action::Added };
        table.push(Change { revision: object.revision, action, object, previous }, self.history_limit);
    }

    /// Takes an object away; `last` is its last state under the deletion's revision.
    pub fn remove(&mut self, plural: &str, last: Arc<Stored>) {
        let Some(table) = self.tables.get_mut(plural) else { return };
        let previous = table.objects.remove(&(last.namespace.clone(), last.name.clone()));
        let change = Change { revision: last.revision, action: Action::Deleted, object: last, previous };
        table.push(change, self.history_limit);
    }

    /// All objects of a namespace (or of all), in order of namespace and name.
    pub fn all(&self, plural: &str, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let Some(table) = self.tables.get(plural) else { return Vec::new() };
        let wanted = |o: &&Arc<Stored>| namespace.is_none_or(|ns| ns == o.namespace);
        table.objects.values().filter(wanted).cloned().collect()
    }

    /// The same as it was at an older revision.
    pub fn all_at(
        &self,
        plural: &str,
        namespace: Option<&str>,
        at: u64,
    ) -> Result<Vec<Arc<Stored>>, Failure> {
        self.check(plural, at)?;
        let Some(table) = self.tables.get(plural) else { return Ok(Vec::new()) };
        let mut objects = table.objects.clone();
        for change in table.history.iter().rev().take_while(|c| c.revision > at) {
            let key = (change.object.namespace.clone(), change.object.name.clone());
            match &change.previous {
                Some(previous) => objects.insert(key, Arc::clone(previous)),
                None => objects.remove(&key),
            };
        }
        Ok(objects.into_values().filter(|o| namespace.is_none_or(|ns| ns == o.namespace)).collect())
    }

    /// Refuses a revision that is forgotten.
    pub fn check(&self, plural: &str, from: u64) -> Result<(), Failure> {
        let oldest = self.compacted.max(self.tables.get(plural).map_or(0, |t| t.trimmed));
        if from < oldest { Err(Failure::expired(from, oldest)) } else { Ok(()) }
    }

    /// Changes after `cursor`, at most `limit`; an error where some of them are lost.
    pub fn since(&self, plural: &str, cursor: u64, limit: usize) -> Result<Vec<Change>, Failure> {
        let Some(table) = self.tables.get(plural) else { return Ok(Vec::new()) };
        if cursor < table.trimmed {
            return Err(Failure::expired(cursor, table.trimmed));
        }
        let start = table.history.partition_point(|c| c.revision <= cursor);
        Ok(table.history.range(start..).take(limit).cloned().collect())
    }

    /// Forgets history: watches and pages from before now are refused. Open watches go on.
    pub fn compact(&mut self) {
        self.compacted = self.revision;
        self.snapshots.clear();
    }

    /// The first page of a list.
    pub fn first_page(&mut self, revision: u64, objects: Vec<Arc<Stored>>, limit: usize) -> Page {
        if limit == 0 || objects.len() <= limit {
            return Page { revision, objects, next: None, remaining: 0 };
        }
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        while self.snapshots.len() >= SNAPSHOTS {
            self.snapshots.pop_front();
        }
        let remaining = objects.len() - limit;
        let page = objects.iter().take(limit).cloned().collect();
        self.snapshots.push_back(Snapshot { id, revision, objects: Arc::new(objects) });
        Page { revision, objects: page, next: Some((id, limit)), remaining }
    }

    /// A later page, of the list as it was at the first.
    pub fn next_page(&mut self, (id, offset): (u64, usize), limit: usize) -> Result<Page, Failure> {
        let snapshot = self.snapshots.iter().find(|s| s.id == id).ok_or_else(Failure::expired_continue)?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let objects: Vec<Arc<Stored>> = snapshot.objects.iter().skip(offset).take(limit).cloned().collect();
        let end = offset + objects.len();
        let remaining = snapshot.objects.len().saturating_sub(end);
        let next = (remaining > 0).then_some((id, end));
        let page = Page { revision: snapshot.revision, objects, next, remaining };
        if next.is_none() {
            self.snapshots.retain(|s| s.id != id);
        }
        Ok(page)
    }
}

impl Table {
    fn push(&mut self, change: Change, limit: usize) {
        self.history.push_back(change);
        while self.history.len() > limit {
            if let Some(old) = self.history.pop_front() {
                self.trimmed = old.revision;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(storage: &mut Storage, name: &str, n: u32) -> u64 {
        let revision = storage.next_revision();
        let value = json!({"metadata": {"name": name, "namespace": "a"}, "n": n});
        storage.put("pods", Arc::new(Stored::new(revision, value)));
        revision
    }

    #[test]
    fn an_older_revision_can_be_read_until_the_window_has_passed() {
        let mut storage = Storage::new(4);
        let first = put(&mut storage, "x", 1);
        put(&mut storage, "x", 2);
        put(&mut storage, "y", 1);
        let then = storage.all_at("pods", None, first).expect("still in the window");
        assert_eq!(then.len(), 1);
        assert_eq!(then[0].value()["n"], 1);
        for n in 0..8 {
            put(&mut storage, "z", n);
        }
        assert_eq!(storage.all_at("pods", None, first).expect_err("forgotten").code, 410);
        assert_eq!(storage.since("pods", first, 10).expect_err("forgotten").reason, "Expired");
    }

    #[test]
    fn pages_show_the_list_as_it_was_at_the_first() {
        let mut storage = Storage::new(100);
        for n in 0..5 {
            put(&mut storage, &format!("p{n}"), n);
        }
        let all = storage.all("pods", Some("a"));
        let revision = storage.revision();
        let page = storage.first_page(revision, all, 2);
        assert_eq!((page.objects.len(), page.remaining), (2, 3));
        put(&mut storage, "later", 9);
        let page = storage.next_page(page.next.expect("more"), 2).expect("kept");
        assert_eq!((page.objects.len(), page.remaining, page.revision), (2, 1, revision));
        let token = page.next.expect("more");
        storage.compact();
        assert_eq!(storage.next_page(token, 2).expect_err("compacted").code, 410);
    }
}

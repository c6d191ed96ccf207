//! Counts of the store, namespaces to choose from, and the end of the log file.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Seek, SeekFrom},
    path::Path,
};

use jiff::Timestamp;

use super::Job;
use crate::{
    event::{ClusterUid, Kind},
    store::{
        self, BASELINES, DEAD, EVENTS, META, OBJECTS, OUTBOX, Read, Result, keys,
        pages::{self, Limits},
    },
    tui::msg::{Answer, Totals},
};

/// How much of the end of the log file is shown.
const LOG_BYTES: u64 = 512 * 1024;
/// Gaps that are listed.
const GAPS: usize = 200;

/// Counts and gaps.
pub fn totals(job: &Job<'_>) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let gaps = pages::gaps_back(&snapshot, None, Limits::rows(GAPS), &|_| true)?;
    let oldest = pages::oldest_event(&snapshot)?.map(|(_, at)| at);
    Ok(Answer::Totals(Totals {
        events: snapshot.count(EVENTS.name)?,
        oldest,
        watched_since: watched_since(&snapshot)?.into_iter().chain(oldest).min(),
        dead: snapshot.count(DEAD.name)?,
        outbox: snapshot.count(OUTBOX.name)?,
        gaps: gaps.rows.into_iter().map(|(_, gap)| gap).collect(),
        whose: store::whose(&snapshot)?,
        clusters: clusters(&snapshot)?,
    }))
}

/// When the first of what is watched was listed.
fn watched_since(read: &impl Read) -> Result<Option<Timestamp>> {
    Ok(read.all(&BASELINES, "")?.into_iter().map(|(_, listed)| listed.since).min())
}

/// The clusters of which something was listed: what a configuration of earlier knew may have left its name behind.
fn clusters(read: &impl Read) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for (key, name) in read.all(&META, &keys::prefix(&["name"]))? {
        if let (Some(uid), Some(name)) = (keys::parts(&key).nth(1), name.as_str())
            && pages::is_listed(read, &ClusterUid::from(uid), None)?
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names.into_iter().collect())
}

/// Cluster and namespace: those that exist, and those that events tell of.
pub fn scopes(job: &Job<'_>, clusters: &[(String, String)]) -> Result<Answer> {
    let snapshot = job.snapshot()?;
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    for (uid, name) in clusters {
        found.insert((name.clone(), "-".to_owned()));
        let prefix = keys::prefix(&[uid, Kind::Namespace.as_str()]);
        snapshot.scan(&OBJECTS, &prefix, &prefix, &mut |_, object| {
            found.insert((name.clone(), object.meta.name.as_str().to_owned()));
            true
        })?;
    }
    let seen = std::cell::RefCell::new(found);
    pages::events_back(&snapshot, None, pages::Span::ALL, Limits::rows(1), &|e| {
        let namespace = if e.object.namespace.is_empty() { "-" } else { &e.object.namespace };
        seen.borrow_mut().insert((e.cluster.clone(), namespace.to_owned()));
        false
    })?;
    Ok(Answer::Scopes(seen.into_inner().into_iter().collect()))
}

/// The end of the log file, as lines.
pub fn logs(path: Option<&Path>) -> Answer {
    let Some(path) = path else { return Answer::Logs(vec!["this process has no log file".to_owned()]) };
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Answer::Logs(match read() {
        Ok(text) => {
            let mut lines = vec![format!("the end of {}", path.display()), String::new()];
            lines.extend(text.lines().map(str::to_owned));
            lines
        }
        Err(error) => vec![format!("cannot read {}: {error}", path.display())],
    })
}

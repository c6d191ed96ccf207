//! What a person may ask for: switch, remove, test, retry and purge dead letters. Each leaves an audit row.

use std::{collections::HashSet, time::Duration};

use super::{
    Dispatcher, WATCH_ONLY,
    ledger::{self, Logged},
    rows,
};
use crate::{
    config::Origin,
    connector::{Built, Connector, Outcome, samples},
    event::{NotificationId, digest},
    store::{
        self, CONNECTOR_STATES, CONNECTORS, ConnectorState, DEAD, DEAD_HEADS, DeliveryState, META, OUTBOX,
        OutboxRow, Read, Tx, keys,
    },
};

/// Dead letters or rows per transaction: the writer is nobody's alone.
const CHUNK: usize = 500;

/// What a test came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TestReport {
    /// What became of the message.
    pub outcome: Outcome,
    /// Until the answer.
    pub latency: Duration,
}

impl TestReport {
    /// One line: status, latency, answer; or why not.
    ///
    /// # Errors
    /// The same line, where the message did not arrive.
    pub fn line(&self) -> Result<String, String> {
        let ms = self.latency.as_millis();
        match &self.outcome {
            Outcome::Delivered { status, answer, .. } => Ok(format!("status {status} in {ms} ms: {answer}")),
            Outcome::Retry { reason, detail, .. } | Outcome::Reject { reason, detail, .. } => {
                Err(format!("{} after {ms} ms: {detail}", reason.as_str()))
            }
        }
    }
}

impl Dispatcher {
    /// Switches a connector on or off; on also resumes one that paused itself. Its rows stay. Answers whether it had.
    ///
    /// # Errors
    /// No such connector, or the store.
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> store::Result<bool> {
        let unknown = || store::Error::Refused(format!("there is no connector {name:?}"));
        let (shared, origin) =
            self.with(|w| w.get(name).map(|r| (r.shared.clone(), r.origin))).ok_or_else(unknown)?;
        let (key, now) = (name.to_owned(), self.deps.now());
        let paused = self
            .deps
            .store
            .write(move |tx| {
                let mut state = tx.get(&CONNECTOR_STATES, &key)?.unwrap_or_default();
                let paused = state.paused.is_some();
                if enabled {
                    state.paused = None;
                }
                match (origin, tx.get(&CONNECTORS, &key)?) {
                    (Origin::Store, Some(mut row)) => {
                        row.spec.enabled = enabled;
                        row.updated_at = now;
                        tx.put(&CONNECTORS, &key, &row)?;
                    }
                    _ => state.enabled = Some(enabled),
                }
                tx.put(&CONNECTOR_STATES, &key, &state)?;
                ledger::audit(tx, now, if enabled { "enable" } else { "disable" }, &key, "ok")?;
                Ok(paused)
            })
            .await?;
        shared.control.send_modify(|c| {
            c.enabled = enabled;
            if enabled {
                c.paused = None;
            }
        });
        shared.look();
        Ok(paused)
    }

    /// A connector that paused itself goes on.
    ///
    /// # Errors
    /// The store.
    pub async fn resume(&self, name: &str) -> store::Result<()> {
        self.resume_stored(name, "by hand").await?;
        if let Some(shared) = self.shared(name) {
            shared.control.send_modify(|c| c.paused = None);
            shared.look();
        }
        Ok(())
    }

    pub(super) async fn resume_stored(&self, name: &str, why: &'static str) -> store::Result<ConnectorState> {
        let (key, now) = (name.to_owned(), self.deps.now());
        self.deps
            .store
            .write(move |tx| {
                let mut state = tx.get(&CONNECTOR_STATES, &key)?.unwrap_or_default();
                state.paused = None;
                tx.put(&CONNECTOR_STATES, &key, &state)?;
                ledger::audit(tx, now, "resume", &key, why)?;
                Ok(state)
            })
            .await
    }

    /// Stops a connector and drops its waiting rows; how many. Its dead letters and deliveries stay.
    ///
    /// # Errors
    /// The store.
    pub async fn remove(&self, name: &str) -> store::Result<u64> {
        let _one = self.changing.lock().await;
        self.stop(name).await;
        self.drop_all(name, "").await
    }

    /// Deletions that a crash or a kill interrupted. Whoever deletes a connector marks it (`ConnectorState::removing`)
    /// in the transaction that takes its settings away.
    pub(super) async fn finish_removals(&self) -> store::Result<()> {
        let states = self.deps.store.snapshot()?.all(&CONNECTOR_STATES, "")?;
        for (name, _) in states.into_iter().filter(|(_, state)| state.removing) {
            let dropped = self.drop_all(&name, ", at the next start").await?;
            tracing::warn!(connector = name, dropped, "a deletion that was interrupted is done now");
        }
        Ok(())
    }

    async fn drop_all(&self, name: &str, when: &'static str) -> store::Result<u64> {
        let mut dropped = 0;
        loop {
            let (key, now) = (name.to_owned(), self.deps.now());
            let (n, logged) = self.deps.store.write(move |tx| drop_rows(tx, &key, now)).await?;
            dropped += n;
            for (seq, row) in &logged {
                self.deps.observer.delivery(*seq, row);
            }
            if n == 0 {
                break;
            }
        }
        let (key, now) = (name.to_owned(), self.deps.now());
        self.deps
            .store
            .write(move |tx| {
                tx.remove(&CONNECTOR_STATES, &key)?;
                ledger::audit(tx, now, "delete", &key, &format!("{dropped} waiting messages dropped{when}"))
            })
            .await?;
        Ok(dropped)
    }

    /// Puts dead letters back into the queue with the same ids: of one connector or of all, these or all; how many.
    ///
    /// # Errors
    /// The store.
    pub async fn retry_dead(&self, connector: Option<&str>, seqs: &[u64]) -> store::Result<u64> {
        let _unhanded = self.unhanded();
        let retried = self.each_dead(connector, seqs, "retry", requeue).await?;
        self.count_waiting()?;
        Ok(retried)
    }

    /// Throws dead letters away; how many.
    ///
    /// # Errors
    /// The store.
    pub async fn purge_dead(&self, connector: Option<&str>, seqs: &[u64]) -> store::Result<u64> {
        self.each_dead(connector, seqs, "purge", |tx, seq, _| tx.remove_entry(&DEAD, seq)).await
    }

    async fn each_dead(
        &self,
        connector: Option<&str>,
        seqs: &[u64],
        action: &'static str,
        each: fn(&Tx<'_>, u64, jiff::Timestamp) -> store::Result<bool>,
    ) -> store::Result<u64> {
        let mut chosen: Vec<(u64, String)> = Vec::new();
        let wanted: HashSet<u64> = seqs.iter().copied().collect();
        self.deps.store.snapshot()?.read_log(&DEAD_HEADS, 0, &mut |seq, head| {
            let name = head.row.notification.connector;
            if connector.is_none_or(|c| c == name) && (wanted.is_empty() || wanted.contains(&seq)) {
                chosen.push((seq, name));
            }
            true
        })?;
        let now = self.deps.now();
        let mut done: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        for chunk in chosen.chunks(CHUNK) {
            let chunk = chunk.to_vec();
            let names = self
                .deps
                .store
                .write(move |tx| {
                    let mut names = Vec::new();
                    for (seq, name) in chunk {
                        if each(tx, seq, now)? {
                            names.push(name);
                        }
                    }
                    Ok(names)
                })
                .await?;
            for name in names {
                *done.entry(name).or_insert(0) += 1;
            }
        }
        let total = done.values().sum();
        for (name, n) in done {
            if let Some(shared) = self.shared(&name) {
                shared.update(|s| s.dead = s.dead.saturating_sub(n));
            }
            let outcome = format!("{n} dead letters");
            self.deps.store.write(move |tx| ledger::audit(tx, now, action, &name, &outcome)).await?;
        }
        Ok(total)
    }

    /// Sends a message that is marked as a test, past the queue.
    ///
    /// # Errors
    /// No such connector, or one that is incomplete; in words.
    pub async fn test(&self, name: &str) -> Result<TestReport, String> {
        let destination = self.with(|w| w.get(name).map(|r| r.destination.clone()));
        let destination = destination.ok_or_else(|| format!("there is no connector {name:?}"))?;
        match (&destination.connector, &destination.incomplete) {
            (Some(connector), _) => self.test_connector(name, &**connector).await,
            (None, why) => Err(why.clone().unwrap_or_default()),
        }
    }

    /// The same for settings that are not saved (a form).
    ///
    /// # Errors
    /// It could not be rendered.
    pub async fn test_built(&self, built: &Built) -> Result<TestReport, String> {
        self.test_connector(&built.common.name, &*built.connector).await
    }

    async fn test_connector(&self, name: &str, connector: &dyn Connector) -> Result<TestReport, String> {
        if self.deps.watch_only {
            return Err(WATCH_ONLY.to_owned());
        }
        let now = self.deps.now();
        let mut sample = samples::test(name, &self.cluster_name(), now);
        // Every test is a message of its own: a service that drops repeats must not drop it.
        sample.id = NotificationId(digest("test", &[name, &now.as_nanosecond().to_string()]));
        let message = connector.render(&sample, None).map_err(|e| e.to_string())?;
        let started = tokio::time::Instant::now();
        let outcome = connector.deliver(&message).await;
        let report = TestReport { outcome, latency: started.elapsed() };
        let line = report.line().unwrap_or_else(|line| line);
        let key = name.to_owned();
        // A test's audit row is worth less than its answer: it is not lost because the disk is full.
        let written = self.deps.store.write(move |tx| ledger::audit(tx, now, "test", &key, &line)).await;
        if let Err(error) = written {
            tracing::warn!(connector = name, %error, "the audit row of a test could not be written");
        }
        Ok(report)
    }
}

impl Dispatcher {
    /// The cluster that a test message speaks of: the one that was watched last.
    fn cluster_name(&self) -> String {
        let clusters = self.deps.store.snapshot().and_then(|snapshot| {
            let mut newest = None;
            for (key, name) in snapshot.all(&META, &keys::prefix(&["name"]))? {
                let uid = key.rsplit('\0').find(|part| !part.is_empty()).unwrap_or_default();
                let alive = snapshot.get(&META, &keys::prefix(&["alive", uid]))?.and_then(|v| v.as_i64());
                newest = newest.max(name.as_str().map(|name| (alive, name.to_owned())));
            }
            Ok(newest)
        });
        clusters.ok().flatten().map_or_else(|| "no cluster was watched yet".to_owned(), |(_, name)| name)
    }
}

fn requeue(tx: &Tx<'_>, seq: u64, now: jiff::Timestamp) -> store::Result<bool> {
    let Some(letter) = tx.entry(&DEAD, seq)? else { return Ok(false) };
    tx.remove_entry(&DEAD, seq)?;
    let row = OutboxRow { seq: tx.next_seq()?, due_at: now, claim: None, ..letter.row };
    tx.put(&OUTBOX, &keys::outbox(&row.notification.connector, row.seq), &row)?;
    Ok(true)
}

fn drop_rows(tx: &Tx<'_>, name: &str, now: jiff::Timestamp) -> store::Result<(u64, Logged)> {
    let (rows, unreadable) = rows::take(tx, name, CHUNK)?;
    let mut logged = Logged::new();
    for row in &rows {
        let detail = "the connector was removed".to_owned();
        ledger::log(tx, ledger::delivery(row, now, DeliveryState::Dropped, detail), &mut logged)?;
    }
    Ok((rows.len() as u64 + unreadable, logged))
}

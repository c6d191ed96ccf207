//! One write job of a sweep: some rows of one stage, with everything that points to them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Evicted, OVERHEAD, Until, history_bytes, size_of_table};
use crate::{
    event::{
        Event, IncidentId,
        incident::{Incident, IncidentStatus},
    },
    store::{
        DEAD, DELIVERIES, DELIVERIES_BY, EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, FOLDS, INCIDENT_EVENTS,
        INCIDENT_OF, INCIDENTS, INCIDENTS_BY_TIME, Keyed, Log, MEMBERS, REPEAT_IDS, TOLD,
        error::Result,
        keys,
        schema::{keyed, seq_key, time_key},
        tx::{Read, Tx},
    },
};

/// The writer is held for about so long at a time.
const CHUNK_FOR: Duration = Duration::from_millis(12);
/// And for so many rows at most.
const CHUNK_ROWS: usize = 500;

pub(super) struct Chunk<'a, 't> {
    pub started: Instant,
    pub evicted: Evicted,
    pub next: Option<String>,
    pub tx: &'a Tx<'t>,
    pub until: Until,
}

/// As much of an incident as is needed here.
#[derive(Deserialize)]
struct Glance {
    status: IncidentStatus,
}

const GLANCE: Keyed<Glance> = keyed(INCIDENTS.name);

impl<'a, 't> Chunk<'a, 't> {
    pub fn new(tx: &'a Tx<'t>, until: Until) -> Self {
        Self { tx, until, started: Instant::now(), evicted: Evicted::new(), next: None }
    }

    fn time_is_up(&self) -> bool {
        self.started.elapsed() >= CHUNK_FOR
    }

    fn count(&mut self, table: &str) {
        *self.evicted.entry(table.to_owned()).or_default() += 1;
    }

    fn too_old(&self, at: Timestamp) -> bool {
        match self.until {
            Until::Before(oldest) => at < oldest,
            Until::DataBelow(_) | Until::DeadBelow(_) => true,
        }
    }

    /// How many bytes must go; `None` where age decides.
    fn excess(&self) -> Result<Option<u64>> {
        Ok(match self.until {
            Until::Before(_) => None,
            Until::DataBelow(target) => {
                let used = history_bytes(self.tx)?.saturating_add_signed(self.tx.grown_total());
                let excess = used.saturating_sub(target);
                Some(excess.saturating_mul(OVERHEAD.1) / OVERHEAD.0)
            }
            Until::DeadBelow(target) => Some(size_of_table(self.tx, DEAD.name)?.saturating_sub(target)),
        })
    }

    /// The oldest rows of a log that may go, from the cursor on: at most as many as make up the excess.
    fn candidates<V: DeserializeOwned + Serialize>(
        &mut self,
        table: &Log<V>,
        from: &str,
        at: impl Fn(&V) -> Option<Timestamp>,
    ) -> Result<Vec<(u64, V)>> {
        let excess = self.excess()?;
        let mut found = Vec::new();
        let (mut freed, mut next) = (0, None);
        if excess == Some(0) {
            return Ok(found);
        }
        self.tx.read_log(table, from.parse().unwrap_or(0), &mut |seq, row| {
            if excess.is_some_and(|e| freed >= e) {
                return false;
            }
            match at(&row) {
                Some(at) if self.too_old(at) => {
                    if excess.is_some() {
                        freed += serde_json::to_vec(&row).map_or(0, |bytes| bytes.len() as u64);
                    }
                    found.push((seq, row));
                }
                // A row without a time is not over yet.
                None => {}
                Some(_) => return false,
            }
            let more = found.len() < CHUNK_ROWS && self.started.elapsed() < CHUNK_FOR / 3;
            if !more {
                next = Some((seq + 1).to_string());
            }
            more
        })?;
        // The size is looked at again after this chunk.
        self.next =
            next.or_else(|| found.last().filter(|_| excess.is_some()).map(|(s, _)| (s + 1).to_string()));
        Ok(found)
    }

    pub fn events(&mut self, from: &str) -> Result<()> {
        let found = self.candidates(&EVENTS, from, |e| Some(e.observed_at))?;
        let mut open: HashMap<IncidentId, bool> = HashMap::new();
        for (seq, event) in found {
            if let Some(id) = &event.incident {
                if !open.contains_key(id) {
                    let glance = self.tx.get(&GLANCE, id.as_str())?;
                    open.insert(id.clone(), glance.is_some_and(|g| g.status == IncidentStatus::Open));
                }
                if open.get(id) == Some(&true) {
                    continue;
                }
            }
            self.event(seq, &event)?;
            if self.time_is_up() {
                self.next = Some((seq + 1).to_string());
                break;
            }
        }
        Ok(())
    }

    fn event(&mut self, seq: u64, event: &Event) -> Result<()> {
        let tx = self.tx;
        tx.remove_entry(&EVENTS, seq)?;
        tx.remove(&EVENT_IDS, event.id.as_str())?;
        let repeats = keys::prefix(&[&seq_key(seq)]);
        for (key, ()) in tx.all(&REPEAT_IDS, &repeats)? {
            tx.remove(&EVENT_IDS, keys::parts(&key).last().unwrap_or_default())?;
            tx.remove(&REPEAT_IDS, &key)?;
        }
        for key in keys::events_by_object(event, seq) {
            tx.remove(&EVENTS_BY_OBJECT, &key)?;
        }
        if let Some(incident) = &event.incident {
            tx.remove(&INCIDENT_EVENTS, &keys::incident_event(incident, seq))?;
        }
        let fold = keys::fold_of(event);
        if tx.get(&FOLDS, &fold)?.is_some_and(|fold| fold.seq == seq) {
            tx.remove(&FOLDS, &fold)?;
        }
        self.count(EVENTS.name);
        Ok(())
    }

    pub fn deliveries(&mut self, from: &str) -> Result<()> {
        for (seq, row) in self.candidates(&DELIVERIES, from, |d| Some(d.at))? {
            self.tx.remove_entry(&DELIVERIES, seq)?;
            for key in keys::deliveries_by(row.incident.as_ref(), &row.event, seq) {
                self.tx.remove(&DELIVERIES_BY, &key)?;
            }
            self.count(DELIVERIES.name);
            if self.time_is_up() {
                self.next = Some((seq + 1).to_string());
                break;
            }
        }
        Ok(())
    }

    pub fn log<V: DeserializeOwned + Serialize>(
        &mut self,
        table: &Log<V>,
        from: &str,
        at: impl Fn(&V) -> Option<Timestamp>,
    ) -> Result<()> {
        for (seq, _) in self.candidates(table, from, at)? {
            self.tx.remove_entry(table, seq)?;
            self.count(table.name);
        }
        Ok(())
    }

    /// Resolved incidents, by the time of their opening.
    pub fn incidents(&mut self, from: &str, resolved_before: Timestamp) -> Result<()> {
        let by_size = match self.until {
            Until::Before(oldest) => {
                // What opened later was not resolved earlier.
                let end = time_key(oldest);
                return self.incidents_while(from, resolved_before.min(oldest), &|key| key < end.as_str());
            }
            Until::DataBelow(_) | Until::DeadBelow(_) => self.excess()?,
        };
        if by_size == Some(0) {
            return Ok(());
        }
        self.incidents_while(from, resolved_before, &|_| true)
    }

    fn incidents_while(
        &mut self,
        from: &str,
        resolved_before: Timestamp,
        in_range: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        let mut found = Vec::new();
        self.tx.scan(&INCIDENTS_BY_TIME, "", from, &mut |key, ()| {
            if !in_range(key) {
                return false;
            }
            found.push(key.to_owned());
            found.len() < CHUNK_ROWS
        })?;
        let full = found.len() == CHUNK_ROWS;
        let mut last = None;
        for key in found {
            let id = keys::parts(&key).last().unwrap_or_default();
            let incident = self.tx.get(&INCIDENTS, id)?;
            let over = |i: &Incident| {
                i.status == IncidentStatus::Resolved && i.resolved_at.is_none_or(|at| at < resolved_before)
            };
            match incident {
                Some(incident) if over(&incident) => {
                    self.incident(&incident)?;
                    self.tx.remove(&INCIDENTS_BY_TIME, &key)?;
                }
                Some(_) => {}
                None => drop(self.tx.remove(&INCIDENTS_BY_TIME, &key)?),
            }
            last = Some(key);
            if self.time_is_up() || self.excess()? == Some(0) {
                break;
            }
        }
        let done = self.excess()? == Some(0) || !(full || self.time_is_up());
        // The smallest key after the last one.
        self.next = last.filter(|_| !done).map(|key| key + "\0");
        Ok(())
    }

    fn incident(&mut self, incident: &Incident) -> Result<()> {
        let (tx, id) = (self.tx, &incident.id);
        tx.remove(&INCIDENTS, id.as_str())?;
        tx.remove_all(&MEMBERS, &keys::prefix(&[id.as_str()]))?;
        tx.remove_all(&INCIDENT_EVENTS, &keys::prefix(&[id.as_str()]))?;
        let of = keys::incident_of(&incident.cluster_uid, &incident.subject);
        if tx.get(&INCIDENT_OF, &of)?.as_deref() == Some(id.as_str()) {
            tx.remove(&INCIDENT_OF, &of)?;
        }
        for connector in connectors_told(tx)? {
            tx.remove(&TOLD, &keys::told(&connector, id))?;
        }
        self.count(INCIDENTS.name);
        Ok(())
    }
}

/// The connectors that were ever told anything, each found by one seek.
fn connectors_told(tx: &Tx<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut from = String::new();
    loop {
        let mut name = None;
        tx.scan(&TOLD_KEYS, "", &from, &mut |key, _| {
            name = keys::parts(key).next().map(str::to_owned);
            false
        })?;
        let Some(name) = name else { return Ok(names) };
        from = format!("{name}\u{1}");
        names.push(name);
    }
}

const TOLD_KEYS: Keyed<serde::de::IgnoredAny> = keyed(TOLD.name);

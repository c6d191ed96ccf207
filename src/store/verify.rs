//! Reads every row of the store and checks that rows and indices agree. Called by `barrelman store verify` and by
//! tests; reads only, and works beside a writer.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{
    FoldRow,
    error::Result,
    keys,
    schema::{self, Keyed, Log},
    snapshot::Snapshot,
    tx::{LAST_SEQ, Read, sizes},
};

/// Problems that are told in words; more are only counted.
const TOLD: usize = 100;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Rows read, by table.
    pub rows: BTreeMap<String, u64>,
    /// What is wrong: at most 100 lines.
    pub problems: Vec<String>,
    /// How many problems there are in all.
    pub found: u64,
}

impl Report {
    fn problem(&mut self, text: impl FnOnce() -> String) {
        self.found += 1;
        if self.problems.len() < TOLD {
            self.problems.push(text());
        }
    }
}

/// Reads everything. Holds the snapshot all the time: about 2 s per million rows.
///
/// # Errors
/// The disk. What is wrong with rows is in the report.
pub fn verify(read: &Snapshot) -> Result<Report> {
    let mut check = Check { read, report: Report::default(), bytes: BTreeMap::new(), last: 0 };
    let mut events = Vec::new();
    check.log(&schema::EVENTS, &mut |seq, event, report| {
        events.push(seq);
        if !matches!(read.get(&schema::EVENT_IDS, event.id.as_str()), Ok(Some(s)) if s == seq) {
            report.problem(|| format!("event {seq} is not found by its id {}", event.id));
        }
    })?;
    let there = |seq: Option<u64>| seq.is_some_and(|s| events.binary_search(&s).is_ok());
    check.text(&schema::EVENT_IDS, &mut |id, seq, report| {
        if !there(Some(seq)) {
            report.problem(|| format!("event id {id} points to event {seq}, which is not there"));
        }
    })?;
    check.text(&schema::REPEAT_IDS, &mut |key, (), report| {
        if !there(keys::parts(key).next().and_then(|seq| seq.parse().ok())) {
            report.problem(|| format!("repeat_ids {key:?} belongs to an event that is not there"));
        }
    })?;
    let lost = |table: &str, key: &str| format!("{table} {key:?} points to an event that is not there");
    check.text(&schema::INCIDENT_EVENTS, &mut |key, (), report| {
        if !there(keys::last_seq(key)) {
            report.problem(|| lost(schema::INCIDENT_EVENTS.name, key));
        }
    })?;
    // Two tables in one: a fold names its event in its row, an event in its key.
    check.text(&schema::keyed::<Option<FoldRow>>(schema::FOLDS.name), &mut |key, fold, report| {
        let fits = fold.is_some() == keys::is_fold(key);
        if !fits || !there(fold.map_or_else(|| keys::last_seq(key), |fold| Some(fold.seq))) {
            report.problem(|| lost(schema::FOLDS.name, key));
        }
    })?;
    check.incidents()?;
    check.queues()?;
    check.rest()?;
    check.sums()?;
    Ok(check.report)
}

struct Check<'a> {
    read: &'a Snapshot,
    report: Report,
    bytes: BTreeMap<String, u64>,
    last: u64,
}

impl Check<'_> {
    fn text<V: DeserializeOwned>(
        &mut self,
        table: &Keyed<V>,
        each: &mut dyn FnMut(&str, V, &mut Report),
    ) -> Result<()> {
        let (mut rows, mut bytes) = (0, 0);
        let report = &mut self.report;
        self.read.raw(table.name, &mut |key, row| {
            rows += 1;
            bytes += (key.len() + row.len()) as u64;
            match serde_json::from_slice(row) {
                Ok(value) => each(key, value, report),
                Err(e) => report.problem(|| format!("row {key:?} of {} cannot be read: {e}", table.name)),
            }
            Ok(())
        })?;
        self.count(table.name, rows, bytes);
        Ok(())
    }

    fn log<V: DeserializeOwned>(
        &mut self,
        table: &Log<V>,
        each: &mut dyn FnMut(u64, V, &mut Report),
    ) -> Result<()> {
        let (mut rows, mut bytes) = (0, 0);
        let (report, last) = (&mut self.report, &mut self.last);
        self.read.raw_log(table.name, &mut |seq, row| {
            rows += 1;
            bytes += (size_of::<u64>() + row.len()) as u64;
            *last = seq.max(*last);
            match serde_json::from_slice(row) {
                Ok(value) => each(seq, value, report),
                Err(e) => report.problem(|| format!("row {seq} of {} cannot be read: {e}", table.name)),
            }
            Ok(())
        })?;
        self.count(table.name, rows, bytes);
        Ok(())
    }

    fn count(&mut self, table: &str, rows: u64, bytes: u64) {
        if rows > 0 {
            self.report.rows.insert(table.to_owned(), rows);
        }
        if bytes > 0 && table != schema::META.name {
            self.bytes.insert(table.to_owned(), bytes);
        }
    }

    fn incidents(&mut self) -> Result<()> {
        let read = self.read;
        self.text(&schema::INCIDENTS, &mut |id, incident, report| {
            let key = keys::incident_by_time(incident.opened_at, &incident.id);
            if incident.id.as_str() != id
                || !matches!(read.get(&schema::INCIDENTS_BY_TIME, &key), Ok(Some(())))
            {
                report.problem(|| format!("incident {id} is not found by its time"));
            }
        })?;
        let known = |id: &str| matches!(read.get(&schema::INCIDENTS, id), Ok(Some(_)));
        self.text(&schema::INCIDENTS_BY_TIME, &mut |key, (), report| {
            if !known(keys::parts(key).last().unwrap_or_default()) {
                report
                    .problem(|| format!("incidents_by_time {key:?} points to an incident that is not there"));
            }
        })?;
        self.text(&schema::INCIDENT_OF, &mut |key, id, report| {
            if !known(&id) {
                report.problem(|| format!("incident_of {key:?} points to incident {id}, which is not there"));
            }
        })?;
        self.text(&schema::MEMBERS, &mut |key, _, report| {
            if !known(keys::parts(key).next().unwrap_or_default()) {
                report.problem(|| format!("member {key:?} belongs to an incident that is not there"));
            }
        })
    }

    fn queues(&mut self) -> Result<()> {
        let read = self.read;
        let mut last = self.last;
        self.text(&schema::OUTBOX, &mut |key, row, report| {
            last = last.max(row.seq);
            if key != keys::outbox(&row.notification.connector, row.seq) {
                report.problem(|| format!("outbox row {key:?} does not stand under its own key"));
            }
        })?;
        self.last = last;
        self.log(&schema::DELIVERIES, &mut |_, _, _| {})?;
        self.text(&schema::DELIVERIES_BY, &mut |key, (), report| {
            let there = keys::last_seq(key).map(|seq| read.entry(&schema::DELIVERIES, seq));
            if !matches!(there, Some(Ok(Some(_)))) {
                report.problem(|| format!("deliveries_by {key:?} points to a delivery that is not there"));
            }
        })
    }

    /// Tables that nothing points to: their rows must be readable.
    fn rest(&mut self) -> Result<()> {
        self.text(&schema::META, &mut |_, _, _| {})?;
        self.text(&schema::OBJECTS, &mut |_, _, _| {})?;
        self.text(&schema::KUBE_EVENTS, &mut |_, _, _| {})?;
        self.text(&schema::BASELINES, &mut |_, _, _| {})?;
        self.text(&schema::FIRINGS, &mut |_, _, _| {})?;
        self.text(&schema::MEMORY, &mut |_, _, _| {})?;
        self.text(&schema::DUES, &mut |_, _, _| {})?;
        self.text(&schema::TOLD, &mut |_, _, _| {})?;
        self.text(&schema::CONNECTORS, &mut |_, _, _| {})?;
        self.text(&schema::CONNECTOR_STATES, &mut |_, _, _| {})?;
        self.log(&schema::DEAD, &mut |_, _, _| {})?;
        self.log(&schema::AUDIT, &mut |_, _, _| {})?;
        self.log(&schema::GAPS, &mut |_, _, _| {})
    }

    /// What is kept beside the rows: their sizes, and the last number given.
    fn sums(&mut self) -> Result<()> {
        let kept: BTreeMap<_, _> = sizes(self.read)?.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        if kept != self.bytes {
            let counted = std::mem::take(&mut self.bytes);
            self.report.problem(|| format!("sizes are kept as {kept:?}, but are {counted:?}"));
        }
        let given = self.read.get(&schema::META, LAST_SEQ)?.and_then(|v| v.as_u64()).unwrap_or(0);
        if given < self.last {
            let last = self.last;
            self.report.problem(|| format!("the last number given is kept as {given}, but {last} is in use"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};
    use crate::{event::Severity, store::Store};

    #[test]
    fn every_table_is_verified() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        // A row that no table can read, under every name of the schema.
        store
            .write_blocking(|tx| {
                let nonsense = serde_json::json!([["nonsense"]]);
                for name in schema::TABLES.iter().filter(|n| **n != "meta" && **n != "memory") {
                    if schema::is_log(name) {
                        tx.append(&schema::log::<serde_json::Value>(name), &nonsense)?;
                    } else {
                        tx.put(&schema::keyed::<serde_json::Value>(name), "k", &nonsense)?;
                    }
                }
                Ok(())
            })
            .unwrap();
        let report = verify(&store.snapshot().unwrap()).unwrap();
        for name in schema::TABLES.iter().filter(|n| **n != "meta" && **n != "memory") {
            let told =
                report.problems.iter().filter(|p| p.contains(&format!(" of {name} cannot be read"))).count();
            assert_eq!(told, 1, "{name}: {:?}", report.problems);
        }
        assert_eq!(report.found as usize, schema::TABLES.len() - 2);
    }

    #[test]
    fn a_sound_store_has_no_problems_and_lost_rows_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .write_blocking(|tx| {
                put_incident(tx, &incident("i", 1, Severity::High, true))?;
                for n in 0..5 {
                    let mut event = event(n, 5);
                    event.incident = Some("i".into());
                    put_event(tx, &event)?;
                    put_delivery(tx, &delivery("slack", 5, Some("i"), crate::store::DeliveryState::Dead))?;
                    put_outbox(tx, "slack", 5, true)?;
                }
                Ok(())
            })
            .unwrap();
        let report = verify(&store.snapshot().unwrap()).unwrap();
        assert_eq!(report.problems, [""; 0]);
        assert_eq!((report.rows["events"], report.rows["deliveries_by"]), (5, 10));
        store
            .write_blocking(|tx| {
                tx.remove_entry(&schema::EVENTS, 1)?;
                tx.remove(&schema::INCIDENTS, "i").map(drop)
            })
            .unwrap();
        let report = verify(&store.snapshot().unwrap()).unwrap();
        // The event's id, its two objects, its incident; the incident's time.
        assert_eq!(report.found, 5, "{:?}", report.problems);
    }
}

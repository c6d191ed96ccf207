//! What is to be done at a time: rows in the store, ordered in memory.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::store::{DUES, Due, DueRow, Read, Result, Tx};

/// Everything that is due at some time.
#[derive(Debug, Default)]
pub(super) struct Dues {
    rows: HashMap<String, DueRow>,
    order: BTreeSet<(Timestamp, String)>,
}

impl Dues {
    pub fn load(read: &impl Read) -> Result<Self> {
        let mut dues = Self::default();
        for (key, row) in read.all(&DUES, "")? {
            dues.order.insert((row.at, key.clone()));
            dues.rows.insert(key, row);
        }
        Ok(dues)
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Everything, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &DueRow> {
        self.rows.values()
    }

    /// Whether something is due under this key.
    pub fn get(&self, key: &str) -> Option<&DueRow> {
        self.rows.get(key)
    }

    /// Sets, moves or (with no time) removes what is due under a key.
    pub fn set(
        &mut self,
        tx: &Tx<'_>,
        key: &str,
        at: Option<Timestamp>,
        what: impl FnOnce() -> (String, Due),
    ) -> Result<()> {
        let old = self.rows.get(key).map(|row| row.at);
        if old == at {
            return Ok(());
        }
        if let Some(old) = old {
            self.order.remove(&(old, key.to_owned()));
            self.rows.remove(key);
        }
        match at {
            Some(at) => {
                let (cluster, what) = what();
                let row = DueRow { at, cluster, what };
                tx.put(&DUES, key, &row)?;
                self.order.insert((at, key.to_owned()));
                self.rows.insert(key.to_owned(), row);
            }
            None => {
                tx.remove(&DUES, key)?;
            }
        }
        Ok(())
    }

    /// Keys of what is due now, oldest first, without taking it out.
    pub fn due(&self, now: Timestamp, most: usize) -> Vec<String> {
        self.order.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, key)| key.clone()).collect()
    }

    /// Takes a row out for good.
    pub fn take(&mut self, tx: &Tx<'_>, key: &str) -> Result<Option<DueRow>> {
        let Some(row) = self.rows.remove(key) else { return Ok(None) };
        self.order.remove(&(row.at, key.to_owned()));
        tx.remove(&DUES, key)?;
        Ok(Some(row))
    }

    /// Looks at a row again later, without writing: it keeps its time in the store.
    pub fn postpone(&mut self, key: &str, to: Timestamp) {
        if let Some(row) = self.rows.get_mut(key) {
            self.order.remove(&(row.at, key.to_owned()));
            row.at = to;
            self.order.insert((to, key.to_owned()));
        }
    }
}

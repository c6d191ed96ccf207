//! Any sequence of writes, some of which fail or panic, some over a reopening, leaves what a plain map would hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;

use barrelman::store::{AUDIT, AuditRow, Error, MEMORY, Read, Result, Store, Tx, verify};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Put(String, u32),
    Remove(String),
    RemoveAll(String),
    Append(u32),
    /// The row at this place of those that are there.
    Rewrite(usize, u32),
    Drop(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Fail,
    Panic,
    Reopen,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    text: BTreeMap<String, u32>,
    log: BTreeMap<u64, u32>,
    last: u64,
}

impl Model {
    fn nth(&self, place: usize) -> Option<u64> {
        self.log.keys().nth(place % self.log.len().max(1)).copied()
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put(key, value) => drop(self.text.insert(key.clone(), *value)),
            Op::Remove(key) => drop(self.text.remove(key)),
            Op::RemoveAll(prefix) => self.text.retain(|key, _| !key.starts_with(prefix)),
            Op::Append(value) => {
                self.last += 1;
                self.log.insert(self.last, *value);
            }
            Op::Rewrite(place, value) => {
                if let Some(seq) = self.nth(*place) {
                    self.log.insert(seq, *value);
                }
            }
            Op::Drop(place) => {
                if let Some(seq) = self.nth(*place) {
                    self.log.remove(&seq);
                }
            }
        }
    }
}

fn row(value: u32) -> AuditRow {
    AuditRow {
        at: jiff::Timestamp::UNIX_EPOCH,
        action: "test".into(),
        connector: "c".repeat(value as usize % 50),
        outcome: value.to_string(),
    }
}

fn apply(tx: &Tx<'_>, model: &mut Model, op: &Op) -> Result<()> {
    match op {
        Op::Put(key, value) => tx.put(&MEMORY, key, &(*value).into())?,
        Op::Remove(key) => assert_eq!(tx.remove(&MEMORY, key)?, model.text.contains_key(key)),
        Op::RemoveAll(prefix) => {
            let there = model.text.keys().filter(|k| k.starts_with(prefix.as_str())).count();
            assert_eq!(tx.remove_all(&MEMORY, prefix)?, there as u64);
        }
        Op::Append(value) => assert_eq!(tx.append(&AUDIT, &row(*value))?, model.last + 1),
        Op::Rewrite(place, value) => {
            if let Some(seq) = model.nth(*place) {
                tx.put_entry(&AUDIT, seq, &row(*value))?;
            }
        }
        Op::Drop(place) => {
            if let Some(seq) = model.nth(*place) {
                assert!(tx.remove_entry(&AUDIT, seq)?);
            }
        }
    }
    model.apply(op);
    Ok(())
}

/// What is there, by the store's own word.
fn read(store: &Store) -> (BTreeMap<String, u32>, BTreeMap<u64, u32>) {
    let read = store.snapshot().unwrap();
    assert_eq!(verify::verify(&read).unwrap().problems, [""; 0]);
    let text = read.all(&MEMORY, "").unwrap();
    let text = text.into_iter().map(|(k, v)| (k, v.as_u64().unwrap() as u32)).collect();
    let mut log = BTreeMap::new();
    read.read_log(&AUDIT, 0, &mut |seq, row| {
        log.insert(seq, row.outcome.parse().unwrap());
        true
    })
    .unwrap();
    (text, log)
}

fn op() -> impl Strategy<Value = Op> {
    let key = "[ab]{1,3}";
    prop_oneof![
        4 => (key, any::<u32>()).prop_map(|(k, v)| Op::Put(k, v)),
        2 => key.prop_map(Op::Remove),
        1 => "[ab]{1,2}".prop_map(Op::RemoveAll),
        4 => any::<u32>().prop_map(Op::Append),
        2 => (any::<usize>(), any::<u32>()).prop_map(|(p, v)| Op::Rewrite(p, v)),
        2 => any::<usize>().prop_map(Op::Drop),
    ]
}

fn jobs() -> impl Strategy<Value = Vec<(Vec<Op>, End)>> {
    let end = prop_oneof![
        6 => Just(End::Commit),
        2 => Just(End::Fail),
        1 => Just(End::Panic),
        1 => Just(End::Reopen),
    ];
    prop::collection::vec((prop::collection::vec(op(), 0..6), end), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_equals_its_model(jobs in jobs()) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let mut model = Model::default();
        for (ops, end) in jobs {
            let mut next = model.clone();
            let answer = store.write_blocking(move |tx| {
                for op in &ops {
                    apply(tx, &mut next, op)?;
                }
                match end {
                    End::Fail => Err(Error::Refused("as asked".into())),
                    End::Panic => panic!("as asked"),
                    End::Commit | End::Reopen => Ok(next),
                }
            });
            match end {
                End::Fail | End::Panic => {
                    let error = answer.unwrap_err().to_string();
                    prop_assert!(error.ends_with("as asked"), "{}", error);
                }
                End::Commit | End::Reopen => model = answer.unwrap(),
            }
            if end == End::Reopen {
                store.close();
                store = Store::open(dir.path()).unwrap();
            }
            prop_assert_eq!(read(&store), (model.text.clone(), model.log.clone()));
        }
    }
}

#[test]
fn jobs_that_share_a_commit_with_a_bad_one_are_told_to_repeat_and_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..10 {
                    let key = format!("{thread}-{n}");
                    let bad = thread == 0;
                    loop {
                        let key = key.clone();
                        let answer = store.write_blocking(move |tx| {
                            tx.put(&MEMORY, &key, &n.into())?;
                            if bad { Err(Error::Refused("bad".into())) } else { Ok(()) }
                        });
                        match answer {
                            Err(Error::Undone(_)) => {}
                            Err(Error::Refused(_)) if bad => break,
                            Ok(()) if !bad => break,
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
    });
    let rows = store.snapshot().unwrap().all(&MEMORY, "").unwrap();
    assert_eq!(rows.len(), 70);
    assert!(rows.iter().all(|(key, _)| !key.starts_with("0-")));
}

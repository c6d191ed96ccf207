use super::{super::sample::*, *};
use crate::{
    event::Severity,
    store::{
        DELIVERIES, DELIVERIES_BY, DeliveryState, EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, FOLDS, FoldRow,
        INCIDENT_EVENTS, INCIDENTS, INCIDENTS_BY_TIME, OBJECTS, REPEAT_IDS, TOLD, Told, keys,
    },
};

const DAY: i64 = 86_400;

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn limits() -> Retention {
    Retention {
        age: SignedDuration::from_hours(24 * 30),
        max_bytes: 2 << 30,
        dead_letters_max_bytes: 256 << 20,
        resolved_for: SignedDuration::from_hours(24),
    }
}

fn sweep_now(store: &Store, limits: Retention, now: Timestamp) -> Result<Evicted> {
    futures::executor::block_on(sweep(store, limits, now))
}

fn count(store: &Store, table: &str) -> u64 {
    store.snapshot().unwrap().count(table).unwrap()
}

/// One event a day for 60 days; every tenth belongs to an open incident, which opened first.
fn sixty_days(store: &Store) {
    store
        .write_blocking(|tx| {
            put_incident(tx, &incident("open", 0, Severity::High, true))?;
            put_incident(tx, &incident("over", DAY, Severity::High, false))?;
            put_incident(tx, &incident("late", 50 * DAY, Severity::High, false))?;
            tx.put(&TOLD, &keys::told("slack", &"over".into()), &Told::default())?;
            tx.put(&TOLD, &keys::told("slack", &"late".into()), &Told::default())?;
            for n in 0..60 {
                let mut event = event(n, n as i64 * DAY);
                event.incident = (n % 10 == 0).then(|| "open".into());
                let seq = put_event(tx, &event)?;
                let repeat = format!("repeat{n}");
                tx.put(&EVENT_IDS, &repeat, &seq)?;
                tx.put(&REPEAT_IDS, &keys::repeat_id(seq, &repeat.as_str().into()), &())?;
                let fold = FoldRow { seq, first: event.timestamp, counted: 1 };
                tx.put(&FOLDS, &keys::fold_of(&event), &fold)?;
                put_delivery(tx, &delivery("slack", n as i64 * DAY, None, DeliveryState::Delivered))?;
                put_outbox(tx, "slack", n as i64 * DAY, false)?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_is_too_old_goes_with_its_indices_and_open_incidents_stay_whole() {
    let (_dir, store) = open();
    sixty_days(&store);
    let evicted = sweep_now(&store, limits(), at(60 * DAY)).unwrap();
    // Days 0 to 29, without the three of the open incident.
    assert_eq!(evicted["events"], 27);
    assert_eq!(evicted["deliveries"], 30);
    assert_eq!(evicted["incidents"], 1);
    for (table, left) in [
        (EVENTS.name, 33),
        (EVENT_IDS.name, 66),
        (REPEAT_IDS.name, 33),
        (EVENTS_BY_OBJECT.name, 66 + 33),
        (INCIDENT_EVENTS.name, 6),
        (DELIVERIES.name, 30),
        (DELIVERIES_BY.name, 30),
        (OUTBOX.name, 60),
        (INCIDENTS.name, 2),
        (INCIDENTS_BY_TIME.name, 2),
        (TOLD.name, 1),
    ] {
        assert_eq!(count(&store, table), left, "{table}");
    }
    assert_eq!(super::evicted(&store.snapshot().unwrap()).unwrap(), evicted);
    assert!(sweep_now(&store, limits(), at(60 * DAY)).unwrap().is_empty(), "a second sweep finds nothing");
}

#[test]
fn beyond_the_size_the_oldest_go_until_it_fits() {
    let (_dir, store) = open();
    for batch in 0..20 {
        store
            .write_blocking(move |tx| {
                (0..100).try_for_each(|n| put_event(tx, &event(batch * 100 + n, 50 * DAY)).map(drop))
            })
            .unwrap();
    }
    let full = used_bytes(&store.snapshot().unwrap()).unwrap();
    let limits = Retention { max_bytes: full / 2, ..limits() };
    let evicted = sweep_now(&store, limits, at(60 * DAY)).unwrap();
    let read = store.snapshot().unwrap();
    let used = used_bytes(&read).unwrap();
    assert!(used <= limits.max_bytes, "{used} of {}", limits.max_bytes);
    assert!(used > limits.max_bytes / 10 * 8, "no more than needed: {used} of {}", limits.max_bytes);
    let gone = evicted["events"];
    assert_eq!(gone + count(&store, EVENTS.name), 2000);
    let oldest = crate::store::pages::oldest_event(&read).unwrap().unwrap();
    assert_eq!(oldest.0, gone + 1, "the oldest went");
}

#[test]
fn size_takes_deliveries_and_resolved_incidents_after_the_events_and_keeps_the_rest() {
    let (_dir, store) = open();
    sixty_days(&store);
    let limits = Retention { max_bytes: 1, ..limits() };
    sweep_now(&store, limits, at(60 * DAY)).unwrap();
    assert_eq!(count(&store, EVENTS.name), 6, "those of the open incident");
    assert_eq!(count(&store, DELIVERIES.name), 0);
    assert_eq!(count(&store, INCIDENTS.name), 1);
    assert_eq!(count(&store, OUTBOX.name), 60);
}

#[test]
fn a_resolved_incident_stays_while_its_messages_may_wait() {
    let (_dir, store) = open();
    store.write_blocking(|tx| put_incident(tx, &incident("i", 59 * DAY + 10, Severity::Low, false))).unwrap();
    let limits = Retention { max_bytes: 1, ..limits() };
    assert!(sweep_now(&store, limits, at(60 * DAY)).unwrap().is_empty());
    assert_eq!(sweep_now(&store, limits, at(61 * DAY)).unwrap()["incidents"], 1);
}

#[test]
fn dead_letters_go_above_their_own_cap_only() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| {
            for n in 0..50 {
                let seq = put_outbox(tx, "slack", n, false)?;
                let row = tx.get(&OUTBOX, &keys::outbox("slack", seq))?.unwrap();
                let dead = crate::store::DeadLetter {
                    at: at(n),
                    row,
                    reason: crate::connector::Reason::Expired,
                    detail: String::new(),
                };
                tx.append(&DEAD, &dead)?;
            }
            Ok(())
        })
        .unwrap();
    assert!(sweep_now(&store, limits(), at(60 * DAY)).unwrap().is_empty());
    let all = size_of_table(&store.snapshot().unwrap(), DEAD.name).unwrap();
    let limits = Retention { dead_letters_max_bytes: all / 2, ..limits() };
    let gone = sweep_now(&store, limits, at(60 * DAY)).unwrap()["dead_letters"];
    assert!((25..=27).contains(&gone), "{gone}");
    let mut oldest = None;
    store
        .snapshot()
        .unwrap()
        .read_log(&DEAD, 0, &mut |_, row| {
            oldest = Some(row.at);
            false
        })
        .unwrap();
    assert_eq!(oldest, Some(at(gone as i64)));
}

#[test]
fn sizes_follow_every_kind_of_write() {
    let (_dir, store) = open();
    sixty_days(&store);
    let sum = || sizes(&store.snapshot().unwrap()).unwrap();
    let before = sum();
    store.write_blocking(|tx| put_outbox(tx, "x", 5, true)).unwrap();
    let with = sum();
    assert!(with["outbox"] > before["outbox"]);
    store
        .write_blocking(|tx| {
            let seq = tx.append(&EVENTS, &event(1, 1))?;
            tx.put_entry(&EVENTS, seq, &event(100_000, 1))?;
            tx.remove_entry(&EVENTS, seq)?;
            tx.remove(&FOLDS, "there is none")?;
            tx.remove_all(&OUTBOX, &keys::prefix(&["x"]))
        })
        .unwrap();
    assert_eq!(sum(), before);
    let failed: Result<()> = store.write_blocking(|tx| {
        put_outbox(tx, "x", 5, true)?;
        Err(Error::Refused("no".into()))
    });
    assert!(failed.is_err());
    assert_eq!(sum(), before);
    let mut settings = StoreSettings {
        dir: "unused".into(),
        retention: Duration::from_secs(1),
        max_bytes: 1,
        outbox_max_bytes: before["outbox"] + 1,
        dead_letters_max_bytes: 1,
    };
    assert!(!outbox_full(&store.snapshot().unwrap(), &settings).unwrap());
    settings.outbox_max_bytes = before["outbox"];
    assert!(outbox_full(&store.snapshot().unwrap(), &settings).unwrap());
}

/// The factor behind `used_bytes`, against what redb says it uses, on a file written as the engine writes it.
#[test]
fn the_file_is_about_as_large_as_estimated() {
    let (dir, store) = open();
    for batch in 0..100 {
        store
            .write_blocking(move |tx| {
                for n in 0..50 {
                    let mut event = event(batch * 50 + n, 50 * DAY);
                    event.id = blake3::hash(event.id.as_str().as_bytes()).to_hex().as_str().into();
                    event.incident = Some(event.id.as_str().into());
                    put_event(tx, &event)?;
                }
                Ok(())
            })
            .unwrap();
    }
    let estimate = used_bytes(&store.snapshot().unwrap()).unwrap();
    store.close();
    let file = redb::Database::open(dir.path().join("barrelman.redb")).unwrap();
    let stats = file.begin_write().unwrap().stats().unwrap();
    let leaves = (stats.leaf_pages() + stats.branch_pages()) * stats.page_size() as u64;
    let ratio = estimate as f64 / leaves as f64;
    assert!((0.75..1.35).contains(&ratio), "estimate {estimate}, pages {leaves}: {ratio:.2}");
}

#[test]
fn a_large_cluster_does_not_cost_all_history() {
    let (_dir, store) = open();
    let size = |table: &str| sizes(&store.snapshot().unwrap()).unwrap().get(table).copied().unwrap_or(0);
    store
        .write_blocking(|tx| {
            for n in 0..400 {
                put_event(tx, &event(n, n as i64))?;
                tx.put(
                    &super::super::schema::keyed::<String>(OBJECTS.name),
                    &format!("o{n}"),
                    &"x".repeat(2000),
                )?;
            }
            Ok(())
        })
        .unwrap();
    let limits = Retention { max_bytes: size(OBJECTS.name), ..limits() };
    sweep_now(&store, limits, at(1000)).unwrap();
    let history = history_bytes(&store.snapshot().unwrap()).unwrap();
    assert!(
        history <= limits.max_bytes / 4 && history > limits.max_bytes / 6,
        "{history} of {}",
        limits.max_bytes
    );
    let report = super::super::verify::verify(&store.snapshot().unwrap()).unwrap();
    assert!(!report.problems.iter().any(|p| p.contains("points to")), "{:?}", report.problems);
}

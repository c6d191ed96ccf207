//! How fast the store takes events and answers pages, beside a plain redb table in the same run: the difference is
//! the price of JSON, indices and group commits. Durable commits: the disk under the temporary directory counts.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use barrelman::{
    event::Event,
    store::{EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, INCIDENT_EVENTS, Result, Store, Tx, keys, pages},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

const PAGED: u64 = 50_000;

fn event(n: u64) -> Event {
    let at = jiff::Timestamp::from_second(1_767_000_000 + n as i64).unwrap();
    let pod = n % 500;
    serde_json::from_value(json!({
        "id": barrelman::event::digest("bench", &[&n.to_string()]), "fingerprint": format!("f{pod}"),
        "event_type": "pod_crash_loop", "severity": "high", "status": "firing", "role": "opens",
        "timestamp": at, "observed_at": at, "cluster": "prod", "cluster_uid": "c1",
        "object": {"kind": "Pod", "namespace": "shop", "name": format!("web-{pod}"), "uid": format!("u{pod}")},
        "subject": {"kind": "Deployment", "namespace": "shop", "name": "web"},
        "title": "Pod web crashes again and again", "description": "container app: exit code 1 (general error)",
        "details": {"container": "app", "restarts": n, "exit_code": 1, "reason": "Error"},
        "labels": {"app": "web"}, "count": 1, "first_seen": at, "last_seen": at,
        "incident": format!("{:032x}", n / 100),
    }))
    .unwrap()
}

/// The event with all its indices.
fn put(tx: &Tx<'_>, event: &Event) -> Result<()> {
    let seq = tx.append(&EVENTS, event)?;
    tx.put(&EVENT_IDS, event.id.as_str(), &seq)?;
    for key in keys::events_by_object(event, seq) {
        tx.put(&EVENTS_BY_OBJECT, &key, &())?;
    }
    if let Some(incident) = &event.incident {
        tx.put(&INCIDENT_EVENTS, &keys::incident_event(incident, seq), &())?;
    }
    Ok(())
}

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("durable_events");
    group.sample_size(20);
    for batch in [1_u64, 100, 1000] {
        group.throughput(Throughput::Elements(batch));
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut n = 0;
        group.bench_function(BenchmarkId::new("store", batch), |b| {
            b.iter_batched(
                || {
                    n += batch;
                    (n - batch..n).map(event).collect::<Vec<_>>()
                },
                |events| store.write_blocking(move |tx| events.iter().try_for_each(|e| put(tx, e))).unwrap(),
                BatchSize::PerIteration,
            );
        });
        let dir = tempfile::tempdir().unwrap();
        let plain = redb::Database::create(dir.path().join("plain.redb")).unwrap();
        let table = redb::TableDefinition::<u64, &[u8]>::new("t");
        let row = serde_json::to_vec(&event(1)).unwrap();
        let mut n = 0;
        group.bench_function(BenchmarkId::new("plain_redb", batch), |b| {
            b.iter(|| {
                let txn = plain.begin_write().unwrap();
                let mut open = txn.open_table(table).unwrap();
                for _ in 0..batch {
                    n += 1;
                    open.insert(n, row.as_slice()).unwrap();
                }
                drop(open);
                txn.commit().unwrap();
            });
        });
    }
    group.finish();
}

fn reads(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for first in (0..PAGED).step_by(1000) {
        store.write_blocking(move |tx| (first..first + 1000).try_for_each(|n| put(tx, &event(n)))).unwrap();
    }
    let mut group = c.benchmark_group("pages");
    let rows = pages::Limits::rows(200);
    group.bench_function("newest_200", |b| {
        b.iter(|| {
            let read = store.snapshot().unwrap();
            black_box(pages::events_back(&read, None, pages::Span::ALL, rows, &|_| true).unwrap())
        });
    });
    group.bench_function("of_an_object_200", |b| {
        let cluster = "c1".into();
        b.iter(|| {
            let read = store.snapshot().unwrap();
            let about = (&cluster, "Deployment/shop/web");
            black_box(pages::events_about(&read, about, None, pages::Span::ALL, rows).unwrap())
        });
    });
    group.bench_function("seek_by_time", |b| {
        let at = jiff::Timestamp::from_second(1_767_000_000 + PAGED as i64 / 3).unwrap();
        b.iter(|| black_box(pages::seq_at(&store.snapshot().unwrap(), at).unwrap()));
    });
    group.throughput(Throughput::Elements(pages::Limits::EXAMINE as u64));
    group.bench_function("filter_one_chunk", |b| {
        b.iter(|| {
            let read = store.snapshot().unwrap();
            black_box(pages::events_back(&read, None, pages::Span::ALL, rows, &|_| false).unwrap())
        });
    });
    group.finish();
}

criterion_group!(benches, writes, reads);
criterion_main!(benches);

use super::{
    super::sample::{event, incident, *},
    *,
};
use crate::{
    event::{ClusterUid, IncidentId, Severity, incident::Member},
    store::{DeliveryState, MEMBERS, Store, keys},
};

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn numbers(page: &Page<(u64, crate::event::Event)>) -> Vec<String> {
    page.rows.iter().map(|(_, e)| e.object.name.clone()).collect()
}

#[test]
fn events_come_newest_first_in_chunks_that_join_up() {
    let (_dir, store) = open();
    store.write_blocking(|tx| (0..25).try_for_each(|n| put_event(tx, &event(n, 100)).map(drop))).unwrap();
    let mut below = None;
    let mut names = Vec::new();
    let mut calls = 0;
    loop {
        let limits = Limits { rows: 3, examine: 4 };
        let odd =
            |e: &crate::event::Event| e.count == 1 && e.object.name.ends_with(['1', '3', '5', '7', '9']);
        let page = events_back(&store.snapshot().unwrap(), below, Span::ALL, limits, &odd).unwrap();
        assert!(page.examined <= 4);
        names.extend(numbers(&page));
        calls += 1;
        match page.next {
            Some(next) => below = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).rev().filter(|n| n % 2 == 1).map(|n| format!("p{n}")).collect();
    assert_eq!(names, expected);
    assert_eq!(calls, 7);
}

#[test]
fn a_span_is_of_the_events_own_time_and_late_events_are_in_it() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| {
            for n in 0..100 {
                // Other logs take numbers too.
                put_delivery(tx, &delivery("c", 0, None, DeliveryState::Delivered))?;
                put_event(tx, &event(n, 1_000 * n as i64))?;
            }
            let mut late = event(200, 100_000);
            late.timestamp = at(40_500);
            put_event(tx, &late).map(drop)
        })
        .unwrap();
    let read = store.snapshot().unwrap();
    let span = Span { since: Some(at(40_000)), until: Some(at(43_000)) };
    let page = events_back(&read, None, span, Limits::rows(10), &|_| true).unwrap();
    assert_eq!(numbers(&page), ["p200", "p42", "p41", "p40"]);
    assert_eq!(page.next, None);
    assert!(page.examined < 70, "stopped at `since`, not at the beginning: {}", page.examined);
    let page = events_on(&read, 0, span, Limits::rows(10), &|_| true).unwrap();
    assert_eq!(numbers(&page), ["p40", "p41", "p42", "p200"]);
    let (seq, found) = event_by_id(&read, &format!("{:032x}", 50)).unwrap().unwrap();
    assert_eq!(seq_at(&read, at(50_000)).unwrap(), seq - 1, "the first number after event 49");
    assert_eq!(found.object.name, "p50");
    assert_eq!(oldest_event(&read).unwrap().unwrap().1, at(0));
    // A follower goes on where it was, and finds what was added since.
    let rest = events_on(&read, page.next.unwrap(), Span::ALL, Limits::rows(10), &|_| true).unwrap();
    assert!(rest.rows.is_empty());
    store.write_blocking(|tx| put_event(tx, &event(300, 100_001))).unwrap();
    let read = store.snapshot().unwrap();
    let page = events_on(&read, rest.next.unwrap(), Span::ALL, Limits::rows(10), &|_| true).unwrap();
    assert_eq!(numbers(&page), ["p300"]);
}

#[test]
fn an_empty_store_has_empty_pages() {
    let (_dir, store) = open();
    let read = store.snapshot().unwrap();
    let page = events_back(&read, None, Span::ALL, Limits::rows(10), &|_| true).unwrap();
    assert_eq!((page.rows.len(), page.next), (0, None));
    assert_eq!(seq_at(&read, at(5)).unwrap(), 0);
    assert_eq!(find_incident(&read, "").unwrap(), Found::Nothing);
    assert!(outbox_counts(&read, 10).unwrap().is_empty());
    assert!(open_incidents(&read).unwrap().is_empty());
}

#[test]
fn events_about_an_object_or_its_subject_go_by_their_own_time() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| [30, 10, 20].iter().try_for_each(|t| put_event(tx, &event(7, *t)).map(drop)))
        .unwrap();
    let read = store.snapshot().unwrap();
    let cluster = ClusterUid("c1".into());
    for about in ["Pod/shop/p7", "Deployment/shop/web"] {
        let mut times = Vec::new();
        let mut before: Option<String> = None;
        loop {
            let page = events_about(&read, (&cluster, about), before.as_deref(), Span::ALL, Limits::rows(1))
                .unwrap();
            times.extend(page.rows.iter().map(|(_, e)| e.timestamp));
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        assert_eq!(times, [at(30), at(20), at(10)]);
        let span = Span { since: Some(at(15)), until: Some(at(30)) };
        let page = events_about(&read, (&cluster, about), None, span, Limits::rows(9)).unwrap();
        assert_eq!(page.rows.iter().map(|(_, e)| e.timestamp).collect::<Vec<_>>(), [at(20)]);
    }
    let none = events_about(&read, (&cluster, "Pod/shop/p"), None, Span::ALL, Limits::rows(9)).unwrap();
    assert!(none.rows.is_empty(), "a name's beginning is not the name");
}

#[test]
fn open_incidents_are_worst_first_and_ended_ones_newest_first() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| {
            for (id, secs, severity, open) in [
                ("a1", 10, Severity::High, true),
                ("a2", 5, Severity::Critical, true),
                ("b1", 1, Severity::High, true),
                ("b2", 20, Severity::Critical, false),
                ("b3", 30, Severity::Low, false),
            ] {
                put_incident(tx, &incident(id, secs, severity, open))?;
            }
            let mut e = event(1, 10);
            for _ in 0..3 {
                e.incident = Some("a1".into());
                put_event(tx, &e)?;
            }
            Ok(())
        })
        .unwrap();
    let read = store.snapshot().unwrap();
    let ids = |list: &[crate::event::incident::Incident]| {
        list.iter().map(|i| i.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&open_incidents(&read).unwrap()), ["a2", "b1", "a1"]);
    let page = ended_incidents(&read, None, Limits::rows(1), &|_| true).unwrap();
    assert_eq!(ids(&page.rows), ["b3"]);
    let page = ended_incidents(&read, page.next.as_deref(), Limits::rows(9), &|_| true).unwrap();
    assert_eq!((ids(&page.rows), page.next), (vec!["b2".to_owned()], None));
    assert!(matches!(find_incident(&read, "b2").unwrap(), Found::One(i) if i.id.as_str() == "b2"));
    assert_eq!(find_incident(&read, "a").unwrap(), Found::Several(vec!["a1".into(), "a2".into()]));
    let id = IncidentId::from("a1");
    let first = events_of_incident(&read, &id, None, Limits::rows(2)).unwrap();
    let rest = events_of_incident(&read, &id, first.next, Limits::rows(2)).unwrap();
    assert_eq!((first.rows.len(), rest.rows.len(), rest.next), (2, 1, None));
    assert!(first.rows[1].0 > rest.rows[0].0);
}

#[test]
fn members_that_fire_come_first() {
    let (_dir, store) = open();
    let member = |name: &str, severity: Severity, ended: bool, affected: bool| -> Member {
        serde_json::from_value(serde_json::json!({
            "fingerprint": name, "object": {"kind": "Pod", "name": name}, "event_type": "pod_crash_loop",
            "severity": severity, "title": "t", "since": at(1), "ended_at": ended.then(|| at(2)),
            "holds": true, "affected": affected, "count": 1,
        }))
        .unwrap()
    };
    let rows = [
        member("w", Severity::Critical, false, true),
        member("x", Severity::Critical, true, false),
        member("y", Severity::Low, false, false),
        member("z", Severity::High, false, false),
    ];
    store
        .write_blocking(move |tx| {
            rows.iter().try_for_each(|m| tx.put(&MEMBERS, &keys::member(&"i".into(), &m.fingerprint), m))
        })
        .unwrap();
    let names: Vec<_> = members(&store.snapshot().unwrap(), &"i".into(), 9)
        .unwrap()
        .into_iter()
        .map(|m| m.object.name)
        .collect();
    assert_eq!(names, ["z", "y", "x", "w"]);
}

#[test]
fn deliveries_are_found_by_filter_and_by_what_they_are_about() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| {
            put_delivery(tx, &delivery("slack", 1, Some("i1"), DeliveryState::Delivered))?;
            put_delivery(tx, &delivery("slack", 2, Some("i2"), DeliveryState::Dead))?;
            put_delivery(tx, &delivery("hook", 3, Some("i1"), DeliveryState::Delivered)).map(drop)
        })
        .unwrap();
    let read = store.snapshot().unwrap();
    let page = deliveries_back(&read, None, Limits::rows(9), &|d| d.connector == "slack").unwrap();
    assert_eq!(page.rows.iter().map(|(_, d)| d.at).collect::<Vec<_>>(), [at(2), at(1)]);
    let page = deliveries_about(&read, "i1", None, Limits::rows(9)).unwrap();
    assert_eq!(page.rows.iter().map(|(_, d)| d.at).collect::<Vec<_>>(), [at(3), at(1)]);
    let page = deliveries_about(&read, "e", None, Limits::rows(2)).unwrap();
    let rest = deliveries_about(&read, "e", page.next, Limits::rows(2)).unwrap();
    assert_eq!((page.rows.len(), rest.rows.len(), rest.next), (2, 1, None));
}

#[test]
fn the_outbox_is_counted_by_connector() {
    let (_dir, store) = open();
    store
        .write_blocking(|tx| {
            for (n, (name, claimed)) in
                [("a", false), ("a-b", true), ("a", true), ("a", false), ("z", false)].into_iter().enumerate()
            {
                put_outbox(tx, name, 10 - n as i64, claimed)?;
            }
            Ok(())
        })
        .unwrap();
    let read = store.snapshot().unwrap();
    let counts = outbox_counts(&read, 100).unwrap();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "a-b", "z"]);
    assert_eq!((counts["a"].queued, counts["a"].claimed, counts["a"].oldest), (2, 1, Some(at(7))));
    assert_eq!((counts["a-b"].queued, counts["a-b"].claimed), (0, 1));
    let counts = outbox_counts(&read, 2).unwrap();
    assert!(counts["a"].more && !counts["z"].more);
}

//! Facts that are told as they are: one certificate, and the time of an Event.

use base64::Engine as _;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

/// A cluster in which nothing happens.
fn quiet() -> Rig {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0);
        None
    });
    rig.cluster().delete("cronjobs", "batch", "backup").unwrap();
    rig.start();
    rig
}

/// One that ends at midnight, so many days from the last.
fn certificate(rig: &Rig, days: i64) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    let end = (rig.now() + SignedDuration::from_hours(24 * days)).to_zoned(jiff::tz::TimeZone::UTC);
    params.not_after = rcgen::date_time_ymd(end.year().into(), end.month() as u8, end.day() as u8);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    let text = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
    let pem = params.self_signed(&key).unwrap().pem();
    rig.cluster()
        .create(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "namespace": "shop", "name": "soon" },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": text(pem), "tls.key": text(key.serialize_pem()) },
        }))
        .unwrap();
}

#[test]
fn a_certificate_is_one_trouble_that_gets_worse() {
    // Both marks passed before it was seen, and one after the other.
    for (days, told) in [
        (5, vec!["hook opened certificate_expiring critical"]),
        (8, vec!["hook opened certificate_expiring high", "hook worse certificate_expiring critical"]),
    ] {
        let mut rig = quiet();
        // A quarter past midnight, because certificates are made for whole days here.
        rig.advance(12 * 3600 + 900);
        certificate(&rig, days);
        rig.advance(2 * 86_400);
        let of: Vec<String> = rig.told().into_iter().filter(|t| !t.contains("repeated")).collect();
        assert_eq!(of, told, "{:#?}", rig.story());
        let incident = rig.incident("Secret/shop/soon");
        assert_eq!((incident.members, incident.events), (1, told.len() as u64), "{incident:#?}");
        assert!(
            rig.sent[0].message.event.title.ends_with(&format!("expires in {days} days")),
            "{:#?}",
            rig.sent[0]
        );
    }
}

#[test]
fn an_event_with_a_time_that_cannot_be_is_of_the_time_at_which_it_was_written() {
    let mut rig = quiet();
    rig.advance(60);
    let at = rig.now();
    for (n, time) in ["2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z"].iter().enumerate() {
        rig.cluster()
            .create(json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": { "namespace": "shop", "name": format!("odd.{n}") },
                "type": "Warning",
                "reason": "OddThing",
                "message": "of another time",
                "involvedObject": { "kind": "Widget", "namespace": "shop", "name": format!("w{n}"), "uid": format!("w{n}") },
                "source": { "component": "widgets" },
                "count": 1, "firstTimestamp": time, "lastTimestamp": time,
            }))
            .unwrap();
    }
    rig.advance(60);
    let found: Vec<_> =
        rig.events().into_iter().filter(|e| e.details.get("reason") == Some(&json!("OddThing"))).collect();
    assert_eq!(found.len(), 2, "{:#?}", rig.story());
    assert!(found.iter().all(|e| e.timestamp.duration_since(at).as_secs() == 0), "{found:#?}");
    for (n, event) in found.iter().enumerate() {
        assert_eq!(rig.incident(&format!("Widget/shop/w{n}")).opened_at, event.timestamp);
    }
}

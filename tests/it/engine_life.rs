//! The life of incidents and of what is said about them, on a clock of the test's own.

use barrelman::{
    event::{
        EventType, Kind, Status,
        incident::{IncidentStatus, Phase},
    },
    store::DeliveryState,
};

use crate::support::rig::{HOOK, Rig};

const WEB: &str = "Deployment/shop/web";

#[test]
fn a_first_start_says_nothing_even_where_things_are_broken() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        let start = crate::support::noon();
        let mut sim = barrelman::demo::Sim::demo(cluster, start - jiff::SignedDuration::from_mins(30), 1.0);
        sim.rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
        sim.node_down("node-b", true).unwrap();
        sim.node_down("node-c", true).unwrap();
        sim.advance(start);
        Some(sim)
    });
    rig.start();
    rig.advance(900);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    let open: Vec<_> = rig.incidents().into_iter().filter(|i| i.status == IncidentStatus::Open).collect();
    assert!(open.iter().any(|i| i.subject.key() == WEB && i.standing), "{open:#?}");
    assert!(open.iter().any(|i| i.subject.key() == "Node//node-b" && i.standing), "{open:#?}");
    // It heals without a word.
    rig.sim().node_down("node-b", false).unwrap();
    rig.sim().node_down("node-c", false).unwrap();
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(1200);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
}

#[test]
fn a_crash_loop_is_one_message_and_one_at_its_end() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    assert_eq!(rig.told(), ["hook opened pod_crash_loop critical"], "{:#?}", rig.story());
    // pod_restarted came first.
    let first = rig.events().into_iter().find(|e| e.incident.is_some()).unwrap();
    assert_ne!(first.event_type, EventType::PodCrashLoop, "{:#?}", rig.story());
    assert_eq!(rig.incident(WEB).subject.key(), WEB);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(1000);
    assert_eq!(
        rig.told(),
        ["hook opened pod_crash_loop critical", "hook resolved pod_crash_loop critical"],
        "{:#?}",
        rig.story()
    );
}

#[test]
fn what_heals_while_it_waits_is_not_told_but_written_down() {
    let mut rig = Rig::shop_with(&format!("[incidents.settle_secs]\nhigh = 120\n{HOOK}"));
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
    rig.advance(20);
    assert_eq!(rig.outbox().len(), 1, "{:#?}", rig.story());
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(300);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved);
    let rows = rig.deliveries();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0].state, DeliveryState::Dropped);
    assert!(
        rows[0].detail.starts_with("not told, healed in ") && rows[0].detail.ends_with(" s"),
        "{rows:#?}"
    );
}

#[test]
fn worse_takes_the_place_of_what_waits_and_is_told_after_what_was_told() {
    let mut rig = Rig::shop();
    // Told at once as high, then a second trouble of the same workload is critical.
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(
        rig.told(),
        ["hook opened image_pull_failed high", "hook worse service_unavailable critical"],
        "{:#?}",
        rig.story()
    );
    assert_eq!(
        rig.sent[0].message.incident.as_ref().unwrap().id,
        rig.sent[1].message.incident.as_ref().unwrap().id
    );
}

#[test]
fn resolved_waits_until_the_end_has_held_and_the_subject_has_its_wanted_count() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    rig.sim().recover("shop/search").unwrap();
    rig.advance(45);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    // It breaks again before the end has held: nobody is told, nothing ends.
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(45);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(50);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    rig.advance(30);
    assert_eq!(rig.told()[1..], ["hook resolved service_unavailable critical"], "{:#?}", rig.story());
    let search = rig.incident("Deployment/shop/search");
    assert_eq!(search.reopened, 0, "{:#?}", rig.story());
    let last = rig.sent[1].message.incident.clone().unwrap();
    assert_eq!(last.ready, Some((2, 2)));
    assert_eq!(last.status, IncidentStatus::Resolved);
}

#[test]
fn a_subject_short_of_its_wanted_count_stays_open() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    // The Service has an endpoint again; the Deployment is still short.
    rig.watched[0].sim = None;
    rig.cluster()
        .update("endpointslices", "shop", &slice(&rig, "search"), |s| {
            s["endpoints"][0]["conditions"]["ready"] = true.into();
        })
        .unwrap();
    rig.advance(75);
    let ended =
        rig.events_of(EventType::ServiceUnavailable).into_iter().any(|e| e.status == Status::Resolved);
    assert!(ended, "{:#?}", rig.story());
    assert_eq!(rig.incident("Deployment/shop/search").status, IncidentStatus::Open, "{:#?}", rig.story());
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    rig.cluster()
        .update("deployments", "shop", "search", |d| d["status"]["readyReplicas"] = 2.into())
        .unwrap();
    let pods = rig.cluster().list(Kind::Pod);
    for pod in pods.iter().filter(|p| p["metadata"]["name"].as_str().unwrap().starts_with("search-")) {
        let ready = |pod: &mut serde_json::Value| {
            let conditions = pod["status"]["conditions"].as_array_mut().unwrap();
            conditions.iter_mut().filter(|c| c["type"] == "Ready").for_each(|c| c["status"] = "True".into());
        };
        rig.cluster().update("pods", "shop", pod["metadata"]["name"].as_str().unwrap(), ready).unwrap();
    }
    let whole_at = rig.now();
    // That has to hold, too.
    rig.advance(55);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    rig.advance(10);
    let told = rig.about("Deployment/shop/search", Phase::Resolved);
    assert_eq!(told.len(), 1, "{:#?}", rig.story());
    // The Service was back long before: how long each of them took is said of each.
    let event = &told[0].message.event;
    let own = &rig.events_of(EventType::ServiceUnavailable)[1];
    assert_eq!((&event.title, &event.details["duration_secs"]), (&own.title, &own.details["duration_secs"]));
    assert!(event.timestamp >= whole_at && event.timestamp > own.timestamp, "{event:#?}");
    assert!(
        event.description.ends_with("not ready. Deployment search was well again after 105 s."),
        "{event:#?}"
    );
}

fn slice(rig: &Rig, service: &str) -> String {
    let slices = rig.cluster().list(Kind::EndpointSlice);
    let of = |s: &&std::sync::Arc<serde_json::Value>| {
        s["metadata"]["labels"]["kubernetes.io/service-name"] == service
    };
    slices.iter().find(of).unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn one_shots_end_quietly() {
    let mut rig = Rig::shop();
    rig.sim().oom("shop/cart", 1).unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened pod_oom_restart high"], "{:#?}", rig.story());
    assert_eq!(rig.incident("Deployment/shop/cart").status, IncidentStatus::Open);
    rig.advance(3700);
    assert_eq!(rig.incident("Deployment/shop/cart").status, IncidentStatus::Resolved, "{:#?}", rig.story());
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
}

#[test]
fn what_stood_is_told_when_it_gets_worse() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        let start = crate::support::noon();
        let mut sim = barrelman::demo::Sim::demo(cluster, start - jiff::SignedDuration::from_mins(5), 1.0);
        sim.rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
        sim.advance(start);
        Some(sim)
    });
    rig.start();
    rig.advance(200);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    rig.sim().recover("shop/web").unwrap();
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(600);
    assert_eq!(rig.about(WEB, Phase::Resolved).len(), 1, "{:#?}", rig.story());
}

/// Broken for half a minute, well for a while.
fn break_and_heal(rig: &mut Rig, well_secs: i64) {
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(well_secs);
}

#[test]
fn reopened_within_a_quarter_of_an_hour_and_flapping_at_the_second_time() {
    let mut rig = Rig::shop();
    for _ in 0..5 {
        break_and_heal(&mut rig, 200);
    }
    let words =
        |rig: &Rig| -> Vec<String> { rig.sent.iter().map(|s| s.message.phase.as_str().to_owned()).collect() };
    assert_eq!(words(&rig), ["opened", "resolved", "reopened", "resolved", "flapping"], "{:#?}", rig.story());
    assert_eq!(rig.incidents().len(), 1);
    // Silence until it has stayed resolved for a quarter of an hour; then its one resolve, which says so.
    rig.advance(1000);
    assert_eq!(words(&rig)[5..], ["resolved"], "{:#?}", rig.story());
    let last = &rig.sent[5].message;
    assert_eq!(last.event.status, Status::Resolved);
    assert_eq!(last.incident.as_ref().unwrap().status, IncidentStatus::Resolved);
    let ids: std::collections::BTreeSet<_> = rig.sent.iter().map(|s| s.message.id.as_str()).collect();
    assert_eq!(ids.len(), rig.sent.len());
    // After that it is another incident.
    break_and_heal(&mut rig, 10);
    assert_eq!(rig.incidents().len(), 2, "{:#?}", rig.story());
    assert_eq!(words(&rig)[6..], ["opened"]);
}

#[test]
fn reminders_come_every_repeat_interval_while_it_is_open() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(4 * 3600 - 60);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Repeated).len(), 0, "{:#?}", rig.told());
    rig.advance(120);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Repeated).len(), 1, "{:#?}", rig.told());
    rig.restart();
    rig.advance(4 * 3600);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Repeated).len(), 2, "{:#?}", rig.told());
    rig.sim().recover("shop/search").unwrap();
    rig.advance(9 * 3600);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Repeated).len(), 2, "{:#?}", rig.told());
    assert_eq!(rig.about("Deployment/shop/search", Phase::Resolved).len(), 1);
}

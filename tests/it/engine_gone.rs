//! The end of an incident whose subject is deleted, and one-shots that come while an end waits.

use barrelman::{
    event::{
        EventType, Kind, Status,
        incident::{IncidentStatus, Phase},
    },
    store::DeliveryState,
};
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

const SEARCH: &str = "Deployment/shop/search";
const SEARCH_SERVICE: &str = "Service/shop/search";

fn phases(rig: &Rig) -> Vec<&'static str> {
    rig.sent.iter().map(|s| s.message.phase.as_str()).collect()
}

fn silent(rig: &mut Rig, node: &str) {
    rig.watched[0].sim = None;
    let now = rig.now().to_string();
    rig.cluster()
        .update("nodes", "", node, |n| {
            let conditions = n["status"]["conditions"].as_array_mut().unwrap();
            let ready = conditions.iter_mut().find(|c| c["type"] == "Ready").unwrap();
            ready["status"] = json!("Unknown");
            ready["lastTransitionTime"] = json!(now);
        })
        .unwrap();
}

/// One that takes only the removal of nodes, beside the one that takes everything.
fn with_narrow() -> String {
    format!(
        "{HOOK}\n[[connectors]]\nname = \"narrow\"\ntype = \"webhook\"\nenabled = true\n\
         [connectors.config]\nevents = [\"node_scaled_down\"]\nurl = \"http://127.0.0.1:9/narrow\"\n"
    )
}

#[test]
fn a_lost_node_that_is_deleted_is_resolved_once_as_removed() {
    let mut rig = Rig::shop_with(&with_narrow());
    silent(&mut rig, "node-b");
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened node_unhealthy critical"], "{:#?}", rig.story());
    rig.cluster().delete("nodes", "", "node-b").unwrap();
    rig.advance(60);
    assert_eq!(
        rig.told()[1..],
        ["hook resolved node_unhealthy critical", "narrow opened node_scaled_down medium"],
        "{:#?}",
        rig.story()
    );
    let end = &rig.sent[1].message;
    assert!(end.event.description.starts_with("Node node-b was removed. It was: "), "{:#?}", end.event);
    assert_eq!(end.event.details["removed"], true);
    let said = barrelman::connector::text::Message::of(end).plain();
    assert!(said.contains("\nNode node-b was removed\n"), "{said}");
    let node = rig.incident("Node//node-b");
    assert_eq!((node.status, node.reopened), (IncidentStatus::Resolved, 0), "{node:#?}");
    assert_eq!(node.event_type, EventType::NodeUnhealthy);
    assert!(node.resolved_at.unwrap() > node.opened_at, "{node:#?}");
    // The removal is part of its story, and nothing more comes of it.
    let removed = rig.events_of(EventType::NodeScaledDown);
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].incident, Some(node.id));
    rig.advance(300);
    assert_eq!(rig.sent.len(), 3, "{:#?}", rig.story());
    assert!(rig.outbox().is_empty());
}

#[test]
fn a_node_that_was_reopened_and_is_deleted_is_resolved_again() {
    let mut rig = Rig::shop();
    silent(&mut rig, "node-b");
    rig.advance(60);
    let since = rig.now().to_string();
    rig.cluster()
        .update("nodes", "", "node-b", |n| {
            let conditions = n["status"]["conditions"].as_array_mut().unwrap();
            let ready = conditions.iter_mut().find(|c| c["type"] == "Ready").unwrap();
            (ready["status"], ready["lastTransitionTime"]) = (json!("True"), json!(since));
        })
        .unwrap();
    rig.advance(200);
    silent(&mut rig, "node-b");
    rig.advance(60);
    assert_eq!(phases(&rig), ["opened", "resolved", "reopened"], "{:#?}", rig.story());
    rig.cluster().delete("nodes", "", "node-b").unwrap();
    rig.advance(60);
    assert_eq!(phases(&rig)[3..], ["resolved"], "{:#?}", rig.story());
}

#[test]
fn a_node_that_is_removed_while_it_is_well_is_told_as_before() {
    let mut rig = Rig::shop();
    rig.watched[0].sim = None;
    rig.cluster().delete("nodes", "", "node-b").unwrap();
    rig.advance(60);
    assert_eq!(rig.about("Node//node-b", Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn a_removal_is_told_where_the_trouble_before_it_was_not() {
    let mut rig = Rig::shop_with(&format!("[incidents.settle_secs]\ncritical = 300\n{HOOK}"));
    silent(&mut rig, "node-b");
    rig.advance(60);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    rig.cluster().delete("nodes", "", "node-b").unwrap();
    rig.advance(400);
    let unsaid = rig.deliveries().into_iter().find(|d| d.event_type == EventType::NodeUnhealthy).unwrap();
    assert_eq!(unsaid.state, DeliveryState::Dropped);
    assert_eq!(
        rig.about("Node//node-b", Phase::Opened)[0].message.event.event_type,
        EventType::NodeScaledDown,
        "{:#?}",
        rig.story()
    );
    assert_eq!(rig.about("Node//node-b", Phase::Resolved).len(), 0, "{:#?}", rig.story());
}

/// Told, and over: its end waits for the sink.
fn ended_while_the_sink_is_down() -> Rig {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sink_up = false;
    rig.sim().recover("shop/search").unwrap();
    rig.advance(200);
    assert_eq!(rig.incident(SEARCH).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    rig
}

#[test]
fn a_one_shot_takes_no_waiting_end_away() {
    let mut rig = ended_while_the_sink_is_down();
    rig.sim().oom("shop/search", 1).unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    rig.sink_up = true;
    rig.advance(60);
    assert_eq!(
        rig.told()[1..],
        ["hook resolved service_unavailable critical", "hook reopened pod_oom_restart high"],
        "{:#?}",
        rig.story()
    );
    // A trouble that holds is no news but the same one going on: it takes the end back.
    let mut rig = ended_while_the_sink_is_down();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sink_up = true;
    rig.advance(30);
    assert_eq!(phases(&rig), ["opened"], "{:#?}", rig.story());
}

#[test]
fn a_one_shot_takes_the_end_of_what_flaps_not_away() {
    let mut rig = Rig::shop();
    for _ in 0..3 {
        rig.sim().fail_probes("shop/search").unwrap();
        rig.advance(30);
        rig.sim().recover("shop/search").unwrap();
        rig.advance(200);
    }
    assert_eq!(
        phases(&rig),
        ["opened", "resolved", "reopened", "resolved", "flapping"],
        "{:#?}",
        rig.story()
    );
    rig.sim().oom("shop/search", 1).unwrap();
    rig.advance(600);
    assert_eq!(rig.sent.len(), 5, "{:#?}", rig.story());
    rig.advance(400);
    assert_eq!(phases(&rig)[5..], ["resolved"], "{:#?}", rig.story());
    let end = rig.sent[5].message.incident.as_ref().unwrap();
    assert_eq!(end.status, IncidentStatus::Resolved);
    rig.advance(5 * 3600);
    assert_eq!(rig.sent.len(), 6, "{:#?}", rig.story());
}

/// As its garbage collector does: the Deployment first, its Pods a moment later.
fn delete_search(rig: &mut Rig) {
    rig.watched[0].sim = None;
    rig.cluster().delete("deployments", "shop", "search").unwrap();
    rig.advance(1);
    for (kind, plural) in [(Kind::ReplicaSet, "replicasets"), (Kind::Pod, "pods")] {
        for object in rig.cluster().list(kind) {
            let name = object["metadata"]["name"].as_str().unwrap();
            if name.starts_with("search-") {
                rig.cluster().delete(plural, "shop", name).unwrap();
            }
        }
        rig.advance(2);
    }
}

#[test]
fn a_deleted_workload_ends_its_incident_and_its_service_is_one_of_its_own() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/search", "registry.example.com/shop/search:2.0.0", "crash").unwrap();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(120);
    let told = rig.sent.len();
    let before = rig.incident(SEARCH);
    assert!(before.holding > 1, "{:#?}", rig.story());
    delete_search(&mut rig);
    rig.advance(30);
    let ended = rig.incident(SEARCH);
    assert_eq!((ended.status, ended.holding), (IncidentStatus::Resolved, 0), "{:#?}", rig.story());
    assert_eq!(phases(&rig)[told..], ["resolved"], "{:#?}", rig.story());
    let end = &rig.sent[told].message;
    assert!(end.event.description.starts_with("Deployment search was removed. "), "{:#?}", end.event);
    // Whoever deletes the one often deletes the other.
    rig.advance(20);
    assert_eq!(rig.sent.len(), told + 1, "{:#?}", rig.story());
    rig.advance(60);
    let own = rig.incident(SEARCH_SERVICE);
    assert_eq!((own.status, own.event_type), (IncidentStatus::Open, EventType::ServiceUnavailable));
    assert_eq!(rig.about(SEARCH_SERVICE, Phase::Opened).len(), 1, "{:#?}", rig.story());
    assert_eq!(rig.incident(SEARCH).status, IncidentStatus::Resolved);
    // It lives on by itself, over a restart too.
    rig.restart();
    rig.cluster().delete("services", "shop", "search").unwrap();
    rig.advance(10);
    assert_eq!(rig.about(SEARCH_SERVICE, Phase::Resolved).len(), 1, "{:#?}", rig.story());
    assert_eq!(rig.sent.len(), told + 3, "{:#?}", rig.story());
}

#[test]
fn an_end_by_removal_says_that_what_was_told_goes_on() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    delete_search(&mut rig);
    rig.advance(20);
    let end = &rig.sent[1].message;
    assert_eq!((end.phase, end.event.status), (Phase::Resolved, Status::Resolved));
    let title = "Deployment search was removed; still so: Service search has no ready endpoint";
    assert_eq!(end.event.title, title);
    let said = &end.event.description;
    let way =
        "Deployment search was removed, and what stays so is told anew, as a trouble of Service/search.";
    assert!(said.starts_with(way) && !said.contains("It was"), "{said}");
    let plain = barrelman::connector::text::Message::of(end).plain();
    assert!(plain.contains(&format!("RESOLVED: {title}\n")) && !plain.contains("over after"), "{plain}");
    // And so it is told.
    rig.advance(60);
    assert_eq!(rig.about(SEARCH_SERVICE, Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn what_goes_with_its_namespace_is_not_called_still_so() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(60);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    rig.watched[0].sim = None;
    let now = rig.now().to_string();
    rig.cluster()
        .update("namespaces", "", "shop", |ns| {
            ns["metadata"]["deletionTimestamp"] = json!(now);
            ns["status"]["phase"] = json!("Terminating");
        })
        .unwrap();
    delete_search(&mut rig);
    rig.advance(20);
    let end = &rig.about(SEARCH, Phase::Resolved)[0].message;
    let said = &end.event.description;
    assert!(
        end.event.title.starts_with("Service search has no ready endpoint — over after "),
        "{}",
        end.event.title
    );
    let how = "Deployment search was removed: all of namespace shop is being deleted";
    assert!(said.starts_with(&format!("{how}. It was")), "{said}");
    let plain = barrelman::connector::text::Message::of(end).plain();
    assert!(plain.contains(how), "{plain}");
    rig.cluster().delete("services", "shop", "search").unwrap();
    rig.advance(300);
    assert!(rig.incidents().iter().all(|i| i.subject.key() != SEARCH_SERVICE), "{:#?}", rig.story());
}

#[test]
fn a_workload_that_is_deleted_with_its_service_ends_with_one_message() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(60);
    let told = rig.sent.len();
    delete_search(&mut rig);
    rig.advance(20);
    rig.restart();
    rig.cluster().delete("services", "shop", "search").unwrap();
    rig.advance(300);
    assert_eq!(phases(&rig)[told..], ["resolved"], "{:#?}", rig.story());
    assert!(rig.incidents().iter().all(|i| i.subject.key() != SEARCH_SERVICE), "{:#?}", rig.story());
}

/// How many rows are read while a Deployment of so many Pods without an image goes, its owner first.
fn rows_of_deletion(pods: usize) -> u64 {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0);
        None
    });
    let owned = |kind: &str, version: &str, name: &str, uid: &str, owner: Option<(&str, &str)>| {
        let owner = owner.map(|(kind, name)| {
            json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true})
        });
        json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": "shop", "name": name, "uid": uid,
            "labels": {"app": "big"}, "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
            "spec": {"replicas": pods, "selector": {"matchLabels": {"app": "big"}},
                "template": {"metadata": {"labels": {"app": "big"}}, "spec": {"containers": []}}}})
    };
    let cluster = rig.cluster().clone();
    cluster.create(owned("Deployment", "apps/v1", "big", "big", None)).unwrap();
    cluster.create(owned("ReplicaSet", "apps/v1", "big-1", "big-1", Some(("Deployment", "big")))).unwrap();
    rig.start();
    for n in 0..pods {
        let name = format!("big-1-{n}");
        let mut pod = owned("Pod", "v1", &name, &name, Some(("ReplicaSet", "big-1")));
        pod["spec"] = json!({"nodeName": "node-a", "containers": [{"name": "app", "image": "nope"}]});
        pod["status"] = json!({"phase": "Pending", "containerStatuses": [{"name": "app", "image": "nope",
            "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]});
        cluster.create(pod).unwrap();
    }
    rig.advance(60);
    let big = rig.incident("Deployment/shop/big");
    assert_eq!(big.holding as usize, pods, "{big:#?}");
    cluster.delete("deployments", "shop", "big").unwrap();
    rig.watch();
    cluster.delete("replicasets", "shop", "big-1").unwrap();
    // The newest first: each time what the incident is called after goes.
    for n in (0..pods).rev() {
        cluster.delete("pods", "shop", &format!("big-1-{n}")).unwrap();
    }
    let before = rig.rows_read;
    rig.watch();
    assert_eq!(rig.incident("Deployment/shop/big").status, IncidentStatus::Resolved, "{:#?}", rig.told());
    rig.rows_read - before
}

#[test]
fn a_workload_of_many_failing_pods_goes_for_a_few_rows_each() {
    let (few, many) = (rows_of_deletion(30), rows_of_deletion(240));
    // Eight times as many, and a little more for where the first that is left is found.
    assert!(many < few * 16, "{few} {many}");
}

//! Nodes and clusters as causes, Kubernetes Events, suspects.

use barrelman::{
    event::{
        EventType, Kind, Role,
        incident::{IncidentStatus, Phase},
    },
    object::Said,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

/// A Deployment with all its pods on one node, and a Service of its own.
fn all_on(rig: &mut Rig, node: &str) {
    for other in ["node-a", "node-b", "node-c", "node-d", "node-e"] {
        if other != node {
            rig.sim().cordon(other, true).unwrap();
        }
    }
    rig.sim().restart("shop/search", "none").unwrap();
    rig.advance(120);
    for other in ["node-a", "node-b", "node-c", "node-d", "node-e"] {
        if other != node {
            rig.sim().cordon(other, false).unwrap();
        }
    }
    rig.advance(60);
    rig.sent.clear();
}

#[test]
fn what_a_lost_node_takes_down_belongs_to_the_node() {
    let mut rig = Rig::shop();
    all_on(&mut rig, "node-a");
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(200);
    assert_eq!(rig.told(), ["hook opened node_unhealthy critical"], "{:#?}", rig.story());
    let node = rig.incident("Node//node-a");
    let affected: Vec<_> =
        rig.members(&node).into_iter().filter(|m| m.affected).map(|m| m.event_type).collect();
    assert!(affected.contains(&EventType::ServiceUnavailable), "{affected:?} {:#?}", rig.story());
    assert!(affected.contains(&EventType::PodUnready), "{affected:?} {:#?}", rig.story());
    assert!(node.affected >= 2 && node.holding == 1, "{node:#?}");
    rig.sim().node_down("node-a", false).unwrap();
    rig.advance(900);
    assert_eq!(
        rig.told(),
        ["hook opened node_unhealthy critical", "hook resolved node_unhealthy critical"],
        "{:#?}",
        rig.story()
    );
}

#[test]
fn a_node_that_stays_lost_is_one_incident_also_when_its_pods_are_replaced() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(1200);
    assert_eq!(rig.told(), ["hook opened node_unhealthy critical"], "{:#?}", rig.story());
}

#[test]
fn what_still_fails_five_minutes_after_its_node_is_back_is_its_own() {
    let mut rig = Rig::shop();
    all_on(&mut rig, "node-a");
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(30);
    // The node is back, its pods fail on: being unready for so long is a new trouble, the old one waits its time.
    rig.sim().node_down("node-a", false).unwrap();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(61);
    let told = |rig: &Rig| rig.told().iter().filter(|t| t.contains("service_unavailable critical")).count();
    rig.advance(290);
    let before = told(&rig);
    rig.advance(20);
    assert_eq!((before, told(&rig)), (0, 1), "{:#?}", rig.story());
    assert_eq!(rig.incident("Node//node-a").status, IncidentStatus::Resolved);
    assert_eq!(rig.incident("Deployment/shop/search").status, IncidentStatus::Open);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(300);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Resolved).len(), 1, "{:#?}", rig.story());
}

#[test]
fn many_nodes_at_once_are_the_clusters_trouble_and_untold_ones_are_taken_in() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.sim().node_down("node-b", true).unwrap();
    rig.sim().node_down("node-c", true).unwrap();
    rig.advance(30);
    let told = rig.told();
    assert!(told.contains(&"hook opened cluster_unhealthy critical".to_owned()), "{:#?}", rig.story());
    // The first was written in the same moment as the second: neither need be told.
    let nodes = told.iter().filter(|t| t.contains("node_unhealthy")).count();
    assert_eq!(nodes, 0, "{told:#?}");
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(900);
    let ends = rig.told().iter().filter(|t| t.contains("resolved cluster_unhealthy")).count();
    assert_eq!(ends, 1, "{:#?}", rig.story());
    assert!(rig.incidents().iter().all(|i| i.status == IncidentStatus::Resolved), "{:#?}", rig.story());
}

#[test]
fn the_clusters_end_is_when_its_nodes_were_well_again_also_by_removal() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(30);
    rig.sim().node_down("node-a", false).unwrap();
    rig.advance(20);
    for node in ["node-b", "node-c"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(10);
    // With node-c away there is but one that is not ready; node-a has only to stay ready.
    rig.sim();
    rig.cluster().delete("nodes", "", "node-c").unwrap();
    let removed = rig.now();
    rig.advance(120);
    let of_cluster = rig.events_of(EventType::ClusterUnhealthy);
    let [began, end] = of_cluster.as_slice() else { panic!("{of_cluster:#?} {:#?}", rig.story()) };
    assert!(end.timestamp >= removed && end.timestamp > began.timestamp, "{end:#?}");
    assert!(!end.title.contains("over after 0 s"), "{}", end.title);
    assert_eq!(end.details["duration_secs"], end.timestamp.duration_since(began.timestamp).as_secs());
}

#[test]
fn a_node_that_was_taken_in_and_stays_lost_is_told_when_the_cluster_is_well() {
    let mut rig = Rig::shop();
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(100);
    rig.sent.clear();
    rig.sim().node_down("node-b", false).unwrap();
    rig.sim().node_down("node-c", false).unwrap();
    let over = |rig: &Rig| rig.told().iter().any(|t| t.contains("resolved cluster_unhealthy"));
    for _ in 0..120 {
        rig.advance(1);
        if over(&rig) {
            break;
        }
    }
    assert!(over(&rig), "{:#?}", rig.story());
    rig.advance(15);
    assert_eq!(rig.about("Node//node-a", Phase::Opened).len(), 1, "{:#?}", rig.story());
    rig.advance(600);
    assert_eq!(rig.about("Node//node-a", Phase::Opened).len(), 1, "once: {:#?}", rig.story());
}

#[test]
fn a_node_that_is_lost_after_another_came_back_is_one_node_not_many() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(30);
    rig.sim().node_down("node-a", false).unwrap();
    rig.advance(20);
    rig.sim().node_down("node-b", true).unwrap();
    rig.advance(300);
    let told = rig.told();
    assert!(!told.iter().any(|t| t.contains("cluster_unhealthy")), "{told:#?}");
    assert_eq!(rig.about("Node//node-a", Phase::Resolved).len(), 1, "{told:#?}");
    assert_eq!(rig.about("Node//node-b", Phase::Opened).len(), 1, "{told:#?}");
    assert_eq!(rig.incident("Node//node-b").status, IncidentStatus::Open);
}

fn warning(rig: &Rig, name: &str, pod: &str, reason: &str, count: u32) -> serde_json::Value {
    let found = rig.cluster().get("pods", "shop", pod).unwrap();
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"},
        "type": "Warning", "reason": reason, "message": format!("{reason} it says"), "count": count,
        "firstTimestamp": rig.now().to_string(), "lastTimestamp": rig.now().to_string(),
        "source": {"component": "kubelet"},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": "shop", "name": pod,
            "uid": found["metadata"]["uid"]}})
}

fn pod_of(rig: &Rig, app: &str) -> String {
    let pods = rig.cluster().list(Kind::Pod);
    let of =
        |p: &&std::sync::Arc<serde_json::Value>| p["metadata"]["labels"]["app.kubernetes.io/name"] == app;
    pods.iter().find(of).unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_kubernetes_event_that_a_detector_speaks_for_joins_and_does_not_lead() {
    let mut rig = Rig::shop();
    let pod = pod_of(&rig, "search");
    let event = warning(&rig, "backoff", &pod, "BackOff", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(900);
    // The pod is well: nobody was told, nothing was opened; the Event is stored.
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    assert_eq!(rig.incidents().len(), 0);
    assert_eq!(rig.events_of(EventType::KubernetesEvent).iter().filter(|e| e.role == Role::Joins).count(), 1);
    // One that comes before its detector joins what that opens.
    let event = warning(&rig, "unhealthy", &pod, "Unhealthy", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(1);
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(300);
    let search = rig.incident("Deployment/shop/search");
    let joined = rig.events_of(EventType::KubernetesEvent);
    let joined = joined.iter().find(|e| e.details["reason"] == "Unhealthy").unwrap();
    assert_eq!(joined.incident.as_ref(), Some(&search.id), "{:#?}", rig.story());
}

#[test]
fn a_kubernetes_event_leads_where_its_detector_may_not_watch() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| Some(barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0)));
    rig.watched[0].shut = vec![Kind::Pod];
    rig.start();
    rig.advance(1);
    let pod = pod_of(&rig, "search");
    let event = warning(&rig, "backoff", &pod, "BackOff", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(400);
    assert_eq!(rig.told(), ["hook opened kubernetes_event medium"], "{:#?}", rig.story());
}

#[test]
fn a_pending_join_survives_a_restart_and_does_not_lead_before_the_cluster_answers() {
    let mut rig = Rig::shop();
    let pod = pod_of(&rig, "search");
    let event = warning(&rig, "backoff", &pod, "BackOff", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(1);
    rig.stop();
    rig.unwatched(4000);
    rig.begin();
    // The process runs for a while before it reaches the cluster.
    rig.say(Vec::new());
    rig.say(Vec::new());
    rig.start();
    rig.advance(60);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
}

#[test]
fn a_warning_that_nobody_speaks_for_leads_and_is_folded() {
    let mut rig = Rig::shop();
    let pod = pod_of(&rig, "search");
    let event = warning(&rig, "quota", &pod, "SomeControllerSays", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(30);
    assert_eq!(rig.told(), ["hook opened kubernetes_event medium"], "{:#?}", rig.story());
    for count in 2..6 {
        let last = rig.now().to_string();
        rig.cluster()
            .update("events", "shop", "quota", |e| {
                e["count"] = json!(count);
                e["lastTimestamp"] = json!(last);
                e["message"] = json!(format!("said {count} times"));
            })
            .unwrap();
        rig.advance(30);
    }
    let ours = |rig: &Rig| {
        let mut events = rig.events_of(EventType::KubernetesEvent);
        events.retain(|e| e.details["reason"] == "SomeControllerSays");
        events
    };
    let events = ours(&rig);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0].count, 5);
    // The row speaks as the cluster did last, also when an older one is seen after it.
    let mut older = warning(&rig, "before", &pod, "SomeControllerSays", 1);
    older["lastTimestamp"] = json!((rig.now() - SignedDuration::from_secs(300)).to_string());
    rig.cluster().create(older).unwrap();
    rig.advance(30);
    let events = ours(&rig);
    assert_eq!((events.len(), events[0].description.as_str()), (1, "said 5 times"), "{events:#?}");
    assert_eq!(events[0].details["message"], "said 5 times");
    assert_eq!(rig.sent.len(), 1);
    // After the window it is a new event.
    rig.advance(700);
    let last = rig.now().to_string();
    rig.cluster()
        .update("events", "shop", "quota", |e| {
            e["count"] = json!(6);
            e["lastTimestamp"] = json!(last);
        })
        .unwrap();
    rig.advance(30);
    assert_eq!(ours(&rig).len(), 2, "{:#?}", rig.story());
}

#[test]
fn a_new_row_of_an_event_counts_what_happened_since_the_last_row() {
    let mut rig = Rig::shop();
    let pod = pod_of(&rig, "search");
    let ours = |rig: &Rig| {
        let mut events = rig.events_of(EventType::KubernetesEvent);
        events.retain(|e| e.details["reason"] == "SomeControllerSays");
        events.into_iter().map(|e| (e.count, e.first_seen, e.last_seen)).collect::<Vec<_>>()
    };
    let made = rig.now();
    let event = warning(&rig, "quota", &pod, "SomeControllerSays", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(30);
    let says = |rig: &mut Rig, count: u64| {
        let last = rig.now().to_string();
        let event = |e: &mut serde_json::Value| {
            e["count"] = json!(count);
            e["lastTimestamp"] = json!(last);
        };
        rig.cluster().update("events", "shop", "quota", event).unwrap();
        rig.advance(30);
    };
    for count in 2..=21 {
        says(&mut rig, count);
    }
    // Ten minutes are over with the 21st: all that came before is in the first row.
    says(&mut rig, 25);
    let rows = ours(&rig);
    assert_eq!(rows.iter().map(|(count, ..)| count).sum::<u64>(), 25, "{rows:?}");
    assert!(rows.len() == 2 && rows[1].0 < 10 && rows[1].1 > rows[0].2, "{rows:?}");
    assert_eq!(rows[0].1, made);
    // Four within the thirty seconds before the last: not all of them in one instant.
    let apart = rows[1].2.duration_since(rows[1].1).as_secs();
    assert!(rows[1].0 == 4 && (20..30).contains(&apart), "{rows:?}");
    // A restart knows what was counted.
    rig.restart();
    says(&mut rig, 26);
    let rows = ours(&rig);
    assert_eq!(rows.iter().map(|(count, ..)| count).sum::<u64>(), 26, "{rows:?}");
}

#[test]
fn an_event_that_was_there_before_us_happened_since_it_was_made() {
    let mut rig = Rig::shop();
    let pod = pod_of(&rig, "search");
    let made = rig.now();
    rig.stop();
    let event = warning(&rig, "quota", &pod, "SomeControllerSays", 1);
    rig.cluster().create(event).unwrap();
    rig.unwatched(300);
    let last = rig.now().to_string();
    rig.cluster()
        .update("events", "shop", "quota", |e| {
            e["count"] = json!(40);
            e["lastTimestamp"] = json!(last);
        })
        .unwrap();
    rig.begin();
    rig.start();
    let mut events = rig.events_of(EventType::KubernetesEvent);
    events.retain(|e| e.details["reason"] == "SomeControllerSays");
    assert_eq!((events.len(), events[0].count), (1, 40));
    assert!((events[0].first_seen - made).get_seconds() <= 1, "{:?} {made}", events[0].first_seen);
}

#[test]
fn min_count_tells_with_the_repeat_that_makes_it_true() {
    let toml = format!("{HOOK}conditions = {{ min_count = 3 }}\n");
    let mut rig = Rig::shop_with(&toml);
    let pod = pod_of(&rig, "search");
    let event = warning(&rig, "quota", &pod, "SomeControllerSays", 1);
    rig.cluster().create(event).unwrap();
    rig.advance(60);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    for count in 2..6 {
        let last = rig.now().to_string();
        rig.cluster()
            .update("events", "shop", "quota", |e| {
                e["count"] = json!(count);
                e["lastTimestamp"] = json!(last);
            })
            .unwrap();
        rig.advance(20);
        assert_eq!(rig.sent.len(), usize::from(count >= 3), "{count} {:#?}", rig.story());
    }
    assert_eq!(rig.sent[0].message.phase, Phase::Opened);
}

#[test]
fn suspects_are_ranked_by_tie_kind_and_closeness() {
    let mut rig = Rig::shop();
    // Something else in the namespace, then this workload's own scale, then its configuration.
    rig.sim().rollout("shop/catalog", "registry.example.com/shop/catalog:5.0.2", "none").unwrap();
    rig.advance(240);
    rig.sim().scale("shop/web", 5).unwrap();
    rig.advance(240);
    rig.sim().edit_config("shop/web-settings", "POOL_SIZE", "200").unwrap();
    rig.advance(20);
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(20);
    let web = rig.incident("Deployment/shop/web");
    let named: Vec<_> =
        web.suspects.iter().map(|s| (s.event_type.name(), s.link.as_str(), s.object.name.as_str())).collect();
    assert_eq!(named[0], ("config_changed", "config", "web-settings"), "{:#?}", web.suspects);
    assert_eq!(named[1], ("deployment_scaled", "owner", "web"), "{:#?}", web.suspects);
    assert!(named[2..].iter().any(|n| n.1 == "namespace" && n.2 == "catalog"), "{named:?}");
    assert_eq!(web.suspects[0].manager, "kubectl-edit");
    let sent = rig.sent.last().unwrap().message.incident.clone().unwrap();
    assert_eq!(sent.suspects, web.suspects);
}

#[test]
fn a_service_in_front_of_a_workload_is_not_its_owner() {
    let mut rig = Rig::shop();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-new", "namespace": "shop"},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80}]}});
    rig.cluster().create(service).expect("a new service");
    rig.advance(10);
    rig.cluster()
        .update(Kind::Service, "shop", "web", |s| s["spec"]["ports"][0]["port"] = json!(81))
        .unwrap();
    rig.advance(10);
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    let web = rig.incident("Deployment/shop/web");
    let named: Vec<_> = web.suspects.iter().map(|s| (s.link.as_str(), s.object.name.as_str())).collect();
    assert_eq!(named, [("service", "web")], "{:#?}", web.suspects);
}

#[test]
fn an_image_change_is_the_first_suspect_of_a_crash_loop() {
    let mut rig = Rig::shop();
    rig.sim().edit_config("shop/web-settings", "POOL_SIZE", "200").unwrap();
    rig.advance(5);
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(100);
    let web = rig.incident("Deployment/shop/web");
    assert_eq!(web.suspects[0].event_type, EventType::ImageChanged, "{:#?}", web.suspects);
    assert_eq!(web.suspects[0].link, "owner");
    assert!(web.suspects[0].title.contains("2.15.0"), "{:#?}", web.suspects[0]);
    assert!(web.suspects.iter().any(|s| s.event_type == EventType::ConfigChanged));
    assert!(web.suspects.len() <= 5);
}

#[test]
fn an_api_that_is_away_for_a_minute_is_told_once_and_ends_once() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    rig.sent.clear();
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    let away = |why: &str| Said::Away { cluster: uid.clone(), since, why: why.into() };
    rig.say(vec![away("connection refused")]);
    rig.say_for(50);
    assert_eq!(rig.sent.len(), 0);
    rig.say(vec![away("connection timed out")]);
    rig.say_for(20);
    assert_eq!(rig.told(), ["hook opened cluster_unhealthy critical"], "{:#?}", rig.story());
    rig.say_for(600);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    // A restart of ours while it is away changes nothing.
    rig.stop();
    rig.begin();
    rig.say(vec![away("connection refused")]);
    rig.say_for(100);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    // It is back: what changed meanwhile is told, and the end once it has held.
    let back = rig.now();
    rig.start();
    rig.advance(20);
    assert!(!rig.told().iter().any(|t| t.contains("resolved cluster")), "{:#?}", rig.told());
    rig.advance(90);
    assert_eq!(
        rig.told(),
        ["hook opened cluster_unhealthy critical", "hook resolved cluster_unhealthy critical"]
    );
    assert!(rig.sent[0].message.event.title.contains("shop"), "{:?}", rig.sent[0].message.event.title);
    // It ended when it was back, not when that had held.
    let end = &rig.events_of(EventType::ClusterUnhealthy)[1];
    assert_eq!(end.timestamp, back, "{end:#?}");
    assert_eq!(end.details["duration_secs"], back.duration_since(since).as_secs());
    let told = &rig.sent[1].message;
    assert_eq!(told.incident.as_ref().unwrap().resolved_at, Some(back));
    assert!(told.event.title.ends_with("over after 12 min"), "{}", told.event.title);
}

#[test]
fn an_api_that_is_away_is_told_though_the_clusters_incident_is_open_for_its_nodes() {
    let mut rig = Rig::shop();
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(60);
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
    rig.say_for(70);
    let of_cluster = |rig: &Rig| -> Vec<String> {
        rig.told().iter().filter(|t| t.contains("cluster_unhealthy")).cloned().collect()
    };
    let both = ["hook opened cluster_unhealthy critical", "hook worse cluster_unhealthy critical"];
    assert_eq!(of_cluster(&rig), both, "{:#?}", rig.story());
    rig.start();
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(900);
    assert_eq!(of_cluster(&rig)[2..], ["hook resolved cluster_unhealthy critical"], "{:#?}", rig.story());
}

#[test]
fn nodes_that_are_silent_for_a_moment_after_an_outage_are_no_news() {
    let mut rig = Rig::shop();
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
    rig.say_for(70);
    rig.start();
    for down in [true, false] {
        for node in ["node-a", "node-b", "node-c"] {
            rig.sim().node_down(node, down).unwrap();
        }
        rig.advance(20);
    }
    rig.advance(900);
    let told: Vec<String> =
        rig.told().iter().filter(|t| t.contains("cluster") || t.contains("node")).cloned().collect();
    let once = ["hook opened cluster_unhealthy critical", "hook resolved cluster_unhealthy critical"];
    assert_eq!(told, once, "{:#?}", rig.story());
}

const NODES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];

/// The API is away for two minutes; when it is back, all nodes are silent.
fn all_silent_after_an_outage(mut rig: Rig) -> Rig {
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
    rig.say_for(120);
    for node in NODES {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.start();
    rig.advance(20);
    rig
}

#[test]
fn a_clusters_trouble_that_stood_once_speaks_for_its_nodes_when_it_is_told_later() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| Some(barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0)));
    for node in NODES {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.start();
    rig.advance(10);
    assert!(rig.incident("Cluster//shop").standing, "{:#?}", rig.story());
    for node in NODES {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(300);
    assert_eq!(rig.told(), Vec::<String>::new(), "{:#?}", rig.story());
    let mut rig = all_silent_after_an_outage(rig);
    assert!(!rig.incident("Cluster//shop").standing, "{:#?}", rig.story());
    for node in NODES {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(900);
    let once = ["hook opened cluster_unhealthy critical", "hook resolved cluster_unhealthy critical"];
    assert_eq!(rig.told(), once, "{:#?}", rig.story());
}

#[test]
fn what_a_lost_node_took_down_is_no_trouble_of_its_own_because_all_nodes_are_silent_after_an_outage() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(30);
    let mut rig = all_silent_after_an_outage(rig);
    for node in &NODES[1..] {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(900);
    let node = rig.incident("Node//node-a");
    let affected = rig.members(&node).into_iter().filter(|m| m.affected && m.ended_at.is_none());
    assert!(
        affected.filter(|m| m.event_type == EventType::WorkloadDegraded).count() == 2,
        "{:#?}",
        rig.story()
    );
    let once = [
        "hook opened node_unhealthy critical",
        "hook opened cluster_unhealthy critical",
        "hook resolved cluster_unhealthy critical",
    ];
    assert_eq!(rig.told(), once, "{:#?}", rig.story());
    rig.sim().node_down("node-a", false).unwrap();
    rig.advance(900);
    assert_eq!(rig.told()[3..], ["hook resolved node_unhealthy critical"], "{:#?}", rig.story());
    assert!(rig.incidents().iter().all(|i| i.status == IncidentStatus::Resolved), "{:#?}", rig.story());
}

#[test]
fn what_the_nodes_of_a_cluster_took_down_has_five_minutes_after_it() {
    let mut rig = all_silent_after_an_outage(Rig::shop());
    for node in NODES {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.sim().fail_probes("shop/search").unwrap();
    let own = |rig: &Rig| rig.told().iter().filter(|t| t.contains("service_unavailable")).count();
    rig.advance(280);
    assert_eq!(own(&rig), 0, "{:#?}", rig.story());
    rig.advance(100);
    assert_eq!(own(&rig), 1, "{:#?}", rig.story());
    assert_eq!(rig.incident("Deployment/shop/search").status, IncidentStatus::Open);
}

#[test]
fn a_short_silence_of_the_api_is_no_trouble() {
    let mut rig = Rig::shop();
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid.clone(), since, why: "connection refused".into() }]);
    rig.say_for(40);
    rig.say(vec![Said::Live(uid)]);
    rig.advance(300);
    assert_eq!(rig.told(), Vec::<String>::new());
    assert_eq!(rig.now().duration_since(since), SignedDuration::from_secs(340));
}

#[test]
fn what_breaks_when_its_node_is_back_is_told_at_once_and_by_itself() {
    let mut rig = Rig::shop();
    rig.sim().scale("shop/search", 1).unwrap();
    rig.advance(30);
    let node = rig
        .cluster()
        .list(Kind::Pod)
        .iter()
        .filter(|p| p["metadata"]["name"].as_str().unwrap().starts_with("search-"))
        .map(|p| p["spec"]["nodeName"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>();
    let [node] = node.as_slice() else { panic!("{node:?}") };
    rig.sim().node_down(node, true).unwrap();
    rig.advance(20);
    rig.sim().node_down(node, false).unwrap();
    rig.advance(15);
    assert_eq!(rig.incident(&format!("Node//{node}")).status, IncidentStatus::Open, "{:#?}", rig.story());
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
    assert_eq!(rig.about("Deployment/shop/search", Phase::Opened).len(), 1, "{:#?}", rig.story());
    assert!(
        rig.told().contains(&"hook opened service_unavailable critical".to_owned()),
        "{:#?}",
        rig.story()
    );
}

#[test]
fn a_silent_node_that_may_not_be_watched_is_one_trouble_of_its_workload() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| Some(barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0)));
    rig.watched[0].shut.push(Kind::Node);
    rig.start();
    rig.advance(5);
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(20);
    rig.sim().node_down("node-a", false).unwrap();
    rig.advance(300);
    let warned = rig.told().into_iter().filter(|t| t.contains("kubernetes_event")).count();
    assert_eq!(warned, 0, "{:#?}", rig.story());
}

#[test]
fn the_silence_of_all_nodes_after_an_outage_is_suspected_of_nothing() {
    let mut rig = all_silent_after_an_outage(Rig::shop());
    let silent = |rig: &Rig| rig.events_of(EventType::NodeUnhealthy).len();
    assert_eq!(silent(&rig), NODES.len(), "{:#?}", rig.story());
    for node in NODES {
        rig.sim().node_down(node, false).unwrap();
    }
    let suspected = |rig: &Rig, subject: &str| -> Vec<String> {
        let suspects = &rig.incident(subject).suspects;
        assert!(suspects.iter().any(|s| s.link == "owner"), "{suspects:#?}");
        suspects.iter().filter(|s| s.link == "node").map(|s| s.title.clone()).collect()
    };
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
    rig.advance(60);
    assert_eq!(suspected(&rig, "Deployment/shop/web"), Vec::<String>::new());
    // Nor after a restart, which reads the changes from the store.
    rig.restart();
    rig.sim().rollout("shop/search", "registry.example.com/shop/search:nope", "image").unwrap();
    rig.advance(60);
    assert_eq!(suspected(&rig, "Deployment/shop/search"), Vec::<String>::new());
}

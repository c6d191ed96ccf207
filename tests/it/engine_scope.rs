//! What is watched, ignored, sent to whom; failed commits; two clusters.

use barrelman::{
    demo::Sim,
    event::{
        EventType, Kind, Severity,
        incident::{IncidentStatus, Phase},
    },
    object::Said,
    store::{DUES, Read},
};
use serde_json::json;

use crate::support::{
    noon,
    rig::{HOOK, Rig},
};

const SEARCH: &str = "Deployment/shop/search";

fn broken_search(rig: &mut Rig) {
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(30);
}

#[test]
fn an_ignore_rule_keeps_an_event_and_tells_nobody() {
    let mut rig = Rig::shop_with(&format!("ignore = [\"type:service_unavailable ns:shop\"]\n{HOOK}"));
    broken_search(&mut rig);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    let events = rig.events_of(EventType::ServiceUnavailable);
    assert_eq!(events.len(), 1);
    assert!(events[0].ignored.as_ref().unwrap().contains("rule"), "{events:#?}");
    assert_eq!(events[0].incident, None);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(200);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
}

#[test]
fn an_annotation_ignores_on_the_object_its_owner_and_its_namespace() {
    for (plural, namespace, name) in
        [("services", "shop", "search"), ("deployments", "shop", "search"), ("namespaces", "", "shop")]
    {
        let mut rig = Rig::shop();
        rig.cluster()
            .update(plural, namespace, name, |o| {
                o["metadata"]["annotations"]["barrelman.dev/ignore"] = json!("application, nonsense");
            })
            .unwrap();
        rig.advance(1);
        broken_search(&mut rig);
        assert_eq!(rig.sent.len(), 0, "{plural}: {:#?}", rig.story());
        rig.advance(200);
        // The Service's annotation says nothing of the pods behind it.
        assert_eq!(rig.sent.len(), usize::from(plural == "services"), "{plural}: {:#?}", rig.story());
        let events = rig.events_of(EventType::ServiceUnavailable);
        assert!(events[0].ignored.as_ref().unwrap().starts_with("annotation on"), "{plural}: {events:#?}");
    }
}

#[test]
fn a_scope_that_is_narrowed_is_forgotten_without_a_word() {
    let mut rig = Rig::shop();
    broken_search(&mut rig);
    assert_eq!(rig.sent.len(), 1);
    rig.sent.clear();
    rig.watched[0].namespaces = vec!["payments".into(), "media".into()];
    let events = rig.events().len();
    rig.start();
    rig.advance(1200);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    assert_eq!(
        rig.incident(SEARCH).status,
        IncidentStatus::Resolved,
        "{:#?} {:#?}",
        rig.story(),
        rig.incident(SEARCH)
    );
    let new: Vec<_> =
        rig.events().split_off(events).into_iter().filter(|e| e.object.namespace == "shop").collect();
    assert_eq!(new.len(), 0, "{new:#?}");
    // Widened again: a new scope, silent; what is broken stands.
    rig.watched[0].namespaces.clear();
    rig.start();
    rig.advance(300);
    assert_eq!(rig.sent.len(), 0, "{:#?}", rig.story());
    assert_eq!(rig.incident(SEARCH).status, IncidentStatus::Open, "{:#?}", rig.story());
}

/// As a watch tells of a namespace that a glob matches, and that was deleted while nobody watched: still in scope, its
/// lists empty, and then out of it.
#[test]
fn what_went_with_its_namespace_has_an_end_that_is_told() {
    let mut rig = Rig::shop();
    rig.watched[0].namespaces = vec!["payments".into(), "shop".into(), "media".into()];
    rig.start();
    rig.advance(60);
    broken_search(&mut rig);
    assert_eq!(rig.told(), ["hook opened service_unavailable critical"], "{:#?}", rig.story());
    rig.sent.clear();
    rig.stop();
    rig.unwatched(120);
    rig.begin();
    rig.watched[0].namespaces = vec!["payments".into(), "media".into()];
    let (shop, mut said) = (barrelman::object::Str::from("shop"), rig.watched[0].list());
    let at = said.iter().position(|s| matches!(s, Said::Scope { .. })).unwrap();
    let Said::Scope { cluster, streams } = said[at].clone() else { unreachable!("it was looked for") };
    let kinds = Kind::ALL.iter().filter(|kind| kind.namespaced());
    let gone: Vec<_> = kinds
        .map(|kind| barrelman::object::StreamId {
            cluster: cluster.clone(),
            kind: *kind,
            namespace: shop.clone(),
            selector: "".into(),
        })
        .collect();
    let wide = Said::Scope { cluster, streams: streams.iter().chain(&gone).cloned().collect() };
    let empty = gone.into_iter().map(std::sync::Arc::new);
    let empty = empty.flat_map(|id| [Said::ListStart(id.clone()), Said::ListEnd(id)]);
    let first: Vec<_> = std::iter::once(wide).chain(empty).collect();
    said.splice(at..at, first);
    rig.say(said);
    rig.advance(600);
    assert_eq!(rig.told(), ["hook resolved service_unavailable critical"], "{:#?}", rig.story());
    let deleted = rig.events_of(EventType::PodDeleted);
    assert!(deleted.iter().any(|e| e.object.namespace == "shop" && e.late), "{:#?}", rig.story());
}

#[test]
fn what_leaves_a_selector_is_neither_deleted_nor_healed() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.sent.len(), 1, "{:#?}", rig.story());
    let stream = rig.watched[0].stream(Kind::Pod);
    let gone: Vec<_> = rig
        .members(&rig.incident("Deployment/shop/web"))
        .iter()
        .map(|m| barrelman::object::ObjectKey::of(&m.object).unwrap())
        .collect();
    let events = rig.events().len();
    rig.say(gone.into_iter().map(|key| Said::LeftScope(stream.clone(), key)).collect());
    assert_eq!(rig.events().len(), events, "{:#?}", rig.story());
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(rig.incident("Deployment/shop/web").status, IncidentStatus::Resolved);
}

#[test]
fn what_happened_while_nobody_watched_is_told_late_and_once() {
    let mut rig = Rig::shop();
    broken_search(&mut rig);
    rig.sent.clear();
    let events = rig.events().len();
    rig.stop();
    rig.sim().recover("shop/search").unwrap();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.sim().delete_pod_of("payments/api").unwrap();
    rig.unwatched(600);
    rig.begin();
    rig.start();
    let new = rig.events().split_off(events);
    assert!(
        new.iter().all(|e| e.late || e.event_type == EventType::ServiceUnavailable),
        "{:#?}",
        rig.story()
    );
    assert!(new.iter().any(|e| e.event_type == EventType::PodDeleted && e.object.namespace == "payments"));
    rig.advance(100);
    let told = rig.told();
    assert_eq!(
        told.iter().filter(|t| t.contains("opened pod_crash_loop critical")).count(),
        1,
        "{:#?}",
        rig.story()
    );
    assert_eq!(rig.about(SEARCH, Phase::Resolved).len(), 1, "{:#?}", rig.story());
    // The same lists again: nothing new.
    let (events, sent) = (rig.events().len(), rig.sent.len());
    rig.restart();
    rig.restart();
    assert_eq!((rig.events().len(), rig.sent.len()), (events, sent), "{:#?}", rig.story());
}

#[test]
fn a_commit_that_fails_loses_nothing_and_repeats_nothing() {
    let story = |failing: bool| {
        let mut rig = Rig::shop();
        for (n, step) in [30, 60, 45, 300, 900].into_iter().enumerate() {
            match n {
                0 => rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap(),
                1 => rig.sim().node_down("node-d", true).unwrap(),
                2 => rig.sim().oom("shop/cart", 1).unwrap(),
                3 => rig.sim().node_down("node-d", false).unwrap(),
                _ => rig.sim().rollback("shop/web").unwrap(),
            }
            for _ in 0..step / 15 {
                rig.failing = if failing { 2 } else { 0 };
                rig.advance(15);
            }
        }
        if failing {
            rig.failing = 1;
            rig.restart();
        }
        rig.failing = 0;
        (rig.story(), rig.read(|s| s.all(&DUES, "")).len())
    };
    let (good, bad) = (story(false), story(true));
    for (a, b) in good.0.iter().zip(&bad.0) {
        assert_eq!(a, b);
    }
    assert_eq!(good.0.len(), bad.0.len());
    assert_eq!(good.1, bad.1);
}

#[test]
fn two_clusters_with_the_same_names_are_two() {
    let mut rig = Rig::empty(HOOK);
    rig.add("east", |c| Some(Sim::demo(c, noon(), 1.0)));
    let west = rig.add("west", |c| Some(Sim::demo(c, noon(), 1.0)));
    rig.start();
    rig.advance(1);
    assert_ne!(rig.watched[0].uid, rig.watched[1].uid);
    broken_search(&mut rig);
    let now = rig.now();
    let sim = rig.watched[west].sim.as_mut().unwrap();
    sim.advance(now);
    sim.fail_probes("shop/search").unwrap();
    rig.advance(30);
    let incidents = rig.incidents();
    assert_eq!(incidents.len(), 2, "{:#?}", rig.story());
    assert_ne!(incidents[0].id, incidents[1].id);
    assert_eq!(rig.sent.len(), 2);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(200);
    let ended: Vec<_> =
        rig.about(SEARCH, Phase::Resolved).iter().map(|s| s.message.event.cluster.clone()).collect();
    assert_eq!(ended, ["east"], "{:#?}", rig.story());
}

const VIEWS: &str = r#"
[[connectors]]
name = "critical"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
severity = "critical"

[[connectors]]
name = "images"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
events = ["image_pull_failed", "deployment_scaled"]

[[connectors]]
name = "all"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
"#;

#[test]
fn each_connector_has_its_own_view_of_an_incident() {
    let mut rig = Rig::shop_with(VIEWS);
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:nope", "image").unwrap();
    rig.advance(60);
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(60);
    rig.sim().scale("media/transcoder", 3).unwrap();
    rig.advance(20);
    let of = |rig: &Rig, name: &str| -> Vec<String> {
        rig.told().into_iter().filter(|t| t.starts_with(name)).collect()
    };
    assert_eq!(of(&rig, "critical"), ["critical opened service_unavailable critical"], "{:#?}", rig.story());
    assert_eq!(
        of(&rig, "images"),
        ["images opened image_pull_failed high", "images event deployment_scaled low"],
        "{:#?}",
        rig.story()
    );
    assert_eq!(
        of(&rig, "all"),
        ["all opened image_pull_failed high", "all worse service_unavailable critical"],
        "{:#?}",
        rig.story()
    );
    let critical = rig.sent.iter().find(|s| s.message.connector == "critical").unwrap();
    let facts = critical.message.incident.as_ref().unwrap();
    assert!(facts.members.iter().all(|m| m.event_type == EventType::ServiceUnavailable), "{facts:#?}");
    let images = rig.sent.iter().find(|s| s.message.connector == "images").unwrap();
    assert_eq!(images.message.incident.as_ref().unwrap().severity, Severity::High);
    // Everybody who was told is told of the end, once.
    rig.sent.clear();
    rig.sim().recover("shop/web").unwrap();
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(600);
    let mut ends: Vec<_> = rig.about("Deployment/shop/web", Phase::Resolved);
    ends.sort_by(|a, b| a.message.connector.cmp(&b.message.connector));
    let names: Vec<_> = ends.iter().map(|s| s.message.connector.as_str()).collect();
    assert_eq!(names, ["all", "critical", "images"], "{:#?}", rig.story());
}

const EVENTS: &str = r#"
[[connectors]]
name = "events"
type = "webhook"
enabled = true
[connectors.config]
url = "http://127.0.0.1:9/hook"
deliver = "events"

[[connectors]]
name = "chain"
type = "painchain"
enabled = true
[connectors.config]
api_url = "http://127.0.0.1:9"
"#;

#[test]
fn deliver_events_sends_each_stored_event_once_and_at_once() {
    let mut rig = Rig::shop_with(EVENTS);
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(120);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(800);
    rig.restart();
    let stored: Vec<_> = rig.events().into_iter().filter(|e| !e.standing).map(|e| e.id).collect();
    let sent: Vec<_> = rig.sent.iter().filter(|s| s.message.connector == "events").collect();
    let mut ids: Vec<_> = sent.iter().map(|s| s.message.event.id.clone()).collect();
    let mut wanted = stored.clone();
    ids.sort();
    wanted.sort();
    let differ: Vec<_> = rig.events().into_iter().filter(|e| !e.standing && !ids.contains(&e.id)).collect();
    assert_eq!(differ.len(), 0, "{differ:#?}");
    assert_eq!(ids, wanted);
    assert!(sent.iter().all(|s| s.message.phase == Phase::Event && s.at == s.message.created_at));
}

#[test]
fn painchain_gets_one_post_per_change_with_the_types_of_all_that_was_seen_in_it() {
    let mut rig = Rig::shop_with(EVENTS);
    let now = rig.now().to_string();
    // Scaled and rolled out by one write.
    rig.cluster()
        .writer("kubectl-apply")
        .update("deployments", "media", "transcoder", |d| {
            d["spec"]["replicas"] = json!(5);
            d["spec"]["template"]["spec"]["containers"][0]["image"] =
                json!("registry.example.com/media/transcoder:9");
        })
        .unwrap();
    rig.watch();
    let posts: Vec<_> = rig
        .sent
        .iter()
        .filter(|s| s.message.connector == "chain")
        .filter_map(|s| s.message.post.clone())
        .filter(|p| p["title"].as_str().unwrap_or_default().contains("transcoder"))
        .collect();
    assert_eq!(posts.len(), 1, "{posts:#?} {now}");
    let types: Vec<_> =
        posts[0]["data"]["types"].as_array().unwrap().iter().filter_map(|t| t.as_str()).collect();
    assert!(types.contains(&"deployment_scaled") && types.contains(&"image_changed"), "{types:?}");
    let ids: std::collections::BTreeSet<_> = rig
        .sent
        .iter()
        .filter_map(|s| s.message.post.as_ref()?["externalId"].as_str().map(str::to_owned))
        .collect();
    let all = rig.sent.iter().filter(|s| s.message.post.is_some()).count();
    assert_eq!(ids.len(), all);
}

#[test]
fn watch_only_stores_everything_and_queues_nothing() {
    let mut rig = Rig::shop_with(HOOK);
    rig.settings.watch_only = true;
    rig.stop();
    rig.begin();
    rig.start();
    broken_search(&mut rig);
    rig.sink_up = false;
    assert_eq!((rig.outbox().len(), rig.sent.len()), (0, 0), "{:#?}", rig.story());
    assert_eq!(rig.incident(SEARCH).status, IncidentStatus::Open);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(300);
    assert_eq!(rig.outbox().len(), 0);
    assert_eq!(rig.incident(SEARCH).status, IncidentStatus::Resolved);
}

#[test]
fn a_sink_that_is_down_gets_everything_later_and_a_healed_trouble_with_its_end() {
    let mut rig = Rig::shop();
    rig.sink_up = false;
    broken_search(&mut rig);
    rig.sim().recover("shop/search").unwrap();
    rig.advance(300);
    rig.sink_up = true;
    rig.advance(1);
    // The first was past due when it healed: it is never replaced, and its end follows.
    assert_eq!(
        rig.told(),
        ["hook opened service_unavailable critical", "hook resolved service_unavailable critical"],
        "{:#?}",
        rig.story()
    );
}

#[test]
fn a_list_that_begins_anew_in_the_same_batch_takes_nothing_for_gone() {
    let mut rig = Rig::shop();
    let events = rig.events().len();
    let mut said = rig.watched[0].list();
    let again = rig.watched[0].list();
    // The second round of lists breaks in the middle of a batch.
    let (first, second) = again.split_at(again.len() / 2);
    said.extend(first.iter().cloned());
    rig.say(said);
    rig.say(second.to_vec());
    rig.advance(60);
    let gone: Vec<_> = rig.events().split_off(events).into_iter().filter(|e| e.late).collect();
    assert_eq!(gone.len(), 0, "{gone:#?}");
    assert_eq!(rig.sent.len(), 0);
}

#[test]
fn under_a_selector_events_about_what_it_leaves_out_are_left_out() {
    let mut rig = Rig::shop_with(HOOK);
    let Some(Said::Scope { cluster, streams }) =
        rig.watched[0].list().into_iter().find(|s| matches!(s, Said::Scope { .. }))
    else {
        panic!("a watch says its scope");
    };
    let selected = |mut s: barrelman::object::StreamId| {
        if s.kind == Kind::Pod {
            s.selector = "tier=x".into();
        }
        s
    };
    rig.say(vec![Said::Scope { cluster, streams: streams.into_iter().map(selected).collect() }]);
    let pods: Vec<String> = rig
        .cluster()
        .list(Kind::Pod)
        .iter()
        .filter(|p| p["metadata"]["namespace"] == "shop")
        .map(|p| p["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let (inside, outside) = (&pods[0], &pods[1]);
    let key = barrelman::object::ObjectKey::new(Kind::Pod, "shop", outside);
    rig.say(vec![Said::LeftScope(rig.watched[0].stream(Kind::Pod), key)]);
    for (name, pod) in [("in", inside), ("out", outside)] {
        let uid = rig.cluster().get("pods", "shop", pod).unwrap()["metadata"]["uid"].clone();
        rig.cluster()
            .create(
                json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"},
                "type": "Warning", "reason": "Odd", "message": "odd", "count": 1,
                "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod, "uid": uid}}),
            )
            .unwrap();
    }
    rig.advance(20);
    let told: Vec<String> =
        rig.events_of(EventType::KubernetesEvent).into_iter().map(|e| e.object.name).collect();
    assert!(told.contains(inside) && !told.contains(outside), "{told:#?}");
}

#[test]
fn a_complete_list_is_known_before_its_watch_begins() {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        let start = crate::support::noon();
        let mut sim = barrelman::demo::Sim::demo(cluster, start - jiff::SignedDuration::from_mins(30), 1.0);
        sim.fail_probes("shop/search").unwrap();
        sim.advance(start);
        Some(sim)
    });
    // Every list is there, no watch is live yet: a Service is judged by its slices all the same.
    let live = |s: &Said| matches!(s, Said::Stream(_, barrelman::status::StreamState::Live));
    let said = rig.watched[0].list().into_iter().filter(|s| !live(s)).collect();
    rig.say(said);
    rig.say_for(5);
    let search = rig.incident(SEARCH);
    assert!(search.standing && search.event_type == EventType::ServiceUnavailable, "{:#?}", rig.story());
}

#[test]
fn a_cluster_whose_nodes_are_watched_no_more_has_no_trouble_with_them() {
    let mut rig = Rig::shop();
    for node in ["node-a", "node-b", "node-c"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(30);
    assert_eq!(rig.told(), ["hook opened cluster_unhealthy critical"], "{:#?}", rig.story());
    let of_cluster = |rig: &Rig| rig.incidents().into_iter().find(|i| i.subject.kind == "Cluster").unwrap();
    let Some(Said::Scope { cluster, mut streams }) =
        rig.watched[0].list().into_iter().find(|s| matches!(s, Said::Scope { .. }))
    else {
        panic!("a watch says its scope");
    };
    streams.retain(|s| s.kind != Kind::Node);
    rig.say(vec![Said::Scope { cluster, streams }]);
    let incident = of_cluster(&rig);
    assert_eq!((incident.status, incident.holding), (IncidentStatus::Resolved, 0), "{incident:#?}");
    assert_eq!(rig.told().len(), 1, "nobody is told of an end: {:#?}", rig.story());
}

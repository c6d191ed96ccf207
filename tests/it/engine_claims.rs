//! What somebody writes into an Event or an owner reference of one namespace says nothing of another.

use barrelman::event::{
    EventType, Kind, Severity,
    incident::{IncidentStatus, Phase},
};
use serde_json::{Value, json};

use crate::support::rig::{HOOK, Rig};

fn uid(rig: &Rig, plural: &str, namespace: &str, name: &str) -> String {
    rig.cluster().get(plural, namespace, name).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn pod_of(rig: &Rig, app: &str) -> String {
    let pods = rig.cluster().list(Kind::Pod);
    let of = |p: &&std::sync::Arc<Value>| p["metadata"]["labels"]["app.kubernetes.io/name"] == app;
    pods.iter().find(of).unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
}

fn warning(name: &str, namespace: &str, involved: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
        "type": "Warning", "reason": "Compromised", "message": "it says", "count": 1,
        "source": {"component": "anybody"}, "involvedObject": involved})
}

#[test]
fn an_event_speaks_of_nothing_outside_its_namespace() {
    let mut rig = Rig::shop();
    let (web, pod) = (uid(&rig, "deployments", "shop", "web"), pod_of(&rig, "cart"));
    let pod_uid = uid(&rig, "pods", "shop", &pod);
    let node = uid(&rig, "nodes", "", "node-a");
    for (n, involved) in [
        json!({"kind": "Deployment", "name": "web", "namespace": "evil", "uid": web}),
        json!({"kind": "Deployment", "name": "web", "namespace": "shop", "uid": web}),
        json!({"kind": "Pod", "name": pod, "namespace": "evil", "uid": pod_uid}),
        json!({"kind": "Node", "name": "node-a", "namespace": "evil", "uid": node}),
        json!({"kind": "Node", "name": "node-a", "uid": "node-a"}),
        json!({"kind": "Foo", "name": "x", "uid": node}),
    ]
    .into_iter()
    .enumerate()
    {
        rig.cluster().create(warning(&format!("e-{n}"), "evil", involved)).unwrap();
    }
    rig.advance(30);
    let told: Vec<_> = rig
        .events_of(EventType::KubernetesEvent)
        .into_iter()
        .filter(|e| e.details["reason"] == "Compromised")
        .collect();
    // Two of them claim the same, and are one.
    assert_eq!(told.len(), 5, "{told:#?}");
    for event in told {
        assert_eq!((event.object.namespace.as_str(), event.subject.namespace.as_str()), ("evil", "evil"));
        assert!(event.labels.is_empty() && !event.details.contains_key("node"), "{event:#?}");
        let taken = [&web, &pod_uid, &node];
        assert!(!taken.contains(&&event.object.uid) && !taken.contains(&&event.subject.uid), "{event:#?}");
    }
    assert!(rig.incidents().iter().all(|i| i.subject.namespace == "evil"), "{:#?}", rig.story());
}

#[test]
fn an_event_about_what_lives_in_no_namespace_is_believed_in_default() {
    let mut rig = Rig::shop();
    let named = json!({"kind": "Node", "name": "node-a", "uid": "node-a"});
    rig.cluster().create(warning("e-1", "default", named)).unwrap();
    rig.advance(30);
    assert_eq!(rig.incidents().len(), 1);
    assert_eq!(rig.incident("Node//node-a").subject.uid, uid(&rig, "nodes", "", "node-a"));
}

fn crashing(rig: &Rig, name: &str, owner: Value) -> Value {
    let ago = |secs: i64| (rig.now() - jiff::SignedDuration::from_secs(secs)).to_string();
    let ended = json!({"exitCode": 1, "reason": "Error", "startedAt": ago(20), "finishedAt": ago(10)});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "evil", "ownerReferences": [owner]},
        "spec": {"nodeName": "node-a", "containers": [{"name": "c", "image": "evil:1"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "image": "evil:1", "ready": false,
            "restartCount": 7, "lastState": {"terminated": ended},
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}})
}

#[test]
fn an_owner_is_believed_in_its_own_namespace_alone() {
    let mut rig = Rig::shop();
    let owner = |api: &str, kind: &str, name: &str, uid: &str| json!({"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true});
    let web = uid(&rig, "deployments", "shop", "web");
    let shop = uid(&rig, "namespaces", "", "shop");
    let set = rig
        .cluster()
        .list(Kind::ReplicaSet)
        .iter()
        .find(|s| s["metadata"]["ownerReferences"][0]["uid"] == web.as_str())
        .unwrap()["metadata"]
        .clone();
    let (set, set_uid) = (set["name"].as_str().unwrap(), set["uid"].as_str().unwrap());
    for (name, owner) in [
        ("a", owner("evil.io/v1", "Foo", "web", &web)),
        ("b", owner("apps/v1", "Deployment", "web", &web)),
        ("c", owner("apps/v1", "ReplicaSet", set, set_uid)),
        ("d", owner("v1", "Namespace", "shop", &shop)),
        ("e", owner("v1", "Node", "node-a", &uid(&rig, "nodes", "", "node-a"))),
    ] {
        let pod = crashing(&rig, name, owner);
        rig.cluster().create(pod).unwrap();
    }
    rig.advance(30);
    let mut open: Vec<_> = rig.incidents().into_iter().map(|i| (i.subject.key(), i.subject.uid)).collect();
    open.sort();
    let subjects: Vec<&str> = open.iter().map(|(key, _)| key.as_str()).collect();
    let expected = ["Deployment/evil/web", "Foo/evil/web", "Pod/evil/d", "Pod/evil/e"];
    let known = ["ReplicaSet/evil/", "Deployment/evil/"].map(|kind| format!("{kind}{set}"));
    let others: Vec<_> = subjects.iter().filter(|s| !known.contains(&(**s).to_owned())).copied().collect();
    assert_eq!(others, expected, "{:#?}", rig.story());
    assert!(open.iter().all(|(_, uid)| *uid != web && *uid != set_uid), "{open:#?}");
    // Nor is what fails in one namespace counted for a workload of another.
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(400);
    let short = rig.incident("Deployment/shop/web");
    assert!(rig.members(&short).iter().all(|m| m.object.namespace == "shop"));
    let said: Vec<_> =
        rig.events().into_iter().filter(|e| e.subject.key() == "Deployment/shop/web").collect();
    assert!(
        said.iter().all(|e| !e.description.contains("a: ") && !e.description.contains("c: ")),
        "{said:#?}"
    );
}

#[test]
fn a_flood_of_warnings_in_one_namespace_is_one_incident_more() {
    let mut rig = Rig::shop();
    for n in 0..300 {
        let named = json!({"kind": "Pod", "name": format!("no-{n}"), "namespace": "evil"});
        let mut event = warning(&format!("e-{n}"), "evil", named);
        // Whatever time it claims.
        event["lastTimestamp"] = json!("2020-01-01T00:00:00Z");
        rig.cluster().create(event).unwrap();
        rig.advance(1);
    }
    rig.advance(30);
    assert_eq!(rig.sent.len(), 21, "{:#?}", rig.told());
    let flood = rig.incident("Warnings/evil/evil");
    assert_eq!((flood.events, flood.members, flood.severity), (280, 1, Severity::Medium));
    let told = &rig.about("Warnings/evil/evil", Phase::Opened)[0].message;
    let title = "Warnings about more than 20 things in namespace evil, now Compromised on Pod no-20";
    assert_eq!(told.event.title, title);
    assert_eq!(told.event.recommendations[0].command, "kubectl events -n evil --types=Warning");
    // All are stored, and shown with it.
    let stored = rig.events_of(EventType::KubernetesEvent);
    assert_eq!(stored.iter().filter(|e| e.incident.as_ref() == Some(&flood.id)).count(), 280);
    // Others are told still, and so are those that have an incident of their own.
    let named = json!({"kind": "Pod", "name": pod_of(&rig, "cart"), "namespace": "shop"});
    rig.cluster().create(warning("other", "shop", named)).unwrap();
    rig.advance(30);
    assert_eq!(rig.sent.len(), 22, "{:#?}", rig.told());
    rig.restart();
    let named = json!({"kind": "Pod", "name": "one-more", "namespace": "evil"});
    rig.cluster().create(warning("more", "evil", named)).unwrap();
    rig.advance(30);
    assert_eq!(rig.sent.len(), 22, "{:#?}", rig.told());
    // It ends like any that nothing holds open.
    rig.advance(4000);
    assert_eq!(rig.incident("Warnings/evil/evil").status, IncidentStatus::Resolved);
}

#[test]
fn an_event_counts_as_often_as_it_may_have_happened() {
    let mut rig = Rig::shop_with(&format!("{HOOK}conditions = {{ min_count = 40 }}\n"));
    let claim = |rig: &Rig, count: u64| {
        let last = rig.now().to_string();
        let set = move |e: &mut Value| {
            e["count"] = json!(count);
            e["lastTimestamp"] = json!(last);
        };
        rig.cluster().update("events", "evil", "e", set).unwrap();
    };
    let count = |rig: &Rig| {
        let told = rig.events_of(EventType::KubernetesEvent);
        told.iter().find(|e| e.details["reason"] == "Compromised").unwrap().count
    };
    let mut event = warning("e", "evil", json!({"kind": "Pod", "name": "x", "namespace": "evil"}));
    event["count"] = json!(2_000_000_000);
    event["firstTimestamp"] = json!("2020-01-01T00:00:00Z");
    event["lastTimestamp"] = json!(rig.now().to_string());
    rig.cluster().create(event).unwrap();
    rig.advance(10);
    assert_eq!(count(&rig), 1);
    claim(&rig, 2_100_000_000);
    rig.advance(10);
    assert!((2..=12).contains(&count(&rig)), "{}", count(&rig));
    // What grows by one is one more.
    let known = count(&rig);
    claim(&rig, 2_100_000_001);
    rig.advance(10);
    assert_eq!(count(&rig), known + 1);
    assert_eq!(rig.told(), Vec::<String>::new());
    assert!(rig.incidents()[0].events < 20);
    rig.advance(60);
    claim(&rig, 2_100_000_051);
    rig.advance(10);
    assert_eq!(count(&rig), known + 51);
    assert_eq!(rig.told(), ["hook opened kubernetes_event medium"]);
}

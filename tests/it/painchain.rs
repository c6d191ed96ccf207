//! Posts for PainChain against what its own connector was observed to make of the same objects.

use std::{path::Path, sync::Arc};

use barrelman::{
    detect::{Change, Origin, painchain},
    event::Kind,
    object::{Object, World},
    watch,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Pair {
    transform: String,
    watch_type: String,
    input: Value,
    output: Value,
}

const NOW: &str = "2025-01-15T11:00:00Z";

fn pairs() -> Vec<Pair> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/painchain/observed.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn kind(transform: &str) -> Kind {
    let name = transform.trim_start_matches("transform").trim_end_matches("Event");
    if name == "K8s" { Kind::Event } else { Kind::parse(name).unwrap() }
}

fn read(kind: Kind, input: &Value) -> Arc<Object> {
    Arc::new(watch::decode(kind, input.to_string().as_bytes(), [7; 32]).unwrap())
}

/// The change that the observed connector saw. It looks at one side alone: whatever came before differs, and a Pod
/// before was running.
fn change(kind: Kind, watch_type: &str, input: &Value) -> Change {
    let object = read(kind, input);
    let mut earlier = input.clone();
    earlier["metadata"]["resourceVersion"] = json!("41");
    earlier["metadata"]["labels"]["app"] = json!("earlier");
    if kind == Kind::Pod {
        earlier["status"]["phase"] = json!("Running");
    }
    let before = (watch_type == "MODIFIED").then(|| read(kind, &earlier));
    let (before, after) = match watch_type {
        "DELETED" => (Some(object.clone()), None),
        _ => (before, Some(object.clone())),
    };
    Change { key: object.key(), before, after, origin: Origin::Live }
}

fn post(change: &Change) -> Option<Value> {
    painchain::post(change, "prod", &World::default(), NOW.parse().unwrap())
}

/// Every key of the golden value is there, with the same value; lists must be equal in length.
fn assert_holds(golden: &Value, ours: &Value, place: &str) {
    match (golden, ours) {
        (Value::Object(golden), Value::Object(ours)) => {
            for (key, value) in golden {
                let found = ours.get(key).unwrap_or_else(|| panic!("{place}: no {key}"));
                assert_holds(value, found, &format!("{place}.{key}"));
            }
        }
        (Value::Array(golden), Value::Array(ours)) => {
            assert_eq!(golden.len(), ours.len(), "{place}: {ours:?}");
            for (n, (golden, ours)) in golden.iter().zip(ours).enumerate() {
                assert_holds(golden, ours, &format!("{place}[{n}]"));
            }
        }
        _ => assert_eq!(ours, golden, "{place}"),
    }
}

#[test]
fn every_observed_pair_holds() {
    let pairs = pairs();
    assert_eq!(pairs.len(), 56);
    for (n, pair) in pairs.into_iter().enumerate() {
        let place = format!("{n} {} {}", pair.transform, pair.watch_type);
        let ours = post(&change(kind(&pair.transform), &pair.watch_type, &pair.input));
        let mut golden = pair.output;
        if golden.is_null() {
            assert_eq!(ours, None, "{place}");
            continue;
        }
        let ours = ours.unwrap_or_else(|| panic!("{place}: no post"));
        // Its two faults: the time of the creation, and a count that is not there.
        golden.as_object_mut().unwrap().remove("timestamp");
        let id = golden["externalId"].as_str().unwrap().replace("-undefined", "-1");
        golden["externalId"] = json!(id);
        assert_holds(&golden, &ours, &place);
        assert!(ours["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{place}");
        for key in ["annotations", "owner_references", "links"] {
            assert!(!ours["data"][key].is_null(), "{place}: no {key}");
        }
    }
}

fn pod(version: &str, phase: &str, annotations: Value) -> Value {
    json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": version,
            "creationTimestamp": "2025-01-15T10:00:00Z", "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "subresource": "status", "time": "2025-01-15T10:30:00Z"}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "nginx:1"}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "c", "image": "nginx:1", "ready": true, "restartCount": 0, "state": {"running": {}}}]},
    })
}

fn update(kind: Kind, before: &Value, after: &Value) -> Change {
    let (before, after) = (read(kind, before), read(kind, after));
    Change { key: after.key(), before: Some(before), after: Some(after), origin: Origin::Live }
}

#[test]
fn a_pod_that_was_pending_is_created_once_it_runs() {
    let (mut pending, running) = (pod("1", "Pending", json!({})), pod("2", "Running", json!({"team": "a"})));
    pending["metadata"]["managedFields"][0]["time"] = json!("2025-01-15T10:29:58Z");
    let added = Change { before: None, ..update(Kind::Pod, &pending, &pending) };
    assert_eq!(post(&added), None);
    let told = post(&update(Kind::Pod, &pending, &running)).unwrap();
    assert_eq!(told["title"], "Pod Created: web-1");
    assert_eq!(told["data"]["action"], "added");
    assert_eq!(told["timestamp"], "2025-01-15T10:30:00.000Z");
    assert_eq!(told["externalId"], "k8s-pod-prod-shop-web-1-2");
    assert_eq!(told["data"]["annotations"]["team"], "a");
    assert_eq!(told["data"]["owner_references"][0]["name"], "web");
    assert_eq!(told["data"]["links"][0]["ref"], "/api/v1/namespaces/shop/pods/web-1");
}

#[test]
fn a_change_for_which_the_server_notes_no_time_has_that_at_which_it_was_seen() {
    let deployment = |version: &str, replicas: u32, managers: Value| {
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": version,
                "creationTimestamp": "2025-01-15T09:00:00Z", "managedFields": managers},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": []}}}})
    };
    let status = json!({"manager": "kube-controller-manager", "subresource": "status", "time": "2025-01-15T10:30:00Z"});
    let scale = json!({"manager": "kubectl", "subresource": "scale"});
    let before = deployment("1", 1, json!([status]));
    let scaled = deployment("2", 3, json!([status, scale]));
    let told = post(&update(Kind::Deployment, &before, &scaled)).unwrap();
    assert_eq!(told["timestamp"], "2025-01-15T11:00:00.000Z");
    // A newer time is of this change.
    let edit = json!({"manager": "kubectl-edit", "time": "2025-01-15T10:45:00Z"});
    let edited = deployment("3", 4, json!([status, scale, edit]));
    let told = post(&update(Kind::Deployment, &scaled, &edited)).unwrap();
    assert_eq!(told["timestamp"], "2025-01-15T10:45:00.000Z");
}

#[test]
fn a_deletion_found_later_has_an_id_of_its_own() {
    let deployment = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": []}}}});
    let mut gone = update(Kind::Deployment, &deployment, &deployment);
    gone.after = None;
    assert_eq!(post(&gone).unwrap()["externalId"], "k8s-deployment-prod-shop-web-7");
    gone.origin = Origin::Late;
    assert_eq!(post(&gone).unwrap()["externalId"], "k8s-deployment-prod-shop-web-7-deleted");
    assert_eq!(post(&gone).unwrap()["timestamp"], "2025-01-15T11:00:00.000Z");
}

#[test]
fn nothing_is_posted_at_a_baseline_or_where_nothing_shown_changed() {
    let node = |version: &str, cordoned: bool| json!({"metadata": {"name": "node-1", "uid": "n", "resourceVersion": version}, "spec": {"unschedulable": cordoned}});
    assert_eq!(post(&update(Kind::Node, &node("1", false), &node("2", false))), None);
    let mut cordoned = update(Kind::Node, &node("1", false), &node("2", true));
    let told = post(&cordoned).unwrap();
    assert_eq!(
        (&told["title"], &told["project"]),
        (&json!("Node Updated: node-1"), &json!("prod:cluster-wide"))
    );
    assert_eq!(told["externalId"], "k8s-node-prod-node-1-2");
    cordoned.origin = Origin::Baseline;
    assert_eq!(post(&cordoned), None);
}

#[test]
fn a_value_and_a_variable_are_changes_though_nothing_shown_is_different() {
    let config = |version: &str, value: &str| json!({"metadata": {"name": "env", "namespace": "shop", "uid": "c", "resourceVersion": version}, "data": {"mode": value}});
    for kind in [Kind::ConfigMap, Kind::Secret] {
        assert_eq!(post(&update(kind, &config("1", "eA=="), &config("2", "eA=="))), None);
        let told = post(&update(kind, &config("1", "eA=="), &config("2", "eQ=="))).unwrap();
        assert_eq!(told["title"], format!("{} Updated: env", kind.as_str()));
        assert!(!told.to_string().contains("eQ=="), "{told}");
    }
    let deployment = |version: &str, generation: i64, value: &str| {
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "d", "resourceVersion": version, "generation": generation},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [
                {"name": "app", "image": "web:1", "env": [{"name": "FOO", "value": value}]}]}}}})
    };
    let told = post(&update(Kind::Deployment, &deployment("1", 1, "a"), &deployment("2", 2, "b"))).unwrap();
    assert_eq!(told["title"], "Deployment Updated: web");
    assert_eq!(post(&update(Kind::Deployment, &deployment("2", 2, "b"), &deployment("3", 2, "b"))), None);
}

#[test]
fn a_failing_pod_that_begins_to_be_deleted_did_not_fail_again() {
    let crashing = |version: &str, generation: i64, deleted: bool| {
        let mut pod = pod(version, "Running", json!({}));
        pod["metadata"]["generation"] = json!(generation);
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2025-01-15T10:59:00Z");
        }
        let state = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        pod["status"]["containerStatuses"][0]["restartCount"] = json!(3);
        pod["status"]["containerStatuses"][0]["state"] = state;
        pod
    };
    // Servers before 1.33 do not count the generations of Pods.
    for generation in [0, 1] {
        let (before, after) =
            (crashing("1", generation, false), crashing("2", (generation * 2).min(2), true));
        assert_eq!(post(&update(Kind::Pod, &before, &after)), None, "{generation}");
    }
    // What was changed with it is told, and what it dies of.
    let resized = post(&update(Kind::Pod, &crashing("1", 1, false), &crashing("2", 3, true))).unwrap();
    assert_eq!(resized["title"], "Pod waiting: CrashLoopBackOff: web-1");
    let mut again = crashing("3", 2, true);
    again["status"]["containerStatuses"][0]["restartCount"] = json!(4);
    assert!(post(&update(Kind::Pod, &crashing("2", 2, true), &again)).is_some());
    let gone = Change { after: None, ..update(Kind::Pod, &again, &again) };
    assert_eq!(post(&gone).unwrap()["title"], "Pod Deleted: web-1");
}

#[test]
fn a_helm_release_is_told_when_it_is_decided_and_each_id_once() {
    let secret = |version: &str, status: &str| {
        json!({"metadata": {"name": "sh.helm.release.v1.app.v1", "namespace": "shop", "uid": "h", "resourceVersion": version,
            "labels": {"owner": "helm", "name": "app", "version": "1", "status": status}}, "type": "helm.sh/release.v1", "data": {"release": "eA=="}})
    };
    let all = ["pending-install", "deployed", "superseded", "uninstalling"];
    let states: Vec<Value> = all.iter().enumerate().map(|(n, s)| secret(&n.to_string(), s)).collect();
    let added = Change { before: None, ..update(Kind::Secret, &states[0], &states[0]) };
    assert_eq!(post(&added), None);
    let installed = post(&update(Kind::Secret, &states[0], &states[1])).unwrap();
    assert_eq!(installed["title"], "Helm Release Installed: app");
    assert_eq!(post(&update(Kind::Secret, &states[1], &states[2])), None);
    let gone = Change { after: None, ..update(Kind::Secret, &states[3], &states[3]) };
    let uninstalled = post(&gone).unwrap();
    assert_ne!(installed["externalId"], uninstalled["externalId"]);
}

//! What happened while nobody looked: told once, with its own author.

use barrelman::event::EventType;
use serde_json::json;

use crate::support::rig::Rig;

/// It was told as created under the very version in which it is known when it is gone.
#[test]
fn what_came_while_we_looked_and_went_while_we_did_not_is_told_as_deleted() {
    let mut rig = Rig::shop();
    rig.advance(5);
    for (kind, spec) in [
        ("ConfigMap", json!({"data": {"a": "1"}})),
        ("Secret", json!({"type": "Opaque", "data": {"a": "MQ=="}})),
        (
            "Service",
            json!({"spec": {"type": "ClusterIP", "selector": {"app": "nobody"}, "ports": [{"port": 80}]}}),
        ),
    ] {
        let mut object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "new", "namespace": "shop"}});
        object.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        rig.cluster().create(object).expect("a new object");
    }
    rig.advance(5);
    rig.stop();
    for plural in ["configmaps", "secrets", "services"] {
        rig.cluster().delete(plural, "shop", "new").expect("it was there");
    }
    rig.begin();
    rig.start();
    rig.advance(10);
    let told = |event_type: EventType, kind: &str| -> Vec<String> {
        let events = rig.events_of(event_type).into_iter();
        let of = events.filter(|e| e.object.kind == kind && e.object.name == "new");
        of.map(|e| e.details["action"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(told(EventType::ConfigChanged, "ConfigMap"), ["created", "deleted"], "{:#?}", rig.story());
    assert_eq!(told(EventType::ConfigChanged, "Secret"), ["created", "deleted"]);
    assert_eq!(told(EventType::ServiceChanged, "Service"), ["created", "deleted"]);
}

/// The node itself says since when it is ready.
#[test]
fn an_end_that_came_while_we_did_not_look_has_the_objects_time() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-a", true).unwrap();
    rig.advance(200);
    assert!(rig.incident("Node//node-a").resolved_at.is_none(), "{:#?}", rig.story());
    rig.stop();
    rig.unwatched(20);
    rig.sim().node_down("node-a", false).unwrap();
    rig.unwatched(5);
    let back = rig.now();
    rig.unwatched(150);
    rig.begin();
    rig.start();
    rig.advance(90);
    let node = rig.incident("Node//node-a");
    let ended = node.resolved_at.expect("it is over");
    assert!(ended <= back + jiff::SignedDuration::from_secs(10), "{ended} after {back}: {:#?}", rig.story());
}

//! What cannot be judged because another kind's list is still under way is judged when that list is complete.

use barrelman::{
    event::{
        EventType, Kind,
        incident::{IncidentStatus, Phase},
    },
    object::Said,
};
use serde_json::json;

use crate::support::rig::{HOOK, Rig};

fn claim(rig: &Rig, name: &str) {
    rig.cluster()
        .create(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "namespace": "shop", "name": name },
            "spec": { "storageClassName": "nope", "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Pending" },
        }))
        .unwrap();
}

/// A cluster that nobody has looked at yet, with a claim that nobody binds.
fn unseen() -> Rig {
    let mut rig = Rig::empty(HOOK);
    rig.add("shop", |cluster| {
        barrelman::demo::Sim::demo(cluster, crate::support::noon(), 1.0);
        None
    });
    claim(&rig, "data");
    rig.unwatched(600);
    rig
}

/// What a list says, without and with what it says of one kind.
fn but(rig: &mut Rig, kind: Kind) -> (Vec<Said>, Vec<Said>) {
    let of_kind = |said: &Said| match said {
        Said::ListStart(s) | Said::Listed(s, _) | Said::ListEnd(s) | Said::Stream(s, _) => s.kind == kind,
        _ => false,
    };
    rig.watched[0].list().into_iter().partition(|said| !of_kind(said))
}

#[test]
fn a_claim_is_judged_when_the_classes_are_listed() {
    let mut rig = unseen();
    let (first, classes) = but(&mut rig, Kind::StorageClass);
    rig.say(first);
    rig.advance(90);
    assert_eq!(rig.events_of(EventType::PvcPending).len(), 0, "{:#?}", rig.story());
    rig.say(classes);
    let claim = rig.incident("PersistentVolumeClaim/shop/data");
    assert!(claim.standing && claim.status == IncidentStatus::Open, "{claim:#?}");
    rig.advance(60);
    assert_eq!(rig.events_of(EventType::PvcPending).len(), 1, "{:#?}", rig.story());
    assert_eq!(rig.about("PersistentVolumeClaim/shop/data", Phase::Opened).len(), 0, "{:#?}", rig.told());
}

#[test]
fn what_waited_for_a_list_waits_for_it_over_a_restart() {
    let mut rig = unseen();
    let (first, _) = but(&mut rig, Kind::StorageClass);
    rig.say(first);
    rig.stop();
    rig.begin();
    // The same objects as before: nothing of them is a change.
    let (first, classes) = but(&mut rig, Kind::StorageClass);
    rig.say(first);
    rig.advance(30);
    assert_eq!(rig.events_of(EventType::PvcPending).len(), 0, "{:#?}", rig.story());
    rig.say(classes);
    assert!(rig.incident("PersistentVolumeClaim/shop/data").standing, "{:#?}", rig.story());
}

#[test]
fn a_claim_of_a_gap_is_told_when_the_classes_are_listed() {
    let mut rig = unseen();
    rig.start();
    rig.stop();
    rig.unwatched(5);
    claim(&rig, "late");
    rig.unwatched(300);
    rig.begin();
    let (first, classes) = but(&mut rig, Kind::StorageClass);
    rig.say(first);
    rig.advance(10);
    rig.say(classes);
    rig.advance(30);
    assert_eq!(rig.about("PersistentVolumeClaim/shop/late", Phase::Opened).len(), 1, "{:#?}", rig.story());
}

#[test]
fn where_classes_may_not_be_seen_the_provisioner_s_word_is_enough() {
    let mut rig = unseen();
    rig.watched[0].shut = vec![Kind::StorageClass];
    rig.start();
    rig.advance(30);
    assert_eq!(rig.events_of(EventType::PvcPending).len(), 0, "{:#?}", rig.story());
    let now = rig.now().to_string();
    let uid = rig.cluster().get("persistentvolumeclaims", "shop", "data").unwrap()["metadata"]["uid"].clone();
    rig.cluster()
        .create(json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "namespace": "shop", "name": "data.1" },
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": "storageclass \"nope\" not found",
            "involvedObject": { "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data", "uid": uid },
            "source": { "component": "persistentvolume-controller" },
            "count": 42, "firstTimestamp": now, "lastTimestamp": now,
        }))
        .unwrap();
    rig.advance(1);
    let found = rig.events_of(EventType::PvcPending);
    assert_eq!(found.len(), 1, "{:#?}", rig.story());
    assert_eq!(found[0].description, "storageclass \"nope\" not found");
}

#[test]
fn what_a_failed_commit_took_in_is_taken_in_again_as_if_for_the_first_time() {
    let mut rig = Rig::shop();
    let (events, pods) = (rig.events().len(), rig.watched[0].stream(Kind::Pod));
    let said = rig.watched[0].list();
    let of_pods = |s: &Said| match s {
        Said::ListStart(stream) | Said::ListEnd(stream) | Said::Listed(stream, _) => *stream == pods,
        _ => false,
    };
    let list: Vec<Said> = said.into_iter().filter(of_pods).collect();
    let (first, rest) = list.split_at(list.len() - 2);
    rig.say(first.to_vec());
    // The end of that list and the beginning of the next in one batch, which fails once.
    rig.failing = 1;
    rig.say(rest.iter().cloned().chain(std::iter::once(list[0].clone())).collect());
    rig.say(list[1..].to_vec());
    rig.advance(5);
    let late: Vec<_> = rig.events().split_off(events).into_iter().filter(|e| e.late).collect();
    assert_eq!(late.len(), 0, "{late:#?}");
}

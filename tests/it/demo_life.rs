//! The simulated cluster's objects are what a typed client expects, and its day can be followed over the wire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use barrelman::demo::scenario::Player;
use barrelman::demo::{Cluster, Fault, Options, Rule};
use barrelman::event::Kind;
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{self as core, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde_json::Value;

use crate::support::{noon, options, serve, soon};

/// A cluster whose clock the test moves.
fn moving() -> (Cluster, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(noon().as_second()));
    let read = Arc::clone(&clock);
    let now = move || Timestamp::from_second(read.load(Ordering::SeqCst)).expect("a time");
    (Cluster::new(Options { clock: Arc::new(now), ..options(3) }), clock)
}

fn decode<T: serde::de::DeserializeOwned>(objects: &[Arc<Value>]) -> usize {
    for object in objects {
        if let Err(error) = serde_json::from_value::<T>(Value::clone(object)) {
            panic!("{error}: {object}");
        }
    }
    objects.len()
}

fn decode_all(cluster: &Cluster) -> usize {
    let mut decoded = 0;
    for kind in Kind::ALL {
        let all = cluster.list(*kind);
        decoded += match kind {
            Kind::Pod => decode::<Pod>(&all),
            Kind::Deployment => decode::<Deployment>(&all),
            Kind::ReplicaSet => decode::<ReplicaSet>(&all),
            Kind::StatefulSet => decode::<StatefulSet>(&all),
            Kind::DaemonSet => decode::<DaemonSet>(&all),
            Kind::Job => decode::<Job>(&all),
            Kind::CronJob => decode::<CronJob>(&all),
            Kind::Service => decode::<Service>(&all),
            Kind::EndpointSlice => decode::<EndpointSlice>(&all),
            Kind::Ingress => decode::<Ingress>(&all),
            Kind::Node => decode::<Node>(&all),
            Kind::HorizontalPodAutoscaler => decode::<HorizontalPodAutoscaler>(&all),
            Kind::Event => decode::<core::Event>(&all),
            Kind::PersistentVolumeClaim => decode::<core::PersistentVolumeClaim>(&all),
            Kind::PersistentVolume => decode::<core::PersistentVolume>(&all),
            Kind::ConfigMap => decode::<core::ConfigMap>(&all),
            Kind::Secret => decode::<core::Secret>(&all),
            Kind::Namespace => decode::<core::Namespace>(&all),
            Kind::IngressClass => decode::<k8s_openapi::api::networking::v1::IngressClass>(&all),
            Kind::StorageClass => decode::<k8s_openapi::api::storage::v1::StorageClass>(&all),
        };
    }
    decoded
}

#[test]
fn every_object_of_a_day_decodes_as_its_type_and_its_owners_exist() {
    let (cluster, _) = moving();
    let mut player = Player::demo(cluster.clone(), noon(), 1.0);
    for second in (0..2_790).step_by(30) {
        player.advance(noon() + SignedDuration::from_secs(second)).expect("a day");
        assert!(decode_all(&cluster) > 60);
    }
    let uids: BTreeSet<String> = Kind::ALL
        .iter()
        .flat_map(|kind| cluster.list(*kind))
        .filter_map(|o| Some(o.pointer("/metadata/uid")?.as_str()?.to_owned()))
        .collect();
    for pod in cluster.list(Kind::Pod) {
        let owner = pod.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str).expect("an owner");
        assert!(uids.contains(owner), "{pod}");
        let managers = pod.pointer("/metadata/managedFields").and_then(Value::as_array).expect("managers");
        assert!(managers.iter().any(|m| m["manager"] == "kubelet" && m["subresource"] == "status"), "{pod}");
    }
}

#[tokio::test]
async fn a_client_follows_the_day_without_a_gap() {
    let (cluster, _) = moving();
    let mut player = Player::demo(cluster.clone(), noon(), 1.0);
    let served = serve(&cluster).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let list = pods.list(&ListParams::default()).await.expect("a list");
    let name = |p: &Pod| p.metadata.name.clone().unwrap_or_default();
    let mut known: BTreeSet<String> = list.items.iter().map(name).collect();
    let from = list.metadata.resource_version.clone().expect("a version");
    let mut stream = pods.watch(&WatchParams::default().timeout(60), &from).await.expect("a watch").boxed();
    player.advance(noon() + SignedDuration::from_secs(600)).expect("ten minutes");
    let last = cluster.revision();
    let mut waiting = BTreeSet::new();
    loop {
        match soon(stream.try_next()).await.expect("no error").expect("no end") {
            WatchEvent::Added(p) => assert!(known.insert(name(&p)), "{} was there", name(&p)),
            WatchEvent::Deleted(p) => assert!(known.remove(&name(&p)), "{} was not there", name(&p)),
            WatchEvent::Modified(p) => {
                assert!(known.contains(&name(&p)));
                for status in p.status.and_then(|s| s.container_statuses).into_iter().flatten() {
                    waiting.extend(status.state.and_then(|s| s.waiting).and_then(|w| w.reason));
                }
            }
            WatchEvent::Bookmark(b) if b.metadata.resource_version == last.to_string() => break,
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => panic!("{status:?}"),
        }
    }
    assert!(waiting.contains("CrashLoopBackOff"), "{waiting:?}");
    let now: BTreeSet<String> =
        pods.list(&ListParams::default()).await.expect("a list").items.iter().map(name).collect();
    assert_eq!(known, now);
}

#[tokio::test]
async fn thousands_of_changes_arrive_each_once_and_in_order() {
    let (cluster, _) = moving();
    let mut bulk = cluster.bulk(200, 4);
    let served = serve(&cluster).await;
    let events: Api<core::Event> = Api::all(served.client.clone());
    let from = cluster.revision().to_string();
    let mut stream = events.watch(&WatchParams::default().timeout(60), &from).await.expect("a watch").boxed();
    bulk.emit_events(3_000);
    let mut last = 0;
    let mut count = 0;
    while count < 3_000 {
        if let WatchEvent::Added(event) = soon(stream.try_next()).await.expect("no error").expect("no end") {
            let version: u64 = event.metadata.resource_version.expect("a version").parse().expect("a number");
            assert!(version > last);
            last = version;
            count += 1;
        }
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_an_error_and_not_a_short_list() {
    let (cluster, _) = moving();
    cluster.bulk(20, 2);
    let served = serve(&cluster).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    cluster.faults().inject(Rule::new(Fault::CutLine).verb("list").times(1));
    assert!(soon(pods.list(&ListParams::default())).await.is_err());
    cluster.faults().inject(Rule::new(Fault::Undecodable).verb("list").times(1));
    assert!(soon(pods.list(&ListParams::default())).await.is_err());
    assert_eq!(soon(pods.list(&ListParams::default())).await.expect("well again").items.len(), 20);
}

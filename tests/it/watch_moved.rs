//! A server that is to be found elsewhere than before, by what the kubeconfig says now.

use std::path::Path;

use barrelman::{
    demo::Cluster,
    event::{ClusterUid, Kind},
    object::Said,
    status::{ClusterState, StreamState},
};
use serde_json::json;

use crate::support::{
    self, Served,
    watching::{Watching, applied, listed, options, settings, stream},
};

async fn served(seed: u64, pods: &[(&str, &str)]) -> Served {
    let served = support::serve(&Cluster::new(support::options(seed))).await;
    for (namespace, name) in pods {
        pod(&served, namespace, name);
    }
    served
}

fn pod(served: &Served, namespace: &str, name: &str) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}});
    served.cluster.create(pod).expect("a new pod");
}

fn lead_to(file: &Path, served: &Served) {
    std::fs::write(file, &served.kubeconfig).expect("a file");
}

fn uid_of(served: &Served) -> ClusterUid {
    let namespace =
        served.cluster.get("namespaces", "", "kube-system").expect("there is one in every cluster");
    ClusterUid::from(namespace["metadata"]["uid"].as_str().expect("a uid"))
}

/// Watches pods of what the file leads to, until they are live.
fn live(file: &Path, first: &str) -> Watching {
    let mut watching = Watching::start(options(file.to_owned(), settings(&[Kind::Pod])));
    watching.until("the first pod", |said| listed(said, Kind::Pod, first));
    watching.until_shown("live", |c| stream(c, Kind::Pod).state == StreamState::Live);
    watching
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_comes_back_elsewhere_is_found_by_its_kubeconfig() {
    let before = served(1, &[("default", "first")]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    lead_to(&file, &before);
    let mut watching = live(&file, "first");
    before.cluster.gate().stop().await;
    watching.until_shown("away", |c| matches!(c.state, ClusterState::Away { .. }));
    // The same cluster, on another port.
    let after = served(1, &[("default", "first"), ("default", "second")]).await;
    assert_eq!((uid_of(&before), before.url != after.url), (uid_of(&after), true));
    lead_to(&file, &after);
    watching.until("what it has", |said| listed(said, Kind::Pod, "second"));
    watching.until_shown("live", |c| {
        c.state == ClusterState::Live && stream(c, Kind::Pod).state == StreamState::Live
    });
    pod(&after, "default", "third");
    watching.until("what comes then", |said| applied(said, Kind::Pod, "third").is_some());
    let live = |said: &&Said| matches!(said, Said::Live(uid) if *uid == uid_of(&after));
    assert_eq!(watching.said.iter().filter(live).count(), 2, "at first, and after it was away");
    assert!(
        !watching.said.iter().any(|said| matches!(said, Said::Scope { streams, .. } if streams.is_empty()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_cluster_in_its_place_is_not_taken_for_it() {
    let before = served(1, &[("default", "first")]).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    lead_to(&file, &before);
    let mut watching = live(&file, "first");
    before.cluster.gate().stop().await;
    let after = served(2, &[("default", "second")]).await;
    let (old, new) = (uid_of(&before), uid_of(&after));
    assert_ne!(old, new);
    lead_to(&file, &after);
    let at = watching.until(
        "that the old one is out of scope",
        |said| matches!(said, Said::Scope { cluster, streams } if *cluster == old && streams.is_empty()),
    );
    watching.until_from(at, "the new one's pod", |said| {
        matches!(said, Said::Listed(stream, object) if stream.cluster == new && object.meta.name == "second")
    });
    let later = watching.said.split_off(at + 1);
    assert!(!later.iter().any(|said| matches!(said, Said::ListStart(stream) if stream.cluster == old)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_asks_for_it_is_led_where_the_kubeconfig_leads_now() {
    let (before, after) =
        (served(1, &[("default", "first")]).await, served(2, &[("default", "second")]).await);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    lead_to(&file, &before);
    let mut watching = live(&file, "first");
    // Nothing is amiss and nothing has changed: nothing is disturbed.
    watching.handle.look_again();
    pod(&before, "default", "later");
    watching.until("a change", |said| applied(said, Kind::Pod, "later").is_some());
    let lists = |said: &&Said| matches!(said, Said::ListStart(_));
    assert_eq!(watching.said.iter().filter(lists).count(), 1);
    // The old one goes on, so that no failure tells.
    lead_to(&file, &after);
    watching.handle.look_again();
    watching.until("the other one's pod", |said| listed(said, Kind::Pod, "second"));
    watching.until_shown("live", |c| c.state == ClusterState::Live && c.streams.len() == 1);
}

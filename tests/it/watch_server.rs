//! A server that is not as it was: set back to a backup, or with another time.

use barrelman::{
    demo::{Cluster, Options, WatchEnd},
    event::Kind,
    object::Said,
    status::StreamState,
};
use serde_json::json;

use crate::support::{
    self,
    watching::{Watching, applied, clock, listed, options, settings, stream},
};

fn pod(cluster: &Cluster, name: &str, labels: &serde_json::Value) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}});
    cluster.create(pod).expect("a new pod");
}

/// Such a server keeps a watch from a version that it has not reached open, and silent, for as long as it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_happens_after_a_restore_of_etcd_is_seen() {
    let served = support::serve(&Cluster::new(support::options(1))).await;
    let cluster = &served.cluster;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    std::fs::write(&file, &served.kubeconfig).expect("a file");
    let labels = json!({"app": "web"});
    pod(cluster, "first", &labels);
    let backup = cluster.backup();
    let mut watching = Watching::start(options(file, settings(&[Kind::Pod])));
    watching.until("the first pod", |said| listed(said, Kind::Pod, "first"));
    watching.until_shown("live", |c| stream(c, Kind::Pod).state == StreamState::Live);
    for turn in 0..20 {
        pod(cluster, &format!("lost-{turn}"), &labels);
    }
    let before = watching.until("the last change", |said| applied(said, Kind::Pod, "lost-19").is_some());
    cluster.restore(&backup);
    cluster.faults().end_watches(None, WatchEnd::Broken);
    let end = watching.until_from(
        before,
        "a new list",
        |said| matches!(said, Said::ListEnd(s) if s.kind == Kind::Pod),
    );
    let again = |said: &Said| listed(said, Kind::Pod, "lost-19");
    assert!(!watching.said[before + 1..end].iter().any(again), "it is not there any more");
    pod(cluster, "after", &labels);
    watching.until_from(end, "what came after", |said| {
        listed(said, Kind::Pod, "after") || applied(said, Kind::Pod, "after").is_some()
    });
    assert!(cluster.revision() < backup_end(&watching), "the new versions are still below the old ones");
}

/// The newest version that was told before the restore.
fn backup_end(watching: &Watching) -> u64 {
    let versions = watching.said.iter().filter_map(|said| applied(said, Kind::Pod, "lost-19"));
    versions.filter_map(|pod| pod.meta.version.parse().ok()).max().expect("it was told")
}

/// A connection that breaks costs one small question, and no list.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_connection_to_a_server_that_goes_on_lists_nothing_again() {
    let served = support::serve(&Cluster::new(support::options(1))).await;
    let cluster = &served.cluster;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    std::fs::write(&file, &served.kubeconfig).expect("a file");
    pod(cluster, "first", &json!({}));
    let mut watching = Watching::start(options(file, settings(&[Kind::Pod])));
    watching.until("the first pod", |said| listed(said, Kind::Pod, "first"));
    watching.until_shown("live", |c| stream(c, Kind::Pod).state == StreamState::Live);
    cluster.faults().end_watches(None, WatchEnd::Broken);
    pod(cluster, "second", &json!({}));
    watching.until("the second pod", |said| applied(said, Kind::Pod, "second").is_some());
    assert_eq!(stream(&watching.board.snapshot()[0], Kind::Pod).relists, 0);
    assert_eq!(cluster.faults().count("list", "/pods"), 1, "whether it was set back");
}
/// What a server's answers say of its clock is told before anything of its objects.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_with_another_time_is_told_of() {
    let ahead = jiff::SignedDuration::from_mins(7);
    let clock = std::sync::Arc::new(move || clock() + ahead);
    let served = support::serve(&Cluster::new(Options { dates: true, ..Options::new(1, clock) })).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    std::fs::write(&file, &served.kubeconfig).expect("a file");
    let mut watching = Watching::start(options(file, settings(&[Kind::Pod])));
    let end = watching.until("a list", |said| matches!(said, Said::ListEnd(_)));
    let told = watching.said.iter().take(end).find_map(|said| match said {
        Said::Clock { ahead, .. } => Some(*ahead),
        _ => None,
    });
    let off = told.expect("it was told before") - ahead;
    assert!(off.abs() < jiff::SignedDuration::from_secs(4), "{told:?}");
    let shown = watching.until_shown("a clock", |c| c.clock_ahead_secs != 0);
    assert!((416..=424).contains(&shown.clock_ahead_secs), "{shown:#?}");
}

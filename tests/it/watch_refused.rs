//! A starting API server refuses what it permits: a 403 is believed only when it stays, and where there is no doubt.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use barrelman::{
    demo::{Access, Cluster, Fault, Rule, WatchEnd},
    event::Kind,
    object::{ObjectKey, Said, Str},
    status::{ClusterState, StreamState},
};
use serde_json::json;

use crate::support::{
    self, Served,
    watching::{Watching, list_ended, listed, options, settings, state, stream},
};

/// A served cluster with one pod, and watches that try a missing right again in an hour.
struct Scene {
    served: Served,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let served = support::serve(&Cluster::new(support::options(1))).await;
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("config"), &served.kubeconfig).expect("a file");
        let scene = Self { served, dir };
        scene.pod("first");
        scene
    }

    fn cluster(&self) -> &Cluster {
        &self.served.cluster
    }

    fn pod(&self, name: &str) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}});
        self.cluster().create(pod).expect("a new pod");
    }

    fn options(&self, kinds: &[Kind]) -> barrelman::watch::Options {
        let mut options = options(self.dir.path().join("config"), settings(kinds));
        options.watch.poll_interval = Duration::from_hours(1);
        options
    }

    fn live(&self, kinds: &[Kind]) -> Watching {
        let mut watching = Watching::start(self.options(kinds));
        watching.until_shown("live", |c| {
            kinds.len() == c.streams.len() && c.streams.iter().all(|s| s.state == StreamState::Live)
        });
        watching
    }
}

fn refused(said: &Said) -> bool {
    matches!(said, Said::Stream(_, StreamState::Forbidden { .. }))
}

fn retried(said: &Said) -> bool {
    matches!(said, Said::Stream(_, StreamState::Retrying { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_that_had_worked_is_tried_again_soon_and_its_stream_is_lost_until_then() {
    let scene = Scene::new().await;
    let mut watching = scene.live(&[Kind::Pod]);
    scene.cluster().faults().inject(Rule::new(Fault::forbidden()).resource("pods").times(2));
    scene.cluster().faults().end_watches(None, WatchEnd::Broken);
    scene.pod("in-the-gap");
    let shown = watching.until_shown("the refusal", |c| stream(c, Kind::Pod).last_error.contains("403"));
    assert!(matches!(stream(&shown, Kind::Pod).state, StreamState::Retrying { .. }), "{shown:#?}");
    watching.until("the change in the gap", |said| state(said).is_some_and(|o| o.meta.name == "in-the-gap"));
    assert!(watching.said.iter().any(retried));
    assert!(!watching.said.iter().any(refused), "{:#?}", watching.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_server_refuses_after_its_restart_is_back_soon() {
    let scene = Scene::new().await;
    let kinds = [Kind::Pod, Kind::Node, Kind::Service];
    let mut watching = scene.live(&kinds);
    scene.cluster().gate().stop().await;
    watching.until_shown("away", |c| matches!(c.state, ClusterState::Away { .. }));
    for plural in ["pods", "nodes", "services"] {
        scene.cluster().faults().inject(Rule::new(Fault::forbidden()).resource(plural).times(3));
    }
    scene.cluster().gate().start().await;
    watching.until_shown("all live again", |c| {
        scene.cluster().faults().pending() == 0 && c.streams.iter().all(|s| s.state == StreamState::Live)
    });
    assert!(!watching.said.iter().any(refused), "{:#?}", watching.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_that_is_taken_away_is_lost_first_and_then_missing_by_name() {
    let scene = Scene::new().await;
    let mut watching = scene.live(&[Kind::Pod]);
    scene.cluster().set_access(Access::full().deny("*", "pods", None));
    scene.cluster().faults().end_watches(None, WatchEnd::Eof);
    let shown = watching.until_shown("the refusal", |c| stream(c, Kind::Pod).last_error.contains("403"));
    assert!(matches!(stream(&shown, Kind::Pod).state, StreamState::Retrying { .. }), "{shown:#?}");
    let lost = watching.until("that it is lost", retried);
    let missing = StreamState::Forbidden { missing: "list,watch pods".into() };
    watching.until_from(
        lost,
        "the missing right",
        |said| matches!(said, Said::Stream(_, state) if *state == missing),
    );
    // From then on slowly.
    scene.cluster().faults().reset_counts();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.cluster().faults().count("watch", "/pods"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_that_was_never_there_is_missing_at_once() {
    let scene = Scene::new().await;
    scene.cluster().set_access(Access::full().deny("*", "secrets", None));
    let start = Instant::now();
    let mut watching = Watching::start(scene.options(&[Kind::Pod, Kind::Secret]));
    watching.until("that it is missing", refused);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(!watching.said.iter().any(retried), "{:#?}", watching.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_right_of_an_earlier_run_is_doubted_from_the_first_refusal_on() {
    let scene = Scene::new().await;
    scene.cluster().faults().inject(Rule::new(Fault::forbidden()).resource("pods").times(2));
    let mut options = scene.options(&[Kind::Pod]);
    let first = ObjectKey { kind: Kind::Pod, namespace: Str::new("default"), name: Str::new("first") };
    options.stored = Some(Arc::new(move |_| vec![(first.clone(), Str::new("uid"))]));
    let mut watching = Watching::start(options);
    watching.until("the list", |said| list_ended(said, Kind::Pod));
    assert!(!watching.said.iter().any(refused), "{:#?}", watching.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_is_not_ready_at_the_first_start_is_not_believed() {
    let scene = Scene::new().await;
    let faults = scene.cluster().faults();
    faults.inject(Rule::new(Fault::internal()).path("/readyz").times(2));
    faults.inject(Rule::new(Fault::forbidden()).resource("pods").times(3));
    let mut watching = Watching::start(scene.options(&[Kind::Pod]));
    watching.until("the pod", |said| listed(said, Kind::Pod, "first"));
    assert!(watching.said.iter().any(retried));
    assert!(!watching.said.iter().any(refused), "{:#?}", watching.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_right_is_tried_again_when_the_server_is_back() {
    let scene = Scene::new().await;
    scene.cluster().set_access(Access::full().deny("*", "secrets", None));
    let mut watching = Watching::start(scene.options(&[Kind::Pod, Kind::Secret]));
    let missing = watching.until("that it is missing", refused);
    scene.cluster().gate().stop().await;
    watching.until_shown("away", |c| matches!(c.state, ClusterState::Away { .. }));
    // Missing still when it is back: it stays shown as that, and is tried until the server is surely started.
    scene.cluster().gate().start().await;
    watching.until_shown("live", |c| c.state == ClusterState::Live);
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.cluster().set_access(Access::full());
    watching.until_from(missing, "the secrets", |said| list_ended(said, Kind::Secret));
    let of_secrets = |said: &Said| matches!(said, Said::Stream(s, _) if s.kind == Kind::Secret);
    assert!(!watching.said.iter().any(|said| of_secrets(said) && retried(said)), "{:#?}", watching.said);
}

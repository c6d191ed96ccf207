//! Whatever a server or a network does to a watch, no change is lost, nothing spins, and the state is shown.

use std::time::{Duration, Instant};

use barrelman::{
    demo::{Access, Cluster, Fault, Options, Rule, Surface, WatchEnd},
    event::Kind,
    object::Said,
    status::{ClusterState, StreamState},
};
use serde_json::json;

use crate::support::{
    self, Served,
    watching::{Watching, applied, clock, deleted, list_ended, listed, options, settings, state, stream},
};

/// A served cluster with one pod, and the file that leads there.
struct Scene {
    served: Served,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new(options: Options) -> Self {
        let served = support::serve(&Cluster::new(options)).await;
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("config"), &served.kubeconfig).expect("a file");
        let scene = Self { served, dir };
        scene.pod("default", "first");
        scene
    }

    fn cluster(&self) -> &Cluster {
        &self.served.cluster
    }

    fn pod(&self, namespace: &str, name: &str) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": "web:1"}]}, "status": {"phase": "Running"}});
        self.cluster().create(pod).expect("a new pod");
    }

    fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            "status": {"phase": "Active"}});
        self.cluster().create(namespace).expect("a new namespace");
    }

    fn options(&self, kinds: &[Kind]) -> barrelman::watch::Options {
        options(self.dir.path().join("config"), settings(kinds))
    }

    /// Watches pods until they are live.
    fn live(&self) -> Watching {
        let mut watching = Watching::start(self.options(&[Kind::Pod]));
        watching.until("the first pod", |said| listed(said, Kind::Pod, "first"));
        watching.until_shown("live", |c| stream(c, Kind::Pod).state == StreamState::Live);
        watching
    }
}

fn seen(said: &Said, name: &str) -> bool {
    listed(said, Kind::Pod, name) || applied(said, Kind::Pod, name).is_some()
}

/// Breaks the watch, makes a change in the gap and one after it, and expects both to be told.
async fn survives(strike: impl FnOnce(&Cluster)) -> (Scene, Watching) {
    let scene = Scene::new(support::options(1)).await;
    let mut watching = scene.live();
    strike(scene.cluster());
    scene.pod("default", "in-the-gap");
    watching.until("the change in the gap", |said| seen(said, "in-the-gap"));
    watching.until_shown("live again", |c| stream(c, Kind::Pod).state == StreamState::Live);
    scene.pod("default", "after");
    watching.until("the change after it", |said| seen(said, "after"));
    (scene, watching)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_watch_that_ends_goes_on_without_a_new_list() {
    let (scene, _watching) = survives(|c| c.faults().end_watches(None, WatchEnd::Eof)).await;
    // The one list, as a watch with initial events.
    assert_eq!(scene.cluster().faults().count("list", "/pods"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reset_connection_is_survived() {
    survives(|c| c.gate().reset_connections()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_that_is_cut_is_read_again() {
    let (_scene, watching) =
        survives(|c| c.faults().inject(Rule::new(Fault::CutLine).verb("watch").times(1))).await;
    assert_eq!(stream(&watching.board.snapshot()[0], Kind::Pod).relists, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn gone_within_the_watch_lists_again() {
    let (_scene, watching) = survives(|c| {
        c.faults().inject(Rule::new(Fault::gone_in_band()).verb("watch").times(1));
        c.faults().end_watches(None, WatchEnd::Eof);
    })
    .await;
    assert_eq!(stream(&watching.board.snapshot()[0], Kind::Pod).relists, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn gone_as_the_reply_lists_again() {
    let (_scene, watching) = survives(|c| {
        c.faults().inject(Rule::new(Fault::gone()).verb("watch").times(1));
        c.faults().end_watches(None, WatchEnd::Broken);
    })
    .await;
    assert_eq!(stream(&watching.board.snapshot()[0], Kind::Pod).relists, 1);
}

/// History that is gone is no failure of the server: the list comes at once, however long the waits had grown.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_an_outage_a_lost_history_costs_no_further_wait() {
    let scene = Scene::new(Options { streaming_lists: false, ..support::options(1) }).await;
    let mut watching = scene.live();
    let faults = scene.cluster().faults();
    faults.inject(Rule::new(Fault::internal()).verb("watch").times(3));
    faults.inject(Rule::new(Fault::gone()).verb("watch").times(1));
    faults.end_watches(None, WatchEnd::Broken);
    scene.pod("default", "in-the-gap");
    watching.until_shown("that history is gone", |c| stream(c, Kind::Pod).relists == 1);
    let gone = Instant::now();
    watching.until("the change in the gap", |said| seen(said, "in-the-gap"));
    // The fourth wait would be 4 s at least.
    assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
}

/// A server that has no history for anybody is not asked for the whole list again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_history_that_is_always_gone_is_no_hot_loop() {
    let scene = Scene::new(Options { streaming_lists: false, ..support::options(1) }).await;
    let _watching = scene.live();
    let faults = scene.cluster().faults();
    faults.reset_counts();
    faults.inject(Rule::new(Fault::gone()).verb("watch"));
    faults.end_watches(None, WatchEnd::Broken);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let lists = faults.count("list", "/pods");
    assert!((1..=6).contains(&lists), "{lists} lists in 6 s: {:?}", faults.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failures_of_the_new_list_are_survived() {
    survives(|c| {
        c.faults().inject(Rule::new(Fault::gone()).verb("watch").times(1));
        c.faults().inject(Rule::new(Fault::internal()).resource("pods").times(2));
        c.faults().end_watches(None, WatchEnd::Broken);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn half_open_silence_is_noticed() {
    let scene = Scene::new(support::options(1)).await;
    let mut asked = scene.options(&[Kind::Pod]);
    asked.watch.watch_timeout = Duration::from_secs(2);
    let mut watching = Watching::start(asked);
    watching.until_shown("live", |c| c.streams.iter().any(|s| s.state == StreamState::Live));
    scene.cluster().gate().stall_open();
    scene.pod("default", "in-the-silence");
    watching.until("the change in the silence", |said| seen(said, "in-the-silence"));
    watching
        .until_shown("an error that tells", |c| stream(c, Kind::Pod).last_error.contains("no answer within"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_empty_close_is_an_error_and_no_hot_loop() {
    let scene = Scene::new(support::options(1)).await;
    let mut watching = scene.live();
    scene.cluster().faults().inject(Rule::new(Fault::EmptyWatch).verb("watch").times(2));
    scene.cluster().faults().reset_counts();
    let struck = Instant::now();
    scene.cluster().faults().end_watches(None, WatchEnd::Eof);
    scene.pod("default", "in-the-gap");
    watching.until("the change in the gap", |said| seen(said, "in-the-gap"));
    watching.until_shown("live again", |c| {
        scene.cluster().faults().pending() == 0 && stream(c, Kind::Pod).state == StreamState::Live
    });
    assert!(struck.elapsed() > Duration::from_secs(1), "it waited");
    assert!(
        scene.cluster().faults().count("watch", "/pods") < 12,
        "{:?}",
        scene.cluster().faults().requests()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_read_is_counted_and_the_rest_is_told() {
    let scene = Scene::new(support::options(1)).await;
    let mut watching = scene.live();
    scene.cluster().faults().inject(Rule::new(Fault::Undecodable).verb("watch").times(1));
    scene.pod("default", "good");
    watching.until("the good one", |said| seen(said, "good"));
    let shown = watching.until_shown("the bad one", |c| stream(c, Kind::Pod).undecodable > 0);
    assert_eq!(stream(&shown, Kind::Pod).state, StreamState::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_list_with_junk_ends_all_the_same() {
    let scene = Scene::new(Options { streaming_lists: false, ..support::options(1) }).await;
    scene.pod("default", "second");
    scene.cluster().faults().inject(Rule::new(Fault::Undecodable).verb("list").resource("pods"));
    let mut watching = Watching::start(scene.options(&[Kind::Pod]));
    watching.until("the end of the list", |said| list_ended(said, Kind::Pod));
    assert!(watching.said.iter().any(|said| listed(said, Kind::Pod, "second")));
    watching.until_shown("the count", |c| stream(c, Kind::Pod).undecodable > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn retry_after_is_obeyed() {
    let scene = Scene::new(support::options(1)).await;
    scene.cluster().faults().inject(Rule::new(Fault::too_many(3)).resource("pods").times(1));
    let start = Instant::now();
    let mut watching = Watching::start(scene.options(&[Kind::Pod]));
    watching.until("the list", |said| list_ended(said, Kind::Pod));
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_missing_right_stops_one_kind_and_is_tried_again() {
    let scene = Scene::new(support::options(1)).await;
    scene.cluster().set_access(Access::full().deny("*", "secrets", None));
    let mut watching = Watching::start(scene.options(&[Kind::Pod, Kind::Secret]));
    let shown = watching.until_shown("forbidden", |c| {
        c.streams.len() == 2 && matches!(stream(c, Kind::Secret).state, StreamState::Forbidden { .. })
    });
    assert_eq!(
        stream(&shown, Kind::Secret).state,
        StreamState::Forbidden { missing: "list,watch secrets".into() }
    );
    watching.until("the pods", |said| list_ended(said, Kind::Pod));
    scene.cluster().set_access(Access::full());
    watching.until("the secrets", |said| list_ended(said, Kind::Secret));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rights_in_one_namespace_are_enough_for_that_namespace() {
    let scene = Scene::new(support::options(1)).await;
    scene.namespace("shop");
    scene.pod("shop", "mine");
    scene.cluster().set_access(Access::in_namespaces(&["shop"]));
    let mut asked = scene.options(&[Kind::Pod, Kind::Node]);
    asked.watch.namespaces = vec!["shop".into()];
    let mut watching = Watching::start(asked);
    watching.until("the pod", |said| listed(said, Kind::Pod, "mine"));
    watching.until_shown("no nodes", |c| {
        c.streams.len() == 2 && matches!(stream(c, Kind::Node).state, StreamState::Forbidden { .. })
    });
    assert!(!watching.said.iter().any(|said| seen(said, "first")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_namespace_that_comes_later_is_picked_up() {
    let scene = Scene::new(support::options(1)).await;
    let mut asked = scene.options(&[Kind::Pod]);
    asked.watch.namespaces = vec!["team-*".into()];
    let mut watching = Watching::start(asked);
    watching
        .until("the empty scope", |said| matches!(said, Said::Scope { streams, .. } if streams.is_empty()));
    scene.namespace("team-a");
    scene.namespace("other");
    scene.pod("team-a", "mine");
    scene.pod("other", "theirs");
    watching.until("the pod", |said| seen(said, "mine"));
    watching.until(
        "the scope",
        |said| matches!(said, Said::Scope { streams, .. } if streams.iter().any(|s| s.namespace == "team-a")),
    );
    assert!(!watching.said.iter().any(|said| seen(said, "theirs")));
    assert!(
        !watching.said.iter().any(|said| state(said).is_some_and(|o| o.kind == Kind::Namespace)),
        "not wanted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_leaves_the_selector_is_no_deletion() {
    let scene = Scene::new(support::options(1)).await;
    scene.pod("default", "second");
    let mut asked = scene.options(&[Kind::Pod]);
    asked.watch.selector = Some("app=web".into());
    let mut watching = Watching::start(asked);
    watching.until_shown("live", |c| c.streams.iter().any(|s| s.state == StreamState::Live));
    let relabel = |value: &mut serde_json::Value| value["metadata"]["labels"]["app"] = json!("other");
    scene.cluster().update(Kind::Pod, "default", "first", relabel).expect("it exists");
    watching.until("that it left", |said| matches!(said, Said::LeftScope(_, key) if key.name == "first"));
    scene.cluster().delete(Kind::Pod, "default", "second").expect("it exists");
    watching.until("the deletion", |said| deleted(said, Kind::Pod, "second"));
    assert!(!watching.said.iter().any(|said| deleted(said, Kind::Pod, "first")));
    assert_eq!(scene.cluster().faults().count("get", "/pods/first"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_left_the_selector_while_nobody_watched_is_no_deletion_either() {
    let scene = Scene::new(support::options(1)).await;
    let mut asked = scene.options(&[Kind::Pod]);
    asked.watch.selector = Some("app=web".into());
    let mut watching = Watching::start(asked);
    watching.until_shown("live", |c| c.streams.iter().any(|s| s.state == StreamState::Live));
    scene.cluster().gate().stop().await;
    let relabel = |value: &mut serde_json::Value| value["metadata"]["labels"]["app"] = json!("other");
    scene.cluster().update(Kind::Pod, "default", "first", relabel).expect("it exists");
    scene.cluster().compact();
    scene.cluster().gate().start().await;
    watching.until("that it left", |said| matches!(said, Said::LeftScope(_, key) if key.name == "first"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_request_is_made_for_an_event() {
    let scene = Scene::new(support::options(1)).await;
    let mut watching = scene.live();
    scene.cluster().faults().reset_counts();
    for n in 0..500 {
        let restart =
            |value: &mut serde_json::Value| value["metadata"]["annotations"]["n"] = json!(n.to_string());
        scene.cluster().update(Kind::Pod, "default", "first", restart).expect("it exists");
    }
    watching.until("the last", |said| {
        applied(said, Kind::Pod, "first").is_some_and(|o| o.meta.annotation("n") == Some("499"))
    });
    assert!(scene.cluster().faults().total() <= 2, "{:?}", scene.cluster().faults().requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_outage_is_told_and_its_end_is_noticed_at_once() {
    let scene = Scene::new(support::options(1)).await;
    let mut watching = scene.live();
    scene.cluster().gate().stop().await;
    let shown = watching.until_shown("away", |c| matches!(c.state, ClusterState::Away { .. }));
    let ClusterState::Away { why, .. } = &shown.state else { unreachable!("it was asked for") };
    assert!(why.contains("refused") && why.contains("is the API server running"), "{why}");
    watching.until("that it is away", |said| matches!(said, Said::Away { .. }));
    scene.cluster().gate().start().await;
    scene.pod("default", "after");
    watching.until("the change after it", |said| seen(said, "after"));
    watching.until_shown("live", |c| c.state == ClusterState::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_old_server_is_read_in_its_versions() {
    let surface = Surface::v1_20();
    let scene = Scene::new(Options { surface, streaming_lists: false, ..support::options(1) }).await;
    scene
        .cluster()
        .create(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "default"},
            "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}]}]}))
        .expect("new endpoints");
    let mut watching = Watching::start(scene.options(Kind::ALL));
    for kind in Kind::ALL {
        watching.until(&format!("the list of {kind}"), |said| list_ended(said, *kind));
    }
    let slice = watching.said.iter().filter_map(state).find_map(|o| o.endpoint_slice()).expect("endpoints");
    assert_eq!((slice.service.as_str(), slice.endpoints.len()), ("web", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kind_that_the_server_lacks_is_absent_and_the_others_live() {
    let surface = Surface::modern().without("horizontalpodautoscalers");
    let scene = Scene::new(Options { surface, ..support::options(1) }).await;
    let mut watching = Watching::start(scene.options(&[Kind::Pod, Kind::HorizontalPodAutoscaler]));
    watching.until_shown("the pods", |c| {
        c.streams.len() == 2
            && stream(c, Kind::Pod).state == StreamState::Live
            && stream(c, Kind::HorizontalPodAutoscaler).state == StreamState::Absent
    });
    watching
        .until("both in the scope", |said| matches!(said, Said::Scope { streams, .. } if streams.len() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn credentials_that_the_server_does_not_know_are_told() {
    let scene = Scene::new(support::options(1)).await;
    scene.cluster().faults().inject(Rule::new(Fault::unauthorized()));
    let mut watching = Watching::start(scene.options(&[Kind::Pod]));
    let shown = watching.until_shown("away", |c| matches!(c.state, ClusterState::Away { .. }));
    let ClusterState::Away { why, .. } = &shown.state else { unreachable!("it was asked for") };
    assert!(why.contains("401") && why.contains("renew the credentials"), "{why}");
    scene.cluster().faults().clear();
    watching.until("the list", |said| list_ended(said, Kind::Pod));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_check_tells_missing_rights_and_namespaces_and_wrong_contexts() {
    let scene = Scene::new(support::options(1)).await;
    scene.cluster().set_access(Access::full().deny("watch", "pods", None));
    let mut asked = scene.options(&[Kind::Pod, Kind::Node]);
    asked.watch.namespaces = vec!["nowhere".into(), "team-*".into()];
    let extras = barrelman::watch::Extras { logs: true, manifests: false };
    let found = barrelman::watch::diagnose(&asked.clusters, &asked.watch, extras, clock).await.remove(0);
    assert_eq!(found.problem, None);
    assert_eq!(found.missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["watch pods"]);
    assert_eq!(found.remarks.len(), 3, "{:?}", found.remarks);
    assert_eq!(found.remarks[0], "in the namespace nowhere none of that is permitted either");

    // Rights in single namespaces only, and a glob that needs more: what is there is told.
    scene.cluster().set_access(Access::in_namespaces(&["default"]).deny("*", "secrets", None));
    asked.watch.kinds = [Kind::Pod, Kind::Secret].into();
    asked.watch.namespaces = vec!["default".into(), "nope".into(), "team-*".into()];
    let found = barrelman::watch::diagnose(&asked.clusters, &asked.watch, extras, clock).await.remove(0);
    let remarks = found.remarks.join("\n");
    assert!(
        remarks.contains("in the namespace default, which is named, all of that is permitted but secrets")
    );
    assert!(remarks.contains("in the namespace nope none of that is permitted either"), "{remarks}");
    asked.watch.namespaces = vec!["default".into(), "nope".into()];
    let found = barrelman::watch::diagnose(&asked.clusters, &asked.watch, extras, clock).await.remove(0);
    assert_eq!(found.remarks.len(), 1, "{:?}", found.remarks);
    assert!(found.remarks[0].starts_with("whether the namespace nope exists may not be looked up"));
    asked.watch.namespaces = vec!["nowhere".into()];
    scene.cluster().set_access(Access::full());

    asked.clusters.contexts = vec!["dem".into()];
    let found = barrelman::watch::diagnose(&asked.clusters, &asked.watch, extras, clock).await.remove(0);
    let problem = found.problem.expect("no such context").to_string();
    assert!(problem.contains("did you mean demo?"), "{problem}");

    asked.clusters.contexts.clear();
    scene.cluster().gate().stop().await;
    let found = barrelman::watch::diagnose(&asked.clusters, &asked.watch, extras, clock).await.remove(0);
    assert!(found.problem.expect("nothing listens").to_string().starts_with("the connection was refused"));
}

/// A context that leads to another cluster than the one that is stored for it (recreated, mostly): it begins anew, and
/// what is stored of the old one is out of scope rather than deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_cluster_under_the_same_context_is_another_cluster() {
    let scene = Scene::new(support::options(1)).await;
    let mut asked = scene.options(&[Kind::Pod]);
    let context =
        barrelman::watch::diagnose(&asked.clusters, &asked.watch, barrelman::watch::Extras::default(), clock)
            .await
            .remove(0)
            .context;
    let old = barrelman::event::ClusterUid("6f2a0a5e-0000-4000-8000-000000000001".into());
    asked.known_uids = [(context.clone(), old.clone())].into();
    let mut watching = Watching::start(asked);
    watching.until(
        "that the old one is out of scope",
        |said| matches!(said, Said::Scope { cluster, streams } if *cluster == old && streams.is_empty()),
    );
    watching.until("the new one's pod", |said| listed(said, Kind::Pod, "first"));
    assert!(watching.said.iter().any(|said| matches!(said, Said::Cluster { uid, .. } if *uid != old)));

    // Where the server does not tell, what is stored stays.
    scene.cluster().set_access(Access::full().deny("get", "namespaces", None));
    let mut asked = scene.options(&[Kind::Pod]);
    asked.known_uids = [(context, old.clone())].into();
    let mut watching = Watching::start(asked);
    watching.until("the pod", |said| listed(said, Kind::Pod, "first"));
    assert!(watching.said.iter().all(|said| !matches!(said, Said::Cluster { uid, .. } if *uid != old)));
}

//! The simulated cluster is an API server to an ordinary kube client.

use std::collections::BTreeSet;
use std::time::Duration;

use barrelman::demo::{Access, Cluster, Fault, Options, Rule, Surface, WatchEnd};
use barrelman::event::Kind;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;

use crate::support::{Served, client, options, serve, soon};

fn pod(namespace: &str, name: &str, app: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "app:1"}]}, "status": {"phase": "Running"}})
}

fn with_pods(options: Options, count: usize) -> Cluster {
    let cluster = Cluster::new(options);
    for n in 0..count {
        let namespace = if n % 2 == 0 { "shop" } else { "blog" };
        cluster.create(pod(namespace, &format!("p{n:03}"), "web")).expect("a new name");
    }
    cluster
}

async fn served(count: usize) -> Served {
    serve(&with_pods(options(1), count)).await
}

fn names(events: &[WatchEvent<Pod>]) -> Vec<String> {
    let name = |p: &Pod| p.metadata.name.clone().unwrap_or_default();
    let version = |v: &str| format!("version {v}");
    events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(p) => format!("added {}", name(p)),
            WatchEvent::Modified(p) => format!("modified {}", name(p)),
            WatchEvent::Deleted(p) => format!("deleted {}", name(p)),
            WatchEvent::Bookmark(_) => version("bookmark"),
            WatchEvent::Error(status) => format!("error {}", status.code),
        })
        .collect()
}

#[tokio::test]
async fn discovery_finds_every_kind_with_plain_documents() {
    let served = served(0).await;
    assert!(served.kubeconfig.contains(&format!("server: {}", served.url)), "{}", served.kubeconfig);
    let version = served.client.apiserver_version().await.expect("a version");
    assert_eq!(version.minor, "33");
    let groups = served.client.list_api_groups().await.expect("groups");
    assert!(groups.groups.iter().any(|g| g.name == "apps"));
    for kind in Kind::ALL {
        let list = if kind.api_version() == "v1" {
            served.client.list_core_api_resources("v1").await
        } else {
            served.client.list_api_group_resources(kind.api_version()).await
        };
        let list = list.expect("a group");
        assert!(
            list.resources.iter().any(|r| r.kind == kind.as_str() && r.namespaced == kind.namespaced()),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn lists_are_paged_consistently_and_a_forgotten_page_is_gone() {
    let served = served(25).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let first = pods.list(&ListParams::default().limit(10)).await.expect("a page");
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (10, Some(15)));
    served.cluster.create(pod("shop", "later", "web")).expect("new");
    let token = first.metadata.continue_.clone().expect("more");
    let second = pods.list(&ListParams::default().limit(10).continue_token(&token)).await.expect("a page");
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    let token = second.metadata.continue_.clone().expect("more");
    let third = pods.list(&ListParams::default().limit(10).continue_token(&token)).await.expect("a page");
    assert_eq!((third.items.len(), third.metadata.continue_), (5, None));
    let again = pods.list(&ListParams::default().limit(10)).await.expect("a page");
    served.cluster.compact();
    let token = again.metadata.continue_.expect("more");
    let error =
        pods.list(&ListParams::default().limit(10).continue_token(&token)).await.expect_err("forgotten");
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 410), "{error}");
}

#[tokio::test]
async fn metadata_lists_hold_metadata_only_and_page_too() {
    let served = served(6).await;
    let pods: Api<Pod> = Api::namespaced(served.client.clone(), "shop");
    let list = pods.list_metadata(&ListParams::default().limit(2)).await.expect("a page");
    assert_eq!((list.items.len(), list.metadata.remaining_item_count), (2, Some(1)));
    let first = list.items.first().expect("two");
    assert_eq!(first.metadata.namespace.as_deref(), Some("shop"));
    assert!(first.metadata.managed_fields.as_ref().is_some_and(|m| m[0].time.is_some()));
}

#[tokio::test]
async fn selectors_select_and_unknown_fields_are_refused() {
    let served = served(4).await;
    served.cluster.create(pod("shop", "other", "db")).expect("new");
    let pods: Api<Pod> = Api::all(served.client.clone());
    let count = async |params: ListParams| pods.list(&params).await.map(|l| l.items.len());
    assert_eq!(count(ListParams::default().labels("app=db")).await.expect("a list"), 1);
    assert_eq!(count(ListParams::default().labels("app notin (db)")).await.expect("a list"), 4);
    assert_eq!(
        count(ListParams::default().fields("spec.nodeName=node-1,metadata.namespace=blog"))
            .await
            .expect("a list"),
        2
    );
    assert_eq!(count(ListParams::default().fields("status.phase!=Running")).await.expect("a list"), 0);
    let error = count(ListParams::default().fields("spec.replicas=1")).await.expect_err("no such field");
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 400), "{error}");
}

#[tokio::test]
async fn both_list_strategies_of_the_watcher_see_the_same_and_follow_changes() {
    let served = served(5).await;
    for config in [watcher::Config::default().page_size(2), watcher::Config::default().streaming_lists()] {
        let mut stream = watcher::watcher(Api::<Pod>::all(served.client.clone()), config).boxed();
        let mut initial = BTreeSet::new();
        loop {
            match soon(stream.try_next()).await.expect("no error").expect("no end") {
                watcher::Event::InitApply(p) => initial.insert(p.metadata.name.unwrap_or_default()),
                watcher::Event::InitDone => break,
                _ => false,
            };
        }
        assert_eq!(initial.len(), 5);
        served.cluster.create(pod("shop", "new", "web")).expect("new");
        let event = soon(stream.try_next()).await.expect("no error").expect("no end");
        assert!(
            matches!(&event, watcher::Event::Apply(p) if p.metadata.name.as_deref() == Some("new")),
            "{event:?}"
        );
        served.cluster.delete(Kind::Pod, "shop", "new").expect("there");
        let event = soon(stream.try_next()).await.expect("no error").expect("no end");
        assert!(matches!(&event, watcher::Event::Delete(_)), "{event:?}");
    }
}

#[tokio::test]
async fn a_server_without_streaming_lists_answers_422() {
    let served =
        serve(&with_pods(barrelman::demo::Options { streaming_lists: false, ..options(1) }, 1)).await;
    let config = watcher::Config::default().streaming_lists();
    let mut stream = watcher::watcher(Api::<Pod>::all(served.client.clone()), config).boxed();
    let error = soon(async {
        loop {
            if let Err(error) = stream.try_next().await {
                return error;
            }
        }
    })
    .await;
    assert!(error.to_string().contains("sendInitialEvents"), "{error}");
}

#[tokio::test]
async fn an_object_that_leaves_the_selector_is_sent_as_deleted() {
    let served = served(1).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let from = served.cluster.revision().to_string();
    let params = WatchParams::default().labels("app=web").timeout(2);
    let mut stream = pods.watch(&params, &from).await.expect("a watch").boxed();
    let relabel = |app: &'static str| {
        served
            .cluster
            .update(Kind::Pod, "shop", "p000", |p| p["metadata"]["labels"]["app"] = json!(app))
            .expect("there");
    };
    relabel("db");
    relabel("db2");
    relabel("web");
    let mut events = Vec::new();
    while let Some(event) = soon(stream.try_next()).await.expect("no error") {
        events.push(event);
    }
    let events: Vec<String> = names(&events).into_iter().filter(|e| !e.contains("bookmark")).collect();
    assert_eq!(events, ["deleted p000", "added p000"]);
}

#[tokio::test]
async fn quiet_watches_get_bookmarks_and_end_in_time() {
    let served = served(1).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let from = served.cluster.revision().to_string();
    // Another kind moves the revision; the bookmark must show it.
    served
        .cluster
        .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}))
        .expect("new");
    let mut stream = pods.watch(&WatchParams::default().timeout(1), &from).await.expect("a watch").boxed();
    let mut versions = Vec::new();
    while let Some(event) = soon(stream.try_next()).await.expect("no error") {
        if let WatchEvent::Bookmark(bookmark) = event {
            versions.push(bookmark.metadata.resource_version);
        }
    }
    assert!(versions.len() >= 3, "{versions:?}");
    assert_eq!(versions.last(), Some(&served.cluster.revision().to_string()));
}

#[tokio::test]
async fn an_old_version_is_410_in_the_stream_or_as_the_reply() {
    for in_band in [true, false] {
        let served =
            serve(&with_pods(barrelman::demo::Options { gone_in_band: in_band, ..options(1) }, 3)).await;
        let from = served.cluster.revision().to_string();
        served.cluster.create(pod("shop", "x", "web")).expect("new");
        served.cluster.compact();
        let pods: Api<Pod> = Api::all(served.client.clone());
        match pods.watch(&WatchParams::default(), &from).await {
            Ok(stream) => {
                assert!(in_band);
                let events: Vec<_> = soon(stream.boxed().try_collect()).await.expect("no error");
                assert_eq!(names(&events), ["error 410"]);
            }
            Err(error) => {
                assert!(!in_band);
                assert!(matches!(&error, kube::Error::Api(status) if status.code == 410), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn injected_refusals_strike_as_often_as_told() {
    let served = served(1).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let faults = served.cluster.faults();
    let code = async || match pods.list(&ListParams::default()).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    };
    faults.inject(Rule::new(Fault::internal()).verb("list").resource("pods").times(2));
    assert_eq!([code().await, code().await, code().await], [500, 500, 200]);
    faults.inject(Rule::new(Fault::unauthorized()).times(1));
    assert_eq!([code().await, code().await], [401, 200]);
    assert_eq!(faults.count("list", "/api/v1/pods"), 5);
    faults.inject(Rule::new(Fault::too_many(7)).times(1));
    let reply = reqwest::get(format!("{}/api/v1/pods", served.url)).await.expect("a reply");
    assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()), (429, "7"));
}

#[tokio::test]
async fn rights_are_checked_and_told() {
    let cluster = with_pods(options(1), 4);
    cluster.set_access(Access::full().deny("list", "secrets", None).deny("*", "pods", Some("blog")));
    let served = serve(&cluster).await;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::all(served.client.clone());
    let error = secrets.list(&ListParams::default()).await.expect_err("denied");
    assert!(error.to_string().contains("cannot list resource \"secrets\""), "{error}");
    assert!(
        Api::<Pod>::namespaced(served.client.clone(), "blog").list(&ListParams::default()).await.is_err()
    );
    assert!(Api::<Pod>::namespaced(served.client.clone(), "shop").list(&ListParams::default()).await.is_ok());
    let review = |verb: &str, resource: &str, namespace: &str| -> SelfSubjectAccessReview {
        serde_json::from_value(json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "metadata": {}, "spec": {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace}}}))
        .expect("a review")
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(served.client.clone());
    for (verb, resource, namespace, allowed) in
        [("list", "secrets", "", false), ("watch", "secrets", "", true), ("get", "pods", "blog", false)]
    {
        let answer = reviews
            .create(&PostParams::default(), &review(verb, resource, namespace))
            .await
            .expect("an answer");
        assert_eq!(answer.status.expect("a status").allowed, allowed, "{verb} {resource} {namespace}");
    }
}

#[tokio::test]
async fn a_watch_can_be_cut_spoilt_emptied_and_ended() {
    let served = served(1).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let faults = served.cluster.faults();
    let watch =
        async || pods.watch(&WatchParams::default().timeout(5), &served.cluster.revision().to_string()).await;

    faults.inject(Rule::new(Fault::EmptyWatch).verb("watch").times(1));
    let events: Vec<_> = soon(watch().await.expect("200").boxed().try_collect()).await.expect("empty");
    assert!(events.is_empty());

    faults.inject(Rule::new(Fault::CutLine).verb("watch").times(1));
    let mut stream = watch().await.expect("200").boxed();
    served.cluster.create(pod("shop", "cut", "web")).expect("new");
    assert!(soon(stream.next()).await.is_none_or(|event| event.is_err()), "half a line is no event");

    faults.inject(Rule::new(Fault::Undecodable).verb("watch").times(1));
    let mut stream = watch().await.expect("200").boxed();
    served.cluster.create(pod("shop", "spoilt", "web")).expect("new");
    assert!(soon(stream.next()).await.expect("a line").is_err(), "no Pod");
    assert!(soon(stream.next()).await.expect("the stream goes on").is_ok());

    let stream = watch().await.expect("200").boxed();
    faults.end_watches(Some("pods"), WatchEnd::InBand(barrelman::demo::Failure::new(410, "Expired", "gone")));
    let events: Vec<_> = soon(stream.try_collect()).await.expect("clean");
    assert_eq!(names(&events), ["error 410"]);
}

#[tokio::test]
async fn connections_can_be_reset_stalled_and_refused() {
    let served = served(1).await;
    let pods: Api<Pod> = Api::all(served.client.clone());
    let gate = served.cluster.gate();
    let from = served.cluster.revision().to_string();
    let mut stream = pods.watch(&WatchParams::default().timeout(20), &from).await.expect("200").boxed();
    gate.reset_connections();
    assert!(soon(stream.next()).await.is_none_or(|event| event.is_err()));

    let mut stream = pods.watch(&WatchParams::default().timeout(20), &from).await.expect("200").boxed();
    gate.stall();
    served.cluster.create(pod("shop", "silent", "web")).expect("new");
    let silent = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    assert!(silent.is_err(), "not even a bookmark");
    gate.resume();
    loop {
        let event = soon(stream.try_next()).await.expect("no error").expect("no end");
        if matches!(event, WatchEvent::Added(_)) {
            break;
        }
    }

    soon(gate.stop()).await;
    assert!(
        soon(stream.collect::<Vec<_>>())
            .await
            .iter()
            .all(|e| e.is_err() || matches!(e, Ok(WatchEvent::Bookmark(_))))
    );
    assert!(soon(pods.list(&ListParams::default())).await.is_err());
    soon(gate.start()).await;
    assert_eq!(soon(pods.list(&ListParams::default())).await.expect("back").items.len(), 2);
    served.shut_down().await;
}

#[tokio::test]
async fn an_old_server_serves_old_versions() {
    let cluster = Cluster::new(barrelman::demo::Options { surface: Surface::v1_20(), ..options(1) });
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        "status": {"currentReplicas": 3, "desiredReplicas": 3, "conditions": []}});
    cluster.create(hpa).expect("new");
    let served = serve(&cluster).await;
    let list = Api::<HorizontalPodAutoscaler>::all(served.client.clone())
        .list(&ListParams::default())
        .await
        .expect("v1");
    assert_eq!(list.items.first().expect("one").spec.as_ref().expect("a spec").max_replicas, 3);
    let reply = reqwest::get(format!("{}/apis/discovery.k8s.io/v1/endpointslices", served.url))
        .await
        .expect("a reply");
    assert_eq!(reply.status().as_u16(), 404);
    assert!(Api::<Node>::all(served.client.clone()).list(&ListParams::default()).await.is_ok());
}

#[tokio::test]
async fn clients_can_write_and_conflicts_are_refused() {
    let served = served(0).await;
    let maps: Api<ConfigMap> = Api::namespaced(served.client.clone(), "default");
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".to_owned());
    let made = maps.create(&PostParams::default(), &map).await.expect("created");
    let mut newer = made.clone();
    newer.data = Some([("k".to_owned(), "v".to_owned())].into());
    maps.replace("a", &PostParams::default(), &newer).await.expect("replaced");
    let error = maps.replace("a", &PostParams::default(), &made).await.expect_err("outdated");
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 409), "{error}");
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_that_is_put_in() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = with_pods(options(1), 2);
    let server = cluster.serve().await.expect("a port");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    cluster.gate().set_tls(Some(std::sync::Arc::new(config)));
    let trusting = client(&server.kubeconfig_tls(&made.cert.pem())).await;
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let doubting = client(&server.kubeconfig_tls(&stranger.cert.pem())).await;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(tokio_util::sync::CancellationToken::new()));
    assert_eq!(
        soon(Api::<Pod>::all(trusting).list(&ListParams::default())).await.expect("trusted").items.len(),
        2
    );
    assert!(soon(Api::<Pod>::all(doubting).list(&ListParams::default())).await.is_err());
}

#[tokio::test]
async fn logs_are_plain_text_with_a_tail() {
    let served = served(1).await;
    for n in 0..5 {
        served.cluster.log("shop", "p000", &format!("line {n}"));
    }
    let pods: Api<Pod> = Api::namespaced(served.client.clone(), "shop");
    let params = kube::api::LogParams { tail_lines: Some(2), ..Default::default() };
    let lines: Vec<String> =
        pods.log_stream("p000", &params).await.expect("a log").lines().try_collect().await.expect("lines");
    assert_eq!(lines, ["line 3", "line 4"]);
}

#[tokio::test]
async fn a_followed_log_grows_and_ends_with_its_pod() {
    let served = served(1).await;
    served.cluster.log("shop", "p000", "before");
    let pods: Api<Pod> = Api::namespaced(served.client.clone(), "shop");
    let params =
        kube::api::LogParams { follow: true, tail_lines: Some(1), timestamps: true, ..Default::default() };
    let mut lines = pods.log_stream("p000", &params).await.expect("a log").lines();
    assert_eq!(
        soon(lines.try_next()).await.expect("a line").as_deref(),
        Some("2026-03-02T12:00:00.000000Z before")
    );
    served.cluster.log("shop", "p000", "GET / 500");
    let line = soon(lines.try_next()).await.expect("a line").expect("more");
    assert!(line.ends_with("GET / 500"), "{line}");
    served.cluster.delete(Kind::Pod, "shop", "p000").expect("there");
    assert_eq!(soon(lines.try_next()).await.expect("a clean end"), None);
}

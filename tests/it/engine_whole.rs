//! The whole program against the simulated cluster and a real sink: first start, restarts, kills, outages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use barrelman::{demo::Cluster, event::EventType, status::ClusterState};
use serde_json::{Value, json};

use crate::{
    cli_forward::{free, readyz},
    support::{
        process::{Place, events, ready, shown, until},
        serve,
        sink::{Seen, Sink, status},
        watching::clock,
    },
};

fn cluster(seed: u64) -> Cluster {
    Cluster::new(barrelman::demo::Options {
        bookmark_every: Duration::from_millis(500),
        history: 50_000,
        ..barrelman::demo::Options::new(seed, Arc::new(clock))
    })
}

fn hook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[connectors]]\nname = \"{name}\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = \"{url}\"\n{more}\n"
    )
}

fn deployment(n: usize, ready: u32) -> Value {
    let labels = json!({"app": format!("app-{n}")});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("app-{n}"), "namespace": "default"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]}}},
        "status": {"replicas": 2, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": 2,
            "observedGeneration": 1}})
}

fn config_map(n: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("cm-{n}"), "namespace": "default"},
        "data": {"key": "one"}})
}

/// A Kubernetes Event about an object of its own, so that none is folded into another.
fn numbered(n: u64) -> Value {
    let now = clock().to_string();
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("numbered.{n}"), "namespace": "default"},
        "type": "Normal", "reason": "Numbered", "message": format!("number {n} of many"), "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "test"},
        "involvedObject": {"kind": "Widget", "apiVersion": "example.com/v1", "namespace": "default",
            "name": format!("widget-{n}"), "uid": format!("uid-{n}")}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_is_silent_and_a_restart_tells_what_changed_late_and_once() {
    let cluster = cluster(1);
    let mut bulk = cluster.bulk(400, 8);
    bulk.emit_events(500);
    for n in 0..500 {
        cluster.create(numbered(n)).unwrap();
    }
    for n in 0..50 {
        cluster.create(deployment(n, if n < 5 { 0 } else { 2 })).unwrap();
        cluster.create(config_map(n)).unwrap();
    }
    cluster
        .create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lost"}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
        .unwrap();
    let served = serve(&cluster).await;
    let sink = Sink::start(|_, _| status(200)).await;
    let place = Place::new(&served.kubeconfig, "").with(&format!(
        "{}{}",
        hook("incidents", &sink.url, ""),
        hook("events", &sink.url, "deliver = \"events\"")
    ));
    let running = place.run().await;
    ready(&running).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let standing = events(&running.store);
    assert!(standing.iter().any(|e| e.event_type == EventType::NodeUnhealthy), "{standing:#?}");
    assert!(standing.iter().all(|e| e.standing), "{standing:#?}");
    running.stop().await;
    assert_eq!(sink.seen().len(), 0, "{:#?}", sink.seen());

    // Thirty changes that nobody watches.
    for n in 10..20 {
        cluster
            .update("deployments", "default", &format!("app-{n}"), |d| d["spec"]["replicas"] = json!(3))
            .unwrap();
        cluster
            .update("configmaps", "default", &format!("cm-{n}"), |c| c["data"]["key"] = json!("two"))
            .unwrap();
        cluster.delete("deployments", "default", &format!("app-{}", n + 20)).unwrap();
    }
    for round in 0..3 {
        let running = place.run().await;
        ready(&running).await;
        if round == 0 {
            until("30 posts", 10, || sink.count() >= 30).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let all = events(&running.store);
        let late: Vec<_> = all.iter().filter(|e| !e.standing).collect();
        assert_eq!(late.len(), 30, "round {round}: {late:#?}");
        assert!(late.iter().all(|e| e.late));
        running.stop().await;
        assert_eq!(sink.seen().len(), 30, "round {round}");
    }
    let bodies: Vec<Value> = sink.seen().iter().map(|s| serde_json::from_str(&s.body).unwrap()).collect();
    assert!(bodies.iter().all(|b| b["late"] == json!(true)), "{bodies:#?}");
    let mut types = BTreeMap::new();
    for body in &bodies {
        *types.entry(body["event_type"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let want = [("config_changed", 10), ("deployment_scaled", 10), ("workload_deleted", 10)];
    assert_eq!(types, want.map(|(t, n)| (t.to_owned(), n)).into());
}

/// A number between 0 and 99 that looks random.
fn dice(n: u64) -> u64 {
    let hash = blake3::hash(&n.to_le_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) % 100
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_nothing_and_repeat_only_what_was_in_flight() {
    kills(8, 200).await;
}

/// The long version, run by hand: `cargo test --test it fifty_kills -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes several minutes"]
async fn fifty_kills_under_load_lose_nothing_and_repeat_only_what_was_in_flight() {
    kills(50, 200).await;
}

#[allow(clippy::print_stdout, reason = "figures for whoever runs it by hand")]
async fn kills(kills: u64, per_second: u64) {
    let cluster = cluster(2);
    let served = serve(&cluster).await;
    let failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&failing);
    let sink = Sink::start(move |n, _| {
        status(if fails.load(Ordering::Relaxed) && dice(n as u64) < 50 { 503 } else { 200 })
    })
    .await;
    let place = Place::new(&served.kubeconfig, "").with(&hook(
        "events",
        &sink.url,
        "deliver = \"events\"\nevents = [\"kubernetes_event\"]",
    ));
    // The first start sees an empty cluster: everything numbered comes after it.
    let child = place.spawn();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(child.terminate(), Some(0), "{}", std::fs::read_to_string(place.log()).unwrap());

    let made = Arc::new(AtomicU64::new(0));
    let going = Arc::new(AtomicBool::new(true));
    let load = {
        let (made, going, cluster) = (Arc::clone(&made), Arc::clone(&going), cluster.clone());
        std::thread::spawn(move || {
            let start = Instant::now();
            while going.load(Ordering::Relaxed) {
                while made.load(Ordering::Relaxed) < start.elapsed().as_millis() as u64 * per_second / 1000 {
                    cluster.create(numbered(made.fetch_add(1, Ordering::Relaxed))).unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    let mut repeated_after_commit = BTreeSet::new();
    let mut committed = BTreeSet::new();
    let mut posts_before = 0;
    for round in 0..kills {
        let child = place.spawn();
        tokio::time::sleep(Duration::from_millis(1500 + dice(1000 + round) * 20)).await;
        child.kill();
        // A request that was under way when the process died arrives in the next moment.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let seen = sink.seen();
        repeated_after_commit
            .extend(seen[posts_before..].iter().map(|s| s.id.clone()).filter(|id| committed.contains(id)));
        posts_before = seen.len();
        committed = place.delivered().0;
        let taken: BTreeSet<String> = sink.taken().into_iter().collect();
        assert!(committed.is_subset(&taken), "round {round}: the store says delivered what was not");
        println!("round {round}: {} made, {} delivered", made.load(Ordering::Relaxed), committed.len());
    }
    going.store(false, Ordering::Relaxed);
    load.join().unwrap();
    let made = made.load(Ordering::Relaxed);
    failing.store(false, Ordering::Relaxed);
    let child = place.spawn();
    let numbers = |sink: &Sink| -> BTreeMap<u64, Vec<String>> {
        let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for seen in sink.seen().into_iter().filter(|s| s.status < 300) {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            let text = body["description"].as_str().unwrap_or_default().to_owned()
                + " "
                + body["title"].as_str().unwrap();
            let number =
                text.split("number ").nth(1).and_then(|t| t.split(' ').next()).and_then(|n| n.parse().ok());
            found.entry(number.unwrap_or_else(|| panic!("{body}"))).or_default().push(seen.id);
        }
        found
    };
    // Reading everything is slow: only once enough has come.
    let mut read_at = made;
    until("everything delivered", 900, || {
        let taken = sink.count() as u64;
        if taken < read_at {
            return false;
        }
        let missing = made - numbers(&sink).len() as u64;
        read_at = taken + missing.max(1);
        missing == 0
    })
    .await;
    // What was answered when it was killed goes again, perhaps after a pause.
    until("nothing waits", 120, || place.waiting() == 0).await;
    assert_eq!(child.terminate(), Some(0));
    let seen = sink.seen();
    repeated_after_commit
        .extend(seen[posts_before..].iter().map(|s| s.id.clone()).filter(|id| committed.contains(id)));
    let numbers = numbers(&sink);
    let lost: Vec<u64> = (0..made).filter(|n| !numbers.contains_key(n)).collect();
    let again: Vec<_> = numbers.values().filter(|ids| ids.len() > 1).collect();
    let repeats: usize = again.iter().map(|ids| ids.len() - 1).sum();
    println!(
        "{made} events, {kills} kills, {} posts: {} lost, {repeats} repeated (in flight), {} after their commit",
        seen.len(),
        lost.len(),
        repeated_after_commit.len()
    );
    assert_eq!(lost, Vec::<u64>::new());
    assert_eq!(repeated_after_commit, BTreeSet::new());
    // On the wire, or answered and not yet on disk: a handful for each kill, some hundred on a disk that others keep busy.
    assert!(repeats as u64 <= kills * 256, "{repeats}");
    assert!(again.iter().all(|ids| ids.iter().all(|id| *id == ids[0])), "another id for the same event");
    assert_eq!(place.delivered().1, 0, "something waits still");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_it_goes_on_by_itself() {
    let cluster = cluster(7);
    for n in 0..41 {
        cluster.create(config_map(n)).unwrap();
    }
    let served = serve(&cluster).await;
    let sink = Sink::start(|_, _| status(200)).await;
    let address = free();
    let listen = format!("[server]\nlisten = \"{address}\"\n");
    let place = Place::new(&served.kubeconfig, &listen).with(&hook(
        "events",
        &sink.url,
        "deliver = \"events\"\nevents = [\"config_changed\"]",
    ));
    let child = place.spawn_limitable();
    let change = |n: usize, to: &str| {
        cluster
            .update("configmaps", "default", &format!("cm-{n}"), |c| c["data"]["key"] = json!(to))
            .unwrap();
    };
    let mut tried = 0;
    until("it watches", 30, || {
        tried += 1;
        change(40, &format!("try {tried}"));
        sink.count() > 0
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = sink.count();
    child.limit_files("1");
    let mut polls = Vec::new();
    for n in 0..80 {
        // Once it has noticed, it must not say anything else until it is over.
        if n % 2 == 0 {
            change(n / 2, "two");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        polls.extend(readyz(&address).await);
    }
    let noticed = polls.iter().position(|(code, _)| *code == 503).expect("it notices");
    assert!(noticed < 30, "{polls:?}");
    for (code, page) in &polls[noticed..] {
        assert!(*code == 503 && page.contains("cannot write the store"), "{code} {page}");
    }
    assert_eq!(sink.count(), before, "what is not on disk is not told");
    child.limit_files("unlimited");
    until("all is told", 60, || sink.count() >= before + 40).await;
    let mut ready = false;
    for _ in 0..400 {
        ready = readyz(&address).await.is_some_and(|(code, _)| code == 200);
        if ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = std::fs::read_to_string(place.log()).unwrap();
    assert!(ready && log.contains("the store works again"), "{log}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sink.count(), before + 40);
    let ids: BTreeSet<String> = sink.taken().into_iter().collect();
    assert_eq!(ids.len(), before + 40, "something was told twice");
    assert_eq!(child.terminate(), Some(0), "{}", std::fs::read_to_string(place.log()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_outage_is_told_once_and_what_happened_in_it_is_caught_up() {
    let cluster = cluster(3);
    for n in 0..20 {
        cluster.create(config_map(n)).unwrap();
        cluster.create(deployment(n, 2)).unwrap();
    }
    let served = serve(&cluster).await;
    let sink = Sink::start(|_, _| status(200)).await;
    let toml = "[incidents]\nheal_for_secs = 3\n";
    let place = Place::new(&served.kubeconfig, toml).with(&format!(
        "{}{}",
        hook("incidents", &format!("{}?incidents", sink.url), ""),
        hook("events", &format!("{}?events", sink.url), "deliver = \"events\"")
    ));
    let running = place.run().await;
    running.control.tune(|config| config.away = Duration::from_secs(4));
    ready(&running).await;
    cluster.update("configmaps", "default", "cm-0", |c| c["data"]["key"] = json!("two")).unwrap();
    until("one event", 10, || sink.count() == 1).await;

    cluster.gate().stop().await;
    until("away", 60, || matches!(shown(&running).clusters[0].state, ClusterState::Away { .. })).await;
    let status = shown(&running);
    let ClusterState::Away { why, .. } = &status.clusters[0].state else { unreachable!() };
    assert!(!why.is_empty());
    assert!(barrelman::server::health::unready(&status)[0].contains("away since"), "{status:#?}");
    let about = |event_type: &str, phase: &str| {
        let of = |s: &crate::support::sink::Seen| {
            let body: Value = serde_json::from_str(&s.body).unwrap();
            body["event_type"] == event_type && (phase.is_empty() || body["incident"]["phase"] == phase)
        };
        sink.seen().iter().filter(|s| of(s)).count()
    };
    until("told", 30, || about("cluster_unhealthy", "opened") == 1).await;
    for n in 1..11 {
        cluster
            .update("configmaps", "default", &format!("cm-{n}"), |c| c["data"]["key"] = json!("two"))
            .unwrap();
        cluster
            .update("deployments", "default", &format!("app-{n}"), |d| d["spec"]["replicas"] = json!(3))
            .unwrap();
    }
    cluster.delete("configmaps", "default", "cm-15").unwrap();
    // What a watch would go on from is gone.
    cluster.compact();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(about("cluster_unhealthy", ""), 2, "opened, and the event itself: {:#?}", sink.seen());
    cluster.gate().start().await;
    until("caught up", 90, || about("config_changed", "") >= 11 && about("deployment_scaled", "") >= 10)
        .await;
    until("resolved", 60, || about("cluster_unhealthy", "resolved") == 1).await;
    ready(&running).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(about("config_changed", ""), 12);
    assert_eq!(about("deployment_scaled", ""), 10);
    assert_eq!(about("cluster_unhealthy", "opened"), 1);
    let ids: Vec<_> = sink.taken();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    running.stop().await;
    assert!(place.events().iter().filter(|e| e.event_type == EventType::ConfigChanged).count() == 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_down_and_then_throttles_gets_all_in_order_and_delays_nobody() {
    use std::sync::atomic::AtomicU8;
    let cluster = cluster(4);
    for n in 0..30 {
        cluster.create(deployment(n, 2)).unwrap();
    }
    let node = |ready: &str| {
        json!({"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady",
            "lastTransitionTime": clock().to_string()}]})
    };
    // One that has just registered would be given time to start.
    let named = json!({"apiVersion": "v1", "kind": "Node", "status": node("True"),
        "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    cluster.create(named).unwrap();
    let served = serve(&cluster).await;
    // 0: down, 1: throttles once, 2: fine.
    let mood = Arc::new(AtomicU8::new(0));
    let moods = Arc::clone(&mood);
    let bad = Sink::start(move |_, _| match moods.load(Ordering::SeqCst) {
        0 => status(503),
        1 => {
            moods.store(2, Ordering::SeqCst);
            status(429).header("retry-after", "3")
        }
        _ => status(200),
    })
    .await;
    let good = Sink::start(|_, _| status(200)).await;
    let place = Place::new(&served.kubeconfig, "[incidents]\nheal_for_secs = 1\n").with(&format!(
        "{}{}{}",
        hook("incidents", &bad.url, ""),
        hook("bad", &bad.url, "deliver = \"events\"\nevents = [\"deployment_scaled\"]"),
        hook("good", &good.url, "deliver = \"events\"\nevents = [\"deployment_scaled\"]")
    ));
    let running = place.run().await;
    ready(&running).await;
    for round in 3..6 {
        // Lost and back, lost and back: opened, resolved, reopened, resolved, in this order.
        let is = if round == 4 { "True" } else { "False" };
        cluster.update("nodes", "", "n1", |n| n["status"] = node(is)).unwrap();
        for n in 0..30 {
            cluster
                .update("deployments", "default", &format!("app-{n}"), |d| {
                    d["spec"]["replicas"] = json!(round)
                })
                .unwrap();
        }
        until("the good one has all", 5, || good.count() == (round - 2) * 30).await;
    }
    assert_eq!(bad.count(), 0);
    until("the status counts what waits", 10, || {
        let lines = shown(&running).connectors;
        lines.iter().any(|l| l.name == "bad" && l.queued + l.in_flight == 90 && l.last_error.is_some())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    mood.store(1, Ordering::SeqCst);
    cluster.update("nodes", "", "n1", |n| n["status"] = node("True")).unwrap();
    let phases = || -> Vec<String> {
        let bodies = bad.seen().into_iter().filter(|s| s.status < 300);
        let bodies = bodies.map(|s| serde_json::from_str::<Value>(&s.body).unwrap());
        bodies
            .filter(|b| b["event_type"] == "node_unhealthy")
            .map(|b| b["incident"]["phase"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let done = || bad.count() >= 90 + phases().len() && phases().last().is_some_and(|p| p == "resolved");
    let end = Instant::now() + Duration::from_secs(120);
    while !done() {
        let lines = shown(&running).connectors;
        assert!(Instant::now() < end, "{} taken, {:?}, {lines:#?}", bad.count(), phases());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = phases();
    assert_eq!(told.first().map(String::as_str), Some("opened"), "{told:?}");
    assert!(told.windows(2).all(|w| w[0] != w[1]), "{told:?}");
    let seen = bad.seen();
    // Whose message was throttled keeps silent; the other connector to the same place was not asked to.
    let kind = |s: &Seen| serde_json::from_str::<Value>(&s.body).unwrap()["event_type"].clone();
    let refused = seen.iter().find(|s| s.status == 429).unwrap();
    let throttled = refused.at;
    let later = seen.iter().filter(|s| s.at > throttled && kind(s) == kind(refused));
    let next = later.map(|s| s.at).min().unwrap();
    assert!(next - throttled >= Duration::from_millis(2900), "{:?}", next - throttled);
    let taken = bad.taken();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
    running.stop().await;
    assert_eq!(place.delivered().1, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_of_a_secret_or_config_map_is_kept_or_sent_or_logged() {
    // Also as base64, as a Secret has it on the wire.
    const VALUES: [&str; 5] = [
        "hunter2-secret",
        "aHVudGVyMi1zZWNyZXQ",
        "plain-config-value",
        "changed-config-value",
        "url-token-9f8e",
    ];
    let cluster = cluster(5);
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "db", "namespace": "default",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":\"{value}\"}}")}},
            "data": {"password": value}})
    };
    cluster.create(secret("aHVudGVyMi1zZWNyZXQ=")).unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"plain-config-value\"}"}},
        "data": {"key": "plain-config-value"}, "binaryData": {"bin": "aHVudGVyMi1zZWNyZXQ="}});
    cluster.create(map).unwrap();
    let served = serve(&cluster).await;
    let sink = Sink::start(|n, _| status(if n == 0 { 500 } else { 200 })).await;
    let place = Place::new(&served.kubeconfig, "").with(&format!(
        "{}[[connectors]]\nname = \"chain\"\ntype = \"painchain\"\nenabled = true\n[connectors.config]\napi_url = \"{}\"\n",
        hook("events", &format!("{}?token=url-token-9f8e", sink.url), "deliver = \"events\""),
        sink.url.trim_end_matches("/hook")
    ));
    let child = place.spawn();
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster
        .update("configmaps", "default", "settings", |c| c["data"]["key"] = json!("changed-config-value"))
        .unwrap();
    cluster
        .update("secrets", "default", "db", |c| c["data"]["other"] = json!("aHVudGVyMi1zZWNyZXQ="))
        .unwrap();
    until("two events", 20, || sink.count() >= 2).await;
    cluster.delete("secrets", "default", "db").unwrap();
    until("a third", 20, || sink.count() >= 3).await;
    let mut outputs = Vec::new();
    for args in [
        &["events", "--json"][..],
        &["incidents"],
        &["deliveries", "list"],
        &["connectors", "list"],
        &["check"],
        &["config", "show"],
    ] {
        let out = place.command(args).output().unwrap();
        outputs.push((format!("output of {args:?}"), [out.stdout, out.stderr].concat()));
    }
    assert_eq!(child.terminate(), Some(0));
    for seen in sink.seen() {
        outputs.push(("a payload".to_owned(), seen.body.into_bytes()));
    }
    assert!(
        outputs.iter().any(|(_, bytes)| contains(bytes, "password") || contains(bytes, "other")),
        "no key was named"
    );
    for file in walk(place.dir.path()) {
        if file == place.config() {
            continue;
        }
        outputs.push((file.display().to_string(), std::fs::read(&file).unwrap()));
    }
    let database = outputs.iter().find(|(name, _)| name.ends_with(".redb")).expect("a database");
    assert!(contains(&database.1, "config_changed"), "the database is not what is searched");
    for (name, bytes) in &outputs {
        for value in VALUES {
            assert!(!contains(bytes, value), "{value} is in {name}");
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(walk(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

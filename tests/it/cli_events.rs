//! `barrelman events` and `incidents`: what they print, what they refuse, and that following loses and repeats nothing.

use std::{io::Read, process::Stdio, sync::Arc, time::Duration};

use barrelman::{
    event::Event,
    feed::Feed,
    server::{Engine, attach},
    status::Status,
    store::{INCIDENT_EVENTS, INCIDENTS, INCIDENTS_BY_TIME, MEMBERS, Store, keys},
};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    store_support::{event, put_event},
    support::cli::Home,
};

fn fill(home: &Home, names: &[&str]) -> Store {
    let store = Store::open(&home.data()).unwrap();
    append(&store, names);
    store
}

fn append(store: &Store, names: &[&str]) {
    for name in names {
        let event = event(name, 10);
        store.write_blocking(move |tx| put_event(tx, &event)).unwrap();
    }
}

fn titles(out: &str) -> Vec<String> {
    out.lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["title"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn events_are_printed_newest_last_in_four_formats_beside_a_writer() {
    let home = Home::new();
    let _store = fill(&home, &["a", "b", "c,\"x\""]);
    let table = home.run(&["events"]).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines[0].contains("SEVERITY"), "{table}");
    assert!(lines[1].contains("Pod/a") && lines[3].contains("Pod/c"), "{table}");
    let all: Vec<Event> = serde_json::from_str(&home.run(&["events", "-o", "json"]).ok()).unwrap();
    assert_eq!((all.len(), all[2].title.as_str()), (3, "c,\"x\""));
    assert_eq!(titles(&home.run(&["events", "-o", "jsonl", "--limit", "2"]).ok()), ["b", "c,\"x\""]);
    assert_eq!(titles(&home.run(&["events", "-o", "jsonl", "obj:a|b", "--limit", "1"]).ok()), ["b"]);
    assert_eq!(titles(&home.run(&["events", "-o", "jsonl", "--until", "2026-01-01"]).ok()).len(), 0);
    assert_eq!(titles(&home.run(&["events", "-o", "jsonl", "--since", "2026-01-02"]).ok()).len(), 3);
    let csv = home.run(&["events", "-o", "csv"]).ok();
    assert!(csv.starts_with("id,timestamp,") && csv.contains("\"c,\"\"x\"\"\""), "{csv}");
}

#[test]
fn the_flags_that_name_a_scope_narrow_what_is_listed() {
    let home = Home::new();
    let store = Store::open(&home.data()).unwrap();
    for (name, namespace, cluster, app) in
        [("a", "shop", "one", "web"), ("b", "team-a", "eu/two", "web"), ("c", "shop", "eu", "api")]
    {
        let mut event = event(name, 10);
        event.object.namespace = namespace.into();
        event.cluster = cluster.into();
        event.labels.insert("app".into(), app.into());
        store.write_blocking(move |tx| put_event(tx, &event)).unwrap();
    }
    let listed =
        |args: &[&str]| titles(&home.run(&[&["events", "-o", "jsonl"], args].concat()).ok()).concat();
    assert_eq!(listed(&["-n", "shop"]), "ac");
    assert_eq!(listed(&["-n", "team-*,other"]), "b");
    assert_eq!(listed(&["-n", "shop", "obj:a"]), "a");
    assert_eq!(listed(&["--context", "one", "--context", "two"]), "a");
    // A configured name is one cluster's, or stands before those of several.
    assert_eq!(listed(&["--name", "eu", "--context", "two"]), "bc");
    assert_eq!(listed(&["--name", "eu", "--context", "one", "--context", "two"]), "ab");
    assert_eq!(listed(&["-l", "app=web", "-n", "shop"]), "a");
    assert_eq!(home.run(&["incidents", "-o", "jsonl", "-n", "shop"]).ok(), "");
}

#[test]
fn a_filter_with_a_bracket_that_passes_nothing_says_what_a_bracket_is() {
    let home = Home::new();
    let _store = fill(&home, &["a", "b"]);
    let said = |args: &[&str]| String::from_utf8(home.command(args).output().unwrap().stderr).unwrap();
    for filter in ["obj:[ab]", "obj:[a"] {
        for command in ["events", "incidents"] {
            let words = said(&[command, filter]);
            assert!(words.contains("a bracket in a name stands for itself"), "{command} {filter}: {words}");
        }
    }
    assert!(!said(&["events", "obj:c"]).contains("bracket"));
    assert!(home.run(&["events", "obj:/^[ab]$/"]).ok().contains("Pod/b"));
}

#[test]
fn a_wrong_filter_is_shown_with_a_caret_and_a_missing_store_says_what_to_do() {
    let home = Home::new();
    let said = home.run(&["events", "ns:a", "typ:pod_*"]).failed(2);
    assert!(said.contains("ns:a typ:pod_*\n     ^^^"), "{said}");
    let said = home.run(&["events"]).failed(1);
    assert!(said.contains("there is no store at") && said.contains("barrelman forward"), "{said}");
    assert!(!home.data().exists(), "looking makes nothing");
    let said = home.run(&["events", "--follow", "-o", "json"]).failed(2);
    assert!(said.contains("jsonl"), "{said}");
    assert!(home.run(&["events", "--filter-help"]).ok().contains("severity>=high"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let home = Home::new();
    let names: Vec<String> = (0..3000).map(|n| format!("pod-{n}")).collect();
    let store = Store::open(&home.data()).unwrap();
    store
        .write_blocking(move |tx| names.iter().try_for_each(|n| put_event(tx, &event(n, 200)).map(drop)))
        .unwrap();
    let mut command = home.command(&["events", "-o", "jsonl", "--limit", "3000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    drop(out);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn following_a_store_that_nobody_serves_survives_its_writer() {
    let home = Home::new();
    let store = fill(&home, &["a", "b"]);
    let mut follow = home.start(&["events", "--follow", "-o", "jsonl", "--limit", "1"]);
    assert_eq!(titles(&follow.line()), ["b"]);
    append(&store, &["c", "d"]);
    assert_eq!(titles(&follow.line()), ["c"]);
    assert_eq!(titles(&follow.line()), ["d"]);
    store.close();
    let store = Store::open(&home.data()).unwrap();
    append(&store, &["e"]);
    assert_eq!(titles(&follow.line()), ["e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_an_engine_prints_each_event_once_though_the_feed_lags_and_breaks() {
    let home = Home::new();
    let store = tokio::task::block_in_place(|| fill(&home, &["a"]));
    let (feed, _) = broadcast::channel(16);
    let stop = CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(served(&home, &feed, stop.clone()).await);
    let mut follow = home.start(&["events", "--follow", "-o", "jsonl"]);
    let (lines, mut said) = mpsc::channel(100);
    let mut read = follow.take_lines();
    std::thread::spawn(move || read.all(|line| lines.blocking_send(line).is_ok()));
    let mut next =
        async || titles(&tokio::time::timeout(Duration::from_secs(20), said.recv()).await.unwrap().unwrap());
    assert_eq!(next().await, ["a"]);
    // Three are stored, one of them is announced, and twice.
    tokio::task::block_in_place(|| append(&store, &["b", "c", "d"]));
    for _ in 0..2 {
        let _ = feed.send(Feed::Event { seq: 4, event: Arc::new(event("d", 10)) });
    }
    for title in ["b", "c", "d"] {
        assert_eq!(next().await, [title]);
    }
    // A stored one repeats itself: it is printed again, once per count.
    let grown = event("x", 10);
    let seq = tokio::task::block_in_place(|| store.write_blocking(move |tx| put_event(tx, &grown))).unwrap();
    let _ = feed.send(Feed::Event { seq, event: Arc::new(event("x", 10)) });
    assert_eq!(next().await, ["x"]);
    for count in [2, 2, 3] {
        let grown = Event { count, title: format!("x{count}"), ..event("x", 10) };
        let _ = feed.send(Feed::Event { seq, event: Arc::new(grown) });
    }
    assert_eq!(next().await, ["x2"]);
    assert_eq!(next().await, ["x3"]);
    let _ = feed.send(Feed::Lagged { missed: 3 });
    stop.cancel();
    serving.join_next().await.unwrap().unwrap();
    tokio::task::block_in_place(|| append(&store, &["e"]));
    assert_eq!(next().await, ["e"], "without an engine the store is looked at");
    serving.spawn(served(&home, &feed, CancellationToken::new()).await);
    tokio::task::block_in_place(|| append(&store, &["f", "g"]));
    assert_eq!(next().await, ["f"]);
    assert_eq!(next().await, ["g"]);
}

/// An engine's socket, open when this answers.
async fn served(
    home: &Home,
    feed: &broadcast::Sender<Feed>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let socket = attach::bind(&home.data()).await.unwrap();
    let (status, read_status) = watch::channel(Arc::new(Status::default()));
    let (actions, none) = mpsc::channel(1);
    let engine = Engine { status: read_status, feed: feed.downgrade(), actions };
    async move {
        let _open = (status, none);
        attach::serve(socket, engine, stop).await;
    }
}

#[test]
fn a_table_that_is_followed_keeps_its_columns() {
    let home = Home::new();
    let store = fill(&home, &["a"]);
    let mut follow = home.start(&["events", "--follow"]);
    let head = follow.line();
    let column = head.find("TITLE").unwrap();
    append(&store, &["a-pod-with-a-longer-name"]);
    for name in ["a", "a-pod-with-a-longer-name"] {
        let line = follow.line();
        assert_eq!(line.char_indices().nth(column).map(|(i, _)| &line[i..]), Some(name), "{head}\n{line}");
    }
}

#[test]
fn text_from_a_cluster_is_no_formula_in_a_spreadsheet() {
    let home = Home::new();
    let _store = fill(&home, &["=cmd|' /C calc'!A0", "plain"]);
    let csv = home.run(&["events", "-o", "csv"]).ok();
    assert!(csv.contains(",'=cmd|' /C calc'!A0,") && !csv.contains(",=cmd"), "{csv}");
    assert!(csv.contains(",plain,"), "{csv}");
}

#[test]
fn what_is_damaged_is_called_so_by_every_command() {
    let home = Home::new();
    fill(&home, &["a"]).close();
    let file = barrelman::store::maintain::file_of(&home.data());
    let whole = std::fs::read(&file).unwrap();
    let reading = [
        &["events"][..],
        &["incidents"],
        &["deliveries"],
        &["connectors", "list"],
        &["store", "verify"],
        &["store", "compact"],
    ];
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    for args in reading.into_iter().chain([&["forward"][..]]) {
        let said = home.run(args).failed(5);
        assert!(said.contains("is damaged") && !said.contains("by itself"), "{args:?}: {said}");
    }
    // Nobody but an engine begins anew, which says so.
    std::fs::write(&file, "").unwrap();
    for args in reading {
        let said = home.run(args).failed(5);
        assert!(said.contains("it has 0 bytes"), "{args:?}: {said}");
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "{args:?}");
    }
}

#[test]
fn what_is_damaged_is_not_made_to_look_like_new() {
    let home = Home::new();
    let names: Vec<String> = (0..400).map(|n| format!("event {n}")).collect();
    fill(&home, &names.iter().map(String::as_str).collect::<Vec<_>>()).close();
    let file = barrelman::store::maintain::file_of(&home.data());
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(9).position(|w| w == b"event 200").expect("a title");
    bytes[at..at + 5].copy_from_slice(b"EVENT");
    std::fs::write(&file, &bytes).unwrap();
    let said = home.run(&["store", "compact"]).failed(5);
    assert!(said.contains("is damaged"), "{said}");
    assert!(said.contains("restore a backup"), "{said}");
}

#[test]
fn incidents_are_listed_and_one_is_shown_with_all_that_belongs_to_it() {
    let home = Home::new();
    let store = Store::open(&home.data()).unwrap();
    let put = |id: &'static str, open: bool, severity: &'static str| {
        let worst = event(id, 5);
        let incident = json!({
            "id": id, "cluster": "prod", "cluster_uid": "c1", "status": if open { "open" } else { "resolved" },
            "subject": {"kind": "Deployment", "namespace": "shop", "name": id}, "opened_at": worst.timestamp,
            "last_at": worst.timestamp, "event_type": "pod_crash_loop", "severity": severity, "title": format!("{id} is broken"),
            "worst_event": worst.id, "events": 1, "holding": u32::from(open), "members": 1,
            "resolved_at": (!open).then_some(worst.timestamp),
            "suspects": [{"event": "x", "event_type": "image_changed", "object": {"kind": "Deployment", "namespace": "shop", "name": id},
                "at": worst.timestamp, "title": "image 1 → 2", "manager": "argocd", "link": "owner", "score": 0.9}],
        });
        let incident: barrelman::event::incident::Incident = serde_json::from_value(incident).unwrap();
        let member = json!({"fingerprint": id, "object": worst.object, "event_type": "pod_crash_loop", "severity": severity,
            "title": "crashes", "since": worst.timestamp, "holds": true, "count": 3});
        store
            .write_blocking(move |tx| {
                let seq = put_event(tx, &worst)?;
                tx.put(&INCIDENT_EVENTS, &keys::incident_event(&incident.id, seq), &())?;
                tx.put(
                    &MEMBERS,
                    &barrelman::store::key(&[id, id]),
                    &serde_json::from_value(member).unwrap(),
                )?;
                tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())?;
                tx.put(&INCIDENTS, incident.id.as_str(), &incident)
            })
            .unwrap();
    };
    put("aa11", false, "medium");
    put("aa22", true, "critical");
    let all = home.run(&["incidents"]).ok();
    assert!(all.contains("aa11") && all.contains("ended") && all.contains("aa22"), "{all}");
    let open = home.run(&["incidents", "--open"]).ok();
    assert!(open.contains("aa22") && !open.contains("aa11"), "{open}");
    let named = home.run(&["incidents", "obj:aa11", "-o", "jsonl"]).ok();
    assert_eq!(named.lines().count(), 1, "{named}");
    for words in [["show", "aa11"], ["get", "aa11"], ["list", "ns:shop"]] {
        let said = home.run(&["incidents", words[0], words[1]]).failed(2);
        assert!(
            said.contains("there is no \"") && said.contains("barrelman incidents --id ID shows one"),
            "{said}"
        );
    }
    home.run(&["incidents", "\"show\""]).ok();
    assert!(home.run(&["events", "show", "x"]).failed(2).contains("what follows is a filter"));
    let one = home.run(&["incidents", "--id", "aa2"]).ok();
    for part in
        ["aa22 is broken", "image 1 → 2 by argocd", "90 %", "members", "Pod/aa22", "events", "critical"]
    {
        assert!(one.contains(part), "{part}: {one}");
    }
    let whole: Value =
        serde_json::from_str(&home.run(&["incidents", "--id", "aa22", "-o", "json"]).ok()).unwrap();
    assert_eq!(
        (whole["members"][0]["count"].as_u64(), whole["events"][0]["title"].as_str()),
        (Some(3), Some("aa22"))
    );
    let several = home.run(&["incidents", "--id", "aa"]).failed(1);
    assert!(several.contains("aa11, aa22"), "{several}");
    assert!(home.run(&["incidents", "--id", "zz"]).failed(1).contains("no incident begins with zz"));
}

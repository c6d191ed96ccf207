//! The pipeline's task: what is said in many pieces is taken in order, however it is put together.

use std::sync::{Arc, Mutex};

use barrelman::{
    app,
    event::{ClusterUid, Event, EventType, Kind},
    object::{Said, StreamId},
    pipeline::{Engine, Handles, run},
    status::StreamState,
    store::{EVENTS, Read, Store},
};
use serde_json::json;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::support::{
    noon,
    rig::{decode, settings},
};

const CHANGES: usize = 3_000;

#[tokio::test]
async fn changes_that_wait_together_are_taken_in_the_order_in_which_they_were_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let config = app::engine_config(&settings("", dir.path()));
    let engine = Engine::load(&store.snapshot().unwrap(), config, Arc::new([])).unwrap();
    let (tell, said) = mpsc::channel(CHANGES);
    let (_keep, inputs) = mpsc::channel(1);
    let uid = ClusterUid("u".into());
    let stream = Arc::new(StreamId {
        cluster: uid.clone(),
        kind: Kind::ConfigMap,
        namespace: "".into(),
        selector: "".into(),
    });
    let object = |n: usize| {
        let json = json!({"metadata": {"name": "settings", "namespace": "shop", "uid": "o", "resourceVersion":
            (n + 100).to_string(), "labels": {"n": n.to_string()}}, "data": {"key": n.to_string()}});
        Box::new(decode(Kind::ConfigMap, &json))
    };
    let first = vec![
        Said::Cluster { uid: uid.clone(), name: "c".into(), context: "c".into() },
        Said::Live(uid.clone()),
        Said::Scope { cluster: uid, streams: vec![(*stream).clone()] },
        Said::ListStart(Arc::clone(&stream)),
        Said::Listed(Arc::clone(&stream), object(0)),
        Said::ListEnd(Arc::clone(&stream)),
        Said::Stream(Arc::clone(&stream), StreamState::Live),
    ];
    tell.send(first).await.unwrap();
    // Pieces of every size, more than go into one transaction.
    let mut n = 1;
    while n <= CHANGES {
        let end = (n + n % 7).min(CHANGES);
        let piece = (n..=end).map(|n| Said::Applied(Arc::clone(&stream), object(n))).collect();
        tell.send(piece).await.unwrap();
        n = end + 1;
    }
    drop(tell);
    let stop = CancellationToken::new();
    stop.cancel();
    run(Handles {
        store: store.clone(),
        engine: Arc::new(Mutex::new(engine)),
        said,
        inputs,
        feed: broadcast::channel(16).0,
        hand: Arc::new(|_, _| {}),
        clock: Arc::new(noon),
        full: Arc::new(|| false),
        stop,
    })
    .await;
    let mut told: Vec<usize> = Vec::new();
    store
        .snapshot()
        .unwrap()
        .read_log_back(&EVENTS, u64::MAX, &mut |_, event: Event| {
            assert_eq!(event.event_type, EventType::ConfigChanged);
            told.push(event.labels["n"].parse().unwrap());
            true
        })
        .unwrap();
    told.reverse();
    assert_eq!(told, (1..=CHANGES).collect::<Vec<_>>());
}

//! Namespaces that went while nobody watched.

use std::sync::Arc;

use barrelman::{
    demo::Cluster,
    event::Kind,
    object::{ObjectKey, Said, StreamId},
};
use serde_json::json;

use crate::support::{
    self,
    watching::{Watching, options, settings},
};

fn is_of(stream: &StreamId, kind: Kind, namespace: &str) -> bool {
    stream.kind == kind && stream.namespace == namespace
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_went_with_its_namespace_while_nobody_watched_is_deleted_and_then_out_of_scope() {
    let served = support::serve(&Cluster::new(support::options(1))).await;
    for name in ["team-a", "other"] {
        served
            .cluster
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .expect("a new namespace");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    std::fs::write(&file, &served.kubeconfig).expect("a file");
    let mut asked = options(file, settings(&[Kind::Pod, Kind::ConfigMap]));
    asked.watch.namespaces = vec!["team-*".into()];
    // An earlier run has stored a pod of a namespace that is there, one of a namespace that went, and one of a
    // namespace that was in scope once.
    asked.stored = Some(Arc::new(|stream: &StreamId| {
        let of = ["team-a", "team-gone", "legacy-gone"].map(|ns| ObjectKey::new(Kind::Pod, ns, "web"));
        let fits = |key: &ObjectKey| {
            key.kind == stream.kind && (stream.namespace.is_empty() || key.namespace == stream.namespace)
        };
        of.into_iter().filter(fits).map(|key| (key, "uid".into())).collect()
    }));
    let mut watching = Watching::start(asked);
    let end = watching.until(
        "the empty list",
        |said| matches!(said, Said::ListEnd(stream) if is_of(stream, Kind::Pod, "team-gone")),
    );
    let last = watching.until_from(end, "the scope without it", |said| matches!(said, Said::Scope { .. }));
    let scopes = watching.said.iter().filter_map(|said| match said {
        Said::Scope { streams, .. } => Some(streams.iter().any(|s| is_of(s, Kind::Pod, "team-gone"))),
        _ => None,
    });
    assert_eq!(scopes.take(2).collect::<Vec<_>>(), [true, false], "{:#?}", watching.said);
    let start =
        |said: &Said| matches!(said, Said::ListStart(stream) if is_of(stream, Kind::Pod, "team-gone"));
    assert!(watching.said.iter().take(end).any(start), "{:#?}", watching.said);
    let Said::Scope { streams, .. } = &watching.said[last] else { unreachable!("it was asked for") };
    assert!(streams.iter().any(|s| is_of(s, Kind::Pod, "team-a")), "{streams:?}");
    assert!(streams.iter().all(|s| s.namespace == "team-a"), "{streams:?}");
    let about = |said: &Said| matches!(said, Said::ListStart(s) if s.namespace == "legacy-gone");
    assert!(!watching.said.iter().any(about), "it is out of scope, not gone");
}

//! The watches against a real control plane.

use barrelman::{
    event::Kind,
    object::{ObjectKey, Said},
    status::{ClusterState, StreamState},
};

use crate::support::{
    controlplane::ControlPlane,
    watching::{Watching, applied, deleted, list_ended, options, settings, state},
};

const WORKLOAD: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: shop}
data: {greeting: "hello-hunter2"}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: shop}
stringData: {password: hunter2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: registry.example/web:1
        env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: web, key: greeting}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

#[test]
fn a_real_cluster_is_listed_and_followed_in_all_kinds() {
    let Some(cluster) = ControlPlane::up(2) else { return };
    let mut watching = Watching::start(options(cluster.kubeconfig(), settings(Kind::ALL)));
    for kind in Kind::ALL {
        watching.until(&format!("the end of the list of {kind}"), |said| list_ended(said, *kind));
    }
    let shown = watching.until_shown("all live", |c| {
        c.state == ClusterState::Live && c.streams.iter().all(|s| s.state == StreamState::Live)
    });
    assert_eq!(shown.streams.len(), Kind::ALL.len());
    assert!(shown.version.starts_with("v1."), "{shown:?}");
    let uid = cluster.kubectl(&["get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    assert_eq!(shown.uid, uid);

    let before = shown.requests;
    cluster.apply(WORKLOAD);
    watching.until("a ready pod", |said| {
        state(said).is_some_and(|o| &*o.meta.namespace == "shop" && o.pod().is_some_and(|p| p.is_ready()))
    });
    watching.until("two ready endpoints", |said| {
        let slice = state(said).and_then(|o| o.endpoint_slice()).filter(|s| &*s.service == "web");
        slice.is_some_and(|s| s.endpoints.iter().filter(|e| e.ready).count() == 2)
    });
    watching.until("the Secret", |said| {
        applied(said, Kind::Secret, "web")
            .and_then(|o| o.config())
            .is_some_and(|c| c.keys.contains_key("password"))
    });
    watching.until("a Kubernetes Event", |said| {
        state(said)
            .and_then(|o| o.kube_event())
            .is_some_and(|e| &*e.involved_namespace == "shop" && e.last.is_some())
    });
    cluster.kubectl(&["-n", "shop", "delete", "service", "web"]);
    watching.until("the deletion", |said| deleted(said, Kind::Service, "web"));

    let manifest = tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(
        watching.handle.manifest(&shown.uid.as_str().into(), &ObjectKey::new(Kind::Secret, "shop", "web")),
    );
    let manifest = manifest.expect("an answer").to_string();
    assert!(manifest.contains("password") && !manifest.contains("aHVudGVyMg"), "{manifest}");

    // Hundreds of changes, no request for any of them: only renewed watches, probes, and the one manifest.
    let after = watching.board.snapshot().remove(0).requests;
    let said = watching.stop();
    let changes = said.iter().filter(|s| matches!(s, Said::Applied(..))).count();
    assert!(changes > 20 && after - before < 10, "{changes} changes, {} requests", after - before);
    assert!(!format!("{said:?}").contains("hunter2"), "a value was kept");
}

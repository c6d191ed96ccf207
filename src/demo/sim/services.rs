//! Services, their EndpointSlices and Endpoints.

use serde_json::{Value, json};

use super::Sim;
use super::model::{App, Key, Owner, Pod, State};

impl Sim {
    /// Brings the endpoints of an app's Service up to date.
    pub(super) fn write_service(&mut self, app: &App) {
        if !app.has_service {
            return;
        }
        let mine = |p: &&Pod| matches!(&p.owner, Owner::App(of, _) if *of == app.key) && app.selector_fits;
        let placed = |p: &&Pod| p.node.is_some() && p.state != State::Unknown;
        let pods: Vec<&Pod> = self.pods.values().filter(mine).filter(placed).collect();
        let endpoints: Vec<Value> = pods.iter().map(|p| endpoint(p)).collect();
        let subsets = subsets(&pods);
        let slice = format!("{}-{}", app.key.1, app.uid.get(..5).unwrap_or("slice"));
        let ports = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
        let writer = self.writer("endpointslice-controller");
        if self.cluster.get("endpointslices", &app.key.0, &slice).is_none() {
            let service = self.cluster.get("services", &app.key.0, &app.key.1);
            let uid = service.map(|s| s["metadata"]["uid"].clone()).unwrap_or_default();
            let labels = json!({"kubernetes.io/service-name": app.key.1,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
            let _ = writer.create(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": slice, "namespace": app.key.0, "labels": labels,
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": app.key.1, "uid": uid,
                        "controller": true, "blockOwnerDeletion": true}]},
                "addressType": "IPv4", "ports": ports, "endpoints": endpoints}));
            let _ =
                self.writer("endpoint-controller").create(json!({"apiVersion": "v1", "kind": "Endpoints",
                "metadata": {"name": app.key.1, "namespace": app.key.0}, "subsets": subsets}));
            return;
        }
        let _ = writer.update("endpointslices", &app.key.0, &slice, |s| s["endpoints"] = json!(endpoints));
        let writer = self.writer("endpoint-controller");
        let _ = writer.update("endpoints", &app.key.0, &app.key.1, |e| e["subsets"] = subsets);
    }

    /// Creates the Service of an app, and an Ingress for a host where one is named.
    pub(super) fn make_service(&mut self, key: &Key, host: Option<&str>) {
        let n = self.cluster.count("services") + 10;
        let ip = format!("10.96.{}.{}", n / 250, n % 250);
        let _ = self.writer("kubectl").create(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": key.1, "namespace": key.0},
            "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": {"app.kubernetes.io/name": key.1},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}], "sessionAffinity": "None"},
            "status": {"loadBalancer": {}}}));
        if let Some(host) = host {
            let backend = json!({"service": {"name": key.1, "port": {"name": "http"}}});
            let _ = self.writer("kubectl").create(
                json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": key.1, "namespace": key.0},
                "spec": {"ingressClassName": "nginx", "rules": [{"host": host,
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}}),
            );
        }
    }
}

fn endpoint(pod: &Pod) -> Value {
    json!({"addresses": [pod.ip()], "nodeName": pod.node,
        "conditions": {"ready": pod.ready && !pod.terminating, "serving": pod.ready, "terminating": pod.terminating},
        "targetRef": {"kind": "Pod", "namespace": pod.key.0, "name": pod.key.1, "uid": pod.uid}})
}

fn subsets(pods: &[&Pod]) -> Value {
    let address = |p: &&&Pod| {
        json!({"ip": p.ip(), "nodeName": p.node,
            "targetRef": {"kind": "Pod", "namespace": p.key.0, "name": p.key.1, "uid": p.uid}})
    };
    let up: Vec<Value> = pods.iter().filter(|p| p.ready && !p.terminating).map(|p| address(&p)).collect();
    let down: Vec<Value> = pods.iter().filter(|p| !p.ready && !p.terminating).map(|p| address(&p)).collect();
    if up.is_empty() && down.is_empty() {
        return json!([]);
    }
    let mut subset = json!({"ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]});
    if !up.is_empty() {
        subset["addresses"] = json!(up);
    }
    if !down.is_empty() {
        subset["notReadyAddresses"] = json!(down);
    }
    json!([subset])
}

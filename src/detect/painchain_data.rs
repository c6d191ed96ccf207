//! The `data` of a PainChain post, by kind. `painchain` asks; keys are those of PainChain's own connector.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    event::Kind,
    object::{Body, Container, ContainerState, Job, Object, Pod, Str, Workload, World},
};

/// Waiting reasons that its timeline tells.
const TOLD_WAITING: &[&str] = &["CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"];

/// A Secret of Helm's.
pub(super) fn is_helm(object: &Object) -> bool {
    object.config().is_some_and(|c| c.secret_type == "helm.sh/release.v1")
        && object.meta.label("owner") == Some("helm")
}

/// The keys of a ConfigMap or Secret with what tells their values apart, and whether they may change. A release's are
/// told by its status.
pub(super) fn values(object: &Object) -> Option<(&BTreeMap<Str, u64>, bool)> {
    let config = object.config().filter(|_| !is_helm(object));
    config.map(|c| (&c.keys, c.immutable))
}

/// Whether a running Pod's change is one of its troubles, or it has had one.
pub(super) fn in_trouble(pod: &Pod) -> bool {
    pod.containers.iter().filter(|c| !c.init).any(|c| {
        let ended = matches!(&c.state, Some(ContainerState::Terminated(t)) if t.exit_code != 0);
        ended || c.restarts > 0 || TOLD_WAITING.contains(&c.waiting_reason())
    })
}

/// `running`, `waiting: CrashLoopBackOff`, `terminated: OOMKilled`
pub(super) fn state(container: &Container) -> String {
    match &container.state {
        Some(ContainerState::Running { .. }) => "running".to_owned(),
        Some(ContainerState::Waiting { reason, .. }) => format!("waiting: {reason}"),
        Some(ContainerState::Terminated(end)) => format!("terminated: {}", end.reason),
        None => "unknown".to_owned(),
    }
}

/// Its word for where a Job is.
pub(super) fn job_status(job: &Job) -> &'static str {
    match job {
        _ if job.succeeded > 0 => "succeeded",
        _ if job.failed > 0 => "failed",
        _ if job.active > 0 => "running",
        _ => "created",
    }
}

/// What the timeline shows of an object, labels included; `None` for a kind that it never shows.
pub(super) fn fields(object: &Object) -> Option<Map<String, Value>> {
    let fields = match &object.body {
        Body::Pod(pod) => pod_fields(pod),
        Body::Workload(w) => workload_fields(object.kind, w),
        Body::Job(j) => json!({
            "status": job_status(j), "active": j.active, "succeeded": j.succeeded, "failed": j.failed,
            "parallelism": j.parallelism.unwrap_or(1), "completions": j.completions.unwrap_or(1),
        }),
        Body::CronJob(c) => json!({
            "schedule": c.schedule, "suspend": c.suspended, "active_jobs": c.active.len(),
            "last_schedule_time": c.last_schedule_at.map(|t| t.to_string()),
        }),
        Body::Service(_) | Body::Ingress(_) | Body::EndpointSlice(_) | Body::IngressClass(_) => {
            net_fields(object)?
        }
        Body::Config(_) if is_helm(object) => {
            let label = |key: &str| object.meta.label(key).unwrap_or("unknown").to_owned();
            json!({ "version": label("version"), "status": label("status") })
        }
        Body::Config(c) => {
            let mut map = json!({ "keys_count": c.keys.len(), "keys": c.keys.keys().collect::<Vec<_>>() });
            if object.kind == Kind::Secret {
                map["type"] = json!(c.secret_type);
            }
            map
        }
        Body::Node(n) => json!({
            "ready": n.is_ready(), "unschedulable": n.cordoned, "conditions": conditions(&n.conditions),
            "taints": n.taints, "kubelet_version": n.kubelet_version,
        }),
        Body::Namespace(n) => json!({ "phase": n.phase }),
        Body::Claim(c) => json!({
            "requested_storage": c.requested, "storage_class": c.storage_class, "access_modes": c.access_modes,
            "phase": c.phase, "volume_name": text(&c.volume),
        }),
        Body::Volume(v) => json!({
            "capacity": v.capacity, "storage_class": v.storage_class, "access_modes": v.access_modes,
            "phase": v.phase, "claim_ref": text(&v.claim),
        }),
        Body::StorageClass(s) => json!({
            "provisioner": s.provisioner, "reclaim_policy": s.reclaim_policy,
            "volume_binding_mode": s.binding_mode, "allow_volume_expansion": s.allow_expansion,
        }),
        Body::Autoscaler(a) => json!({
            "target": format!("{}/{}", a.target_kind, a.target_name), "min_replicas": a.min,
            "max_replicas": a.max, "current_replicas": a.current, "desired_replicas": a.desired,
        }),
        Body::Event(e) => json!({
            "reason": e.reason, "message": e.message, "count": e.count.max(1),
            "type": if e.warning { "Warning" } else { "Normal" },
            "involved_object": {
                "kind": e.involved_kind, "name": e.involved_name, "namespace": e.involved_namespace,
            },
        }),
    };
    let Value::Object(mut map) = fields else { return None };
    if object.kind != Kind::Event {
        map.insert("labels".into(), json!(object.meta.labels));
    }
    Some(map)
}

fn pod_fields(pod: &Pod) -> Value {
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .filter(|c| !c.init)
        .map(|c| {
            json!({
                "name": c.name, "image": c.image, "ready": c.ready, "restartCount": c.restarts, "state": state(c),
            })
        })
        .collect();
    json!({
        "phase": pod.phase, "node": text(&pod.node), "containers": containers,
        "conditions": conditions(&pod.conditions),
    })
}

fn workload_fields(kind: Kind, w: &Workload) -> Value {
    let images: Vec<&str> =
        w.template.containers.iter().filter(|c| !c.init).map(|c| c.image.as_str()).collect();
    match kind {
        Kind::DaemonSet => json!({
            "desired_number_scheduled": w.replicas, "current_number_scheduled": w.current,
            "number_ready": w.ready, "images": images,
        }),
        Kind::StatefulSet => json!({
            "replicas": w.replicas, "ready_replicas": w.ready, "current_replicas": w.current_revision_replicas,
            "images": images,
        }),
        _ => json!({
            "replicas": w.replicas, "ready_replicas": w.ready, "available_replicas": w.available,
            "images": images, "strategy": text(&w.strategy),
        }),
    }
}

fn net_fields(object: &Object) -> Option<Value> {
    match &object.body {
        Body::Service(s) => {
            let ports: Vec<Value> = s
                .ports
                .iter()
                .map(|p| json!({ "port": p.port, "targetPort": number(&p.target), "protocol": p.protocol }))
                .collect();
            Some(json!({ "type": s.service_type, "cluster_ip": text(&s.cluster_ip), "ports": ports }))
        }
        Body::Ingress(i) => {
            // One row per path: a host stands once for each rule in a row.
            let mut hosts: Vec<&str> =
                i.rules.iter().map(|r| r.host.as_str()).filter(|h| !h.is_empty()).collect();
            hosts.dedup();
            Some(json!({
                "ingress_class": text(&i.class), "hosts": hosts, "tls_enabled": !i.tls.is_empty(),
                "load_balancer_ips": i.load_balancer,
            }))
        }
        Body::IngressClass(c) => Some(json!({ "controller": c.controller, "is_default": c.is_default })),
        _ => None,
    }
}

/// What the specification asks for beyond the observed keys: annotations, owners, and where to look.
pub(super) fn surroundings(data: &mut Map<String, Value>, object: &Object, world: &World) {
    let meta = &object.meta;
    let kind = object.kind;
    let place = match meta.namespace.as_str() {
        "" => String::new(),
        namespace => format!("/namespaces/{namespace}"),
    };
    let root = if kind.api_version() == "v1" { "/api" } else { "/apis" };
    let path = format!("{root}/{}{place}/{}/{}", kind.api_version(), kind.plural(), meta.name);
    let mut links = vec![json!({ "rel": "manifest", "ref": path })];
    for owner in world.owners(meta) {
        links.push(json!({ "rel": "owner", "ref": owner.resource() }));
    }
    if let Some(node) = object.pod().map(|p| &p.node).filter(|n| !n.is_empty()) {
        links.push(json!({ "rel": "node", "ref": format!("/api/v1/nodes/{node}") }));
    }
    data.insert("annotations".into(), json!(meta.annotations));
    data.insert("owner_references".into(), json!(meta.owners));
    data.insert("links".into(), links.into());
}

fn conditions(all: &[crate::object::Condition]) -> Vec<Value> {
    all.iter().map(|c| json!({ "type": c.kind, "status": c.status, "reason": text(&c.reason) })).collect()
}

/// Empty is null.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// A port is a number where it is one.
fn number(text: &str) -> Value {
    text.parse::<u32>().map_or_else(|_| text.into(), Into::into)
}

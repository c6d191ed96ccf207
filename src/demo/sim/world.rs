//! The cluster that the demo begins with: a small shop's, healthy, a day old.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Sim;
use super::model::{App, AppKind, Key, Task, Template};
use super::pod_shape;
use crate::demo::cluster::Cluster;

struct Plan {
    kind: AppKind,
    namespace: &'static str,
    name: &'static str,
    replicas: u32,
    image: &'static str,
    host: Option<&'static str>,
    config: bool,
}

const fn plan(namespace: &'static str, name: &'static str, replicas: u32, image: &'static str) -> Plan {
    Plan { kind: AppKind::Deployment, namespace, name, replicas, image, host: None, config: false }
}

const NODES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];
const NAMESPACES: [&str; 5] = ["shop", "payments", "media", "batch", "platform"];

fn plans() -> Vec<Plan> {
    vec![
        Plan {
            host: Some("shop.example.com"),
            config: true,
            ..plan("shop", "web", 4, "registry.example.com/shop/web:2.14.0")
        },
        Plan { config: true, ..plan("shop", "cart", 3, "registry.example.com/shop/cart:1.8.2") },
        plan("shop", "catalog", 3, "registry.example.com/shop/catalog:5.0.1"),
        plan("shop", "search", 2, "registry.example.com/shop/search:0.19.0"),
        Plan {
            host: Some("pay.example.com"),
            config: true,
            ..plan("payments", "api", 3, "registry.example.com/payments/api:3.3.0")
        },
        Plan {
            kind: AppKind::StatefulSet,
            ..plan("payments", "ledger", 3, "registry.example.com/payments/ledger:1.2.0")
        },
        plan("media", "thumbnailer", 2, "registry.example.com/media/thumbnailer:0.9.4"),
        plan("media", "transcoder", 2, "registry.example.com/media/transcoder:2.1.0"),
        plan("platform", "ingress", 2, "registry.example.com/platform/ingress:1.12.1"),
        Plan {
            kind: AppKind::DaemonSet,
            ..plan("platform", "node-agent", 5, "registry.example.com/platform/node-agent:7.2.0")
        },
    ]
}

impl Sim {
    /// The demo's cluster, healthy at `start`: it was built a day before and has settled since.
    pub fn demo(cluster: Cluster, start: Timestamp, speed: f64) -> Sim {
        let mut sim = Sim::new(cluster, start - SignedDuration::from_hours(26), speed);
        sim.build();
        sim.advance(start - SignedDuration::from_mins(45));
        let backup = Template::new("backup", "registry.example.com/batch/backup:1.0.3");
        sim.make_cron(&("batch".to_owned(), "backup".to_owned()), backup, 10);
        sim.advance(start);
        sim.forget_events();
        sim
    }

    fn build(&mut self) {
        for node in NODES {
            self.add_node(node);
        }
        for name in NAMESPACES {
            let _ = self.writer("kubectl").create(json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}));
        }
        self.build_storage();
        for plan in plans() {
            self.add_workload(&plan);
        }
        self.make_scaler(&("shop".to_owned(), "catalog".to_owned()), 3, 8);
    }

    fn build_storage(&mut self) {
        let _ = self.writer("kubectl").create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "csi.example.com", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": true}));
        let _ = self
            .writer("kubectl")
            .create(json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}));
        for n in 0..3 {
            let (claim, volume) = (format!("data-ledger-{n}"), format!("pvc-{}", self.cluster.next_uid()));
            let _ = self.writer("csi-provisioner").create(json!({"apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"name": volume}, "status": {"phase": "Bound"},
                "spec": {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
                    "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Filesystem",
                    "csi": {"driver": "csi.example.com", "volumeHandle": volume},
                    "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "payments", "name": claim}}}));
            let _ = self.writer("kube-controller-manager").create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim, "namespace": "payments"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}},
                    "storageClassName": "standard", "volumeMode": "Filesystem", "volumeName": volume},
                "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}}}));
        }
        let _ = self.writer("kubectl").create(json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "payments-db", "namespace": "payments"}, "data": {"password": "c2ltdWxhdGVk", "user": "YXBw"}}));
    }

    fn add_workload(&mut self, plan: &Plan) {
        let key = (plan.namespace.to_owned(), plan.name.to_owned());
        let mut template = Template::new(plan.name, plan.image);
        if plan.config {
            let name = format!("{}-settings", plan.name);
            let _ = self.writer("kubectl").create(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": plan.namespace},
                "data": {"LOG_LEVEL": "info", "DATABASE_HOST": "db.platform.svc", "POOL_SIZE": "20", "FEATURE_FLAGS": "a,b"}}));
            template.config = Some(name);
        }
        let has_service = plan.kind == AppKind::Deployment;
        if has_service {
            self.make_service(&key, plan.host);
        }
        self.add_app(plan.kind, &key, plan.replicas, template);
        if let Some(app) = self.apps.get_mut(&key) {
            app.has_service = has_service;
        }
        self.at(self.now, Task::Reconcile(key));
    }

    /// Makes a workload; its pods follow with the next reconciliation.
    fn add_app(&mut self, kind: AppKind, key: &Key, replicas: u32, template: Template) {
        let uid = self.cluster.next_uid();
        let selector = json!({"matchLabels": {"app.kubernetes.io/name": template.app}});
        let mut spec = json!({"selector": selector, "template": pod_shape::template(&template, None)});
        match kind {
            AppKind::Deployment => {
                spec["replicas"] = json!(replicas);
                spec["progressDeadlineSeconds"] = json!(120);
                spec["revisionHistoryLimit"] = json!(4);
                spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
            }
            AppKind::StatefulSet => {
                spec["replicas"] = json!(replicas);
                spec["serviceName"] = json!(key.1);
                spec["updateStrategy"] = json!({"type": "RollingUpdate"});
            }
            AppKind::DaemonSet => spec["updateStrategy"] = json!({"type": "RollingUpdate"}),
        }
        let _ = self.writer("kubectl").create(json!({"apiVersion": "apps/v1", "kind": kind.name(),
            "metadata": {"name": key.1, "namespace": key.0, "uid": uid, "labels": {"app.kubernetes.io/name": key.1}},
            "spec": spec, "status": {}}));
        let sets = if kind == AppKind::Deployment {
            Vec::new()
        } else {
            vec![super::model::Set {
                hash: template.hash(),
                uid: uid.clone(),
                template: template.clone(),
                desired: replicas,
                revision: 1,
            }]
        };
        let app = App {
            kind,
            key: key.clone(),
            uid,
            replicas,
            template,
            revision: 0,
            sets,
            progress_at: self.now,
            deadline_secs: 120,
            rolling: false,
            stuck: false,
            available_since: None,
            unavailable_since: None,
            has_service: false,
            selector_fits: true,
        };
        self.apps.insert(key.clone(), app);
    }
}

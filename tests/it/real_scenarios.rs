//! What people are told of a real cluster: labelled troubles, changes and healthy life, all at once.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::Value;

use crate::support::{
    controlplane::ControlPlane,
    forward::{Forward, Sign, Told, World},
    watching::clock,
};

/// How late a message may be. The promise is 2 s; a binary without optimisations beside a control plane and other
/// tests on few processors gets twice that, and half of its messages must keep the promise all the same.
const LATE: f64 = if cfg!(debug_assertions) { 4.0 } else { PROMISED };
const PROMISED: f64 = 2.0;

/// One thing done to the cluster.
#[derive(Clone)]
enum Step {
    Kubectl(Vec<String>),
    Apply(String),
    /// Made when it is done, for what names a time.
    Made(Arc<dyn Fn() -> Step + Send + Sync>),
    Script(&'static str, String),
    Sleep(u64),
}

/// A trouble with its label: what must be told of it.
struct Trouble {
    name: &'static str,
    /// The node that it befalls; otherwise it lives in the namespace `t-NAME`.
    node: Option<&'static str>,
    before: String,
    breaks: Vec<Step>,
    heals: Vec<Step>,
    /// When the cluster shows it.
    kind: &'static str,
    sign: Sign,
    /// Heals as soon as the cluster shows it, for what must happen just once.
    at_once: bool,
    types: &'static [&'static str],
    severity: &'static str,
    subject: String,
    threshold: i64,
    settle: i64,
    /// Whether an end is told.
    ends: bool,
    /// Messages at most, besides the end.
    most: usize,
    /// Whether the time of the message is the time of the sign.
    timed: bool,
    long: bool,
}

impl Step {
    fn take(&self, cluster: &ControlPlane) {
        match self {
            Step::Kubectl(args) => {
                cluster.kubectl(&args.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Step::Apply(yaml) => cluster.apply(yaml),
            Step::Made(step) => step().take(cluster),
            Step::Script(command, arg) => cluster.control(command, &[arg.as_str()]),
            Step::Sleep(secs) => std::thread::sleep(Duration::from_secs(*secs)),
        }
    }
}

fn made(step: impl Fn() -> Step + Send + Sync + 'static) -> Step {
    Step::Made(Arc::new(step))
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// `kubectl LINE`, in a namespace.
fn kubectl(namespace: &str, line: &str) -> Step {
    let mut args = words(line);
    if !namespace.is_empty() {
        args.extend(["-n".to_owned(), namespace.to_owned()]);
    }
    Step::Kubectl(args)
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n")
}

/// A workload of pods `app=web`; `pod` stands in the template's annotations, `more` in the pod's spec, `spec` in the
/// workload's.
fn workload(kind: &str, ns: &str, replicas: u32, pod: &str, more: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: web, namespace: {ns}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: web}}}}\n{spec}  template:\n    metadata: {{labels: {{app: web}}, annotations: {{{pod}}}}}\n    \
         spec:\n      containers: [{{name: app, image: 'registry.example/web:1', resources: {{requests: {{cpu: 1m}}}}}}]\n{more}---\n"
    )
}

fn deployment(ns: &str, replicas: u32, pod: &str) -> String {
    workload("Deployment", ns, replicas, pod, "", "")
}

fn service(ns: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {ns}}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}\n---\n"
    )
}

fn job(ns: &str, name: &str, pod: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, namespace: {ns}}}\nspec:\n  backoffLimit: 0\n{spec}  template:\n    \
         metadata: {{annotations: {{{pod}}}}}\n    spec: {{restartPolicy: Never, containers: [{{name: work, image: 'registry.example/work:1'}}]}}\n---\n"
    )
}

fn cron_job(ns: &str, schedule: &str, pod: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: nightly, namespace: {ns}}}\nspec:\n  schedule: '{schedule}'\n  jobTemplate:\n    \
         spec:\n      backoffLimit: 0\n      template:\n        metadata: {{annotations: {{{pod}}}}}\n        \
         spec: {{restartPolicy: Never, containers: [{{name: work, image: 'registry.example/work:1'}}]}}\n---\n"
    )
}

/// A patch of a Deployment's template: its annotations, and an image.
fn template(kind: &str, ns: &str, annotations: &str, image: Option<&str>) -> Step {
    let image = image
        .map_or(String::new(), |i| format!(r#","spec":{{"containers":[{{"name":"app","image":"{i}"}}]}}"#));
    let patch =
        format!(r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{{annotations}}}}}{image}}}}}}}"#);
    let args = ["patch", kind, "web", "-n", ns, "-p", &patch];
    Step::Kubectl(args.map(str::to_owned).to_vec())
}

fn fault(ns: &str, fault: &str) -> Step {
    kubectl(ns, &format!("annotate pods -l app=web --overwrite simulate/fault={fault}"))
}

fn heal(ns: &str) -> Step {
    kubectl(ns, "annotate pods --all simulate/fault-")
}

fn waiting(reasons: &'static [&'static str]) -> impl Fn(&Value) -> bool + Send + Sync {
    move |pod| {
        ["/status/containerStatuses", "/status/initContainerStatuses"].iter().any(|list| {
            let all = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(|c| c.pointer("/state/waiting/reason")?.as_str()).any(|r| reasons.contains(&r))
        })
    }
}

fn condition(
    name: &'static str,
    status: &'static str,
    reason: &'static str,
) -> impl Fn(&Value) -> bool + Send + Sync {
    move |object| {
        let all = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let mut all = all.filter(|c| c["type"] == name && c["status"] == status);
        all.any(|c| reason.is_empty() || c["reason"] == reason)
    }
}

fn phase(phase: &'static str) -> impl Fn(&Value) -> bool + Send + Sync {
    move |object| object.pointer("/status/phase").is_some_and(|p| p == phase)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Trouble {
    /// A Deployment of `replicas` in its own namespace, that shows a sign.
    fn new(
        name: &'static str,
        kind: &'static str,
        sign: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let ns = format!("t-{name}");
        Self {
            name,
            node: None,
            before: deployment(&ns, 1, ""),
            breaks: Vec::new(),
            heals: vec![heal(&ns)],
            kind,
            sign: Box::new(move |o| text(o, "/metadata/namespace") == ns && sign(o)),
            at_once: false,
            types: &[],
            severity: "high",
            subject: "Deployment/web".into(),
            threshold: 0,
            settle: 5,
            ends: true,
            most: 1,
            timed: true,
            long: false,
        }
    }

    fn on_node(
        name: &'static str,
        node: &'static str,
        sign: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            node: Some(node),
            before: String::new(),
            heals: vec![kubectl("", &format!("annotate node {node} simulate/fault-"))],
            sign: Box::new(move |o| text(o, "/metadata/name") == node && sign(o)),
            subject: format!("Node/{node}"),
            types: &["node_unhealthy"],
            ..Self::new(name, "Node", |_| true)
        }
    }

    fn ns(&self) -> String {
        format!("t-{}", self.name)
    }

    fn before(mut self, before: impl FnOnce(&str) -> String) -> Self {
        self.before = before(&self.ns());
        self
    }
    fn breaks(mut self, breaks: impl FnOnce(&str) -> Vec<Step>) -> Self {
        self.breaks = breaks(&self.ns());
        self
    }
    fn heals(mut self, heals: impl FnOnce(&str) -> Vec<Step>) -> Self {
        self.heals = heals(&self.ns());
        self
    }
    fn told(mut self, types: &'static [&'static str], severity: &'static str, threshold: i64) -> Self {
        (self.types, self.severity, self.threshold) = (types, severity, threshold);
        self.settle = match severity {
            "critical" => 0,
            "high" => 5,
            _ => 10,
        };
        self
    }
    fn about(mut self, subject: &str) -> Self {
        self.subject = subject.to_owned();
        self
    }
    fn a_moment(mut self) -> Self {
        self.ends = false;
        self
    }
    fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Whether a message is about it.
    fn owns(&self, told: &Told) -> bool {
        if let Some(node) = self.node {
            return told.text("/resource") == format!("Node/{node}");
        }
        let ns = self.ns();
        told.text("/namespace") == ns || told.text("/resource") == format!("Namespace/{ns}")
    }
}

fn certificate(ns: &str, days: i64) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    let end = (clock() + SignedDuration::from_hours(24 * days)).to_zoned(jiff::tz::TimeZone::UTC);
    params.not_after = rcgen::date_time_ymd(end.year().into(), end.month() as u8, end.day() as u8);
    let begin = end.checked_sub(90.days()).unwrap();
    params.not_before = rcgen::date_time_ymd(begin.year().into(), begin.month() as u8, begin.day() as u8);
    let pem = params.self_signed(&key).unwrap().pem();
    let indent = |text: &str| text.replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: shop-tls, namespace: {ns}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  \
         tls.key: |\n    {}\n---\n",
        indent(&pem),
        indent(&key.serialize_pem())
    )
}

fn hpa_status(ns: &str, wanted: bool) -> Step {
    let reason = if wanted { ("True", "TooManyReplicas") } else { ("False", "DesiredWithinRange") };
    let patch = format!(
        r#"{{"status":{{"currentReplicas":2,"desiredReplicas":2,"conditions":[{{"type":"ScalingLimited","status":"{}","reason":"{}","message":"the desired replica count is more than the maximum replica count","lastTransitionTime":"{}"}}]}}}}"#,
        reason.0,
        reason.1,
        jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", clock()).unwrap()
    );
    let args = ["patch", "hpa", "web", "-n", ns, "--subresource=status", "--type=merge", "-p", &patch];
    Step::Kubectl(args.map(str::to_owned).to_vec())
}

fn warning(ns: &str, name: &str, object: &str, reason: &str, message: &str, source: &str) -> String {
    let now = jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", clock()).unwrap();
    format!(
        "apiVersion: v1\nkind: Event\nmetadata: {{name: {name}, namespace: {ns}}}\ninvolvedObject: {object}\ntype: Warning\nreason: {reason}\n\
         message: '{message}'\nsource: {{component: {source}}}\nreportingComponent: {source}\nfirstTimestamp: '{now}'\nlastTimestamp: '{now}'\ncount: 1\n---\n"
    )
}

fn pod_troubles() -> Vec<Trouble> {
    vec![
        Trouble::new("crash-loop", "Pod", waiting(&["CrashLoopBackOff"]))
            .before(|ns| deployment(ns, 3, ""))
            .breaks(|ns| vec![fault(ns, "crash-loop")])
            .told(&["pod_crash_loop"], "critical", 0),
        Trouble::new("init-crash", "Pod", waiting(&["CrashLoopBackOff"]))
            .before(|_| String::new())
            .breaks(|ns| {
                let init = "      initContainers: [{name: setup, image: 'registry.example/setup:1'}]\n";
                vec![Step::Apply(workload("Deployment", ns, 1, "simulate/fault: init-crash", init, ""))]
            })
            .told(&["pod_crash_loop"], "critical", 0),
        Trouble {
            at_once: true,
            ..Trouble::new("oom", "Pod", |pod| {
                ["lastState", "state"].iter().any(|s| {
                    text(pod, &format!("/status/containerStatuses/0/{s}/terminated/reason")) == "OOMKilled"
                })
            })
            .before(|ns| deployment(ns, 1, "simulate/run: 8s"))
            .breaks(|ns| vec![fault(ns, "oom")])
            .told(&["pod_oom_restart"], "high", 0)
            .a_moment()
        },
        Trouble::new("bare-pod", "Pod", phase("Failed"))
            .before(|_| String::new())
            .breaks(|ns| {
                vec![Step::Apply(format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: once, namespace: {ns}, annotations: {{simulate/fault: exit}}}}\n\
                     spec: {{restartPolicy: Never, containers: [{{name: app, image: 'registry.example/once:1'}}]}}\n"
                ))]
            })
            .heals(|ns| vec![kubectl(ns, "delete pod once --wait=false")])
            .told(&["pod_failed"], "high", 0)
            .about("Pod/once")
            .a_moment(),
        Trouble::new("image-typo", "Pod", waiting(&["ErrImagePull", "ImagePullBackOff"]))
            .before(|ns| deployment(ns, 2, ""))
            .breaks(|ns| {
                vec![template("deployment", ns, r#""simulate/fault":"image-pull""#, Some("registry.example/wbe:2"))]
            })
            .heals(|ns| {
                vec![template("deployment", ns, r#""simulate/fault":null"#, Some("registry.example/web:2"))]
            })
            .told(&["image_pull_failed"], "high", 0),
        Trouble::new("config-error", "Pod", waiting(&["CreateContainerConfigError"]))
            .breaks(|ns| vec![template("deployment", ns, r#""simulate/fault":"config-error""#, None)])
            .heals(|ns| vec![template("deployment", ns, r#""simulate/fault":null"#, None)])
            .told(&["pod_start_failed"], "high", 0),
        Trouble::new("too-big", "Pod", condition("PodScheduled", "False", "Unschedulable"))
            .breaks(|ns| vec![kubectl(ns, "set resources deployment web --requests=cpu=1000")])
            .heals(|ns| vec![kubectl(ns, "set resources deployment web --requests=cpu=2m")])
            .told(&["pod_unschedulable"], "high", 20),
        Trouble::new("evicted", "Pod", phase("Failed"))
            .breaks(|ns| vec![fault(ns, "evict")])
            .told(&["pod_evicted"], "medium", 0)
            .a_moment(),
        Trouble::new("mount", "Pod", waiting(&["ContainerCreating"]))
            .before(|_| String::new())
            .breaks(|ns| vec![Step::Apply(deployment(ns, 1, "simulate/fault: mount"))])
            .told(&["pod_start_failed"], "high", 60)
            .long(),
        Trouble::new("unready", "Pod", condition("Ready", "False", ""))
            .before(|ns| deployment(ns, 2, ""))
            .breaks(|ns| vec![fault(ns, "unready")])
            .told(&["pod_unready"], "medium", 120)
            .long(),
        Trouble::new("terminating", "Pod", |pod| pod.pointer("/metadata/deletionTimestamp").is_some())
            .before(|ns| deployment(ns, 1, "simulate/fault: terminating"))
            .breaks(|ns| vec![kubectl(ns, "delete pods -l app=web --wait=false --grace-period=1")])
            .told(&["pod_stuck_terminating"], "medium", 61)
            .long(),
    ]
}

fn workload_troubles() -> Vec<Trouble> {
    vec![
        Trouble::new("quota", "Deployment", condition("ReplicaFailure", "True", ""))
            .before(|ns| {
                let quota = format!("apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: few, namespace: {ns}}}\nspec: {{hard: {{pods: '1'}}}}\n---\n");
                quota + &deployment(ns, 1, "")
            })
            .breaks(|ns| vec![kubectl(ns, "scale deployment web --replicas=3")])
            .heals(|ns| vec![kubectl(ns, r#"patch quota few --type=merge -p {"spec":{"hard":{"pods":"20"}}}"#)])
            .told(&["workload_blocked"], "high", 5),
        Trouble::new("stuck-rollout", "Deployment", condition("Progressing", "False", "ProgressDeadlineExceeded"))
            .before(|ns| workload("Deployment", ns, 2, "", "", "  progressDeadlineSeconds: 6\n"))
            .breaks(|ns| vec![template("deployment", ns, r#""simulate/start":"600s""#, None)])
            .heals(|ns| vec![template("deployment", ns, r#""simulate/start":null"#, None)])
            .told(&["rollout_stuck"], "high", 0),
        Trouble {
            timed: false,
            ..Trouble::new("no-endpoints", "EndpointSlice", |slice| {
                let ends = slice.pointer("/endpoints").and_then(Value::as_array).cloned().unwrap_or_default();
                !ends.is_empty() && ends.iter().all(|e| e["conditions"]["ready"] == false)
            })
            .before(|ns| deployment(ns, 2, "") + &service(ns))
            .breaks(|ns| vec![fault(ns, "unready")])
            .told(&["service_unavailable"], "critical", 0)
        },
        Trouble::new("job", "Job", condition("Failed", "True", ""))
            .before(|_| String::new())
            .breaks(|ns| vec![Step::Apply(job(ns, "report", "simulate/fault: exit", ""))])
            .heals(|ns| vec![kubectl(ns, "delete job report --wait=false")])
            .told(&["job_failed"], "high", 0)
            .about("Job/report"),
        Trouble::new("cronjob", "Job", condition("Failed", "True", ""))
            .before(|ns| cron_job(ns, "0 0 1 1 *", "simulate/fault: exit"))
            .breaks(|ns| vec![kubectl(ns, "create job nightly-1 --from=cronjob/nightly")])
            .heals(|ns| {
                vec![
                    Step::Apply(cron_job(ns, "0 0 1 1 *", "")),
                    kubectl(ns, "create job nightly-2 --from=cronjob/nightly"),
                ]
            })
            .told(&["job_failed"], "high", 0)
            .about("CronJob/nightly"),
        Trouble::new("autoscaler", "HorizontalPodAutoscaler", condition("ScalingLimited", "True", "TooManyReplicas"))
            .before(|ns| deployment(ns, 2, ""))
            .breaks(|ns| {
                let hpa = format!(
                    "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web, namespace: {ns}}}\nspec:\n  minReplicas: 1\n  \
                     maxReplicas: 2\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}\n  \
                     metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]\n"
                );
                let ns = ns.to_owned();
                vec![Step::Apply(hpa), made(move || hpa_status(&ns, true))]
            })
            .heals(|ns| {
                let ns = ns.to_owned();
                vec![made(move || hpa_status(&ns, false))]
            })
            .told(&["hpa_maxed"], "high", 0),
        Trouble {
            timed: false,
            ..Trouble::new("certificate", "Secret", |s| text(s, "/metadata/name") == "shop-tls")
                .before(|_| String::new())
                .breaks(|ns| vec![Step::Apply(certificate(ns, 12))])
                .heals(|ns| vec![Step::Apply(certificate(ns, 80))])
                .told(&["certificate_expiring"], "high", 0)
                .about("Secret/shop-tls")
        },
        Trouble::new("controller", "Event", |e| text(e, "/reason") == "ReconcileFailed")
            .breaks(|ns| {
                let object = format!("{{apiVersion: acme.example/v1, kind: Database, name: orders, namespace: {ns}, uid: 7d1c4b1e-0000-4000-8000-000000000001}}");
                let ns = ns.to_owned();
                let why = "cannot reach the storage backend";
                vec![made(move || Step::Apply(warning(&ns, "orders.1", &object, "ReconcileFailed", why, "acme-operator")))]
            })
            .heals(|_| Vec::new())
            .told(&["kubernetes_event"], "medium", 0)
            .about("Database/orders")
            .a_moment(),
        Trouble::new("volume", "PersistentVolumeClaim", phase("Pending"))
            .before(|_| String::new())
            .breaks(|ns| {
                vec![Step::Apply(format!(
                    "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: {ns}}}\nspec: {{storageClassName: manual, \
                     accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
                ))]
            })
            .heals(|_| {
                vec![Step::Apply(
                    "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: data-1}\nspec: {storageClassName: manual, accessModes: [ReadWriteOnce], \
                     capacity: {storage: 1Gi}, hostPath: {path: /data}}\n"
                        .to_owned(),
                )]
            })
            .told(&["pvc_pending"], "medium", 60)
            .about("PersistentVolumeClaim/data")
            .long(),
        Trouble {
            most: 2,
            ..Trouble::new("stateful", "Pod", condition("Ready", "False", ""))
                .before(|ns| workload("StatefulSet", ns, 3, "", "", "  serviceName: web\n"))
                .breaks(|ns| vec![kubectl(ns, "annotate pod web-1 simulate/fault=unready")])
                .told(&["workload_degraded"], "high", 300)
                .about("StatefulSet/web")
                .long()
        },
        Trouble {
            kind: "Namespace",
            sign: Box::new(|ns| text(ns, "/metadata/name") == "t-stuck" && text(ns, "/status/phase") == "Terminating"),
            ..Trouble::new("stuck", "Namespace", |_| true)
                .before(|ns| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: held, namespace: {ns}, finalizers: [acme.example/hold]}}\n---\n"))
                .breaks(|ns| vec![kubectl("", &format!("delete namespace {ns} --wait=false"))])
                .heals(|ns| vec![kubectl(ns, r#"patch configmap held --type=merge -p {"metadata":{"finalizers":null}}"#)])
                .told(&["namespace_stuck"], "high", 600)
                .about("Namespace/t-stuck")
                .long()
        },
    ]
}

fn node_troubles() -> Vec<Trouble> {
    let annotate =
        |node: &str, fault: &str| kubectl("", &format!("annotate node {node} simulate/fault={fault}"));
    let mut troubles = vec![
        Trouble::on_node("node-not-ready", "node-009", condition("Ready", "False", ""))
            .breaks(|_| vec![annotate("node-009", "not-ready")])
            .told(&["node_unhealthy"], "critical", 0),
        Trouble::on_node("node-memory", "node-011", condition("MemoryPressure", "True", ""))
            .breaks(|_| vec![annotate("node-011", "memory-pressure")])
            .told(&["node_unhealthy"], "high", 0),
        Trouble::on_node("node-lost", "node-010", condition("Ready", "Unknown", ""))
            .before(|ns| {
                let there = "      nodeSelector: {kubernetes.io/hostname: node-010}\n      tolerations: [{key: only, operator: Exists}]\n";
                workload("Deployment", ns, 3, "", there, "") + &service(ns)
            })
            .breaks(|_| vec![Step::Script("lose", "node-010".into())])
            .heals(|_| vec![Step::Script("find", "node-010".into())])
            .told(&["node_unhealthy"], "critical", 0),
    ];
    for t in &mut troubles {
        t.subject = format!("Node/{}", t.node.unwrap_or_default());
    }
    troubles
}

/// Changes that a connector for changes must be told of once: namespace, type, resource, what is in the details.
const CHANGES: &[(&str, &str, &str, &[&str])] = &[
    ("c-changes", "deployment_scaled", "Deployment/web", &["from", "to", "field_manager"]),
    ("c-changes", "image_changed", "Deployment/web", &["field_manager"]),
    ("c-changes", "config_changed", "ConfigMap/settings", &["field_manager"]),
    ("c-changes", "service_changed", "Service/web", &["field_manager"]),
];

fn changes_before() -> String {
    let ns = "c-changes";
    let settings = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: {ns}}}\ndata: {{colour: red}}\n---\n"
    );
    namespace(ns) + &deployment(ns, 2, "") + &service(ns) + &settings
}

fn changes() -> Vec<Step> {
    let ns = "c-changes";
    vec![
        kubectl(ns, "scale deployment web --replicas=3"),
        kubectl(ns, "set image deployment/web app=registry.example/web:2"),
        kubectl(ns, r#"patch configmap settings --type=merge -p {"data":{"colour":"blue"}}"#),
        kubectl(ns, r#"patch service web --type=merge -p {"spec":{"ports":[{"port":81}]}}"#),
    ]
}

fn healthy_before() -> String {
    let mut all = String::new();
    for ns in [
        "h-rollout",
        "h-scale",
        "h-drain",
        "h-jobs",
        "h-cron",
        "h-leader",
        "h-pods",
        "h-slow",
        "h-gone",
        "h-node",
    ] {
        all += &namespace(ns);
    }
    for (ns, node) in [("h-drain", "node-008"), ("h-node", "node-007")] {
        let there = format!(
            "      tolerations: [{{key: only, operator: Exists}}]\n      affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: \
             [{{weight: 100, preference: {{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}}}]}}}}\n"
        );
        all += &(workload("Deployment", ns, 1, "", &there, "") + &service(ns));
    }
    for (ns, n) in [("h-rollout", 4), ("h-scale", 2), ("h-pods", 2), ("h-gone", 2)] {
        all += &(deployment(ns, n, "") + &service(ns));
    }
    all += &cron_job("h-cron", "* * * * *", "");
    all += "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: leader, namespace: h-leader}\n---\n";
    all + "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: leader, namespace: h-leader}\nspec: {holderIdentity: a}\n---\n"
}

/// Everyday life, of which nobody must hear.
fn healthy() -> Vec<Step> {
    let mut steps = vec![
        kubectl("h-rollout", "set image deployment/web app=registry.example/web:2"),
        kubectl("h-scale", "scale deployment web --replicas=5"),
        kubectl("", "drain node-008 --ignore-daemonsets --delete-emptydir-data --force --timeout=20s"),
        Step::Apply((0..20).fold(String::new(), |all, n| {
            let ttl = "  ttlSecondsAfterFinished: 5\n";
            all + &job("h-jobs", &format!("batch-{n}"), "", ttl)
        })),
        kubectl("h-pods", "delete pods -l app=web --wait=false"),
        kubectl("", "delete namespace h-gone --wait=false"),
        Step::Apply(deployment("h-slow", 2, "simulate/start: 9s") + &service("h-slow")),
        Step::Apply(
            include_str!("../controlplane/node.yaml")
                .replace("NODE_NAME", "node-012")
                .replace("ZONE_NAME", "zone-0"),
        ),
        kubectl("", "drain node-007 --ignore-daemonsets --force --timeout=20s"),
        kubectl("", "delete node node-007"),
    ];
    for n in 0..5 {
        let id = format!(
            "{{kind: Pod, name: slow-{n}, namespace: h-slow, uid: 7d1c4b1e-0000-4000-8000-00000000001{n}}}"
        );
        let probe = "Readiness probe failed: connection refused";
        let event = move || {
            Step::Apply(warning("h-slow", &format!("slow-{n}.1"), &id, "Unhealthy", probe, "kubelet"))
        };
        steps.push(made(event));
        let holder =
            format!("control-plane.alpha.kubernetes.io/leader={{\"holderIdentity\":\"b\",\"renew\":{n}}}");
        steps.push(kubectl("h-leader", &format!("annotate configmap leader --overwrite {holder}")));
        steps.push(kubectl(
            "h-leader",
            &format!(r#"patch lease leader --type=merge -p {{"spec":{{"leaseTransitions":{n}}}}}"#),
        ));
    }
    steps.extend([
        kubectl("h-rollout", "rollout restart deployment web"),
        kubectl("h-scale", "scale deployment web --replicas=0"),
        kubectl("", "uncordon node-008"),
        Step::Sleep(3),
        kubectl("h-scale", "scale deployment web --replicas=2"),
        kubectl("h-rollout", "rollout undo deployment web"),
    ]);
    steps
}

/// Broken before anybody looked: shown, told to nobody.
fn standing() -> String {
    namespace("s-standing")
        + &deployment("s-standing", 2, "simulate/fault: crash-loop")
        + &service("s-standing")
}

type Answer = mpsc::Sender<Timestamp>;

/// Does what it is given, one after the other, and says when each was begun.
fn worker(cluster: &Arc<ControlPlane>) -> mpsc::Sender<(Vec<Step>, Option<Answer>)> {
    let (sender, receiver) = mpsc::channel::<(Vec<Step>, Option<Answer>)>();
    let cluster = Arc::clone(cluster);
    std::thread::spawn(move || {
        for (steps, answer) in receiver {
            steps.iter().for_each(|step| step.take(&cluster));
            if let Some(answer) = answer {
                let _ = answer.send(clock());
            }
        }
    });
    sender
}

fn config(cluster: &ControlPlane, hook: &str, changes: &str, incidents: &str) -> String {
    format!(
        "[log]\nlevel = {:?}\n[clusters]\nname = \"prod\"\nkubeconfig = [{:?}]\n[incidents]\n{incidents}\n\
         [[connectors]]\nname = \"hook\"\ntype = \"webhook\"\nenabled = true\nconfig = {{ url = {hook:?} }}\n\
         [[connectors]]\nname = \"changes\"\ntype = \"webhook\"\nenabled = true\nconfig = {{ url = {changes:?}, events = [\"change\"] }}\n",
        std::env::var("BARRELMAN_TEST_LOG").unwrap_or("info".into()),
        cluster.kubeconfig()
    )
}

/// One trouble on its way.
struct Run {
    trouble: Trouble,
    number: usize,
    broken: Option<Instant>,
    told: Option<Told>,
    healed: Option<Instant>,
    healed_at: Option<Timestamp>,
    answer: (Answer, mpsc::Receiver<Timestamp>),
    messages: Vec<Told>,
}

impl Run {
    fn new(trouble: Trouble, world: &mut World) -> Self {
        let mut trouble = trouble;
        let sign = std::mem::replace(&mut trouble.sign, Box::new(|_| false));
        let number = world.wait_for(trouble.kind, sign);
        Self {
            trouble,
            number,
            broken: None,
            told: None,
            healed: None,
            healed_at: None,
            answer: mpsc::channel(),
            messages: Vec::new(),
        }
    }

    fn resolved(&self) -> usize {
        self.messages.iter().filter(|m| m.phase() == "resolved").count()
    }

    fn others(&self) -> usize {
        self.messages.len() - self.resolved()
    }

    /// Whether there is nothing more to wait for.
    fn over(&self) -> bool {
        self.healed_at.is_some() && (!self.trouble.ends || self.resolved() > 0)
    }

    /// Seconds from the sign to the message, beyond threshold and settle.
    fn late(&self, world: &World) -> Option<f64> {
        let sign = world.seen(self.number)?;
        let due = sign + SignedDuration::from_secs(self.trouble.threshold + self.trouble.settle);
        self.told.as_ref().map(|t| t.at.duration_since(due).as_secs_f64())
    }

    /// What is wrong with it.
    fn faults(&self, world: &World) -> Vec<String> {
        let t = &self.trouble;
        let Some(told) = &self.told else {
            let kinds: Vec<&str> = self.messages.iter().map(Told::kind).collect();
            return vec![format!("not told; messages: {kinds:?}; sign {:?}", world.seen(self.number))];
        };
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        check(told.text("/severity") == t.severity, format!("severity {}", told.text("/severity")));
        let subject = told.text("/incident/subject/resource");
        check(subject == t.subject, format!("subject {subject}"));
        let commands = told.body["recommendations"].as_array().cloned().unwrap_or_default();
        check(
            commands.iter().any(|c| c["command"].as_str().is_some_and(|c| c.starts_with("kubectl "))),
            "no command".into(),
        );
        if t.kind == "Pod" && t.subject != "Pod/once" {
            let owners = told.body["owner_references"].as_array().map_or(0, Vec::len);
            check(owners > 0 || t.types == ["workload_degraded"], "no owners".into());
        }
        match (self.late(world), told.time("/timestamp"), world.seen(self.number)) {
            (Some(late), Some(time), Some(sign)) => {
                check(late <= LATE, format!("{late:.1} s late"));
                let off = time.duration_since(sign).as_secs_f64();
                check(!t.timed || (-4.0..=1.0).contains(&off), format!("its time is {off:.1} s off"));
            }
            other => check(false, format!("no time: {other:?}")),
        }
        check(self.others() <= t.most, format!("{} messages", self.others()));
        let ends = self.resolved();
        check(ends == usize::from(t.ends), format!("{ends} resolves"));
        faults
    }

    fn row(&self, world: &World) -> String {
        let told = self.told.as_ref();
        let late = self.late(world).map_or("-".into(), |s| format!("{s:+.1}"));
        let off = told.and_then(|t| t.time("/timestamp")).zip(world.seen(self.number));
        let off = off.map_or("-".into(), |(t, s)| format!("{:+.1}", t.duration_since(s).as_secs_f64()));
        let end = self.messages.iter().find(|m| m.phase() == "resolved");
        let end = match (end, self.healed_at) {
            (Some(end), Some(healed)) => {
                format!("after {:.0} s", end.at.duration_since(healed).as_secs_f64())
            }
            _ if !self.trouble.ends => "a moment".into(),
            _ => "no".into(),
        };
        let affected =
            self.messages.last().and_then(|m| m.body["incident"]["affected"].as_array()).map_or(0, Vec::len);
        let phases: Vec<&str> = self.messages.iter().map(Told::phase).collect();
        format!(
            "{:<15} {:<4} {:<22} {:<9} {:<24} {:>5} {:>6} {:>6}  {:<11} {} {}",
            self.trouble.name,
            if told.is_some() { "yes" } else { "NO" },
            told.map_or("-", Told::kind),
            told.map_or("-", |t| t.text("/severity")),
            told.map_or("-", |t| t.text("/incident/subject/resource")),
            self.others(),
            late,
            off,
            end,
            phases.join(","),
            if affected > 0 { format!("affected {affected}") } else { String::new() },
        )
    }
}

fn prepare(cluster: &ControlPlane, troubles: &[Trouble]) {
    cluster.kubectl(
        &words("taint nodes node-007 node-008 node-009 node-010 node-011 only=some:NoSchedule")
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    let mut yaml = standing() + &changes_before() + &healthy_before();
    for trouble in troubles {
        yaml += &(namespace(&trouble.ns()) + &trouble.before);
    }
    cluster.apply(&yaml);
    for kind in ["deployments", "statefulsets"] {
        let want = cluster.kubectl(&[
            "get",
            kind,
            "-A",
            "-o",
            "jsonpath={range .items[*]}{.metadata.namespace} {end}",
        ]);
        for ns in want.split_whitespace().filter(|ns| *ns != "s-standing") {
            let what = format!("{}/web", kind.trim_end_matches('s'));
            cluster.kubectl(&["rollout", "status", "-n", ns, &what, "--timeout=60s"]);
        }
    }
    // Only what has crashed again is a loop: before that its back-off would be news.
    let restarts = "jsonpath={.items[*].status.containerStatuses[0].restartCount}";
    let is_loop = || {
        let counts = cluster.kubectl(&["get", "pods", "-n", "s-standing", "-o", restarts]);
        counts.split_whitespace().filter(|n| n.parse::<u32>().is_ok_and(|n| n >= 2)).count() == 2
    };
    let looping = (0..120).any(|_| {
        is_loop() || {
            std::thread::sleep(Duration::from_millis(500));
            false
        }
    });
    assert!(looping, "the standing trouble did not come to be");
}

/// Runs everything at once; `wait` is how long at most.
fn run(troubles: Vec<Trouble>, incidents: &str, wait: Duration) {
    let Some(cluster) = ControlPlane::up(12) else { return };
    let cluster = Arc::new(cluster);
    prepare(&cluster, &troubles);
    let mut world = World::new();
    let (hook, changes_sink) = (world.sink(), world.sink());
    let dir = tempfile::tempdir().unwrap();
    let mut forward = Forward::start(dir.path(), &config(&cluster, &hook.url, &changes_sink.url, incidents));
    forward.ready();
    let mut runs: Vec<Run> = troubles.into_iter().map(|t| Run::new(t, &mut world)).collect();
    world.watch(&cluster.kubeconfig());

    let (breaking, healing, living) = (worker(&cluster), worker(&cluster), worker(&cluster));
    cluster.nodes_are_old();
    let start = Instant::now();
    // The longest first, so that the run is as short as it can be.
    runs.sort_by_key(|r| -(r.trouble.threshold + r.trouble.settle));
    for run in &mut runs {
        breaking.send((run.trouble.breaks.clone(), None)).unwrap();
        run.broken = Some(Instant::now());
    }
    let (changed, changed_at) = mpsc::channel();
    let (lived, lived_at) = mpsc::channel();
    living.send((changes(), Some(changed))).unwrap();
    living.send((healthy(), Some(lived))).unwrap();
    while start.elapsed() < wait && !runs.iter().all(Run::over) {
        std::thread::sleep(Duration::from_millis(100));
        let told = world.told(&hook);
        for run in &mut runs {
            run.messages = told.iter().filter(|t| run.trouble.owns(t)).cloned().collect();
            run.told = run.messages.iter().find(|m| run.trouble.types.contains(&m.kind())).cloned();
            let ready =
                if run.trouble.at_once { world.seen(run.number).is_some() } else { run.told.is_some() };
            if ready && run.healed.is_none() {
                run.healed = Some(Instant::now());
                healing.send((run.trouble.heals.clone(), Some(run.answer.0.clone()))).unwrap();
            }
            run.healed_at = run.healed_at.or_else(|| run.answer.1.try_recv().ok());
        }
    }
    let lived = lived_at.recv_timeout(Duration::from_secs(120)).is_ok();
    let changed = changed_at.try_recv().is_ok();
    // Whatever is told twice would be told by now.
    std::thread::sleep(Duration::from_secs(8));
    let told = world.told(&hook);
    for run in &mut runs {
        run.messages = told.iter().filter(|t| run.trouble.owns(t)).cloned().collect();
    }
    let metrics = forward.get("/metrics");
    let log = forward.log();
    let exit = forward.stop();
    keep(dir.path());
    let faults = report(&runs, &world, &told, &world.told(&changes_sink), start.elapsed());
    let rules = metrics.map(|(_, m)| m).unwrap_or_default();
    assert!(!rules.contains("faults_total{} 1") && !log.contains("a rule failed"), "{log}");
    assert_eq!(exit, Some(0), "SIGTERM ends it well: {log}");
    assert!(lived && changed, "the cluster did not do what it was told");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// For a look at what was left, where BARRELMAN_TEST_KEEP names a directory.
fn keep(dir: &std::path::Path) {
    if let Some(to) = std::env::var_os("BARRELMAN_TEST_KEEP").map(PathBuf::from) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().is_file()) {
            let _ = std::fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}

fn report(runs: &[Run], world: &World, told: &[Told], changes: &[Told], took: Duration) -> Vec<String> {
    let mut faults = Vec::new();
    let mut lines = vec![format!(
        "{:<15} {:<4} {:<22} {:<9} {:<24} {:>5} {:>6} {:>6}  resolved",
        "scenario", "told", "type", "severity", "subject", "msgs", "late", "time"
    )];
    for run in runs {
        lines.push(run.row(world));
        faults.extend(run.faults(world).into_iter().map(|f| format!("{}: {f}", run.trouble.name)));
    }
    for (ns, kind, resource, details) in CHANGES {
        let of: Vec<&Told> = changes
            .iter()
            .filter(|t| t.text("/namespace") == *ns && t.kind() == *kind && t.text("/resource") == *resource)
            .collect();
        let said: Vec<String> = details
            .iter()
            .map(|d| format!("{d}={}", of.first().map_or(&Value::Null, |t| &t.body["details"][*d])))
            .collect();
        lines.push(format!("change {kind:<20} {resource:<22} {} messages  {}", of.len(), said.join(" ")));
        if of.len() != 1 || said.iter().any(|s| s.ends_with("=null")) {
            faults.push(format!("{kind} of {resource}: {} messages, {}", of.len(), said.join(" ")));
        }
    }
    let others: Vec<&Told> = told.iter().filter(|t| !runs.iter().any(|r| r.trouble.owns(t))).collect();
    let (scaled, alarms): (Vec<&Told>, Vec<&Told>) =
        others.into_iter().partition(|t| t.kind() == "node_scaled_down");
    for alarm in &alarms {
        let line = format!(
            "alarm in healthy life: {} {} {} of {} {}/{} {}",
            alarm.phase(),
            alarm.at,
            alarm.text("/timestamp"),
            alarm.kind(),
            alarm.text("/namespace"),
            alarm.text("/resource"),
            alarm.text("/description")
        );
        lines.push(line.clone());
        faults.push(line);
    }
    let mut lags: Vec<(&str, f64)> = changes
        .iter()
        .filter_map(|t| Some((t.kind(), t.at.duration_since(t.time("/timestamp")?).as_secs_f64())))
        .collect();
    lags.sort_by(|a, b| a.1.total_cmp(&b.1));
    if let (Some(middle), Some(worst)) = (lags.get(lags.len() / 2), lags.last()) {
        lines.push(format!(
            "changes: {} told, {:.1} s after they were made (median), {:.1} s (worst)",
            lags.len(),
            middle.1,
            worst.1
        ));
    }
    let mut late: Vec<f64> = runs.iter().filter_map(|r| r.late(world)).collect();
    late.sort_by(f64::total_cmp);
    if let (Some(middle), Some(worst)) = (late.get(late.len() / 2), late.last()) {
        lines.push(format!("beyond threshold and settle: {middle:.1} s (median), {worst:.1} s (worst)"));
        if *middle > PROMISED {
            faults.push(format!("half of the messages are over {middle:.1} s late"));
        }
    }
    let messages: usize = runs.iter().map(Run::others).sum();
    let once = runs.iter().filter(|r| r.others() == 1).count();
    let per = messages as f64 / runs.len() as f64;
    lines.push(format!(
        "{} troubles: {} told, {once} with exactly one message, {per:.2} messages per incident; {} alarms in healthy life; node_scaled_down {}; \
         {} change messages; {} s",
        runs.len(),
        runs.iter().filter(|r| r.told.is_some()).count(),
        alarms.len(),
        scaled.len(),
        changes.len(),
        took.as_secs(),
    ));
    if per > 1.1 {
        faults.push(format!("{per:.2} messages per incident"));
    }
    let mut ids: Vec<&str> = told.iter().map(|t| t.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != told.len() {
        faults.push(format!("{} requests, {} ids", told.len(), ids.len()));
    }
    eprintln!("{}", lines.join("\n"));
    faults
}

fn troubles() -> Vec<Trouble> {
    let mut all = node_troubles();
    all.extend(pod_troubles());
    all.extend(workload_troubles());
    all
}

#[test]
fn troubles_are_told_once_and_healthy_life_is_silent() {
    let short = troubles().into_iter().filter(|t| !t.long).collect();
    run(short, "heal_for_secs = 3", Duration::from_secs(75));
}

#[test]
#[ignore = "takes a quarter of an hour: every threshold as it is"]
fn every_trouble_is_told_once_with_real_thresholds() {
    run(troubles(), "", Duration::from_secs(1200));
}

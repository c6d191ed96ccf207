//! Against a real control plane: an API server that is away, history that is compacted, and rights that are few.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::support::{
    controlplane::ControlPlane,
    forward::{Forward, Told, World},
    sink::Sink,
};

fn config(kubeconfig: &std::path::Path, more: &str, connectors: &[(&str, &Sink, &str)]) -> String {
    let mut text = format!(
        "[clusters]\nname = \"prod\"\nkubeconfig = [{kubeconfig:?}]\n[incidents]\nheal_for_secs = 2\n{more}\n"
    );
    for (name, sink, options) in connectors {
        text += &format!(
            "[[connectors]]\nname = {name:?}\ntype = \"webhook\"\nenabled = true\nconfig = {{ url = {:?}{options} }}\n",
            sink.url
        );
    }
    text
}

/// Waits until what was told suits, and answers it.
fn until(
    world: &World,
    sink: &Sink,
    what: &str,
    secs: u64,
    forward: &Forward,
    suits: impl Fn(&[Told]) -> bool,
) -> Vec<Told> {
    let end = Instant::now() + Duration::from_secs(secs);
    loop {
        let told = world.told(sink);
        if suits(&told) {
            return told;
        }
        let lines: Vec<String> = told.iter().map(line).collect();
        assert!(Instant::now() < end, "waiting for {what}; told: {lines:#?}\n{}", forward.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn line(t: &Told) -> String {
    format!("{} {} {} {}/{}", t.at, t.phase(), t.kind(), t.text("/namespace"), t.text("/resource"))
}

fn settings(n: u32, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: numbered-{n:02}, namespace: shop}}\ndata: {{value: {value}}}\n---\n"
    )
}

fn deployment(ns: &str, annotations: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: {ns}}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}, annotations: {{{annotations}}}}}\n    \
         spec: {{containers: [{{name: app, image: 'registry.example/web:1'}}]}}\n---\n"
    )
}

fn namespaces(names: &[&str]) -> String {
    names.iter().map(|n| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {n}}}\n---\n")).collect()
}

fn outage(away: Duration) {
    let Some(cluster) = ControlPlane::up(2) else { return };
    let numbered =
        |range: std::ops::Range<u32>, value: &str| range.map(|n| settings(n, value)).collect::<String>();
    cluster.apply(&(namespaces(&["shop"]) + &numbered(0..30, "red") + &deployment("shop", "")));
    cluster.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=60s"]);
    let world = World::new();
    let (hook, edits) = (world.sink(), world.sink());
    let dir = tempfile::tempdir().unwrap();
    let only = ", events = [\"config_changed\"], deliver = \"events\"";
    let text = config(&cluster.kubeconfig(), "", &[("hook", &hook, ""), ("edits", &edits, only)]);
    let mut forward = Forward::start(dir.path(), &text);
    forward.ready();

    // In the last moment before, and in the first after, with the history between them gone.
    cluster.apply(&numbered(0..10, "green"));
    cluster.control("stop", &["kube-apiserver"]);
    let stopped = Instant::now();
    until(&world, &hook, "the outage", 80, &forward, |told| {
        told.iter().any(|t| t.kind() == "cluster_unhealthy")
    });
    let after = stopped.elapsed().as_secs_f64();
    let (code, page) = forward.get("/readyz").expect("an answer");
    assert!(code == 503 && page.contains("away"), "{code} {page}");
    std::thread::sleep(away.saturating_sub(stopped.elapsed()));
    cluster.control("start", &["kube-apiserver"]);
    cluster.apply(&numbered(10..20, "green"));
    cluster.control("compact", &[]);
    cluster.control("stop", &["kube-apiserver"]);
    cluster.control("start", &["kube-apiserver"]);
    cluster.apply(&numbered(20..30, "green"));
    cluster.kubectl(&["-n", "shop", "delete", "deployment", "web", "--wait=false"]);

    forward.ready();
    let back = Instant::now();
    let of = |t: &Told| t.text("/resource").starts_with("ConfigMap/numbered-");
    until(&world, &edits, "thirty edits", 60, &forward, |told| told.iter().filter(|t| of(t)).count() >= 30);
    let caught_up = back.elapsed().as_secs_f64();
    until(&world, &hook, "the end", 90, &forward, |told| told.iter().any(|t| t.phase() == "resolved"));
    std::thread::sleep(Duration::from_secs(5));
    let mut names: Vec<String> =
        world.told(&edits).iter().filter(|t| of(t)).map(|t| t.text("/resource").to_owned()).collect();
    names.sort_unstable();
    let expected: Vec<String> = (0..30).map(|n| format!("ConfigMap/numbered-{n:02}")).collect();
    assert_eq!(names, expected, "each edit once");
    let told: Vec<String> = world.told(&hook).iter().map(|t| format!("{} {}", t.phase(), t.kind())).collect();
    assert_eq!(told, ["opened cluster_unhealthy", "resolved cluster_unhealthy"], "{}", forward.log());
    eprintln!(
        "API away for {:.0} s: told after {after:.1} s, once; resolved once; 30 of 30 edits once, {caught_up:.1} s after it was ready again",
        away.as_secs_f64()
    );
    assert!(after <= 75.0, "told {after:.1} s after the stop");
    assert_eq!(forward.stop(), Some(0));
}

#[test]
fn an_api_outage_is_told_once_and_nothing_is_lost() {
    outage(Duration::from_secs(62));
}

#[test]
#[ignore = "takes three minutes: an outage of two"]
fn a_long_api_outage_is_told_once_and_nothing_is_lost() {
    outage(Duration::from_secs(120));
}

/// A kubeconfig for a ServiceAccount.
fn account(cluster: &ControlPlane, dir: &std::path::Path, namespace: &str, name: &str) -> PathBuf {
    let of = |path: &str| {
        cluster.kubectl(&[
            "config",
            "view",
            "--raw",
            "-o",
            &format!("jsonpath={{.clusters[0].cluster.{path}}}"),
        ])
    };
    let token = cluster.kubectl(&["-n", namespace, "create", "token", name]);
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: '{}'}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n",
        of("server"),
        of("certificate-authority-data"),
        token.trim()
    );
    let path = dir.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    path
}

/// The kinds in a state, as the metrics say.
fn kinds(forward: &Forward, state: &str) -> Vec<String> {
    let (_, page) = forward.get("/metrics").expect("metrics");
    let lines = page
        .lines()
        .filter(|l| l.starts_with("barrelman_streams{") && l.contains(&format!("state=\"{state}\"")));
    let mut found: Vec<String> =
        lines.filter_map(|l| Some(l.split_once("kind=\"")?.1.split_once('"')?.0.to_owned())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn an_account_of_one_namespace_works_there_and_says_what_it_cannot_see() {
    let Some(cluster) = ControlPlane::up(2) else { return };
    let rights = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: lookout, namespace: own}\n---\n\
        apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: lookout, namespace: own}\n\
        rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list, watch]}]\n---\n\
        apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: lookout, namespace: own}\n\
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lookout}\nsubjects: [{kind: ServiceAccount, name: lookout}]\n---\n";
    cluster
        .apply(&(namespaces(&["own", "other"]) + rights + &deployment("own", "") + &deployment("other", "")));
    for ns in ["own", "other"] {
        cluster.kubectl(&["-n", ns, "rollout", "status", "deployment/web", "--timeout=60s"]);
    }
    let world = World::new();
    let hook = world.sink();
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = account(&cluster, dir.path(), "own", "lookout");
    let text = config(&kubeconfig, "[watch]\nnamespaces = [\"own\"]", &[("hook", &hook, "")]);
    let mut forward = Forward::start(dir.path(), &text);
    forward.ready();
    let missing = kinds(&forward, "forbidden");
    for kind in ["nodes", "namespaces", "persistentvolumes"] {
        assert!(missing.iter().any(|m| m == kind), "{kind} is not shown as missing: {missing:?}");
        assert!(forward.log().contains(kind), "the log does not name {kind}: {}", forward.log());
    }
    for kind in ["pods", "deployments", "endpointslices", "jobs", "events"] {
        assert!(kinds(&forward, "live").iter().any(|m| m == kind), "{kind} is not watched");
    }
    for ns in ["other", "own"] {
        cluster.kubectl(&["-n", ns, "annotate", "pods", "--all", "simulate/fault=crash-loop"]);
    }
    let told = until(&world, &hook, "the crash loop", 30, &forward, |told| !told.is_empty());
    assert_eq!((told[0].kind(), told[0].text("/namespace")), ("pod_crash_loop", "own"));
    assert_eq!(told[0].text("/incident/subject/resource"), "Deployment/web");
    cluster.kubectl(&["-n", "own", "annotate", "pods", "--all", "simulate/fault-"]);
    let told =
        until(&world, &hook, "its end", 40, &forward, |told| told.iter().any(|t| t.phase() == "resolved"));
    assert!(told.iter().all(|t| t.text("/namespace") == "own"), "{told:?}");
    assert_eq!(told.len(), 2, "{:#?}", told.iter().map(line).collect::<Vec<_>>());
    let (_, said) = forward.also(&["check"]);
    assert!(said.contains("nodes"), "check says what is missing: {said}");
    eprintln!("one namespace: missing {missing:?}\n{said}");
    assert_eq!(forward.stop(), Some(0));
}

/// What the README says to do in a cluster, word for word, and that the rights it makes are enough.
#[test]
fn the_quick_start_in_a_cluster_works_on_a_fresh_one() {
    let Some(cluster) = ControlPlane::up(1) else { return };
    let home = crate::support::cli::Home::new();
    cluster.apply(&home.run(&["rbac"]).ok());
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/kubernetes.yaml");
    cluster.apply(&std::fs::read_to_string(manifest).unwrap());
    let volume = cluster.kubectl(&[
        "-n",
        "barrelman",
        "get",
        "pvc,deployment,serviceaccount",
        "-l",
        "app.kubernetes.io/name=barrelman",
        "-o",
        "name",
    ]);
    assert_eq!(volume.lines().count(), 2, "{volume}");

    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = account(&cluster, dir.path(), "barrelman", "barrelman");
    let kubeconfig = kubeconfig.to_str().unwrap();
    let said = home.run(&["check", "--kubeconfig", kubeconfig]).ok();
    assert!(
        said.contains("every right that is needed is there") && !said.contains("address and CA"),
        "{said}"
    );

    // In one namespace, with nothing for the whole cluster.
    cluster.apply(&namespaces(&["shop"]));
    let scoped = &["rbac", "-n", "shop", "--account", "lookout", "--install-namespace", "watch-tower"];
    let yaml = home.run(scoped).ok();
    assert!(!yaml.contains("Cluster"), "{yaml}");
    cluster.apply(&yaml);
    let other = tempfile::tempdir().unwrap();
    let kubeconfig = account(&cluster, other.path(), "watch-tower", "lookout");
    let path = kubeconfig.to_str().unwrap();
    let said = home.run(&["check", "-n", "shop", "--kubeconfig", path]).ok();
    assert!(said.contains("known by its address and CA") && said.contains("list,watch nodes"), "{said}");
    let said = home.run(&["check", "-n", "elsewhere", "--kubeconfig", path]).failed(1);
    let step =
        "barrelman rbac -n elsewhere --account lookout --install-namespace watch-tower | kubectl apply -f -";
    assert!(said.contains("the right list,watch is missing for pods, ") && said.contains(step), "{said}");
    assert_eq!(said.matches(" in the namespace elsewhere\n").count(), 1, "{said}");

    let world = World::new();
    let (hook, beats) = (world.sink(), world.sink());
    let more =
        format!("[watch]\nnamespaces = [\"shop\"]\n[heartbeat]\nurl = \"{}\"\ninterval_secs = 5", beats.url);
    let mut forward = Forward::start(other.path(), &config(&kubeconfig, &more, &[("hook", &hook, "")]));
    forward.ready();
    assert_eq!(forward.get("/readyz"), Some((200, "ready\n".into())));
    let until = Instant::now() + Duration::from_secs(20);
    while beats.seen().is_empty() {
        assert!(Instant::now() < until, "no heartbeat: {}", forward.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("a fresh cluster: rights, manifest, check, heartbeat\n{said}");
    assert_eq!(forward.stop(), Some(0));
}

/// The ClusterRole that PainChain's own connector asks for.
const PAINCHAIN_ROLE: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata:
  name: painchain-kubernetes-connector
  namespace: painchain
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: painchain-kubernetes-connector
rules:
  - apiGroups: ["", "apps", "batch", "extensions"]
    resources:
      - pods
      - services
      - configmaps
      - secrets
      - events
      - namespaces
      - nodes
      - deployments
      - replicasets
      - statefulsets
      - daemonsets
    verbs:
      - get
      - list
      - watch
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: painchain-kubernetes-connector-binding
subjects:
  - kind: ServiceAccount
    name: painchain-kubernetes-connector
    namespace: painchain
roleRef:
  kind: ClusterRole
  name: painchain-kubernetes-connector
  apiGroup: rbac.authorization.k8s.io
"#;

#[test]
fn under_painchains_rights_all_its_kinds_work_and_the_rest_is_missing() {
    let Some(cluster) = ControlPlane::up(6) else { return };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n---\n";
    cluster.apply(&(namespaces(&["painchain", "shop", "loop"]) + PAINCHAIN_ROLE));
    cluster.apply(&(deployment("shop", "") + &deployment("loop", "") + service + &settings(1, "red")));
    for ns in ["shop", "loop"] {
        cluster.kubectl(&["-n", ns, "rollout", "status", "deployment/web", "--timeout=60s"]);
    }
    let world = World::new();
    let (hook, changes) = (world.sink(), world.sink());
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = account(&cluster, dir.path(), "painchain", "painchain-kubernetes-connector");
    let connectors = [("hook", &hook, ""), ("changes", &changes, ", events = [\"change\"]")];
    let mut forward = Forward::start(dir.path(), &config(&kubeconfig, "", &connectors));
    forward.ready();
    let live = kinds(&forward, "live");
    let granted = [
        "configmaps",
        "daemonsets",
        "deployments",
        "events",
        "namespaces",
        "nodes",
        "pods",
        "replicasets",
        "secrets",
        "services",
        "statefulsets",
    ];
    assert_eq!(live, granted);
    let missing = kinds(&forward, "forbidden");
    for kind in
        ["cronjobs", "endpointslices", "horizontalpodautoscalers", "ingresses", "jobs", "persistentvolumes"]
    {
        assert!(missing.iter().any(|m| m == kind), "{kind} is not shown as missing: {missing:?}");
    }
    cluster.kubectl(&["-n", "loop", "annotate", "pods", "--all", "simulate/fault=crash-loop"]);
    cluster.kubectl(&["-n", "shop", "scale", "deployment", "web", "--replicas=3"]);
    cluster.kubectl(&["-n", "shop", "set", "image", "deployment/web", "app=registry.example/web:2"]);
    cluster.apply(&settings(1, "blue"));
    cluster.kubectl(&[
        "-n",
        "shop",
        "patch",
        "service",
        "web",
        "--type=merge",
        "-p",
        r#"{"spec":{"ports":[{"port":81}]}}"#,
    ]);
    cluster.nodes_are_old();
    cluster.kubectl(&["annotate", "node", "node-005", "simulate/fault=not-ready"]);
    cluster.apply(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: report, namespace: shop}\nspec:\n  backoffLimit: 0\n  template:\n    \
         metadata: {annotations: {simulate/fault: exit}}\n    spec: {restartPolicy: Never, containers: [{name: work, image: 'registry.example/work:1'}]}\n",
    );
    let has = |told: &[Told], kind: &str, resource: &str| {
        told.iter().filter(|t| t.kind() == kind && t.text("/resource").starts_with(resource)).count() == 1
    };
    until(&world, &changes, "the changes", 30, &forward, |told| {
        has(told, "deployment_scaled", "Deployment/web")
            && has(told, "image_changed", "Deployment/web")
            && has(told, "config_changed", "ConfigMap/numbered-01")
            && has(told, "service_changed", "Service/web")
    });
    // Jobs are not seen: the cluster's own word about them leads.
    let told = until(&world, &hook, "the troubles", 60, &forward, |told| {
        has(told, "node_unhealthy", "Node/node-005")
            && told.iter().any(|t| t.kind() == "pod_crash_loop")
            && told.iter().any(|t| t.kind() == "kubernetes_event" && t.text("/resource") == "Job/report")
    });
    let loops: Vec<&Told> = told.iter().filter(|t| t.text("/namespace") == "loop").collect();
    assert_eq!(loops.len(), 1, "{:#?}", told.iter().map(line).collect::<Vec<_>>());
    assert_eq!(loops[0].text("/incident/subject/resource"), "Deployment/web");
    let (_, said) = forward.also(&["check"]);
    for kind in &missing {
        assert!(said.contains(kind.as_str()), "check does not name {kind}: {said}");
    }
    eprintln!(
        "PainChain's rights: live {live:?}, missing {missing:?}\n{}",
        told.iter().map(line).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(forward.stop(), Some(0));
}

//! The real binary as a process, the webhooks it calls, and the cluster as an onlooker of our own sees it.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt;
use jiff::Timestamp;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, WatchEvent, WatchParams},
};
use serde_json::Value;
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    sink::{Sink, status},
    watching::clock,
};

/// A running `barrelman forward`.
pub struct Forward {
    child: Child,
    dir: PathBuf,
    port: u16,
}

/// Not of the environment of whoever runs the tests.
const FOREIGN: &[&str] = &[
    "KUBECONFIG",
    "CONNECTOR_NAME",
    "CLUSTER_NAME",
    "WATCH_NAMESPACES",
    "NAMESPACES",
    "RESOURCE_FILTER",
    "PAINCHAIN_API_URL",
    "BACKEND_API_URL",
    "IN_CLUSTER",
    "LOG_LEVEL",
];

fn binary(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barrelman"));
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.env("HOME", dir).current_dir(dir).args(args);
    command
}

impl Forward {
    /// Starts it with this configuration; its data and its log stay in `dir`.
    pub fn start(dir: &Path, config: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().port();
        let config = format!("{config}\n[server]\nlisten = \"127.0.0.1:{port}\"\n[store]\ndir = {dir:?}\n");
        std::fs::write(dir.join("config.toml"), config).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let child = binary(dir, &["forward", "--config", "config.toml"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, dir: dir.to_owned(), port }
    }

    /// Another command of the binary over the same configuration: its exit code and all it printed.
    pub fn also(&self, args: &[&str]) -> (Option<i32>, String) {
        let out = binary(&self.dir, args).args(["--config", "config.toml"]).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code(), text)
    }

    /// A page of its HTTP server: status and body; `None` where it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let host = format!("127.0.0.1:{}", self.port);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let code = text.split(' ').nth(1)?.parse().ok()?;
        let body = text.split_once("\r\n\r\n")?.1.to_owned();
        Some((code, body))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits until it is ready.
    pub fn ready(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(code) = self.child.try_wait().unwrap() {
                panic!("forward ended with {code}:\n{}", self.log());
            }
            let answer = self.get("/readyz");
            if answer.as_ref().is_some_and(|(code, _)| *code == 200) {
                return;
            }
            assert!(Instant::now() < until, "not ready: {answer:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM; answers the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to a webhook.
#[derive(Debug, Clone)]
pub struct Told {
    pub at: Timestamp,
    pub id: String,
    pub body: Value,
}

impl Told {
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
    pub fn phase(&self) -> &str {
        self.text("/incident/phase")
    }
    pub fn kind(&self) -> &str {
        self.text("/event_type")
    }
    pub fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer).parse().ok()
    }
}

/// Says whether an object, as JSON, shows what is waited for.
pub type Sign = Box<dyn Fn(&Value) -> bool + Send + Sync>;

struct Waited {
    kind: String,
    sign: Sign,
    seen: Option<Timestamp>,
}

/// Webhooks, and a watch of our own: when did the cluster show what.
pub struct World {
    runtime: Runtime,
    tasks: JoinSet<()>,
    waited: Arc<Mutex<Vec<Waited>>>,
}

const WATCHED: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Node", "nodes"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "Event", "events"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("batch", "v1", "Job", "jobs"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
];

impl World {
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime, tasks: JoinSet::new(), waited: Arc::default() }
    }

    /// A webhook that takes everything.
    pub fn sink(&self) -> Sink {
        self.runtime.block_on(Sink::start(|_, _| status(200)))
    }

    /// What it was sent, oldest first.
    pub fn told(&self, sink: &Sink) -> Vec<Told> {
        let (instant, now) = (tokio::time::Instant::now(), clock());
        let taken = sink.seen().into_iter().filter(|s| s.status < 300);
        taken
            .map(|s| Told {
                at: now - jiff::SignedDuration::try_from(instant.duration_since(s.at)).unwrap(),
                id: s.id,
                body: serde_json::from_str(&s.body).expect("JSON"),
            })
            .collect()
    }

    /// Looks out for a sign; answers its number.
    pub fn wait_for(&mut self, kind: &str, sign: Sign) -> usize {
        let mut waited = self.waited.lock().unwrap();
        waited.push(Waited { kind: kind.to_owned(), sign, seen: None });
        waited.len() - 1
    }

    pub fn seen(&self, number: usize) -> Option<Timestamp> {
        self.waited.lock().unwrap()[number].seen
    }

    /// Begins to watch.
    pub fn watch(&mut self, kubeconfig: &Path) {
        let config = std::fs::read_to_string(kubeconfig).unwrap();
        let client = self.runtime.block_on(super::client(&config));
        for (group, version, kind, plural) in WATCHED {
            let gvk = kube::api::GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let waited = Arc::clone(&self.waited);
            self.tasks.spawn_on(follow(api, (*kind).to_owned(), waited), self.runtime.handle());
        }
    }
}

async fn follow(api: Api<DynamicObject>, kind: String, waited: Arc<Mutex<Vec<Waited>>>) {
    loop {
        if let Ok(stream) = api.watch(&WatchParams::default().timeout(280), "0").await {
            let mut stream = std::pin::pin!(stream);
            while let Some(Ok(event)) = stream.next().await {
                let (WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)) =
                    event
                else {
                    continue;
                };
                let (at, object) = (clock(), serde_json::to_value(&object).unwrap());
                let mut waited = waited.lock().unwrap();
                for w in waited.iter_mut().filter(|w| w.seen.is_none() && w.kind == kind) {
                    if (w.sign)(&object) {
                        w.seen = Some(at);
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

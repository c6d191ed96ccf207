//! The program itself: as a child that can be killed, or inside the test.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use barrelman::{
    app::Running,
    server::health::unready,
    status::{Called, Status},
    store::{DELIVERIES, DeliveryRow, DeliveryState, EVENTS, OUTBOX, Read, Reader, Store},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_barrelman");

/// A data directory, a kubeconfig, a configuration.
pub struct Place {
    pub dir: tempfile::TempDir,
    toml: String,
}

impl Place {
    pub fn new(kubeconfig: &str, toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kubeconfig"), kubeconfig).unwrap();
        let head = format!(
            "{toml}\n[clusters]\nname = \"test\"\nkubeconfig = [{:?}]\nin_cluster = false\n[store]\ndir = {:?}\n",
            dir.path().join("kubeconfig"),
            dir.path().join("data"),
        );
        std::fs::create_dir(dir.path().join("data")).unwrap();
        Self { dir, toml: head }
    }

    pub fn with(mut self, connectors: &str) -> Self {
        self.toml.push_str(connectors);
        std::fs::write(self.config(), &self.toml).unwrap();
        self
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The engine inside this process.
    pub async fn run(&self) -> Running {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = super::rig::settings(&self.toml, &self.data());
        Running::start(settings, "forward", Called::default()).await.unwrap()
    }

    /// The program as another process.
    pub fn spawn(&self) -> Forwarder {
        self.spawn_with(&[])
    }

    /// The same with further arguments.
    pub fn spawn_with(&self, args: &[&str]) -> Forwarder {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        let mut command = self.command(&[&["forward"], args].concat());
        Forwarder(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// The same where a write beyond the limit on a file's size is an error, as on a full disk, and no signal.
    #[cfg(target_os = "linux")]
    pub fn spawn_limitable(&self) -> Forwarder {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        let mut command =
            self.command_of("sh", &["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM], &["forward"]);
        Forwarder(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(PROGRAM, &[], args)
    }

    fn command_of(&self, program: &str, before: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(before);
        command.args(["--config", self.config().to_str().unwrap(), "--log-level", "debug"]).args(args);
        command.env_clear().env("HOME", self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Ids whose delivery is on disk, and how much waits. Nobody else may hold the store.
    pub fn delivered(&self) -> (BTreeSet<String>, usize) {
        let store = open(&self.data());
        let snapshot = store.snapshot().unwrap();
        let mut ids = BTreeSet::new();
        snapshot
            .read_log_back(&DELIVERIES, u64::MAX, &mut |_, row: DeliveryRow| {
                if row.state == DeliveryState::Delivered {
                    ids.insert(row.notification.0);
                }
                true
            })
            .unwrap();
        let waiting = snapshot.all(&OUTBOX, "").unwrap().len();
        drop(snapshot);
        store.close();
        (ids, waiting)
    }

    /// How much waits in the outbox of a process that runs.
    pub fn waiting(&self) -> usize {
        let reader = Reader::open(&self.data()).unwrap();
        reader.snapshot().unwrap().all(&OUTBOX, "").unwrap().len()
    }

    pub fn events(&self) -> Vec<barrelman::event::Event> {
        let store = open(&self.data());
        let events = events(&store);
        store.close();
        events
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir).unwrap_or_else(|e| panic!("{e}"))
}

pub fn events(store: &Store) -> Vec<barrelman::event::Event> {
    let mut found = Vec::new();
    store
        .snapshot()
        .unwrap()
        .read_log_back(&EVENTS, u64::MAX, &mut |_, event| {
            found.push(event);
            true
        })
        .unwrap();
    found.reverse();
    found
}

/// A running child.
pub struct Forwarder(Child);

impl Forwarder {
    /// How large a file it may write: `1`, as good as a full disk, or `unlimited`.
    #[cfg(target_os = "linux")]
    pub fn limit_files(&self, bytes: &str) {
        let done = Command::new("prlimit")
            .args(["--pid", &self.0.id().to_string(), &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(done.unwrap().success());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// `-STOP`, `-CONT`, …
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.0.wait().unwrap().code()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so.
pub async fn until(what: &str, secs: u64, mut so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(secs);
    while !so() {
        assert!(tokio::time::Instant::now() < end, "not within {secs} s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until everything is listed and watched.
pub async fn ready(running: &Running) {
    until("ready", 30, || unready(&running.status.borrow()).is_empty()).await;
}

pub fn shown(running: &Running) -> Status {
    (**running.status.borrow()).clone()
}

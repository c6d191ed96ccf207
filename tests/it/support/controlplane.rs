//! A real control plane for one test: brought up in a directory of its own, taken down when dropped.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// One at a time: tests run side by side, and what they measure is time.
static BUSY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// A running cluster.
pub struct ControlPlane {
    dir: tempfile::TempDir,
    bin: PathBuf,
    kubeconfig: PathBuf,
    up: Instant,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/controlplane")
}

/// Where `controlplane build` keeps its binaries, if it has run.
fn binaries() -> Option<PathBuf> {
    let cache = std::env::var_os("CONTROLPLANE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache/controlplane")))?;
    let mut versions: Vec<PathBuf> = std::fs::read_dir(cache).ok()?.flatten().map(|e| e.path()).collect();
    versions.retain(|v| v.join("kube-apiserver").exists() && v.join("kubectl").exists());
    versions.sort();
    versions.pop()
}

impl ControlPlane {
    /// Brings one up; `None`, saying so, where it has not been built.
    pub fn up(nodes: u32) -> Option<Self> {
        let Some(bin) = binaries() else {
            let why = "`tests/controlplane/controlplane build` has not run on this machine";
            assert!(std::env::var_os("BARRELMAN_REQUIRE_CONTROLPLANE").is_none(), "{why}");
            eprintln!("skipped: {why}");
            return None;
        };
        let busy = BUSY.0.lock().unwrap_or_else(PoisonError::into_inner);
        *BUSY.1.wait_while(busy, |busy| *busy).unwrap_or_else(PoisonError::into_inner) = true;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let kubeconfig = dir.path().join("c/kubeconfig");
        // From here on dropping takes it down, also when it came up by half.
        let mut me = Self { dir, bin, kubeconfig, up: Instant::now() };
        me.control("up", &["--nodes", &nodes.to_string()]);
        me.up = Instant::now();
        Some(me)
    }

    /// Waits until a node that fails is no longer taken for one that is just starting.
    pub fn nodes_are_old(&self) {
        std::thread::sleep(Duration::from_secs(17).saturating_sub(self.up.elapsed()));
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// `controlplane COMMAND DIR ARGS…`
    pub fn control(&self, command: &str, args: &[&str]) {
        let out = Command::new(script()).arg(command).arg(self.dir.path().join("c")).args(args).output();
        let out = out.expect("bash is there");
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// Runs kubectl; answers what it printed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let out = Command::new(self.bin.join("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .output()
            .expect("kubectl is there");
        assert!(out.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Applies YAML.
    pub fn apply(&self, yaml: &str) {
        let file = tempfile::NamedTempFile::new_in(self.dir.path()).expect("a writable directory");
        std::fs::write(file.path(), yaml).expect("a writable file");
        self.kubectl(&["apply", "-f", &file.path().display().to_string()]);
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("down").arg(self.dir.path().join("c")).output();
        *BUSY.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        BUSY.1.notify_one();
    }
}

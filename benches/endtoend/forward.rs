//! `barrelman forward` as a process of its own, and what the kernel and its metrics say about it.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A running forwarder with one webhook that takes every event.
pub struct Forward {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Forward {
    pub fn start(kubeconfig: &str, url: &str) -> Self {
        // On the disk of the build, because a temporary directory may be in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let connector = format!(
            "[[connectors]]\nname = \"bench\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = \"{url}\"\n\
             events = [\"all\"]\ndeliver = \"events\"\n"
        );
        let (config, kubeconfig) = (file("config.toml", &connector), file("kubeconfig", kubeconfig));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let log = fs::File::create(dir.path().join("log")).expect("a file");
        // Another build, for comparison.
        let program =
            std::env::var("BARRELMAN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_barrelman").to_owned());
        let child = Command::new(program)
            .args(["forward", "--log-level", "warn", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--config")
            .arg(config)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .env_clear()
            .env("HOME", dir.path())
            .envs(std::env::var_os("MALLOC_ARENA_MAX").map(|v| ("MALLOC_ARENA_MAX", v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("barrelman starts");
        Forward { child, port, dir }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until so many objects are held and everything is live.
    pub fn synced(&mut self, objects: u64) -> Duration {
        let started = Instant::now();
        while self.metric("ready") < 1.0 || self.metric("objects") < objects as f64 {
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(matches!(self.child.try_wait(), Ok(None)), "barrelman ended: {}", log());
            assert!(started.elapsed() < Duration::from_mins(2), "not ready within 120 s: {}", log());
            sleep(Duration::from_millis(100));
        }
        started.elapsed()
    }

    /// The sum of a metric's rows; 0 while there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let Some(page) = get(self.port, "/metrics") else { return 0.0 };
        let (plain, total) = (format!("barrelman_{name}"), format!("barrelman_{name}_total"));
        let value = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            let key = key.split('{').next()?;
            (key == plain || key == total).then(|| value.parse::<f64>().ok())?
        };
        page.lines().filter_map(value).sum()
    }

    /// Bytes of the store's file.
    pub fn store_bytes(&self) -> u64 {
        let file = self.dir.path().join("data/barrelman.redb");
        fs::metadata(file).map_or(0, |m| m.len())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain GET of loopback.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let mut piece = [0_u8; 16 * 1024];
    loop {
        // The sink keeps connections open: what it announced is enough.
        if let Some(text) = complete(&answer) {
            return Some(text);
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return complete(&answer),
            Ok(n) => answer.extend_from_slice(&piece[..n]),
        }
    }
}

fn complete(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    (body.len() >= length?).then(|| body.to_owned())
}

/// What a process has used so far, from `/proc`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Seconds of processor time.
    pub cpu: f64,
    /// Resident now, MiB.
    pub rss: f64,
    /// Of that, memory of its own: without the pages of the program's file.
    pub own: f64,
    /// The most that was ever resident, MiB.
    pub peak: f64,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        let dir = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(dir.join("status")).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name));
            let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        let stat = fs::read_to_string(dir.join("stat")).unwrap_or_default();
        // After the name in brackets; times are the 14th and 15th field, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        Usage {
            cpu: (ticks(14) + ticks(15)) / 100.0,
            rss: mib("VmRSS:"),
            own: mib("RssAnon:"),
            peak: mib("VmHWM:"),
        }
    }
}

//! Rows and child processes for the tests of the store.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use barrelman::{
    event::Event,
    store::{EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, Result, Tx, keys},
};
use serde_json::json;

/// What a child is told to do, and where.
pub const ROLE: &str = "BARRELMAN_TEST_ROLE";
pub const DIR: &str = "BARRELMAN_TEST_DIR";

/// An event about pod `name`, with a description of `size` bytes.
pub fn event(name: &str, size: usize) -> Event {
    let at = "2026-01-02T03:04:05Z";
    serde_json::from_value(json!({
        "id": barrelman::event::digest("test", &[name]), "fingerprint": name, "event_type": "pod_crash_loop",
        "severity": "high", "status": "firing", "role": "opens", "timestamp": at, "observed_at": at,
        "cluster": "prod", "cluster_uid": "c1",
        "object": {"kind": "Pod", "namespace": "shop", "name": name, "uid": "u"},
        "subject": {"kind": "Deployment", "namespace": "shop", "name": "web"},
        "title": name, "description": "x".repeat(size), "count": 1, "first_seen": at, "last_seen": at,
    }))
    .unwrap()
}

/// Stores it with its indices.
pub fn put_event(tx: &Tx<'_>, event: &Event) -> Result<u64> {
    let seq = tx.append(&EVENTS, event)?;
    tx.put(&EVENT_IDS, event.id.as_str(), &seq)?;
    for key in keys::events_by_object(event, seq) {
        tx.put(&EVENTS_BY_OBJECT, &key, &())?;
    }
    Ok(seq)
}

/// A process of this same binary that plays a role (`store_crash::child`), and the lines that it says.
pub struct Other {
    pub process: Child,
    pub lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Other {
    pub fn start(role: &str, dir: &Path) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), role, dir)
    }

    /// The same through another program (a shell that sets limits).
    pub fn run(mut command: Command, role: &str, dir: &Path) -> Self {
        let mut process = command
            .args(["--exact", "store_crash::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits for a line of ours (the test harness says others), and answers what follows the mark.
    pub fn said(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(std::result::Result::ok)
            .find_map(|line| line.split_once("child: ").map(|(_, rest)| rest.to_owned()))
    }

    /// SIGKILL; answers what it had said and nobody had read.
    pub fn kill(&mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.said()).collect()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

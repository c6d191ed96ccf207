//! The watches of a test, on a thread of their own as in the program, and what they said.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use barrelman::{
    config::{ClusterSettings, WatchSettings},
    event::{ClusterUid, Kind},
    object::{Object, Said},
    status::{ClusterStatus, StreamStatus},
    watch::{self, Board, Handle, Links, Options},
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The clock of tests against real servers.
#[allow(clippy::disallowed_methods, reason = "tests against real servers live in real time")]
pub fn clock() -> Timestamp {
    Timestamp::now()
}

pub fn settings(kinds: &[Kind]) -> WatchSettings {
    WatchSettings {
        namespaces: Vec::new(),
        selector: None,
        insisted: std::collections::BTreeSet::new(),
        kinds: kinds.iter().copied().collect::<BTreeSet<_>>(),
        poll_interval: Duration::from_secs(2),
        metrics_interval: Duration::from_mins(1),
        watch_timeout: Duration::from_secs(20),
    }
}

pub fn options(kubeconfig: PathBuf, watch: WatchSettings) -> Options {
    Options {
        clusters: ClusterSettings {
            name: None,
            kubeconfig: vec![kubeconfig],
            contexts: Vec::new(),
            in_cluster: Some(false),
        },
        watch,
        hash_key: [7; 32],
        known_uids: BTreeMap::<String, ClusterUid>::new(),
        clock,
        stored: None,
    }
}

/// A running watch side.
pub struct Watching {
    pub board: Board,
    pub handle: Handle,
    pub said: Vec<Said>,
    receiver: mpsc::Receiver<watch::Batch>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<Result<(), watch::RunError>>>,
}

impl Watching {
    pub fn start(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (out, receiver) = mpsc::channel(watch::CHANNEL);
        let (handle, questions) = watch::handle();
        let (board, cancel) = (Board::default(), CancellationToken::new());
        let links = Links { out, board: board.clone(), questions, cancel: cancel.clone() };
        let thread = Some(std::thread::spawn(move || watch::run(options, links)));
        Self { board, handle, said: Vec::new(), receiver, cancel, thread }
    }

    /// Reads until something was said, counting from the first word ever said; answers its place.
    pub fn until(&mut self, what: &str, found: impl Fn(&Said) -> bool) -> usize {
        self.until_from(0, what, found)
    }

    /// The same, from a place on.
    pub fn until_from(&mut self, from: usize, what: &str, found: impl Fn(&Said) -> bool) -> usize {
        let give_up = Instant::now() + Duration::from_secs(20);
        let mut at = from;
        loop {
            while let Some(said) = self.said.get(at) {
                if found(said) {
                    return at;
                }
                at += 1;
            }
            match self.receiver.try_recv() {
                Ok(batch) => self.said.extend(batch),
                Err(_) if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(5)),
                Err(_) => panic!("never said: {what}\nstreams: {:#?}", self.board.snapshot()),
            }
        }
    }

    /// Reads until the board shows something.
    pub fn until_shown(&mut self, what: &str, found: impl Fn(&ClusterStatus) -> bool) -> ClusterStatus {
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            while let Ok(batch) = self.receiver.try_recv() {
                self.said.extend(batch);
            }
            let shown = self.board.snapshot();
            if let Some(cluster) = shown.iter().find(|c| found(c)) {
                return cluster.clone();
            }
            assert!(Instant::now() < give_up, "never shown: {what}\n{shown:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it and answers everything it said.
    pub fn stop(mut self) -> Vec<Said> {
        self.cancel.cancel();
        let thread = self.thread.take().expect("it was started");
        thread.join().expect("no panic").expect("an ordinary end");
        while let Ok(batch) = self.receiver.try_recv() {
            self.said.extend(batch);
        }
        std::mem::take(&mut self.said)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.cancel.cancel();
        // The channel may be full: without a reader the thread would never see the token.
        self.receiver.close();
    }
}

pub fn stream(status: &ClusterStatus, kind: Kind) -> &StreamStatus {
    status
        .streams
        .iter()
        .find(|s| s.kind == kind)
        .unwrap_or_else(|| panic!("no stream of {kind}: {status:#?}"))
}

/// The object that a word is about, if it has one that exists.
pub fn state(said: &Said) -> Option<&Object> {
    match said {
        Said::Listed(_, object) | Said::Applied(_, object) => Some(object),
        _ => None,
    }
}

pub fn applied<'a>(said: &'a Said, kind: Kind, name: &str) -> Option<&'a Object> {
    match said {
        Said::Applied(_, object) if object.kind == kind && object.meta.name == *name => Some(object),
        _ => None,
    }
}

pub fn listed(said: &Said, kind: Kind, name: &str) -> bool {
    matches!(said, Said::Listed(_, object) if object.kind == kind && object.meta.name == *name)
}

pub fn deleted(said: &Said, kind: Kind, name: &str) -> bool {
    matches!(said, Said::Deleted(_, object) if object.kind == kind && object.meta.name == *name)
}

pub fn list_ended(said: &Said, kind: Kind) -> bool {
    matches!(said, Said::ListEnd(stream) if stream.kind == kind)
}

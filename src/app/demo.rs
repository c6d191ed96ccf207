//! `barrelman demo`: the engine on a simulated cluster, with a local receiver. Nothing of it outlives the process.

use std::{collections::BTreeMap, io::Write, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use serde_json::json;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::{
    engine::{Running, now},
    outward,
    tasks::Tasks,
};
use crate::{
    cli::{Demo, Exit},
    config::{self, ConnectorSpec, Flags, Origin, Settings, Sources},
    demo::{
        Cluster, Options,
        scenario::Player,
        sink::{Mood, Sink},
    },
    feed::Feed,
    status::Called,
};

/// How the flaky receiver goes through its day: well, failing, throttling.
const MOODS: [(Option<Mood>, Duration); 4] = [
    (None, Duration::from_mins(1)),
    (Some(Mood::Fail(503)), Duration::from_secs(40)),
    (None, Duration::from_mins(1)),
    (Some(Mood::Throttle(15)), Duration::from_secs(45)),
];

/// Changes that the simulated API server remembers per resource. Each holds a whole object: ten thousand of each would
/// be hundreds of megabytes after a day, and the one client there is never more than a moment behind.
const HISTORY: usize = 100;

/// Requests that the receiver keeps: nobody looks at them.
const RECEIVED: usize = 200;

/// The simulated world and where it keeps its files.
pub struct Stage {
    /// The engine's settings.
    pub settings: Settings,
    /// Server, script and receiver.
    pub tasks: Tasks,
    /// Ends them.
    pub stop: CancellationToken,
    // Removed with everything in it when the demo ends.
    _dir: TempDir,
}

/// A directory that is removed with its content when it is dropped.
struct TempDir(std::path::PathBuf);

impl TempDir {
    fn new() -> Result<Self> {
        let name = format!("barrelman-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sets the stage: a cluster, its day, a receiver, and settings that lead to both.
pub async fn stage(args: &Demo) -> Result<Stage> {
    let dir = TempDir::new()?;
    let (mut tasks, stop) = (Tasks::default(), CancellationToken::new());
    let cluster = Cluster::new(Options {
        name: "demo".into(),
        history: HISTORY,
        ..Options::new(args.seed, Arc::new(now))
    });
    let server = cluster.serve().await.context("cannot serve the simulated cluster on loopback")?;
    let kubeconfig = dir.0.join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig())?;
    let sink = Sink::keeping(RECEIVED, Arc::new(now));
    let receiver = sink.serve().await.context("cannot serve the receiver on loopback")?;
    let settings = settings(&dir.0, &kubeconfig, &receiver.url())?;
    let token = stop.clone();
    tasks.start("simulated cluster", async move { server.run(token).await.map_err(|e| e.to_string()) });
    let token = stop.clone();
    tasks.start("receiver", async move { receiver.run(token).await.map_err(|e| e.to_string()) });
    // Healthy for a moment before the day begins, so that the first look finds a quiet cluster.
    let mut player = Player::demo(cluster, now(), args.speed);
    player.advance(now()).map_err(|e| anyhow!("{e}"))?;
    tasks.run("script", player.run(stop.clone()));
    let token = stop.clone();
    tasks.run("moods", async move {
        tokio::select! { () = moods(sink) => {}, () = token.cancelled() => {} }
    });
    Ok(Stage { settings, tasks, stop, _dir: dir })
}

async fn moods(sink: Sink) {
    const FLAKY: &str = "/hook/flaky";
    sink.set_mood(Some("/hook/revoked"), Mood::Fail(401), None);
    loop {
        for (mood, time) in MOODS {
            if let Some(mood) = mood {
                sink.set_mood(Some(FLAKY), mood, None);
            }
            tokio::time::sleep(time).await;
            sink.recover_on(FLAKY);
        }
    }
}

fn settings(dir: &Path, kubeconfig: &Path, receiver: &str) -> Result<Settings> {
    let flags = Flags {
        kubeconfig: Some(kubeconfig.to_owned()),
        data_dir: Some(dir.join("data")),
        name: Some("demo".to_owned()),
        ..Flags::default()
    };
    let sources = Sources { file: None, env: BTreeMap::default(), flags, default_data_dir: dir.join("data") };
    let mut settings = config::resolve(&sources).map_err(|e| anyhow!("{e}"))?.settings;
    let spec = |name: &str, kind: &str, config: serde_json::Value| ConnectorSpec {
        name: name.to_owned(),
        kind: kind.to_owned(),
        enabled: true,
        config: config.as_object().cloned().unwrap_or_default(),
        origin: Origin::File,
    };
    settings.connectors = vec![
        spec("on-call", "webhook", json!({"url": format!("{receiver}/hook/on-call")})),
        spec("team-chat", "slack", json!({"webhook_url": format!("{receiver}/slack"), "severity": "high"})),
        spec("changes", "webhook", json!({"url": format!("{receiver}/hook/changes"), "events": ["change"]})),
        spec("timeline", "painchain", json!({"api_url": receiver})),
        spec("flaky", "webhook", json!({"url": format!("{receiver}/hook/flaky")})),
        spec(
            "revoked",
            "webhook",
            json!({"url": format!("{receiver}/hook/revoked"), "severity": "critical"}),
        ),
    ];
    Ok(settings)
}

/// `--headless`: prints events, incidents and deliveries as they happen, until interrupted or for the given time.
pub async fn headless(args: &Demo) -> Result<Exit> {
    let stage = stage(args).await?;
    let mut running = Running::start(stage.settings.clone(), "demo", Called::default()).await?;
    outward::serve(&mut running, &stage.settings).await?;
    let mut feed = running.feed.subscribe();
    let end =
        args.duration_secs.map_or(Duration::MAX, |secs| Duration::from_secs_f64(secs as f64 / args.speed));
    let result = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(Exit::Ok),
        () = sleep(end) => Ok(Exit::Ok),
        printed = print(&mut feed) => printed.map(|()| Exit::Ok),
        command = running.next() => command.map(|_| Exit::Ok),
    };
    stage.stop.cancel();
    running.stop().await;
    result
}

async fn sleep(time: Duration) {
    if time == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(time).await;
}

async fn print(feed: &mut broadcast::Receiver<Feed>) -> Result<()> {
    loop {
        let line = match feed.recv().await {
            Ok(Feed::Event { event, .. }) => json!({"event": event}),
            Ok(Feed::Incident { incident }) => json!({"incident": incident}),
            Ok(Feed::Delivery { delivery, .. }) => json!({"delivery": delivery}),
            Ok(Feed::Gap { gap }) => json!({"gap": gap}),
            Ok(Feed::Status { .. } | Feed::Engine { .. } | Feed::Silent { .. } | Feed::Lagged { .. }) => {
                continue;
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => json!({"lagged": missed}),
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        };
        // Whoever read has enough.
        if writeln!(std::io::stdout().lock(), "{line}").is_err() {
            return Ok(());
        }
    }
}

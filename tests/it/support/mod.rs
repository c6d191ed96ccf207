//! What several files of tests share.

pub mod bench;
pub mod cli;
pub mod connectors;
pub mod controlplane;
pub mod forward;
pub mod process;
pub mod rig;
pub mod watching;

use std::sync::Arc;
use std::time::Duration;

use barrelman::demo::{Cluster, Options};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A simulated cluster that is being served, until it is dropped.
pub struct Served {
    pub cluster: Cluster,
    pub kubeconfig: String,
    pub url: String,
    pub client: kube::Client,
    tasks: JoinSet<std::io::Result<()>>,
}

/// The time that tests' clusters start at.
pub fn noon() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().expect("a time")
}

pub fn options(seed: u64) -> Options {
    Options { bookmark_every: Duration::from_millis(200), ..Options::new(seed, Arc::new(noon)) }
}

/// Serves a cluster and connects an ordinary kube client.
pub async fn serve(cluster: &Cluster) -> Served {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = cluster.serve().await.expect("a free port");
    let (kubeconfig, url) = (server.kubeconfig(), server.url());
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(CancellationToken::new()));
    let client = client(&kubeconfig).await;
    Served { cluster: cluster.clone(), kubeconfig, url, client, tasks }
}

impl Served {
    /// Stops serving and breaks every connection.
    pub async fn shut_down(mut self) {
        self.tasks.shutdown().await;
    }
}

pub async fn client(kubeconfig: &str) -> kube::Client {
    let parsed = kube::config::Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(parsed, &options).await.expect("a usable kubeconfig");
    kube::Client::try_from(config).expect("a client")
}

/// Waits for a future, but never for long.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}
pub mod sink;

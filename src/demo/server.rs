//! The simulated API server's life: a port on loopback, served until it is told to stop.
//!
//! The caller owns the task: `Server::run` is a future. Dropping it breaks every connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::http;
use super::net::{Gate, Listener};

/// A bound port of a cluster; serves while `run` is polled.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    tcp: TcpListener,
    addr: SocketAddr,
}

impl Cluster {
    /// Binds a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where the port cannot be bound.
    pub async fn serve(&self) -> io::Result<Server> {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let addr = tcp.local_addr()?;
        Ok(Server { cluster: self.clone(), tcp, addr })
    }
}

struct KillOnDrop(Arc<Gate>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.set_listening(false);
        self.0.kill_open();
    }
}

impl Server {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A kubeconfig with one context, named as the cluster, that leads here without TLS.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with("http", "")
    }

    /// The same over TLS; `ca_pem` is the certificate authority that clients shall trust.
    pub fn kubeconfig_tls(&self, ca_pem: &str) -> String {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
        self.kubeconfig_with("https", &format!("\n    certificate-authority-data: {ca}"))
    }

    fn kubeconfig_with(&self, scheme: &str, ca: &str) -> String {
        let name = &self.cluster.inner.options.name;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    \
             server: {scheme}://{}{ca}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n    \
             namespace: default\nusers:\n- name: {name}\n  user:\n    token: simulated\n",
            self.addr
        )
    }

    /// Serves until the token is cancelled. While the gate is stopped the port is closed; it is bound again when
    /// the gate starts.
    ///
    /// # Errors
    /// Where the port could not be bound again within 10 s.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<()> {
        let gate = Arc::clone(&self.cluster.inner.gate);
        let guard = KillOnDrop(Arc::clone(&gate));
        let router = http::router(self.cluster.clone());
        let mut tcp = Some(self.tcp);
        loop {
            let listening = match tcp.take() {
                Some(tcp) => tcp,
                None => bind_again(self.addr).await?,
            };
            gate.set_listening(true);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = gate.until_wanted(false) => {}
                () = serve(listening, Arc::clone(&gate), router.clone()) => {}
            }
            // Connections that were accepted while it stopped.
            gate.reset_connections();
            gate.set_listening(false);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = gate.until_wanted(true) => {}
            }
        }
        drop(guard);
        Ok(())
    }
}

async fn serve(tcp: TcpListener, gate: Arc<Gate>, router: Router) {
    // axum's serve never returns an error: accepting goes on.
    let _ = axum::serve(Listener { tcp, gate }, router).await;
}

async fn bind_again(addr: SocketAddr) -> io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(addr).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) if tries >= 200 => return Err(error),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

//! Connections of the simulated API server, and how they break.
//!
//! The gate stalls, resets and closes connections from outside; `Io` obeys it under axum. A TLS configuration can
//! be put in at any time and holds for new connections. Never looks at what is sent.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Breaks connections.
#[derive(Debug)]
pub struct Gate {
    /// Connections with a smaller number are silent.
    silent_below: AtomicU64,
    next: AtomicU64,
    reset: AtomicBool,
    kill: Mutex<CancellationToken>,
    wakers: Mutex<Vec<Waker>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    wanted: watch::Sender<bool>,
    listening: watch::Sender<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    pub(super) fn new() -> Self {
        Gate {
            silent_below: AtomicU64::new(0),
            next: AtomicU64::new(1),
            reset: AtomicBool::new(false),
            kill: Mutex::default(),
            wakers: Mutex::default(),
            tls: Mutex::default(),
            wanted: watch::Sender::new(true),
            listening: watch::Sender::new(false),
        }
    }

    /// Every connection, new ones too, stays open and says nothing (half-open) until `resume`.
    pub fn stall(&self) {
        self.silent_below.store(u64::MAX, Ordering::SeqCst);
    }

    /// The connections of now say nothing any more; new ones work.
    pub fn stall_open(&self) {
        self.silent_below.store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Ends a stall; what was held back is sent.
    pub fn resume(&self) {
        self.silent_below.store(0, Ordering::SeqCst);
        for waker in lock(&self.wakers).drain(..) {
            waker.wake();
        }
    }

    /// Resets every open connection (RST).
    pub fn reset_connections(&self) {
        self.reset.store(true, Ordering::SeqCst);
        self.kill_open();
    }

    /// Closes every open connection (FIN, without an end of the reply).
    pub fn close_connections(&self) {
        self.reset.store(false, Ordering::SeqCst);
        self.kill_open();
    }

    /// Speaks TLS (or no TLS again) on new connections.
    pub fn set_tls(&self, config: Option<Arc<ServerConfig>>) {
        *lock(&self.tls) = config;
    }

    /// Whether new connections get TLS.
    pub fn has_tls(&self) -> bool {
        lock(&self.tls).is_some()
    }

    /// Becomes unreachable: connections are refused and open ones reset. Answers when the port is closed.
    pub async fn stop(&self) {
        self.wanted.send_replace(false);
        self.reset_connections();
        let _ = self.listening.subscribe().wait_for(|up| !up).await;
    }

    /// Comes back on the same port. Answers when the port is open.
    pub async fn start(&self) {
        self.wanted.send_replace(true);
        let _ = self.listening.subscribe().wait_for(|up| *up).await;
    }

    pub(super) async fn until_wanted(&self, up: bool) {
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted == up).await;
    }

    pub(super) fn set_listening(&self, up: bool) {
        self.listening.send_replace(up);
    }

    pub(super) fn kill_open(&self) {
        let old = std::mem::take(&mut *lock(&self.kill));
        old.cancel();
    }

    fn is_silent(&self, number: u64, waker: &Waker) -> bool {
        if number >= self.silent_below.load(Ordering::SeqCst) {
            return false;
        }
        let mut wakers = lock(&self.wakers);
        if !wakers.iter().any(|w| w.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        // Asked again under the lock, so that a `resume` in between is not missed.
        number < self.silent_below.load(Ordering::SeqCst)
    }
}

/// Accepts connections that the gate can break.
pub(super) struct Listener {
    pub tcp: TcpListener,
    pub gate: Arc<Gate>,
}

impl axum::serve::Listener for Listener {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok((stream, addr)) => return (Io::new(stream, &self.gate), addr),
                // Out of file descriptors: a pause, as axum's own listener does.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

enum Stream {
    Plain(TcpStream),
    Handshake(Box<tokio_rustls::Accept<TcpStream>>),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// One connection.
pub(super) struct Io {
    stream: Stream,
    number: u64,
    gate: Arc<Gate>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Io {
    fn new(stream: TcpStream, gate: &Arc<Gate>) -> Self {
        let _ = stream.set_nodelay(true);
        let stream = match lock(&gate.tls).clone() {
            Some(config) => Stream::Handshake(Box::new(TlsAcceptor::from(config).accept(stream))),
            None => Stream::Plain(stream),
        };
        Io {
            stream,
            number: gate.next.fetch_add(1, Ordering::SeqCst),
            killed: Box::pin(lock(&gate.kill).clone().cancelled_owned()),
            gate: Arc::clone(gate),
        }
    }

    /// Ready with an error when the connection is to break, pending while it is silent or shakes hands.
    fn poll_usable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.killed.as_mut().poll(cx).is_ready() {
            if self.gate.reset.load(Ordering::SeqCst) {
                let tcp = match &self.stream {
                    Stream::Plain(tcp) => Some(tcp),
                    Stream::Tls(tls) => Some(tls.get_ref().0),
                    Stream::Handshake(accept) => accept.get_ref(),
                };
                let _ = tcp.map(TcpStream::set_zero_linger);
            }
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.gate.is_silent(self.number, cx.waker()) {
            return Poll::Pending;
        }
        if let Stream::Handshake(accept) = &mut self.stream {
            let tls = std::task::ready!(Pin::new(accept.as_mut()).poll(cx))?;
            self.stream = Stream::Tls(Box::new(tls));
        }
        Poll::Ready(Ok(()))
    }
}

macro_rules! forward {
    ($self:ident, $cx:ident, $stream:ident => $call:expr) => {{
        std::task::ready!($self.poll_usable($cx))?;
        match &mut $self.stream {
            Stream::Plain(tcp) => {
                let $stream = Pin::new(tcp);
                $call
            }
            Stream::Tls(tls) => {
                let $stream = Pin::new(tls.as_mut());
                $call
            }
            Stream::Handshake(_) => Poll::Pending,
        }
    }};
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, cx, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, cx, stream => stream.poll_write(cx, buf))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, cx, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, cx, stream => stream.poll_shutdown(cx))
    }
}

//! What strangers may hold of the HTTP port: so many connections, each for so long. Used by `http`; without it, requests
//! that never end would take the file descriptors that deliveries and watches need.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A kubelet and a few Prometheus servers hold a handful.
pub(super) const MOST: usize = 64;
/// For a whole request, and between two of them. A scraper that comes less often connects anew.
pub(super) const IDLE: Duration = Duration::from_secs(15);
/// Out of file descriptors, mostly: others may end meanwhile.
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// A listener whose connections are few and end by themselves. At the most, the oldest goes for the newest: whoever
/// fills it with connections that say nothing loses those.
#[derive(Debug)]
pub(super) struct Guarded {
    listener: TcpListener,
    open: VecDeque<(Weak<()>, CancellationToken)>,
    most: usize,
    idle: Duration,
}

impl Guarded {
    pub(super) fn new(listener: TcpListener, most: usize, idle: Duration) -> Self {
        Self { listener, open: VecDeque::new(), most, idle }
    }

    fn admit(&mut self, stream: TcpStream) -> Connection {
        self.open.retain(|(alive, _)| alive.strong_count() > 0);
        if self.open.len() >= self.most
            && let Some((_, oldest)) = self.open.pop_front()
        {
            oldest.cancel();
        }
        let (alive, cut) = (Arc::new(()), CancellationToken::new());
        self.open.push_back((Arc::downgrade(&alive), cut.clone()));
        Connection {
            stream,
            idle: self.idle,
            end: Box::pin(tokio::time::sleep(self.idle)),
            cut: Box::pin(cut.cancelled_owned()),
            _alive: alive,
        }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (self.admit(stream), address),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection to the HTTP port");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once its time is over.
pub(super) struct Connection {
    stream: TcpStream,
    idle: Duration,
    end: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _alive: Arc<()>,
}

impl Connection {
    fn over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_ready() || self.end.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.over(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.over(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        // An answer that is taken begins the time anew; bytes of a request do not.
        let end = Instant::now() + self.idle;
        self.end.as_mut().reset(end);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! The engine's side: any number of clients, none of which can slow the engine or the others.

use std::{sync::Arc, time::Duration};

use futures::{
    SinkExt, StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use tokio::{
    net::UnixStream,
    sync::{broadcast, mpsc, oneshot, watch},
};
use tokio_util::{
    codec::{Framed, LinesCodec, LinesCodecError},
    sync::CancellationToken,
};

use super::{Ask, MAX_ASKED, PROTOCOL, Socket, Tell};
use crate::{
    feed::{Action, Feed, Reply},
    server::{Engine, Request},
    status::Status,
};

/// Clients at one time: a few dashboards and commands.
const CLIENTS: usize = 32;
/// Actions of one client under way.
const ASKED: usize = 16;
/// A client that takes nothing for so long is cut off; it comes back and reloads.
const WRITE_FOR: Duration = Duration::from_secs(10);
/// An action that is not answered by the engine within this time is answered here.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// Serves clients until `stop`; then each is let go at once.
pub async fn serve(socket: Socket, engine: Engine, stop: CancellationToken) {
    let mut clients = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = clients.next() => {}
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < CLIENTS => clients.push(client(stream, &engine)),
                Ok((stream, _)) => refuse(stream),
                // Out of file descriptors, mostly: others may end meanwhile.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
        }
    }
}

/// Says why, if the client listens; never waits for it.
fn refuse(stream: UnixStream) {
    let mut lines = Framed::new(stream, LinesCodec::new());
    let _ =
        tell(&mut lines, &Tell::Refused(format!("{CLIENTS} clients are attached already"))).now_or_never();
}

async fn client(stream: UnixStream, engine: &Engine) {
    let Some(feed) = engine.feed.upgrade().map(|feed| feed.subscribe()) else { return };
    let mut client = Connected {
        lines: Framed::new(stream, LinesCodec::new_with_max_length(MAX_ASKED)),
        feed,
        status: engine.status.clone(),
        actions: engine.actions.clone(),
        asked: FuturesUnordered::new(),
    };
    if let Err(why) = client.run().await {
        tracing::debug!(why, "a client has gone");
    }
}

type Lines = Framed<UnixStream, LinesCodec>;

struct Connected {
    lines: Lines,
    feed: broadcast::Receiver<Feed>,
    status: watch::Receiver<Arc<Status>>,
    actions: mpsc::Sender<Request>,
    asked: FuturesUnordered<BoxFuture<'static, Tell>>,
}

impl Connected {
    async fn run(&mut self) -> Result<(), &'static str> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        tell(&mut self.lines, &Tell::Hello { protocol: PROTOCOL, version }).await?;
        self.status.mark_changed();
        let mut status_open = true;
        loop {
            let out = tokio::select! {
                line = self.lines.next() => match self.asked(line)? {
                    Some(answer) => answer,
                    None => continue,
                },
                Some(reply) = self.asked.next() => reply,
                item = self.feed.recv() => match item {
                    // The status comes from its own channel, which has the newest.
                    Ok(Feed::Status { .. }) => continue,
                    Ok(item) => Tell::Feed(item),
                    Err(broadcast::error::RecvError::Lagged(missed)) => Tell::Feed(Feed::Lagged { missed }),
                    Err(broadcast::error::RecvError::Closed) => return Err("the engine has ended"),
                },
                changed = self.status.changed(), if status_open => {
                    status_open = changed.is_ok();
                    Tell::Feed(Feed::Status { status: Arc::clone(&self.status.borrow_and_update()) })
                }
            };
            tell(&mut self.lines, &out).await?;
            if matches!(out, Tell::Refused(_)) {
                return Err("it sent what is no action");
            }
        }
    }

    /// Takes a line in; an answer that needs no waiting is given at once.
    fn asked(&mut self, line: Option<Result<String, LinesCodecError>>) -> Result<Option<Tell>, &'static str> {
        let line = match line {
            Some(Ok(line)) => line,
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                return Ok(Some(Tell::Refused(format!("a line is longer than {MAX_ASKED} bytes"))));
            }
            Some(Err(_)) | None => return Err("it closed the connection"),
        };
        match serde_json::from_str::<Ask>(&line) {
            Ok(Ask { id, .. }) if self.asked.len() >= ASKED => {
                let reply = Reply::Failed(format!("{ASKED} actions are under way: wait for one"));
                Ok(Some(Tell::Reply { id, reply }))
            }
            Ok(Ask { id, action }) => {
                self.asked.push(perform(id, action, self.actions.clone()).boxed());
                Ok(None)
            }
            // The cause does not quote the line, in which there may be a secret.
            Err(e) => Ok(Some(Tell::Refused(format!(
                "a line is no action that this version knows (column {}): use the same version for both",
                e.column()
            )))),
        }
    }
}

async fn perform(id: u64, action: Action, actions: mpsc::Sender<Request>) -> Tell {
    let (answer, wait) = oneshot::channel();
    let asked = async {
        actions.send((action, answer)).await.ok()?;
        wait.await.ok()
    };
    let reply = match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Some(reply)) => reply,
        Ok(None) => Reply::Failed("the engine is stopping".to_owned()),
        Err(_) => Reply::Failed(format!("the engine did not answer within {} s", ANSWER_WITHIN.as_secs())),
    };
    Tell::Reply { id, reply }
}

async fn tell(lines: &mut Lines, what: &Tell) -> Result<(), &'static str> {
    let line = serde_json::to_string(what).map_err(|_| "a line could not be written as JSON")?;
    match tokio::time::timeout(WRITE_FOR, lines.send(line)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("it closed the connection"),
        Err(_) => Err("it takes nothing"),
    }
}

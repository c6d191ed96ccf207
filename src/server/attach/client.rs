//! The other side: what a dashboard or a command does with a running engine.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use futures::{
    SinkExt, StreamExt,
    future::{BoxFuture, FutureExt},
};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
};
use tokio_util::codec::{Framed, LinesCodec};

use super::{Ask, Error, MAX_TOLD, PROTOCOL, Tell, path_in, socket::io};
use crate::{
    feed::{Action, FEED_CAPACITY, Feed, Reply},
    status::Status,
};

/// An engine that has the socket open greets within this time, or does not work.
const GREET_WITHIN: Duration = Duration::from_secs(5);
/// Actions that wait to be sent.
const CALLS: usize = 16;

type Lines = Framed<UnixStream, LinesCodec>;
type Call = (Action, oneshot::Sender<Reply>);

/// A connection, in parts.
pub struct Attached {
    /// For actions.
    pub client: Client,
    /// What is committed, and the status. Whoever takes it too slowly gets `Feed::Lagged`.
    pub feed: mpsc::Receiver<Feed>,
    /// The newest status; the default one until the first has come.
    pub status: watch::Receiver<Arc<Status>>,
    /// Moves everything: poll it as long as the connection is wanted. It ends with the connection, and says why.
    pub driver: BoxFuture<'static, Error>,
}

/// Sends actions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
}

impl Client {
    /// Asks the engine to do something; the driver must be polled meanwhile.
    ///
    /// # Errors
    /// The connection has ended, or there is no answer in time.
    pub async fn call(&self, action: Action, within: Duration) -> Result<Reply, Error> {
        let (answer, wait) = oneshot::channel();
        let asked = async {
            self.calls.send((action, answer)).await.map_err(|_| Error::Gone)?;
            wait.await.map_err(|_| Error::Gone)
        };
        tokio::time::timeout(within, asked).await.map_err(|_| Error::Timeout(within.as_secs()))?
    }
}

/// A connection to an engine that has not greeted yet: one that hangs takes it, and says nothing.
pub struct Knock {
    lines: Lines,
    pid: Option<u32>,
}

/// Knocks at the engine that runs on a data directory; asks nothing of it.
///
/// # Errors
/// None runs there, or the system refuses.
pub async fn knock(dir: &Path) -> Result<Knock, Error> {
    let path = path_in(dir);
    let stream = UnixStream::connect(&path).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            Error::NotRunning(dir.to_owned())
        }
        _ => io(&path, &e),
    })?;
    // The kernel knows whose socket it is, whatever that process does. One of another pid namespace is 0.
    let pid = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok()).filter(|pid| *pid > 0);
    Ok(Knock { lines: Framed::new(stream, LinesCodec::new_with_max_length(MAX_TOLD)), pid })
}

impl Knock {
    /// The process that serves, where the system tells.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Waits until it greets, for ever if it never does. Cancel safe.
    ///
    /// # Errors
    /// It ended, refused, or is of another version.
    pub async fn greeted(&mut self) -> Result<(), Error> {
        match next(&mut self.lines).await? {
            Tell::Hello { protocol: PROTOCOL, .. } => Ok(()),
            Tell::Hello { version, .. } => Err(Error::Version(version)),
            Tell::Refused(why) => Err(Error::Refused(why)),
            Tell::Feed(_) | Tell::Reply { .. } => Err(Error::Version("unknown".to_owned())),
        }
    }

    /// The connection, once it has greeted.
    pub fn attached(self) -> Attached {
        let (calls, asked) = mpsc::channel(CALLS);
        let (feed, read_feed) = mpsc::channel(FEED_CAPACITY);
        let (status, read_status) = watch::channel(Arc::default());
        let lines = self.lines;
        let driver = Driver { lines, asked, feed, missed: 0, status, waiting: HashMap::new(), last: 0 };
        Attached {
            client: Client { calls },
            feed: read_feed,
            status: read_status,
            driver: driver.run().boxed(),
        }
    }
}

/// Connects to the engine that runs on a data directory.
///
/// # Errors
/// None runs there, it hangs, it is of another version, or the system refuses.
pub async fn connect(dir: &Path) -> Result<Attached, Error> {
    let mut knock = knock(dir).await?;
    let greeted = tokio::time::timeout(GREET_WITHIN, knock.greeted()).await;
    greeted.map_err(|_| Error::Silent { secs: GREET_WITHIN.as_secs(), pid: knock.pid })??;
    Ok(knock.attached())
}

/// One action on a connection of its own: for commands.
///
/// # Errors
/// As `connect` and `Client::call`.
pub async fn call(dir: &Path, action: Action, within: Duration) -> Result<Reply, Error> {
    let Attached { client, driver, feed: _feed, .. } = connect(dir).await?;
    tokio::select! {
        // An answer that came with the end of the connection is an answer.
        biased;
        reply = client.call(action, within) => reply,
        error = driver => Err(error),
    }
}

async fn next(lines: &mut Lines) -> Result<Tell, Error> {
    match lines.next().await {
        Some(Ok(line)) => serde_json::from_str(&line).map_err(|_| Error::Version("unknown".to_owned())),
        Some(Err(_)) | None => Err(Error::Gone),
    }
}

struct Driver {
    lines: Lines,
    asked: mpsc::Receiver<Call>,
    feed: mpsc::Sender<Feed>,
    missed: u64,
    status: watch::Sender<Arc<Status>>,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    last: u64,
}

impl Driver {
    async fn run(mut self) -> Error {
        let mut asking = true;
        loop {
            tokio::select! {
                told = next(&mut self.lines) => match told {
                    Ok(told) => if let Some(end) = self.told(told) { return end },
                    Err(error) => return error,
                },
                call = self.asked.recv(), if asking => match call {
                    Some((action, answer)) => if let Err(error) = self.ask(action, answer).await {
                        return error;
                    },
                    // No client is left; the feed may still be read.
                    None => asking = false,
                },
            }
        }
    }

    async fn ask(&mut self, action: Action, answer: oneshot::Sender<Reply>) -> Result<(), Error> {
        self.last += 1;
        // Those who gave up waiting.
        self.waiting.retain(|_, w| !w.is_closed());
        let line = serde_json::to_string(&Ask { id: self.last, action }).map_err(|_| Error::Gone)?;
        self.lines.send(line).await.map_err(|_| Error::Gone)?;
        self.waiting.insert(self.last, answer);
        Ok(())
    }

    fn told(&mut self, told: Tell) -> Option<Error> {
        match told {
            Tell::Feed(item) => {
                if let Feed::Status { status } = &item {
                    self.status.send_replace(Arc::clone(status));
                }
                self.pass(item);
            }
            Tell::Reply { id, reply } => {
                if let Some(answer) = self.waiting.remove(&id) {
                    let _ = answer.send(reply);
                }
            }
            Tell::Refused(why) => return Some(Error::Refused(why)),
            Tell::Hello { .. } => {}
        }
        None
    }

    /// Never waits for the reader of the feed: replies come over the same connection.
    fn pass(&mut self, item: Feed) {
        if self.missed > 0 {
            let missed = self.missed;
            match self.feed.try_send(Feed::Lagged { missed }) {
                Ok(()) => self.missed = 0,
                Err(_) => return self.missed += 1,
            }
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.feed.try_send(item) {
            self.missed += 1;
        }
    }
}

//! The thread of the screen. A key is answered from here, whatever the engine's tasks do at that moment: its own
//! runtime, its own timers, and the priority that the rest of the process steps back from. Called by `dashboard`.

use std::{
    io,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Result, anyhow};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::engine::now;
use crate::tui::{self, Link, Options};

/// A terminal that hangs must not keep the process from ending; drawing the last frame takes milliseconds.
const RESTORED_WITHIN: Duration = Duration::from_secs(2);

/// The thread; it waits for something to show and ends when this is dropped.
pub struct Screens {
    jobs: mpsc::SyncSender<Job>,
}

struct Job {
    link: Link,
    options: Options,
    exit: oneshot::Sender<Result<tui::Exit, tui::Error>>,
    /// Dropped with the job, however it ends: the terminal is restored.
    _restored: mpsc::Sender<()>,
}

impl Screens {
    /// Starts it with the priority of the caller; whatever the caller starts from here on steps back.
    pub fn before_the_rest() -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(1);
        std::thread::Builder::new().name("screen".into()).spawn(move || {
            while let Ok(job) = queue.recv() {
                job.run();
            }
        })?;
        tui::step_back();
        Ok(Self { jobs })
    }

    /// Shows the dashboard. Dropping the answer ends it and restores the terminal first.
    pub fn show(&self, link: Link, options: Options) -> Result<Screen> {
        let (sender, exit) = oneshot::channel();
        let (restored_sender, restored) = mpsc::channel();
        let stop = link.stop.clone();
        self.jobs
            .try_send(Job { link, options, exit: sender, _restored: restored_sender })
            .map_err(|_| anyhow!("the screen is in use, or its thread has ended"))?;
        Ok(Screen { exit, restored, stop })
    }
}

impl Job {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let exit = match runtime {
            Ok(runtime) => runtime.block_on(tui::run(self.link, self.options, Arc::new(now))),
            Err(error) => Err(error.into()),
        };
        // Nobody waits any more where the process ends for another reason.
        let _ = self.exit.send(exit);
    }
}

/// The dashboard while it is shown: a future of how it ended.
pub struct Screen {
    exit: oneshot::Receiver<Result<tui::Exit, tui::Error>>,
    restored: mpsc::Receiver<()>,
    stop: CancellationToken,
}

impl Screen {
    /// Ends it; the terminal is restored when this returns.
    pub async fn end(mut self) -> Result<tui::Exit> {
        self.stop.cancel();
        match tokio::time::timeout(RESTORED_WITHIN, &mut self).await {
            Ok(exit) => exit,
            Err(_) => Err(anyhow!("the terminal does not answer any more")),
        }
    }
}

impl Future for Screen {
    type Output = Result<tui::Exit>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.exit).poll(cx).map(|exit| match exit {
            Ok(exit) => Ok(exit?),
            // Its message was printed when it happened, on a terminal that was restored before.
            Err(_) => Err(anyhow!("the screen panicked")),
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.cancel();
        // Nothing is ever sent: it ends when the job is gone.
        let _ = self.restored.recv_timeout(RESTORED_WITHIN);
    }
}

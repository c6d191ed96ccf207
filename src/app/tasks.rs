//! Every task by name: a task that dies ends the process with its name and cause.

use std::future::Future;

use tokio::task::JoinSet;

/// The tasks of one engine. `app` is the only caller of `spawn`.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
}

impl Tasks {
    /// Starts a task that may fail.
    pub fn start<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Starts a task that ends only when it is told to.
    pub fn run<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(name, async move {
            task.await;
            Ok(())
        });
    }

    /// The next task that ended, if any is left: its name, and why.
    pub async fn ended(&mut self) -> Option<(&'static str, Result<(), String>)> {
        Some(match self.set.join_next().await? {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => ("a cancelled task", Ok(())),
            Err(error) => ("a task", Err(format!("it panicked: {error}"))),
        })
    }

    /// Ends whatever has not ended by itself.
    pub async fn abort(&mut self) {
        self.set.shutdown().await;
    }
}

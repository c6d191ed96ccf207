//! The last lines of containers that died, read from the cluster for dispatch.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::future::BoxFuture;

use crate::{
    dispatch::{Died, LastLines},
    watch::Handle,
};

/// Asks the watches; the handle is another one after they were restarted.
pub struct FromCluster {
    /// Whom to ask.
    pub ask: Arc<Mutex<Handle>>,
    /// `incidents.logs`
    pub wanted: Arc<AtomicBool>,
}

impl LastLines for FromCluster {
    fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    fn read(&self, died: Died) -> BoxFuture<'static, Result<String, String>> {
        let handle = self.ask.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let pod = (died.namespace.as_str(), died.pod.as_str());
            let lines = handle.last_lines(&died.cluster, pod, died.container.as_deref(), died.previous).await;
            lines.map_err(|e| e.to_string())
        })
    }
}

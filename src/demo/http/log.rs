//! A pod's log, whole or followed.
//!
//! Knows `tailLines`, `sinceTime`, `timestamps` and `follow`. A simulated pod has one log for all its containers, so
//! `previous` answers the same. A followed log ends when its pod is deleted.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use tokio::sync::watch;

use super::super::cluster::{Cluster, log_channel};
use super::super::failure::Failure;
use super::super::managed::micros;
use super::{Call, reply};

struct Follower {
    cluster: Cluster,
    namespace: String,
    pod: String,
    timestamps: bool,
    first: String,
    next: u64,
    grown: watch::Receiver<u64>,
    over: bool,
}

pub(super) fn log(call: &Call<'_>) -> Result<Response, Failure> {
    let (namespace, pod) = (call.at.namespace.as_str(), call.at.name.as_str());
    if call.cluster.get("pods", namespace, pod).is_none() {
        return Err(Failure::not_found("pods", pod));
    }
    let grown = call.cluster.subscribe(&log_channel(namespace, pod));
    let (mut lines, next) = call.cluster.log_lines(namespace, pod, 0);
    if let Ok(since) = call.params.text("sinceTime").parse::<Timestamp>() {
        lines.retain(|(at, _)| *at >= since);
    }
    let tail = call.params.number("tailLines")?.map_or(lines.len(), |n| n as usize);
    let lines = lines.split_off(lines.len().saturating_sub(tail));
    let timestamps = call.params.is_true("timestamps");
    let first = join(&lines, timestamps);
    if !call.params.is_true("follow") {
        return Ok(reply(StatusCode::OK, "text/plain", first));
    }
    let follower = Follower {
        cluster: call.cluster.clone(),
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        timestamps,
        first,
        next,
        grown,
        over: false,
    };
    let stream = futures::stream::unfold(follower, |mut follower| async move {
        let chunk = follower.more().await?;
        Some((Ok::<Bytes, std::io::Error>(chunk), follower))
    });
    Ok(reply(StatusCode::OK, "text/plain", Body::from_stream(stream)))
}

impl Follower {
    /// The next lines; `None` when the pod is gone.
    async fn more(&mut self) -> Option<Bytes> {
        loop {
            if !self.first.is_empty() {
                return Some(Bytes::from(std::mem::take(&mut self.first)));
            }
            if self.over {
                return None;
            }
            self.grown.mark_unchanged();
            let (lines, next) = self.cluster.log_lines(&self.namespace, &self.pod, self.next);
            if !lines.is_empty() {
                self.next = next;
                self.first = join(&lines, self.timestamps);
                continue;
            }
            // The channel closes when the pod is deleted.
            tokio::select! {
                changed = self.grown.changed() => self.over = changed.is_err(),
                () = tokio::time::sleep(Duration::from_hours(1)) => self.over = true,
            }
        }
    }
}

fn join(lines: &[(Timestamp, String)], timestamps: bool) -> String {
    let mut text = String::new();
    for (at, line) in lines {
        if timestamps {
            text.push_str(&micros(*at));
            text.push(' ');
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

//! The last lines of the container that died, for the first message about an incident: one question per incident, and
//! no message waits for it longer than a second. Who answers is not known here (`LastLines`).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jiff::{SignedDuration, Timestamp};

use super::{queue::State, worker::Worker};
use crate::{
    connector::{Notification, Rendered, last_lines},
    event::{ClusterUid, EventType, IncidentId, incident::Phase},
    store::OutboxRow,
};

/// A message is held back for so long at most.
const HOLD: Duration = Duration::from_secs(1);
/// Incidents whose lines are remembered: the messages of one storm.
const REMEMBERED: usize = 512;
/// A message that is older waits no longer: what the container says now may be about something else.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// A container that died, or that does not get ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    /// The cluster's uid.
    pub cluster: ClusterUid,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; `None` where the pod has one only, or it is not known.
    pub container: Option<String>,
    /// It runs again: the lines of the one before.
    pub previous: bool,
}

/// Reads containers' logs.
pub trait LastLines: Send + Sync {
    /// Whether lines are wanted at all (`incidents.logs`).
    fn wanted(&self) -> bool;
    /// The last lines as the cluster has them, or why not, in words.
    fn read(&self, died: Died) -> BoxFuture<'static, Result<String, String>>;
}

/// The lines, cleaned and cut, or why there are none.
pub type Found = Result<Arc<[String]>, Arc<str>>;

type Answer = Shared<BoxFuture<'static, Found>>;

/// One question per incident, whoever asks; with the incidents in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Asked {
    by_incident: Mutex<(HashMap<IncidentId, Answer>, VecDeque<IncidentId>)>,
}

impl Asked {
    fn of(&self, source: &dyn LastLines, notification: &Notification) -> Option<Answer> {
        let id = &notification.incident.as_ref()?.id;
        let died = died(notification)?;
        // Plain values, whole at any time.
        let mut asked = self.by_incident.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked.0.get(id) {
            return Some(known.clone());
        }
        let answer = source.read(died).map(|answer| match answer {
            Ok(text) => Ok(last_lines(&text).into()),
            Err(why) => Err(why.into()),
        });
        let answer = answer.boxed().shared();
        asked.0.insert(id.clone(), answer.clone());
        asked.1.push_back(id.clone());
        if asked.1.len() > REMEMBERED
            && let Some(oldest) = asked.1.pop_front()
        {
            asked.0.remove(&oldest);
        }
        Some(answer)
    }
}

/// Whose last lines a message should have.
pub fn died(notification: &Notification) -> Option<Died> {
    if !matches!(notification.phase, Phase::Opened | Phase::Worse | Phase::Reopened) {
        return None;
    }
    let event = &notification.event;
    let detail = |name: &str| event.details.get(name)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let (pod, previous) = match event.event_type {
        EventType::PodCrashLoop | EventType::PodOomRestart | EventType::PodRestarted => {
            (event.object.name.clone(), true)
        }
        EventType::PodFailed | EventType::PodUnready => (event.object.name.clone(), false),
        EventType::JobFailed => (detail("pod")?, false),
        _ => return None,
    };
    Some(Died {
        cluster: event.cluster_uid.clone(),
        namespace: event.object.namespace.clone(),
        pod,
        container: detail("container"),
        previous,
    })
}

/// Puts the lines into the message's details; answers what to note where there are none.
pub(super) fn put(row: &mut OutboxRow, found: Option<&Found>) -> Option<String> {
    match found? {
        Ok(lines) if lines.is_empty() => None,
        Ok(lines) => {
            row.notification.event.details.insert("log_tail".into(), lines.to_vec().into());
            None
        }
        Err(why) => Some(format!("without the container's last lines: {why}")),
    }
}

/// Beside what is noted already.
pub(super) fn note(mut message: Rendered, note: Option<String>) -> Rendered {
    message.note = match (message.note.take(), note) {
        (Some(first), Some(second)) => Some(format!("{first}; {second}")),
        (first, second) => first.or(second),
    };
    message
}

impl Worker {
    /// Holds rows that were just read until their lines are there, or their second is over.
    pub(super) fn hold(&mut self, seqs: &[u64], now: Timestamp) {
        let Some(source) = self.deps.lines.clone().filter(|s| s.wanted() && self.can_send()) else { return };
        for seq in seqs.iter().copied() {
            let Some(entry) = self.queue.get(seq).filter(|e| e.state() == State::Waiting) else { continue };
            let notification = &entry.row.notification;
            if now.duration_since(notification.created_at) > FRESH {
                continue;
            }
            let Some(answer) = self.asked.of(&*source, notification) else { continue };
            self.queue.set(seq, State::Held);
            self.held.push(Box::pin(async move {
                let late = || Err("no answer within 1 s".into());
                (seq, tokio::time::timeout(HOLD, answer).await.unwrap_or_else(|_| late()))
            }));
        }
    }

    /// A row's lines are there, or are not to be had.
    pub(super) fn released(&mut self, seq: u64, found: Found) {
        if let Err(why) = &found {
            self.say_no_lines(why);
        }
        let Some(entry) = self.queue.get_mut(seq).filter(|e| e.state() == State::Held) else { return };
        entry.lines = Some(found);
        self.queue.set(seq, State::Waiting);
    }

    /// Logged when the reason changes: without the right it is the same for every incident.
    fn say_no_lines(&mut self, why: &Arc<str>) {
        if self.no_lines.as_ref() != Some(why) {
            tracing::warn!(connector = %self.name, %why, "messages go without the last lines of the container");
            self.no_lines = Some(Arc::clone(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::samples;

    #[test]
    fn only_containers_that_ran_are_asked_and_only_for_the_first_word() {
        let of = |event_type, phase| died(&samples::notification(event_type, phase, "c"));
        let crash = of(EventType::PodCrashLoop, Phase::Opened).unwrap();
        assert_eq!((crash.pod.as_str(), crash.container.as_deref()), ("my-app-123", Some("app")));
        assert!(crash.previous && !of(EventType::PodFailed, Phase::Opened).unwrap().previous);
        assert_eq!(of(EventType::PodCrashLoop, Phase::Resolved), None);
        assert_eq!(of(EventType::ImagePullFailed, Phase::Opened), None);
        assert_eq!(of(EventType::NodeUnhealthy, Phase::Opened), None);
    }
}

//! Rules: object changes in, drafts of typed events out.
//!
//! Pure and cheap: no clock, no I/O, no state of their own. What a rule must remember is a row that the pipeline
//! stores in the same transaction (`Output::remember`), so that a restart forgets nothing. The pipeline calls them,
//! in order per object. Two shapes cover the catalogue:
//! - a `Condition` judges an object's state: it is in trouble or it is not. The harness in the pipeline waits for the
//!   threshold, notices the transition, waits for the end to hold, and stores both as events.
//! - a `Moment` looks at one change and tells what happened.

mod draft;
pub mod kube_reasons;
mod registry;
// pods and nodes
mod image_pull_failed;
mod node_added;
mod node_cordoned;
mod node_facts;
mod node_scaled_down;
mod node_uncordoned;
mod node_unhealthy;
mod pod_crash_loop;
mod pod_created;
mod pod_deleted;
mod pod_evicted;
mod pod_facts;
mod pod_failed;
mod pod_oom_restart;
mod pod_restarted;
mod pod_start_failed;
mod pod_status_changed;
mod pod_stuck_terminating;
mod pod_unready;
mod pod_unschedulable;
// workloads, config, network, storage, kubernetes events
mod certificate_expiring;
mod config_changed;
mod cron;
mod cronjob_missed;
mod deployment_scaled;
mod endpoint_facts;
mod endpoints_changed;
mod helm_release;
mod hpa_maxed;
mod image_changed;
mod ingress_changed;
mod job_failed;
mod kubernetes_event;
mod namespace_lifecycle;
mod namespace_stuck;
pub mod painchain;
mod painchain_data;
mod pv_failed;
mod pvc_pending;
mod rollout_completed;
mod rollout_started;
mod rollout_stuck;
mod service_changed;
mod service_unavailable;
mod template_diff;
mod workload_blocked;
mod workload_degraded;
pub(crate) mod workload_facts;
mod workload_lifecycle;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use draft::Draft;
pub use registry::{CONDITIONS, MOMENTS};

use crate::{
    event::{EventType, Kind},
    object::{Object, ObjectKey, World},
};

/// How a change came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Seen as it happened.
    Live,
    /// Found by comparing a list with what is stored: it happened while nobody watched.
    Late,
    /// The first sight of a scope: nothing happened, but what is already broken is judged.
    Baseline,
}

/// One object, before and after. Never both `None`.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its place.
    pub key: ObjectKey,
    /// `None`: it is new to us (with `Origin::Live` or `Late` it was created).
    pub before: Option<Arc<Object>>,
    /// `None`: it is gone.
    pub after: Option<Arc<Object>>,
    /// How it is known.
    pub origin: Origin,
}

impl Change {
    /// The newest known state.
    pub fn object(&self) -> &Arc<Object> {
        self.after.as_ref().or(self.before.as_ref()).expect("a change has a side")
    }

    /// Both sides, where both exist and are the same object: a re-creation under the same name is no update.
    pub fn update(&self) -> Option<(&Object, &Object)> {
        let (before, after) = (self.before.as_deref()?, self.after.as_deref()?);
        (before.meta.uid == after.meta.uid).then_some((before, after))
    }

    /// The object that was created: no before, or one of another uid. Not at a baseline.
    pub fn created(&self) -> Option<&Arc<Object>> {
        if self.origin == Origin::Baseline {
            return None;
        }
        let after = self.after.as_ref()?;
        match self.before.as_deref() {
            Some(before) if before.meta.uid == after.meta.uid => None,
            _ => Some(after),
        }
    }

    /// The object that is gone (or was replaced under its name), as it last was.
    pub fn deleted(&self) -> Option<&Arc<Object>> {
        let before = self.before.as_ref()?;
        match self.after.as_deref() {
            Some(after) if after.meta.uid == before.meta.uid => None,
            _ => Some(before),
        }
    }
}

/// Whether a name can stand in a command line as it is: every name that the API server gives an object can.
pub fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// A trouble that is firing now.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// Its type.
    pub event_type: EventType,
    /// Container or condition.
    pub discriminator: String,
    /// When it began, by the cluster's time.
    pub since: Timestamp,
}

/// What a rule may ask.
pub trait Memory {
    /// A value this rule remembered under a key, for this cluster.
    fn recall(&self, rule: &str, key: &str) -> Option<Value>;
    /// What is firing for an object, by any rule.
    fn firing(&self, key: &ObjectKey) -> Vec<Firing>;
    /// Whether the watch of a kind is permitted and live where the object lives.
    fn is_live(&self, kind: Kind, namespace: &str) -> bool;
    /// The last time, from and to, in which the cluster was not seen: its API was away, or nobody watched.
    fn unseen(&self) -> Option<(Timestamp, Timestamp)>;
}

/// The surroundings of a call.
pub struct Context<'a> {
    /// The cluster's configured name.
    pub cluster: &'a str,
    /// The clock, as an argument.
    pub now: Timestamp,
    /// All objects of the cluster, after the change.
    pub world: &'a World,
    /// What was remembered, and what is firing.
    pub memory: &'a dyn Memory,
}

/// One trouble that holds for an object now.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The event, should it fire: type, severity, time and texts. `Draft::at` is when the trouble began in the
    /// cluster.
    pub draft: Draft,
    /// How long the trouble must have held, counted from `draft.at`, before it is told; 0 = at once.
    pub after_secs: u32,
}

/// What a `Condition` says of an object.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Exactly these troubles hold; whatever else is firing from this rule has its end.
    Known(Vec<Finding>),
    /// Nothing can be said (a needed stream is not live): what fires goes on, nothing begins.
    Unknown,
}

impl Verdict {
    /// Nothing is wrong.
    pub const fn healthy() -> Self {
        Self::Known(Vec::new())
    }

    /// One trouble.
    pub fn one(draft: Draft, after_secs: u32) -> Self {
        Self::Known(vec![Finding { draft, after_secs }])
    }

    /// One trouble or none.
    pub fn of(finding: Option<Finding>) -> Self {
        Self::Known(finding.into_iter().collect())
    }
}

/// A rule about a state that begins and ends.
///
/// `judge` sees an object that exists. When an object is gone, everything that fired for it ends at once, without
/// asking. Between changes the harness asks again when a finding's threshold passes, when an end must have held,
/// and at `Output::look_again` times.
pub trait Condition: Send + Sync {
    /// File name = registered name = fixture folder.
    fn name(&self) -> &'static str;
    /// What it can tell.
    fn types(&self) -> &'static [EventType];
    /// The kind that it judges.
    fn kind(&self) -> Kind;
    /// Other objects to judge because of a change of another kind: a Service when its EndpointSlice changes.
    fn also(&self, _change: &Change, _cx: &Context<'_>) -> Vec<ObjectKey> {
        Vec::new()
    }
    /// The kinds for which `also` wants to be asked.
    fn also_on(&self) -> &'static [Kind] {
        &[]
    }
    /// The state of the object. `origin` is `Baseline` at the first sight.
    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict;
}

/// A rule about something that happens.
pub trait Moment: Send + Sync {
    /// File name = registered name = fixture folder.
    fn name(&self) -> &'static str;
    /// What it can tell.
    fn types(&self) -> &'static [EventType];
    /// Whose changes it sees.
    fn kinds(&self) -> &'static [Kind];
    /// Tells what happened. Not called at a baseline.
    fn detect(&self, change: &Change, cx: &Context<'_>, out: &mut Output);
    /// A time it asked for with `Output::call_me` has come.
    fn due(&self, _key: &str, _cx: &Context<'_>, _out: &mut Output) {}
}

/// What a rule wants done, in the transaction of the change.
#[derive(Debug, Default)]
pub struct Output {
    /// Events to store.
    pub drafts: Vec<Draft>,
    /// Moments: call `due` with this key at that time. A later call for the same key replaces the earlier.
    pub dues: Vec<(String, Timestamp)>,
    /// Conditions: judge the same object again at that time, whatever the findings say.
    pub look_again: Vec<Timestamp>,
    /// Rows to remember under this rule's name; `None` forgets. What a Condition remembers of an object has the
    /// object's uid as its key: nobody asks it when the object is gone, so the harness forgets that row then.
    pub memory: Vec<(String, Option<Value>)>,
}

impl Output {
    /// An event happened.
    pub fn tell(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    /// `Moment::due(key)` at that time, over restarts too.
    pub fn call_me(&mut self, key: impl Into<String>, at: Timestamp) {
        self.dues.push((key.into(), at));
    }

    /// Remembers a value, over restarts too.
    pub fn remember(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.memory.push((key.into(), Some(value.into())));
    }

    /// Forgets it.
    pub fn forget(&mut self, key: impl Into<String>) {
        self.memory.push((key.into(), None));
    }
}

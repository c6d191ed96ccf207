//! Faults that tests (and the demo's bad days) inject into the simulated API server, and what it was asked.
//!
//! Rules answer requests wrongly; ends stop watches that are open; the gate of `net` breaks connections. Nothing
//! here touches objects.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::failure::Failure;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Refused with a `Status`.
    Refuse(Failure),
    /// Watch: 200, then an ERROR event in the stream, then the end.
    InBand(Failure),
    /// Watch: 200 and the end at once, as a real server does for stale versions of Events.
    EmptyWatch,
    /// The next line of a watch, or a list's body, ends halfway and the connection breaks.
    CutLine,
    /// The next line of a watch is preceded by, or a list's first item replaced by, something no type can hold.
    Undecodable,
    /// The request is read and never answered.
    Hang,
    /// The answer comes later.
    Delay(Duration),
}

impl Fault {
    /// 410 as the reply.
    pub fn gone() -> Self {
        Fault::Refuse(Failure::new(410, "Expired", "The resourceVersion for the provided watch is too old."))
    }
    /// 410 as an ERROR event of a watch that began with 200.
    pub fn gone_in_band() -> Self {
        Fault::InBand(Failure::new(410, "Expired", "The resourceVersion for the provided watch is too old."))
    }
    /// 429 with Retry-After.
    pub fn too_many(retry_after_secs: u32) -> Self {
        let text = "the server has received too many requests and has asked us to try again later";
        let failure = Failure::new(429, "TooManyRequests", text);
        Fault::Refuse(Failure { retry_after: Some(retry_after_secs), ..failure })
    }
    /// 500
    pub fn internal() -> Self {
        Fault::Refuse(Failure::new(
            500,
            "InternalError",
            "Internal error occurred: etcdserver: leader changed",
        ))
    }
    /// 401
    pub fn unauthorized() -> Self {
        Fault::Refuse(Failure::new(401, "Unauthorized", "Unauthorized"))
    }
    /// 403 of a server that has just started: nobody's roles are known to it yet.
    pub fn forbidden() -> Self {
        let text = "forbidden: User \"system:serviceaccount:barrelman:barrelman\" cannot watch resource: RBAC: not found";
        Fault::Refuse(Failure::new(403, "Forbidden", text))
    }
}

/// Which requests a rule is for.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    verb: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    path: Option<String>,
    skip: u32,
    times: Option<u32>,
    fault: Option<Fault>,
}

impl Rule {
    /// Every request, until cleared.
    pub fn new(fault: Fault) -> Self {
        Rule { fault: Some(fault), ..Rule::default() }
    }
    /// Only `list`, `watch`, `get`, …
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }
    /// Only this resource, by plural name; the empty text means requests for no object (`/readyz`, discovery).
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }
    /// Only this namespace; the empty text means cluster-wide requests.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }
    /// Only this path, without its query (`/readyz`), as the request begins: no fault of single lines.
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }
    /// Only so often; then it is gone.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
    /// Lets so many requests pass first.
    pub fn after(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    fn is_for(&self, request: &Asked<'_>) -> bool {
        self.verb.as_deref().is_none_or(|v| v == request.verb)
            && self.resource.as_deref().is_none_or(|r| r == request.resource)
            && self.namespace.as_deref().is_none_or(|n| n == request.namespace)
            && self.path.as_deref().is_none_or(|p| p == request.path)
    }
}

/// How an open watch ends.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEnd {
    /// Cleanly, as after timeoutSeconds.
    Eof,
    /// The body breaks off and the connection is closed.
    Broken,
    /// An ERROR event, then cleanly.
    InBand(Failure),
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub verb: &'a str,
    pub resource: &'a str,
    pub namespace: &'a str,
    /// Without its query; empty for a line of an open watch.
    pub path: &'a str,
}

/// Most different paths that are counted; later ones are counted as `other`.
const COUNTED_PATHS: usize = 10_000;

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    ends: Vec<(u64, Option<String>, WatchEnd)>,
    counts: BTreeMap<(String, String), u64>,
    open_watches: BTreeMap<String, u64>,
}

/// The handle of a cluster's faults and counters.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    epoch: watch::Sender<u64>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Faults { state: Mutex::default(), epoch: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule; the first that matches answers a request.
    pub fn inject(&self, rule: Rule) {
        self.lock().rules.push(rule);
    }

    /// Takes every rule away.
    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    /// How many rules still wait for a request.
    pub fn pending(&self) -> usize {
        self.lock().rules.len()
    }

    /// Ends every watch that is open now (of one resource, or of all).
    pub fn end_watches(&self, resource: Option<&str>, end: WatchEnd) {
        let epoch = *self.epoch.borrow() + 1;
        {
            let mut state = self.lock();
            state.ends.push((epoch, resource.map(str::to_owned), end));
            if state.ends.len() > 64 {
                state.ends.remove(0);
            }
        }
        self.epoch.send_replace(epoch);
    }

    /// Requests so far by verb and path (without the query).
    pub fn requests(&self) -> BTreeMap<(String, String), u64> {
        self.lock().counts.clone()
    }

    /// Requests so far with this verb whose path ends so: `count("list", "/pods")`.
    pub fn count(&self, verb: &str, path_end: &str) -> u64 {
        self.lock()
            .counts
            .iter()
            .filter(|((v, p), _)| v == verb && p.ends_with(path_end))
            .map(|(_, n)| n)
            .sum()
    }

    /// All requests so far.
    pub fn total(&self) -> u64 {
        self.lock().counts.values().sum()
    }

    /// Watches that are open now, of one resource by plural name.
    pub fn open_watches(&self, resource: &str) -> u64 {
        self.lock().open_watches.get(resource).copied().unwrap_or(0)
    }

    /// Forgets what was counted.
    pub fn reset_counts(&self) {
        self.lock().counts.clear();
    }

    pub(super) fn note(&self, verb: &str, path: &str) {
        let mut state = self.lock();
        let key = (verb.to_owned(), path.to_owned());
        let full = state.counts.len() >= COUNTED_PATHS && !state.counts.contains_key(&key);
        let key = if full { (verb.to_owned(), "other".to_owned()) } else { key };
        *state.counts.entry(key).or_insert(0) += 1;
    }

    pub(super) fn watch_opened(&self, resource: &str) {
        *self.lock().open_watches.entry(resource.to_owned()).or_insert(0) += 1;
    }

    pub(super) fn watch_closed(&self, resource: &str) {
        if let Some(n) = self.lock().open_watches.get_mut(resource) {
            *n = n.saturating_sub(1);
        }
    }

    /// The fault for a request, if a rule has one. Faults of single lines are left for `take_line`.
    pub(super) fn take(&self, asked: &Asked<'_>) -> Option<Fault> {
        self.take_where(asked, |fault| {
            asked.verb != "watch" || !matches!(fault, Fault::CutLine | Fault::Undecodable)
        })
    }

    /// The fault for the next line of an open watch.
    pub(super) fn take_line(&self, asked: &Asked<'_>) -> Option<Fault> {
        self.take_where(asked, |fault| matches!(fault, Fault::CutLine | Fault::Undecodable))
    }

    fn take_where(&self, asked: &Asked<'_>, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut state = self.lock();
        for index in 0..state.rules.len() {
            let rule = state.rules.get_mut(index)?;
            if !rule.is_for(asked) || !rule.fault.as_ref().is_some_and(&fits) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            let fault = rule.fault.clone();
            if let Some(times) = &mut rule.times {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    state.rules.remove(index);
                }
            }
            return fault;
        }
        None
    }

    pub(super) fn epochs(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// How a watch that began at `epoch` has to end, if it has to.
    pub(super) fn end_of(&self, epoch: u64, resource: &str) -> Option<WatchEnd> {
        let state = self.lock();
        let mut ends = state.ends.iter();
        ends.find(|(at, of, _)| *at > epoch && of.as_deref().is_none_or(|r| r == resource))
            .map(|(_, _, end)| end.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Asked<'static> =
        Asked { verb: "list", resource: "pods", namespace: "", path: "/api/v1/pods" };

    #[test]
    fn a_rule_strikes_its_requests_so_often_and_is_gone() {
        let faults = Faults::new();
        faults.inject(Rule::new(Fault::internal()).verb("list").resource("pods").after(1).times(2));
        let struck: Vec<bool> = (0..5).map(|_| faults.take(&LIST).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(faults.pending(), 0);
    }

    #[test]
    fn a_rule_leaves_other_resources_alone() {
        let faults = Faults::new();
        faults.inject(Rule::new(Fault::Hang).resource("nodes"));
        assert_eq!(faults.take(&LIST), None);
        assert_eq!(faults.take(&Asked { resource: "nodes", ..LIST }), Some(Fault::Hang));
    }

    #[test]
    fn only_watches_that_were_open_end() {
        let faults = Faults::new();
        faults.end_watches(Some("pods"), WatchEnd::Eof);
        let epoch = *faults.epochs().borrow();
        assert_eq!(faults.end_of(epoch, "pods"), None);
        assert_eq!(faults.end_of(epoch - 1, "pods"), Some(WatchEnd::Eof));
        assert_eq!(faults.end_of(epoch - 1, "nodes"), None);
    }
}

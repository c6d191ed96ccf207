//! pod_crash_loop: a container keeps crashing.
//!
//! It waits in CrashLoopBackOff, or was restarted at least five times within ten minutes. Between two crashes the
//! container runs, and without a readiness probe it is even ready then: the heal time bridges that. One that is seen
//! for the first time between two crashes has no back-off to be known by: its restarts tell, or a loop that stood
//! before us would be told as new at its next crash.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Condition, Context, Draft, Finding, Output, Verdict, pod_facts};
use crate::{
    event::{EventType, Kind},
    object::{Container, ContainerState, Object, Pod},
};

/// Within this time restarts are counted.
const WINDOW_SECS: i64 = 600;
/// As many make a loop, even if no back-off was seen.
const RESTARTS: usize = 5;
/// As many are a loop where the container is seen for the first time, the newest of them within [`CALM_SECS`].
const UNSEEN_RESTARTS: u32 = 2;
/// More need not be remembered: it is a loop, and where there are more it is said that there are at least as many.
const REMEMBERED: usize = 2 * RESTARTS;
/// A ready container whose newest restart is older is out of the loop as far as counting goes. Also the latest
/// time at which one that is ready is judged again.
const CALM_SECS: i64 = 60;

/// The kubelet waits so long after the first crash that it lets wait, twice as long after each further one, up to the
/// most (kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle, "Container restarts").
const WAIT_SECS: i64 = 10;
const MOST_WAIT_SECS: i64 = 300;

/// The rule.
pub struct Rule;

impl Condition for Rule {
    fn name(&self) -> &'static str {
        "pod_crash_loop"
    }

    fn types(&self) -> &'static [EventType] {
        &[EventType::PodCrashLoop]
    }

    fn kind(&self) -> Kind {
        Kind::Pod
    }

    fn judge(&self, object: &Arc<Object>, cx: &Context<'_>, out: &mut Output) -> Verdict {
        let Some(pod) = object.pod() else { return Verdict::healthy() };
        if object.is_terminating() {
            return Verdict::Unknown;
        }
        if pod.is_finished() {
            return Verdict::healthy();
        }
        let suspects = pod.containers.iter().filter(|c| c.restarts > 0 || backs_off(c));
        let mut findings = Vec::new();
        let mut restarts: Option<Restarts> = None;
        for container in suspects {
            let restarts = restarts.get_or_insert_with(|| Restarts::recall(self.name(), object, cx));
            let unseen = !restarts.row.contains_key(container.name.as_str());
            let recent = restarts.count((object, pod), container, cx.now);
            findings.extend(look(object, pod, container, (&recent, unseen, cx), out));
        }
        if let Some(restarts) = restarts.filter(|r| r.changed) {
            out.remember(object.meta.uid.as_str(), restarts.row);
        }
        Verdict::Known(findings)
    }
}

fn backs_off(container: &Container) -> bool {
    container.waiting_reason() == "CrashLoopBackOff"
}

fn look(
    object: &Arc<Object>,
    pod: &Pod,
    container: &Container,
    (recent, unseen, cx): (&Recent, bool, &Context<'_>),
    out: &mut Output,
) -> Option<Finding> {
    let times = &recent.times;
    let since = pod_facts::firing_since(object, cx, EventType::PodCrashLoop, &container.name);
    let stood = unseen
        && container.restarts >= UNSEEN_RESTARTS
        && container.newest_end().is_some_and(|end| end.exit_code != 0)
        && times.last().is_some_and(|at| cx.now.duration_since(*at).as_secs() < CALM_SECS);
    let mut often = stood || times.len() >= RESTARTS;
    if often && container.ready {
        // Counting may begin a loop while the container runs; being ready then ends it, as it does any other.
        let calm_at = times.last().map_or(cx.now, |at| *at + SignedDuration::from_secs(CALM_SECS));
        often = since.is_none() && calm_at > cx.now;
        if often {
            out.look_again.push(calm_at);
        }
    }
    let between_crashes =
        since.is_some() && !container.ready && !is_done(pod, container) && !was_ready(object, container);
    if !backs_off(container) && !often && !between_crashes {
        return None;
    }
    let draft =
        draft(object, container, recent, (since, cx)).stands_since(looped_since(object, pod, container));
    Some(Finding { draft, after_secs: 0 })
}

/// The restarts of a container within the window, as far as they were seen.
struct Recent {
    /// When, the newest last.
    times: Vec<Timestamp>,
    /// There may have been more: nobody saw when.
    partly: bool,
    /// Since when it has looped at the latest, where nobody saw it begin.
    stood: Option<Timestamp>,
}

/// What is remembered of a Pod, under its uid: by container the restarts that are known, and the times of the
/// newest ones: `{"app": {"count": 7, "at": [1795330000]}}`; where restarts went before that nobody saw, also from when
/// on all are seen, and since when it had looped: `"from": 1795330000, "stood": 1795320000`.
struct Restarts {
    row: Map<String, Value>,
    created_at: Option<Timestamp>,
    changed: bool,
}

impl Restarts {
    fn recall(rule: &str, object: &Object, cx: &Context<'_>) -> Self {
        let row = match cx.memory.recall(rule, &object.meta.uid) {
            Some(Value::Object(row)) => row,
            _ => Map::new(),
        };
        Self { row, created_at: object.meta.created_at, changed: false }
    }

    /// The restarts within the window; takes up what is new.
    fn count(&mut self, (object, pod): (&Object, &Pod), container: &Container, now: Timestamp) -> Recent {
        let row = self.row.get(container.name.as_str());
        let (known, mut times) = read(row);
        let (mut from, mut stood) = (time_in(row, "from"), time_in(row, "stood"));
        if container.restarts != known {
            let grown = container.restarts.saturating_sub(known) as usize;
            let newest = restarted_at(container).unwrap_or(now);
            let before = times.last().copied().or(pod.started_at).or(self.created_at);
            // Restarts that nobody saw happen: together they count only if all of them fit into the window.
            let all_fit = before.is_some_and(|b| newest.duration_since(b).as_secs() <= WINDOW_SECS);
            let counted = if all_fit { grown.min(REMEMBERED) } else { grown.min(1) };
            if grown > counted && !all_fit {
                from = Some(newest);
                stood = stood.or_else(|| looped_since(object, pod, container));
            }
            times.extend(std::iter::repeat_n(newest, counted));
            times.retain(|at| newest.duration_since(*at).as_secs() < WINDOW_SECS);
            times.drain(..times.len().saturating_sub(REMEMBERED));
            let seconds: Vec<i64> = times.iter().map(|t| t.as_second()).collect();
            let mut row = json!({ "count": container.restarts, "at": seconds });
            for (key, at) in [("from", from), ("stood", stood)] {
                if let Some(at) = at {
                    row[key] = at.as_second().into();
                }
            }
            self.row.insert(container.name.to_string(), row);
            self.changed = true;
        }
        let within = |at: Timestamp| now.duration_since(at).as_secs() < WINDOW_SECS;
        times.retain(|at| within(*at));
        Recent { times, partly: from.is_some_and(within), stood }
    }
}

fn read(row: Option<&Value>) -> (u32, Vec<Timestamp>) {
    let Some(row) = row else { return (0, Vec::new()) };
    let count = row.get("count").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let at = row.get("at").and_then(Value::as_array).into_iter().flatten();
    let times = at.filter_map(Value::as_i64).filter_map(|s| Timestamp::from_second(s).ok());
    (count.unwrap_or(0), times.collect())
}

fn time_in(row: Option<&Value>, key: &str) -> Option<Timestamp> {
    row?.get(key)?.as_i64().and_then(|s| Timestamp::from_second(s).ok())
}

fn restarted_at(container: &Container) -> Option<Timestamp> {
    match &container.state {
        Some(ContainerState::Running { started_at: Some(at) }) => Some(*at),
        Some(ContainerState::Terminated(t)) => pod_facts::real(t.started_at).or(t.finished_at),
        _ => container.last.as_ref().and_then(|t| pod_facts::real(t.finished_at)),
    }
}

/// Since when it has been crashing at the latest, where nobody saw it begin: so many crashes take so long to wait for.
/// A Pod that has lived for long may have crashed at other times too: there the wait tells how many went before.
fn looped_since(object: &Object, pod: &Pod, container: &Container) -> Option<Timestamp> {
    let crashed = crashed_since(pod, object.meta.created_at, container);
    // It is the only one that is not ready, so it has not been since then.
    let alone = pod.containers.iter().all(|c| c.name == container.name || c.ready || is_done(pod, c));
    let not_ready =
        pod_facts::not_ready_since(object).filter(|_| alone && !container.ready && !container.init);
    match (crashed, not_ready) {
        (Some(crashed), Some(not_ready)) => Some(crashed.min(not_ready)),
        (crashed, not_ready) => crashed.or(not_ready),
    }
}

fn crashed_since(pod: &Pod, created_at: Option<Timestamp>, container: &Container) -> Option<Timestamp> {
    let newest = container.newest_end()?.finished_at?;
    let born = pod.started_at.or(created_at)?;
    let lived = newest.duration_since(born).as_secs();
    // Rounds like the newest, as many as there were, fill most of its life: there was no room to be well in.
    let filled = round_secs(container).unwrap_or(0).saturating_mul(container.restarts.into());
    if filled > 0 && filled >= lived / 2 {
        return Some(born);
    }
    let crashes = if lived <= WINDOW_SECS {
        container.restarts
    } else {
        match wait_secs(container)? {
            MOST_WAIT_SECS.. => container.restarts,
            wait => (wait / WAIT_SECS).max(1).ilog2() + 1,
        }
    };
    let waits = (1..crashes).map(|n| (WAIT_SECS << (n - 1).min(5)).min(MOST_WAIT_SECS));
    let waited = SignedDuration::from_secs(waits.sum());
    Some(newest.saturating_sub(waited).unwrap_or(born).max(born))
}

/// How long the newest round took: its wait and its run.
fn round_secs(container: &Container) -> Option<i64> {
    let last = container.last.as_deref();
    let waited = |started: Option<Timestamp>| {
        let before = last.and_then(|l| l.finished_at);
        started.zip(before).map_or(0, |(started, before)| started.duration_since(before).as_secs())
    };
    let (end, waited) = match &container.state {
        Some(ContainerState::Running { started_at }) => (last?, waited(*started_at)),
        Some(ContainerState::Terminated(end)) => (&**end, waited(pod_facts::real(end.started_at))),
        _ => (last?, wait_secs(container).unwrap_or(0)),
    };
    let started = pod_facts::real(end.started_at).or(end.finished_at)?;
    Some((waited + end.finished_at?.duration_since(started).as_secs()).max(0))
}

/// `back-off 1m20s restarting failed container=…`
fn wait_secs(container: &Container) -> Option<i64> {
    let message = pod_facts::waiting_message(container);
    let wait = message.strip_prefix("back-off ")?.split(' ').next()?;
    wait.parse::<SignedDuration>().ok().map(|wait| wait.as_secs())
}

/// It was ready since it was started: that it is not any more is another trouble, of its node or its probe.
fn was_ready(object: &Object, container: &Container) -> bool {
    let Some(ContainerState::Running { started_at: Some(started) }) = &container.state else { return false };
    pod_facts::not_ready_since(object).is_some_and(|since| since > *started)
}

/// It ended well and is not to be started again.
fn is_done(pod: &Pod, container: &Container) -> bool {
    let ended_well = matches!(&container.state, Some(ContainerState::Terminated(t)) if t.exit_code == 0);
    ended_well && (pod.restart_policy != "Always" || (container.init && !container.sidecar))
}

fn draft(
    object: &Arc<Object>,
    container: &Container,
    recent: &Recent,
    (since, cx): (Option<Timestamp>, &Context<'_>),
) -> Draft {
    let name = &object.meta.name;
    let end = container.newest_end();
    let young = |at: Timestamp| cx.now.duration_since(at).as_secs() < WINDOW_SECS;
    // All of a young Pod's restarts are recent, however many are remembered.
    let all_recent = !recent.times.is_empty() && object.meta.created_at.is_some_and(young);
    let known = recent;
    let recent =
        if all_recent { recent.times.len().max(container.restarts as usize) } else { recent.times.len() };
    let partly = known.partly && !all_recent;
    let restarted = match recent {
        // The newest of those that nobody saw is no count.
        0 | 1 if partly => format!("Pod has restarted {} times", container.restarts),
        n if partly => format!("Pod has restarted at least {n} times in the last 10 minutes"),
        0 => format!("Pod has restarted {} times", container.restarts),
        1 => "Pod has restarted once in the last 10 minutes".to_owned(),
        REMEMBERED if !all_recent => {
            format!("Pod has restarted at least {recent} times in the last 10 minutes")
        }
        n => format!("Pod has restarted {n} times in the last 10 minutes"),
    };
    let in_all = match container.restarts as usize {
        all if recent > usize::from(partly) && all > recent => format!(", {all} times in all"),
        _ => String::new(),
    };
    let stood = known.stood.filter(|stood| since.is_none_or(|since| since >= *stood));
    let at_least = stood
        .map_or_else(String::new, |at| at.strftime(", at least since %Y-%m-%d %H:%M:%S UTC").to_string());
    let kind = if container.init { "init container" } else { "container" };
    let why = end.map(|end| {
        let how = match end.reason.as_str() {
            "OOMKilled" => format!("was OOMKilled (exit code {})", end.exit_code),
            _ => format!("ended with {}", pod_facts::exit(end.exit_code)),
        };
        format!(": {kind} {} {how}", container.name)
    });
    let began = since.or_else(|| end.and_then(|e| e.finished_at));
    let draft = pod_facts::draft(EventType::PodCrashLoop, object, format!("Pod {name} in crash loop"))
        .at_or(began, cx.now)
        .discriminator(container.name.as_str())
        .description(restarted + &in_all + &at_least + &why.unwrap_or_default())
        .detail("restarts_in_10_min", (!partly).then_some(recent))
        .detail("waiting", container.waiting_reason());
    let mut draft = pod_facts::container(draft, container);
    if let Some(end) = end {
        draft = pod_facts::ended(draft, end);
    }
    pod_facts::look(pod_facts::look_at_previous_logs(draft, container))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Terminated;

    fn since(age: i64, restarts: u32, message: &str) -> i64 {
        let at = |before: i64| Timestamp::from_second(1_000_000 - before).unwrap();
        let end = Terminated { exit_code: 1, finished_at: Some(at(0)), ..Terminated::default() };
        let container = Container {
            restarts,
            last: Some(Box::new(end)),
            state: Some(ContainerState::Waiting {
                reason: "CrashLoopBackOff".into(),
                message: message.into(),
            }),
            ..Container::default()
        };
        let pod = Pod { started_at: Some(at(age)), ..Pod::default() };
        let since = crashed_since(&pod, None, &container);
        since.map_or(-1, |since| at(0).as_second() - since.as_second())
    }

    #[test]
    fn a_loop_that_nobody_saw_begin_has_lasted_for_as_long_as_its_crashes_take() {
        let waits = |wait: &str| format!("back-off {wait} restarting failed container=app pod=a_b(c)");
        // All that a young Pod has seen is this loop, also where it waits less than a kubelet does.
        assert_eq!(since(500, 4, ""), 10 + 20 + 40);
        assert_eq!(since(120, 21, &waits("10s")), 120);
        // Of an old one the wait tells how many crashes went before.
        assert_eq!(since(90_000, 40, &waits("10s")), 0);
        assert_eq!(since(90_000, 40, &waits("1m20s")), 10 + 20 + 40);
        assert_eq!(since(90_000, 8, &waits("5m0s")), 10 + 20 + 40 + 80 + 160 + 300 + 300);
        assert_eq!(since(900, 40, &waits("5m0s")), 900);
        // Where a node is told to wait less: 340 crashes in 36 minutes leave no room to be well in.
        assert_eq!(since(2_160, 340, &waits("10s")), 2_160);
        assert_eq!(since(90_000, 40, ""), -1, "between two crashes nothing tells");
    }
}

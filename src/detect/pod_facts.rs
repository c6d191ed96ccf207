//! What the rules about Pods have in common: details, the words for an exit, what the kubelet's Events say.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Context, Draft};
use crate::{
    event::{EventType, Kind},
    object::{Container, ContainerState, KubeEvent, Object, Pod, Terminated},
};

/// A draft about a Pod, with the details that every such type has.
pub fn draft(event_type: EventType, object: &Arc<Object>, title: impl Into<String>) -> Draft {
    let draft = Draft::new(event_type, object, title)
        .detail("pod_name", object.meta.name.as_str())
        .detail("namespace", object.meta.namespace.as_str());
    let Some(pod) = object.pod() else { return draft };
    let ends = pod.containers.iter().filter_map(Container::newest_end).filter(|end| end.exit_code != 0);
    draft
        .detail("restart_count", pod.restarts())
        .detail("node", pod.node.as_str())
        .detail("last_error", ends.max_by_key(|end| end.finished_at).map(last_error))
}

/// The container that it is about.
pub fn container(draft: Draft, container: &Container) -> Draft {
    let mut draft = draft;
    // Another container's error is not this one's.
    draft.details.remove("last_error");
    let draft = draft
        .detail("container", container.name.as_str())
        .detail("image", container.image.as_str())
        .detail("restart_count", container.restarts)
        .detail("last_error", container.newest_end().map(last_error));
    if container.init { draft.detail("init_container", true) } else { draft }
}

/// How the container ended.
pub fn ended(draft: Draft, end: &Terminated) -> Draft {
    let draft = draft
        .detail("exit_code", end.exit_code)
        .detail("exit_meaning", exit_meaning(end.exit_code))
        .detail("reason", end.reason.as_str())
        .detail("started_at", time(end.started_at))
        .detail("finished_at", time(end.finished_at))
        .detail("last_error", last_error(end));
    match signal(end) {
        0 => draft,
        signal => draft.detail("signal", signal),
    }
}

/// Without the zero that the kubelet writes for a container that never started.
pub fn real(at: Option<Timestamp>) -> Option<Timestamp> {
    at.filter(|at| *at > Timestamp::UNIX_EPOCH)
}

/// A time as the details have it.
pub fn time(at: Option<Timestamp>) -> Option<String> {
    real(at).map(|at| at.to_string())
}

/// The signal that ended it: as given, else by the shells' convention of 128 + n.
fn signal(end: &Terminated) -> i32 {
    match (end.signal, end.exit_code) {
        (0, 129..=159) => end.exit_code - 128,
        (signal, _) => signal,
    }
}

/// The termination message, else the reason with the exit code.
pub fn last_error(end: &Terminated) -> String {
    let message = end.message.trim();
    if !message.is_empty() {
        return message.to_owned();
    }
    if end.exit_code == 0 {
        return String::new();
    }
    let reason = if end.reason.is_empty() { "Error" } else { end.reason.as_str() };
    format!("{reason}: {}", exit(end.exit_code))
}

/// `exit code 137 (killed)`
pub fn exit(code: i32) -> String {
    match exit_meaning(code) {
        "" => format!("exit code {code}"),
        meaning => format!("exit code {code} ({meaning})"),
    }
}

/// What an exit code means, by the shells' and the kubelet's conventions; empty where it has no common meaning.
pub fn exit_meaning(code: i32) -> &'static str {
    match code {
        0 => "clean exit",
        1 => "application error",
        2 => "misuse of a command, or a panic",
        125 => "the container could not be run",
        126 => "the command cannot be executed",
        127 => "command not found",
        128 => "the container could not be started",
        129 => "hung up, SIGHUP",
        130 => "interrupted, SIGINT",
        131 => "quit, SIGQUIT",
        132 => "illegal instruction, SIGILL",
        134 => "aborted, SIGABRT",
        135 => "bus error, SIGBUS",
        136 => "arithmetic error, SIGFPE",
        137 => "killed, SIGKILL",
        139 => "segmentation fault, SIGSEGV",
        141 => "broken pipe, SIGPIPE",
        143 => "terminated, SIGTERM",
        255 => "exit status out of range, or lost with its node",
        _ => "",
    }
}

/// What Kubernetes said about this very object, in no order.
pub fn events_about<'a>(object: &'a Object, cx: &'a Context<'_>) -> impl Iterator<Item = &'a KubeEvent> {
    let meta = &object.meta;
    cx.world.in_namespace(Kind::Event, &meta.namespace).filter_map(|e| e.kube_event()).filter(move |e| {
        e.involved_kind == object.kind.as_str()
            && e.involved_name == meta.name
            && (e.involved_uid.is_empty() || e.involved_uid == meta.uid)
    })
}

/// The newest Event about the object that is wanted.
pub fn newest_event<'a>(
    object: &'a Object,
    cx: &'a Context<'_>,
    wanted: impl Fn(&KubeEvent) -> bool,
) -> Option<&'a KubeEvent> {
    events_about(object, cx).filter(|e| wanted(e)).max_by_key(|e| e.last)
}

/// Since when this is firing, if it is: a trouble keeps its beginning while its reasons alternate.
pub fn firing_since(
    object: &Object,
    cx: &Context<'_>,
    event_type: EventType,
    discriminator: &str,
) -> Option<Timestamp> {
    let firing = cx.memory.firing(&object.key());
    firing
        .into_iter()
        .find(|f| f.event_type == event_type && f.discriminator == discriminator)
        .map(|f| f.since)
}

/// Since when its containers are not all ready.
pub fn not_ready_since(object: &Object) -> Option<Timestamp> {
    object.pod()?.condition("ContainersReady").filter(|c| c.status == "False")?.since
}

/// Whether a container waits for one of these reasons.
pub fn waits(container: &Container, reasons: &[&str]) -> bool {
    reasons.contains(&container.waiting_reason())
}

/// state.waiting.message
pub fn waiting_message(container: &Container) -> &str {
    match &container.state {
        Some(ContainerState::Waiting { message, .. }) => message,
        _ => "",
    }
}

/// What a kubelet writes as the reason of a Pod that it ended, or did not take any more while its node shuts down:
/// pkg/kubelet/eviction, nodeshutdown (`Shutdown` in 1.20 and 1.21) and preemption of Kubernetes.
const BY_KUBELET: &[&str] = &["Evicted", "Terminated", "Shutdown", "NodeShutdown", "Preempting"];

/// Evicted or stopped by its kubelet: node pressure, a graceful node shutdown, or a critical Pod in need of room.
/// Not by the eviction API, a taint or preemption: those delete the Pod.
pub fn evicted_by_kubelet(pod: &Pod) -> bool {
    let disrupted = pod.condition("DisruptionTarget");
    // Before 1.26 it set no condition.
    BY_KUBELET.contains(&pod.reason.as_str())
        || disrupted.is_some_and(|c| c.is_true() && c.reason == "TerminationByKubelet")
}

/// The logs of the container that died.
pub fn look_at_previous_logs(draft: Draft, container: &Container) -> Draft {
    let meta = &draft.object.meta;
    let command =
        format!("kubectl logs {} -n {} -c {} --previous", meta.name, meta.namespace, container.name);
    draft.recommend("Check the logs of the container that died", command)
}

/// The logs of the container as it runs.
pub fn look_at_logs(draft: Draft, container: Option<&Container>) -> Draft {
    let meta = &draft.object.meta;
    let of = container.map(|c| format!(" -c {}", c.name)).unwrap_or_default();
    let command = format!("kubectl logs {} -n {}{of} --tail=50", meta.name, meta.namespace);
    draft.recommend("Check pod logs", command)
}

/// The Pod, whole, with its Events.
pub fn look(draft: Draft) -> Draft {
    let meta = &draft.object.meta;
    let command = format!("kubectl describe pod {} -n {}", meta.name, meta.namespace);
    draft.recommend("Look at the pod and its events", command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_message_else_the_reason_with_its_exit() {
        let mut end = Terminated { exit_code: 1, reason: "Error".into(), ..Terminated::default() };
        assert_eq!(last_error(&end), "Error: exit code 1 (application error)");
        end.message = "panic: no database\n".into();
        assert_eq!(last_error(&end), "panic: no database");
        end = Terminated { exit_code: 0, reason: "Completed".into(), ..Terminated::default() };
        assert_eq!(last_error(&end), "");
    }

    #[test]
    fn a_signal_is_read_from_the_exit_code_where_none_is_given() {
        let end = |exit_code, signal| Terminated { exit_code, signal, ..Terminated::default() };
        assert_eq!(signal(&end(137, 0)), 9);
        assert_eq!(signal(&end(0, 15)), 15);
        assert_eq!(signal(&end(1, 0)), 0);
        assert_eq!(signal(&end(255, 0)), 0);
    }
}

//! Pods.

use std::collections::HashMap;

use super::{
    de::{Count, Long, Short, Time, slim},
    meta::{ConditionIn, MetaIn, all},
    refs::{EnvFromIn, EnvIn, NameIn, RefSet, VolumeIn},
};
use crate::object::{Container, ContainerState, Pod, Str, Terminated};

slim! {
    struct PodIn {
        metadata: MetaIn,
        spec: SpecIn,
        status: StatusIn,
    }

    struct SpecIn {
        node_name: Short,
        restart_policy: Short,
        service_account_name: Short,
        init_containers: Vec<ContainerIn>,
        containers: Vec<ContainerIn>,
        volumes: Vec<VolumeIn>,
        image_pull_secrets: Vec<NameIn>,
    }

    struct ContainerIn {
        name: Short,
        image: Short,
        restart_policy: Short,
        resources: ResourcesIn,
        env: Vec<EnvIn>,
        env_from: Vec<EnvFromIn>,
    }

    struct ResourcesIn {
        limits: AmountsIn,
        requests: AmountsIn,
    }

    struct AmountsIn {
        cpu: Short,
        memory: Short,
    }

    struct StatusIn {
        phase: Short,
        reason: Short,
        message: Short,
        start_time: Time,
        conditions: Vec<ConditionIn>,
        init_container_statuses: Vec<ContainerStatusIn>,
        container_statuses: Vec<ContainerStatusIn>,
    }

    struct ContainerStatusIn {
        name: Short,
        ready: bool,
        restart_count: Count,
        state: StateIn,
        last_state: StateIn,
    }

    struct StateIn {
        waiting: Option<WaitingIn>,
        running: Option<RunningIn>,
        terminated: Option<TerminatedIn>,
    }

    struct WaitingIn {
        reason: Short,
        message: Short,
    }

    struct RunningIn {
        started_at: Time,
    }

    struct TerminatedIn {
        exit_code: i32,
        signal: i32,
        reason: Short,
        message: Long,
        started_at: Time,
        finished_at: Time,
    }
}

impl SpecIn {
    fn refs(&self) -> RefSet {
        let mut refs = RefSet::default();
        for container in self.init_containers.iter().chain(&self.containers) {
            refs.container(&container.env, &container.env_from);
        }
        self.volumes.iter().for_each(|v| refs.volume(v));
        self.image_pull_secrets.iter().for_each(|s| refs.pull_secret(s));
        refs
    }
}

impl From<(SpecIn, StatusIn)> for Pod {
    fn from((spec, status): (SpecIn, StatusIn)) -> Pod {
        let refs = spec.refs().into_list();
        let mut states: HashMap<Str, ContainerStatusIn> = HashMap::new();
        let reported = status.init_container_statuses.into_iter().chain(status.container_statuses);
        states.extend(reported.map(|s| (s.name.0.clone(), s)));
        let init = spec.init_containers.into_iter().map(|c| (c, true));
        let main = spec.containers.into_iter().map(|c| (c, false));
        let containers = init.chain(main).map(|(spec, init)| {
            let status = states.remove(&spec.name.0).unwrap_or_default();
            container(spec, status, init)
        });
        Pod {
            containers: containers.collect(),
            phase: status.phase.0,
            reason: status.reason.0,
            message: status.message.0,
            node: spec.node_name.0,
            restart_policy: spec.restart_policy.0,
            service_account: spec.service_account_name.0,
            started_at: status.start_time.0,
            conditions: all(status.conditions),
            refs,
        }
    }
}

fn container(spec: ContainerIn, status: ContainerStatusIn, init: bool) -> Container {
    Container {
        name: spec.name.0,
        image: spec.image.0,
        init,
        sidecar: init && &*spec.restart_policy.0 == "Always",
        ready: status.ready,
        restarts: status.restart_count.0,
        state: state(status.state),
        last: status.last_state.terminated.map(|t| Box::new(t.into())),
        memory_limit: spec.resources.limits.memory.0,
        cpu_limit: spec.resources.limits.cpu.0,
        memory_request: spec.resources.requests.memory.0,
        cpu_request: spec.resources.requests.cpu.0,
    }
}

fn state(state: StateIn) -> Option<ContainerState> {
    if let Some(t) = state.terminated {
        return Some(ContainerState::Terminated(Box::new(t.into())));
    }
    if let Some(r) = state.running {
        return Some(ContainerState::Running { started_at: r.started_at.0 });
    }
    state.waiting.map(|w| ContainerState::Waiting { reason: w.reason.0, message: w.message.0 })
}

impl From<TerminatedIn> for Terminated {
    fn from(t: TerminatedIn) -> Terminated {
        Terminated {
            exit_code: t.exit_code,
            signal: t.signal,
            reason: t.reason.0,
            message: t.message.0,
            started_at: t.started_at.0,
            finished_at: t.finished_at.0,
        }
    }
}

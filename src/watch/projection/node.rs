//! Nodes and Namespaces.

use super::{
    de::{Short, slim, strs},
    meta::{ConditionIn, MetaIn, all},
};
use crate::object::{Namespace, Node, Taint};

slim! {
    struct NodeIn {
        metadata: MetaIn,
        spec: NodeSpecIn,
        status: NodeStatusIn,
    }

    struct NodeSpecIn {
        unschedulable: bool,
        taints: Vec<TaintIn>,
        #[serde(rename = "providerID")]
        provider_id: Short,
    }

    struct TaintIn {
        key: Short,
        value: Short,
        effect: Short,
    }

    struct NodeStatusIn {
        conditions: Vec<ConditionIn>,
        node_info: NodeInfoIn,
        allocatable: AllocatableIn,
    }

    struct NodeInfoIn {
        kubelet_version: Short,
    }

    struct AllocatableIn {
        cpu: Short,
        memory: Short,
    }

    struct NamespaceIn {
        metadata: MetaIn,
        spec: NamespaceSpecIn,
        status: NamespaceStatusIn,
    }

    struct NamespaceSpecIn {
        finalizers: Vec<Short>,
    }

    struct NamespaceStatusIn {
        phase: Short,
        conditions: Vec<ConditionIn>,
    }
}

impl From<(NodeSpecIn, NodeStatusIn)> for Node {
    fn from((spec, status): (NodeSpecIn, NodeStatusIn)) -> Node {
        let taint = |t: TaintIn| Taint { key: t.key.0, value: t.value.0, effect: t.effect.0 };
        Node {
            cordoned: spec.unschedulable,
            taints: spec.taints.into_iter().map(taint).collect(),
            conditions: all(status.conditions),
            provider_id: spec.provider_id.0,
            kubelet_version: status.node_info.kubelet_version.0,
            cpu: status.allocatable.cpu.0,
            memory: status.allocatable.memory.0,
        }
    }
}

impl From<(NamespaceSpecIn, NamespaceStatusIn)> for Namespace {
    fn from((spec, status): (NamespaceSpecIn, NamespaceStatusIn)) -> Namespace {
        Namespace {
            phase: status.phase.0,
            conditions: all(status.conditions),
            finalizers: strs(spec.finalizers),
        }
    }
}

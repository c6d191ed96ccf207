//! Objects of a cluster as compact records: what the rules read, and what the store keeps of them.
//!
//! Owns the record of each kind and the `World`, the in-memory state of one cluster with its indices.
//! `watch` makes records from the API's JSON, `detect` reads them, `store` keeps them as opaque bytes. No value of
//! a Secret or ConfigMap is ever in a record, only key names and keyed hashes.

mod config;
mod intern;
mod lists;
mod meta;
mod net;
mod node;
mod pod;
mod storage;
mod stream;
mod workload;
mod world;

use serde::{Deserialize, Serialize};

pub use config::{Certificate, ConfigData};
pub use intern::Str;
pub use lists::{Shared, StrMap};
pub use meta::{Condition, Meta, ObjectKey};
pub use net::{Endpoint, EndpointSlice, Ingress, IngressRule, Service, ServicePort};
pub use node::{Namespace, Node, Taint};
pub use pod::{ConfigRef, ConfigRefKind, Container, ContainerState, Pod, Terminated};
pub use storage::{Claim, IngressClass, StorageClass, Volume};
pub use stream::{Said, StreamId};
pub use workload::{Autoscaler, CronJob, Job, Template, TemplateContainer, Workload};
pub use world::World;

use crate::event::{Kind, ObjectRef};

/// A Kubernetes Event, as a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct KubeEvent {
    /// Normal or Warning.
    pub warning: bool,
    /// The machine-readable cause: BackOff, FailedScheduling, …
    pub reason: Str,
    /// The message for people, cleaned and cut at 4 kB.
    pub message: Str,
    /// The object it is about; the kind may be one that is not watched.
    pub involved_kind: Str,
    /// Its namespace.
    pub involved_namespace: Str,
    /// Its name.
    pub involved_name: Str,
    /// Its uid; empty for some controllers.
    pub involved_uid: Str,
    /// `spec.containers{app}`
    pub field_path: Str,
    /// source.component or reportingController.
    pub component: Str,
    /// source.host or reportingInstance.
    pub host: Str,
    /// series.count, else count, else 1.
    pub count: u64,
    /// firstTimestamp, else eventTime, else creationTimestamp.
    pub first: Option<jiff::Timestamp>,
    /// series.lastObservedTime, else lastTimestamp, eventTime, firstTimestamp, creationTimestamp.
    pub last: Option<jiff::Timestamp>,
}

/// Where Kubernetes has the Events about what lives in no namespace.
const EVENTS_OF_THE_CLUSTER: [&str; 2] = ["default", "kube-system"];

impl KubeEvent {
    /// What it is about, as far as an Event of this namespace can speak: of what lives there. Whoever may create Events
    /// in one namespace may write the name and the uid of anything into them.
    pub fn about(&self, namespace: &str) -> ObjectRef {
        let namespaced = Kind::parse(&self.involved_kind).map(Kind::namespaced);
        let of_the_cluster = EVENTS_OF_THE_CLUSTER.contains(&namespace);
        let nowhere = of_the_cluster && !namespaced.unwrap_or(!self.involved_namespace.is_empty());
        ObjectRef {
            kind: self.involved_kind.to_string(),
            namespace: if nowhere { String::new() } else { namespace.to_owned() },
            name: self.involved_name.to_string(),
            uid: self.involved_uid.to_string(),
        }
    }
}

/// What is kept of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Its kind; one of the watched.
    pub kind: Kind,
    /// Name, labels, owners, times.
    pub meta: Meta,
    /// The fields of its kind.
    pub body: Body,
}

/// The fields by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Body {
    Pod(Box<Pod>),
    /// Deployment, ReplicaSet, StatefulSet and DaemonSet.
    Workload(Box<Workload>),
    Job(Box<Job>),
    CronJob(Box<CronJob>),
    Service(Box<Service>),
    /// Also Endpoints of servers without EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    Ingress(Box<Ingress>),
    /// ConfigMap and Secret.
    Config(Box<ConfigData>),
    Node(Box<Node>),
    Namespace(Box<Namespace>),
    Claim(Box<Claim>),
    Volume(Box<Volume>),
    IngressClass(Box<IngressClass>),
    StorageClass(Box<StorageClass>),
    Autoscaler(Box<Autoscaler>),
    Event(Box<KubeEvent>),
}

macro_rules! accessors {
    ($($name:ident $variant:ident $ty:ty;)*) => {
        impl Object {
            $(
                /// The body, if the object is of that kind.
                pub fn $name(&self) -> Option<&$ty> {
                    match &self.body { Body::$variant(b) => Some(b), _ => None }
                }
            )*
        }
    };
}

accessors! {
    pod Pod Pod;
    workload Workload Workload;
    job Job Job;
    cron_job CronJob CronJob;
    service Service Service;
    endpoint_slice EndpointSlice EndpointSlice;
    ingress Ingress Ingress;
    config Config ConfigData;
    node Node Node;
    namespace Namespace Namespace;
    claim Claim Claim;
    volume Volume Volume;
    ingress_class IngressClass IngressClass;
    storage_class StorageClass StorageClass;
    autoscaler Autoscaler Autoscaler;
    kube_event Event KubeEvent;
}

impl Object {
    /// `Kind/namespace/name`
    pub fn key(&self) -> ObjectKey {
        ObjectKey { kind: self.kind, namespace: self.meta.namespace.clone(), name: self.meta.name.clone() }
    }

    /// For events.
    pub fn reference(&self) -> crate::event::ObjectRef {
        crate::event::ObjectRef::new(self.kind, &self.meta.namespace, &self.meta.name, &self.meta.uid)
    }

    /// Deletion was asked for.
    pub fn is_terminating(&self) -> bool {
        self.meta.deleted_at.is_some()
    }
}

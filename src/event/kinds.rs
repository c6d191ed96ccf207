//! The kinds of Kubernetes objects that Barrelman knows, by their API name.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($variant:ident $plural:literal $api:literal $namespaced:literal $short:literal,)*) => {
        /// A kind of object. `Other` stands for kinds that only appear as owner or involved object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $(#[allow(missing_docs)] $variant,)* }

        impl Kind {
            /// Every kind that can be watched.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// `Pod`, `Deployment`, …: the API's kind.
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => stringify!($variant),)* }
            }
            /// `pods`, `deployments`, …: the API's resource name.
            pub const fn plural(self) -> &'static str {
                match self { $(Kind::$variant => $plural,)* }
            }
            /// `v1`, `apps/v1`, …: the apiVersion of the newest version that is read.
            pub const fn api_version(self) -> &'static str {
                match self { $(Kind::$variant => $api,)* }
            }
            /// Whether objects of the kind live in a namespace.
            pub const fn namespaced(self) -> bool {
                match self { $(Kind::$variant => $namespaced,)* }
            }
            /// kubectl's short word: `po`, `deploy`, …
            pub const fn short(self) -> &'static str {
                match self { $(Kind::$variant => $short,)* }
            }
        }
    };
}

kinds! {
    Pod "pods" "v1" true "po",
    Deployment "deployments" "apps/v1" true "deploy",
    ReplicaSet "replicasets" "apps/v1" true "rs",
    StatefulSet "statefulsets" "apps/v1" true "sts",
    DaemonSet "daemonsets" "apps/v1" true "ds",
    Job "jobs" "batch/v1" true "job",
    CronJob "cronjobs" "batch/v1" true "cj",
    Service "services" "v1" true "svc",
    EndpointSlice "endpointslices" "discovery.k8s.io/v1" true "endpointslice",
    Ingress "ingresses" "networking.k8s.io/v1" true "ing",
    ConfigMap "configmaps" "v1" true "cm",
    Secret "secrets" "v1" true "secret",
    Node "nodes" "v1" false "no",
    Namespace "namespaces" "v1" false "ns",
    PersistentVolumeClaim "persistentvolumeclaims" "v1" true "pvc",
    PersistentVolume "persistentvolumes" "v1" false "pv",
    IngressClass "ingressclasses" "networking.k8s.io/v1" false "ingressclass",
    StorageClass "storageclasses" "storage.k8s.io/v1" false "sc",
    HorizontalPodAutoscaler "horizontalpodautoscalers" "autoscaling/v2" true "hpa",
    Event "events" "v1" true "ev",
}

impl Kind {
    /// By the API's kind, whatever its case; `None` for kinds that are not watched.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| {
            k.as_str().eq_ignore_ascii_case(text)
                || k.plural().eq_ignore_ascii_case(text)
                || k.short().eq_ignore_ascii_case(text)
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

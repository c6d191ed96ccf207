//! Services and what stands before and behind them.

use serde::{Deserialize, Serialize};

use super::{Str, StrMap};

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Service {
    /// ClusterIP, NodePort, LoadBalancer, ExternalName
    pub service_type: Str,
    /// spec.clusterIP
    #[serde(default)]
    pub cluster_ip: Str,
    /// spec.externalName
    #[serde(default)]
    pub external_name: Str,
    /// spec.ports
    #[serde(default)]
    pub ports: Vec<ServicePort>,
    /// spec.selector; empty: somebody else makes the endpoints.
    #[serde(default)]
    pub selector: StrMap,
    /// status.loadBalancer.ingress, IPs and host names.
    #[serde(default)]
    pub load_balancer: Vec<Str>,
}

/// One of spec.ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ServicePort {
    /// name
    #[serde(default)]
    pub name: Str,
    /// port
    pub port: u32,
    /// TCP, UDP, SCTP
    #[serde(default)]
    pub protocol: Str,
    /// targetPort, number or name, as text.
    #[serde(default)]
    pub target: Str,
    /// nodePort; 0 where there is none.
    #[serde(default)]
    pub node_port: u32,
}

/// What is kept of an EndpointSlice, or of Endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct EndpointSlice {
    /// The label kubernetes.io/service-name; for Endpoints their own name.
    pub service: Str,
    /// endpoints
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Endpoint {
    /// targetRef.name of a Pod, else the first address.
    pub name: Str,
    /// conditions.ready; unset means true, as the API says.
    pub ready: bool,
}

/// What is kept of an Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Ingress {
    /// spec.ingressClassName, else the old annotation.
    #[serde(default)]
    pub class: Str,
    /// spec.rules, a row per path; a default backend has an empty host.
    #[serde(default)]
    pub rules: Vec<IngressRule>,
    /// spec.tls: hosts and the Secret's name.
    #[serde(default)]
    pub tls: Vec<(Vec<Str>, Str)>,
    /// status.loadBalancer.ingress, IPs and host names.
    #[serde(default)]
    pub load_balancer: Vec<Str>,
}

/// host and path to a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct IngressRule {
    /// host; empty = any.
    #[serde(default)]
    pub host: Str,
    /// path
    #[serde(default)]
    pub path: Str,
    /// `service:port`, or `Kind/name` of a resource backend.
    pub backend: Str,
}

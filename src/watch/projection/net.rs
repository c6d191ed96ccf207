//! Services, EndpointSlices (and Endpoints), Ingresses, IngressClasses.

use super::{
    de::{Count, First, Pairs, Short, slim, strs},
    meta::MetaIn,
};
use crate::object::{Endpoint, EndpointSlice, Ingress, IngressClass, IngressRule, Service, ServicePort, Str};

slim! {
    struct ServiceIn {
        metadata: MetaIn,
        spec: ServiceSpecIn,
        status: BalancedIn,
    }

    struct ServiceSpecIn {
        #[serde(rename = "type")]
        kind: Short,
        #[serde(rename = "clusterIP")]
        cluster_ip: Short,
        external_name: Short,
        ports: Vec<PortIn>,
        selector: Pairs,
    }

    struct PortIn {
        name: Short,
        port: Count,
        protocol: Short,
        target_port: Short,
        node_port: Count,
    }

    struct BalancedIn {
        load_balancer: BalancerIn,
    }

    struct BalancerIn {
        ingress: Vec<AddressIn>,
    }

    struct AddressIn {
        ip: Short,
        hostname: Short,
    }

    struct SliceIn {
        metadata: MetaIn,
        endpoints: Vec<EndpointIn>,
    }

    struct EndpointIn {
        addresses: First<Short>,
        conditions: EndpointConditionsIn,
        target_ref: TargetIn,
    }

    struct EndpointConditionsIn {
        ready: Option<bool>,
    }

    struct TargetIn {
        kind: Short,
        name: Short,
    }

    struct EndpointsIn {
        metadata: MetaIn,
        subsets: Vec<SubsetIn>,
    }

    struct SubsetIn {
        addresses: Vec<SubsetAddressIn>,
        not_ready_addresses: Vec<SubsetAddressIn>,
    }

    struct SubsetAddressIn {
        ip: Short,
        target_ref: TargetIn,
    }

    struct IngressIn {
        metadata: MetaIn,
        spec: IngressSpecIn,
        status: BalancedIn,
    }

    struct IngressSpecIn {
        ingress_class_name: Short,
        #[serde(alias = "backend")]
        default_backend: Option<BackendIn>,
        rules: Vec<RuleIn>,
        tls: Vec<TlsIn>,
    }

    struct RuleIn {
        host: Short,
        http: HttpIn,
    }

    struct HttpIn {
        paths: Vec<PathIn>,
    }

    struct PathIn {
        path: Short,
        backend: BackendIn,
    }

    /// Today's shape and the one of v1beta1.
    struct BackendIn {
        service: BackendServiceIn,
        resource: TargetIn,
        service_name: Short,
        service_port: Short,
    }

    struct BackendServiceIn {
        name: Short,
        port: BackendPortIn,
    }

    struct BackendPortIn {
        name: Short,
        number: Count,
    }

    struct TlsIn {
        hosts: Vec<Short>,
        secret_name: Short,
    }

    struct IngressClassIn {
        metadata: MetaIn,
        spec: IngressClassSpecIn,
    }

    struct IngressClassSpecIn {
        controller: Short,
    }
}

impl From<(ServiceSpecIn, BalancedIn)> for Service {
    fn from((spec, status): (ServiceSpecIn, BalancedIn)) -> Service {
        Service {
            service_type: spec.kind.0,
            cluster_ip: spec.cluster_ip.0,
            external_name: spec.external_name.0,
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            selector: spec.selector.0,
            load_balancer: addresses(status),
        }
    }
}

impl From<PortIn> for ServicePort {
    fn from(p: PortIn) -> ServicePort {
        ServicePort {
            name: p.name.0,
            port: p.port.0,
            protocol: p.protocol.0,
            target: p.target_port.0,
            node_port: p.node_port.0,
        }
    }
}

fn addresses(status: BalancedIn) -> Vec<Str> {
    let each = status.load_balancer.ingress.into_iter();
    each.map(|a| if a.ip.0.is_empty() { a.hostname.0 } else { a.ip.0 }).collect()
}

/// The record of an EndpointSlice. Sorted: the controller's order means nothing, and must not look like a change.
pub(super) fn slice(service: Str, endpoints: Vec<EndpointIn>) -> EndpointSlice {
    let each = endpoints.into_iter().map(|e| Endpoint {
        name: name(e.target_ref, e.addresses.0.unwrap_or_default()),
        ready: e.conditions.ready.unwrap_or(true),
    });
    sorted(service, each.collect())
}

/// The record of an Endpoints object.
pub(super) fn endpoints(service: Str, subsets: Vec<SubsetIn>) -> EndpointSlice {
    let mut all = Vec::new();
    for subset in subsets {
        let ready = subset.addresses.into_iter().map(|a| (a, true));
        let unready = subset.not_ready_addresses.into_iter().map(|a| (a, false));
        all.extend(ready.chain(unready).map(|(a, ready)| Endpoint { name: name(a.target_ref, a.ip), ready }));
    }
    sorted(service, all)
}

fn name(target: TargetIn, address: Short) -> Str {
    if &*target.kind.0 == "Pod" { target.name.0 } else { address.0 }
}

fn sorted(service: Str, mut endpoints: Vec<Endpoint>) -> EndpointSlice {
    endpoints.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    EndpointSlice { service, endpoints }
}

/// The record of an Ingress; before ingressClassName an annotation named the class.
pub(super) fn ingress(spec: IngressSpecIn, status: BalancedIn, old_class: Option<&str>) -> Ingress {
    let mut rules = Vec::new();
    if let Some(backend) = spec.default_backend {
        rules.push(IngressRule { host: Str::default(), path: Str::default(), backend: backend.into() });
    }
    for rule in spec.rules {
        let host = rule.host.0;
        if rule.http.paths.is_empty() {
            // All its traffic goes to the default backend; the host is served all the same.
            rules.push(IngressRule { host: host.clone(), path: Str::default(), backend: Str::default() });
        }
        rules.extend(rule.http.paths.into_iter().map(|p| IngressRule {
            host: host.clone(),
            path: p.path.0,
            backend: p.backend.into(),
        }));
    }
    let class = spec.ingress_class_name.0;
    Ingress {
        class: if class.is_empty() { Str::new(old_class.unwrap_or_default()) } else { class },
        rules,
        tls: spec.tls.into_iter().map(|t| (strs(t.hosts), t.secret_name.0)).collect(),
        load_balancer: addresses(status),
    }
}

impl From<BackendIn> for Str {
    fn from(b: BackendIn) -> Str {
        let text = if !b.service.name.0.is_empty() {
            let port = b.service.port;
            let port =
                if port.name.0.is_empty() { port.number.0.to_string() } else { port.name.0.to_string() };
            format!("{}:{port}", b.service.name.0)
        } else if !b.service_name.0.is_empty() {
            format!("{}:{}", b.service_name.0, b.service_port.0)
        } else {
            format!("{}/{}", b.resource.kind.0, b.resource.name.0)
        };
        Str::new(&text)
    }
}

/// The annotation that names the class of an Ingress without ingressClassName.
pub(super) const OLD_CLASS: &str = "kubernetes.io/ingress.class";

/// The record of an IngressClass.
pub(super) fn ingress_class(spec: IngressClassSpecIn, default: Option<&str>) -> IngressClass {
    IngressClass { controller: spec.controller.0, is_default: default == Some("true") }
}

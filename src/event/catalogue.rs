//! The catalogue: every event type with its family, severity, role and meaning, in one table.
//!
//! The names are the contract of the payload and of the configuration.

use serde::{Deserialize, Serialize};

use super::Severity;

/// A group of types that a connector's `events` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Nodes, pods and the cluster itself.
    Infrastructure,
    /// Workloads and the services in front of them.
    Application,
    /// Found in pod logs.
    Log,
    /// Vulnerabilities, grants, refused access.
    Security,
    /// Money.
    Cost,
    /// Statistics over our own history.
    Recommendation,
    /// What changed, without being wrong.
    Change,
    /// Changes for the worse that can open an incident.
    Trouble,
    /// Kubernetes' own Events.
    Kubernetes,
}

impl Family {
    /// Every family, in the order of the catalogue.
    pub const ALL: [Family; 9] = [
        Family::Infrastructure,
        Family::Application,
        Family::Log,
        Family::Security,
        Family::Cost,
        Family::Recommendation,
        Family::Change,
        Family::Trouble,
        Family::Kubernetes,
    ];

    /// The word in a connector's `events`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::Infrastructure => "infrastructure",
            Family::Application => "application",
            Family::Log => "log",
            Family::Security => "security",
            Family::Cost => "cost",
            Family::Recommendation => "recommendation",
            Family::Change => "change",
            Family::Trouble => "trouble",
            Family::Kubernetes => "kubernetes",
        }
    }
}

/// What a type does to incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Opens an incident or joins one, and holds it open until it ends.
    Opens,
    /// Opens or joins, never holds open.
    OneShot,
    /// Joins an open incident of its subject, never opens one.
    Joins,
    /// Never in an incident.
    #[default]
    Context,
}

/// Whether the type has an end that is an event of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It is a moment.
    Never,
    /// It resolves after its end has held for this many seconds (`heal_for_secs` of the configuration wins).
    After(u32),
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct TypeDef {
    /// The type.
    pub event_type: EventType,
    /// `pod_crash_loop`
    pub name: &'static str,
    /// Usually one; a type may be in two.
    pub families: &'static [Family],
    /// The default severity.
    pub severity: Severity,
    /// The default role; a rule may give an event a lesser one.
    pub role: Role,
    /// Its end.
    pub ends: Ends,
    /// What must be switched on for it to fire; `None` when watching is enough.
    pub needs: Option<&'static str>,
    /// One sentence for a person.
    pub means: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident $name:literal [$($family:ident),+] $severity:ident $role:ident $ends:expr, $needs:expr, $means:literal;)*) => {
        /// A type of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventType {
            $(#[doc = $means] #[serde(rename = $name)] $variant,)*
        }

        const TABLE: &[TypeDef] = &[
            $(TypeDef {
                event_type: EventType::$variant,
                name: $name,
                families: &[$(Family::$family),+],
                severity: Severity::$severity,
                role: Role::$role,
                ends: $ends,
                needs: $needs,
                means: $means,
            },)*
        ];
    };
}

const HEAL: Ends = Ends::After(60);
const HEAL_LOOP: Ends = Ends::After(300);
const NEVER: Ends = Ends::Never;
const LOGS: Option<&str> = Some("log detection");
const METRICS: Option<&str> = Some("metrics.k8s.io");
const PRICES: Option<&str> = Some("a price table");
const AUDIT: Option<&str> = Some("an audit source");

catalogue! {
    NodeScaledDown "node_scaled_down" [Infrastructure] Medium OneShot NEVER, None, "A Node was removed from the cluster.";
    NodeUnhealthy "node_unhealthy" [Infrastructure] Critical Opens HEAL, None, "A Node is not Ready, or under memory, disk, PID or network trouble.";
    PodRestarted "pod_restarted" [Infrastructure] Medium OneShot NEVER, None, "A container of a Pod was restarted.";
    PodCrashLoop "pod_crash_loop" [Infrastructure] Critical Opens HEAL_LOOP, None, "A container keeps crashing.";
    PodOomRestart "pod_oom_restart" [Infrastructure] High OneShot NEVER, None, "A container was killed for using more memory than it may.";
    ClusterUnhealthy "cluster_unhealthy" [Infrastructure] Critical Opens HEAL, None, "The API server does not answer, or many nodes are unhealthy at once.";
    HighCpu "high_cpu" [Infrastructure] High Opens HEAL, METRICS, "A workload uses more than 90 % of its CPU.";
    ConnectorFailed "connector_failed" [Infrastructure] High Opens Ends::After(0), None, "One of our own connectors cannot deliver.";
    WarningRateAnomaly "warning_rate_anomaly" [Infrastructure] Medium Opens HEAL, Some("event history"), "A workload warns far more often than it usually does.";
    DeploymentScaled "deployment_scaled" [Application, Change] Low Context NEVER, None, "The wanted number of replicas changed.";
    HpaMaxed "hpa_maxed" [Application] High Opens HEAL, None, "An autoscaler wants more replicas than its maximum.";
    PodStartFailed "pod_start_failed" [Application] High Opens HEAL, None, "A container cannot be created or started.";
    PodUnready "pod_unready" [Application] Medium Opens HEAL, None, "A running Pod has lost its readiness.";
    PodStuckTerminating "pod_stuck_terminating" [Application] Medium Opens HEAL, None, "A deleted Pod does not go away.";
    WorkloadBlocked "workload_blocked" [Application] High Opens HEAL, None, "A workload cannot create its Pods.";
    WorkloadDegraded "workload_degraded" [Application] High Opens HEAL, None, "A workload has had fewer ready Pods than wanted for minutes.";
    ServiceUnavailable "service_unavailable" [Application] Critical Opens HEAL, None, "A Service has no ready endpoint.";
    Http500 "http_500" [Log] High Opens Ends::After(300), LOGS, "Requests are answered with 500.";
    Http502 "http_502" [Log] High Opens Ends::After(300), LOGS, "Requests are answered with 502.";
    FailedPost "failed_post" [Log] Medium Opens Ends::After(300), LOGS, "POST requests fail.";
    SecurityVulnerability "security_vulnerability" [Security] High OneShot NEVER, Some("the Trivy Operator"), "A new vulnerability or a breach of Pod Security Standards.";
    RbacViolation "rbac_violation" [Security] High OneShot NEVER, AUDIT, "A refused request, or a dangerous grant.";
    UnauthorizedAccess "unauthorized_access" [Security] High OneShot NEVER, AUDIT, "A request without valid credentials.";
    CostThresholdExceeded "cost_threshold_exceeded" [Cost] High Opens HEAL, PRICES, "The projected monthly cost crosses its threshold.";
    CostReport "cost_report" [Cost] Info Context NEVER, PRICES, "The daily report of what the cluster costs.";
    IdleResourceDetected "idle_resource_detected" [Cost] Low Context NEVER, METRICS, "A workload, volume or load balancer is not used.";
    HighImpactRecommendation "high_impact_recommendation" [Recommendation] Medium Context NEVER, METRICS, "A request is far from what is needed.";
    CostOptimizationAvailable "cost_optimization_available" [Recommendation] Low Context NEVER, METRICS, "A request could be lowered.";
    PodStatusChanged "pod_status_changed" [Change] Info Context NEVER, None, "A Pod's phase or readiness changed.";
    EndpointsChanged "endpoints_changed" [Change] Info Context NEVER, None, "The number of a Service's endpoints changed.";
    PodCreated "pod_created" [Change] Info Context NEVER, None, "A Pod was created.";
    PodDeleted "pod_deleted" [Change] Info Context NEVER, None, "A Pod was deleted.";
    PodFailed "pod_failed" [Trouble] High OneShot NEVER, None, "A Pod ended in phase Failed.";
    PodEvicted "pod_evicted" [Trouble] Medium OneShot NEVER, None, "The kubelet evicted a Pod.";
    PodUnschedulable "pod_unschedulable" [Trouble] High Opens HEAL, None, "No node can take a Pod.";
    ImagePullFailed "image_pull_failed" [Trouble] High Opens HEAL, None, "A container's image cannot be pulled.";
    RolloutStarted "rollout_started" [Change] Info Context NEVER, None, "A workload's Pod template changed.";
    RolloutCompleted "rollout_completed" [Change] Info Context NEVER, None, "Every Pod runs the new template.";
    RolloutStuck "rollout_stuck" [Trouble] High Opens HEAL, None, "A rollout passed its deadline without finishing.";
    ImageChanged "image_changed" [Change] Low Context NEVER, None, "A workload's image changed.";
    RolloutRolledBack "rollout_rolled_back" [Change] Medium Context NEVER, None, "A workload went back to an earlier template.";
    ConfigChanged "config_changed" [Change] Low Context NEVER, None, "Keys of a ConfigMap or Secret changed.";
    HelmReleaseInstalled "helm_release_installed" [Change] Low Context NEVER, None, "A Helm release was installed.";
    HelmReleaseUpdated "helm_release_updated" [Change] Low Context NEVER, None, "A Helm release was upgraded or rolled back.";
    HelmReleaseUninstalled "helm_release_uninstalled" [Change] Low Context NEVER, None, "A Helm release was removed.";
    ServiceChanged "service_changed" [Change] Low Context NEVER, None, "A Service was created, deleted, or its type, ports or selector changed.";
    IngressChanged "ingress_changed" [Change] Low Context NEVER, None, "An Ingress was created, deleted, or its hosts or backends changed.";
    WorkloadCreated "workload_created" [Change] Info Context NEVER, None, "A workload was created.";
    WorkloadDeleted "workload_deleted" [Change] Info Context NEVER, None, "A workload was deleted.";
    NodeAdded "node_added" [Change] Info Context NEVER, None, "A Node joined the cluster.";
    NodeCordoned "node_cordoned" [Change] Info Context NEVER, None, "A Node was marked unschedulable.";
    NodeUncordoned "node_uncordoned" [Change] Info Context NEVER, None, "A Node was made schedulable again.";
    NamespaceCreated "namespace_created" [Change] Info Context NEVER, None, "A Namespace was created.";
    NamespaceTerminating "namespace_terminating" [Change] Info Context NEVER, None, "A Namespace is being deleted.";
    NamespaceDeleted "namespace_deleted" [Change] Medium Context NEVER, None, "A Namespace is gone.";
    NamespaceStuck "namespace_stuck" [Trouble] High Opens HEAL, None, "A deleted Namespace does not go away.";
    JobFailed "job_failed" [Trouble] High Opens HEAL, None, "A Job failed.";
    CronjobMissed "cronjob_missed" [Trouble] High Opens HEAL, None, "A CronJob did not start at its time.";
    PvcPending "pvc_pending" [Trouble] Medium Opens HEAL, None, "A volume claim is not bound.";
    PvFailed "pv_failed" [Trouble] High Opens HEAL, None, "A volume failed, or a claim lost its volume.";
    PvcUsageHigh "pvc_usage_high" [Trouble] High Opens HEAL, Some("kubelet stats (nodes/proxy)"), "A volume is nearly full.";
    CertificateExpiring "certificate_expiring" [Trouble] High Opens HEAL, None, "A TLS certificate ends soon.";
    KubernetesEvent "kubernetes_event" [Kubernetes] Medium OneShot NEVER, None, "Kubernetes reported something about an object.";
}

/// Names that stand for several types in a connector's `events`; some look closer than the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alias {
    PodCrash,
    NodeDown,
    SecurityIssue,
}

const ALIASES: &[(&str, Alias)] = &[
    ("pod_crash", Alias::PodCrash),
    ("node_down", Alias::NodeDown),
    ("security_issue", Alias::SecurityIssue),
];

/// The names of all aliases, for forms and messages.
pub fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(name, _)| *name)
}

/// Every word that `events` and `type:` take: types, families, aliases, `all`.
pub fn selectable() -> impl Iterator<Item = &'static str> + Clone {
    TABLE
        .iter()
        .map(|d| d.name)
        .chain(Family::ALL.into_iter().map(Family::as_str))
        .chain(ALIASES.iter().map(|(name, _)| *name))
        .chain(std::iter::once("all"))
}

/// The names of all types, in the order of the catalogue.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|d| d.name)
}

impl EventType {
    /// The whole catalogue.
    pub fn all() -> &'static [TypeDef] {
        TABLE
    }

    /// This type's row.
    pub fn def(self) -> &'static TypeDef {
        // The table and the enum come from one list, so the discriminant is the row.
        &TABLE[self as usize]
    }

    /// `pod_crash_loop`
    pub fn name(self) -> &'static str {
        self.def().name
    }

    /// By its name on the wire.
    pub fn parse(name: &str) -> Option<EventType> {
        TABLE.iter().find(|d| d.name == name).map(|d| d.event_type)
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A name in `events` that is no type, family, alias or `all`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type {name:?}{}", nearest.map(|n| format!(": did you mean {n:?}?")).unwrap_or_default())]
pub struct TypeNameError {
    /// What was written.
    pub name: String,
    /// The nearest name that exists, if any is near.
    pub nearest: Option<&'static str>,
}

/// What a connector's `events` selects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypeSet {
    all: bool,
    types: Vec<EventType>,
    aliases: Vec<Alias>,
}

impl TypeSet {
    /// Every type.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// From the names of types, families, aliases and `all`.
    ///
    /// # Errors
    /// Every unknown name, each with the nearest name that exists.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, Vec<TypeNameError>> {
        let mut set = Self::default();
        let mut errors = Vec::new();
        for name in names {
            let name = name.as_ref().trim();
            if name == "all" {
                set.all = true;
            } else if let Some(event_type) = EventType::parse(name) {
                set.types.push(event_type);
            } else if let Some(family) = Family::ALL.into_iter().find(|f| f.as_str() == name) {
                set.types.extend(TABLE.iter().filter(|d| d.families.contains(&family)).map(|d| d.event_type));
            } else if let Some((_, alias)) = ALIASES.iter().find(|(n, _)| *n == name) {
                set.aliases.push(*alias);
            } else {
                errors.push(TypeNameError {
                    name: name.to_owned(),
                    nearest: super::nearest(name, selectable()),
                });
            }
        }
        set.types.sort_unstable();
        set.types.dedup();
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Whether an event of this type, with these details, is selected.
    pub fn contains(
        &self,
        event_type: EventType,
        details: &serde_json::Map<String, serde_json::Value>,
    ) -> bool {
        self.all
            || self.types.binary_search(&event_type).is_ok()
            || self.aliases.iter().any(|a| a.matches(event_type, details))
    }

    /// Takes in what another set selects.
    pub fn extend(&mut self, other: &TypeSet) {
        self.all |= other.all;
        self.types.extend(&other.types);
        self.types.sort_unstable();
        self.types.dedup();
        self.aliases.extend(&other.aliases);
    }

    /// Every type that can be selected, for sample rendering and for telling which cannot fire.
    pub fn types(&self) -> Vec<EventType> {
        let empty = serde_json::Map::new();
        TABLE
            .iter()
            .map(|d| d.event_type)
            .filter(|t| self.contains(*t, &empty) || self.aliases.iter().any(|a| a.types().contains(t)))
            .collect()
    }
}

impl Alias {
    fn types(self) -> &'static [EventType] {
        match self {
            Alias::PodCrash => &[EventType::PodCrashLoop, EventType::PodOomRestart, EventType::PodRestarted],
            Alias::NodeDown => &[EventType::NodeUnhealthy],
            Alias::SecurityIssue => {
                &[EventType::SecurityVulnerability, EventType::RbacViolation, EventType::UnauthorizedAccess]
            }
        }
    }

    fn matches(self, event_type: EventType, details: &serde_json::Map<String, serde_json::Value>) -> bool {
        if !self.types().contains(&event_type) {
            return false;
        }
        match event_type {
            // A restart after a clean exit is no crash.
            EventType::PodRestarted => {
                details.get("exit_code").and_then(serde_json::Value::as_i64).is_some_and(|c| c != 0)
            }
            // Pressure is trouble, but the node is not down.
            EventType::NodeUnhealthy => {
                details.get("condition").and_then(serde_json::Value::as_str) == Some("Ready")
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_type() {
        for def in EventType::all() {
            assert_eq!(def.event_type.def().name, def.name);
            assert_eq!(serde_json::to_value(def.event_type).unwrap(), def.name);
        }
    }

    #[test]
    fn families_aliases_and_all_select_what_they_name() {
        let mut exit = serde_json::Map::new();
        let set = TypeSet::parse(&["pod_crash", "trouble"]).unwrap();
        assert!(set.contains(EventType::PodCrashLoop, &exit));
        assert!(!set.contains(EventType::PodRestarted, &exit));
        exit.insert("exit_code".into(), 1.into());
        assert!(set.contains(EventType::PodRestarted, &exit));
        assert!(set.contains(EventType::JobFailed, &exit));
        assert!(!set.contains(EventType::PodCreated, &exit));
        assert!(TypeSet::parse(&["all"]).unwrap().contains(EventType::PodCreated, &exit));
        assert!(TypeSet::parse(&["change"]).unwrap().contains(EventType::DeploymentScaled, &exit));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest_one() {
        let errors = TypeSet::parse(&["pod_crashlop", "nonsense_entirely"]).unwrap_err();
        assert_eq!(errors[0].nearest, Some("pod_crash_loop"));
        assert_eq!(errors[1].nearest, None);
    }
}

//! The options that every connector has: what it is told, and how. The pipeline asks `passes`; nobody sends here.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::options::{Options, Problem};
use crate::event::{
    Event, Role, Severity, TypeSet,
    filter::{Filter, Glob},
};

/// The names of the common options, for forms and for refusing unknown ones.
pub const COMMON: &[&str] = &[
    "events",
    "severity",
    "conditions",
    "deliver",
    "repeat_interval_secs",
    "max_per_minute",
    "settle_secs",
    "ca_file",
    "allow_insecure_http",
];

const CONDITIONS: &[&str] =
    &["namespace", "cluster", "labels", "severity", "min_count", "within_secs", "cost_threshold", "filter"];

/// Where a cost event keeps its projected monthly cost.
pub const COST_DETAIL: &str = "monthly_cost";

/// One message per incident, or one per event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deliver {
    /// Opened, worse, repeated, resolved: the default of everything that a person reads.
    #[default]
    Incidents,
    /// Each stored event that passes, once: the default of painchain.
    Events,
}

/// What a connector is told, and how.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// The connector's name.
    pub name: String,
    /// `None`: by role, see `passes`.
    pub events: Option<TypeSet>,
    /// The minimum.
    pub severity: Option<Severity>,
    /// All of them must hold.
    pub conditions: Conditions,
    /// Incidents or events.
    pub deliver: Deliver,
    /// A reminder while open; `None` = the general setting.
    pub repeat_interval: Option<Duration>,
    /// Above this, the rest of a minute is folded into one summary; `None` = no brake.
    pub max_per_minute: Option<u32>,
    /// How long a message waits for worse to come; `None` = by severity.
    pub settle: Option<Duration>,
    /// Extra CA certificates for this destination, PEM.
    pub ca_file: Option<PathBuf>,
    /// Plain http to other hosts than loopback.
    pub allow_insecure_http: bool,
}

/// `conditions`: one that looks at a value that the event does not have is false.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Any of these globs.
    pub namespaces: Vec<Glob>,
    /// Any of these globs.
    pub clusters: Vec<Glob>,
    /// Each of these labels, the value as a glob.
    pub labels: BTreeMap<String, Glob>,
    /// One of these, exactly.
    pub severities: Vec<Severity>,
    /// At least so many occurrences …
    pub min_count: Option<u64>,
    /// … of which the first and the last are not further apart.
    pub within: Option<Duration>,
    /// At least this projected monthly cost.
    pub cost_threshold: Option<f64>,
    /// The filter language of the screen.
    pub filter: Option<Filter>,
}

impl Common {
    /// Reads the common options; `defaults` are the kind's own.
    pub fn parse(
        name: &str,
        config: &Map<String, Value>,
        defaults: (Deliver, Option<u32>),
    ) -> (Self, Vec<Problem>) {
        let mut options = Options::new(config);
        let deliver = options
            .choice("deliver", &[("incidents", Deliver::Incidents), ("events", Deliver::Events)])
            .unwrap_or(defaults.0);
        // Every event of a stream is wanted there: a brake would fold what a machine reads.
        let brake = if deliver == Deliver::Events { None } else { defaults.1 };
        let mut common = Self {
            name: name.to_owned(),
            deliver,
            severity: severity(&mut options, "severity"),
            repeat_interval: options.number("repeat_interval_secs").map(Duration::from_secs),
            max_per_minute: match options.number("max_per_minute") {
                None => brake,
                Some(0) => None,
                Some(n) => Some(u32::try_from(n).unwrap_or(u32::MAX)),
            },
            settle: options.number("settle_secs").map(Duration::from_secs),
            ca_file: options.text("ca_file").map(PathBuf::from),
            allow_insecure_http: options.flag("allow_insecure_http").unwrap_or(false),
            ..Self::default()
        };
        if let Some(names) = options.list("events") {
            match TypeSet::parse(&names) {
                Ok(set) => common.events = Some(set),
                Err(errors) => {
                    for error in errors {
                        options.bad("events", error.to_string());
                    }
                }
            }
        }
        let mut problems = options.problems;
        problems.extend(unfit_name(name));
        match config.get("conditions") {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                let (conditions, more) = Conditions::parse(map);
                common.conditions = conditions;
                problems.extend(more);
            }
            Some(_) => problems.push(Problem::invalid("conditions", "must be a table")),
        }
        (common, problems)
    }

    /// Whether this connector is told of the event at all.
    pub fn passes(&self, event: &Event, now: Timestamp) -> bool {
        let selected = match (&self.events, self.deliver) {
            (Some(set), _) => set.contains(event.event_type, &event.details),
            (None, Deliver::Events) => true,
            (None, Deliver::Incidents) => event.role != Role::Context,
        };
        selected && self.severity.is_none_or(|min| event.severity >= min) && self.conditions.hold(event, now)
    }
}

/// A name is a part of keys, labels and commands: `barrelman connectors test 'name'`.
fn unfit_name(name: &str) -> Option<Problem> {
    let unfit = |c: char| c.is_control() || matches!(c, '\'' | '"' | '`' | '\\');
    if name.trim() != name || name.is_empty() || name.chars().count() > 100 || name.contains(unfit) {
        let rule = "must be 1 to 100 characters without quotes, backslashes, line breaks and outer spaces";
        return Some(Problem::invalid("name", rule));
    }
    None
}

impl Conditions {
    fn parse(map: &Map<String, Value>) -> (Self, Vec<Problem>) {
        let mut options = Options::nested(map, "conditions.");
        options.refuse_unknown(CONDITIONS);
        let mut severities = Vec::new();
        for word in options.list("severity").unwrap_or_default() {
            match word.parse() {
                Ok(severity) => severities.push(severity),
                Err(error) => options.bad("severity", format!("{error}")),
            }
        }
        let conditions = Self {
            namespaces: globs(&mut options, "namespace"),
            clusters: globs(&mut options, "cluster"),
            labels: options.texts("labels").into_iter().map(|(k, v)| (k, Glob::exact(&v))).collect(),
            severities,
            min_count: options.number("min_count"),
            within: options.number("within_secs").map(Duration::from_secs),
            cost_threshold: options.amount("cost_threshold"),
            filter: filter(&mut options),
        };
        if conditions.within.is_some() && conditions.min_count.is_none() {
            options.bad("within_secs", "needs min_count: how many within this time");
        }
        (conditions, options.problems)
    }

    fn hold(&self, event: &Event, now: Timestamp) -> bool {
        let namespace = &event.object.namespace;
        any(&self.namespaces, namespace)
            && any(&self.clusters, &event.cluster)
            && self.labels.iter().all(|(name, glob)| event.labels.get(name).is_some_and(|v| glob.matches(v)))
            && (self.severities.is_empty() || self.severities.contains(&event.severity))
            && self.min_count.is_none_or(|n| event.count >= n)
            && self.within.is_none_or(|within| spread(event) <= within)
            && self.cost_threshold.is_none_or(|min| {
                event.details.get(COST_DETAIL).and_then(Value::as_f64).is_some_and(|cost| cost >= min)
            })
            && self.filter.as_ref().is_none_or(|f| f.matches(event, now))
    }
}

/// From the first to the last of the folded occurrences.
fn spread(event: &Event) -> Duration {
    Duration::try_from(event.last_seen.duration_since(event.first_seen)).unwrap_or_default()
}

fn filter(options: &mut Options<'_>) -> Option<Filter> {
    let text = options.text("filter")?;
    match Filter::parse(&text, &jiff::tz::TimeZone::system()) {
        Ok(filter) => Some(filter),
        Err(error) => {
            options.bad("filter", format!("{error}"));
            None
        }
    }
}

fn severity(options: &mut Options<'_>, option: &str) -> Option<Severity> {
    match options.text(option)?.parse() {
        Ok(severity) => Some(severity),
        Err(error) => {
            options.bad(option, format!("{error}"));
            None
        }
    }
}

fn any(globs: &[Glob], value: &str) -> bool {
    globs.is_empty() || (!value.is_empty() && globs.iter().any(|g| g.matches(value)))
}

fn globs(options: &mut Options<'_>, option: &str) -> Vec<Glob> {
    options.list(option).unwrap_or_default().iter().map(|text| Glob::exact(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::samples, event::EventType};

    fn common(config: &Value) -> Common {
        let (common, problems) =
            Common::parse("c", config.as_object().unwrap(), (Deliver::Incidents, Some(30)));
        assert_eq!(problems, []);
        common
    }

    #[test]
    fn a_missing_events_means_what_opens_or_joins() {
        let (crash, created) =
            (samples::event(EventType::PodCrashLoop), samples::event(EventType::PodCreated));
        let now = crash.timestamp;
        let incidents = common(&serde_json::json!({}));
        assert!(incidents.passes(&crash, now) && !incidents.passes(&created, now));
        let events = common(&serde_json::json!({"deliver": "events"}));
        assert!(events.passes(&crash, now) && events.passes(&created, now));
        assert_eq!((incidents.max_per_minute, events.max_per_minute), (Some(30), None));
    }

    #[test]
    fn conditions_are_and_and_false_without_a_value() {
        let mut event = samples::event(EventType::PodCrashLoop);
        let now = event.timestamp;
        event.object.namespace = "team-a".into();
        event.labels = BTreeMap::from([("app".into(), "shop".into())]);
        let passes = |config: Value, event: &Event| common(&config).passes(event, now);
        assert!(passes(serde_json::json!({"conditions": {"namespace": ["x", "team-*"]}}), &event));
        assert!(!passes(serde_json::json!({"conditions": {"namespace": "team-?b"}}), &event));
        assert!(
            !passes(serde_json::json!({"conditions": {"namespace": "Team-*"}}), &event),
            "as it is written"
        );
        assert!(passes(serde_json::json!({"conditions": {"labels": {"app": "sh*"}}}), &event));
        assert!(!passes(serde_json::json!({"conditions": {"labels": {"tier": "*"}}}), &event));
        assert!(!passes(serde_json::json!({"conditions": {"cost_threshold": 10}}), &event));
        assert!(passes(
            serde_json::json!({"severity": "high", "conditions": {"severity": ["critical"]}}),
            &event
        ));
        assert!(!passes(serde_json::json!({"conditions": {"severity": ["high", "low"]}}), &event));
        let node = samples::event(EventType::NodeUnhealthy);
        assert!(
            !passes(serde_json::json!({"conditions": {"namespace": "*"}}), &node),
            "a node has no namespace"
        );
        event.count = 5;
        event.last_seen = event.first_seen + jiff::SignedDuration::from_secs(61);
        assert!(passes(serde_json::json!({"conditions": {"min_count": 5}}), &event));
        assert!(!passes(serde_json::json!({"conditions": {"min_count": 5, "within_secs": 60}}), &event));
    }

    #[test]
    fn wrong_options_are_named() {
        let config = serde_json::json!({"events": ["pod_crashlop"], "conditions": {"namspace": "x", "within_secs": 3}});
        let (_, problems) = Common::parse("c", config.as_object().unwrap(), (Deliver::Incidents, None));
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said[0].contains("did you mean \"pod_crash_loop\"?"), "{said:?}");
        assert!(said[1].contains("did you mean \"namespace\"?"), "{said:?}");
        assert!(said[2].contains("needs min_count"), "{said:?}");
    }

    #[test]
    fn a_name_that_breaks_keys_or_commands_is_refused() {
        let problems = |name: &str| Common::parse(name, &Map::new(), (Deliver::Incidents, None)).1;
        for name in ["a\nb", "a'b", "a\"b", "a\0b", "", " a", "a\\b"] {
            assert_eq!(problems(name).len(), 1, "{name:?}");
        }
        for name in ["slack-oncall", "Ops (Zürich), 24/7", "a_b.c"] {
            assert_eq!(problems(name), [], "{name:?}");
        }
    }
}

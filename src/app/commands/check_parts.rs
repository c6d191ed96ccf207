//! What `check` looks at: each part answers findings. Reads only; sends nothing that a person would see.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use jiff::SignedDuration;

use super::{
    check::{Area, Finding},
    check_store,
    out::span,
    running,
};
use crate::{
    app::{
        connector_edits::told,
        connectors::{Workshop, all_specs},
    },
    config::{ConnectorSpec, Origin, Settings, WatchSettings},
    connector::Built,
    detect::{CONDITIONS, MOMENTS},
    event::{EventType, Kind},
    store::{CONNECTOR_STATES, ConnectorState, Read, Reader},
    watch::{self, Clock, Diagnosis, Extras},
};

/// Credentials that end within this time are told.
const SOON: SignedDuration = SignedDuration::from_hours(24);
/// A connector's own time-out ends a check before this.
const CHECK_WITHIN: Duration = Duration::from_secs(30);

pub use check_store::store;

/// Every cluster: can it be reached, as whom, with which rights. Also how many were reached, of how many.
pub async fn clusters(settings: &Settings, clock: Clock) -> (Vec<Finding>, usize, usize) {
    let extras = Extras { logs: settings.incidents.logs, manifests: false };
    let diagnoses = watch::diagnose(&settings.clusters, &settings.watch, extras, clock).await;
    let reached = diagnoses.iter().filter(|d| d.problem.is_none()).count();
    let asked = diagnoses.len();
    (diagnoses.into_iter().flat_map(|d| cluster(d, clock)).collect(), reached, asked)
}

fn cluster(diagnosis: Diagnosis, clock: Clock) -> Vec<Finding> {
    let what = format!("cluster {}", diagnosis.cluster);
    let mut findings = Vec::new();
    if let Some(problem) = diagnosis.problem {
        let at = if diagnosis.server.is_empty() { String::new() } else { format!(" ({})", diagnosis.server) };
        let text = format!("{}{at}", problem.what);
        findings.push(Finding::fail(Area::Reach, &what, text, problem.fault.next_step()));
    } else {
        let text = format!("{} answers, Kubernetes {}", diagnosis.server, diagnosis.version);
        findings.push(Finding::ok(Area::Reach, &what, text));
    }
    if let Some(end) = diagnosis.credentials_end {
        let left = end.duration_since(clock());
        if left > SignedDuration::ZERO && left < SOON {
            let text = format!("the credentials end in {}", span(left.as_secs().unsigned_abs()));
            let next = "renew them before then; they are read again by themselves";
            findings.push(Finding::warn(Area::Cluster, &what, text, next));
        }
    }
    for rule in &diagnosis.missing {
        let next = "barrelman rbac | kubectl apply -f -";
        findings.push(Finding::fail(Area::Cluster, &what, format!("the right is missing: {rule}"), next));
    }
    for kind in &diagnosis.absent {
        let text = format!("the server has no {}", kind.plural());
        let next = format!("nothing to do, or [watch.kinds] {} = false", kind.plural());
        findings.push(Finding::warn(Area::Cluster, &what, text, next));
    }
    for remark in &diagnosis.remarks {
        findings.push(Finding::warn(Area::Cluster, &what, remark, "check watch.namespaces"));
    }
    if findings.len() == 1 && findings.iter().all(|f| f.area == Area::Reach && f.next.is_empty()) {
        findings.push(Finding::ok(Area::Cluster, &what, "every right that is needed is there"));
    }
    findings
}

/// Every connector: can it be used, does the service answer, can what it wants happen.
pub async fn connectors(settings: &Settings, offline: bool) -> Vec<Finding> {
    let area = Area::Connector;
    let workshop = match Workshop::new(settings) {
        Ok(workshop) => workshop,
        Err(error) => {
            let next = "correct delivery.ca_file";
            return vec![Finding::fail(area, "connectors", format!("{error:#}"), next)];
        }
    };
    let mut findings = Vec::new();
    let mut built = Vec::new();
    let specs = specs(settings);
    for (spec, paused) in &specs {
        let what = format!("connector {} ({})", spec.name, spec.kind);
        match workshop.build(spec) {
            Err(problems) => {
                let (text, next) = (told(&problems), where_to_mend(spec));
                findings.push(if spec.enabled {
                    Finding::fail(area, &what, text, next)
                } else {
                    Finding::warn(area, &what, format!("off; {text}"), next)
                });
            }
            Ok(_) if !spec.enabled => {
                let next = format!("barrelman connectors enable '{}'", spec.name);
                findings.push(Finding::warn(area, &what, "off: it is told nothing", next));
            }
            Ok(one) => {
                if let Some(why) = paused {
                    let next = format!("mend it, then: barrelman connectors enable '{}'", spec.name);
                    findings.push(Finding::fail(area, &what, format!("paused itself: {why}"), next));
                }
                built.push((what, one));
            }
        }
    }
    if specs.is_empty() {
        let next = "barrelman connectors add, import, or [[connectors]] in the configuration file";
        findings.push(Finding::warn(area, "connectors", "there is none: nobody is told anything", next));
    }
    if !offline {
        findings.extend(join_all(built.iter().map(|(what, built)| answers(what, built))).await);
    }
    for (what, built) in &built {
        findings.extend(cannot_fire(what, built, &settings.watch));
    }
    findings
}

fn where_to_mend(spec: &ConnectorSpec) -> String {
    match spec.origin {
        Origin::File => "correct it in the configuration file".into(),
        Origin::Environment => "correct PAINCHAIN_API_URL and what belongs to it".into(),
        Origin::Store => "correct it in the dashboard, or: barrelman connectors import --replace".into(),
    }
}

async fn answers(what: &str, built: &Built) -> Finding {
    let asked = tokio::time::timeout(CHECK_WITHIN, built.connector.check()).await;
    match asked.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_WITHIN.as_secs()))) {
        Ok(line) => Finding::ok(Area::Connector, what, line),
        Err(line) => {
            let next =
                format!("correct its settings, then: barrelman connectors test '{}'", built.common.name);
            Finding::fail(Area::Connector, what, line, next)
        }
    }
}

/// All connectors with the switch that is in force, and why they paused themselves.
fn specs(settings: &Settings) -> Vec<(ConnectorSpec, Option<String>)> {
    let fixed = || settings.connectors.iter().map(|s| (s.clone(), None)).collect();
    // What is wrong with the store is told with the store.
    let Ok(snapshot) = Reader::open(&settings.store.dir).and_then(|r| r.snapshot()) else { return fixed() };
    let Ok(specs) = all_specs(settings, &snapshot) else { return fixed() };
    let with_state = |mut spec: ConnectorSpec| {
        let state: ConnectorState =
            snapshot.get(&CONNECTOR_STATES, &spec.name).ok().flatten().unwrap_or_default();
        if spec.origin != Origin::Store {
            spec.enabled = state.enabled.unwrap_or(spec.enabled);
        }
        (spec, state.paused.map(|(_, why)| why))
    };
    specs.into_iter().map(with_state).collect()
}

/// Types that a connector names and that cannot happen, with what would change that. Silent where it takes all.
fn cannot_fire(what: &str, built: &Built, watch: &WatchSettings) -> Option<Finding> {
    let types = built.common.events.as_ref()?.types();
    if types.len() == EventType::all().len() {
        return None;
    }
    let mut lines = Vec::new();
    let mut kinds = BTreeSet::new();
    for event_type in types {
        let (made, of) = makers(event_type);
        match event_type.def().needs {
            Some(needs) if made => lines.push(format!("{event_type} (only with {needs})")),
            Some(needs) => {
                lines.push(format!("{event_type} (needs {needs}, which this version does not read)"));
            }
            None if !of.is_empty() && of.iter().all(|k| !watch.kinds.contains(k)) => {
                let off: Vec<&str> = of.iter().map(|k| k.plural()).collect();
                lines.push(format!("{event_type} ({} switched off)", off.join(", ")));
                kinds.extend(of);
            }
            None => {}
        }
    }
    if lines.is_empty() {
        return None;
    }
    let next = match kinds.into_iter().map(Kind::plural).collect::<Vec<_>>().as_slice() {
        [] => "nothing to do, or take them out of its events".to_owned(),
        off => format!("[watch.kinds] {} = true, or take them out of its events", off.join(" = true, ")),
    };
    Some(Finding::warn(Area::Connector, what, format!("these cannot happen: {}", lines.join(", ")), next))
}

/// Whether a rule tells of this type, and the kinds that its rules look at.
fn makers(event_type: EventType) -> (bool, BTreeSet<Kind>) {
    let conditions = CONDITIONS.iter().filter(|r| r.types().contains(&event_type)).map(|r| r.kind());
    let moments = MOMENTS.iter().filter(|r| r.types().contains(&event_type));
    let kinds: BTreeSet<Kind> = conditions.chain(moments.flat_map(|r| r.kinds().iter().copied())).collect();
    (!kinds.is_empty(), kinds)
}

/// The engine that serves the data directory, in words.
pub async fn served(settings: &Settings) -> Result<Option<String>, String> {
    match running::status(&settings.store.dir).await {
        Ok(status) => Ok(status.map(|s| format!("a running barrelman holds it (pid {}, {})", s.pid, s.mode))),
        Err(error) => Err(format!("{error:#}")),
    }
}

//! What `check` looks at: each part answers findings. Reads only; sends nothing that a person would see.

use std::time::Duration;

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
        configuration::called,
        connector_edits::told,
        connectors::{Workshop, all_specs},
        never,
    },
    config::{ConnectorSpec, Flags, Origin, Settings, WatchSettings, secret},
    connector::{Built, Checked},
    status,
    store::{CONNECTOR_STATES, ConnectorState, Read, Reader},
    watch::{self, Clock, Diagnosis, Extras},
};

/// Credentials that end within this time are told.
const SOON: SignedDuration = SignedDuration::from_hours(24);
/// A connector's own time-out ends a check before this.
const CHECK_WITHIN: Duration = Duration::from_secs(30);

pub use check_store::store;

/// Every cluster: can it be reached, as whom, with which rights. Also how many were reached, of how many.
pub async fn clusters(settings: &Settings, flags: &Flags, clock: Clock) -> (Vec<Finding>, usize, usize) {
    let extras = Extras { logs: settings.incidents.logs, manifests: false };
    let diagnoses = watch::diagnose(&settings.clusters, &settings.watch, extras, clock).await;
    let reached = diagnoses.iter().filter(|d| d.problem.is_none()).count();
    let asked = diagnoses.len();
    let twice = twice(&diagnoses);
    (
        diagnoses.iter().flat_map(|d| cluster(d, (&settings.watch, flags), clock)).chain(twice).collect(),
        reached,
        asked,
    )
}

/// Contexts that lead to one cluster: it is watched once.
fn twice(diagnoses: &[Diagnosis]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, one) in diagnoses.iter().enumerate().filter(|(_, d)| d.uid.is_some()) {
        if let Some(first) = diagnoses.iter().take(i).find(|d| d.uid == one.uid) {
            let text = format!("is the same cluster as {}, which is watched", first.cluster);
            let what = format!("cluster {}", one.cluster);
            findings.push(Finding::fail(Area::Cluster, what, text, "remove one of the contexts"));
        }
    }
    findings
}

fn cluster(diagnosis: &Diagnosis, (settings, flags): (&WatchSettings, &Flags), clock: Clock) -> Vec<Finding> {
    let (area, what) = (Area::Cluster, format!("cluster {}", diagnosis.cluster));
    let mut findings = Vec::new();
    if let Some(problem) = &diagnosis.problem {
        let at = if diagnosis.server.is_empty() { String::new() } else { format!(" ({})", diagnosis.server) };
        let text = format!("{}{at}", problem.what);
        findings.push(Finding::fail(Area::Reach, &what, text, problem.fault.next_step()));
    } else {
        let text = format!("{} answers, Kubernetes {}", diagnosis.server, diagnosis.version);
        findings.push(Finding::ok(Area::Reach, &what, text));
    }
    if let Some(text) = status::clock_ahead(diagnosis.clock_ahead_secs, |secs| span(secs.unsigned_abs())) {
        let next = "its times are read as ours all the same; have both machines follow NTP";
        findings.push(Finding::warn(area, &what, text, next));
    }
    if let Some(end) = diagnosis.credentials_end {
        let left = end.duration_since(clock());
        if left > SignedDuration::ZERO && left < SOON {
            let text = format!("the credentials end in {}", span(left.as_secs().unsigned_abs()));
            let next = "renew them before then; they are read again by themselves";
            findings.push(Finding::warn(area, &what, text, next));
        }
    }
    findings.extend(rights(diagnosis, &what, (settings, flags)));
    for kind in &diagnosis.absent {
        let text = format!("the server has no {}", kind.plural());
        let next = format!("nothing to do, or [watch.kinds] {} = false", kind.plural());
        findings.push(Finding::warn(area, &what, text, next));
    }
    for remark in &diagnosis.remarks {
        findings.push(Finding::warn(area, &what, remark, "check watch.namespaces"));
    }
    findings
}

fn rights(diagnosis: &Diagnosis, what: &str, (settings, flags): (&WatchSettings, &Flags)) -> Vec<Finding> {
    let area = Area::Cluster;
    let mut findings = Vec::new();
    for gap in watch::gaps(&diagnosis.missing) {
        let (place, role) = match &gap.namespace {
            Some(namespace) => (format!("in the namespace {namespace}"), format!("Role in {namespace}")),
            None => (format!("in the whole cluster{}", for_globs(settings)), "ClusterRole".to_owned()),
        };
        let (verbs, resources) = (gap.verbs.join(","), gap.resources.join(", "));
        let text = format!("the right {verbs} is missing for {resources} {place}");
        let next = format!(
            "{}; or to a {role} of yours add {}",
            called(flags, settings).grant(diagnosis.user.as_deref(), &diagnosis.context),
            gap.rules
        );
        findings.push(Finding::fail(area, what, text, next));
    }
    if !diagnosis.optional.is_empty() {
        let rules: Vec<String> = diagnosis.optional.iter().map(ToString::to_string).collect();
        let text = format!("not permitted, and watched only where it is: {}", rules.join("; "));
        let next =
            "nothing to do; [watch.kinds] nodes = true makes the nodes wanted, --scope cluster of rbac all";
        findings.push(Finding::note(area, what, text, next));
    }
    if diagnosis.unnamed {
        let text = "the namespace kube-system may not be read: the cluster is known by its address and CA";
        findings.push(Finding::note(
            area,
            what,
            text,
            "nothing to do: that is kept, also when the right comes",
        ));
    }
    if diagnosis.problem.is_none() && diagnosis.missing.is_empty() {
        findings.insert(0, Finding::ok(area, what, "every right that is needed is there"));
    }
    findings
}

/// Why rights in single namespaces do not do.
fn for_globs(settings: &WatchSettings) -> String {
    let globs: Vec<&str> =
        settings.namespaces.iter().map(String::as_str).filter(|n| watch::is_glob(n)).collect();
    match globs.as_slice() {
        [] => String::new(),
        [glob] => format!(", because of the glob {glob}"),
        globs => format!(", because of the globs {}", globs.join(" and ")),
    }
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
                let (text, next) = (told(&problems), where_to_mend(spec, &workshop));
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

fn where_to_mend(spec: &ConnectorSpec, workshop: &Workshop) -> String {
    if workshop.key_trouble(spec).is_some() {
        return "mend the key: what it sealed is not lost, and need not be entered again".into();
    }
    let unset = secret::unset_variables(&spec.config, &|name| std::env::var(name).ok());
    if !unset.is_empty() {
        return format!("set {} in the environment of barrelman", unset.join(" and "));
    }
    match spec.origin {
        Origin::File => "correct it in the configuration file".into(),
        Origin::Environment => "correct PAINCHAIN_API_URL and what belongs to it".into(),
        Origin::Store => "correct it in the dashboard, or: barrelman connectors import --replace".into(),
    }
}

async fn answers(what: &str, built: &Built) -> Finding {
    let asked = tokio::time::timeout(CHECK_WITHIN, built.connector.check()).await;
    match asked.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_WITHIN.as_secs()))) {
        Ok(Checked::Works(line)) => Finding::ok(Area::Connector, what, line),
        Ok(Checked::Answers(line)) => {
            let next =
                format!("a real one, marked as a test: barrelman connectors test '{}'", built.common.name);
            Finding::note(Area::Connector, what, line, next)
        }
        Ok(Checked::Unwell(line)) => {
            let next =
                format!("ask its owner, or wait, then: barrelman connectors test '{}'", built.common.name);
            Finding::warn(Area::Connector, what, line, next)
        }
        Err(line) => {
            // The service's own failure is nothing that a setting mends.
            let first =
                if line.contains("HTTP 5") { "ask its owner, or wait" } else { "correct its settings" };
            let next = format!("{first}, then: barrelman connectors test '{}'", built.common.name);
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

/// What each connector of file and environment asks for and cannot be told: for `config check`.
pub fn never(settings: &Settings) -> Vec<Finding> {
    let Ok(workshop) = Workshop::new(settings) else { return Vec::new() };
    let note = |spec: &ConnectorSpec| {
        let built = workshop.build(spec).ok()?;
        let what = format!("connector {} ({})", spec.name, spec.kind);
        cannot_fire(&what, &built, &settings.watch)
    };
    settings.connectors.iter().filter_map(note).collect()
}

fn cannot_fire(what: &str, built: &Built, watch: &WatchSettings) -> Option<Finding> {
    let (text, next) = never::of(&built.common, watch)?;
    Some(Finding::note(Area::Connector, what, text, next))
}

/// The engine that serves the data directory, in words.
pub async fn served(settings: &Settings) -> Result<Option<String>, String> {
    match running::status(&settings.store.dir).await {
        Ok(status) => Ok(status.map(|s| format!("a running barrelman holds it (pid {}, {})", s.pid, s.mode))),
        Err(error) => Err(format!("{error:#}")),
    }
}

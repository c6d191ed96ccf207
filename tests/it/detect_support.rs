//! Runs one rule over a fixture: states of objects in, events out.
//!
//! A small stand-in for the pipeline: it keeps the world, what a rule remembers and what is firing, waits for
//! thresholds, and tells ends at once (`heal_for` is the pipeline's business). `fixtures/detect/README.md` says how
//! a case is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use barrelman::{
    detect::{
        CONDITIONS, Change, Condition, Context, Draft, Firing, Memory, Moment, Origin, Output, Verdict,
    },
    event::{EventType, Kind, Role, Status},
    object::{Object, ObjectKey, World},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The cluster's name in every case; no title may repeat it.
pub const CLUSTER: &str = "fixture-cluster";

/// The folder of all fixtures.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/detect")
}

/// A rule of either shape.
#[derive(Clone, Copy)]
pub enum Rule {
    Condition(&'static dyn Condition),
    Moment(&'static dyn Moment),
}

impl Rule {
    /// Every registered rule, once each.
    pub fn all() -> Vec<Rule> {
        let moments = barrelman::detect::MOMENTS.iter().map(|m| Rule::Moment(*m));
        let mut all: Vec<Rule> = CONDITIONS.iter().map(|c| Rule::Condition(*c)).chain(moments).collect();
        // A Condition that judges several kinds is registered once for each.
        let mut names = BTreeSet::new();
        all.retain(|rule| matches!(rule, Rule::Moment(_)) || names.insert(rule.name()));
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Rule::Condition(c) => c.name(),
            Rule::Moment(m) => m.name(),
        }
    }

    pub fn types(self) -> &'static [EventType] {
        match self {
            Rule::Condition(c) => c.types(),
            Rule::Moment(m) => m.types(),
        }
    }
}

/// One file of a fixture folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// What is there beside the object: records, or names of files in `_shared`.
    #[serde(default)]
    objects: Vec<Value>,
    /// What the rule remembered.
    #[serde(default)]
    memory: Map<String, Value>,
    /// What fires already: by this rule or by others.
    #[serde(default)]
    firing: Vec<FiringRow>,
    /// Kinds whose stream is not live.
    #[serde(default)]
    not_live: Vec<Kind>,
    /// The object as it was; goes into the world without being a change.
    #[serde(default)]
    before: Option<Value>,
    /// What happens, in order. A case of one step may have its fields at the top.
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
struct Step {
    /// A record, a name in `_shared`, or `{"patch": …}` over the object as it is. Missing: only time passes.
    #[serde(default)]
    after: Option<Value>,
    /// `Pod/shop/web-1` goes away.
    #[serde(default)]
    gone: Option<String>,
    /// What is patched, where it is not the last changed object.
    #[serde(default)]
    key: Option<String>,
    /// The clock.
    #[serde(default)]
    now: Option<Timestamp>,
    /// live (default), late, baseline
    #[serde(default)]
    origin: Option<String>,
    /// Exactly these events; empty: silence.
    #[serde(default)]
    expect: Option<Vec<Expected>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FiringRow {
    object: String,
    #[serde(rename = "type")]
    event_type: EventType,
    #[serde(default)]
    discriminator: String,
    since: Timestamp,
}

/// What is left out is not compared.
#[derive(Debug, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(rename = "type")]
    event_type: EventType,
    /// firing, resolved or info; default: firing for a Condition, info for a Moment.
    status: Option<Status>,
    severity: Option<String>,
    role: Option<Role>,
    discriminator: Option<String>,
    at: Option<Timestamp>,
    time_source: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// A part of the details.
    #[serde(default)]
    details: Map<String, Value>,
    /// Keys that must not be there.
    #[serde(default)]
    without: Vec<String>,
    /// One of the recommended commands.
    command: Option<String>,
}

/// An event that the rule told.
#[derive(Debug)]
pub struct Told {
    pub status: Status,
    pub event_type: EventType,
    pub discriminator: String,
    /// `None` for an end.
    pub draft: Option<Draft>,
}

/// What a case showed.
#[derive(Debug, Default)]
pub struct Shown {
    /// Whether any event fired.
    pub told: usize,
    /// Details keys by type.
    pub details: BTreeMap<&'static str, BTreeSet<String>>,
}

/// The cases of a rule, by file name.
pub fn cases(rule: &str) -> Vec<(PathBuf, Case)> {
    let Ok(dir) = std::fs::read_dir(root().join(rule)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = dir.map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "json"));
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut value: Map<String, Value> =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if !value.contains_key("steps") {
                let only = ["after", "gone", "key", "now", "origin", "expect"];
                let step = only.iter().filter_map(|k| Some(((*k).to_owned(), value.remove(*k)?)));
                let step: Map<String, Value> = step.collect();
                value.insert("steps".into(), vec![Value::Object(step)].into());
            }
            let case = serde_json::from_value(value.into());
            let case = case.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (path, case)
        })
        .collect()
}

#[derive(Default)]
struct Fake {
    rows: BTreeMap<(String, String), Value>,
    firing: BTreeMap<(ObjectKey, EventType, String), Timestamp>,
    /// How bad that was when it was told last.
    severities: BTreeMap<(ObjectKey, EventType, String), barrelman::event::Severity>,
    not_live: Vec<Kind>,
}

impl Memory for Fake {
    fn recall(&self, rule: &str, key: &str) -> Option<Value> {
        self.rows.get(&(rule.to_owned(), key.to_owned())).cloned()
    }

    fn firing(&self, key: &ObjectKey) -> Vec<Firing> {
        let mine = self.firing.iter().filter(|((k, _, _), _)| k == key);
        mine.map(|((_, event_type, discriminator), since)| Firing {
            event_type: *event_type,
            discriminator: discriminator.clone(),
            since: *since,
        })
        .collect()
    }

    fn is_live(&self, kind: Kind, _namespace: &str) -> bool {
        !self.not_live.contains(&kind)
    }

    fn unseen(&self) -> Option<(Timestamp, Timestamp)> {
        None
    }
}

struct Stage {
    rule: Rule,
    world: World,
    memory: Fake,
    dues: BTreeMap<String, Timestamp>,
    /// When a Condition wants to judge an object again; empty once it was judged and asks for nothing.
    wakes: BTreeMap<ObjectKey, Vec<Timestamp>>,
    now: Timestamp,
    /// Every changed object is being deleted.
    deleting: bool,
}

impl Case {
    /// Plays the case; panics where the events are not the expected ones.
    pub fn play(&self, rule: Rule) -> Shown {
        let mut stage = self.stage(rule);
        let mut last = self.before.as_ref().map(|b| record(b, None).key());
        let mut shown = Shown::default();
        for (n, step) in self.steps.iter().enumerate() {
            let place = format!("{} / {:?} / step {}", rule.name(), self.name, n + 1);
            let told = stage.step(step, &mut last, &place);
            shown.told += told.iter().filter(|t| t.draft.is_some()).count();
            for draft in told.iter().filter_map(|t| t.draft.as_ref()) {
                check_draft(rule, draft, &place);
                let keys = shown.details.entry(draft.event_type.name()).or_default();
                keys.extend(draft.details.keys().cloned());
            }
            let expect = step.expect.as_ref().unwrap_or_else(|| panic!("{place}: no \"expect\""));
            compare(rule, &told, expect, &place);
        }
        shown
    }

    /// Plays the case with every changed object being deleted at the time; answers what was told of such objects.
    pub fn play_deleting(&self, rule: Rule) -> Vec<Draft> {
        let mut stage = Stage { deleting: true, ..self.stage(rule) };
        let mut last = self.before.as_ref().map(|b| record(b, None).key());
        let told = self.steps.iter().flat_map(|step| stage.step(step, &mut last, &self.name));
        told.filter_map(|t| t.draft).filter(|d| d.object.is_terminating()).collect()
    }

    fn stage(&self, rule: Rule) -> Stage {
        let mut stage = Stage {
            rule,
            world: World::default(),
            memory: Fake { not_live: self.not_live.clone(), ..Fake::default() },
            dues: BTreeMap::new(),
            wakes: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
            deleting: false,
        };
        for object in self.objects.iter().chain(&self.before) {
            stage.world.insert(Arc::new(record(object, None)));
        }
        for (key, value) in &self.memory {
            stage.memory.rows.insert((rule.name().to_owned(), key.clone()), value.clone());
        }
        for row in &self.firing {
            let key = (parse_key(&row.object), row.event_type, row.discriminator.clone());
            stage.memory.firing.insert(key, row.since);
        }
        stage
    }
}

impl Stage {
    fn step(&mut self, step: &Step, last: &mut Option<ObjectKey>, place: &str) -> Vec<Told> {
        let now = step.now.unwrap_or_else(|| panic!("{place}: no \"now\""));
        assert!(now >= self.now, "{place}: the clock goes backwards");
        self.now = now;
        let Some(change) = self.change(step, last) else { return self.time_passes() };
        match self.rule {
            Rule::Moment(moment) => {
                if change.origin == Origin::Baseline || !moment.kinds().contains(&change.key.kind) {
                    return Vec::new();
                }
                let mut out = Output::default();
                moment.detect(&change, &self.context(), &mut out);
                self.apply(out)
            }
            Rule::Condition(condition) => {
                kinds_of(condition).flat_map(|c| self.judge_for(c, &change)).collect()
            }
        }
    }

    fn change(&mut self, step: &Step, last: &mut Option<ObjectKey>) -> Option<Change> {
        let origin = match step.origin.as_deref() {
            None | Some("live") => Origin::Live,
            Some("late") => Origin::Late,
            Some("baseline") => Origin::Baseline,
            Some(other) => panic!("unknown origin {other:?}"),
        };
        if let Some(gone) = &step.gone {
            let key = parse_key(gone);
            let before = self.world.remove(&key);
            return Some(Change { key, before, after: None, origin });
        }
        let after = step.after.as_ref()?;
        let base = step.key.as_deref().map(parse_key).or_else(|| last.clone());
        let base = base.and_then(|key| self.world.get(&key).cloned());
        let mut after = record(after, base.as_deref());
        if self.deleting {
            after.meta.deleted_at = after.meta.deleted_at.or(Some(self.now));
        }
        let after = Arc::new(after);
        *last = Some(after.key());
        let before = self.world.insert(Arc::clone(&after));
        Some(Change { key: after.key(), before, after: Some(after), origin })
    }

    fn context(&self) -> Context<'_> {
        Context { cluster: CLUSTER, now: self.now, world: &self.world, memory: &self.memory }
    }

    fn judge_for(&mut self, condition: &'static dyn Condition, change: &Change) -> Vec<Told> {
        let mut told = Vec::new();
        let mut keys = BTreeSet::new();
        if change.key.kind == condition.kind() {
            if change.deleted().is_some() {
                told.extend(self.end(&change.key, &[]));
            }
            keys.insert(change.key.clone());
        }
        if condition.also_on().contains(&change.key.kind) {
            keys.extend(condition.also(change, &self.context()));
        }
        for key in keys {
            told.extend(self.judge(condition, &key));
        }
        told
    }

    fn judge(&mut self, condition: &'static dyn Condition, key: &ObjectKey) -> Vec<Told> {
        let Some(object) = self.world.get(key).cloned() else { return Vec::new() };
        assert_eq!(object.kind, condition.kind(), "{}: asks for {key}", condition.name());
        let mut out = Output::default();
        let verdict = condition.judge(&object, &self.context(), &mut out);
        assert!(out.drafts.is_empty(), "a Condition tells by its verdict");
        let mut wakes = std::mem::take(&mut out.look_again);
        let mut told = self.apply(out);
        let Verdict::Known(findings) = verdict else {
            self.wakes.insert(key.clone(), wakes);
            return told;
        };
        let hold: Vec<_> =
            findings.iter().map(|f| (f.draft.event_type, f.draft.discriminator.clone())).collect();
        let unique: BTreeSet<_> = hold.iter().collect();
        assert_eq!(unique.len(), hold.len(), "two findings of one fingerprint: {hold:?}");
        told.extend(self.end(key, &hold));
        for finding in findings {
            let draft = finding.draft;
            let row = (key.clone(), draft.event_type, draft.discriminator.clone());
            let due = draft.at + SignedDuration::from_secs(i64::from(finding.after_secs));
            if due > self.now {
                wakes.push(due);
            }
            let known = self.memory.firing.contains_key(&row);
            let worse = self.memory.severities.get(&row).is_some_and(|was| draft.severity > *was);
            if due > self.now || (known && !worse) {
                continue;
            }
            self.memory.severities.insert(row.clone(), draft.severity);
            self.memory.firing.entry(row).or_insert(draft.at);
            told.push(Told {
                status: Status::Firing,
                event_type: draft.event_type,
                discriminator: draft.discriminator.clone(),
                draft: Some(draft),
            });
        }
        self.wakes.insert(key.clone(), wakes);
        told
    }

    /// Ends what this rule fires for the object, but for what still holds.
    fn end(&mut self, key: &ObjectKey, hold: &[(EventType, String)]) -> Vec<Told> {
        let types = self.rule.types();
        let over: Vec<_> = self
            .memory
            .firing
            .keys()
            .filter(|(k, t, d)| k == key && types.contains(t) && !hold.contains(&(*t, d.clone())))
            .cloned()
            .collect();
        over.into_iter()
            .map(|row| {
                self.memory.firing.remove(&row);
                Told { status: Status::Resolved, event_type: row.1, discriminator: row.2, draft: None }
            })
            .collect()
    }

    fn time_passes(&mut self) -> Vec<Told> {
        match self.rule {
            Rule::Condition(condition) => {
                // As the pipeline does: only what a threshold or the rule itself asked for, and what was never judged.
                let mut told = Vec::new();
                for condition in kinds_of(condition) {
                    let due = |key: &ObjectKey| {
                        self.wakes.get(key).is_none_or(|at| at.iter().any(|at| *at <= self.now))
                    };
                    let keys: Vec<_> =
                        self.world.of_kind(condition.kind()).map(|o| o.key()).filter(due).collect();
                    told.extend(keys.iter().flat_map(|key| self.judge(condition, key)));
                }
                told
            }
            Rule::Moment(moment) => {
                let due: Vec<_> =
                    self.dues.iter().filter(|(_, at)| **at <= self.now).map(|(k, _)| k.clone()).collect();
                let mut told = Vec::new();
                for key in due {
                    self.dues.remove(&key);
                    let mut out = Output::default();
                    moment.due(&key, &self.context(), &mut out);
                    told.extend(self.apply(out));
                }
                told
            }
        }
    }

    fn apply(&mut self, out: Output) -> Vec<Told> {
        for (key, value) in out.memory {
            let row = (self.rule.name().to_owned(), key);
            match value {
                Some(value) => self.memory.rows.insert(row, value),
                None => self.memory.rows.remove(&row),
            };
        }
        for (key, at) in out.dues {
            self.dues.insert(key, at);
        }
        out.drafts
            .into_iter()
            .map(|draft| Told {
                status: Status::Info,
                event_type: draft.event_type,
                discriminator: draft.discriminator.clone(),
                draft: Some(draft),
            })
            .collect()
    }
}

/// The Condition for every kind that it judges.
fn kinds_of(condition: &'static dyn Condition) -> impl Iterator<Item = &'static dyn Condition> {
    CONDITIONS.iter().copied().filter(move |c| c.name() == condition.name())
}

/// What holds for every event of every rule.
fn check_draft(rule: Rule, draft: &Draft, place: &str) {
    assert!(rule.types().contains(&draft.event_type), "{place}: {} is not its type", draft.event_type);
    assert_ne!(draft.at, Timestamp::UNIX_EPOCH, "{place}: no time");
    assert!(!draft.title.is_empty() && draft.title.len() <= 160, "{place}: title {:?}", draft.title);
    assert!(!draft.title.contains(CLUSTER), "{place}: the title names the cluster");
    if matches!(draft.role, Role::Opens | Role::OneShot) {
        assert!(!draft.recommendations.is_empty(), "{place}: nothing recommended");
        assert!(!draft.description.is_empty(), "{place}: no description");
    }
    for r in &draft.recommendations {
        let words: Vec<&str> = r.command.split(' ').collect();
        let reads = ["get", "describe", "logs", "top", "events", "rollout", "auth", "explain"];
        assert!(words[0] == "kubectl" && reads.contains(&words[1]), "{place}: {:?} is no look", r.command);
        assert!(
            words[1] != "rollout" || ["history", "status"].contains(&words[2]),
            "{place}: {:?}",
            r.command
        );
        assert!(!r.action.is_empty() && !r.command.contains(['<', '>']), "{place}: {r:?}");
    }
    if draft.object.kind == Kind::Pod {
        for key in ["pod_name", "namespace", "restart_count"] {
            assert!(draft.details.contains_key(key), "{place}: details lack {key}");
        }
    }
}

fn compare(rule: Rule, told: &[Told], expect: &[Expected], place: &str) {
    let default = match rule {
        Rule::Condition(_) => Status::Firing,
        Rule::Moment(_) => Status::Info,
    };
    let mut left: Vec<&Told> = told.iter().collect();
    for e in expect {
        let status = e.status.unwrap_or(default);
        let found = left.iter().position(|t| {
            t.event_type == e.event_type
                && t.status == status
                && e.discriminator.as_ref().is_none_or(|d| *d == t.discriminator)
        });
        let Some(found) = found else {
            panic!("{place}: expected {e:#?}\ntold only {left:#?}");
        };
        let told = left.swap_remove(found);
        if let Some(draft) = &told.draft {
            compare_draft(draft, e, place);
        }
    }
    assert!(left.is_empty(), "{place}: also told {left:#?}");
}

fn compare_draft(draft: &Draft, e: &Expected, place: &str) {
    let same = |what: &str, expected: Option<&str>, is: &str| {
        if let Some(expected) = expected {
            assert_eq!(is, expected, "{place}: {what}");
        }
    };
    same("severity", e.severity.as_deref(), draft.severity.as_str());
    same("title", e.title.as_deref(), &draft.title);
    same("description", e.description.as_deref(), &draft.description);
    let source = serde_json::to_value(draft.time_source).unwrap();
    same("time_source", e.time_source.as_deref(), source.as_str().unwrap());
    if let Some(at) = e.at {
        assert_eq!(draft.at, at, "{place}: at");
    }
    if let Some(role) = e.role {
        assert_eq!(draft.role, role, "{place}: role");
    }
    for (key, value) in &e.details {
        assert_eq!(draft.details.get(key), Some(value), "{place}: details.{key} of {:#?}", draft.details);
    }
    for key in &e.without {
        assert!(!draft.details.contains_key(key), "{place}: details.{key} is there");
    }
    if let Some(command) = &e.command {
        let all: Vec<_> = draft.recommendations.iter().map(|r| &r.command).collect();
        assert!(all.contains(&command), "{place}: {command:?} is not in {all:#?}");
    }
}

/// A record: as it stands, from `_shared`, or as a patch.
fn record(value: &Value, base: Option<&Object>) -> Object {
    let value = match value {
        Value::String(name) => {
            let path = root().join("_shared").join(format!("{name}.json"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_str(&text).unwrap()
        }
        Value::Object(map) if map.contains_key("patch") => {
            let mut whole = match map.get("of") {
                Some(of) => serde_json::to_value(record(of, None)).unwrap(),
                None => serde_json::to_value(base.expect("a patch needs an object")).unwrap(),
            };
            merge(&mut whole, &map["patch"]);
            whole
        }
        other => other.clone(),
    };
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e} in {value:#}"))
}

/// JSON merge patch, but that lists of named or typed things are merged by name or type, and that a container's
/// `state` and `last` are replaced as a whole.
fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(into), Value::Object(patch)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in patch {
        let slot = into.entry(key.clone()).or_insert(Value::Null);
        match (&mut *slot, value) {
            (_, v) if key == "state" || key == "last" => *slot = v.clone(),
            (Value::Array(list), Value::Array(changes)) if changes.iter().any(|c| id(c).is_some()) => {
                for change in changes {
                    match list.iter_mut().find(|x| id(x) == id(change)) {
                        Some(found) => merge(found, change),
                        None => list.push(change.clone()),
                    }
                }
            }
            _ => merge(slot, value),
        }
    }
}

fn id(value: &Value) -> Option<&Value> {
    value.get("name").or_else(|| value.get("type"))
}

fn parse_key(text: &str) -> ObjectKey {
    let parts: Vec<&str> = text.split('/').collect();
    let kind = Kind::parse(parts[0]).unwrap_or_else(|| panic!("unknown kind in {text:?}"));
    match parts.as_slice() {
        [_, name] => ObjectKey::new(kind, "", name),
        [_, namespace, name] => ObjectKey::new(kind, namespace, name),
        _ => panic!("expected Kind/namespace/name, not {text:?}"),
    }
}

//! Every rule over its fixtures, and the registry against the catalogue.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
};

use barrelman::{
    detect::Draft,
    event::{EventType, Family, Kind, Role},
};

use crate::detect_support::{Rule, cases, root};

/// Told elsewhere than by a rule over watched objects: the pipeline's own looks and the opt-in sources.
const ELSEWHERE: &[&str] =
    &["pvc_usage_high", "cluster_unhealthy", "connector_failed", "high_cpu", "warning_rate_anomaly"];

#[test]
fn every_rule_tells_what_its_fixtures_expect() {
    let mut failures = Vec::new();
    for rule in Rule::all() {
        for (path, case) in cases(rule.name()) {
            if std::panic::catch_unwind(AssertUnwindSafe(|| case.play(rule))).is_err() {
                failures.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    assert!(failures.is_empty(), "the reasons stand above, one per case: {failures:#?}");
}

#[test]
fn every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let mut names = BTreeSet::new();
    for rule in Rule::all() {
        assert!(names.insert(rule.name()), "{} is registered twice", rule.name());
        let told: Vec<usize> = cases(rule.name()).iter().map(|(_, case)| case.play(rule).told).collect();
        assert!(told.iter().any(|n| *n > 0), "{}: no case fires", rule.name());
        assert!(told.contains(&0), "{}: no case is silent", rule.name());
    }
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_rule = entry.file_type().unwrap().is_dir() && !name.starts_with('_');
        assert!(!is_rule || names.contains(name.as_str()), "fixtures/detect/{name} is no rule's");
    }
}

#[test]
fn no_trouble_is_told_of_an_object_that_is_being_deleted_but_that_it_stays() {
    let about_deletion =
        [EventType::NodeScaledDown, EventType::PodStuckTerminating, EventType::NamespaceStuck];
    for rule in Rule::all() {
        for (path, case) in cases(rule.name()) {
            let told = case.play_deleting(rule);
            // A Kubernetes Event that is being deleted says nothing of the object it is about.
            let trouble =
                |d: &&Draft| matches!(d.role, Role::Opens | Role::OneShot) && d.object.kind != Kind::Event;
            let wrong = told.iter().filter(trouble).find(|d| !about_deletion.contains(&d.event_type));
            assert!(wrong.is_none(), "{}: {wrong:#?}", path.display());
        }
    }
}

#[test]
fn every_rule_is_a_file_of_its_name_and_every_type_it_names_fires_in_its_fixtures() {
    let source = root().join("../../../../src/detect");
    for rule in Rule::all() {
        assert!(source.join(format!("{}.rs", rule.name())).exists(), "no src/detect/{}.rs", rule.name());
        let mut shown = BTreeSet::new();
        for (_, case) in cases(rule.name()) {
            shown.extend(case.play(rule).details.into_keys());
        }
        for event_type in rule.types() {
            assert!(shown.contains(event_type.name()), "{}: no case tells {event_type}", rule.name());
        }
    }
}

#[test]
fn every_type_of_the_watched_families_is_told_by_a_rule() {
    let told: BTreeSet<EventType> = Rule::all().iter().flat_map(|r| r.types()).copied().collect();
    let families =
        [Family::Infrastructure, Family::Application, Family::Change, Family::Trouble, Family::Kubernetes];
    let missing: Vec<&str> = EventType::all()
        .iter()
        .filter(|d| d.families.iter().any(|f| families.contains(f)))
        .filter(|d| !ELSEWHERE.contains(&d.name) && !told.contains(&d.event_type))
        .map(|d| d.name)
        .collect();
    assert!(missing.is_empty(), "no rule tells {missing:?}");
}

#[test]
fn the_documented_details_are_those_that_the_fixtures_show() {
    let mut shown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for rule in Rule::all() {
        for (_, case) in cases(rule.name()) {
            for (event_type, keys) in case.play(rule).details {
                shown.entry(event_type).or_default().extend(keys);
            }
        }
    }
    let path = root().join("../../../../docs/events.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented = documented(&text);
    for (event_type, keys) in shown {
        let row = documented.get(event_type).unwrap_or_else(|| panic!("docs/events.md lacks {event_type}"));
        let missing: Vec<_> = keys.iter().filter(|k| !row.contains(*k)).collect();
        assert!(missing.is_empty(), "docs/events.md: {event_type} lacks {missing:?}");
        let extra: Vec<_> = row.iter().filter(|k| !keys.contains(*k)).collect();
        assert!(extra.is_empty(), "docs/events.md: {event_type} has {extra:?}, which no fixture shows");
    }
}

/// Rows of the form ``| `type` | `key`, `key` | words |``.
fn documented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let common = ["pod_name", "namespace", "restart_count"];
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let ticked = |cell: &str| -> BTreeSet<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let Some(name) = ticked(cells[0]).pop_first() else { continue };
        let mut keys = ticked(cells.get(1).copied().unwrap_or_default());
        if keys.remove("pod details") {
            keys.extend(common.map(str::to_owned));
        }
        rows.insert(name, keys);
    }
    rows
}

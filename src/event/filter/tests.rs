use super::*;
use crate::event::{EventId, ObjectRef, Owner, Role, Severity, Status, TimeSource};

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn event() -> Event {
    let at = "2026-11-22T09:41:07Z".parse().unwrap();
    let mut details = serde_json::Map::new();
    for (key, value) in [
        ("reason", "BackOff"),
        ("container", "app"),
        ("node_name", "worker-1"),
        ("field_manager", "argocd-controller"),
        ("component", "kubelet"),
    ] {
        details.insert(key.into(), value.into());
    }
    Event {
        id: EventId("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        fingerprint: "f".into(),
        event_type: EventType::PodCrashLoop,
        severity: Severity::Critical,
        status: Status::Firing,
        role: Role::Opens,
        timestamp: at,
        time_source: TimeSource::Cluster,
        observed_at: at,
        cluster: "prod-eu".into(),
        cluster_uid: "uid".into(),
        object: ObjectRef {
            kind: "Pod".into(),
            namespace: "payments".into(),
            name: "payments-api-7c9d8f6b5-x2x4z".into(),
            uid: "u".into(),
        },
        subject: ObjectRef {
            kind: "Deployment".into(),
            namespace: "payments".into(),
            name: "payments-api".into(),
            uid: "d".into(),
        },
        title: "Container app keeps crashing (exit 137, OOMKilled)".into(),
        description: "Back-off restarting failed container, 5 times".into(),
        details,
        recommendations: vec![],
        links: vec![],
        labels: [("app".to_owned(), "api".to_owned()), ("tier".to_owned(), "web".to_owned())].into(),
        annotations: std::collections::BTreeMap::new(),
        owner_references: vec![Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "payments-api-7c9d8f6b5".into(),
            uid: "r".into(),
            controller: true,
        }],
        count: 31,
        first_seen: at,
        last_seen: at,
        late: true,
        standing: false,
        ignored: None,
        incident: Some("1a2b3c".into()),
    }
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, &TimeZone::UTC).unwrap_or_else(|e| panic!("{}", e.render()))
}

fn passes(text: &str) -> bool {
    parse(text).matches(&event(), now())
}

#[test]
fn every_key_passes_and_excludes() {
    for text in [
        "type:pod_*",
        "type:infrastructure",
        "type:pod_crash",
        "type:all",
        "severity>=high",
        "severity:critical|low",
        "sev:>medium",
        "status:firing",
        "ns:a|payments",
        "namespace:pay*",
        "obj:payments-api-*",
        "obj:Pod/payments-*",
        "obj:/x2x4z$/",
        "kind:Pod",
        "kind:po",
        "subject:payments-api",
        "subject:deployment/payments-api",
        "owner:ReplicaSet/payments-api-7c9d8f6b5",
        "owner:payments-api",
        "label:app=api",
        "label:app",
        "label:app=web|api",
        "reason:BackOff|OOM*",
        "cluster:prod*",
        "node:worker-1",
        "container:app",
        "manager:argocd*",
        "source:kubelet",
        "count>=3",
        "count:31",
        "count=30|31",
        "incident:true",
        "incident:1a2b",
        "id:4bf9*",
        "late:true",
        "standing:false",
        "ignored:no",
        "\"keeps crashing\"",
        "oomkilled",
        "nothing|crash*exit",
        "/exit \\d+, OOM/",
        "~pyapi",
    ] {
        assert!(passes(text), "{text}");
        assert!(!passes(&format!("-{text}")), "-{text}");
        // A bare `!word` is k9s's regular expression: a test of its own.
        assert!(text == "nothing|crash*exit" || !passes(&format!("!{text}")), "!{text}");
    }
}

#[test]
fn what_does_not_fit_does_not_pass() {
    for text in [
        "type:change",
        "type:node_down",
        "severity<critical",
        "status:resolved",
        "ns:pay",
        "ns:-",
        "obj:canary-*",
        "obj:\"payments-api-*\"",
        "kind:Node",
        "label:app=web",
        "label:nope",
        "reason:Unhealthy",
        "count<31",
        "count>=3 count<9",
        "incident:false",
        "incident:ffff",
        "late:false",
        "ignored:true",
        "\"keeps smiling\"",
        "/^exit/",
        "~zzz",
        "!oomkilled",
        "!crash.*exit|x",
        "-oomkilled",
        "ns!=payments",
    ] {
        assert!(!passes(text), "{text}");
    }
}

#[test]
fn the_same_key_is_either_and_different_keys_are_all() {
    assert!(passes("ns:a ns:payments kind:Pod"));
    assert!(!passes("ns:a ns:payments kind:Node"));
    assert!(passes("label:app=x label:app=api label:tier=web"));
    assert!(!passes("label:app=api label:tier=db"));
    assert!(passes("severity:low severity:critical"));
    assert!(!passes("severity>=low severity<=high"));
    assert!(!passes("ns:payments -ns:pay* -ns:other"));
    assert!(passes("type:pod_created type:pod_crash_loop"));
    assert!(!passes("keeps smiling"));
    assert!(passes("keeps exit"));
}

#[test]
fn k9s_habits_work() {
    assert!(passes("-l app=api,tier!=db,!nope"));
    assert!(!passes("-l app=api,tier=db"));
    assert!(passes("-f pyapi"));
    assert!(!passes("!^payments-api"));
    assert!(passes("!^checkout"));
}

#[test]
fn times_are_seen_from_the_look() {
    let filter = parse("since:30m until:09:50");
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    assert!(filter.matches(&event(), now()));
    assert_eq!(filter.since(now()), Some(at("2026-11-22T09:30:00Z")));
    assert_eq!(filter.until(now()), Some(at("2026-11-22T09:50:00Z")));
    assert!(!filter.matches(&event(), at("2026-11-22T10:20:00Z")));
    let mut folded = event();
    folded.last_seen = at("2026-11-22T10:19:00Z");
    assert!(filter.matches(&folded, at("2026-11-22T10:20:00Z")));
    assert!(filter.is_timed() && !parse("ns:a").is_timed());
}

#[test]
fn an_empty_filter_passes_everything() {
    assert!(parse("   ").is_empty());
    assert!(passes(""));
    assert_eq!(parse(" "), Filter::default());
}

#[test]
fn may_match_tells_which_types_can_pass() {
    let filter = parse("type:node_* ns:x");
    assert!(filter.may_match(EventType::NodeAdded));
    assert!(!filter.may_match(EventType::PodCreated));
    assert!(parse("ns:x").may_match(EventType::PodCreated));
}

fn error(text: &str) -> (String, String) {
    let error = Filter::parse(text, &TimeZone::UTC).map(|f| f.to_string()).expect_err(text);
    (error.source.get(error.span.clone()).unwrap().to_owned(), error.message)
}

#[test]
fn errors_point_at_the_place_and_name_what_is_near() {
    for (text, place, message) in [
        ("ns:a naemspace:b", "naemspace", "did you mean namespace?"),
        ("connector:slack", "connector", "did you mean source (of a delivery it is the connector)?"),
        ("type:pod_crashlop", "pod_crashlop", "did you mean pod_crash_loop?"),
        ("type:xyz_*", "xyz_*", "no event type matches"),
        ("severity>=hgih", "hgih", "did you mean high?"),
        ("status:on", "on", "expected firing, resolved, info"),
        ("kind:Podd", "Podd", "did you mean Pod?"),
        ("ns:a,b", "a,b", "write a|b"),
        ("ns:", "ns:", "a value is missing"),
        ("ns:a|", "|", ""),
        ("ns>a", "ns>a", "takes no comparison"),
        ("count>=x", "x", "expected a number"),
        ("count>=1|2", "count>=1|2", "one value"),
        ("since:soon", "soon", "not a time"),
        ("since:1h since:2h", "since:2h", "given twice"),
        ("-since:1h", "-since:1h", "use until:"),
        ("late:maybe", "maybe", "true or false"),
        ("incident:zz", "zz", "hex digits"),
        ("foo \"bar", "\"bar", "not closed"),
        ("/a b", "/a", "not closed"),
        ("/(/", "/(/", "not a regular expression: unclosed group"),
        ("!(", "(", "not a regular expression: unclosed group"),
        ("a OR b", "OR", "there is no OR"),
        ("(ns:a)", "(", "there are no brackets"),
        ("-((ns:a ns:b)", "((", "there are no brackets"),
        ("ns:a (severity>=high)", "(", "use a|b for either"),
        ("a -", "-", "nothing to exclude"),
        ("--a", "--", "one - or ! is enough"),
        ("http://x", "http", "searched for as text"),
        ("-l", "-l", "a label selector"),
        ("label:=x", "=x", "expected a label"),
        ("\"\"", "\"\"", "empty"),
    ] {
        let (found, said) = error(text);
        if !message.is_empty() {
            assert_eq!(found, place, "{text}: {said}");
        }
        assert!(said.contains(message), "{text}: {said}");
    }
}

#[test]
fn an_error_is_shown_with_carets_under_wide_characters_too() {
    let error = Filter::parse("\"日本\" sevrity:high", &TimeZone::UTC).unwrap_err();
    let mut lines = error.render();
    lines.truncate(lines.rfind('\n').unwrap());
    assert_eq!(lines, "\"日本\" sevrity:high\n       ^^^^^^^");
    assert!(error.to_string().starts_with("unknown key \"sevrity\", did you mean severity?"));
}

#[test]
fn every_example_of_the_help_parses() {
    for def in KEYS {
        parse(def.example);
        assert!(help().contains(def.example) && help().contains(def.means));
    }
    parse("ns:payments|checkout type:trouble severity>=high -obj:canary-* since:2h");
    parse(
        "type:pod_* severity>=high ns:a|b -obj:canary-* kind:Pod label:app=api reason:BackOff|OOM* cluster:prod count>=3 since:1h until:09:30 \"free text\" /regex/ ~fuzzy",
    );
}

#[test]
fn a_bracket_that_opens_no_key_is_text() {
    for text in ["(none)", "(x:", "f(ns:a)", "\"(ns:a)\""] {
        assert!(Filter::parse(text, &TimeZone::UTC).is_ok() || text == "(x:", "{text}");
    }
}

#[test]
fn letters_that_merely_occur_somewhere_are_no_fuzzy_match() {
    let named = |name: &str| {
        let mut event = event();
        (event.object.name, event.subject.name) = (name.into(), name.into());
        event.details.clear();
        event
    };
    for (letters, name, fits) in [
        ("~crt", "cart-7c9d8f6b5-x2x4z", true),
        ("~crt", "backup-29922760-r64nt", false),
        ("~crt", "payments-api-ctr-xx9rt", true),
        ("~pyapi", "payments-api", true),
        ("~payapi", "payments-api-7c9d8f6b5", true),
        ("~ctlg", "catalog", true),
        ("~atalog", "catalog", true),
        ("~nde", "node-c", true),
        ("~web", "nightly-web-report", true),
    ] {
        assert_eq!(parse(letters).matches(&named(name), now()), fits, "{letters} in {name}");
    }
}

proptest::proptest! {
    #[test]
    fn parsing_never_panics(text in ".{0,60}") {
        if let Err(error) = Filter::parse(&text, &TimeZone::UTC) {
            proptest::prop_assert!(error.source.get(error.span.clone()).is_some());
            error.render();
        }
    }

    #[test]
    fn parsing_near_misses_never_panics(
        text in proptest::collection::vec("(-|!|~|/|\"|\\||:|>=|ns|type|since|count|label|-l|1h|pod_\\*|a|=|é| |\\\\){1,3}", 0..8)
    ) {
        let text = text.concat();
        match Filter::parse(&text, &TimeZone::UTC) {
            Ok(filter) => {
                filter.matches(&event(), now());
                let again = Filter::parse(&filter.to_string(), &TimeZone::UTC).unwrap();
                proptest::prop_assert_eq!(again.matches(&event(), now()), filter.matches(&event(), now()));
                proptest::prop_assert_eq!(again, filter);
            }
            Err(error) => proptest::prop_assert!(error.source.get(error.span.clone()).is_some()),
        }
    }

    #[test]
    fn a_quoted_value_means_exactly_its_text(name in "[^\\p{Cc}]{1,12}") {
        let mut named = event();
        named.object.name.clone_from(&name);
        let filter = parse(&format!("obj:{}", quote(&name)));
        proptest::prop_assert!(filter.matches(&named, now()));
        named.object.name.push('x');
        proptest::prop_assert!(!filter.matches(&named, now()));
    }
}

#[test]
fn an_open_bracket_as_a_value_is_refused() {
    for text in ["ns:(", "ns:a(", "type:("] {
        let error = Filter::parse(text, &jiff::tz::TimeZone::UTC).unwrap_err();
        assert!(error.to_string().contains("there are no brackets"), "{text}: {error}");
    }
    assert!(Filter::parse("ns:\"(\"", &jiff::tz::TimeZone::UTC).is_ok());
}

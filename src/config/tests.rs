// Seconds, as the options have them.
#![allow(clippy::duration_suboptimal_units)]

use std::time::Duration;

use super::*;
use crate::event::{EventType, Kind, Severity};

fn sources(file: &str, env: &[(&str, &str)]) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| ("config.toml".to_owned(), file.to_owned())),
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: Flags::default(),
        default_data_dir: "/data".into(),
    }
}

fn ok(file: &str, env: &[(&str, &str)]) -> Resolved {
    resolve(&sources(file, env)).unwrap_or_else(|p| panic!("{p}"))
}

fn problems(file: &str, env: &[(&str, &str)]) -> Vec<String> {
    let Problems(problems) = resolve(&sources(file, env)).map(|r| r.settings).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let Resolved { settings: s, warnings, .. } = ok("", &[]);
    assert!(warnings.is_empty());
    assert_eq!(s.watch.poll_interval, Duration::from_secs(300));
    assert_eq!(s.watch.metrics_interval, Duration::from_secs(30));
    assert_eq!(s.watch.watch_timeout, Duration::from_secs(45));
    assert_eq!(s.watch.kinds.len(), Kind::ALL.len());
    assert_eq!(s.incidents.dedup_window, Duration::from_secs(600));
    assert_eq!(s.incidents.settle[&Severity::Critical], Duration::ZERO);
    assert_eq!(s.incidents.settle[&Severity::High], Duration::from_secs(5));
    assert_eq!(s.incidents.settle[&Severity::Info], Duration::from_secs(10));
    assert_eq!(s.incidents.heal_for, None);
    assert_eq!(s.incidents.reopen_within, Duration::from_secs(900));
    assert_eq!(s.incidents.one_shot, Duration::from_secs(3_600));
    assert_eq!(s.incidents.repeat_interval, Duration::from_secs(14_400));
    assert_eq!(s.incidents.stale_after, Duration::from_secs(3_600));
    assert_eq!(s.store.retention, Duration::from_secs(30 * 86_400));
    assert_eq!((s.store.max_bytes, s.store.outbox_max_bytes), (2 << 30, 1 << 30));
    assert_eq!(s.store.dead_letters_max_bytes, 256 << 20);
    assert_eq!(s.store.dir, std::path::Path::new("/data"));
    assert_eq!(s.delivery.horizon, Duration::from_secs(86_400));
    assert_eq!((s.clusters.in_cluster, s.listen, s.heartbeat, s.watch_only), (None, None, None, false));
    assert_eq!((s.log.level.as_str(), s.log.json), ("info", false));
    assert!(s.connectors.is_empty() && s.ignore.is_empty() && s.types.is_empty());
}

#[test]
fn the_painchain_documents_environment_alone_runs_it() {
    let env = [
        ("CONNECTOR_NAME", "prod-cluster"),
        ("IN_CLUSTER", "true"),
        ("WATCH_NAMESPACES", "default,monitoring"),
        ("PAINCHAIN_API_URL", "https://painchain-api.svc.cluster.local:8000"),
        ("LOG_LEVEL", "info"),
    ];
    let Resolved { settings: s, warnings, .. } = ok("", &env);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(s.clusters.name.as_deref(), Some("prod-cluster"));
    assert_eq!(s.clusters.in_cluster, Some(true));
    assert_eq!(s.watch.namespaces, ["default", "monitoring"]);
    let [painchain] = s.connectors.as_slice() else { panic!("{:?}", s.connectors) };
    assert_eq!((painchain.name.as_str(), painchain.kind.as_str()), ("prod-cluster", "painchain"));
    assert!(painchain.enabled && painchain.origin == Origin::Environment);
    assert_eq!(painchain.config["api_url"], "https://painchain-api.svc.cluster.local:8000");
}

#[test]
fn aliases_work_and_the_documents_names_win() {
    let env = [
        ("BACKEND_API_URL", "http://backend:8000/api"),
        ("CLUSTER_NAME", "eu"),
        ("NAMESPACES", "a"),
        ("POLL_INTERVAL", "60"),
        ("POLL_INTERVAL_SECONDS", "90"),
        ("PAINCHAIN_TOKEN", "s3cret"),
        ("PAINCHAIN_TENANT_ID", "t1"),
        ("PAINCHAIN_ALLOW_HTTP", "true"),
        ("BARRELMAN_STORE_RETENTION_DAYS", "7"),
        ("BARRELMAN_DATA_DIR", "/var/data"),
        ("BARRELMAN_SERVICE_HOST", "10.0.0.1"),
        ("BARRELMAN_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("BARRELMAN_STORE_RETENTION_DAY", "7"),
        ("RESOURCE_FILTER", "app=myapp"),
        ("KUBECONFIG", "/a:/b"),
    ];
    let Resolved { settings: s, warnings, .. } = ok("", &env);
    assert_eq!(s.watch.poll_interval, Duration::from_secs(90));
    assert_eq!((s.clusters.name.as_deref(), s.watch.selector.as_deref()), (Some("eu"), Some("app=myapp")));
    assert_eq!(s.clusters.kubeconfig, [std::path::Path::new("/a"), std::path::Path::new("/b")]);
    assert_eq!(s.store.retention, Duration::from_secs(7 * 86_400));
    assert_eq!(s.store.dir, std::path::Path::new("/var/data"));
    let config = &s.connectors[0].config;
    assert_eq!(config["token"], "${PAINCHAIN_TOKEN}", "the secret itself stays in the environment");
    assert_eq!((&config["tenant_id"], &config["allow_insecure_http"]), (&"t1".into(), &true.into()));
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("POLL_INTERVAL is ignored"));
    assert!(said[1].contains("BARRELMAN_STORE_RETENTION_DAY") && said[1].contains("RETENTION_DAYS?"));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[watch]\nnamespaces = [\"file\"]\npoll_interval_secs = 100\nselector = \"a=file\"\n[log]\nlevel = \"warn\"\n";
    let mut all =
        sources(file, &[("WATCH_NAMESPACES", "env"), ("RESOURCE_FILTER", "a=env"), ("LOG_LEVEL", "")]);
    all.flags.namespaces = vec!["flag,two".into(), "three".into()];
    let resolved = resolve(&all).unwrap();
    let s = &resolved.settings;
    assert_eq!(s.watch.namespaces, ["flag", "two", "three"]);
    assert_eq!(s.watch.selector.as_deref(), Some("a=env"));
    assert_eq!(s.watch.poll_interval, Duration::from_secs(100));
    assert_eq!(s.log.level, "warn", "an empty variable is not set");
    let origin = |path: &str| {
        let (_, sourced) = resolved.shown.iter().find(|(p, _)| *p == path).unwrap();
        sourced.origin.clone()
    };
    assert_eq!(origin("watch.namespaces"), "--namespace");
    assert_eq!(origin("watch.selector"), "environment RESOURCE_FILTER");
    assert_eq!(origin("watch.poll_interval_secs"), "config.toml:3");
    assert_eq!(origin("watch.watch_timeout_secs"), "default");
    let env = ok(file, &[("WATCH_NAMESPACES", "")]);
    assert!(env.settings.watch.namespaces.is_empty(), "an empty list is all namespaces");
}

#[test]
fn an_empty_variable_is_none_and_leaves_the_word_to_another() {
    let file = "[clusters]\nkubeconfig = [\"/file\"]\n";
    let env = [
        ("WATCH_NAMESPACES", ""),
        ("NAMESPACES", "team-a"),
        ("CONNECTOR_NAME", " "),
        ("CLUSTER_NAME", "prod"),
        ("POLL_INTERVAL_SECONDS", ""),
        ("POLL_INTERVAL", "60"),
        ("KUBECONFIG", ""),
    ];
    let Resolved { settings: s, warnings, .. } = ok(file, &env);
    assert_eq!((s.watch.namespaces, s.clusters.name), (vec!["team-a".to_owned()], Some("prod".to_owned())));
    assert_eq!(s.watch.poll_interval, Duration::from_secs(60));
    assert_eq!(s.clusters.kubeconfig, [std::path::Path::new("/file")]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let both = [("KUBECONFIG", "/shell"), ("BARRELMAN_CLUSTERS_KUBECONFIG", "/ours")];
    let Resolved { settings: s, warnings, .. } = ok(file, &both);
    assert_eq!(s.clusters.kubeconfig, [std::path::Path::new("/ours")], "what was meant for us");
    assert!(warnings[0].0.contains("KUBECONFIG is ignored"), "{warnings:?}");
}

#[test]
fn a_kubeconfig_on_the_command_line_wins_over_in_cluster() {
    let mut all = sources("", &[("IN_CLUSTER", "true")]);
    all.flags.contexts = vec!["prod".into()];
    let resolved = resolve(&all).unwrap();
    assert_eq!(resolved.settings.clusters.in_cluster, Some(false));
    assert!(resolved.warnings[0].0.contains("--context"));
}

#[test]
fn every_problem_is_told_at_once_with_line_key_and_what_is_near() {
    let file = r#"watch_only = "perhaps"
selector = "a=b"
ignore = ["ns:dev", "naemspace:x"]
[watch]
pol_interval_secs = 5
poll_interval_secs = 1
retention_days = 3
namespaces = ["Team_A"]
[watch.kinds]
pod = true
secrets = 1
[wacth]
[types.pod_crashloop]
[types.job_failed]
severity = "hgih"
settle = 3
[incidents]
settle_secs = 5
runbook_url = "wiki"
[[connectors]]
name = "a"
type = "slack"
webhook_url = "https://hooks.example/secret-token-value"
[[connectors]]
name = "b"
[[connectors]]
name = "c"
type = "webhook"
[[connectors]]
name = "c"
type = "webhook"
"#;
    let said = problems(
        file,
        &[("POLL_INTERVAL_SECONDS", "soon"), ("IN_CLUSTER", "maybe"), ("PAINCHAIN_API_URL", "painchain")],
    );
    for line in [
        "config.toml:1: watch_only: expected true or false, not \"perhaps\"",
        "config.toml:2: selector: unknown key here: selector belongs to [watch]",
        "config.toml:3: ignore[1]: not a filter: ",
        "config.toml:5: watch.pol_interval_secs: unknown key, did you mean poll_interval_secs?",
        "config.toml:6: watch.poll_interval_secs: expected whole seconds between 5 and 86400, not 1",
        "config.toml:7: watch.retention_days: unknown key here: retention_days belongs to [store]",
        "config.toml:8: watch.namespaces: \"Team_A\" is no namespace",
        "config.toml:10: watch.kinds.pod: unknown kind, did you mean pods?",
        "config.toml:11: watch.kinds.secrets: expected true or false, not 1",
        "config.toml:12: wacth: unknown key, did you mean watch?",
        "config.toml:13: types.pod_crashloop: unknown event type, did you mean pod_crash_loop?",
        "config.toml:15: types.job_failed.severity: expected critical, high, medium, low, info, not \"hgih\", did you mean high?",
        "config.toml:16: types.job_failed.settle: unknown key, did you mean",
        "config.toml:18: incidents.settle_secs: expected a section, [incidents.settle_secs]",
        "config.toml:19: incidents.runbook_url: expected a URL",
        "config.toml:23: connectors[0].webhook_url: unknown key here: a connector's own options belong into config",
        "config.toml:24: connectors[1].type: is required",
        "config.toml:29: connectors[3].name: the name \"c\" is taken",
        "environment POLL_INTERVAL_SECONDS: watch.poll_interval_secs: expected whole seconds",
        "environment IN_CLUSTER: clusters.in_cluster: expected true or false",
        "environment PAINCHAIN_API_URL: expected a URL",
    ] {
        assert!(said.iter().any(|s| s.starts_with(line)), "{line}\nin\n{}", said.join("\n"));
    }
    assert_eq!(said.len(), 21, "{}", said.join("\n"));
    assert!(!said.join("").contains("secret-token"));
}

#[test]
fn every_bad_item_of_a_list_is_told_at_its_line() {
    let file = "ignore = [\n  \"naemspace:a\",\n  \"ns:dev\",\n  \"since:1h\",\n  7,\n]\n";
    let said = problems(file, &[("WATCH_NAMESPACES", "ok,Not_Ok,Nor_This")]);
    for line in [
        "config.toml:2: ignore[0]: not a filter: ",
        "config.toml:4: ignore[2]: \"since:1h\": an ignore rule has no since:",
        "config.toml:5: ignore[3]: expected a list of texts, not 7",
        "environment WATCH_NAMESPACES: watch.namespaces[1]: \"Not_Ok\" is no namespace",
        "environment WATCH_NAMESPACES: watch.namespaces[2]: \"Nor_This\" is no namespace",
    ] {
        assert!(said.iter().any(|s| s.starts_with(line)), "{line}\nin\n{}", said.join("\n"));
    }
    assert_eq!(said.len(), 5);
}

#[test]
fn what_is_wrong_leaves_the_rest_to_be_looked_at() {
    let file = "[log]\nlevel = \"loud\"\n[delivery]\nallow_insecure_http = true\n[[connectors]]\ntype = \"webhook\"\n[connectors.config]\n\
        urll = \"https://a.example\"\nconditions = { namespce = \"x\" }\n";
    let examined = examine(&sources(file, &[]));
    let said: Vec<String> = examined.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("config.toml:5: connectors[0].name: is required"), "{said:?}");
    let settings = &examined.resolved.settings;
    assert!(settings.delivery.allow_insecure_http && settings.log.level == "info");
    assert_eq!(settings.connectors[0].config["urll"], "https://a.example");
    let place = examined.resolved.place(0);
    let at = |option: &str| place.problem(option, "!").to_string();
    assert_eq!(at("urll"), "config.toml:8: connectors[0].config.urll: !");
    assert_eq!(
        at("url"),
        "config.toml:5: connectors[0].config.url: !",
        "what is missing: where its table begins"
    );
    assert_eq!(at("conditions.namespce"), "config.toml:9: connectors[0].config.conditions.namespce: !");
    assert_eq!(at("type"), "config.toml:6: connectors[0].type: !");
}

#[test]
fn kinds_and_types_have_names_in_the_environment_too() {
    let env = [
        ("BARRELMAN_WATCH_KINDS_SECRETS", "false"),
        ("BARRELMAN_WATCH_KINDS_NODES", "true"),
        ("BARRELMAN_WATCH_KINDS_NAMESPACES", "auto"),
        ("BARRELMAN_TYPES_POD_CRASH_LOOP_SEVERITY", "high"),
        ("BARRELMAN_TYPES_JOB_FAILED_SETTLE_SECS", "60"),
    ];
    let resolved =
        ok("[watch.kinds]\nsecrets = true\nnamespaces = true\n[types.job_failed]\nsettle_secs = 5\n", &env);
    let s = &resolved.settings;
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    assert!(!s.watch.kinds.contains(&Kind::Secret));
    assert_eq!(s.watch.insisted.iter().copied().collect::<Vec<_>>(), [Kind::Node]);
    assert_eq!(s.types[&EventType::PodCrashLoop].severity, Some(Severity::High));
    assert_eq!(s.types[&EventType::JobFailed].settle, Some(Duration::from_secs(60)));
    let said =
        problems("", &[("BARRELMAN_WATCH_KINDS_PODS", "7"), ("BARRELMAN_TYPES_JOB_FAILED_SEVERITY", "hgih")]);
    assert!(
        said[0].starts_with("environment BARRELMAN_WATCH_KINDS_PODS: watch.kinds.pods: expected true"),
        "{said:?}"
    );
    assert!(said[1].contains("types.job_failed.severity: expected") && said[1].contains("high?"), "{said:?}");
}

/// What the README and the example say of them.
#[test]
fn every_option_but_keys_and_connectors_has_a_name_in_the_environment() {
    let names = env::names();
    let expected = options::OPTIONS.iter().map(|o| o.path.to_owned());
    let kinds = Kind::ALL.iter().map(|k| format!("watch.kinds.{}", k.plural()));
    let types = EventType::all()
        .iter()
        .flat_map(|d| options::TYPE_OPTIONS.iter().map(|o| format!("types.{}.{}", d.name, o.path)));
    for path in expected.chain(kinds).chain(types) {
        let name = format!("BARRELMAN_{}", path.replace('.', "_").to_uppercase());
        // The data directory has a shorter one.
        assert!(names.contains(&name) || path == "store.dir", "{name}");
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn broken_toml_is_told_with_its_line_beside_the_rest() {
    let said = problems("[watch]\npoll_interval_secs = \n[log]\nlevel = \"loud\"\n", &[]);
    assert!(said.iter().any(|s| s.starts_with("config.toml:2: not TOML: ")), "{said:?}");
    assert!(said.iter().any(|s| s.starts_with("config.toml:4: log.level: expected")), "{said:?}");
}

#[test]
fn sections_types_and_connectors_are_read() {
    let file = r#"
ignore = ["ns:dev-* severity<high"]
[watch.kinds]
secrets = false
[types.job_failed]
severity = "critical"
settle_secs = 60
heal_for_secs = ""
[heartbeat]
url = "https://hc.example/ping/0123456789abcdef"
[server]
listen = ":8080"
[log]
format = "json"
[[connectors]]
name = "hook"
type = "webhook"
enabled = true
config = { url = "https://api.example/x?token=abcdefghijkl", headers = { Authorization = "Bearer abcdefghijklmnop" } }
"#;
    let resolved = ok(file, &[]);
    let s = &resolved.settings;
    assert!(!s.watch.kinds.contains(&Kind::Secret) && s.watch.kinds.contains(&Kind::Pod));
    let job = &s.types[&EventType::JobFailed];
    assert_eq!(
        (job.severity, job.settle, job.heal_for),
        (Some(Severity::Critical), Some(Duration::from_secs(60)), None)
    );
    assert_eq!(s.ignore[0].source(), "ns:dev-* severity<high");
    assert_eq!(s.heartbeat.as_ref().unwrap().interval, Duration::from_secs(60));
    assert_eq!(s.listen.unwrap().to_string(), "0.0.0.0:8080");
    assert!(s.log.json);
    assert_eq!((s.connectors[0].origin, s.connectors[0].enabled), (Origin::File, true));

    let shown = show(&resolved, &|_| vec!["url"]);
    for secret in ["abcdefgh", "01234567"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for line in [
        "listen = \"0.0.0.0:8080\"  # config.toml:12",
        "[watch.kinds]\nsecrets = false",
        "[types.job_failed]\nseverity = \"critical\"\nsettle_secs = 60\n",
        "[[connectors]]  # file\nname = \"hook\"",
    ] {
        assert!(shown.contains(line), "{line}\nin\n{shown}");
    }
    assert!(resolve(&sources(&shown, &[])).is_ok(), "what is shown can be read: {shown}");
}

#[test]
fn the_environment_overrides_a_painchain_connector_of_the_same_name() {
    let file = "[clusters]\nname = \"eu\"\n[[connectors]]\nname = \"eu\"\ntype = \"painchain\"\nconfig = { api_url = \"https://old.example\", mode = \"webhooks\" }\n";
    let resolved = ok(file, &[("PAINCHAIN_API_URL", "https://new.example")]);
    let [spec] = resolved.settings.connectors.as_slice() else { panic!() };
    assert_eq!(
        (&spec.config["api_url"], &spec.config["mode"]),
        (&"https://new.example".into(), &"webhooks".into())
    );
    assert!(spec.enabled);
    let clash =
        problems(&file.replace("painchain", "slack"), &[("PAINCHAIN_API_URL", "https://new.example")]);
    assert!(clash[0].contains("the file has one of type slack"), "{clash:?}");
    let lonely = ok("", &[("PAINCHAIN_TOKEN", "x")]);
    assert!(lonely.warnings[0].0.contains("no effect without PAINCHAIN_API_URL"));
}

#[test]
fn the_environment_makes_no_second_painchain_connector_to_the_same_address() {
    let of = |url: &str| {
        format!(
            "[[connectors]]\nname = \"timeline\"\ntype = \"painchain\"\nconfig = {{ api_url = \"{url}\" }}\n"
        )
    };
    let env = [("CONNECTOR_NAME", "prod"), ("PAINCHAIN_API_URL", "https://backend.example:8000")];
    for same in ["https://backend.example:8000/", "${PAINCHAIN_API_URL}"] {
        let resolved = ok(&of(same), &env);
        let [spec] = resolved.settings.connectors.as_slice() else { panic!("{same}") };
        assert_eq!((spec.name.as_str(), spec.enabled), ("timeline", true));
        assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    }
    let resolved = ok(&of("https://other.example"), &env);
    assert_eq!(resolved.settings.connectors.len(), 2);
    let said = &resolved.warnings[0].0;
    assert!(said.contains("\"prod\" beside \"timeline\" of the file"), "{said}");
}

#[test]
fn names_in_the_environment_and_paths_are_unique() {
    let mut names: Vec<String> = options::OPTIONS.iter().flat_map(options::Opt::env_names).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    for option in options::OPTIONS {
        assert_eq!(options::Opt::find(option.path).map(|o| o.path), Some(option.path));
        assert!(!option.help.is_empty() || option.section().ends_with("settle_secs"), "{}", option.path);
    }
}

/// A CronJob's `timeZone` and the times of a filter must mean something in a container without zoneinfo files.
#[test]
fn time_zones_are_known_without_the_systems_database() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    for name in ["Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
        assert!(bundled.get(name).is_ok(), "{name}");
    }
}

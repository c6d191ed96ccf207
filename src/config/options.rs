//! Every option, a line each: path, type, default, names in the environment, flag and help. File, environment, the
//! example, `config show` and the messages all read this table; a new option is one line here and one field in
//! `settings`.

use super::value::Type;

/// One option of the configuration.
#[derive(Debug)]
pub struct Opt {
    /// `section.key`; sections as in the file.
    pub path: &'static str,
    /// What it takes.
    pub takes: Type,
    /// Its default as TOML; `""` = unset.
    pub default: &'static str,
    /// Names beside `BARRELMAN_<PATH>`, the first one set wins.
    pub env: &'static [&'static str],
    /// The flag that wins over both; empty = none.
    pub flag: &'static str,
    /// What it does, units included.
    pub help: &'static str,
}

macro_rules! options {
    ($($path:literal $takes:expr, $default:literal [$($env:literal),*] $flag:literal $help:literal;)*) => {
        /// Every option but `[watch.kinds]`, `[types.<type>]`, `[ui.keys]` and `[[connectors]]`.
        pub const OPTIONS: &[Opt] = &[
            $(Opt { path: $path, takes: $takes, default: $default, env: &[$($env),*], flag: $flag, help: $help },)*
        ];
    };
}

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

options! {
    "watch_only" Type::Bool, "false" [] "--watch-only" "true: store events and incidents, never deliver.";
    "ignore" Type::Filters, "[]" [] "" "Filters: what matches one is stored and shown, joins no incident and is told to nobody. Example: [\"ns:dev-* severity<high\"]";

    "clusters.name" Type::Text, "\"\"" ["CONNECTOR_NAME", "CLUSTER_NAME"] "--name" "The cluster's name in payloads; with several contexts a prefix (name/context). Unset: the context's name, or in-cluster.";
    "clusters.kubeconfig" Type::Paths, "[]" ["KUBECONFIG"] "--kubeconfig" "Kubeconfig files, merged as kubectl does. Empty: ~/.kube/config.";
    "clusters.contexts" Type::List, "[]" [] "--context" "Kubeconfig contexts to watch at once. Empty: the current one.";
    "clusters.in_cluster" Type::Bool, "\"\"" ["IN_CLUSTER"] "" "true: the ServiceAccount of the pod, kubeconfig is ignored. false: never. Unset: kubeconfig, then in-cluster.";

    "watch.namespaces" Type::Namespaces, "[]" ["WATCH_NAMESPACES", "NAMESPACES"] "--namespace" "Namespaces to watch, names and globs (team-*). Empty: all.";
    "watch.selector" Type::Selector, "\"\"" ["RESOURCE_FILTER"] "--selector" "Label selector, applied by the server (app=api,tier!=db).";
    "watch.poll_interval_secs" Type::Secs(5, DAY), "300" ["POLL_INTERVAL_SECONDS", "POLL_INTERVAL"] "" "Interval of all work that is not a watch.";
    "watch.metrics_interval_secs" Type::Secs(10, 3_600), "30" [] "" "Interval of reading metrics, where a rule uses them.";
    "watch.watch_timeout_secs" Type::Secs(20, 280), "45" [] "" "How long one watch request lasts, give or take 15 s.";

    "incidents.dedup_window_secs" Type::Secs(0, WEEK), "600" [] "" "Repeats of one trouble within this time of the first are counted, not told again.";
    "incidents.heal_for_secs" Type::Secs(0, DAY), "\"\"" [] "" "How long an end must hold. Unset: the type's own (60; crash loops 300).";
    "incidents.reopen_within_secs" Type::Secs(0, WEEK), "900" [] "" "Broken again within this time, it is the same incident.";
    "incidents.one_shot_secs" Type::Secs(60, WEEK), "3600" [] "" "An incident of moments only (an OOM kill, an eviction) ends quietly after this time.";
    "incidents.repeat_interval_secs" Type::Secs(0, 30 * DAY), "14400" [] "" "A reminder while an incident stays open; 0 = none.";
    "incidents.stale_after_secs" Type::Secs(60, WEEK), "3600" [] "" "After a long silence, waiting messages older than this go out as one digest.";
    "incidents.logs" Type::Bool, "false" [] "" "Add the last lines of the container that died (needs the right to read pods/log).";
    "incidents.runbook_url" Type::UrlTemplate, "\"\"" [] "" "Link in messages and on the screen, with variables of the payload: https://wiki.example.com/{{event_type}}";
    "incidents.dashboard_url" Type::UrlTemplate, "\"\"" [] "" "The same for a dashboard.";
    "incidents.settle_secs.critical" Type::Secs(0, 3_600), "0" [] "" "How long a first message waits for worse to come, by severity.";
    "incidents.settle_secs.high" Type::Secs(0, 3_600), "5" [] "" "";
    "incidents.settle_secs.medium" Type::Secs(0, 3_600), "10" [] "" "";
    "incidents.settle_secs.low" Type::Secs(0, 3_600), "10" [] "" "";
    "incidents.settle_secs.info" Type::Secs(0, 3_600), "10" [] "" "";

    "store.dir" Type::Path, "\"\"" ["BARRELMAN_DATA_DIR"] "--data-dir" "Directory of the database, its key and its socket. Unset: the platform's data directory.";
    "store.retention_days" Type::Number(1, 3_650), "30" [] "" "Events and ended incidents older than this go.";
    "store.max_bytes" Type::Bytes(16 << 20), "\"2GiB\"" [] "" "At this size the oldest go, whatever their age.";
    "store.outbox_max_bytes" Type::Bytes(1 << 20), "\"1GiB\"" [] "" "With this much undelivered, reading stops: nothing is dropped.";
    "store.dead_letters_max_bytes" Type::Bytes(1 << 20), "\"256MiB\"" [] "" "Messages that nobody took, the oldest go first.";

    "delivery.horizon_secs" Type::Secs(60, 30 * DAY), "86400" [] "" "How long a message is tried before it becomes a dead letter.";
    "delivery.timeout_secs" Type::Secs(1, 300), "15" [] "" "For one request.";
    "delivery.ca_file" Type::Path, "\"\"" [] "" "Further CA certificates for connectors, PEM.";
    "delivery.allow_insecure_http" Type::Bool, "false" [] "" "Plain http to other hosts than loopback.";

    "heartbeat.url" Type::Url, "\"\"" [] "" "A dead-man's switch elsewhere: a GET goes there while all is well, which is: every kind that is switched on is watched, the store commits, no connector that is on is paused or incomplete. Unset: off.";
    "heartbeat.interval_secs" Type::Secs(5, DAY), "60" [] "" "How often.";

    "server.listen" Type::Listen, "\"\"" [] "--listen" "Health and metrics over HTTP: 127.0.0.1:8080, or :8080 for all addresses. Unset: off.";

    "log.level" Type::LogLevel, "\"info\"" ["LOG_LEVEL"] "--log-level" "debug, info, warn, error, or a filter (info,barrelman::watch=debug).";
    "log.format" Type::OneOf(&["text", "json"]), "\"text\"" [] "--log-format" "text or json (a line per record).";

    "ui.theme" Type::OneOf(&["auto", "dark", "light", "mono"]), "\"auto\"" [] "" "The dashboard's colours: dark, light, mono, or auto (NO_COLOR, then COLORFGBG, then dark).";
}

/// The options of `[types.<type>]`; unset = as in `[incidents]` and the catalogue.
pub const TYPE_OPTIONS: &[Opt] = &[
    type_option("severity", Type::Severity, "Another severity than the catalogue's."),
    type_option("dedup_window_secs", Type::Secs(0, WEEK), "As in [incidents], for this type."),
    type_option("settle_secs", Type::Secs(0, 3_600), "One number for all severities."),
    type_option("heal_for_secs", Type::Secs(0, DAY), ""),
    type_option("reopen_within_secs", Type::Secs(0, WEEK), ""),
    type_option("one_shot_secs", Type::Secs(60, WEEK), ""),
    type_option("repeat_interval_secs", Type::Secs(0, 30 * DAY), ""),
];

const fn type_option(path: &'static str, takes: Type, help: &'static str) -> Opt {
    Opt { path, takes, default: "\"\"", env: &[], flag: "", help }
}

impl Opt {
    /// By its path.
    pub fn find(path: &str) -> Option<&'static Opt> {
        OPTIONS.iter().find(|o| o.path == path)
    }

    /// `watch` of `watch.selector`; empty at the top.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// `selector` of `watch.selector`.
    pub fn key(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, key)| key)
    }

    /// Every name in the environment, the strongest first: ours was meant for us, others are read by many.
    pub fn env_names(&self) -> impl Iterator<Item = String> {
        let own = format!("BARRELMAN_{}", self.path.replace('.', "_").to_uppercase());
        std::iter::once(own).chain(self.env.iter().map(|n| (*n).to_owned()))
    }
}

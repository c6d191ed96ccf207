//! A store with a believable day in it, for the tests of the screen and for `examples/tui_preview.rs`.
#![allow(
    clippy::needless_pass_by_value,
    clippy::items_after_statements,
    reason = "a table of samples reads best so"
)]

use barrelman::{
    event::{
        Event, EventType, IncidentId, NotificationId, Severity,
        incident::{Incident, Member, Phase},
    },
    status::{ClusterState, ClusterStatus, ConnectorStatus, Status, StoreStatus, StreamState, StreamStatus},
    store::{
        BASELINES, Baseline, DEAD, DELIVERIES, DELIVERIES_BY, DeadLetter, DeliveryRow, DeliveryState,
        EVENT_IDS, EVENTS, EVENTS_BY_OBJECT, GAPS, GapRow, INCIDENT_EVENTS, INCIDENTS, INCIDENTS_BY_TIME,
        MEMBERS, OBJECTS, OUTBOX, OutboxRow, Result, Store, Tx, keys,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// 09:41:07 of an ordinary day.
pub fn now() -> Timestamp {
    "2026-11-22T09:41:07Z".parse().unwrap()
}

pub fn ago(now: Timestamp, secs: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(secs)).unwrap()
}

/// An event of a type about an object of a workload.
pub fn event(n: u64, at: Timestamp, what: (EventType, Severity), place: (&str, &str, &str)) -> Event {
    let (event_type, severity) = what;
    let (namespace, kind, name) = place;
    let owner = name.rsplitn(3, '-').last().unwrap_or(name);
    let subject = if kind == "Pod" {
        json!({"kind": "Deployment", "namespace": namespace, "name": owner})
    } else {
        json!({"kind": kind, "namespace": namespace, "name": name})
    };
    serde_json::from_value(json!({
        "id": format!("{n:032x}"), "fingerprint": format!("f{n}"), "event_type": event_type, "severity": severity,
        "status": if event_type.def().role == barrelman::event::Role::Opens { "firing" } else { "info" },
        "role": event_type.def().role, "timestamp": at, "observed_at": at, "time_source": "cluster",
        "cluster": "prod-eu", "cluster_uid": "uid-eu",
        "object": {"kind": kind, "namespace": namespace, "name": name, "uid": format!("u-{name}")},
        "subject": subject, "title": format!("{name}: {}", event_type.def().means.trim_end_matches('.').to_lowercase()),
        "count": 1, "first_seen": at, "last_seen": at, "labels": {"app": owner},
        "details": {"container": "app", "node": "ip-10-12-34-56"},
        "recommendations": [{"action": "Check pod logs", "command": format!("kubectl -n {namespace} logs {name} --previous")}],
        "owner_references": if kind == "Pod" { json!([{"kind": "ReplicaSet", "name": format!("{owner}-7c9d8f6b5"), "uid": "rs", "controller": true}]) } else { json!([]) },
    }))
    .unwrap()
}

/// The `n`th event of a busy cluster.
pub fn busy(n: u64, at: Timestamp) -> Event {
    use EventType as T;
    use Severity as S;
    let kinds = [
        (T::PodStatusChanged, S::Info),
        (T::PodCreated, S::Info),
        (T::EndpointsChanged, S::Info),
        (T::PodRestarted, S::Medium),
        (T::PodDeleted, S::Info),
        (T::DeploymentScaled, S::Low),
        (T::KubernetesEvent, S::Info),
        (T::ConfigChanged, S::Low),
        (T::PodUnready, S::Medium),
        (T::RolloutStarted, S::Info),
        (T::PodStatusChanged, S::Info),
        (T::PodUnschedulable, S::High),
    ];
    let namespaces = ["payments", "checkout", "batch", "ingress", "search"];
    let workloads = ["payments-api", "cart", "nightly-recon", "edge", "indexer", "mailer", "ledger"];
    let what = kinds[(n.wrapping_mul(2_654_435_761) >> 7) as usize % kinds.len()];
    let namespace = namespaces[n as usize % namespaces.len()];
    let name = format!("{}-7c9d8f6b5-{:05x}", workloads[n as usize % workloads.len()], n % 4_000 * 17);
    event(n + 1_000_000, at, what, (namespace, "Pod", &name))
}

pub fn put_event(tx: &Tx<'_>, event: &Event) -> Result<u64> {
    let seq = tx.append(&EVENTS, event)?;
    tx.put(&EVENT_IDS, event.id.as_str(), &seq)?;
    for key in keys::events_by_object(event, seq) {
        tx.put(&EVENTS_BY_OBJECT, &key, &())?;
    }
    if let Some(incident) = &event.incident {
        tx.put(&INCIDENT_EVENTS, &keys::incident_event(incident, seq), &())?;
    }
    Ok(seq)
}

/// A store of its own, with so many events and a day in it, or empty; it goes with the directory.
pub fn store(events: Option<u64>) -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    if let Some(events) = events {
        fill(&store, now(), events);
        day(&store, now());
    }
    (store, dir)
}

/// `count` busy events, the newest a second ago, half a second apart.
pub fn fill(store: &Store, now: Timestamp, count: u64) {
    let mut n = 0;
    while n < count {
        let end = count.min(n + 5_000);
        let range = n..end;
        store
            .write_blocking(move |tx| {
                for i in range {
                    let back = SignedDuration::from_millis(((count - i) * 500) as i64 + 60_000);
                    put_event(tx, &busy(i, now.checked_sub(back).unwrap()))?;
                }
                Ok(())
            })
            .unwrap();
        n = end;
    }
}

struct Trouble {
    n: u64,
    since: i64,
    ended: Option<i64>,
    what: (EventType, Severity),
    subject: (&'static str, &'static str, &'static str),
    pods: &'static [&'static str],
    title: &'static str,
    why: &'static str,
}

fn troubles() -> Vec<Trouble> {
    use EventType as T;
    use Severity as S;
    vec![
        Trouble {
            n: 1,
            since: 1605,
            ended: None,
            what: (T::PodCrashLoop, S::Critical),
            subject: ("payments", "Deployment", "payments-api"),
            pods: &["payments-api-7c9d8f6b5-x2x4z", "payments-api-7c9d8f6b5-9kq2p"],
            title: "crash loop: app exits 137 (OOMKilled)",
            why: "Container app was killed for using more than its limit of 256Mi, 31 restarts; last: FATAL no connection: pool size 2",
        },
        Trouble {
            n: 2,
            since: 285,
            ended: None,
            what: (T::PodUnschedulable, S::High),
            subject: ("batch", "CronJob", "nightly-recon"),
            pods: &["nightly-recon-28741-zz9qd"],
            title: "unschedulable: 0/14 nodes are available",
            why: "0/14 nodes are available: 14 Insufficient memory. preemption: 0/14 nodes are available.",
        },
        Trouble {
            n: 3,
            since: 67,
            ended: None,
            what: (T::NodeUnhealthy, S::Critical),
            subject: ("", "Node", "ip-10-12-34-91"),
            pods: &[],
            title: "node not ready: the kubelet is silent",
            why: "Kubelet stopped posting node status.",
        },
        Trouble {
            n: 4,
            since: 1200,
            ended: Some(480),
            what: (T::PodUnready, S::Medium),
            subject: ("checkout", "Deployment", "cart"),
            pods: &["cart-5f7d6c8b9-m2m8s"],
            title: "readiness probe answers 503",
            why: "Readiness probe failed: HTTP probe failed with statuscode: 503",
        },
        Trouble {
            n: 5,
            since: 2580,
            ended: Some(2400),
            what: (T::ServiceUnavailable, S::Critical),
            subject: ("ingress", "Service", "edge"),
            pods: &[],
            title: "no ready endpoints",
            why: "Service edge went from 3 to 0 ready endpoints.",
        },
    ]
}

pub fn id(n: u64) -> IncidentId {
    IncidentId(format!("{n:032x}"))
}

pub fn incident(now: Timestamp, n: u64) -> Incident {
    let t = troubles().into_iter().find(|t| t.n == n).unwrap();
    let (namespace, kind, name) = t.subject;
    let opened = ago(now, t.since);
    serde_json::from_value(json!({
        "id": id(n), "cluster": "prod-eu", "cluster_uid": "uid-eu",
        "subject": {"kind": kind, "namespace": namespace, "name": name},
        "status": if t.ended.is_some() { "resolved" } else { "open" }, "opened_at": opened,
        "last_at": ago(now, t.ended.unwrap_or(20)), "resolved_at": t.ended.map(|s| ago(now, s)),
        "event_type": t.what.0, "severity": t.what.1, "title": t.title, "description": t.why,
        "worst_event": format!("{:032x}", 100 + n), "events": 31 / n, "holding": u32::from(t.ended.is_none()), "members": t.pods.len().max(1),
        "affected": if kind == "Node" { 23 } else { 0 },
        "suspects": if n == 1 { json!([
            {"event": "e1", "event_type": "image_changed", "object": {"kind": "Deployment", "namespace": "payments", "name": "payments-api"},
             "at": ago(now, t.since + 72), "title": "image 1.41.0 → 1.42.0", "manager": "argocd-controller", "link": "owner", "score": 0.91},
            {"event": "e2", "event_type": "config_changed", "object": {"kind": "ConfigMap", "namespace": "payments", "name": "payments-cfg"},
             "at": ago(now, t.since + 400), "title": "key db.pool.max changed", "manager": "kubectl-edit", "link": "config", "score": 0.41},
        ]) } else { json!([]) },
    }))
    .unwrap()
}

/// A message about the first incident that failed just now, and is tried again.
pub fn retrying(connector: &str) -> DeliveryRow {
    let row = delivery(now(), connector, 1, 1, DeliveryState::Retrying, "HTTP 500: boom");
    DeliveryRow { status: 500, ..row }
}

fn delivery(
    now: Timestamp,
    connector: &str,
    n: u64,
    secs: i64,
    state: DeliveryState,
    detail: &str,
) -> DeliveryRow {
    let incident = incident(now, n);
    DeliveryRow {
        at: ago(now, secs),
        connector: connector.into(),
        notification: NotificationId(format!("{:032x}", 7_000 + secs)),
        phase: Phase::Opened,
        event: incident.worst_event.clone(),
        event_type: incident.event_type,
        severity: incident.severity,
        title: incident.title.clone(),
        incident: Some(incident.id),
        cluster: incident.cluster,
        namespace: incident.subject.namespace.clone(),
        subject: incident.subject.key(),
        state,
        attempts: if state == DeliveryState::Delivered { 1 } else { 5 },
        status: if state == DeliveryState::Delivered { 200 } else { 401 },
        next_at: None,
        tried_since: None,
        latency_ms: 184,
        detail: detail.into(),
    }
}

fn object(
    kind: &str,
    namespace: &str,
    name: &str,
    owner: Option<(&str, &str)>,
    body: Value,
) -> (String, Value) {
    let owners = owner
        .map_or_else(|| json!([]), |(k, n)| json!([{"kind": k, "name": n, "uid": "o", "controller": true}]));
    let key = barrelman::store::key(&["uid-eu", kind, namespace, name]);
    (
        key,
        json!({
            "kind": kind, "meta": {"namespace": namespace, "name": name, "uid": format!("u-{name}"), "version": "1", "created_at": null, "owners": owners}, "body": body,
        }),
    )
}

fn objects() -> Vec<(String, Value)> {
    let mut all = vec![
        object(
            "Deployment",
            "payments",
            "payments-api",
            None,
            json!({"Workload": {"replicas": 6, "ready": 2}}),
        ),
        object(
            "ReplicaSet",
            "payments",
            "payments-api-7c9d8f6b5",
            Some(("Deployment", "payments-api")),
            json!({"Workload": {"replicas": 6, "ready": 2}}),
        ),
        object(
            "Pod",
            "payments",
            "payments-api-7c9d8f6b5-x2x4z",
            Some(("ReplicaSet", "payments-api-7c9d8f6b5")),
            json!({"Pod": {"phase": "Running", "node": "ip-10-12-34-56", "containers": [{"name": "app", "image": "api:1.42.0", "restarts": 31}]}}),
        ),
        object(
            "Node",
            "",
            "ip-10-12-34-91",
            None,
            json!({"Node": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}}),
        ),
    ];
    for ns in ["payments", "checkout", "batch", "ingress", "search", "kube-system"] {
        all.push(object("Namespace", "", ns, None, json!({"Namespace": {"phase": "Active"}})));
    }
    all
}

/// The incidents of the day with their events, members, deliveries, a dead letter and a gap.
pub fn day(store: &Store, now: Timestamp) {
    store.write_blocking(move |tx| story(tx, now)).unwrap();
}

fn story(tx: &Tx<'_>, now: Timestamp) -> Result<()> {
    // Watched for three hours.
    let listed = Baseline { since: ago(now, 3 * 3600), live_until: now };
    tx.put(&BASELINES, &keys::baseline(&"uid-eu".into(), "Pod", "", ""), &listed)?;
    for (key, row) in objects() {
        tx.put(&OBJECTS, &key, &serde_json::from_value(row).expect("an object"))?;
    }
    for t in troubles() {
        let incident = incident(now, t.n);
        tx.put(&INCIDENTS, incident.id.as_str(), &incident)?;
        tx.put(&INCIDENTS_BY_TIME, &keys::incident_by_time(incident.opened_at, &incident.id), &())?;
        let (namespace, kind, name) = t.subject;
        let objects: Vec<(&str, &str)> =
            if t.pods.is_empty() { vec![(kind, name)] } else { t.pods.iter().map(|p| ("Pod", *p)).collect() };
        for (i, (kind, name)) in objects.into_iter().enumerate() {
            let mut e = event(
                100 + t.n + 1000 * i as u64,
                ago(now, t.since - i as i64),
                t.what,
                (namespace, kind, name),
            );
            e.title = t.title.into();
            e.description = t.why.into();
            e.incident = Some(incident.id.clone());
            e.subject = incident.subject.clone();
            // They are stored after the busy ones: seen late, in the order of their rows.
            e.observed_at = ago(now, 59 - t.n as i64 * 2 - i as i64);
            put_event(tx, &e)?;
            let member = Member {
                fingerprint: e.fingerprint.clone(),
                object: e.object.clone(),
                event_type: e.event_type,
                severity: e.severity,
                title: e.title.clone(),
                since: e.timestamp,
                ended_at: t.ended.map(|s| ago(now, s)),
                holds: true,
                affected: false,
                count: 3,
            };
            tx.put(&MEMBERS, &keys::member(&incident.id, &e.fingerprint), &member)?;
        }
    }
    use DeliveryState as D;
    for row in [
        delivery(now, "slack-oncall", 5, 2579, D::Delivered, "ok"),
        delivery(now, "slack-oncall", 1, 1604, D::Delivered, "ok"),
        delivery(now, "pagerduty", 1, 1603, D::Delivered, "Event processed"),
        delivery(
            now,
            "email-leads",
            1,
            1500,
            D::Dead,
            "535 authentication failed: check username and password",
        ),
        delivery(now, "slack-oncall", 4, 1199, D::Delivered, "ok"),
        delivery(now, "slack-oncall", 2, 275, D::Delivered, "ok"),
        delivery(now, "pagerduty", 3, 60, D::Retrying, "503 Service Unavailable"),
        delivery(now, "slack-oncall", 3, 59, D::Delivered, "ok"),
    ] {
        let dead = row.state == D::Dead;
        let (incident, event, at) = (row.incident.clone(), row.event.clone(), row.at);
        let seq = tx.append(&DELIVERIES, &row)?;
        for key in keys::deliveries_by(incident.as_ref(), &event, seq) {
            tx.put(&DELIVERIES_BY, &key, &())?;
        }
        if dead {
            tx.append(&DEAD, &dead_letter(now, at))?;
        }
    }
    tx.append(
        &GAPS,
        &GapRow {
            cluster: "prod-eu".into(),
            from: ago(now, 2200),
            to: Some(ago(now, 1900)),
            why: "the API server did not answer".into(),
        },
    )?;
    Ok(())
}

/// One more connector that told of the first incident.
pub fn told(tx: &Tx<'_>, connector: &str, secs: i64) -> Result<()> {
    let row = delivery(now(), connector, 1, secs, DeliveryState::Delivered, "ok");
    let seq = tx.append(&DELIVERIES, &row)?;
    keys::deliveries_by(row.incident.as_ref(), &row.event, seq)
        .iter()
        .try_for_each(|key| tx.put(&DELIVERIES_BY, key, &()))
}

/// The container of the first incident left a message.
pub fn says(tx: &Tx<'_>, words: &str) -> Result<()> {
    use barrelman::store::{Read, pages};
    let worst = incident(now(), 1).worst_event;
    let (seq, _) = pages::event_by_id(tx, worst.as_str())?.expect("its worst event");
    let mut event = tx.entry(&EVENTS, seq)?.expect("the row of it");
    event.details.insert("termination_message".into(), words.into());
    tx.put_entry(&EVENTS, seq, &event)
}

/// A message that waits for a connector, about something in a namespace.
pub fn waits(tx: &Tx<'_>, seq: u64, connector: &str, namespace: &str, severity: Severity) -> Result<()> {
    let pod = (namespace, "Pod", "mailer-7c9d8f6b5-x2x4z");
    let event = event(7_000 + seq, now(), (EventType::PodRestarted, severity), pod);
    let row: OutboxRow = serde_json::from_value(json!({
        "seq": seq, "due_at": now(),
        "notification": {
            "id": format!("w{seq}"), "connector": connector, "phase": "event", "event": event, "created_at": now(),
        },
    }))
    .unwrap();
    tx.put(&OUTBOX, &keys::outbox(connector, seq), &row)
}

fn dead_letter(now: Timestamp, at: Timestamp) -> DeadLetter {
    let incident = incident(now, 1);
    let event = event(
        101,
        incident.opened_at,
        (incident.event_type, incident.severity),
        ("payments", "Pod", "payments-api-7c9d8f6b5-x2x4z"),
    );
    let row: OutboxRow = serde_json::from_value(json!({
        "seq": 1, "due_at": at,
        "notification": {"id": "n1", "connector": "email-leads", "phase": "opened", "event": event, "created_at": at},
        "claim": {"at": at, "attempts": 5, "next_at": at, "message": {"content_type": "application/json", "body": "{\"to\":\"leads\",\"title\":\"crash loop\"}", "id": "n1"}},
    }))
    .unwrap();
    DeadLetter {
        at,
        row,
        reason: barrelman::connector::Reason::Unauthorized,
        detail: "535 authentication failed: check username and password".into(),
    }
}

/// The trouble of incident 2 is over for ten seconds, and ends when it is for a minute.
pub fn heal(tx: &Tx<'_>, now: Timestamp) -> Result<()> {
    use barrelman::store::{DUES, Due, DueRow, FIRINGS, FiringRow, Read};
    let mut incident = incident(now, 2);
    incident.held = true;
    tx.put(&INCIDENTS, incident.id.as_str(), &incident)?;
    let member: Member = tx.all(&MEMBERS, &keys::prefix(&[incident.id.as_str()]))?.remove(0).1;
    let key = barrelman::object::ObjectKey::of(&member.object).expect("a pod");
    let row = FiringRow {
        rule: "pod_unschedulable".into(),
        key: key.clone(),
        object: member.object.clone(),
        event_type: member.event_type,
        severity: member.severity,
        discriminator: String::new(),
        fingerprint: member.fingerprint.clone(),
        since: member.since,
        event: incident.worst_event.clone(),
        seq: 1,
        incident: Some(incident.id.clone()),
        healthy_since: Some(ago(now, 10)),
        standing: false,
        words: None,
    };
    let uid = &incident.cluster_uid;
    tx.put(&FIRINGS, &keys::firing(uid, &key, &row.rule, row.event_type.name(), ""), &row)?;
    let due = DueRow {
        at: ago(now, -50),
        cluster: uid.0.clone(),
        what: Due::Judge { rule: row.rule.clone(), key: key.clone(), baseline: false },
    };
    tx.put(&DUES, &keys::judge_due(uid, &row.rule, &key), &due)
}

/// A status in which all is well but what the day says.
pub fn status(now: Timestamp) -> Status {
    use barrelman::event::Kind;
    let stream = |kind: Kind| StreamStatus {
        kind,
        namespace: String::new(),
        state: StreamState::Live,
        last_activity: Some(ago(now, 12)),
        synced: (210, 210),
        undecodable: 0,
        relists: 1,
        last_error: String::new(),
    };
    let connector = |name: &str, kind: &str, state: &str, dead: u64| ConnectorStatus {
        name: name.into(),
        kind: kind.into(),
        origin: "file".into(),
        enabled: state != "off",
        state: state.into(),
        delivered: 41,
        dead,
        last_delivered: Some(ago(now, 59)),
        ..ConnectorStatus::default()
    };
    let mut email = connector("email-leads", "email", "paused", 1);
    email.why = "535 authentication failed: check username and password".into();
    email.last_error = Some((ago(now, 1500), email.why.clone()));
    email.last_delivered = Some(ago(now, 90_000));
    let mut pagerduty = connector("pagerduty", "pagerduty", "on", 0);
    pagerduty.queued = 1;
    pagerduty.oldest = Some(ago(now, 60));
    Status {
        at: now,
        started_at: ago(now, 2650),
        pid: 0,
        mode: "dashboard".into(),
        clusters: vec![ClusterStatus {
            name: "prod-eu".into(),
            context: "prod-eu".into(),
            server: "https://10.0.0.1:6443".into(),
            version: "v1.33.1".into(),
            uid: "uid-eu".into(),
            state: ClusterState::Live,
            requests: 530,
            objects: 41_207,
            optional: Vec::new(),
            clock_ahead_secs: 0,
            user: None,
            streams: [Kind::Pod, Kind::Deployment, Kind::ReplicaSet, Kind::Node, Kind::Service, Kind::Event]
                .into_iter()
                .map(stream)
                .collect(),
        }],
        connectors: vec![
            connector("slack-oncall", "slack", "on", 0),
            pagerduty,
            email,
            connector("audit-hook", "webhook", "off", 0),
        ],
        store: StoreStatus {
            path: "/var/lib/barrelman/barrelman.redb".into(),
            bytes: 53_477_376,
            commits: 812,
            last_commit: Some(ago(now, 3)),
            ..StoreStatus::default()
        },
        memory: Some(75_497_472),
        ..Status::default()
    }
}

/// The same with a cluster away and a forbidden kind.
pub fn troubled(now: Timestamp) -> Status {
    let mut status = status(now);
    let cluster = &mut status.clusters[0];
    cluster.streams[3].state = StreamState::Forbidden { missing: "list,watch nodes".into() };
    cluster.streams[4].state = StreamState::Syncing;
    cluster.streams[4].synced = (12_400, 41_207);
    let mut away = cluster.clone();
    away.name = "prod-us".into();
    // Nobody has cut its watches, and nothing has come by them since.
    away.streams.iter_mut().for_each(|s| s.last_activity = Some(ago(now, 150)));
    away.state = ClusterState::Away {
        since: ago(now, 134),
        why: "x509: certificate has expired; renew it with your provider's login".into(),
        retry_at: Some(now.checked_add(SignedDuration::from_secs(12)).unwrap()),
    };
    status.clusters.push(away);
    status
}

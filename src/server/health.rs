//! Whether all is well, judged from a `Status` alone: readiness, and what the heartbeat depends on.

use std::collections::BTreeSet;

use crate::status::{ClusterState, ClusterStatus, Status, StreamState, StreamStatus};

/// Why the engine is not ready, a line each; empty when every stream that is switched on is live or known to be refused
/// or absent (at least one of each cluster is live), the store commits, and the outbox is below its cap.
pub fn unready(status: &Status) -> Vec<String> {
    let mut why = Vec::new();
    if status.clusters.is_empty() {
        why.push("starting: no cluster is known yet".to_owned());
    }
    for cluster in &status.clusters {
        unready_cluster(cluster, &mut why);
    }
    if let Some(error) = &status.store.error {
        why.push(format!("store: {error}"));
    }
    if status.store.full {
        why.push("store: the outbox is at its cap, reading from the cluster has stopped".to_owned());
    }
    why
}

fn unready_cluster(cluster: &ClusterStatus, why: &mut Vec<String>) {
    let name = &cluster.name;
    match &cluster.state {
        ClusterState::Connecting => return why.push(format!("cluster {name}: not reached yet")),
        ClusterState::Away { since, why: cause, .. } => {
            return why.push(format!("cluster {name}: away since {since}: {cause}"));
        }
        ClusterState::Live => {}
    }
    let before = why.len();
    for stream in &cluster.streams {
        let place = place(stream);
        match &stream.state {
            StreamState::Syncing => why.push(format!("cluster {name}: {place}: listing")),
            StreamState::Retrying { retry_at } => {
                let error = &stream.last_error;
                why.push(format!("cluster {name}: {place}: lost ({error}), tried again at {retry_at}"));
            }
            // What is missing by the cluster's own choice is told by `without`, and is no reason to restart us.
            StreamState::Live | StreamState::Forbidden { .. } | StreamState::Absent => {}
        }
    }
    if why.len() > before || cluster.streams.iter().any(|s| s.state == StreamState::Live) {
        return;
    }
    let refused = cluster.streams.iter().any(|s| matches!(s.state, StreamState::Forbidden { .. }));
    let what =
        if refused { "nothing may be watched: every right is missing" } else { "nothing is watched yet" };
    why.push(format!("cluster {name}: {what}"));
}

/// `secrets in namespace prod`
fn place(stream: &StreamStatus) -> String {
    if stream.namespace.is_empty() {
        stream.kind.plural().to_owned()
    } else {
        format!("{} in namespace {}", stream.kind.plural(), stream.namespace)
    }
}

/// What is switched on and refused, a line each: shown by readiness, and a reason for no heartbeat. What is optional
/// (kinds in no namespace, while only some namespaces are watched) is left out, unless it was permitted before.
pub fn without(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for cluster in &status.clusters {
        let shut = shut_namespaces(cluster);
        lines.extend(shut.iter().map(|namespace| {
            let name = &cluster.name;
            format!("cluster {name}: namespace {namespace}: not permitted, or it does not exist")
        }));
        for stream in &cluster.streams {
            let StreamState::Forbidden { missing } = &stream.state else { continue };
            let is_optional = stream.last_activity.is_none() && cluster.optional.contains(&stream.kind);
            if is_optional || shut.contains(stream.namespace.as_str()) {
                continue;
            }
            lines.push(format!("cluster {}: {}: not permitted ({missing})", cluster.name, place(stream)));
        }
    }
    lines
}

/// Namespaces of which nothing may be watched, and never was: whether they exist cannot be asked.
fn shut_namespaces(cluster: &ClusterStatus) -> BTreeSet<&str> {
    let open = |s: &&StreamStatus| {
        s.last_activity.is_some() || !matches!(s.state, StreamState::Forbidden { .. } | StreamState::Absent)
    };
    let open: BTreeSet<&str> = cluster.streams.iter().filter(open).map(|s| s.namespace.as_str()).collect();
    let refused = cluster.streams.iter().filter(|s| matches!(s.state, StreamState::Forbidden { .. }));
    let refused = refused.map(|s| s.namespace.as_str()).filter(|n| !n.is_empty());
    refused.filter(|n| !open.contains(n)).collect()
}

/// Why no heartbeat must go out: what makes us unready, streams that are refused, and connectors that are switched
/// on and have paused themselves, or cannot be used.
pub fn silent(status: &Status) -> Vec<String> {
    let mut why = unready(status);
    why.extend(without(status));
    if status.watch_only {
        // Nothing is delivered: no connector has anything to do with it.
        return why;
    }
    let paused = status.connectors.iter().filter(|c| c.enabled && c.state == "paused");
    why.extend(paused.map(|c| format!("connector {}: paused: {}", c.name, c.why)));
    let unusable = status.connectors.iter().filter(|c| c.enabled && c.state == "incomplete");
    why.extend(unusable.map(|c| format!("connector {}: cannot send: {}", c.name, c.why)));
    why
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{event::Kind, status::ConnectorStatus};

    pub fn stream(kind: Kind, state: StreamState) -> StreamStatus {
        StreamStatus {
            kind,
            namespace: String::new(),
            state,
            last_activity: Some(Timestamp::from_second(1_000).unwrap()),
            synced: (3, 3),
            undecodable: 2,
            relists: 1,
            last_error: "connection reset".into(),
        }
    }

    /// One cluster with these streams, and nothing wrong elsewhere.
    pub fn status(streams: Vec<StreamStatus>) -> Status {
        let cluster = ClusterStatus {
            name: "prod".into(),
            state: ClusterState::Live,
            requests: 12,
            objects: 34,
            streams,
            ..ClusterStatus::default()
        };
        Status { clusters: vec![cluster], ..Status::default() }
    }

    #[test]
    fn ready_is_every_permitted_stream_live() {
        let at = Timestamp::UNIX_EPOCH;
        let forbidden = StreamState::Forbidden { missing: "list,watch secrets".into() };
        let ready = status(vec![
            stream(Kind::Pod, StreamState::Live),
            stream(Kind::Secret, forbidden),
            stream(Kind::Ingress, StreamState::Absent),
        ]);
        assert_eq!(unready(&ready), [""; 0]);
        let lost = stream(Kind::Node, StreamState::Retrying { retry_at: at });
        let not = status(vec![stream(Kind::Pod, StreamState::Syncing), lost]);
        assert_eq!(
            unready(&not),
            [
                "cluster prod: pods: listing",
                "cluster prod: nodes: lost (connection reset), tried again at 1970-01-01T00:00:00Z",
            ]
        );
    }

    /// Never permitted: the server has said nothing on it but no.
    fn refused(kind: Kind) -> StreamStatus {
        let missing = format!("list,watch {}", kind.plural());
        StreamStatus { last_activity: None, ..stream(kind, StreamState::Forbidden { missing }) }
    }

    #[test]
    fn nothing_permitted_is_not_ready() {
        let not =
            status(vec![refused(Kind::Pod), refused(Kind::Node), stream(Kind::Ingress, StreamState::Absent)]);
        assert_eq!(unready(&not), ["cluster prod: nothing may be watched: every right is missing"]);
        assert_eq!(unready(&status(vec![])), ["cluster prod: nothing is watched yet"]);
        let some = status(vec![refused(Kind::Pod), stream(Kind::Node, StreamState::Live)]);
        assert_eq!(unready(&some), [""; 0]);
    }

    #[test]
    fn a_heartbeat_needs_every_stream_that_somebody_asked_for() {
        let live = || stream(Kind::Pod, StreamState::Live);
        assert_eq!(silent(&status(vec![live(), stream(Kind::Ingress, StreamState::Absent)])), [""; 0]);
        let mut scoped = status(vec![live(), refused(Kind::Node)]);
        assert_eq!(silent(&scoped), ["cluster prod: nodes: not permitted (list,watch nodes)"]);
        scoped.clusters[0].optional = vec![Kind::Node];
        assert_eq!(silent(&scoped), [""; 0], "in single namespaces nodes are taken where they are permitted");
        scoped.clusters[0].streams[1].last_activity = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(silent(&scoped).len(), 1, "what was permitted, and is not any more, is missed");
    }

    #[test]
    fn a_namespace_of_which_nothing_may_be_watched_is_one_line() {
        let of = |namespace: &str, kinds: &[Kind]| -> Vec<StreamStatus> {
            let each = |kind: &Kind| StreamStatus { namespace: namespace.into(), ..refused(*kind) };
            kinds.iter().map(each).collect()
        };
        let mut streams = of("nope", &[Kind::Pod, Kind::Secret, Kind::Job]);
        streams.extend(of("shop", &[Kind::Secret]));
        streams.push(StreamStatus { namespace: "shop".into(), ..stream(Kind::Pod, StreamState::Live) });
        assert_eq!(
            without(&status(streams)),
            [
                "cluster prod: namespace nope: not permitted, or it does not exist",
                "cluster prod: secrets in namespace shop: not permitted (list,watch secrets)",
            ]
        );
    }

    #[test]
    fn a_cluster_that_is_away_a_store_that_fails_and_a_full_outbox_are_reasons() {
        let mut status = status(vec![stream(Kind::Pod, StreamState::Live)]);
        status.clusters[0].state =
            ClusterState::Away { since: Timestamp::UNIX_EPOCH, why: "refused".into(), retry_at: None };
        status.store.error = Some("no space".into());
        status.store.full = true;
        let why = unready(&status);
        assert_eq!(why.len(), 3, "{why:?}");
        assert!(why[0].contains("away") && why[1].contains("no space") && why[2].contains("cap"));
        assert_eq!(unready(&Status::default()).len(), 1);
    }

    #[test]
    fn where_nothing_is_delivered_no_connector_stops_the_heartbeat() {
        let mut status = status(vec![stream(Kind::Pod, StreamState::Live)]);
        for state in ["incomplete", "paused"] {
            let connector =
                ConnectorStatus { enabled: true, state: state.into(), ..ConnectorStatus::default() };
            status.connectors.push(connector);
        }
        assert_eq!(silent(&status).len(), 2);
        status.watch_only = true;
        assert_eq!(silent(&status), [""; 0]);
    }

    #[test]
    fn a_paused_connector_stops_the_heartbeat_but_not_readiness() {
        let mut status = status(vec![stream(Kind::Pod, StreamState::Live)]);
        let connector = |enabled, state: &str| ConnectorStatus {
            name: "slack".into(),
            enabled,
            state: state.into(),
            ..ConnectorStatus::default()
        };
        status.connectors = vec![connector(true, "on"), connector(false, "paused")];
        assert_eq!(silent(&status), [""; 0]);
        status.connectors.push(connector(true, "paused"));
        assert_eq!((silent(&status).len(), unready(&status).len()), (1, 0));
        status.connectors = vec![connector(true, "incomplete"), connector(false, "incomplete")];
        assert_eq!((silent(&status).len(), unready(&status).len()), (1, 0));
    }
}

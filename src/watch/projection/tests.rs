//! Real objects of a real control plane, as the API server wrote them.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::object::{ConfigRefKind, ContainerState, Str};

const KEY: [u8; 32] = [7; 32];

macro_rules! fixture {
    ($kind:ident, $file:literal) => {
        read(Kind::$kind, include_str!(concat!("fixtures/", $file, ".json")))
    };
}

fn read(kind: Kind, json: &str) -> Object {
    Decoder::new(KEY).object(kind, Shape::Usual, json.as_bytes()).unwrap()
}

fn at(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[test]
fn every_kind_is_read_and_no_value_stays() {
    let all = [
        fixture!(Pod, "pod"),
        fixture!(Deployment, "deployment"),
        fixture!(ReplicaSet, "replicaset"),
        fixture!(StatefulSet, "statefulset"),
        fixture!(DaemonSet, "daemonset"),
        fixture!(Job, "job"),
        fixture!(CronJob, "cronjob"),
        fixture!(Service, "service"),
        fixture!(EndpointSlice, "endpointslice"),
        fixture!(Ingress, "ingress"),
        fixture!(ConfigMap, "configmap"),
        fixture!(Secret, "secret"),
        fixture!(Node, "node"),
        fixture!(Namespace, "namespace"),
        fixture!(PersistentVolumeClaim, "persistentvolumeclaim"),
        fixture!(PersistentVolume, "persistentvolume"),
        fixture!(IngressClass, "ingressclass"),
        fixture!(StorageClass, "storageclass"),
        fixture!(HorizontalPodAutoscaler, "hpa_v2"),
        fixture!(Event, "event"),
    ];
    let kinds: Vec<Kind> = all.iter().map(|o| o.kind).collect();
    assert_eq!(kinds, Kind::ALL);
    for object in &all {
        let meta = &object.meta;
        assert!(!meta.name.is_empty() && !meta.uid.is_empty() && !meta.version.is_empty(), "{object:?}");
        assert!(
            meta.created_at.is_some() && meta.managed_at.is_some() && !meta.manager.is_empty(),
            "{object:?}"
        );
        let text = format!("{object:?}{}", serde_json::to_string(object).unwrap());
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
        assert!(!text.contains("last-applied"), "{text}");
    }
}

#[test]
fn no_annotation_carries_a_value_of_a_secret_or_configmap() {
    let secret = "KeepMeOut8461";
    let packed = format!("H4sIAAAAAAAA/{secret}");
    let copy = format!(r#"{{"data":{{"password":"{secret}"}},"kind":"Secret"}}"#);
    let long = format!("{}{secret}", "x".repeat(80));
    let annotations = json!({
        "kubectl.kubernetes.io/last-applied-configuration": copy,
        "kapp.k14s.io/original": copy,
        "objectset.rio.cattle.io/applied": packed,
        "banzaicloud.com/last-applied": secret,
        "example.com/state": copy,
        "example.com/quoted": json!(copy).to_string(),
        "example.com/env": format!("PASSWORD={secret}"),
        "example.com/yaml": format!("password: {secret}"),
        "example.com/long": long,
        "cert-manager.io/odd": copy,
        "meta.helm.sh/release-name": "shop",
        "cert-manager.io/alt-names": "a.example.com,b.example.com,".repeat(4),
        "barrelman.dev/ignore": "all",
        "example.com/owner": "team-a",
    });
    for kind in [Kind::Secret, Kind::ConfigMap] {
        let json = json!({"metadata": {"name": "db", "namespace": "shop", "annotations": annotations},
            "data": {"password": secret}});
        let object = read(kind, &json.to_string());
        let bytes = serde_json::to_vec(&object).unwrap();
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "{}", String::from_utf8_lossy(&bytes));
        let kept: Vec<&str> = object.meta.annotations.iter().map(|(k, _)| k.as_str()).collect();
        let wanted = [
            "barrelman.dev/ignore",
            "cert-manager.io/alt-names",
            "example.com/owner",
            "meta.helm.sh/release-name",
        ];
        assert_eq!(kept, wanted);
    }
    // Elsewhere what repeats the object goes, and notes of other kinds stay.
    let json = json!({"metadata": {"name": "web", "annotations": {
        "kapp.k14s.io/original": copy, "example.com/state": copy, "example.com/long": "y".repeat(80)}}});
    let object = read(Kind::Deployment, &json.to_string());
    let kept: Vec<&str> = object.meta.annotations.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(kept, ["example.com/long"]);
}

#[test]
fn who_scaled_is_read_from_the_scale_subresource() {
    let entry = |manager: &str, subresource: &str, time: Option<&str>| json!({"manager": manager, "subresource": subresource, "operation": "Update", "time": time});
    let scaled_by = |fields: Vec<Value>| {
        let json = json!({"metadata": {"name": "web", "managedFields": fields}});
        read(Kind::Deployment, &json.to_string()).meta
    };
    let applied = entry("kubectl-apply", "", Some("2025-01-15T10:00:00Z"));
    let status = entry("kube-controller-manager", "status", Some("2025-01-15T10:05:00Z"));
    let meta = scaled_by(vec![applied.clone(), entry("kubectl", "scale", None), status.clone()]);
    assert_eq!((meta.scale_manager.as_str(), meta.spec_manager.as_str()), ("kubectl", "kubectl-apply"));
    assert_eq!(meta.manager, "kube-controller-manager");
    assert_eq!(scaled_by(vec![applied, status]).scale_manager, "");
}

#[test]
fn a_crashing_pod_keeps_what_a_rule_or_a_person_asks_for() {
    let object = fixture!(Pod, "pod");
    let pod = object.pod().unwrap();
    assert_eq!(object.meta.controller().unwrap().kind, "ReplicaSet");
    assert_eq!(pod.phase, "Running");
    assert!(pod.node.starts_with("node-") && !pod.is_ready());
    let [init, app] = pod.containers.as_slice() else { panic!("{:?}", pod.containers) };
    assert!(init.init && !init.sidecar && matches!(init.state, Some(ContainerState::Terminated(_))));
    assert_eq!((app.memory_limit.as_str(), app.cpu_request.as_str()), ("256Mi", "100m"));
    assert!(app.restarts >= 4);
    assert_eq!(app.newest_end().unwrap().exit_code, 1);
    let refs: Vec<_> = pod.refs.iter().map(|r| (r.kind, r.name.as_str(), r.via.as_str())).collect();
    assert!(refs.contains(&(ConfigRefKind::ConfigMap, "web", "env")), "{refs:?}");
    assert!(refs.contains(&(ConfigRefKind::Secret, "web", "envFrom")), "{refs:?}");
    assert!(refs.contains(&(ConfigRefKind::Claim, "data", "volume")), "{refs:?}");
    assert!(refs.contains(&(ConfigRefKind::Secret, "web", "projected")), "{refs:?}");
    assert!(refs.contains(&(ConfigRefKind::Secret, "pull", "imagePullSecret")), "{refs:?}");
}

#[test]
fn a_template_tells_what_changed_and_is_the_same_in_its_replicaset() {
    let json: Value = serde_json::from_str(include_str!("fixtures/deployment.json")).unwrap();
    let template =
        |json: &Value| read(Kind::Deployment, &json.to_string()).workload().unwrap().template.clone();
    let before = template(&json);
    let replica_set = fixture!(ReplicaSet, "replicaset");
    assert_eq!(
        before.hash,
        replica_set.workload().unwrap().template.hash,
        "pod-template-hash does not count"
    );
    let app = &before.containers[1];
    assert_eq!(app.resources, "limits.memory=256Mi,requests.cpu=100m");
    assert_eq!(app.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["GREETING", "PASSWORD"]);
    assert_eq!(before.refs.len(), replica_set.workload().unwrap().template.refs.len());

    let changed = |pointer: &str, value: Value| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        template(&json)
    };
    let image = changed("/spec/template/spec/containers/0/image", json!("registry.example/web:2"));
    assert!(image.hash != before.hash && image.rest == before.rest && image.labels == before.labels);
    let env = changed("/spec/template/spec/containers/0/env/1/value", json!("other"));
    assert!(
        env.hash != before.hash
            && env.containers[1].env[1] != app.env[1]
            && env.containers[1].env[0] == app.env[0]
    );
    let probe = changed("/spec/template/spec/containers/0/readinessProbe/httpGet/path", json!("/x"));
    assert!(probe.hash != before.hash && probe.containers[1].probes != app.probes);
    let restart =
        changed("/spec/template/metadata/annotations", json!({"kubectl.kubernetes.io/restartedAt": "now"}));
    assert!(restart.hash != before.hash && restart.annotations != before.annotations);
    let command = changed("/spec/template/spec/containers/0/command", json!(["other"]));
    assert!(command.containers[1].command != app.command && command.containers[1].rest == app.rest);
    let empty = changed("/spec/template/spec/securityContext", Value::Null);
    assert_eq!(empty.hash, before.hash, "an empty default is no change");
}

#[test]
fn workloads_have_their_counts_and_their_defaults() {
    let deployment = fixture!(Deployment, "deployment");
    let deployment = deployment.workload().unwrap();
    assert_eq!((deployment.replicas, deployment.progress_deadline_secs), (2, 600));
    assert_eq!((deployment.strategy.as_str(), deployment.selector.len()), ("RollingUpdate", 1));
    assert!(deployment.condition("Available").is_some());
    let daemon_set = fixture!(DaemonSet, "daemonset");
    let daemon_set = daemon_set.workload().unwrap();
    assert_eq!((daemon_set.replicas, daemon_set.ready, daemon_set.updated), (3, 3, 3));
    let stateful_set = fixture!(StatefulSet, "statefulset");
    assert!(!stateful_set.workload().unwrap().update_revision.is_empty());
    let job = fixture!(Job, "job");
    let job = job.job().unwrap();
    assert!(job.succeeded == 1 && job.completed_at.is_some() && job.condition("Complete").is_some());
    let cron_job = fixture!(CronJob, "cronjob");
    assert_eq!(cron_job.cron_job().unwrap().concurrency, "Forbid");
}

#[test]
fn both_versions_of_an_autoscaler_say_the_same() {
    let (v1, v2) = (fixture!(HorizontalPodAutoscaler, "hpa_v1"), fixture!(HorizontalPodAutoscaler, "hpa_v2"));
    assert_eq!(v1.autoscaler(), v2.autoscaler());
    assert!(v1.autoscaler().unwrap().conditions.len() >= 2);
    assert_eq!((v2.autoscaler().unwrap().min, v2.autoscaler().unwrap().max), (2, 5));
}

#[test]
fn endpoints_become_the_slice_that_they_are() {
    let json = include_str!("fixtures/endpoints.json");
    let endpoints = Decoder::new(KEY).object(Kind::EndpointSlice, Shape::Endpoints, json.as_bytes()).unwrap();
    let slice = fixture!(EndpointSlice, "endpointslice");
    let names = |o: &Object| {
        let slice = o.endpoint_slice().unwrap();
        (slice.service.clone(), slice.endpoints.iter().map(|e| e.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(names(&endpoints), names(&slice));
    assert_eq!(names(&slice).0, "web");
}

#[test]
fn of_a_tls_secret_the_public_certificate_is_told() {
    let object = fixture!(Secret, "secret_tls");
    let config = object.config().unwrap();
    assert_eq!(config.keys.keys().map(Str::as_str).collect::<Vec<_>>(), ["tls.crt", "tls.key"]);
    let certificate = config.certificate.as_ref().unwrap();
    assert_eq!(certificate.names, ["web.example", "www.web.example", "10.0.0.1"]);
    assert_eq!(certificate.issuer, "web.example");
    assert!(certificate.not_after > certificate.not_before);
    let mut opaque: Value = serde_json::from_str(include_str!("fixtures/secret_tls.json")).unwrap();
    opaque["type"] = json!("Opaque");
    assert_eq!(read(Kind::Secret, &opaque.to_string()).config().unwrap().certificate, None);
}

#[test]
fn a_changed_value_has_another_hash_and_another_store_another_one() {
    let secret =
        |password: &str| json!({"metadata": {"name": "a"}, "data": {"p": password, "q": "x"}}).to_string();
    let hashes = |key: [u8; 32], json: &str| {
        Decoder::new(key)
            .object(Kind::Secret, Shape::Usual, json.as_bytes())
            .unwrap()
            .config()
            .unwrap()
            .keys
            .clone()
    };
    let (one, two) = (hashes(KEY, &secret("b25l")), hashes(KEY, &secret("dHdv")));
    assert!(one["p"] != two["p"] && one["q"] == two["q"]);
    assert_ne!(one["p"], hashes([8; 32], &secret("b25l"))["p"]);
}

#[test]
fn ingress_service_storage_and_node_have_what_is_shown() {
    let ingress = fixture!(Ingress, "ingress");
    let ingress = ingress.ingress().unwrap();
    assert_eq!((ingress.class.as_str(), ingress.rules[0].backend.as_str()), ("nginx", "web:http"));
    assert_eq!(ingress.tls[0].1, "web-tls");
    let service = fixture!(Service, "service");
    assert_eq!(service.service().unwrap().ports[0].target, "8080");
    let volume = fixture!(PersistentVolume, "persistentvolume");
    assert_eq!(volume.volume().unwrap().claim, "shop/data");
    let of = |class: serde_json::Value| {
        let claim = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": class}});
        let claim = read(Kind::PersistentVolumeClaim, &claim.to_string());
        let claim = claim.claim().unwrap();
        (claim.storage_class.to_string(), claim.no_class)
    };
    assert_eq!(of(json!(null)), (String::new(), false), "the default one");
    assert_eq!((of(json!("")), of(json!("fast"))), ((String::new(), true), ("fast".to_owned(), false)));
    let class = fixture!(StorageClass, "storageclass");
    assert!(class.storage_class().unwrap().is_default);
    let node = fixture!(Node, "node");
    assert!(
        node.node().unwrap().is_ready() && node.node().unwrap().taints.iter().any(|t| t.key == "dedicated")
    );
}

#[test]
fn the_time_of_a_deletion_is_when_it_was_asked_for() {
    let json = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:30Z",
        "deletionGracePeriodSeconds": 30, "managedFields": [
            {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
            {"manager": "kubelet", "time": "2026-01-01T00:01:00Z", "subresource": "status"}]}});
    let meta = read(Kind::Pod, &json.to_string()).meta;
    assert_eq!((meta.deleted_at, meta.grace_secs), (at("2026-01-01T00:00:00Z"), 30));
    assert_eq!((meta.manager.as_str(), meta.managed_at), ("kubelet", at("2026-01-01T00:01:00Z")));
    assert_eq!((meta.spec_manager.as_str(), meta.spec_managed_at), ("kubectl", at("2026-01-01T00:00:00Z")));
}

#[test]
fn hostile_text_is_cleaned_and_cut() {
    let json = json!({"metadata": {"name": "a", "annotations": {"a\u{202e}": "x".repeat(5000)}},
        "message": "\u{1b}]0;owned\u{7}", "reason": "Re\u{200b}ason", "involvedObject": null, "source": null});
    let object = read(Kind::Event, &json.to_string());
    let event = object.kube_event().unwrap();
    assert_eq!((event.message.as_str(), event.reason.as_str()), ("]0;owned", "Reason"));
    assert!(object.meta.annotation("a").unwrap().len() <= de::SHORT);
}

#[test]
fn what_cannot_be_read_is_named_as_far_as_that_goes() {
    let broken = br#"{"metadata":{"name":"a","namespace":"b","resourceVersion":"7"},"spec":"no"}"#;
    assert!(Decoder::new(KEY).object(Kind::Pod, Shape::Usual, broken).is_err());
    assert_eq!(identity(Kind::Pod, broken), (Some(ObjectKey::new(Kind::Pod, "b", "a")), Some("7".into())));
    assert_eq!(identity(Kind::Pod, b"junk"), (None, None));
}

proptest! {
    #[test]
    fn the_time_of_an_event_is_the_first_of_its_chain(present in proptest::array::uniform5(any::<bool>())) {
        let paths = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp",
            "/metadata/creationTimestamp"];
        let mut json = json!({"metadata": {"name": "a", "creationTimestamp": null}, "series":
            {"lastObservedTime": null}, "lastTimestamp": null, "eventTime": null, "firstTimestamp": null});
        let mut expected = None;
        for (n, (path, present)) in paths.iter().zip(present).enumerate() {
            if present {
                let time = format!("2026-01-01T00:00:0{n}.000000Z");
                *json.pointer_mut(path).unwrap() = json!(time);
                expected = expected.or(at(&time));
            }
        }
        prop_assert_eq!(read(Kind::Event, &json.to_string()).kube_event().unwrap().last, expected);
        if !present[0] {
            json["series"] = Value::Null;
            prop_assert_eq!(read(Kind::Event, &json.to_string()).kube_event().unwrap().last, expected);
        }
    }

    #[test]
    fn the_count_of_an_event_is_that_of_its_series_else_its_own_else_one(
        series in proptest::option::of(1_u32..100), count in proptest::option::of(1_u32..100)
    ) {
        let json = json!({"metadata": {"name": "a"}, "series": {"count": series}, "count": count});
        let read = read(Kind::Event, &json.to_string()).kube_event().unwrap().count;
        prop_assert_eq!(read, u64::from(series.or(count).unwrap_or(1)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in Kind::ALL {
            let _ = Decoder::new(KEY).object(*kind, Shape::Usual, &bytes);
        }
    }
}

/// 20,000 healthy pods of 10 kB, as they come over the wire, held as records.
#[test]
#[ignore = "a measurement of memory: run it alone, with --nocapture"]
fn twenty_thousand_pods_stay_below_70_mib() {
    let mut pod: Value = serde_json::from_str(include_str!("fixtures/pod.json")).unwrap();
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    pod["metadata"]["name"] = json!("web-DEPLOY-54d748cb89-NUMBER");
    pod["metadata"]["namespace"] = json!("team-TEAM");
    pod["metadata"]["uid"] = json!("NUMBER-dd79-42f8-ae8a-bcae42a3d5aa");
    pod["metadata"]["resourceVersion"] = json!("1NUMBER");
    pod["metadata"]["ownerReferences"][0]["uid"] = json!("DEPLOY-0000-42f8-ae8a-bcae42a3d5aa");
    pod["metadata"]["ownerReferences"][0]["name"] = json!("web-DEPLOY-54d748cb89");
    pod["metadata"]["annotations"] = Value::Null;
    pod["spec"]["nodeName"] = json!("node-TEAM");
    pod["spec"]["initContainers"] = Value::Null;
    pod["spec"]["volumes"].as_array_mut().unwrap().retain(|v| v["name"] != "data");
    pod["status"]["containerStatuses"][0]["state"] = state;
    pod["status"]["containerStatuses"][0]["lastState"] = json!({});
    let short = pod.to_string().len();
    pod["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:filler": "x".repeat(10_000 - short)});
    let text = pod.to_string();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let (decoder, before) = (Decoder::new(KEY), resident());
    let mut held = Vec::with_capacity(20_000);
    for n in 0..20_000_u32 {
        let text = text.replace("NUMBER", &format!("{n:08x}")).replace("DEPLOY", &format!("{:08x}", n / 10));
        let text = text.replace("TEAM", &format!("{:03}", n % 500));
        held.push(Box::new(decoder.object(Kind::Pod, Shape::Usual, text.as_bytes()).unwrap()));
    }
    let after = resident();
    println!("{} records of {} bytes: {before} MiB before, {after} MiB after", held.len(), text.len());
    assert!(after < 70, "{after} MiB");
}

#[test]
fn whose_the_images_are_is_read_from_the_sets_of_fields() {
    let image = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}}}}}});
    let env = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:env": {"f:image": {}}}}}}}});
    let entry = |manager: &str, fields: &Value| json!({"manager": manager, "time": "2025-01-15T10:00:00Z", "fieldsV1": fields});
    let owner = |fields: Vec<Value>| {
        let json = json!({"metadata": {"name": "web", "managedFields": fields}});
        read(Kind::Deployment, &json.to_string()).meta.image_manager
    };
    assert_eq!(owner(vec![entry("helm", &env), entry("kubectl-set", &image)]), "kubectl-set");
    assert_eq!(
        owner(vec![entry("helm", &image), entry("kubectl-set", &image)]),
        "",
        "of two none can be told"
    );
    assert_eq!(owner(vec![entry("helm", &env), json!({"manager": "old", "fieldsV1": null})]), "");
}

//! Several contexts that lead to one cluster: who watches it, and under which name.

use barrelman::{
    demo::Cluster,
    event::{ClusterUid, Kind},
    object::Said,
    status::{ClusterState, ClusterStatus},
};
use serde_json::json;

use crate::support::{
    Served, options, serve,
    watching::{self, Watching},
};

/// Two contexts of one cluster, of which the first takes longer to get its credentials.
fn twice(served: &Served) -> kube::config::Kubeconfig {
    let mut kubeconfig = kube::config::Kubeconfig::from_yaml(&served.kubeconfig).unwrap();
    let slow = r#"sleep 1; echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "simulated"}}'"#;
    let user = json!({"name": "slow", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh", "args": ["-c", slow], "interactiveMode": "Never"}}});
    kubeconfig.auth_infos.push(serde_json::from_value(user).unwrap());
    let mut context = kubeconfig.contexts[0].clone();
    "first".clone_into(&mut context.name);
    context.context.as_mut().unwrap().user = Some("slow".into());
    kubeconfig.contexts.push(context);
    kubeconfig.contexts[0].name = "second".into();
    kubeconfig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_contexts_of_one_cluster_the_first_watches_it_in_every_run() {
    let served = serve(&Cluster::new(options(1))).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(&twice(&served)).unwrap()).unwrap();
    let uid = served.cluster.get("namespaces", "", "kube-system").unwrap()["metadata"]["uid"].clone();
    let uid = ClusterUid::from(uid.as_str().unwrap());
    let both = ["first", "second"].map(str::to_owned);
    // Neither is known yet; then both are, as in a database in which each has watched it once.
    for known in [Vec::new(), both.to_vec()] {
        let mut options = watching::options(path.clone(), watching::settings(&[Kind::Pod]));
        options.clusters.contexts = both.to_vec();
        options.known_uids = known.into_iter().map(|context| (context, uid.clone())).collect();
        let run = move || {
            let mut watching = Watching::start(options);
            let away = |c: &ClusterStatus| matches!(c.state, ClusterState::Away { .. });
            let second = watching.until_shown("one of them gives way", away);
            assert_eq!(second.name, "second");
            let ClusterState::Away { why, .. } = &second.state else { panic!("{second:?}") };
            assert!(why.contains("second is the same cluster as first, which is watched"), "{why}");
            let live = |c: &ClusterStatus| c.name == "first" && c.state == ClusterState::Live;
            watching.until_shown("the first is live", live);
            watching.stop()
        };
        for said in tokio::task::spawn_blocking(run).await.unwrap() {
            match said {
                Said::Cluster { name, .. } => assert_eq!(&*name, "first"),
                Said::Away { .. } => panic!("it is not away: {said:?}"),
                _ => {}
            }
        }
    }
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_hangs_keeps_no_other_waiting_and_is_said_to_be_unreached() {
    let served = serve(&Cluster::new(options(1))).await;
    // It takes connections and answers none.
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut kubeconfig = kube::config::Kubeconfig::from_yaml(&served.kubeconfig).unwrap();
    for (name, port) in [("hangs", hangs.local_addr().unwrap().port()), ("refuses", 1)] {
        let mut cluster = kubeconfig.clusters[0].clone();
        name.clone_into(&mut cluster.name);
        cluster.cluster.as_mut().unwrap().server = Some(format!("http://127.0.0.1:{port}"));
        kubeconfig.clusters.push(cluster);
        let mut context = kubeconfig.contexts[0].clone();
        name.clone_into(&mut context.name);
        context.context.as_mut().unwrap().cluster = name.into();
        kubeconfig.contexts.push(context);
    }
    kubeconfig.contexts[0].name = "well".into();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    let mut options = watching::options(path, watching::settings(&[Kind::Pod]));
    options.clusters.contexts = ["hangs", "refuses", "well"].map(str::to_owned).to_vec();
    let run = move || {
        let began = std::time::Instant::now();
        let mut watching = Watching::start(options);
        watching.until_shown("the last is live", |c| c.name == "well" && c.state == ClusterState::Live);
        assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
        let unreached = ClusterUid::unreached("refuses", "refuses");
        watching.until(
            "one that refuses",
            |s| matches!(s, Said::Unreached { cluster, .. } if *cluster == unreached),
        );
        watching.stop()
    };
    tokio::task::spawn_blocking(run).await.unwrap();
    served.shut_down().await;
}

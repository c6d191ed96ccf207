//! `barrelman check` and `rbac` against the simulated cluster: what is wrong is told apart, each with its next step.

use barrelman::demo::{Access, Cluster, Fault, Rule};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{Served, cli::Home, options, serve};

async fn cluster() -> (Home, Served) {
    let cluster = Cluster::new(options(1));
    for name in ["kube-system", "shop", "team-a"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        // Some are there from the beginning.
        let _ = cluster.create(namespace);
    }
    let served = serve(&cluster).await;
    (at(&served.kubeconfig), served)
}

fn at(kubeconfig: &str) -> Home {
    let mut home = Home::new();
    let path = home.file("kubeconfig", kubeconfig);
    home.set("KUBECONFIG", &path);
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_every_right_is_well_and_a_missing_one_is_named() {
    let (home, served) = cluster().await;
    let said = home.run_async(&["check", "-n", "shop"]).await.ok();
    assert!(
        said.contains("answers, Kubernetes v1.") && said.contains("every right that is needed is there"),
        "{said}"
    );
    served.cluster.set_access(Access::full().deny("watch", "pods", None).deny("*", "nodes", None));
    let said = home.run_async(&["check"]).await.failed(1);
    assert!(said.contains("the right is missing: watch pods\n    → barrelman rbac"), "{said}");
    assert!(said.contains("the right is missing: list,watch nodes"), "{said}");
    assert!(!said.contains("missing: list,watch pods"), "only what is missing: {said}");
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_that_are_not_there_and_globs_without_a_match_are_told() {
    let (home, served) = cluster().await;
    let said = home.run_async(&["check", "-n", "nope,team-*,squad-*"]).await.ok();
    assert!(said.contains("the namespace nope does not exist"), "{said}");
    assert!(said.contains("no namespace matches squad-*") && !said.contains("matches team-*"), "{said}");
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_cluster_cannot_be_used_is_told_apart() {
    let (home, served) = cluster().await;
    served.cluster.faults().inject(Rule::new(Fault::unauthorized()));
    let said = home.run_async(&["check"]).await.failed(4);
    assert!(said.contains("renew the credentials"), "{said}");
    // {"exp": 1700000000}: a token that says itself that it has ended.
    let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDAwMDB9.c2VjcmV0c2lnbmF0dXJl";
    let expired = at(&served.kubeconfig.replace("token: simulated", &format!("token: {token}")));
    let said = expired.run_async(&["check"]).await.failed(4);
    assert!(said.contains("the credentials expired at 2023-11-14") && !said.contains(token), "{said}");
    let plugin = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: no-such-plugin\n      interactiveMode: Never";
    let missing = at(&served.kubeconfig.replace("token: simulated", plugin));
    let said = missing.run_async(&["check"]).await.failed(4);
    assert!(said.contains("credential plugin of the kubeconfig is not installed"), "{said}");
    let kubeconfig = served.kubeconfig.clone();
    served.shut_down().await;
    let said = at(&kubeconfig).run_async(&["check"]).await.failed(4);
    assert!(said.contains("connection was refused") && said.contains("is the API server running"), "{said}");
    let bad = kubeconfig.replace("    user: ", "    unused: ");
    let ca = kubeconfig.replace("http://", "https://").replacen(
        "\ncontexts:",
        "\n    certificate-authority-data: bm90IGEgY2VydGlmaWNhdGU=\ncontexts:",
        1,
    );
    let said = at(&ca).run_async(&["check"]).await.failed(4);
    assert!(said.contains("✖ cluster"), "{said}");
    let said = at(&bad).run_async(&["check"]).await.failed(4);
    assert!(said.contains("✖ cluster"), "{said}");
    let said = Home::new().run_async(&["check"]).await.failed(4);
    assert!(said.contains("set KUBECONFIG"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_are_asked_without_sending_and_what_cannot_happen_is_told() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let (home, served) = cluster().await;
    let url = server.uri();
    home.config(&format!(
        "[watch.kinds]\nnodes = false\n\
         [[connectors]]\nname = \"hook\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = \"{url}/x\"\nevents = [\"high_cpu\", \"node_unhealthy\", \"pod_crash\"]\n\
         [[connectors]]\nname = \"unset\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\nurl = \"${{NOT_SET}}\"\n\
         [[connectors]]\nname = \"later\"\ntype = \"slack\"\n[connectors.config]\nwebhook_url = \"https://hooks.slack.com/services/YOUR/WEBHOOK/URL\"\n"
    ));
    let said = home.run_async(&["check"]).await.failed(1);
    for part in [
        "✓ connector hook (webhook)",
        "these cannot happen: ",
        "high_cpu (needs metrics.k8s.io",
        "node_unhealthy (nodes switched off)",
        "[watch.kinds] nodes = true",
        "✖ connector unset (webhook): url: the environment variable NOT_SET is not set",
        "! connector later (slack): off; webhook_url: still holds a placeholder",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for request in server.received_requests().await.unwrap() {
        assert!(request.method != wiremock::http::Method::POST, "a check sends nothing");
    }
    let json: Value =
        serde_json::from_str(&home.run_async(&["check", "--json", "--offline"]).await.out).unwrap();
    assert_eq!((json["ok"].as_bool(), json["exit"].as_u64()), (Some(false), Some(1)));
    let found = json["findings"].as_array().unwrap();
    assert!(!found.iter().any(|f| f["what"].as_str().unwrap().starts_with("cluster")), "{json}");
    served.shut_down().await;
}

#[test]
fn the_store_is_looked_at_and_a_damaged_one_has_its_own_exit_code() {
    let home = Home::new();
    let said = home.run(&["check", "--offline"]).ok();
    assert!(said.contains("is not there yet; the first start makes it") && said.contains("free"), "{said}");
    assert!(!home.data().exists(), "looking makes nothing");
    let store = barrelman::store::Store::open(&home.data()).unwrap();
    let said = home.run(&["check", "--offline"]).ok();
    assert!(said.contains("another process writes to it"), "{said}");
    store.close();
    let said = home.run(&["check", "--offline"]).ok();
    assert!(said.contains("✓ store") && said.contains("schema 1"), "{said}");
    std::fs::write(barrelman::store::maintain::file_of(&home.data()), "no database at all, but text")
        .unwrap();
    let said = home.run(&["check", "--offline"]).failed(5);
    assert!(said.contains("is damaged") && said.contains("backup"), "{said}");
}

#[test]
fn the_rights_are_yaml_for_the_account_and_scope_that_are_asked_for() {
    let home = Home::new();
    let yaml =
        home.run(&["rbac", "--account", "lookout", "--install-namespace", "monitoring", "-n", "shop"]).ok();
    assert!(yaml.contains("name: lookout") && yaml.contains("namespace: monitoring"), "{yaml}");
    assert!(yaml.contains("kind: ClusterRole\n") && !yaml.contains("kind: Role\n"), "{yaml}");
    let yaml = home.run(&["rbac", "--scope", "namespaced", "-n", "shop,blog"]).ok();
    assert_eq!(yaml.matches("kind: RoleBinding").count(), 2, "{yaml}");
    for verb in ["create", "update", "patch", "delete", "\"*\"", "deletecollection"] {
        assert!(!yaml.contains(verb), "{verb}");
    }
    assert!(home.run(&["rbac", "--scope", "namespaced", "-n", "team-*"]).failed(2).contains("without globs"));
    assert!(home.run(&["rbac", "--scope", "namespaced"]).failed(2).contains("needs the names"));
}

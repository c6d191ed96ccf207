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
    assert!(
        said.contains("the right watch is missing for pods in the whole cluster\n✖"),
        "only that: {said}"
    );
    assert!(said.contains("the right list,watch is missing for nodes in the whole cluster\n    →"), "{said}");
    let step = "    → as somebody who may: barrelman rbac | kubectl apply -f -; or to a ClusterRole of yours add rules: [\
        {apiGroups: [\"\"], resources: [pods], verbs: [watch]}, {apiGroups: [\"\"], resources: [nodes], verbs: [list, watch]}]\n";
    assert!(said.contains(step) && said.matches("barrelman rbac").count() == 1, "one step for both: {said}");
    let said =
        home.run_async(&["check", "-n", "shop", "-n", "team-*", "-l", "app in (a, b)"]).await.failed(1);
    let step =
        "→ as somebody who may: barrelman rbac -n shop -n 'team-*' -l 'app in (a, b)' | kubectl apply -f -;";
    assert!(said.contains(step), "the flags of this call: {said}");
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_alike_is_one_finding_for_each_place() {
    let (home, served) = cluster().await;
    let access = Access::full().deny("list", "*", None).deny("watch", "*", None);
    served.cluster.set_access(access);
    let said = home.run_async(&["check", "-n", "shop", "-n", "team-*"]).await.failed(1);
    let lines: Vec<&str> = said.lines().filter(|l| l.contains("is missing")).collect();
    let [line] = lines.as_slice() else { panic!("{said}") };
    assert!(
        line.starts_with("✖ cluster ") && line.contains(": the right list,watch is missing for pods, "),
        "{line}"
    );
    assert!(line.contains(", deployments.apps, ") && line.contains(", namespaces"), "{line}");
    assert!(line.ends_with(" in the whole cluster, because of the glob team-*"), "{line}");
    assert_eq!(said.matches("1 failure,").count(), 1, "{said}");
    // The rules can be used as they stand.
    let rules = said.split_once("; or to a ClusterRole of yours add ").unwrap().1.lines().next().unwrap();
    let rules: Value = serde_saphyr::from_str(rules).unwrap();
    let apps = rules["rules"].as_array().unwrap().iter().find(|r| r["apiGroups"][0] == "apps").unwrap();
    assert!(apps["resources"].as_array().unwrap().contains(&json!("deployments")), "{rules}");
    assert_eq!(apps["verbs"], json!(["list", "watch"]));
    // A namespace that is not permitted, or does not exist, is one too.
    let said = home.run_async(&["check", "-n", "shop,nope"]).await.failed(1);
    for name in ["shop", "nope"] {
        assert_eq!(said.matches(&format!(" in the namespace {name}\n")).count(), 1, "{said}");
        assert!(said.contains(&format!("; or to a Role in {name} of yours add rules: [")), "{said}");
    }
    assert!(said.contains("\n2 failures,"), "{said}");
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_that_are_not_there_and_globs_without_a_match_are_told() {
    let (home, served) = cluster().await;
    let said = home.run_async(&["check", "-n", "nope,team-*,squad-*"]).await.ok();
    assert!(said.contains("the namespace nope does not exist"), "{said}");
    assert!(said.contains("no namespace matches squad-*") && !said.contains("matches team-*"), "{said}");
    assert!(said.contains("every right that is needed is there"), "{said}");
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_echoes_our_token_does_not_make_us_say_it() {
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};
    let server = MockServer::start().await;
    let echo = |request: &wiremock::Request| {
        let said = format!("who is {}?", request.headers["authorization"].to_str().unwrap());
        ResponseTemplate::new(401).set_body_string(said)
    };
    Mock::given(any()).respond_with(echo).mount(&server).await;
    let (_home, served) = cluster().await;
    let kubeconfig = served.kubeconfig.replace("token: simulated", "token: KUBETOKENSECRET");
    let address = kubeconfig.lines().find_map(|l| l.trim().strip_prefix("server: ")).unwrap().to_owned();
    let home = at(&kubeconfig.replace(&address, &server.uri()));
    let said = home.run_async(&["check"]).await.failed(4);
    assert!(said.contains("answered 401: who is Bearer [secret]?") && !said.contains("KUBETOKEN"), "{said}");
    // The same of a token that a plugin made, which has no terminal of ours meanwhile.
    let plugin = r#"echo "log in, please" >&2; echo '{"status": {"token": "KUBETOKENSECRET"}}'"#;
    let exec = format!(
        "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: sh\n      args: [\"-c\", {}]\n      interactiveMode: IfAvailable",
        serde_json::to_string(plugin).unwrap()
    );
    let home = at(&served.kubeconfig.replace("token: simulated", &exec).replace(&address, &server.uri()));
    let ran = home.run_async(&["check"]).await;
    assert!(ran.out.contains("who is Bearer [secret]?"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("KUBETOKEN") && !ran.err.contains("log in"), "{ran:?}");
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
    assert!(said.contains(" years ago)"), "{said}");
    let plugin = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: no-such-plugin\n      interactiveMode: Never";
    let missing = at(&served.kubeconfig.replace("token: simulated", plugin));
    let said = missing.run_async(&["check"]).await.failed(4);
    assert!(said.contains("the credential plugin no-such-plugin is not installed"), "{said}");
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
    assert!(said.contains("set KUBECONFIG") && !said.contains("in-cluster"), "{said}");
}

/// A server with this certificate; every handshake ends, and nothing is answered.
async fn tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (String, tokio::task::JoinSet<()>) {
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der())
            .unwrap();
    let chain = vec![certificate.cert.der().clone()];
    let config =
        tokio_rustls::rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config.unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client hangs up: that is what is tested.
            let _ = acceptor.accept(stream).await;
        }
    });
    (url, tasks)
}

fn kubeconfig(server: &str, ca: Option<&str>) -> String {
    use base64::Engine as _;
    let ca = ca.map(|pem| base64::engine::general_purpose::STANDARD.encode(pem));
    let ca = ca.map(|ca| format!(", certificate-authority-data: {ca}")).unwrap_or_default();
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{server}'{ca}}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_tls_is_told_apart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        rcgen::generate_simple_self_signed(names).unwrap()
    };
    let (ours, other) = (made(&["127.0.0.1"]), made(&["127.0.0.1"]));
    let (url, _tasks) = tls(&ours).await;
    let said = at(&kubeconfig(&url, Some(&other.cert.pem()))).run_async(&["check"]).await.failed(4);
    assert!(said.contains("signed by a CA that is not trusted"), "{said}");
    assert!(said.contains("certificate-authority-data"), "a next step: {said}");
    let elsewhere = made(&["api.example.com"]);
    let (url, _tasks) = tls(&elsewhere).await;
    let said = at(&kubeconfig(&url, Some(&elsewhere.cert.pem()))).run_async(&["check"]).await.failed(4);
    assert!(said.contains("is for another name") && said.contains("tls-server-name"), "{said}");
    let mut past = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    past.not_after = rcgen::date_time_ymd(2020, 1, 1);
    past.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let cert = past.self_signed(&signing_key).unwrap();
    let past = rcgen::CertifiedKey { cert, signing_key };
    let (url, _tasks) = tls(&past).await;
    let said = at(&kubeconfig(&url, Some(&past.cert.pem()))).run_async(&["check"]).await.failed(4);
    assert!(said.contains("the server's certificate has expired"), "{said}");
}

/// Time stands still but for what waits for it: the server takes the connection, and never answers.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_told_as_such() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = at(&kubeconfig(&format!("http://{}", listener.local_addr().unwrap()), None));
    let flags = barrelman::config::Flags {
        kubeconfig: Some(home.path().join("kubeconfig")),
        ..barrelman::config::Flags::default()
    };
    let sources = barrelman::config::Sources { flags, ..barrelman::config::Sources::default() };
    let settings = barrelman::config::resolve(&sources).unwrap().settings;
    let extras = barrelman::watch::Extras::default();
    let found = barrelman::watch::diagnose(
        &settings.clusters,
        &settings.watch,
        extras,
        crate::support::watching::clock,
    )
    .await;
    let problem = found[0].problem.as_ref().expect("no answer").to_string();
    assert!(problem.contains("no answer within 20 s") && problem.contains("VPN"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_contexts_of_one_cluster_are_told() {
    let (home, served) = cluster().await;
    let text = served.kubeconfig.clone();
    let context = text.lines().find_map(|l| l.strip_prefix("current-context: ")).unwrap().trim().to_owned();
    let mut parsed = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    let mut second = parsed.contexts[0].clone();
    second.name = "again".into();
    parsed.contexts.push(second);
    home.file("kubeconfig", &serde_json::to_string(&parsed).unwrap());
    let said = home.run_async(&["check", "--context", &context, "--context", "again"]).await.failed(1);
    assert!(said.contains(&format!("✖ cluster again: is the same cluster as {context}")), "{said}");
    served.shut_down().await;
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
        "✖ connector unset (webhook): url: the environment variable NOT_SET is not set\n    → set NOT_SET in the environment",
        "· connector hook (webhook): these cannot happen",
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
    assert!(
        said.contains("✓ store") && said.contains(&format!("schema {}", barrelman::store::SCHEMA_VERSION)),
        "{said}"
    );
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
    assert!(yaml.contains("kind: Namespace\nmetadata:\n  name: monitoring\n"), "{yaml}");
    assert!(yaml.contains("kind: Role\n") && !yaml.contains("Cluster"), "only where the scope is: {yaml}");
    let yaml = home.run(&["rbac", "--scope", "cluster", "-n", "shop"]).ok();
    assert!(yaml.contains("kind: ClusterRole\n") && !yaml.contains("kind: Role\n"), "{yaml}");
    assert!(home.run(&["rbac"]).ok().contains("kind: ClusterRole\n"));
    assert!(home.run(&["rbac", "-n", "team-*"]).ok().contains("kind: ClusterRole\n"));
    let yaml = home.run(&["rbac", "-n", "shop,blog"]).ok();
    assert_eq!(yaml.matches("kind: RoleBinding").count(), 2, "{yaml}");
    for verb in ["create", "update", "patch", "delete", "\"*\"", "deletecollection"] {
        assert!(!yaml.contains(verb), "{verb}");
    }
    assert!(home.run(&["rbac", "--scope", "namespaced", "-n", "team-*"]).failed(2).contains("without globs"));
    assert!(home.run(&["rbac", "--scope", "namespaced"]).failed(2).contains("needs the names"));
}

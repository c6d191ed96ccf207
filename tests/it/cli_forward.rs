//! `barrelman forward` as a process: what it refuses, what a reload leaves as it was, how it ends, when it is ready.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use barrelman::{
    demo::{Access, Cluster},
    feed::{Action, Reply},
    server::attach,
};

use crate::support::{
    Served,
    cli::Home,
    options, serve,
    sink::{Sink, status},
};

/// A running forwarder whose log goes to a file.
struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    fn start(home: &Home, args: &[&str]) -> Self {
        let log = home.path().join("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = home.command(args).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    #[track_caller]
    fn says(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "waiting for {text:?} ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end:\n{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hook(name: &str, option: &str) -> String {
    format!(
        "[[connectors]]\nname = \"{name}\"\ntype = \"webhook\"\nenabled = true\n[connectors.config]\n{option}\n"
    )
}

fn state(home: &Home, name: &str) -> String {
    let list: serde_json::Value =
        serde_json::from_str(&home.run(&["connectors", "list", "-o", "json"]).ok()).unwrap();
    let of = |c: &&serde_json::Value| c["name"] == name;
    list.as_array()
        .unwrap()
        .iter()
        .find(of)
        .map(|c| c["state"].as_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[test]
fn a_mistake_in_a_connector_keeps_it_from_starting() {
    let home = Home::new();
    home.config(&("[log]\nlevel = \"loud\"\n".to_owned() + &hook("web", "urll = \"https://a.example\"")));
    for args in [&["forward"][..], &[]] {
        let said = home.run(args).failed(2);
        assert!(said.contains("config.toml:2: log.level: expected"), "{said}");
        assert!(
            said.contains("config.toml:8: connectors[0].config.urll: unknown option: did you mean \"url\"?"),
            "{said}"
        );
        assert!(
            said.contains("config.toml:3: connectors[0].config.url: is required (connector web)"),
            "{said}"
        );
        assert!(!home.data().exists(), "nothing was opened");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_somebody_asked_for_says_what_came_of_it() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    let good = hook("web", "url = \"https://a.example\"");
    home.config(&good);
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("watching");
    let data = home.data();
    let ask = || attach::call(&data, Action::Reload, Duration::from_secs(20));
    assert_eq!(ask().await.unwrap(), Reply::Done("the new configuration is in force".into()));
    home.config(&("[incidents.settle_secs]\nhihg = 2\n".to_owned() + &good));
    let Ok(Reply::Failed(why)) = ask().await else { panic!("a mistake was taken over") };
    assert!(why.starts_with("refused, the old configuration stays in force: "), "{why}");
    assert!(why.contains("config.toml:2: incidents.settle_secs.hihg: unknown key"), "{why}");
    home.config(&("[log]\nformat = \"json\"\n[delivery]\ntimeout_secs = 9\n".to_owned() + &good));
    let Ok(Reply::Done(done)) = ask().await else { panic!("a good configuration was refused") };
    assert!(done.contains("a restart is needed for [log] format, [delivery]"), "{done}");
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\nclusters:\n- {name: c, cluster: {server: \"http://127.0.0.1:9\"}}\n\
    users:\n- {name: u, user: {token: t}}\ncurrent-context: prod\ncontexts:\n\
    - {name: prod, context: {cluster: c, user: u}}\n- {name: staging, context: {cluster: c, user: u}}\n";

#[test]
fn a_context_that_is_not_there_ends_it_at_once() {
    let mut home = Home::new();
    let kubeconfig = home.file("kubeconfig", KUBECONFIG);
    home.set("KUBECONFIG", &kubeconfig);
    for args in [&["forward", "--context", "prdo"][..], &["--context", "prdo"]] {
        let said = home.run(args).failed(2);
        assert!(said.contains("the context prdo is not in the kubeconfig (did you mean prod?)"), "{said}");
        assert!(said.contains("it has prod, staging"), "{said}");
        assert!(!home.data().exists(), "nothing was opened");
    }
    // Nor does a pod come about by waiting.
    home.set("IN_CLUSTER", "true");
    let said = home.run(&["forward"]).failed(2);
    assert!(said.contains("this is no pod: KUBERNETES_SERVICE_HOST is not set"), "{said}");
    home.set("IN_CLUSTER", "false");
    // One that is there is tried for ever: the cluster may come.
    let mut forward = Running::start(&home, &["forward", "--context", "staging"]);
    forward.says("away");
    // So is a kubeconfig that is not there yet.
    home.set("KUBECONFIG", "/nowhere/config");
    let later = home.path().join("later");
    let mut waits =
        Running::start(&home, &["forward", "--context", "prdo", "--data-dir", later.to_str().unwrap()]);
    waits.says("/nowhere/config cannot be read");
}

#[cfg(unix)]
#[test]
fn what_is_odd_about_its_directory_is_said_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    std::fs::create_dir_all(home.data()).unwrap();
    std::fs::set_permissions(home.data(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(home.data().join("barrelman.redb"), "").unwrap();
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("was there with 0 bytes, and begins anew");
    forward.says("everybody on this machine can replace what is in");
}

#[cfg(unix)]
#[test]
fn a_store_that_is_taken_away_ends_it_before_more_is_lost() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("watching");
    let (file, aside) = (home.data().join("barrelman.redb"), home.data().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(forward.ends(), Some(5), "{}", forward.log());
    assert!(forward.log().contains("was moved, removed or replaced while it was open: put it back"));
    // A socket that answers belongs to an engine whose file may come back.
    let socket = std::os::unix::net::UnixListener::bind(home.data().join("barrelman.sock")).unwrap();
    home.run(&["forward"]).failed(3);
    assert!(!file.exists(), "a new one would stand in the way");
    drop(socket);
    // What was open holds everything.
    std::fs::rename(&aside, &file).unwrap();
    let said = home.run(&["store", "verify"]).ok();
    assert!(said.contains("rows and indices agree"), "{said}");
}

#[test]
fn a_demo_takes_the_configuration_or_refuses_it() {
    let home = Home::new();
    let bad = home.file("bad.toml", "[ui]\ntheme = \"nonsense\"\n[ui.keys]\nno-such-action = \"x\"\n");
    for args in [&["demo", "--config", &bad][..], &["demo", "--headless", "--config", &bad]] {
        let said = home.run(args).failed(2);
        assert!(said.contains("ui.theme") && said.contains("no-such-action"), "{said}");
    }
}

#[test]
fn a_reload_with_any_mistake_is_refused_as_a_whole() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    let good = hook("web", "url = \"https://a.example\"");
    home.config(&good);
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("watching");
    assert_eq!(state(&home, "web"), "on");
    let refused = "the old one stays in force";
    for (n, (bad, told)) in [
        (hook("web", "urll = \"https://a.example\""), "connectors[0].config.urll: unknown option"),
        ("ignore = [\"naemspace:x\"]\n".to_owned() + &good, "ignore: not a filter"),
        (hook("web", "url = \"${NOT_SET_ANYWHERE}\""), "NOT_SET_ANYWHERE is not set"),
        (good.clone() + &hook("new", "url = \"https://b.example\"\nevents = [\"pod_crsh\"]"), "pod_crsh"),
        ("[ui.keys]\nfolow = \"x\"\n".to_owned() + &good, "folow"),
    ]
    .into_iter()
    .enumerate()
    {
        home.config(&bad);
        forward.signal("HUP");
        let until = Instant::now() + Duration::from_secs(10);
        while forward.log().matches(refused).count() <= n {
            assert!(Instant::now() < until, "{bad}\n{}", forward.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(forward.log().contains(told), "{told}\n{}", forward.log());
        home.config(&good);
        assert_eq!((state(&home, "web"), state(&home, "new")), ("on".into(), String::new()));
    }
    assert!(!forward.log().contains("is in force\n"), "{}", forward.log());
    home.config(&(good + &hook("new", "url = \"https://b.example\"")));
    forward.signal("HUP");
    forward.says("the new configuration is in force");
    assert_eq!(state(&home, "new"), "on");
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
}

#[test]
fn a_forwarder_that_tells_nobody_says_so() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    let on = hook("web", "url = \"https://a.example\"");
    let off = on.replace("enabled = true\n", "");
    home.config(&off);
    let check = home.run(&["config", "check"]).ok();
    assert!(check.contains("1 connector, none of them on (enabled = true)"), "{check}");
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("no connector is on: what breaks is stored, and nobody is told of it off=\"web\"");
    home.config(&on);
    forward.signal("HUP");
    forward.says("the new configuration is in force");
    assert_eq!(state(&home, "web"), "on");
    assert_eq!(forward.log().matches("no connector is on").count(), 1, "{}", forward.log());
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
}

#[test]
fn what_an_action_did_can_be_seen_at_once() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("watching");
    for n in 0..3 {
        let name = format!("hook-{n}");
        let url = "url=https://a.example";
        home.run(&["connectors", "add", &name, "--type", "webhook", "--set", url, "--enable"]).ok();
        assert_eq!(state(&home, &name), "on");
        home.run(&["connectors", "disable", &name]).ok();
        assert_eq!(state(&home, &name), "off");
        home.run(&["connectors", "enable", &name]).ok();
        assert_eq!(state(&home, &name), "on");
        home.run(&["connectors", "remove", &name, "--yes"]).ok();
        assert_eq!(state(&home, &name), "");
    }
    forward.signal("INT");
    assert_eq!(forward.ends(), Some(0), "the first one ends it in order");
}

#[test]
fn after_a_kill_everything_can_be_read_at_once() {
    let mut home = Home::new();
    home.set("IN_CLUSTER", "false");
    home.config(&hook("web", "url = \"https://a.example\""));
    let mut forward = Running::start(&home, &["forward"]);
    forward.says("watching");
    forward.child.kill().unwrap();
    forward.child.wait().unwrap();
    for args in [&["events"][..], &["incidents"], &["deliveries"], &["connectors", "list"]] {
        home.run(args).ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_twice_it_does_not_wait_for_what_is_on_the_wire() {
    let cluster = Cluster::new(options(1));
    let served = serve(&cluster).await;
    // A service that takes a message and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut home = Home::new();
    let kubeconfig = home.file("kubeconfig", &served.kubeconfig);
    home.set("KUBECONFIG", &kubeconfig);
    home.config(&hook(
        "slow",
        &format!("url = \"http://{address}/x\"\nevents = [\"all\"]\ndeliver = \"events\""),
    ));
    let mut forward = Running::start(&home, &["forward", "--listen", &free()]);
    forward.says("live");
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster
        .create(serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}))
        .unwrap();
    let accepted =
        tokio::task::spawn_blocking(move || silent.accept().map(|(stream, _)| stream)).await.unwrap();
    let began = Instant::now();
    forward.signal("INT");
    tokio::time::sleep(Duration::from_millis(300)).await;
    forward.signal("INT");
    assert_eq!(forward.ends(), Some(130), "{}", forward.log());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(accepted);
    served.shut_down().await;
}

/// An address that nobody listens on.
pub fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub async fn readyz(address: &str) -> Option<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let code = text.split(' ').nth(1)?.parse().ok()?;
    Some((code, text.split_once("\r\n\r\n")?.1.to_owned()))
}

async fn becomes(address: &str, code: u16, part: &str, forward: &Running) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = readyz(address).await;
        if let Some((is, page)) = &answer
            && *is == code
            && page.contains(part)
        {
            return page.clone();
        }
        assert!(Instant::now() < until, "not {code} {part:?} but {answer:?}\n{}", forward.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn watched(access: Access, more: &str) -> (Home, Served, Sink, Running, String) {
    let cluster = Cluster::new(options(1));
    cluster.set_access(access);
    let served = serve(&cluster).await;
    let beats = Sink::start(|_, _| status(200)).await;
    let mut home = Home::new();
    let kubeconfig = home.file("kubeconfig", &served.kubeconfig);
    home.set("KUBECONFIG", &kubeconfig);
    home.config(&format!("{more}\n[heartbeat]\nurl = \"{}\"\ninterval_secs = 5\n", beats.url));
    let address = free();
    let forward = Running::start(&home, &["forward", "--listen", &address]);
    (home, served, beats, forward, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_moves_heartbeat_health_and_level_of_the_log() {
    let (home, served, beats, mut forward, flag) = watched(Access::full(), "").await;
    becomes(&flag, 200, "ready", &forward).await;
    let others = Sink::start(|_, _| status(200)).await;
    let first = free();
    let config = |listen: &str, url: &str, level: &str| {
        let heart = format!("[heartbeat]\nurl = \"{url}\"\ninterval_secs = 5\n");
        home.config(&format!("{heart}[log]\nlevel = \"{level}\"\n[server]\nlisten = \"{listen}\"\n"));
    };
    // The flag wins over the file: this one is for the file alone.
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
    config(&first, &beats.url, "info");
    let mut forward = Running::start(&home, &["forward"]);
    becomes(&first, 200, "ready", &forward).await;
    assert_eq!(others.count(), 0);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config(&taken.local_addr().unwrap().to_string(), &others.url, "info");
    forward.signal("HUP");
    forward.says("the new configuration could not be taken over error=\"cannot listen on");
    becomes(&first, 200, "ready", &forward).await;
    assert_eq!(others.count(), 0, "nothing of it is in force");

    let second = free();
    config(&second, &others.url, "error");
    forward.signal("HUP");
    becomes(&second, 200, "ready", &forward).await;
    let until = Instant::now() + Duration::from_secs(20);
    while others.count() == 0 || readyz(&first).await.is_some() {
        assert!(Instant::now() < until, "no heartbeat there\n{}", forward.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = beats.count();
    assert!(!forward.log().contains("is in force"), "an info line at the level error:\n{}", forward.log());

    config("", "", "info");
    forward.signal("HUP");
    forward.says("the new configuration is in force");
    while readyz(&second).await.is_some() {
        assert!(Instant::now() < until, "it still answers\n{}", forward.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(beats.count(), before, "the old address is left alone");
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_right_missing_it_is_not_ready_and_gives_no_sign_of_life() {
    let (_home, served, beats, mut forward, address) = watched(Access::in_namespaces(&["nowhere"]), "").await;
    becomes(&address, 503, "nothing may be watched: every right is missing", &forward).await;
    forward.says("no heartbeat");
    assert_eq!(beats.seen().len(), 0, "{:?}", forward.log());
    forward.signal("TERM");
    assert_eq!(forward.ends(), Some(0));
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_kind_is_named_by_readiness_and_stops_the_heartbeat() {
    let denied = Access::full().deny("*", "secrets", None);
    let (_home, served, beats, mut forward, address) = watched(denied, "").await;
    becomes(&address, 200, "without cluster demo: secrets: not permitted (list,watch secrets)", &forward)
        .await;
    forward.says("no heartbeat: cluster demo: secrets: not permitted");
    assert_eq!(beats.seen().len(), 0);
    served.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_one_namespace_with_its_rights_alone_all_is_well() {
    let (home, served, beats, forward, address) =
        watched(Access::in_namespaces(&["default"]), "[watch]\nnamespaces = [\"default\"]\n").await;
    let page = becomes(&address, 200, "ready", &forward).await;
    assert_eq!(page, "ready\n", "what is in no namespace is not missed");
    let until = Instant::now() + Duration::from_secs(20);
    while beats.seen().is_empty() {
        assert!(Instant::now() < until, "no heartbeat\n{}", forward.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = home.run_async(&["check"]).await.ok();
    assert!(said.contains("every right that is needed is there"), "{said}");
    assert!(
        said.contains("· cluster demo: not permitted, and watched only where it is: list,watch nodes"),
        "{said}"
    );
    assert!(said.contains("known by its address and CA"), "{said}");
    served.shut_down().await;
}

//! What the screen says of an incident while a real engine over a simulated cluster goes on: the time and the changes of
//! this time, what heals, what hits a scope, and nothing of what is gone.

use std::sync::Arc;

use barrelman::{
    event::incident::IncidentStatus,
    feed::Feed,
    object::Said,
    status::Status,
    store::Read,
    tui::{Options, Pages, ThemeChoice, harness::Harness},
};

use super::{support::rig::Rig, tui_sample as sample};

const WEB: &str = "Deployment/shop/web";
const NOPE: &str = "registry.example.com/shop/web:nope";
const CRASHES: &str = "registry.example.com/shop/web:2.15.0";

fn open(rig: &Rig, size: (u16, u16)) -> Harness {
    let pages: Arc<dyn Pages> = Arc::new(rig.store());
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &Options::default(), theme, size, rig.now());
    h.keys("1").settle();
    told(rig, &mut h);
    h
}

/// The engine says how it is: live, and with one cluster.
fn told(rig: &Rig, h: &mut Harness) {
    let mut status = sample::status(rig.now());
    status.clusters.truncate(1);
    status.clusters[0].name.clone_from(&rig.watched[0].name);
    status.clusters[0].uid = rig.watched[0].uid.0.clone();
    h.now = rig.now();
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
}

/// What the engine has told since, and nothing else.
fn hear(rig: &mut Rig, h: &mut Harness) {
    h.now = rig.now();
    let news = std::mem::take(&mut rig.news);
    h.feed(news).settle();
}

fn row(h: &mut Harness, subject: &str) -> String {
    let screen = h.screen();
    screen.lines().find(|l| l.contains(subject)).unwrap_or_else(|| panic!("{subject}: {screen}")).to_owned()
}

fn flat(screen: &str) -> String {
    screen.replace(['│', '┌', '┐'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page that `d` opens on the selected incident.
fn page(h: &mut Harness) -> String {
    let text = h.keys("d").settle().screen();
    h.keys("esc");
    text
}

#[test]
fn broken_again_shows_the_time_and_the_changes_of_this_time() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(400);
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(110);
    let incident = rig.incident(WEB);
    assert!(incident.reopened == 1 && incident.status == IncidentStatus::Open, "{:#?}", rig.story());
    let mut h = open(&rig, (120, 60));
    let page = page(&mut h);
    let words = flat(&page);
    let at = |t: jiff::Timestamp| t.strftime("%Y-%m-%d %H:%M:%S").to_string();
    assert!(words.contains(&format!("since {}", at(incident.since()))), "{page}");
    assert!(words.contains(&format!("first {}", at(incident.opened_at))), "{page}");
    // The rollout of this time, as long before it as it was; the one of the first time minutes before.
    let suspects: Vec<i64> =
        incident.suspects.iter().map(|s| incident.since().as_second() - s.at.as_second()).collect();
    assert!(suspects.iter().any(|s| *s < 60) && suspects.iter().any(|s| *s > 300), "{suspects:?}");
    for s in &suspects {
        let span = if *s < 60 { format!("−{s}s ") } else { format!("−{}m ", s / 60) };
        assert!(words.contains(&span), "{span}: {page}");
    }
    // When it is over, the row and the heading say how long this time lasted.
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(1000);
    let over = rig.incident(WEB);
    let lasted = over.resolved_at.unwrap().as_second() - over.since().as_second();
    assert_eq!(over.status, IncidentStatus::Resolved);
    let mut h = open(&rig, (120, 40));
    let row = row(&mut h, "shop/web");
    let start = over.since().strftime("%H:%M").to_string();
    assert!(row.contains(&start) && row.contains(&format!("{}m", lasted / 60)), "{row}");
}

#[test]
fn the_time_at_which_it_closes_is_the_time_at_which_it_closes() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(150);
    rig.sim().rollback("shop/web").unwrap();
    // Every pod that crashed is gone, and all that is wanted is ready.
    rig.advance(100);
    for restarted in [false, true] {
        if restarted {
            rig.restart();
            rig.advance(5);
        }
        let incident = rig.incident(WEB);
        assert!(incident.status == IncidentStatus::Open && incident.holding == 0, "{incident:#?}");
        let mut h = open(&rig, (120, 40));
        let screen = h.screen();
        assert!(!screen.contains("all that is wanted"), "{screen}");
        let words = flat(&screen);
        let closes = words.split("closes at ").nth(1).expect("a time").get(..8).unwrap().to_owned();
        if restarted {
            let day = rig.now().strftime("%Y-%m-%d").to_string();
            let at: jiff::Timestamp = format!("{day}T{closes}Z").parse().unwrap();
            let left = at.as_second() - rig.now().as_second();
            assert!(left > 30, "{left} {screen}");
            rig.advance(left - 2);
            assert_eq!(rig.incident(WEB).status, IncidentStatus::Open, "{closes}");
            rig.advance(4);
            assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{closes} {:#?}", rig.story());
        }
    }
}

#[test]
fn what_waits_for_its_pods_says_how_many_are_ready() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(120);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Open);
    // Each of its troubles went with its pod, but not all that is wanted is there again.
    rig.sim().rollback("shop/web").ok();
    rig.sim().recover("shop/web").unwrap();
    let seen = (0..60).any(|_| {
        rig.advance(2);
        let incident = rig.incident(WEB);
        let members = rig.members(&incident);
        let now = rig.read(|s| barrelman::store::pages::now(s, &incident, &members));
        let waits = now.recovery.map(|r| r.waits);
        let deployment = barrelman::object::ObjectKey::of(&incident.subject).unwrap();
        let key = barrelman::store::keys::object(&incident.cluster_uid, &deployment);
        let object = rig.read(|s| s.get(&barrelman::store::OBJECTS, &key)).unwrap();
        let workload = object.workload().unwrap();
        if let Some(barrelman::store::pages::Waits::Ready(ready, wanted)) = waits {
            assert_eq!((ready, wanted), (workload.ready, workload.replicas));
            assert!(ready < wanted);
        }
        matches!(waits, Some(barrelman::store::pages::Waits::Until(_))) && workload.ready == workload.replicas
    });
    assert!(seen, "{:#?}", rig.story());
}

#[test]
fn what_heals_is_shown_healing_with_the_commit_that_says_so() {
    let mut rig = Rig::shop();
    rig.sim().break_selector("shop/search", true).unwrap();
    rig.advance(90);
    let mut h = open(&rig, (120, 40));
    rig.news.clear();
    let before = row(&mut h, "shop/search");
    assert!(!before.contains('◒'), "{before}");
    rig.sim().break_selector("shop/search", false).unwrap();
    rig.advance(3);
    hear(&mut rig, &mut h);
    let screen = h.screen();
    let after = row(&mut h, "shop/search");
    assert!(after.contains('◒') && after.contains("well for "), "{screen}");
    let words = flat(&screen);
    assert!(words.contains("heals well for ") && words.contains("closes at "), "{screen}");
    assert!(words.contains("◒ svc/search well for ") && !words.contains("✖ svc/search"), "{screen}");
    // Broken again before that counted: at once, too.
    rig.sim().break_selector("shop/search", true).unwrap();
    rig.advance(20);
    hear(&mut rig, &mut h);
    assert!(!row(&mut h, "shop/search").contains('◒'), "{}", h.screen());
}

#[test]
fn a_scope_shows_what_hits_it_and_counts_what_is_broken_elsewhere() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-c", true).unwrap();
    rig.advance(120);
    let node = rig.incident("Node//node-c");
    let pods = |ns: &str| -> Vec<barrelman::object::Object> {
        let prefix = barrelman::store::keys::prefix(&[node.cluster_uid.as_str(), "Pod", ns]);
        let rows: Vec<(String, barrelman::object::Object)> =
            rig.read(|s| s.all(&barrelman::store::OBJECTS, &prefix));
        rows.into_iter().map(|(_, o)| o).collect()
    };
    let others = ["batch", "media", "payments", "platform"];
    let is_hit = |ns: &&str| pods(ns).iter().any(|o| o.pod().is_some_and(|p| *p.node == *"node-c"));
    let hit = others.into_iter().find(|ns| is_hit(ns)).expect("a namespace with pods on the node");
    let spared = others.into_iter().find(|ns| !is_hit(ns)).expect("a namespace without");
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Open);
    let mut h = open(&rig, (80, 24));
    let open_now = rig.incidents().iter().filter(|i| i.status == IncidentStatus::Open).count();
    assert_eq!(open_now, 2, "{:#?}", rig.story());
    h.keys("s").settle().text(hit).keys("enter").settle();
    assert!(h.screen().contains(&format!("▸ {hit} ")), "{}", h.screen());
    assert!(row(&mut h, "node node-c").contains("does not answer"), "{}", h.screen());
    assert!(h.screen().contains("1 open · 0 ended · 1 elsewhere"), "{}", h.screen());
    h.keys("0 s").settle().text(spared).keys("enter").settle();
    let screen = h.screen();
    assert!(
        screen.contains(&format!("nothing is broken in {spared} · 2 elsewhere (0 shows all)")),
        "{screen}"
    );
    assert!(!screen.contains("nothing is broken now"), "{screen}");
}

#[test]
fn what_is_gone_is_named_in_no_title_and_no_command() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(150);
    let mut h = open(&rig, (140, 60));
    let pod = rig
        .events()
        .iter()
        .rev()
        .find(|e| e.incident.is_some() && e.object.kind == "Pod")
        .unwrap()
        .object
        .name
        .clone();
    assert!(pod.starts_with("web-"), "{pod}");
    assert!(flat(&h.screen()).contains("kubectl logs web-"), "{}", h.screen());
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(120);
    let mut h = open(&rig, (140, 60));
    let screen = h.screen();
    let words = flat(&screen);
    assert!(words.contains("kubectl logs deployment/web -n shop --all-containers --tail=50"), "{screen}");
    assert!(
        !words.contains("kubectl logs web-") && words.contains("what deploy/web in crash loop"),
        "{screen}"
    );
    assert!(row(&mut h, "shop/web ").contains("0/4 pods"), "{screen}");
    h.keys("c");
    assert_eq!(h.copied, ["kubectl logs deployment/web -n shop --all-containers --tail=50"]);
}

#[test]
fn last_is_what_happened_last_and_events_are_the_rows_of_the_stream() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(400);
    let incident = rig.incident(WEB);
    let mut events = rig.events();
    events.retain(|e| e.incident.as_ref() == Some(&incident.id));
    let last = events.iter().map(|e| e.last_seen).max().unwrap();
    let rows = events.len();
    assert!(incident.events > rows as u64, "nothing was folded: {} {rows}", incident.events);
    let newest_row = events.last().unwrap().timestamp;
    assert!(newest_row < last, "the newest row happened last, and proves nothing");
    let mut h = open(&rig, (170, 70));
    let words = flat(&h.screen());
    assert!(words.contains(&format!("{rows} events, {} times", incident.events)), "{}", h.screen());
    assert!(words.contains(&format!("last {}", last.strftime("%H:%M:%S"))), "{last} {}", h.screen());
    let screen = h.keys("enter").settle().screen();
    assert!(screen.contains(&format!(" {rows} of ")), "{rows}: {screen}");
}

#[test]
fn the_pane_tells_what_else_is_there_and_what_the_program_said() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(200);
    let incident = rig.incident(WEB);
    let members = rig.members(&incident);
    let mut types: Vec<_> =
        members.iter().filter(|m| m.holds && m.ended_at.is_none()).map(|m| m.event_type).collect();
    types.sort_by_key(|t| t.name());
    types.dedup();
    assert!(types.len() > 1, "{types:?}");
    for size in [(80, 24), (120, 40)] {
        let mut h = open(&rig, size);
        let screen = h.screen();
        assert!(flat(&screen).contains(" also "), "{screen}");
    }
}

#[test]
fn two_subjects_of_one_name_are_told_apart_and_what_does_not_fit_is_counted() {
    let (store, _dir) = sample::store(Some(20));
    let pages: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &Options::default(), theme, (80, 24), sample::now());
    h.settle();
    let of = |n: u64, kind: &str, name: &str| {
        let mut incident = sample::incident(sample::now(), 1);
        incident.id = sample::id(n);
        incident.subject.kind = kind.into();
        incident.subject.name = name.into();
        Feed::Incident { incident: Arc::new(incident) }
    };
    h.feed(vec![of(50, "Service", "payments-api")]).settle();
    let screen = h.screen();
    assert!(screen.contains("payments-api (svc)"), "{screen}");
    assert!(screen.contains("payments-api (deploy)"), "{screen}");
    assert!(!screen.contains("below"), "{screen}");
    h.feed((60..80).map(|n| of(n, "Deployment", &format!("web-{n}"))).collect()).settle();
    let screen = h.screen();
    let listed = screen.lines().filter(|l| l.contains("crash loop:")).count();
    let line = screen.lines().find(|l| l.contains('▼')).unwrap_or_default();
    assert!(line.contains(&format!("▼ {} open and 2 ended below", 24 - listed)), "{listed} {screen}");
    let screen = h.keys("G").screen();
    assert!(screen.contains(" above") && !screen.contains("below"), "{screen}");
}

#[test]
fn of_a_connector_the_screen_names_its_own_next_step() {
    let (store, _dir) = sample::store(Some(20));
    let pages: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &Options::default(), theme, (120, 40), sample::now());
    let mut incident = sample::incident(sample::now(), 1);
    incident.subject.kind = "Connector".into();
    incident.subject.namespace.clear();
    incident.subject.name = "slack-oncall".into();
    h.settle().feed(vec![Feed::Incident { incident: Arc::new(incident) }]).settle();
    let own = "look 7 then Tab: what it could not deliver · 6: how it is now";
    let seen = page(&mut h);
    assert!(flat(&seen).contains(own) && flat(&seen).contains("where Barrelman itself"), "{seen}");
    assert_eq!(flat(&seen).matches(" look ").count(), 2, "{seen}");
    h.keys("c");
    assert!(h.copied.pop().is_some_and(|c| c.starts_with("kubectl ")));
    // Commands would read another store than that of a demo.
    let status = Status { mode: "demo".into(), ..sample::status(sample::now()) };
    h.feed(vec![Feed::Status { status: Arc::new(status) }]).settle();
    let seen = page(&mut h);
    assert!(flat(&seen).contains(own) && flat(&seen).matches(" look ").count() == 1, "{seen}");
    h.keys("c");
    assert_eq!(h.copied.pop(), Some(sample::id(1).to_string()));
}

#[test]
fn no_command_looks_into_a_namespace_that_is_gone() {
    let mut rig = Rig::shop();
    rig.sim().run_job("shop/import", "registry.example.com/batch/import:1.1.0", "crash").unwrap();
    rig.advance(300);
    let mut h = open(&rig, (120, 40));
    assert!(flat(&page(&mut h)).contains("kubectl"));
    rig.sim().drop_job("shop/import").unwrap();
    rig.advance(60);
    assert_eq!(rig.incident("Job/shop/import").status, IncidentStatus::Resolved, "{:#?}", rig.story());
    let mut h = open(&rig, (120, 40));
    let seen = page(&mut h);
    assert!(flat(&seen).contains("kubectl -n shop get events"), "{seen}");
    rig.cluster().delete("namespaces", "", "shop").unwrap();
    rig.advance(60);
    let mut h = open(&rig, (120, 40));
    let seen = page(&mut h);
    assert!(
        flat(&seen).contains("⏎ shows its events as they are kept here: its namespace is gone"),
        "{seen}"
    );
    assert!(!seen.contains("kubectl -n") && !seen.contains("kubectl get"), "{seen}");
}

#[test]
fn more_pods_than_are_wanted_are_counted_as_they_are() {
    let mut rig = Rig::shop();
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(400);
    let mut h = open(&rig, (120, 40));
    assert!(row(&mut h, "shop/web").contains(" 4/4 pods"), "{}", h.screen());
    // Less is wanted from now on, and nothing went yet.
    rig.cluster().update("deployments", "shop", "web", |o| o["spec"]["replicas"] = 1.into()).unwrap();
    rig.advance(5);
    let mut h = open(&rig, (120, 40));
    assert!(row(&mut h, "shop/web").contains(" 4 pods"), "{}", h.screen());
}

#[test]
fn no_row_is_left_out_without_a_word() {
    for size in [(60, 16), (60, 17), (80, 18), (80, 24), (120, 40)] {
        let (store, _dir) = sample::store(Some(20));
        let pages: Arc<dyn Pages> = Arc::new(store);
        let theme = ThemeChoice::Dark.resolve(None, None);
        let mut h = Harness::new(&pages, &Options::default(), theme, size, sample::now());
        h.settle();
        for n in 60..100 {
            let mut incident = sample::incident(sample::now(), 1);
            incident.id = sample::id(n);
            incident.subject.name = format!("web-{n}");
            h.feed(vec![Feed::Incident { incident: Arc::new(incident) }]).settle();
            for keys in ["g", "j j j", "G", "k k"] {
                let screen = h.keys(keys).screen();
                let filter = screen.lines().find(|l| l.contains(" open · ")).unwrap();
                let words: Vec<&str> = filter.split_whitespace().collect();
                let before = |word: &str| -> usize {
                    words[words.iter().position(|w| *w == word).unwrap() - 1].parse().unwrap()
                };
                let is_row = |l: &&str| {
                    l.trim_start_matches(['▌', ' ']).split_once(':').is_some_and(|(hour, rest)| {
                        hour.parse::<u8>().is_ok() && rest.get(..2).is_some_and(|m| m.parse::<u8>().is_ok())
                    })
                };
                let listed = screen.lines().filter(is_row).count();
                let line = screen.lines().find(|l| l.contains(['▼', '▲']) && !l.contains("SINCE"));
                let words =
                    line.unwrap_or_default().split(['│', '┌', '└']).next().unwrap_or_default().split('·');
                let hidden: usize = words
                    .filter(|w| w.contains("above") || w.contains("below"))
                    .flat_map(|w| w.split_whitespace().filter_map(|n| n.parse::<usize>().ok()))
                    .sum();
                assert_eq!(listed + hidden, before("open") + before("ended"), "{size:?} {keys}\n{screen}");
            }
        }
    }
}

#[test]
fn what_breaks_anew_says_so_and_names_the_change_of_this_time() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", NOPE, "image").unwrap();
    rig.advance(60);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(25);
    rig.sim().rollout("shop/web", CRASHES, "image").unwrap();
    rig.advance(30);
    let incident = rig.incident(WEB);
    let anew = incident.refired_at.expect("broken anew");
    let mut h = open(&rig, (120, 60));
    let listed = row(&mut h, "shop/web");
    assert!(listed.contains(&format!("anew {}: ", anew.strftime("%H:%M"))), "{listed}");
    let page = page(&mut h);
    let words = flat(&page);
    assert!(words.contains(&format!("anew {}", anew.strftime("%Y-%m-%d %H:%M:%S"))), "{page}");
    assert!(
        words.contains("Just before it broke anew (") && words.contains("Just before its beginning ("),
        "{page}"
    );
    let before = words.split_once("Just before").unwrap().1;
    let (this, first) =
        (before.find("2.15.0").expect("this time's"), before.find("web:nope").unwrap_or(usize::MAX));
    assert!(this < first, "{page}");
    let span = anew.as_second() - incident.suspects[0].at.as_second();
    assert!(before.contains(&format!("high −{span}s deploy/web")), "{span} {page}");
}

#[test]
fn a_cluster_whose_nodes_are_back_is_healing_and_counts_its_nodes() {
    let mut rig = Rig::shop();
    for node in ["node-a", "node-b"] {
        rig.sim().node_down(node, true).unwrap();
    }
    rig.advance(40);
    let mut h = open(&rig, (120, 40));
    let broken = row(&mut h, "cluster shop");
    assert!(broken.contains('✖') && broken.contains("2 nodes"), "{broken}");
    rig.news.clear();
    for node in ["node-a", "node-b"] {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(15);
    hear(&mut rig, &mut h);
    let healing = row(&mut h, "cluster shop");
    assert!(healing.contains('◒') && healing.contains("well for "), "{}", h.screen());
    let words = flat(&h.screen());
    let closes = words.split("closes at ").nth(1).expect("a time").get(..8).unwrap().to_owned();
    // One that goes again makes them many again.
    rig.sim().node_down("node-a", true).unwrap();
    rig.sim().node_down("node-b", true).unwrap();
    rig.advance(20);
    hear(&mut rig, &mut h);
    assert!(!row(&mut h, "cluster shop").contains('◒'), "{}", h.screen());
    for node in ["node-a", "node-b"] {
        rig.sim().node_down(node, false).unwrap();
    }
    rig.advance(15);
    hear(&mut rig, &mut h);
    let words = flat(&h.screen());
    let later = words.split("closes at ").nth(1).expect("a time").get(..8).unwrap().to_owned();
    assert!(later > closes, "{closes} {later}");
    let over = |rig: &Rig| {
        rig.incidents().iter().any(|i| i.subject.kind == "Cluster" && i.status == IncidentStatus::Resolved)
    };
    let day = rig.now().strftime("%Y-%m-%d").to_string();
    let at: jiff::Timestamp = format!("{day}T{later}Z").parse().unwrap();
    rig.advance(at.as_second() - rig.now().as_second() - 2);
    assert!(!over(&rig), "{later} {:#?}", rig.story());
    rig.advance(4);
    assert!(over(&rig), "{later} {:#?}", rig.story());
}

#[test]
fn among_equals_what_is_broken_stands_above_what_heals() {
    let mut rig = Rig::shop();
    rig.sim().break_selector("shop/search", true).unwrap();
    rig.advance(60);
    rig.sim().break_selector("shop/cart", true).unwrap();
    rig.advance(60);
    let severity = |of: &str| rig.incident(of).severity;
    assert_eq!(severity("Service/shop/search"), severity("Service/shop/cart"), "{:#?}", rig.story());
    let mut h = open(&rig, (120, 40));
    rig.news.clear();
    let line = |h: &mut Harness, subject: &str| {
        let screen = h.screen();
        screen.lines().position(|l| l.contains(subject)).unwrap_or_else(|| panic!("{subject}: {screen}"))
    };
    assert!(line(&mut h, "shop/search") < line(&mut h, "shop/cart"), "{}", h.screen());
    rig.sim().break_selector("shop/search", false).unwrap();
    for _ in 0..14 {
        rig.advance(1);
        hear(&mut rig, &mut h);
        told(&rig, &mut h);
        h.tick().settle();
    }
    let screen = h.screen();
    assert!(row(&mut h, "shop/search").contains("◒ shop/search"), "{screen}");
    assert!(row(&mut h, "shop/search").contains("well for"), "{screen}");
    assert!(line(&mut h, "shop/cart") < line(&mut h, "shop/search"), "{screen}");
    // It breaks again: above, as the older of the two; from now on its place waits for a recovery.
    for broken in [true, false] {
        rig.sim().break_selector("shop/search", broken).unwrap();
        for _ in 0..12 {
            rig.advance(1);
            hear(&mut rig, &mut h);
            told(&rig, &mut h);
            h.tick().settle();
        }
        let screen = h.screen();
        assert_eq!(row(&mut h, "shop/search").contains('◒'), !broken, "{screen}");
        assert!(line(&mut h, "shop/search") < line(&mut h, "shop/cart"), "{screen}");
    }
}

#[test]
fn a_node_that_is_back_still_says_whom_it_took_down_and_stays_in_their_scope() {
    let mut rig = Rig::shop();
    rig.sim().node_down("node-c", true).unwrap();
    rig.advance(120);
    let mut h = open(&rig, (120, 40));
    let open_row = row(&mut h, "node node-c");
    let pods = open_row.split_whitespace().zip(open_row.split_whitespace().skip(1));
    let pods = pods.clone().find(|(_, word)| word.starts_with("pod")).map(|(n, _)| n.to_owned());
    let pods = pods.unwrap_or_else(|| panic!("{open_row}"));
    rig.sim().node_down("node-c", false).unwrap();
    rig.advance(1200);
    let node = rig.incident("Node//node-c");
    assert_eq!(node.status, IncidentStatus::Resolved, "{:#?}", rig.story());
    let reach = node.reach.clone().expect("it carried pods");
    let namespace = reach.namespaces.first().expect("they are somewhere").clone();
    let ended = |h: &mut Harness| row(h, "node node-c");
    let mut h = open(&rig, (120, 40));
    assert!(ended(&mut h).contains(&format!("{} pods", reach.pods)), "{pods} {}", h.screen());
    assert!(!ended(&mut h).contains("itself"), "{}", h.screen());
    h.keys("s").settle().text(&namespace).keys("enter").settle();
    assert!(ended(&mut h).contains("✓ node node-c"), "{}", h.screen());
}

#[test]
fn what_was_is_said_in_the_last_words_and_no_command_has_the_selector_of_the_trouble() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(500);
    let mut h = open(&rig, (140, 60));
    let why = |h: &mut Harness, word: &str| {
        let page = page(h);
        let line = page.lines().find(|l| l.contains(&format!(" {word} "))).unwrap_or_default().to_owned();
        assert!(!line.is_empty(), "{word}: {page}");
        line.split_once(word).map(|(_, rest)| rest.trim_matches([' ', '│']).to_owned()).unwrap_or_default()
    };
    let restarts =
        |line: &str| line.split(" time").next().and_then(|l| l.split(' ').next_back()?.parse::<u32>().ok());
    let before = why(&mut h, "why");
    let most = restarts(&before).unwrap_or_else(|| panic!("no count: {before}"));
    assert!(most > 2, "{before}");
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(60);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Open, "{:#?}", rig.story());
    let mut h = open(&rig, (140, 60));
    let was = why(&mut h, "was");
    assert!(restarts(&was).is_some_and(|n| n >= most), "{before} | {was}");
    rig.advance(400);
    assert_eq!(rig.incident(WEB).status, IncidentStatus::Resolved, "{:#?}", rig.story());
    let mut h = open(&rig, (140, 60));
    let ended = why(&mut h, "why");
    assert!(restarts(&ended).is_some_and(|n| n >= most), "{before} | {was} | {ended}");
    // A Service whose selector was wrong: the command looks by the one it has now.
    rig.sim().break_selector("shop/search", true).unwrap();
    rig.advance(90);
    rig.sim().break_selector("shop/search", false).unwrap();
    rig.advance(3);
    let stored = rig.incident("Service/shop/search");
    assert_eq!(stored.status, IncidentStatus::Open);
    let mut h = open(&rig, (140, 60));
    h.keys("/").text("obj:search").keys("enter").settle();
    let screen = h.keys("d").settle().screen();
    let wrong = rig
        .events()
        .into_iter()
        .rev()
        .find(|e| e.subject.name == "search" && e.details.contains_key("selector"));
    let wrong = wrong.expect("the trouble").details["selector"].as_str().unwrap().to_owned();
    let look = flat(&screen);
    let look = look.split("kubectl get pods -n shop -l ").nth(1).unwrap_or_else(|| panic!("{screen}"));
    assert!(!look.starts_with(&wrong), "{wrong}: {screen}");
}

#[test]
fn on_a_small_screen_the_list_of_who_was_told_gives_way_before_what_was_said() {
    let (store, _dir) = sample::store(Some(20));
    store
        .write_blocking(|tx| {
            for (i, name) in ["audit", "changes", "chat", "on-call", "timeline"].into_iter().enumerate() {
                sample::told(tx, name, 10 + i as i64)?;
            }
            sample::says(tx, "fatal: cannot reach database")
        })
        .unwrap();
    let pages: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &Options::default(), theme, (80, 24), sample::now());
    h.settle();
    let of = |n: u64| {
        let mut incident = sample::incident(sample::now(), 2);
        (incident.id, incident.subject.name) = (sample::id(n), format!("job-{n}"));
        Feed::Incident { incident: Arc::new(incident) }
    };
    h.feed((50..60).map(of).collect()).settle();
    let screen = h.screen();
    assert!(screen.contains(" said     fatal: cannot reach database"), "{screen}");
    assert!(screen.contains(" told     ✖ 1 email-leads  ✓ 7  given up: 535"), "{screen}");
    assert!(screen.contains(" look     kubectl"), "{screen}");
    // With room for all, all are named.
    let screen = h.resize(80, 60).screen();
    assert!(screen.contains("timeline ✓") && screen.contains("given up: 535"), "{screen}");
}

#[test]
fn further_suspects_give_way_before_the_names_of_who_was_told() {
    let (store, _dir) = sample::store(Some(20));
    let pages: Arc<dyn Pages> = Arc::new(store);
    let theme = ThemeChoice::Dark.resolve(None, None);
    let mut h = Harness::new(&pages, &Options::default(), theme, (80, 24), sample::now());
    h.settle();
    let mut lines = Vec::new();
    for height in 20..34 {
        let screen = h.resize(80, height).screen();
        let named = screen.contains("slack-oncall ✓");
        let second = screen.contains("cm/payments-cfg");
        assert!(named || !second, "{height}: {screen}");
        lines.push((named, second));
    }
    assert!(lines.contains(&(true, false)) && lines.contains(&(true, true)), "{lines:?}");
}

#[test]
fn another_trouble_while_the_first_is_well_is_called_by_its_own_name() {
    let mut rig = Rig::shop();
    rig.sim().rollout("shop/web", CRASHES, "crash").unwrap();
    rig.advance(150);
    rig.sim().rollback("shop/web").unwrap();
    rig.advance(100);
    let mut h = open(&rig, (120, 60));
    let healing = row(&mut h, "shop/web");
    assert!(healing.contains('◒') && healing.contains("in crash loop"), "{healing}");
    rig.news.clear();
    rig.sim().fail_probes("shop/web").unwrap();
    rig.advance(50);
    hear(&mut rig, &mut h);
    let anew = row(&mut h, "shop/web");
    assert!(anew.contains("anew ") && !anew.contains("in crash loop"), "{anew} {:#?}", rig.story());
    let words = flat(&page(&mut h));
    assert!(!words.contains("why Pod has restarted"), "{words}");
    // The incident is the same one, and as bad as it was.
    assert!(anew.contains('✖'), "{anew}");
}

#[test]
fn what_breaks_is_on_the_screen_wherever_the_cursor_stands() {
    let mut rig = Rig::shop();
    for app in ["shop/cart", "shop/search", "shop/web"] {
        rig.sim().rollout(app, NOPE, "image").unwrap();
        rig.advance(5);
    }
    rig.advance(60);
    let mut h = open(&rig, (80, 16));
    rig.news.clear();
    h.keys("j k").settle();
    // Worse ones come above it, while nobody touches a key.
    for node in ["node-c", "node-d"] {
        rig.sim().node_down(node, true).unwrap();
        rig.advance(20);
        hear(&mut rig, &mut h);
        told(&rig, &mut h);
        let screen = h.screen();
        assert!(screen.contains("✖ node node-c") && !screen.contains(" above"), "{screen}");
    }
    // At the top again, the worst is followed.
    h.keys("g").settle();
    rig.sim().break_selector("payments/api", true).unwrap();
    rig.advance(30);
    hear(&mut rig, &mut h);
    told(&rig, &mut h);
    let screen = h.screen();
    let first = screen.lines().find(|l| l.contains('▌')).unwrap();
    assert!(first.contains('✖') && !screen.contains(" above"), "{screen}");
}

#[test]
fn what_an_incident_that_is_over_took_down_stands_among_what_is_broken_until_it_is_told_for_itself() {
    let mut rig = Rig::shop();
    let nodes = ["node-a", "node-b", "node-c", "node-d", "node-e"];
    let all = |rig: &mut Rig, down: bool| nodes.iter().for_each(|n| rig.sim().node_down(n, down).unwrap());
    let (uid, since) = (rig.watched[0].uid.clone(), rig.now());
    rig.say(vec![Said::Away { cluster: uid, since, why: "connection refused".into() }]);
    rig.say_for(120);
    all(&mut rig, true);
    rig.start();
    rig.advance(20);
    all(&mut rig, false);
    rig.sim().fail_probes("shop/search").unwrap();
    rig.advance(120);
    let cluster = rig.incident("Cluster//shop");
    assert_eq!(cluster.status, IncidentStatus::Resolved, "{:#?}", rig.story());
    let mut h = open(&rig, (120, 40));
    let left = row(&mut h, "is over, but");
    assert!(left.contains("✖ cluster shop") && left.contains("is over, but svc/search"), "{left}");
    let screen = h.screen();
    let words = flat(&screen);
    let open_now = rig.incidents().iter().filter(|i| i.status == IncidentStatus::Open).count();
    assert!(screen.contains(&format!("1 Incidents({})", open_now + 1)), "{open_now} {screen}");
    assert!(words.contains("still svc/search in shop has no ready endpoint for "), "{screen}");
    let until = cluster.resolved_at.unwrap() + jiff::SignedDuration::from_mins(5);
    let own = format!("an incident of its own from {} on if it stays", until.strftime("%H:%M:%S"));
    assert!(words.contains(&own), "{own} {screen}");
    // It is told for itself then, and the cluster's is over.
    rig.news.clear();
    rig.advance(until.as_second() - rig.now().as_second() + 5);
    hear(&mut rig, &mut h);
    let screen = h.screen();
    assert!(row(&mut h, "shop/search").contains('✖'), "{screen}");
    assert!(row(&mut h, "cluster shop").contains('✓') && !screen.contains("is over, but"), "{screen}");
    // And what is well again is gone from there at once.
    rig.sim().recover("shop/search").unwrap();
    rig.advance(300);
    hear(&mut rig, &mut h);
    assert!(h.screen().contains("nothing is broken now"), "{}", h.screen());
}

/// A Pod that nobody owns; `state`: its container's, after so many restarts.
fn put_pod(rig: &Rig, (restarts, state): (u32, &serde_json::Value)) {
    let ready = state.get("running").is_some();
    let status = serde_json::json!({"phase": "Running",
        "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        "containerStatuses": [{"name": "app", "ready": ready, "restartCount": restarts, "image": "x", "state": state,
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": rig.now().to_string()}}}]});
    if restarts == 1 {
        let made = serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "looper", "namespace": "shop"},
            "spec": {"containers": [{"name": "app", "image": "x",
                "envFrom": [{"configMapRef": {"name": "looper"}}]}]}, "status": status});
        rig.cluster().create(made).unwrap();
    } else {
        let set = |pod: &mut serde_json::Value| pod["status"] = status.clone();
        rig.cluster().update("pods", "shop", "looper", set).unwrap();
    }
}

#[test]
fn the_run_between_two_crashes_is_no_recovery_on_any_line() {
    let mut rig = Rig::shop();
    rig.watched[0].sim = None;
    let waits = serde_json::json!({"waiting": {"reason": "CrashLoopBackOff",
        "message": "back-off 5s restarting failed container"}});
    let runs = serde_json::json!({"running": {"startedAt": "2026-03-02T12:00:00Z"}});
    let config = |pool: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"POOL": pool},
            "metadata": {"name": "looper", "namespace": "shop"}})
    };
    rig.cluster().create(config("1")).unwrap();
    put_pod(&rig, (1, &waits));
    rig.advance(20);
    let incident = rig.incident("Pod/shop/looper");
    assert_eq!(incident.event_type.name(), "pod_crash_loop", "{:#?}", rig.story());
    let mut h = open(&rig, (120, 40));
    let recovers = |rig: &Rig| {
        let of = rig.incident("Pod/shop/looper");
        rig.read(|s| {
            let members = barrelman::store::pages::members(s, &of.id, usize::MAX)?;
            barrelman::store::pages::now(s, &of, &members)
        })
        .recovery
        .is_some()
    };
    for crashes in 2..8 {
        if crashes == 5 {
            let edit = |map: &mut serde_json::Value| map["data"] = config("2")["data"].clone();
            rig.cluster().update("configmaps", "shop", "looper", edit).unwrap();
        }
        for (state, secs) in [(&runs, 2), (&waits, 5)] {
            put_pod(&rig, (crashes, state));
            rig.advance(secs);
            assert_eq!(recovers(&rig), secs == 2, "{:#?}", rig.story());
            told(&rig, &mut h);
            hear(&mut rig, &mut h);
            let screen = h.screen();
            let words = flat(&screen);
            assert!(row(&mut h, "shop/looper").contains('✖'), "{screen}");
            assert!(!screen.contains('◒') && !words.contains("well for"), "{screen}");
        }
    }
    // Nor did it break anew with any of them, whatever was changed meanwhile.
    assert!(!rig.events_of(barrelman::event::EventType::ConfigChanged).is_empty(), "{:#?}", rig.story());
    assert_eq!(rig.incident("Pod/shop/looper").refired_at, None);
    // What outlives them all does recover.
    put_pod(&rig, (8, &runs));
    rig.advance(35);
    told(&rig, &mut h);
    hear(&mut rig, &mut h);
    assert!(
        row(&mut h, "shop/looper").contains("◒") && flat(&h.screen()).contains("heals well for"),
        "{}",
        h.screen()
    );
}

//! `incidents.runbook_url` and `dashboard_url`: in what is stored, in what every connector sends, and in `config check`.

use barrelman::{
    connector::text::Message,
    event::{Link, Role, incident::Phase},
};

use crate::support::{
    cli::Home,
    connectors::built,
    rig::{HOOK, Rig},
};

const PAGES: &str = r#"
[incidents]
runbook_url = "https://wiki.example.com/{{event_type}}"
dashboard_url = "https://graphs.example.com/d?ns={{ namespace }}{% if incident %}&w={{ incident.subject.name }}{% endif %}"
"#;
const PAIN: &str = r#"
[[connectors]]
name = "pain"
type = "painchain"
enabled = true
[connectors.config]
api_url = "http://127.0.0.1:9"
"#;

fn page<'a>(links: &'a [Link], rel: &str) -> Vec<&'a str> {
    links.iter().filter(|l| l.rel == rel).map(|l| l.reference.as_str()).collect()
}

#[test]
fn what_is_told_and_what_is_stored_link_to_runbook_and_dashboard() {
    let mut rig = Rig::shop_with(&format!("{PAGES}{HOOK}{PAIN}"));
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let sent = rig.about("Deployment/shop/web", Phase::Opened)[0].message.clone();
    assert_eq!(page(&sent.event.links, "runbook"), ["https://wiki.example.com/pod_crash_loop"]);
    assert_eq!(page(&sent.event.links, "dashboard"), ["https://graphs.example.com/d?ns=shop&w=web"]);
    assert_eq!(Message::of(&sent).links.len(), 2);
    for (kind, config) in [
        ("webhook", serde_json::json!({"url": "http://127.0.0.1:9"})),
        ("webhook", serde_json::json!({"url": "http://127.0.0.1:9", "format": "cloudevents"})),
        ("slack", serde_json::json!({"webhook_url": "http://127.0.0.1:9/hook"})),
    ] {
        let body = built(kind, &config).connector.render(&sent, None).unwrap().body;
        assert!(body.contains("https://wiki.example.com/pod_crash_loop"), "{kind} {config}: {body}");
        assert!(body.contains("https://graphs.example.com/d?ns=shop"), "{kind} {config}: {body}");
    }
    // On the screen: every trouble's event, with the dashboard that needs no incident.
    let events = rig.events();
    let trouble = events.iter().find(|e| e.role != Role::Context && e.incident.is_some()).unwrap();
    assert_eq!(page(&trouble.links, "dashboard"), ["https://graphs.example.com/d?ns=shop"]);
    // A post carries them in its data.
    let post = rig.sent.iter().find_map(|s| s.message.post.as_ref()).expect("a post");
    let links = post["data"]["links"].as_array().unwrap();
    assert!(links.iter().any(|l| l["rel"] == "runbook"), "{links:?}");
}

#[test]
fn a_template_that_fails_is_told_by_config_check_and_by_a_start() {
    let home = Home::new();
    home.config("[incidents]\nrunbook_url = \"https://wiki.example.com/{{ event_tipe }}\"\n");
    let said = home.run(&["config", "check"]).failed(2);
    assert!(said.contains("runbook_url: fails for"), "{said}");
    let said = home.run(&["check", "--offline"]).failed(2);
    assert!(said.contains("runbook_url: fails for"), "{said}");
    home.config("[incidents]\ndashboard_url = \"https://graphs.example.com/d?ns={{ namespace }}\"\n");
    home.run(&["config", "check"]).ok();
}

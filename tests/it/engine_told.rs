//! What a message says of the trouble: since when, how often, after what, and how to look.

use crate::support::{
    noon,
    rig::{HOOK, Rig},
};

fn contexts(toml: &str, name: &str) -> Vec<String> {
    let mut rig = Rig::empty(&format!("{toml}{HOOK}"));
    rig.add(name, |cluster| Some(barrelman::demo::Sim::demo(cluster, noon(), 1.0)));
    rig.start();
    rig.advance(1);
    rig.restart();
    rig.sim().rollout("shop/web", "registry.example.com/shop/web:2.15.0", "crash").unwrap();
    rig.advance(110);
    let told = &rig.sent[0].message.event;
    let commands = told.recommendations.iter().map(|r| r.command.clone());
    commands.chain(told.links.iter().filter_map(|l| l.href.clone())).collect()
}

#[test]
fn commands_name_their_context_where_contexts_were_named() {
    let named = contexts("[clusters]\ncontexts = [\"prod eu\", \"staging\"]\n", "prod eu");
    assert!(
        named.len() > 3 && named.iter().all(|c| c.starts_with("kubectl --context 'prod eu' ")),
        "{named:#?}"
    );
    let named = contexts("[clusters]\ncontexts = [\"admin@eu:1\"]\n", "admin@eu:1");
    assert!(named.iter().all(|c| c.starts_with("kubectl --context admin@eu:1 ")), "{named:#?}");
    let current = contexts("", "prod");
    assert!(current.len() > 3 && current.iter().all(|c| !c.contains("--context")), "{current:#?}");
}

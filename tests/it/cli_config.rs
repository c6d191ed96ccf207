//! `barrelman config`, `store`, `completions` and `man` as a user calls them.

use barrelman::store::Store;

use crate::{
    store_support::{event, put_event},
    support::cli::Home,
};

#[test]
fn the_example_is_written_once_and_is_a_sound_configuration() {
    let home = Home::new();
    let said = home.run(&["config", "init"]).ok();
    let path = home.path().join("config/barrelman/config.toml");
    assert!(said.contains("config.toml is written"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), home.run(&["config", "init", "--print"]).ok());
    assert!(home.run(&["config", "init"]).failed(2).contains("--force replaces it"));
    home.run(&["config", "init", "--force"]).ok();
    assert!(home.run(&["config", "check"]).ok().contains("✓ the configuration can be used"));
}

#[test]
fn every_mistake_is_told_at_once_and_ends_with_2() {
    let home = Home::new();
    home.config("[watch]\npoll_interval_secs = 1\nnamspaces = [\"a\"]\n");
    for args in [&["config", "check"][..], &["config", "show"], &["check"], &["events"]] {
        let said = home.run(args).failed(2);
        assert!(
            said.contains("poll_interval_secs") && said.contains("did you mean namespaces?"),
            "{args:?}: {said}"
        );
    }
    home.config("[[connectors]]\nname = \"a\"\ntype = \"webhook\"\nconfig = { url = \"https://a.example\", metod = \"POST\" }\n");
    let said = home.run(&["config", "check"]).failed(2);
    assert!(
        said.contains("config.toml:4: connectors[0].config.metod: unknown option: did you mean \"method\"? (connector a)"),
        "{said}"
    );
    home.config(
        "ignore = [\"naemspace:x\", \"sevrity:high\"]\n[log]\nlevel = \"loud\"\n[ui.keys]\nfolow = \"x\"\n\
         [[connectors]]\nname = \"a\"\ntype = \"webhook\"\nenabled = \"yes\"\nconfig = { url = \"${NOT_SET}\", metod = \"POST\", events = [\"pod_crsh\"] }\n\
         [[connectors]]\nname = \"b\"\ntype = \"slak\"\n",
    );
    let said = home.run(&["config", "check"]).failed(2);
    for part in [
        "config.toml:1: ignore[0]: not a filter",
        "config.toml:1: ignore[1]: not a filter",
        "config.toml:3: log.level: expected trace, debug",
        "ui.keys: ",
        "config.toml:9: connectors[0].enabled: expected true or false",
        "! ",
        "config.toml:10: connectors[0].config.url: the environment variable NOT_SET is not set (connector a)",
        "config.toml:10: connectors[0].config.metod: unknown option: did you mean \"method\"?",
        "config.toml:10: connectors[0].config.events: unknown event type \"pod_crsh\"",
        "config.toml:13: connectors[1].type: unknown type \"slak\", did you mean \"slack\"?",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
    assert!(said.contains("8 problems in the configuration"), "{said}");
}

#[test]
fn what_cannot_happen_is_noted() {
    let home = Home::new();
    home.config("[[connectors]]\nname = \"a\"\ntype = \"webhook\"\nconfig = { url = \"https://a.example\", events = [\"http_500\", \"pod_crash\"] }\n");
    let said = home.run(&["config", "check"]).ok();
    assert!(said.contains("· connector a (webhook): these cannot happen: http_500 (needs "), "{said}");
    let saved = home
        .run(&[
            "connectors",
            "add",
            "b",
            "--type",
            "webhook",
            "--set",
            "url=https://b.example",
            "--set",
            "events=high_cpu",
        ])
        .ok();
    assert!(saved.contains("b is saved; these cannot happen: high_cpu"), "{saved}");
}

#[test]
fn a_token_under_a_type_that_does_not_exist_is_hidden_whole() {
    let home = Home::new();
    home.config("[[connectors]]\nname = \"a\"\ntype = \"slak\"\nconfig = { token = \"xoxb-0123456789-abcdef\", note = \"short\" }\n");
    let said = home.run(&["config", "show"]).ok();
    assert!(said.contains("token = \"•••• (no such option)\"") && !said.contains("cdef"), "{said}");
}

#[test]
fn without_a_terminal_there_is_no_dashboard_and_the_way_out_is_told() {
    let home = Home::new();
    assert!(home.run(&[]).failed(2).contains("`barrelman forward` watches"));
    assert!(home.run(&["demo"]).failed(2).contains("barrelman demo --headless"));
    assert!(!home.data().exists());
}

#[test]
fn what_is_in_force_is_shown_with_its_origin() {
    let mut home = Home::new();
    home.set("WATCH_NAMESPACES", "payments");
    let said = home.run(&["config", "show", "-l", "app=api"]).ok();
    assert!(said.contains("namespaces = [\"payments\"]  # environment WATCH_NAMESPACES"), "{said}");
    assert!(said.contains("selector = \"app=api\"  # --selector"), "{said}");
}

#[test]
fn a_store_is_copied_verified_and_made_smaller() {
    let home = Home::new();
    assert!(home.run(&["store", "verify"]).failed(1).contains("there is no store"));
    let store = Store::open(&home.data()).unwrap();
    store
        .write_blocking(|tx| (0..50).try_for_each(|n| put_event(tx, &event(&n.to_string(), 10)).map(drop)))
        .unwrap();
    let copy = home.path().join("copy.redb").display().to_string();
    assert!(home.run(&["store", "backup", &copy]).ok().contains("copy.redb is written"), "beside a writer");
    assert!(home.run(&["store", "backup", &copy]).failed(2).contains("exists already"));
    assert!(home.run(&["store", "compact"]).failed(3).contains("another barrelman holds"));
    assert!(home.run(&["store", "verify"]).ok().contains("✓ rows and indices agree"));
    store.close();
    assert!(home.run(&["store", "verify"]).ok().contains("✓ every page is as it was written"));
    assert!(home.run(&["store", "compact"]).ok().contains("now"));
    let store = Store::open(&home.data()).unwrap();
    store.write_blocking(|tx| tx.remove_entry(&barrelman::store::EVENTS, 3).map(drop)).unwrap();
    store.close();
    let said = home.run(&["store", "verify"]).failed(5);
    assert!(said.contains("✖") && said.contains("restore a backup"), "{said}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&["completions", shell]).ok().contains("barrelman"), "{shell}");
    }
    assert!(home.run(&["man"]).ok().contains(".TH barrelman"));
}

#[test]
fn keys_and_colours_of_the_dashboard_are_checked_before_it_opens() {
    let home = Home::new();
    home.config("[ui]\ntheme = \"drak\"\n");
    assert!(home.run(&["config", "check"]).failed(2).contains("did you mean dark?"));
    home.config("[ui.keys]\nfilter = 7\n");
    assert!(
        home.run(&["config", "check"]).failed(2).contains("ui.keys.filter: expected a key or a list of keys")
    );
    home.config("[ui.keys]\nfillter = \"x\"\nfollow = \"hyper-x\"\nhelp = [\"f\", \"f1\"]\n");
    for args in [&["config", "check"][..], &[]] {
        let said = home.run(args).failed(2);
        assert!(said.contains("did you mean \"filter\"?"), "{args:?}: {said}");
        assert!(said.contains("\"hyper-x\" is no key") && !home.data().exists(), "{args:?}: {said}");
    }
    home.config("[ui]\ntheme = \"mono\"\n[ui.keys]\nhelp = \"f1\"\npurge = []\n");
    home.run(&["config", "check"]).ok();
    let said = home.run(&["config", "show"]).ok();
    assert!(said.contains("theme = \"mono\"") && said.contains("\"help\" = [\"f1\"]"), "{said}");
}

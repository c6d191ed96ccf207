//! What an action does wherever one is. Everything else is the pane's.

use super::go;
use crate::{
    feed,
    tui::{
        action::Action as A,
        effect::{About, Effect, Query},
        model::{Level, Model, Shared},
        options::{Engine, Exit},
        overlays::{
            confirm::Confirm, help::Help, palette::Palette, range::Range, scope::ScopePicker, viewer::Viewer,
        },
        panes::PANES,
        text, theme,
    },
};

/// Where nothing has changed nothing would be seen of it.
const READ_AGAIN: &str = "read again from the store";

/// `None`: the pane is asked.
pub fn act(model: &mut Model, action: A) -> Option<Vec<Effect>> {
    if let Some(pane) = PANES.iter().find(|p| p.show == action) {
        let mut effects = go(model, pane.name, None);
        if let Some(pane) = model.panes.get_mut(model.current) {
            effects.extend(pane.reload(&mut model.shared));
        }
        return Some(effects);
    }
    let shared = &mut model.shared;
    let effects = match action {
        A::Help => vec![Effect::Show(Box::new(Help::new(model.current)))],
        A::Palette => vec![Effect::Show(Box::new(Palette::new(model.current)))],
        A::Scope => {
            let clusters = shared
                .status
                .iter()
                .flat_map(|s| &s.clusters)
                .map(|c| (c.uid.clone(), c.name.clone()))
                .collect();
            vec![Effect::Show(Box::new(ScopePicker::new(shared))), Effect::Query(Query::Scopes(clusters))]
        }
        A::TimeRange => vec![Effect::Show(Box::new(Range::new(shared)))],
        A::Filter => return Some(super::prompt::open(model)),
        A::Back => return Some(back(model)),
        A::Close | A::Quit => return Some(quit(model)),
        A::AllNamespaces => {
            shared.scope = crate::tui::query::Scope::default();
            return Some(reread(model));
        }
        A::Refresh => return Some(refresh(model)),
        A::Reread => {
            shared.say(Level::Good, READ_AGAIN);
            return Some(reread(model));
        }
        A::Relist => vec![act_of(feed::Action::Relist, "re-list")],
        A::Reload => vec![act_of(feed::Action::Reload, "reload")],
        A::AbsoluteTimes => {
            shared.absolute = !shared.absolute;
            Vec::new()
        }
        A::Zoom => {
            shared.zoom = !shared.zoom;
            Vec::new()
        }
        A::MoreKeys => {
            shared.keys_page += 1;
            Vec::new()
        }
        A::ThemeDark | A::ThemeLight | A::ThemeMono => {
            shared.theme = match action {
                A::ThemeDark => theme::DARK,
                A::ThemeLight => theme::LIGHT,
                _ => theme::MONO,
            };
            Vec::new()
        }
        A::Logs if shared.has_log => vec![Effect::Show(Box::new(Viewer::logs())), Effect::Query(Query::Logs)],
        A::Logs => {
            shared.say(Level::Bad, "this process has no log file");
            Vec::new()
        }
        A::Mouse => {
            shared.mouse = !shared.mouse;
            let words = if shared.mouse {
                "the mouse scrolls and selects here; to mark text hold shift, or switch it off again"
            } else {
                "the mouse is the terminal's again: text can be marked"
            };
            shared.say(Level::Good, words);
            vec![Effect::Mouse(shared.mouse)]
        }
        A::Messages => vec![Effect::Show(Box::new(messages(model)))],
        A::TakeOver => return Some(take_over(model)),
        _ => return None,
    };
    Some(effects)
}

fn act_of(action: feed::Action, about: &str) -> Effect {
    Effect::Act { action, about: About::Toast(about.to_owned()) }
}

/// Everything is read again, and clusters that are away are tried at once.
fn refresh(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if model.shared.away().next().is_none() {
        model.shared.say(Level::Good, READ_AGAIN);
    }
    let away: Vec<String> = model.shared.away().map(|c| c.name.clone()).collect();
    effects.extend(away.into_iter().map(|cluster| {
        act_of(feed::Action::Reconnect { cluster: cluster.clone() }, &format!("trying {cluster}"))
    }));
    effects.extend(reread(model));
    effects
}

/// Everything is read again from the store; no cluster is asked for anything.
pub fn reread(model: &mut Model) -> Vec<Effect> {
    let mut effects = vec![Effect::Query(Query::Totals)];
    for pane in &mut model.panes {
        effects.extend(pane.reload(&mut model.shared));
    }
    effects
}

/// The filter first, then a zoom, then the range; at the root nothing.
fn back(model: &mut Model) -> Vec<Effect> {
    let Some(pane) = model.panes.get_mut(model.current) else { return Vec::new() };
    if pane.filter().is_some_and(|f| !f.is_empty()) {
        return pane.set_filter(crate::event::filter::Filter::default(), &mut model.shared);
    }
    if model.shared.zoom {
        model.shared.zoom = false;
    } else if model.shared.range.take().is_some() {
        return reread(model);
    } else if model.shared.toast.take().is_none()
        && let Some(from) = model.trail.pop()
    {
        // Back to where somebody went deeper from; at the root there is nothing to leave.
        super::leave(model, from);
        model.current = from;
        model.shared.keys_page = 0;
    }
    Vec::new()
}

fn messages(model: &Model) -> Viewer {
    let tz = &model.shared.tz;
    let lines: Vec<String> = model
        .shared
        .messages
        .iter()
        .rev()
        .map(|m| {
            let mark = match m.level {
                Level::Good => "✓",
                Level::Bad => "!",
                Level::Wait => "…",
            };
            format!("{} {mark} {}", text::full(m.at, tz), m.text)
        })
        .collect();
    Viewer::new(
        "messages, the newest first",
        if lines.is_empty() { vec!["none yet".to_owned()] } else { lines },
    )
}

/// Asks, and says what would stop.
fn quit(model: &mut Model) -> Vec<Effect> {
    let stops = model.shared.would_stop();
    let text = match &model.shared.engine {
        Engine::Attached(label) if model.shared.gone.is_some() => {
            format!("Nobody watches: the engine ({label}) has stopped, and nobody is told of what breaks. :take-over watches from here.")
        }
        Engine::Attached(label) if model.shared.silent.is_some() => {
            format!("The engine ({label}) says nothing: it may hang, and nobody may be told of what breaks.")
        }
        Engine::Attached(label) => format!("The engine ({label}) goes on without this screen."),
        Engine::Own if stops.is_empty() => "Watching stops with this process. What is stored stays, and what happens meanwhile is found at the next start.".to_owned(),
        Engine::Own => {
            let demo = model.shared.is_demo();
            let messages = |n| text::count(n, "message");
            let rest = match model.shared.waiting_for() {
                (0, 0) => String::new(),
                (on, off) if demo => format!(" What waits ({}) goes with the demo, as all of it.", messages(on + off)),
                (on, 0) => format!(" What waits ({}) is kept, and sent at the next start.", messages(on)),
                (0, off) => format!(" {}, until their connector is on again.", waits_on(off)),
                (on, off) => format!(
                    " What waits ({}) is kept, and sent at the next start; {}, until their connector is on again.",
                    messages(on),
                    waits_on(off)
                ),
            };
            let next = if demo { "" } else { " To go on without a screen, start `barrelman forward`." };
            format!("Nobody will be told by: {}.{rest}{next}", stops.join(", "))
        }
    };
    vec![Effect::Show(Box::new(Confirm::new("Quit?", text, "y", "quit", vec![Effect::Quit(Exit::Quit)])))]
}

/// `1 message waits on`
fn waits_on(messages: u64) -> String {
    format!("{} {} on", text::count(messages, "message"), if messages == 1 { "waits" } else { "wait" })
}

fn take_over(model: &mut Model) -> Vec<Effect> {
    if model.shared.silent.is_some() && model.shared.engine != Engine::Own {
        let text = "the engine says nothing, but still holds the store: end its process first";
        model.shared.say(Level::Bad, text);
        return Vec::new();
    }
    if model.shared.gone.is_none() || model.shared.engine == Engine::Own {
        model.shared.say(Level::Bad, "there is nothing to take over: the engine is there");
        return Vec::new();
    }
    let text = starts(&model.shared);
    vec![Effect::Show(Box::new(Confirm::new(
        "Take over?",
        text,
        "y",
        "take over",
        vec![Effect::Quit(Exit::TakeOver)],
    )))]
}

/// What begins with a take-over. What an engine that only watched has gathered goes out with it.
fn starts(shared: &Shared) -> String {
    if shared.watch_only {
        return "This process starts to watch, in place of the engine that is gone. It delivers nothing either: \
                --watch-only."
            .to_owned();
    }
    let begins = "This process starts to watch and to deliver, in place of the engine that is gone";
    let waiting = text::count(shared.waiting(), "message");
    match (&shared.status, shared.waiting()) {
        (Some(status), 0) if status.watch_only => {
            format!("{begins}, which only watched: from now on people are told. Nothing waits.")
        }
        (Some(status), _) if status.watch_only => format!(
            "{begins}, which only watched: from now on people are told, and what waits ({waiting}) goes out, where its \
             connector is on."
        ),
        (_, 0) => format!("{begins}."),
        _ => format!("{begins}. What waits ({waiting}) goes out, where its connector is on."),
    }
}

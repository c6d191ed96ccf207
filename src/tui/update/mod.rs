//! Pure: a message changes the model and answers with effects. No I/O, no clock, no waiting.

mod global;
mod keys;
mod mouse;
mod prompt;

use jiff::Timestamp;

use super::{
    action::Action,
    effect::{About, Effect, Query},
    model::{Level, Model},
    msg::{Answer, Msg},
    options::Engine,
    overlays::viewer::Viewer,
    panes,
};
use crate::{
    event::filter::Filter,
    feed::{Feed, Reply},
    status::Status,
};

/// At the start: what the first screens need.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let mut effects = vec![Effect::Query(Query::Totals)];
    for pane in &mut model.panes {
        effects.extend(pane.reload(&mut model.shared));
    }
    effects
}

/// Takes one message.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Vec<Effect> {
    model.shared.now = now;
    let effects = match msg {
        Msg::Key(chord) => {
            model.shared.dirty = true;
            keys::key(model, chord)
        }
        Msg::Paste(text) => {
            model.shared.dirty = true;
            keys::paste(model, &text)
        }
        Msg::Wheel { down } => {
            model.shared.dirty = true;
            mouse::wheel(model, down)
        }
        Msg::Click { column, line } => {
            model.shared.dirty = true;
            mouse::click(model, column, line)
        }
        Msg::Resize(width, height) => {
            model.shared.size = (width, height);
            model.shared.dirty = true;
            Vec::new()
        }
        Msg::Feed(items) => feed(model, &items),
        Msg::EngineGone => {
            let known_to = model.shared.known_to();
            model.shared.gone.get_or_insert(known_to);
            model.shared.silent = None;
            model.shared.say(Level::Bad, "the engine has stopped: what is shown is what was stored");
            Vec::new()
        }
        Msg::Tick => tick(model),
        Msg::Answer(answer) => answered(model, answer),
        Msg::LeftOut(query) => {
            model.shared.say(Level::Bad, "the store answers slowly: this was left out; r reads again");
            failed(model, &query);
            Vec::new()
        }
        Msg::Replied { about, reply } => replied(model, about, reply),
        Msg::Copied(result) => {
            match result {
                Ok(text) => model.shared.say(Level::Good, text),
                Err(text) => model.shared.say(Level::Bad, text),
            }
            Vec::new()
        }
    };
    settle(model, effects)
}

/// Runs what stays inside: another screen, something over it.
fn settle(model: &mut Model, effects: Vec<Effect>) -> Vec<Effect> {
    let mut out = Vec::new();
    let mut todo: std::collections::VecDeque<Effect> = effects.into();
    while let Some(effect) = todo.pop_front() {
        match effect {
            Effect::Show(overlay) => {
                model.overlays.push(overlay);
                model.shared.dirty = true;
            }
            Effect::Go { screen, filter } => {
                let from = model.current;
                todo.extend(go(model, screen, filter.as_deref()));
                model.trail.push(from);
            }
            Effect::Act { .. } if model.shared.silent.is_some() => {
                // A queue that nobody empties would do it minutes later, when nobody expects it any more.
                let text = "nothing was asked of the engine: it says nothing, and may hang";
                model.shared.say(Level::Bad, text);
            }
            Effect::Act { action, about } => {
                if let About::Manifest { title, number } = &about {
                    model.overlays.push(Box::new(Viewer::waiting(title, *number)));
                }
                out.push(Effect::Act { action, about });
            }
            other => out.push(other),
        }
    }
    out
}

/// Tells the screen that is shown that another will be.
fn leave(model: &mut Model, next: usize) {
    if let Some(pane) = model.panes.get_mut(model.current).filter(|_| next != model.current) {
        pane.leave();
    }
}

/// Shows another screen; it reads again what it shows.
fn go(model: &mut Model, screen: &str, filter: Option<&str>) -> Vec<Effect> {
    let Some(index) = panes::index(screen) else { return Vec::new() };
    leave(model, index);
    model.current = index;
    model.trail.clear();
    model.shared.keys_page = 0;
    model.shared.dirty = true;
    let Some(pane) = model.panes.get_mut(index) else { return Vec::new() };
    match filter.map(|text| Filter::parse(text, &model.shared.tz)) {
        Some(Ok(filter)) => {
            // Somebody asks for something new: it begins with the newest, not where he once read.
            pane.enter();
            let mut effects = pane.act(Action::Top, &mut model.shared);
            effects.extend(pane.set_filter(filter, &mut model.shared));
            effects
        }
        Some(Err(error)) => {
            // The deliveries take words that events do not have.
            let text = format!("filter: {error}");
            model.shared.say(Level::Bad, text);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn feed(model: &mut Model, items: &[Feed]) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut events = 0;
    for item in items {
        // That an engine went, or that this screen was slow, the engine itself did not say.
        if !matches!(item, Feed::Engine { label: None } | Feed::Silent { .. } | Feed::Lagged { .. }) {
            model.shared.hear();
        }
        match item {
            // A repeat comes with the row that it was folded into.
            Feed::Event { seq, .. } => {
                events += 1;
                if *seq > model.shared.newest_seq {
                    model.shared.newest_seq = *seq;
                    model.shared.since_totals += 1;
                }
            }
            Feed::Engine { label } => effects.extend(engine(model, label.as_deref())),
            Feed::Silent { pid } => model.shared.hangs(*pid),
            Feed::Status { status } => {
                let old = model.shared.status.replace(std::sync::Arc::clone(status));
                let alike = old.is_some_and(|old| look(&old) == look(status));
                model.shared.dirty |= !alike;
                model.shared.counted = true;
            }
            Feed::Lagged { missed } => {
                model.shared.say(
                    Level::Bad,
                    format!("the screen fell {missed} changes behind and reads the store again"),
                );
                effects.extend(start(model));
            }
            _ => {}
        }
        for pane in &mut model.panes {
            effects.extend(pane.feed(item, &mut model.shared));
        }
    }
    if events > 0 {
        model.shared.rate.add(model.shared.now, events);
        model.shared.stale = true;
    }
    for pane in &mut model.panes {
        effects.extend(pane.tick(&mut model.shared));
    }
    if !model.chosen && model.left_at.is_none() && model.shared.open_incidents > 0 {
        // Nobody has touched a key yet: what breaks is what this screen is for.
        model.current = 0;
    }
    effects
}

/// The engine beside has gone, or is back.
fn engine(model: &mut Model, label: Option<&str>) -> Vec<Effect> {
    let shared = &mut model.shared;
    shared.dirty = true;
    match label {
        Some(label) => {
            shared.engine = Engine::Attached(label.to_owned());
            if shared.gone.take().is_some() {
                shared.say(Level::Good, format!("an engine runs again: {label}"));
            }
            // What was committed meanwhile nobody told.
            return start(model);
        }
        None if shared.gone.is_none() => {
            shared.gone = Some(shared.known_to());
            shared.silent = None;
            shared.say(Level::Bad, "the engine has stopped: what is shown is what was stored");
        }
        None => {}
    }
    Vec::new()
}

/// The part of a status that is worth drawing at once; counters wait for the next tick.
fn look(status: &Status) -> impl PartialEq + use<> {
    let clusters: Vec<_> = status
        .clusters
        .iter()
        .map(|c| {
            (c.name.clone(), c.state.clone(), c.streams.iter().map(|s| s.state.clone()).collect::<Vec<_>>())
        })
        .collect();
    let connectors: Vec<_> = status
        .connectors
        .iter()
        .map(|c| {
            let failed = (c.dead, c.failed, c.last_error.clone());
            (c.name.clone(), c.enabled, c.state.clone(), c.queued + c.in_flight, c.delivered, failed)
        })
        .collect();
    (clusters, connectors, status.warnings.clone(), status.store.error.clone(), status.store.full)
}

fn tick(model: &mut Model) -> Vec<Effect> {
    let shared = &mut model.shared;
    shared.listen();
    let toast_over = shared.expire_toast();
    let countdown = shared.moving.get();
    // Everything else on the screen is told in minutes: every ten seconds is often enough.
    let slow = shared.now.as_second() % 10 == 0;
    let stale = std::mem::take(&mut shared.stale) || shared.tenths() != shared.drawn_rate.get();
    shared.dirty |= toast_over || countdown || slow || stale;
    // A status comes every second, and most of it stands on a screen of its own.
    if std::mem::take(&mut shared.counted) {
        shared.dirty |= model.panes.get(model.current).is_some_and(|p| p.shows_status());
    }
    let shared = &mut model.shared;
    let mut effects = Vec::new();
    if slow && shared.since_totals > 0 {
        effects.push(Effect::Query(Query::Totals));
    }
    for pane in &mut model.panes {
        effects.extend(pane.tick(&mut model.shared));
    }
    if let Some(pane) = model.panes.get_mut(model.current) {
        effects.extend(pane.refresh(&mut model.shared));
    }
    effects
}

fn answered(model: &mut Model, mut answer: Answer) -> Vec<Effect> {
    match &mut answer {
        Answer::Failed { query, error } => {
            if model.shared.store_error.as_ref() != Some(error) {
                model.shared.store_error = Some(error.clone());
                model.shared.say(Level::Bad, error.clone());
            }
            failed(model, query);
            return Vec::new();
        }
        Answer::Totals(totals) => {
            model.shared.totals = std::mem::take(totals);
            model.shared.since_totals = 0;
            model.shared.stale = true;
        }
        _ => {}
    }
    model.shared.store_error = None;
    let first = matches!(answer, Answer::Incidents { .. }) && !model.shared.incidents_read && !model.chosen;
    for overlay in &mut model.overlays {
        overlay.answer(&mut answer, &mut model.shared);
    }
    // A pane takes what is its own out of the answer, so the one that asked is first where both could.
    let mut effects = Vec::new();
    for pane in &mut model.panes {
        effects.extend(pane.answer(&mut answer, &mut model.shared));
    }
    if first {
        open_on(model);
    }
    effects
}

/// Whoever asked knows that no answer comes.
fn failed(model: &mut Model, query: &Query) {
    for pane in &mut model.panes {
        pane.failed(query, &mut model.shared);
    }
}

/// Incidents if one is open, else where an earlier session was left, else the stream. Until somebody presses a key the
/// first incident that opens is shown, so a quiet start is no choice.
fn open_on(model: &mut Model) {
    let left = model.left_at.take().is_some();
    if model.shared.open_incidents > 0 {
        model.current = 0;
    } else if !left {
        model.current = 1;
    }
    model.shared.dirty = true;
}

fn replied(model: &mut Model, about: About, reply: Reply) -> Vec<Effect> {
    model.shared.dirty = true;
    let dead = matches!(about, About::Dead(_));
    let mut effects = Vec::new();
    match about {
        About::Toast(what) | About::Dead(what) => {
            if dead {
                effects.push(Effect::Query(Query::Dead));
            }
            let (level, text) = match reply {
                Reply::Done(text) => (Level::Good, text),
                Reply::Failed(text) => (Level::Bad, text),
            };
            let text = match text.strip_prefix(&what) {
                // The answer names it itself.
                Some(_) if !what.is_empty() => text,
                _ if text.is_empty() => what,
                _ => format!("{what}: {text}"),
            };
            model.shared.say(level, text);
        }
        About::Manifest { number, .. } => {
            let page = match reply {
                Reply::Done(text) => Ok(text),
                Reply::Failed(why) => Err(why),
            };
            for overlay in &mut model.overlays {
                overlay.page(number, &page);
            }
        }
    }
    effects
}

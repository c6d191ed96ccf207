//! What is said of a trouble while it goes on and when it is over.

use jiff::Timestamp;

use super::firing::Over;
use crate::{
    event::{
        Event, Fingerprint, ObjectRef, Status,
        over::{self, REMOVED},
    },
    store::{FiringRow, Words},
};

/// How long something lasted, for people: `48 s`, `5 min`, `2 h 10 min`, `3 d 4 h`; as messages have it.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    crate::connector::text::age(to.duration_since(from))
}

/// An event as its trouble is now.
pub(super) fn reworded(mut event: Event, words: Option<&Words>) -> Event {
    if let Some(words) = words {
        event.title.clone_from(&words.title);
        event.description.clone_from(&words.description);
        event.details.extend(words.details.clone());
        // What is not so any more.
        event.details.retain(|_, value| !value.is_null());
    }
    event
}

/// The end of a trouble: it goes by the title under which it was told, and says what it was like at last.
pub(super) fn ending_of(began: Event, row: &FiringRow, end: Over) -> Event {
    let (title, told) = (began.title.clone(), began.description.clone());
    let mut at_last = Event { title, ..reworded(began, row.words.as_ref()) };
    let moved = at_last.description != told;
    at_last.description = over::description(&at_last.description, moved);
    ending(at_last, &row.fingerprint, row.since, end)
}

/// What was told was over before: how long it took until its subject was well.
pub(super) fn outlasted(event: &mut Event, subject: &ObjectRef, lasted: &str) {
    let between = match event.description.as_str() {
        "" => "",
        text if text.ends_with('.') => " ",
        _ => ". ",
    };
    let (kind, name) = (&subject.kind, &subject.name);
    event.description = format!("{}{between}{kind} {name} was well again after {lasted}.", event.description);
}

/// Nothing was mended: its subject wants no Pod any more.
pub(super) fn scaled_to_none(event: &mut Event, subject: &ObjectRef) {
    let how = format!("{} {} was scaled to 0.", subject.kind, subject.name);
    event.description =
        if event.description.is_empty() { how } else { format!("{how} {}", event.description) };
}

/// The subject of an incident was removed, and the trouble that was told goes on without it: that is no end of it.
pub(super) fn outlived(event: &mut Event, trouble: &Event) {
    let how = format!("{} {} was removed", event.subject.kind, event.subject.name);
    event.title = format!("{how}; still so: {}", trouble.title);
    let object = trouble.object.resource();
    event.description = format!("{how}, and what stays so is told anew, as a trouble of {object}.");
    if !trouble.description.is_empty() {
        event.description = format!("{} Now: {}", event.description, trouble.description);
    }
    event.details.insert(REMOVED.into(), true.into());
}

/// Its end is that of its subject: that is no recovery.
pub(super) fn removed(event: &mut Event) {
    let how = format!("{} {} was removed.", event.subject.kind, event.subject.name);
    went(event, how);
}

/// The same where all of its namespace goes.
pub(super) fn removed_with_namespace(event: &mut Event) {
    let ObjectRef { kind, namespace, name, .. } = &event.subject;
    let how = format!("{kind} {name} was removed: all of namespace {namespace} is being deleted.");
    let plain = format!("{kind} {name} was removed.");
    if let Some(rest) = event.description.strip_prefix(&plain) {
        event.description = rest.trim_start().to_owned();
    }
    went(event, how);
}

fn went(event: &mut Event, how: String) {
    if event.description.is_empty() {
        event.description = how;
    } else if !event.description.starts_with(&how) {
        event.description = format!("{how} {}", event.description);
    }
    event.details.insert(REMOVED.into(), true.into());
}

/// The end of a trouble, made from the event that told it, whose description says already what was.
pub(super) fn ending(mut event: Event, fingerprint: &Fingerprint, began: Timestamp, end: Over) -> Event {
    let Over { at, now, gone } = end;
    event.id = crate::event::EventId::new(
        &event.cluster_uid,
        &event.object.uid,
        crate::event::Moment::At(at),
        (event.event_type.name(), Status::Resolved.as_str()),
        fingerprint.as_str(),
    );
    event.status = Status::Resolved;
    event.details.insert("began_at".into(), began.to_string().into());
    event.details.insert("duration_secs".into(), at.duration_since(began).as_secs().max(0).into());
    event.title = over::title(&event.title, &lasted(began, at));
    if gone && event.object == event.subject {
        removed(&mut event);
    }
    event.timestamp = at;
    event.observed_at = now;
    event.first_seen = at;
    event.last_seen = at;
    event.count = 1;
    event.recommendations.clear();
    event
}

//! One event in words: the detail beside the list, the page that `d` opens, the command that `c` copies.

use ratatui::style::Style;

use super::{
    incident_detail::{Line, chain},
    told,
};
use crate::{
    event::{Event, ObjectRef, TimeSource, incident::IncidentStatus},
    tui::{model::Shared, msg::EventDetail, text, widgets::window::Row as _},
};

fn plain(line: impl Into<String>) -> Line {
    vec![(line.into(), Style::new())]
}

/// The lines of the detail.
pub fn lines(event: &Event, detail: Option<&EventDetail>, shared: &Shared, width: usize) -> Vec<Line> {
    let theme = &shared.theme;
    let title = |word: &str| vec![(word.to_owned(), theme.title)];
    let wrapped = |text: &str, lines| text::wrap(text, width, lines).into_iter().map(plain);
    let mut out: Vec<Line> = wrapped(&event.title, 3).collect();
    if !event.description.is_empty() && event.description != event.title {
        out.extend(wrapped(&event.description, 12));
    }
    out.push(Vec::new());
    let mut facts = format!(
        "{} · {} · {} · happened {} · seen {}",
        event.event_type,
        event.severity,
        event.status.as_str(),
        shared.clock(event.timestamp),
        shared.clock(event.seen().unwrap_or(event.observed_at)),
    );
    if event.count > 1 {
        let (first, last) = (shared.clock(event.first_seen), shared.clock(event.last_seen));
        facts = format!("{facts} · ×{}, first {first}, last {last}", event.count);
    }
    for (yes, word) in
        [(event.late, " · found late, after a gap"), (event.standing, " · standing: so at the first look")]
    {
        if yes {
            facts.push_str(word);
        }
    }
    if let Some(rule) = &event.ignored {
        facts = format!("{facts} · ignored by {rule}");
    }
    out.extend(text::wrap(&facts, width, 4).into_iter().map(|l| vec![(l, theme.dim)]));
    let owners = detail.map_or(&[][..], |d| d.owners.as_slice());
    if owners.len() > 1 {
        out.push(Vec::new());
        out.extend(chain(owners, theme));
    } else if event.subject.key() != event.object.key() {
        out.push(Vec::new());
        let (subject, object) = (text::object(&event.subject), text::object(&event.object));
        let words = if text::is_owned(&event.object.kind) {
            format!("owner {subject} ▸ {object}")
        } else {
            format!("counts to {subject}")
        };
        out.extend(wrapped(&words, 2));
    }
    if let Some(incident) = detail.and_then(|d| d.incident.as_ref()) {
        let state = if incident.status == IncidentStatus::Open { "open" } else { "ended" };
        out.push(Vec::new());
        out.extend(wrapped(&format!("Incident ({state}, {}): {}", incident.severity, incident.title), 2));
    }
    if let Some(marks) = detail.map(|d| &d.told).filter(|t| !t.is_empty()) {
        out.push(title("Delivered to"));
        for pieces in told::told(marks, shared) {
            let whole: String = pieces.iter().map(|(t, _)| t.as_str()).collect();
            if text::width(&whole) <= width {
                out.push(pieces);
            } else {
                out.extend(wrapped(&whole, 3));
            }
        }
    }
    related(&mut out, event, shared, width);
    out
}

/// Details, related objects, what to do, labels.
fn related(out: &mut Vec<Line>, event: &Event, shared: &Shared, width: usize) {
    let theme = &shared.theme;
    let title = |word: &str| vec![(word.to_owned(), theme.title)];
    if !event.details.is_empty() {
        out.push(Vec::new());
        out.push(title("Details"));
        for (key, value) in &event.details {
            let line = format!("{key}  {}", value_text(value));
            out.extend(text::wrap(&line, width, 4).into_iter().map(plain));
        }
    }
    if !event.links.is_empty() {
        out.push(title("Related"));
        for link in &event.links {
            out.push(vec![
                (text::fit(&link.rel, 10), theme.key),
                (link.href.clone().unwrap_or_else(|| link.reference.clone()), Style::new()),
            ]);
        }
    }
    if !event.recommendations.is_empty() {
        out.push(title("Look"));
        for r in &event.recommendations {
            // A command is of use only whole.
            out.extend(text::wrap(&r.action, width, 2).into_iter().map(|l| vec![(l, theme.dim)]));
            let command = shared.command(&event.cluster, &r.command);
            let command = text::wrap(&command, width.saturating_sub(2).max(1), 6);
            out.extend(command.into_iter().map(|l| plain(format!("  {l}"))));
        }
    }
    if !event.labels.is_empty() {
        out.push(title("Labels"));
        let labels: Vec<String> = event.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        out.extend(text::wrap(&labels.join("  "), width, 4).into_iter().map(plain));
    }
}

fn value_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every field of an event, as lines.
pub fn fields(event: &Event, shared: &Shared) -> Vec<String> {
    let reference = |o: &ObjectRef| {
        let ns = if o.namespace.is_empty() { String::new() } else { format!("{}/", o.namespace) };
        format!("{} {ns}{}  uid {}", o.kind, o.name, if o.uid.is_empty() { "unknown" } else { &o.uid })
    };
    let source = match event.time_source {
        TimeSource::Cluster => "said by the cluster",
        TimeSource::ManagedFields => "from managedFields",
        TimeSource::Observed => "when we saw it",
    };
    let seen_last = event.seen().filter(|at| *at > event.observed_at);
    let seen_last = seen_last.map_or_else(String::new, |at| format!(", last {}", text::full(at, &shared.tz)));
    let mut out = vec![
        format!("type         {}  ({})", event.event_type, event.event_type.def().means),
        format!("severity     {}", event.severity),
        format!("status       {}", event.status.as_str()),
        format!("title        {}", event.title),
        format!("description  {}", event.description),
        format!("when         {}  ({source})", text::full(event.timestamp, &shared.tz)),
        format!("seen         {}{seen_last}", text::full(event.observed_at, &shared.tz)),
        // When it happened, as the command line says it.
        format!(
            "first, last  {}  {}  ×{}",
            text::full(event.first_seen, &shared.tz),
            text::full(event.last_seen, &shared.tz),
            event.count
        ),
        format!("cluster      {}  uid {}", event.cluster, event.cluster_uid),
        format!("object       {}", reference(&event.object)),
        format!("subject      {}", reference(&event.subject)),
        format!("id           {}", event.id),
        format!("fingerprint  {}", event.fingerprint),
    ];
    if let Some(incident) = &event.incident {
        out.push(format!("incident     {incident}"));
    }
    let section = |out: &mut Vec<String>, name: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.push(String::new());
            out.push(name.to_owned());
            out.extend(lines.into_iter().map(|l| format!("  {l}")));
        }
    };
    section(
        &mut out,
        "details",
        event.details.iter().map(|(k, v)| format!("{k}: {}", value_text(v))).collect(),
    );
    section(
        &mut out,
        "look",
        event
            .recommendations
            .iter()
            .map(|r| format!("{}: {}", r.action, shared.command(&event.cluster, &r.command)))
            .collect(),
    );
    section(
        &mut out,
        "links",
        event
            .links
            .iter()
            .map(|l| format!("{}: {} {}", l.rel, l.reference, l.href.as_deref().unwrap_or("")))
            .collect(),
    );
    section(
        &mut out,
        "owners",
        event.owner_references.iter().map(|o| format!("{} {} {}", o.api_version, o.kind, o.name)).collect(),
    );
    section(&mut out, "labels", event.labels.iter().map(|(k, v)| format!("{k}={v}")).collect());
    section(&mut out, "annotations", event.annotations.iter().map(|(k, v)| format!("{k}={v}")).collect());
    out
}

/// The page that `d` opens.
pub fn page(event: &Event, detail: Option<&EventDetail>, shared: &Shared) -> Vec<String> {
    let mut out = fields(event, shared);
    let Some(detail) = detail.filter(|d| d.event.id == event.id) else { return out };
    if !detail.owners.is_empty() {
        out.push(String::new());
        out.extend(
            chain(&detail.owners, &shared.theme).into_iter().map(|l| l.into_iter().map(|(t, _)| t).collect()),
        );
    }
    if !detail.told.is_empty() {
        out.push(String::new());
        out.push("delivered to".to_owned());
        out.extend(detail.told.iter().map(|t| {
            let at = text::full(t.at, &shared.tz);
            format!("  {} {} {} {at} {}", told::sign(t.state), t.connector, t.phase.as_str(), t.detail)
        }));
    }
    out
}

/// The filter that shows what owns an event's object.
pub fn owner_filter(event: &Event) -> Option<String> {
    let owner = if event.subject.key() == event.object.key() {
        let o = event.owner_references.iter().find(|o| o.controller).or(event.owner_references.first())?;
        (o.kind.clone(), o.name.clone())
    } else {
        (event.subject.kind.clone(), event.subject.name.clone())
    };
    let quoted = crate::event::filter::quote(&format!("{}/{}", owner.0, owner.1));
    let ns = if event.object.namespace.is_empty() { "-".to_owned() } else { event.object.namespace.clone() };
    Some(format!("subject:{quoted} ns:{ns}"))
}

/// A command that looks at an event's object: the event's own first one, else describe.
pub fn command(event: &Event) -> String {
    if let Some(first) = event.recommendations.first() {
        return first.command.clone();
    }
    describe(&event.object)
}

/// `kubectl describe` for an object.
pub fn describe(object: &ObjectRef) -> String {
    let ns =
        if object.namespace.is_empty() { String::new() } else { format!("-n {} ", shell(&object.namespace)) };
    format!("kubectl {ns}describe {} {}", shell(&object.kind.to_lowercase()), shell(&object.name))
}

/// A word for a shell: an involved object's name is whatever somebody wrote, and this ends in a clipboard.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | ':');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_is_one_command() {
        let mut object = ObjectRef {
            kind: "Pod".into(),
            namespace: "a".into(),
            name: "web-1".into(),
            ..ObjectRef::default()
        };
        assert_eq!(describe(&object), "kubectl -n a describe pod web-1");
        object.name = "x; rm 'y'".into();
        assert_eq!(describe(&object), r"kubectl -n a describe pod 'x; rm '\''y'\'''");
    }
}

//! Where an incident is, and what to look at next: commands, or this screen where it knows more than they do.

use crate::{
    event::incident::{CLUSTER, CONNECTOR, Incident},
    tui::{action::Action, model::Shared, msg::IncidentDetail},
};

/// What to look at.
pub struct Look {
    /// Why, and how.
    pub words: String,
    /// The same where there is one line for it.
    pub short: String,
    /// It can be copied and run.
    command: bool,
}

impl Look {
    fn here(words: String) -> Self {
        Self { short: words.clone(), words, command: false }
    }
}

/// The first of them first.
pub fn looks(incident: &Incident, detail: &IncidentDetail, shared: &Shared) -> Vec<Look> {
    let key = |action| shared.keymap.shown(action);
    let mut looks = Vec::new();
    if incident.subject.kind == CONNECTOR {
        looks.push(Look::here(format!(
            "{} then {}: what it could not deliver · {}: how it is now",
            key(Action::Screen7),
            key(Action::NextPart),
            key(Action::Screen6)
        )));
        // A command of ours would read the store of the configuration, and a demo has one of its own.
        if shared.is_demo() {
            return looks;
        }
    }
    looks.extend(detail.look.iter().map(|look| {
        let command = shared.command(&incident.cluster, &look.command);
        Look { words: format!("{}: {command}", look.action), short: command, command: true }
    }));
    if looks.is_empty() {
        // What Kubernetes said of it went with its namespace.
        let open = key(Action::Open);
        looks.push(Look::here(format!(
            "{open} shows its events as they are kept here: its namespace is gone"
        )));
    }
    looks
}

/// What can be copied: the first command that looks, else the id.
pub fn copied(incident: &Incident, detail: Option<&IncidentDetail>, shared: &Shared) -> String {
    let looks = detail.map_or_else(Vec::new, |d| looks(incident, d, shared));
    let command = looks.into_iter().find(|look| look.command);
    command.map_or_else(|| incident.id.to_string(), |look| look.short)
}

/// `prod-eu · payments`
pub fn place(incident: &Incident) -> String {
    let cluster = &incident.cluster;
    match (incident.subject.kind.as_str(), incident.subject.namespace.as_str()) {
        (CONNECTOR, _) => "Barrelman itself".to_owned(),
        (CLUSTER, _) => format!("{cluster} · all of it"),
        (_, "") => format!("{cluster} · cluster-scoped"),
        (_, namespace) => format!("{cluster} · {namespace}"),
    }
}

//! What changed between two Pod templates, in words. Not a rule; those about rollouts ask.

use crate::object::{Template, TemplateContainer};

/// One image that changed. An empty side: the container is new, or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChange {
    /// The container.
    pub container: String,
    /// The old image.
    pub from: String,
    /// The new one.
    pub to: String,
}

/// Images that changed, by container.
pub fn images(before: &Template, after: &Template) -> Vec<ImageChange> {
    let find = |all: &[TemplateContainer], c: &TemplateContainer| {
        all.iter().find(|o| o.name == c.name && o.init == c.init).map(|o| o.image.to_string())
    };
    let mut found = Vec::new();
    for c in &after.containers {
        let from = find(&before.containers, c).unwrap_or_default();
        if from != *c.image {
            found.push(ImageChange { container: c.name.to_string(), from, to: c.image.to_string() });
        }
    }
    for c in before.containers.iter().filter(|c| find(&after.containers, c).is_none()) {
        let from = c.image.to_string();
        found.push(ImageChange { container: c.name.to_string(), from, to: String::new() });
    }
    found
}

/// Everything that changed: `image of app`, `env LOG_LEVEL of app`, `volumes`, …
pub fn parts(before: &Template, after: &Template) -> Vec<String> {
    let mut found: Vec<String> =
        images(before, after).into_iter().map(|i| format!("image of {}", i.container)).collect();
    for is in &after.containers {
        if let Some(was) = before.containers.iter().find(|c| c.name == is.name && c.init == is.init) {
            found.extend(container(was, is).into_iter().map(|part| format!("{part} of {}", is.name)));
        }
    }
    let whole = [
        (before.labels != after.labels, "labels"),
        (before.annotations != after.annotations, "annotations"),
        (before.volumes != after.volumes, "volumes"),
        (before.rest != after.rest, "other fields"),
    ];
    found.extend(whole.into_iter().filter(|(changed, _)| *changed).map(|(_, part)| part.to_owned()));
    found
}

fn container(was: &TemplateContainer, is: &TemplateContainer) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in &is.env {
        if was.env.iter().find(|(n, _)| n == name).is_none_or(|(_, v)| v != value) {
            found.push(format!("env {name}"));
        }
    }
    let gone = was.env.iter().filter(|(name, _)| is.env.iter().all(|(n, _)| n != name));
    found.extend(gone.map(|(name, _)| format!("env {name}")));
    let parts = [
        (was.env_from != is.env_from, "envFrom"),
        (was.command != is.command, "command"),
        (was.resources != is.resources, "resources"),
        (was.probes != is.probes, "probes"),
        (was.rest != is.rest, "other fields"),
    ];
    found.extend(parts.into_iter().filter(|(changed, _)| *changed).map(|(_, part)| part.to_owned()));
    found
}

/// `nginx:1.41 → 1.42`: the repeated part of the name once.
pub fn arrow(from: &str, to: &str) -> String {
    let tag = |image: &str| {
        // A port is before the last slash, a tag behind it.
        let name_at = image.rfind('/').map_or(0, |i| i + 1);
        let at = image.get(name_at..)?.find([':', '@'])? + name_at;
        Some((image.get(..at)?.to_owned(), image.get(at + 1..)?.to_owned()))
    };
    match (tag(from), tag(to)) {
        (Some((a, was)), Some((b, is))) if a == b => {
            let short = a.rsplit('/').next().unwrap_or(&a).to_owned();
            format!("{short} {was} → {is}")
        }
        _ if from.is_empty() => format!("{to} (new)"),
        _ if to.is_empty() => format!("{from} (gone)"),
        _ => format!("{from} → {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_keeps_its_name_shows_its_tags_alone() {
        assert_eq!(arrow("nginx:1.41", "nginx:1.42"), "nginx 1.41 → 1.42");
        assert_eq!(arrow("r.example:5000/a/web:1", "r.example:5000/a/web:2"), "web 1 → 2");
        assert_eq!(arrow("nginx:1", "httpd:2"), "nginx:1 → httpd:2");
        assert_eq!(
            arrow("r.example:5000/web", "r.example:5000/web:2"),
            "r.example:5000/web → r.example:5000/web:2"
        );
        assert_eq!(arrow("", "sidecar:1"), "sidecar:1 (new)");
    }
}

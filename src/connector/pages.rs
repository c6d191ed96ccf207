//! Links to a runbook and a dashboard, from the URL templates of the configuration. The pipeline puts them into what it
//! stores and sends, so that every connector and the screen show the same; nothing here sends.

use serde_json::{Value, json};

use super::{
    Notification, Problem, samples,
    template::{Escape, Template},
};
use crate::{
    config::IncidentSettings,
    event::{Event, EventType, Link, NotificationId, incident::Phase},
};

/// The longest URL that every browser and Slack take.
const MAX_URL: usize = 2_000;

/// The templates that are set: rel and template.
#[derive(Debug, Default)]
pub struct Pages(Vec<(&'static str, Template)>);

impl Pages {
    /// From the configuration; each template is rendered against a sample of every type, within an incident and
    /// without one.
    ///
    /// # Errors
    /// Every template that does not parse, or that fails for some type.
    pub fn new(settings: &IncidentSettings) -> Result<Self, Vec<Problem>> {
        let (mut pages, mut problems) = (Vec::new(), Vec::new());
        let sources = [
            ("runbook", "incidents.runbook_url", &settings.runbook_url),
            ("dashboard", "incidents.dashboard_url", &settings.dashboard_url),
        ];
        for (rel, option, source) in sources {
            let Some(source) = source else { continue };
            match Template::parse(source, Escape::Url).and_then(|t| tried(&t).map(|()| t)) {
                Ok(template) => pages.push((rel, template)),
                Err(why) => problems.push(Problem::invalid(option, why)),
            }
        }
        if problems.is_empty() { Ok(Self(pages)) } else { Err(problems) }
    }

    /// Neither is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the links into an event that is about to be stored; `incident` is null to its templates.
    pub fn mark(&self, event: &mut Event) {
        if !self.is_empty() {
            let links = self.links(&alone(event));
            put(&mut event.links, links);
        }
    }

    /// Puts the links into a message that is about to be stored, with all that its payload has.
    pub fn fill(&self, notification: &mut Notification) {
        if self.is_empty() {
            return;
        }
        let links = self.links(notification);
        if let Some(post) = &mut notification.post {
            fill_post(post, &links);
        }
        put(&mut notification.event.links, links);
    }

    fn links(&self, notification: &Notification) -> Vec<Link> {
        let link = |(rel, template): &(&'static str, Template)| match url(template, notification) {
            Ok(url) => Some(Link { rel: (*rel).to_owned(), reference: url.clone(), href: Some(url) }),
            Err(why) => {
                tracing::warn!(
                    rel,
                    event_type = notification.event.event_type.name(),
                    why,
                    "a link was left out"
                );
                None
            }
        };
        self.0.iter().filter_map(link).collect()
    }
}

fn url(template: &Template, notification: &Notification) -> Result<String, String> {
    let url = template.render(notification)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(|r| r.is_empty() || r.starts_with('/')) {
        return Err("what comes out is no URL that begins with https:// or http://".into());
    }
    if url.len() > MAX_URL || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("what comes out is no URL of at most {MAX_URL} bytes without spaces"));
    }
    Ok(url)
}

fn tried(template: &Template) -> Result<(), String> {
    for def in EventType::all() {
        for phase in [Phase::Opened, Phase::Resolved, Phase::Event] {
            let sample = samples::notification(def.event_type, phase, "sample");
            url(template, &sample).map_err(|why| {
                let has = if sample.incident.is_some() { "within an incident" } else { "outside incidents" };
                format!(
                    "fails for {} {has}: {why}. Use {{{{ x | default('') }}}} or {{% if incident %}} for what not all have",
                    def.name
                )
            })?;
        }
    }
    Ok(())
}

/// The event as a message of its own: what templates see of it.
fn alone(event: &Event) -> Notification {
    Notification {
        id: NotificationId::new("", event.id.as_str(), Phase::Event.as_str(), 0),
        connector: String::new(),
        phase: Phase::Event,
        event: event.clone(),
        incident: None,
        digest: Vec::new(),
        post: None,
        created_at: event.observed_at,
    }
}

/// In place of earlier ones of the same rel.
fn put(links: &mut Vec<Link>, pages: Vec<Link>) {
    links.retain(|l| !pages.iter().any(|p| p.rel == l.rel));
    links.extend(pages);
}

fn fill_post(post: &mut Value, pages: &[Link]) {
    let links = post.get_mut("data").and_then(|d| d.get_mut("links")).and_then(Value::as_array_mut);
    let Some(links) = links else { return };
    links.retain(|l| !pages.iter().any(|p| l["rel"] == p.rel.as_str()));
    links.extend(pages.iter().map(|p| json!(p)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::text::Message;

    fn settings(runbook: &str, dashboard: &str) -> IncidentSettings {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        IncidentSettings {
            runbook_url: some(runbook),
            dashboard_url: some(dashboard),
            ..crate::config::resolve(&crate::config::Sources::default()).unwrap().settings.incidents
        }
    }

    #[test]
    fn links_carry_the_values_of_the_payload_and_nothing_breaks_out_of_them() {
        let settings = settings(
            "https://wiki.example.com/{{event_type}}",
            "https://graphs.example.com/d/w?ns={{namespace}}&w={% if incident %}{{incident.subject.name}}{% endif %}",
        );
        let pages = Pages::new(&settings).unwrap();
        let mut notification = samples::notification(EventType::PodCrashLoop, Phase::Opened, "c");
        notification.event.object.namespace = "a&b=c/../<x>".into();
        pages.mark(&mut notification.event);
        pages.fill(&mut notification);
        let links: Vec<(String, String)> = Message::of(&notification).links;
        assert_eq!(links[0], ("Runbook".into(), "https://wiki.example.com/pod_crash_loop".into()));
        assert_eq!(
            links[1].1, "https://graphs.example.com/d/w?ns=a%26b%3Dc%2F..%2F%3Cx%3E&w=my-app",
            "the message's own link, with the incident"
        );
        assert_eq!(links.len(), 2, "filled twice, there once");
    }

    #[test]
    fn a_post_gets_them_too() {
        let pages = Pages::new(&settings("https://wiki.example.com/{{event_type}}", "")).unwrap();
        let mut notification = samples::notification(EventType::PodCreated, Phase::Event, "c");
        notification.post = Some(json!({"data": {"links": [{"rel": "runbook"}, {"rel": "manifest"}]}}));
        pages.fill(&mut notification);
        let post = notification.post.unwrap();
        assert_eq!(post["data"]["links"].as_array().unwrap().len(), 2);
        assert_eq!(post["data"]["links"][1]["ref"], "https://wiki.example.com/pod_created");
    }

    #[test]
    fn mistakes_are_named_with_their_option() {
        let said = |runbook: &str, dashboard: &str| {
            let problems = Pages::new(&settings(runbook, dashboard)).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert!(said("https://x/{{ event_typ }}", "").contains("incidents.runbook_url: fails for"));
        let both = said("https://x/{{", "https://x/{{incident.id}}");
        assert!(both.contains("incidents.runbook_url") && both.contains("incidents.dashboard_url"), "{both}");
        assert!(both.contains("outside incidents"), "{both}");
        assert!(said("{{title}}://x", "").contains("no URL"));
    }
}

//! The keys of the language, a line each: parser, messages, completion and help all read this table.

use crate::event::nearest;

/// A key of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Key {
    Type,
    Severity,
    Status,
    Namespace,
    Object,
    Kind,
    Subject,
    Owner,
    Label,
    Reason,
    Cluster,
    Node,
    Container,
    Manager,
    Source,
    Count,
    Incident,
    Id,
    Late,
    Standing,
    Ignored,
    Since,
    Until,
}

/// One key, for help and completion.
#[derive(Debug)]
pub struct KeyDef {
    /// The key.
    pub key: Key,
    /// What is written before the colon, the usual word first.
    pub names: &'static [&'static str],
    /// A sample that parses.
    pub example: &'static str,
    /// What it looks at.
    pub means: &'static str,
}

macro_rules! keys {
    ($($key:ident [$($name:literal),+] $example:literal $means:literal;)*) => {
        /// Every key, in the order of the help.
        pub const KEYS: &[KeyDef] = &[$(KeyDef { key: Key::$key, names: &[$($name),+], example: $example, means: $means },)*];
    };
}

keys! {
    Type ["type", "event"] "type:pod_*" "event types, families, aliases, `all`; globs over types";
    Severity ["severity", "sev"] "severity>=high" "critical, high, medium, low, info; also < <= > >=";
    Status ["status"] "status:firing" "firing, resolved or info";
    Namespace ["ns", "namespace"] "ns:payments|team-*" "namespace; `-` is cluster-scoped";
    Object ["obj", "object", "name"] "obj:web-*" "the object's name, or Kind/name";
    Kind ["kind"] "kind:Pod" "the object's kind; kubectl's short words too";
    Subject ["subject"] "subject:Deployment/web" "what is broken: the top owning workload";
    Owner ["owner"] "owner:web" "any owner, the subject included";
    Label ["label"] "label:app=api" "a label of the object; without = it need only exist";
    Reason ["reason"] "reason:BackOff|OOM*" "Kubernetes' own word for it";
    Cluster ["cluster"] "cluster:prod" "the cluster's configured name";
    Node ["node"] "node:worker-1" "the node it happened on, or to";
    Container ["container"] "container:app" "the container's name";
    Manager ["manager", "by"] "manager:argocd*" "the field manager that changed it";
    Source ["source"] "source:kubelet" "the component that reported it; of a delivery, its connector";
    Count ["count"] "count>=3" "how often it happened";
    Incident ["incident"] "incident:true" "true, false, or an incident's id or its beginning";
    Id ["id"] "id:4bf9*" "the event's id";
    Late ["late"] "late:true" "found after a gap in watching";
    Standing ["standing"] "standing:true" "it was so at the first look";
    Ignored ["ignored"] "ignored:true" "told to nobody, by a rule or an annotation";
    Since ["since"] "since:1h" "1h30m, 2d, 09:30, today, 2026-11-22, 2026-11-22T09:30";
    Until ["until"] "until:09:30" "the same; a date counts to its end";
}

/// Words that are written otherwise here, and what to write.
const OTHER_WORDS: &[(&str, &str)] = &[("connector", "source (of a delivery it is the connector)")];

impl Key {
    pub(super) fn parse(name: &str) -> Option<Key> {
        KEYS.iter().find(|d| d.names.iter().any(|n| n.eq_ignore_ascii_case(name))).map(|d| d.key)
    }

    /// The usual word for it.
    pub fn name(self) -> &'static str {
        // The table has every key once, in the order of the enum; a test walks it.
        KEYS.get(self as usize).map_or("", |d| d.names[0])
    }

    /// What somebody meant who wrote a key that there is not: its word here, else the one that is written most alike.
    pub(super) fn meant(name: &str) -> Option<&'static str> {
        let other = OTHER_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
        other.map(|(_, meant)| *meant).or_else(|| Self::nearest(name))
    }

    fn nearest(name: &str) -> Option<&'static str> {
        nearest(name, KEYS.iter().flat_map(|d| d.names.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_key() {
        for (i, def) in KEYS.iter().enumerate() {
            assert_eq!(def.key as usize, i);
            assert_eq!(Key::parse(def.key.name()), Some(def.key));
        }
    }
}

//! Ids: what each is made of stands in one place, because receivers rely on them across versions.
//!
//! Every id is the first 16 bytes of a BLAKE3 hash over its parts, each part followed by a 0 byte, as 32
//! lower-case hex digits. An event's id begins with its time, and has 8 digits less of the hash. Changing a recipe
//! breaks de-duplication at every receiver; a test freezes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The recipe under every id: 32 hex digits over the parts, order and boundaries included.
pub fn digest(domain: &str, parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(&domain).chain(parts) {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let mut hex = hasher.finalize().to_hex();
    hex.truncate(32);
    hex.to_string()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The hex digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id! {
    /// One event: the payload's `id`.
    EventId
}
id! {
    /// One incident: the payload's `incident.id`, and the dedup key of services that have one.
    IncidentId
}
id! {
    /// One message to one connector, the same on every attempt.
    NotificationId
}
id! {
    /// What makes two events "the same again": cluster, type, object uid, container or condition.
    Fingerprint
}
id! {
    /// The uid of the namespace kube-system, or a hash of server URL and CA where that may not be read.
    ClusterUid
}

/// What made an event unique, beside cluster, object and type.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// An object's change.
    Version {
        /// Its resourceVersion, or a Kubernetes Event's count.
        of: &'a str,
        /// A time that is the same whenever and by whomever the change is seen.
        at: Timestamp,
    },
    /// Time or our own state made it: the transition's cluster time.
    At(Timestamp),
}

impl EventId {
    /// hash(cluster uid, object uid, moment, type, status, container or condition), after the moment's time: seconds
    /// since 1970 as 8 digits. Ids that come together stand together in an index, which is then written in a few pages
    /// and not in a page for each.
    pub fn new(
        cluster: &ClusterUid,
        object_uid: &str,
        moment: Moment<'_>,
        type_and_status: (&str, &str),
        discriminator: &str,
    ) -> Self {
        let time;
        let (moment, at) = match moment {
            Moment::Version { of, at } => (of, at),
            Moment::At(at) => {
                time = format!("@{}", at.as_millisecond());
                (time.as_str(), at)
            }
        };
        let (event_type, status) = type_and_status;
        let hash =
            digest("event", &[cluster.as_str(), object_uid, moment, event_type, status, discriminator]);
        let secs = u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX);
        let mut id = format!("{secs:08x}{hash}");
        id.truncate(32);
        Self(id)
    }
}

impl Fingerprint {
    /// hash(cluster uid, type, object uid, container or condition).
    pub fn new(cluster: &ClusterUid, event_type: &str, object_uid: &str, discriminator: &str) -> Self {
        Self(digest("fingerprint", &[cluster.as_str(), event_type, object_uid, discriminator]))
    }
}

impl IncidentId {
    /// hash(cluster uid, subject key, opened at in ms).
    pub fn new(cluster: &ClusterUid, subject: &str, opened_at: Timestamp) -> Self {
        Self(digest("incident", &[cluster.as_str(), subject, &opened_at.as_millisecond().to_string()]))
    }
}

impl NotificationId {
    /// hash(connector, incident or event id, phase, number of earlier messages of that phase).
    pub fn new(connector: &str, about: &str, phase: &str, n: u32) -> Self {
        Self(digest("notification", &[connector, about, phase, &n.to_string()]))
    }

    /// hash(connector, the ids of the rows that the digest answers, in order).
    pub fn digest_of<'a>(connector: &str, rows: impl Iterator<Item = &'a NotificationId>) -> Self {
        let mut parts = vec![connector];
        parts.extend(rows.map(|r| r.0.as_str()));
        Self(digest("digest", &parts))
    }
}

impl ClusterUid {
    /// Where the namespace kube-system may not be read: a hash of server URL and CA.
    pub fn from_server(url: &str, ca: &[u8]) -> Self {
        Self(digest("cluster", &[url, blake3::hash(ca).to_hex().as_str()]))
    }

    /// Of a cluster that was never reached: who it is, it has not said. A hash of the context and the name that lead to
    /// it.
    pub fn unreached(context: &str, name: &str) -> Self {
        Self(digest("unreached", &[context, name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receivers keep these ids: a change of a recipe is a break for every user.
    #[test]
    fn the_recipes_are_frozen() {
        let cluster = ClusterUid("uid-1".into());
        let at = Timestamp::from_millisecond(1_736_935_200_123).unwrap();
        let id =
            EventId::new(&cluster, "u", Moment::Version { of: "42", at }, ("pod_restarted", "info"), "c");
        assert_eq!(id.as_str(), "67878720ba1f8dcefbc3b2012751aa1d");
        let id = EventId::new(&cluster, "u", Moment::At(at), ("pod_restarted", "info"), "c");
        assert_eq!(id.as_str(), "6787872059965b4f459e3f51f08c779c");
        assert_eq!(
            Fingerprint::new(&cluster, "pod_crash_loop", "u", "c").as_str(),
            "2c4238b428d86a75b8387bf70dfc7339"
        );
        let incident = IncidentId::new(&cluster, "Deployment/default/web", at);
        assert_eq!(incident.as_str(), "b6bc191e8b63f5620fa0ca23273c1875");
        let note = NotificationId::new("slack", incident.as_str(), "opened", 0);
        assert_eq!(note.as_str(), "06e801b9012d12e50a34570654d9fa9b");
        assert_eq!(
            NotificationId::digest_of("slack", [&note].into_iter()).as_str(),
            "35979cfade5e90cc7966d904edcef3e5"
        );
        assert_eq!(
            ClusterUid::from_server("https://127.0.0.1:6443", b"ca").as_str(),
            "928773207737ef8f1496fd0ba9c54fb5"
        );
    }

    #[test]
    fn the_boundaries_of_the_parts_count() {
        assert_ne!(digest("d", &["ab", "c"]), digest("d", &["a", "bc"]));
    }
}

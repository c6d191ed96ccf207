//! What breaks anew before its incident has ended: it is the same incident, and nobody is told again; but when that was,
//! and what changed just before, is not what it was opened with.

use std::time::Duration;

use jiff::Timestamp;

use super::{engine::Engine, judge::later, suspects::MOST};
use crate::{
    event::incident::{Incident, IncidentStatus, Member, Suspect},
    store::{MEMBERS, Read, Result, Tx, keys},
};

/// Well for so long it broke anew, even if nothing changed.
const WELL: Duration = Duration::from_mins(1);
/// Well for less it did not, whatever changed meanwhile: a container of a crash loop runs between two crashes.
const BREATH: Duration = Duration::from_secs(10);

impl Engine {
    /// A trouble of an open incident is there (again) from `at` on. Call it while what the engine remembers is of before.
    /// Whether the incident was changed.
    pub(super) fn refire(&self, tx: &Tx<'_>, incident: &mut Incident, at: Timestamp) -> Result<bool> {
        if incident.status != IncidentStatus::Open || !incident.held {
            return Ok(false);
        }
        let Some(since) = self.well_before(tx, incident)? else { return Ok(false) };
        if at < later(since, BREATH) {
            return Ok(false);
        }
        let of_before = |s: &Suspect| incident.suspects.iter().any(|known| known.event == s.event);
        let mut suspects = self.suspects(&incident.cluster_uid, &incident.subject, at);
        // What only happened nearby would come anew with every crash of a loop.
        suspects.retain(|s| s.link != "namespace" && s.at > incident.since() && !of_before(s));
        if suspects.is_empty() && at < later(since, WELL) {
            return Ok(false);
        }
        incident.refired_at = Some(at);
        // The likeliest of its beginning stays: what was changed since may have been meant to mend it.
        suspects.truncate(MOST - 1);
        suspects.append(&mut incident.suspects);
        suspects.truncate(MOST);
        incident.suspects = suspects;
        Ok(true)
    }

    /// Since when none of an incident's troubles is there, if none is.
    fn well_before(&self, tx: &Tx<'_>, incident: &Incident) -> Result<Option<Timestamp>> {
        let mut since = None;
        let uid = &incident.cluster_uid;
        for row in self.firing_in(uid).filter(|f| f.incident.as_ref() == Some(&incident.id)) {
            // What it takes down with it says nothing of it.
            let own = || self.subject_of(uid, &row.key) == Some(incident.subject.key());
            match row.healthy_since {
                None if own() => return Ok(None),
                healthy => since = since.max(healthy),
            }
        }
        tx.scan(&MEMBERS, &keys::prefix(&[incident.id.as_str()]), "", &mut |_, member: Member| {
            since = since.max(member.ended_at.filter(|_| member.holds && !member.affected));
            true
        })?;
        Ok(since)
    }
}

//! Which incidents are shown, and in which order; what is kept of them, and what the cursor is on. Used by `incidents`.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    incident_news,
    incident_order::{Place, Way},
    incidents::Incidents,
};
use crate::{
    event::{
        IncidentId,
        incident::{Incident, IncidentStatus},
    },
    store::pages::Recovery,
    tui::{
        effect::{Effect, Query},
        model::Shared,
        msg::{IncidentDetail, Left, ToldMark},
    },
};

/// How long ended incidents are shown, where no time range says otherwise.
const ENDED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Ended incidents that are kept in memory.
const ENDED_KEPT: usize = 500;

impl Incidents {
    pub(super) fn ended_since(shared: &Shared) -> Timestamp {
        let range = shared.range.unwrap_or(ENDED_FOR);
        shared.now.checked_sub(range).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Something of it is broken: itself, or what it took down with it.
    pub(super) fn is_broken(&self, incident: &Incident) -> bool {
        incident.status == IncidentStatus::Open || self.left(incident).is_some()
    }

    /// It is over, and what it took down is not.
    pub(super) fn left(&self, incident: &Incident) -> Option<&Left> {
        let left = self.beside.get(&incident.id).and_then(|b| b.left.as_ref());
        left.filter(|_| incident.status == IncidentStatus::Resolved)
    }

    /// None of its troubles is there at this moment.
    pub(super) fn recovery(&self, incident: &Incident) -> Option<Recovery> {
        let recovery = self.beside.get(&incident.id).and_then(|b| b.recovery);
        recovery.filter(|_| incident.status == IncidentStatus::Open)
    }

    /// The same, where that is more than the run between two crashes.
    pub(super) fn healing(&self, incident: &Incident, shared: &Shared) -> Option<Recovery> {
        let runs = self.beside.get(&incident.id).is_some_and(|b| b.runs);
        self.recovery(incident).filter(|_| !runs || self.way(incident, shared) != Way::Broken)
    }

    /// All that is known of the selected one, as it is shown: what only pauses between two crashes is broken.
    pub(super) fn shown_detail(&self, shared: &Shared) -> Option<Cow<'_, IncidentDetail>> {
        let incident = self.current()?;
        let detail = self.detail.as_ref().filter(|d| d.id == incident.id)?;
        if detail.recovery.is_none() || self.healing(incident, shared).is_some() {
            return Some(Cow::Borrowed(detail));
        }
        Some(Cow::Owned(IncidentDetail { recovery: None, well: HashMap::new(), ..detail.clone() }))
    }

    /// It has been well for a while, though not yet long enough to be over; as the list is arranged.
    pub(super) fn is_recovering(&self, incident: &Incident) -> bool {
        self.recovery(incident).is_some() && self.ways.of(&incident.id) == Way::Recovering
    }

    /// How far an open incident is on its way back now.
    pub(super) fn way(&self, incident: &Incident, shared: &Shared) -> Way {
        self.ways.now(&incident.id, self.recovery(incident).as_ref(), shared.known_to())
    }

    /// What the place of one that is broken goes by.
    fn place(&self, incident: &Incident, shared: &Shared) -> Option<Place> {
        let severity = self.left(incident).map_or(incident.severity, |left| left.severity);
        self.is_broken(incident).then(|| Place { way: self.way(incident, shared), severity })
    }

    /// Takes note of how the open ones are.
    pub(super) fn note(&mut self, shared: &Shared) {
        for incident in self.all.values().filter(|i| i.status == IncidentStatus::Open) {
            let recovery = self.beside.get(&incident.id).and_then(|b| b.recovery.as_ref());
            self.ways.note(&incident.id, recovery, shared.known_to());
        }
    }

    pub(super) fn is_in_scope(&self, incident: &Incident) -> bool {
        let namespaces = self.beside.get(&incident.id).map(|b| &b.namespaces);
        self.query.holds_incident(incident, namespaces)
    }

    /// Open ones of the scope that the filter leaves out.
    pub(super) fn hidden(&self, shared: &Shared) -> usize {
        shared.open_incidents.saturating_sub(self.open + self.elsewhere)
    }

    /// Some of them are further on their way back, or less far, than when the list was arranged.
    pub(super) fn rearrange(&mut self, shared: &mut Shared) -> Vec<Effect> {
        self.note(shared);
        if self.rows.iter().all(|i| self.ways.place(&i.id) == self.place(i, shared)) {
            return Vec::new();
        }
        self.arrange(shared);
        self.follow_cursor()
    }

    /// Sorts and filters anew; the cursor stays on its incident, and what is broken stays in sight.
    pub(super) fn arrange(&mut self, shared: &mut Shared) {
        self.query.scope.clone_from(&shared.scope);
        let since = Self::ended_since(shared);
        let shown = |i: &&Arc<Incident>| {
            self.held.contains(&i.id)
                || i.resolved_at.is_none_or(|at| self.is_broken(i) || at >= since)
                    && self.is_in_scope(i)
                    && self.query.matches_incident(i, shared.now)
        };
        let mut rows: Vec<_> = self.all.values().filter(shown).cloned().collect();
        self.note(shared);
        let broken = self.all.values().filter_map(|i| Some((i.id.clone(), self.place(i, shared)?)));
        self.ways.arranged(broken.collect());
        rows.sort_by(|a, b| self.ways.compare(a, b, (self.order, self.reverse)));
        self.open = rows.iter().filter(|i| self.is_broken(i)).count();
        self.rows = rows;
        let place = self.selected.as_ref().and_then(|id| self.rows.iter().position(|i| i.id == *id));
        let place = if self.moved { place } else { Some(0) };
        self.cursor.follow_down(place, self.rows.len());
        let broken = || self.all.values().filter(|i| self.is_broken(i));
        (shared.open_incidents, self.elsewhere) =
            (broken().count(), broken().filter(|i| !self.is_in_scope(i)).count());
        shared.quiet_since = self.all.values().filter_map(|i| i.resolved_at).max();
        shared.dirty = true;
    }

    /// What has grown too old for what is shown leaves, but for what a reader looks at.
    pub(super) fn let_go(&mut self, shared: &mut Shared) -> Vec<Effect> {
        let since = Self::ended_since(shared);
        let aged = |i: &Arc<Incident>| {
            let ended = !self.is_broken(i) && i.resolved_at.is_some_and(|at| at < since);
            ended
                || self.query.filter.since(shared.now).is_some_and(|since| i.last_at.max(i.opened_at) < since)
        };
        if !self.rows.iter().any(|i| aged(i) && !self.held.contains(&i.id)) {
            return Vec::new();
        }
        let near = self.cursor.top..=self.cursor.at;
        let looked_at = self.rows.iter().enumerate().filter(|(place, i)| near.contains(place) && aged(i));
        self.held = looked_at.filter(|_| self.moved).map(|(_, i)| i.id.clone()).collect();
        self.cursor.ragged = self.moved;
        self.arrange(shared);
        self.follow_cursor()
    }

    pub(super) fn current(&self) -> Option<&Arc<Incident>> {
        self.rows.get(self.cursor.at)
    }

    /// The detail belongs to the selected incident, or is asked for.
    pub(super) fn follow_cursor(&mut self) -> Vec<Effect> {
        let id = self.current().map(|i| i.id.clone());
        let known = self.detail.as_ref().is_some_and(|d| Some(&d.id) == id.as_ref());
        self.selected.clone_from(&id);
        match id {
            Some(id) if !known => vec![self.ask_detail(id)],
            _ => Vec::new(),
        }
    }

    pub(super) fn ask_detail(&mut self, id: IncidentId) -> Effect {
        Effect::Query(Query::Incident { id, question: self.news.ask() })
    }

    pub(super) fn ask_told(&mut self, ids: Vec<IncidentId>) -> Effect {
        Effect::Query(Query::Told { ids, question: self.news.ask() })
    }

    pub(super) fn take(&mut self, incident: &Arc<Incident>) {
        self.news.tell(incident);
        if self.detail.as_ref().is_some_and(|d| d.id == incident.id) {
            self.stale_detail = true;
        }
        if !self.stale_told.contains(&incident.id) {
            self.stale_told.push(incident.id.clone());
        }
        self.all.insert(incident.id.clone(), Arc::clone(incident));
        if self.all.len() > ENDED_KEPT * 4 {
            self.forget_old();
        }
    }

    pub(super) fn forget_old(&mut self) {
        let mut ended: Vec<_> =
            self.all.values().filter_map(|i| Some((i.resolved_at?, i.id.clone()))).collect();
        ended.sort();
        ended.truncate(ended.len().saturating_sub(ENDED_KEPT));
        for (_, id) in ended {
            self.all.remove(&id);
            self.beside.remove(&id);
            self.more = true;
        }
    }

    pub(super) fn mark(&mut self, id: &IncidentId, mark: &ToldMark) {
        self.news.mark(id, mark);
        incident_news::put(&mut self.beside.entry(id.clone()).or_default().told, mark);
        if let Some(detail) = self.detail.as_mut().filter(|d| d.id == *id) {
            incident_news::put(&mut detail.told, mark);
        }
    }

    /// The command that `c` copies: the first one that looks, else the id.
    pub(super) fn command(&self, shared: &Shared) -> Option<String> {
        let incident = self.current()?;
        let detail = self.detail.as_ref().filter(|d| d.id == incident.id);
        Some(super::incident_next::copied(incident, detail, shared))
    }
}

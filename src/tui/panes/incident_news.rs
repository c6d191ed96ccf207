//! What the feed told of incidents while a question was under way. Its answer was read at some moment between: what was
//! told later than the question was put stands over it, or it would be gone from the screen until its next change.
//! Used by `incidents`; pure.

use std::{collections::HashMap, sync::Arc};

use crate::{
    event::{
        IncidentId,
        incident::{Incident, Phase},
    },
    tui::msg::{Beside, IncidentDetail, ToldMark},
};

/// Of which message a mark tells.
type Message = (IncidentId, String, Phase);

/// Questions and news, numbered in the order in which they came. The questions about incidents are answered in the order
/// in which they were put, or left out: one worker has them all.
#[derive(Default)]
pub struct News {
    number: u64,
    /// The newest question, while it is under way.
    asked: Option<u64>,
    incidents: HashMap<IncidentId, (u64, Arc<Incident>)>,
    marks: HashMap<Message, (u64, ToldMark)>,
}

impl News {
    /// The number of a question that is put now.
    pub fn ask(&mut self) -> u64 {
        self.number += 1;
        self.asked = Some(self.number);
        self.number
    }

    /// The feed told of an incident.
    pub fn tell(&mut self, incident: &Arc<Incident>) {
        if self.asked.is_some() {
            self.number += 1;
            self.incidents.insert(incident.id.clone(), (self.number, Arc::clone(incident)));
        }
    }

    /// The feed told of a message about an incident.
    pub fn mark(&mut self, id: &IncidentId, mark: &ToldMark) {
        if self.asked.is_some() {
            self.number += 1;
            let message = (id.clone(), mark.connector.clone(), mark.phase);
            self.marks.insert(message, (self.number, mark.clone()));
        }
    }

    /// A question was answered: what was told before it was put is in the answer, and in all that follow.
    pub fn answered(&mut self, question: u64) {
        self.incidents.retain(|_, (number, _)| *number > question);
        self.marks.retain(|_, (number, _)| *number > question);
    }

    /// The incidents that an answer may not have, or not as they are.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.incidents.values().map(|(_, incident)| incident)
    }

    /// Puts the marks over an answer's list of incidents.
    pub fn over_all(&self, beside: &mut HashMap<IncidentId, Beside>) {
        for ((id, ..), (_, mark)) in &self.marks {
            put(&mut beside.entry(id.clone()).or_default().told, mark);
        }
    }

    /// Puts the marks over what an answer says of one incident.
    pub fn over(&self, id: &IncidentId, told: &mut Vec<ToldMark>) {
        for ((about, ..), (_, mark)) in &self.marks {
            if about == id {
                put(told, mark);
            }
        }
    }

    /// The same for all that is known of one.
    pub fn over_detail(&self, detail: &mut IncidentDetail) {
        self.over(&detail.id, &mut detail.told);
    }

    /// An answer has been taken up. After that of the newest question nothing has to be remembered.
    pub fn taken(&mut self, question: u64) {
        if self.asked == Some(question) {
            *self = Self { number: self.number, ..Self::default() };
        }
    }
}

/// The newest mark of a message takes the place of the one before; they stand by connector, in the order of time.
pub fn put(told: &mut Vec<ToldMark>, mark: &ToldMark) {
    if let Some(old) = told.iter_mut().find(|t| t.connector == mark.connector && t.phase == mark.phase) {
        *old = mark.clone();
    } else {
        told.push(mark.clone());
        told.sort_by(|a, b| a.connector.cmp(&b.connector).then(a.at.cmp(&b.at)));
    }
}

//! Making claims: the bytes of one row, or of several in one digest.

use std::sync::Arc;

use jiff::Timestamp;

use super::ledger::Claiming;
use crate::{
    connector::{Connector, DigestLine, Notification, Receipt, Rendered},
    event::{IncidentId, NotificationId, incident::Phase},
    store::{self, Claim, OutboxRow, Read, Store, TOLD, keys},
};

/// The row with its claim, as text.
pub fn with_claim(
    row: &Arc<OutboxRow>,
    message: Rendered,
    answers: Vec<u64>,
    now: Timestamp,
) -> Result<Claiming, String> {
    let claim = Claim {
        at: now,
        message,
        attempts: 0,
        next_at: now,
        last: String::new(),
        answers: answers.clone(),
        doubtful: 0,
        log: None,
    };
    let claimed = OutboxRow { claim: Some(claim), ..(**row).clone() };
    let text = serde_json::value::to_raw_value(&claimed).map_err(|e| e.to_string())?;
    Ok(Claiming { row: Arc::clone(row), claimed: Arc::new(claimed), text, answers })
}

/// One message that stands for all these rows, oldest first; at least two.
pub fn claiming(
    connector: &dyn Connector,
    rows: &[Arc<OutboxRow>],
    now: Timestamp,
) -> Result<Claiming, String> {
    let Some((first, rest)) = rows.split_first() else { return Err("no rows".into()) };
    let message = connector.render(&notification(rows, now), None).map_err(|e| e.to_string())?;
    with_claim(first, message, rest.iter().map(|r| r.seq).collect(), now)
}

fn notification(rows: &[Arc<OutboxRow>], now: Timestamp) -> Notification {
    let all = || rows.iter().map(|r| &r.notification);
    let worst = all().max_by_key(|n| (!n.phase.is_end(), n.severity()));
    let first = &rows[0].notification;
    Notification {
        id: NotificationId::digest_of(&first.connector, all().map(|n| &n.id)),
        connector: first.connector.clone(),
        phase: Phase::Digest,
        event: worst.unwrap_or(first).event.clone(),
        incident: None,
        digest: lines(all()),
        post: None,
        created_at: now,
    }
}

/// A line per thing, as its newest message says it, in the order in which they happened. An incident that opened and
/// ended meanwhile is one line.
fn lines<'a>(messages: impl Iterator<Item = &'a Notification>) -> Vec<DigestLine> {
    let mut lines: Vec<(Option<&IncidentId>, DigestLine)> = Vec::new();
    for n in messages {
        let incident = n.incident.as_ref().map(|i| &i.id);
        let line = DigestLine {
            id: n.id.clone(),
            phase: n.phase,
            title: n.event.title.clone(),
            severity: n.severity(),
            event_type: n.event.event_type,
            timestamp: n.event.timestamp,
            messages: 1,
        };
        // Rows are in the order in which they were made: the newest comes last.
        match lines.iter_mut().find(|(known, _)| known.is_some() && *known == incident) {
            Some((_, older)) => *older = DigestLine { messages: older.messages + 1, ..line },
            None => lines.push((incident, line)),
        }
    }
    let mut lines: Vec<DigestLine> = lines.into_iter().map(|(_, line)| line).collect();
    lines.sort_by_key(|l| l.timestamp);
    lines
}

/// Whether the connector was told of the row's incident; a row that cannot be looked up is asked again at its claim.
pub fn was_told(store: &Store, row: &OutboxRow) -> bool {
    let Some(incident) = &row.notification.incident else { return true };
    let told =
        store.snapshot().and_then(|s| s.get(&TOLD, &keys::told(&row.notification.connector, &incident.id)));
    told.ok().flatten().is_some_and(|t| t.told_at.is_some())
}

/// What the service answered to the last message about the same incident.
pub fn receipt(store: &Store, row: &OutboxRow) -> store::Result<Option<Receipt>> {
    let Some(incident) = &row.notification.incident else { return Ok(None) };
    if row.notification.phase == Phase::Opened {
        return Ok(None);
    }
    let told = store.snapshot()?.get(&TOLD, &keys::told(&row.notification.connector, &incident.id))?;
    Ok(told.and_then(|t| t.receipt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::samples, event::EventType};

    #[test]
    fn an_incident_is_one_line_and_the_lines_are_in_the_order_of_time() {
        let row = |seq: u64, incident: &str, phase: Phase, secs: i64| {
            let mut notification = samples::notification(EventType::PodCrashLoop, phase, "c");
            notification.incident.as_mut().unwrap().id = IncidentId::from(incident);
            notification.id = NotificationId(format!("n{seq}"));
            notification.event.timestamp = Timestamp::from_second(1_000 + secs).unwrap();
            Arc::new(OutboxRow { seq, notification, due_at: Timestamp::UNIX_EPOCH, claim: None })
        };
        let rows = [
            row(1, "a", Phase::Opened, 50),
            row(2, "b", Phase::Opened, 10),
            row(3, "a", Phase::Repeated, 60),
            row(4, "a", Phase::Resolved, 70),
        ];
        let digest = notification(&rows, Timestamp::from_second(2_000).unwrap());
        let said: Vec<_> =
            digest.digest.iter().map(|l| (l.id.to_string(), l.phase.as_str(), l.messages)).collect();
        assert_eq!(said, [("n2".to_owned(), "opened", 1), ("n4".to_owned(), "resolved", 3)]);
        assert_eq!(digest.event.timestamp.as_second(), 1_060, "the worst of what is said, not an end");
    }
}

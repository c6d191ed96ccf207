//! Whose fault a failed attempt is: the message's, or the destination's. Pure.
//!
//! A service that answers 500 may be down, or may never take this one message. What it did with other messages between
//! two attempts tells: it took one, and refuses this one again.

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Blame {
    /// How many messages the destination had taken when this one failed the last time.
    failed_at: Option<u64>,
    /// How many it had taken when this one was last counted against it.
    counted_at: Option<u64>,
    /// The newest failure was the message's own fault.
    pub own: bool,
}

/// What a failure says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Others were taken since its last attempt: it says nothing of the destination.
    Message,
    /// The destination may be in trouble.
    Destination,
    /// The same, and this message has said so since anything was taken: one message that fails again and again has a
    /// pause of its own, and is no reason to slow the others down more and more.
    SaidBefore,
}

impl Blame {
    /// An attempt failed, of a destination that has taken so many messages until now.
    pub fn failed(&mut self, taken: u64) -> Fault {
        self.own = self.failed_at.is_some_and(|before| taken > before);
        self.failed_at = Some(taken);
        if self.own {
            return Fault::Message;
        }
        if self.counted_at.replace(taken) == Some(taken) { Fault::SaidBefore } else { Fault::Destination }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Fault::{Destination, Message, SaidBefore},
        *,
    };

    #[test]
    fn a_message_is_to_blame_only_where_others_were_taken_meanwhile() {
        let mut blame = Blame::default();
        let said: Vec<Fault> = [7, 7, 7, 8, 9, 9, 9].into_iter().map(|taken| blame.failed(taken)).collect();
        assert_eq!(said, [Destination, SaidBefore, SaidBefore, Message, Message, Destination, SaidBefore]);
    }
}

//! Commands that a person can copy reach the cluster that they are about: where contexts were named, `kubectl` alone
//! would ask whichever is the current one.

use super::engine::Engine;
use crate::event::{Event, shell_word};

impl Engine {
    /// Names the context in every `kubectl` of an event that is about to be stored, once.
    pub(super) fn name_context(&self, event: &mut Event) {
        let Some(cluster) = self.clusters.get(&event.cluster_uid).filter(|_| self.config.by_context) else {
            return;
        };
        if cluster.context.is_empty() {
            return;
        }
        let commands = event.recommendations.iter_mut().map(|r| &mut r.command);
        for command in commands.chain(event.links.iter_mut().filter_map(|l| l.href.as_mut())) {
            let rest = command.strip_prefix("kubectl ").filter(|rest| !rest.starts_with("--context "));
            if let Some(rest) = rest {
                *command = format!("kubectl --context {} {rest}", shell_word(&cluster.context));
            }
        }
    }
}

//! Scripts: what is done to the simulated cluster, and when; read from TOML.

use serde::Deserialize;

use crate::demo::sim::{ActionError, Sim};

/// A script that repeats.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Length of a day in seconds; then it begins again.
    pub day_secs: u32,
    /// In order of time.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Seconds after the day's beginning.
    pub at_secs: u32,
    /// What is done.
    #[serde(rename = "do")]
    pub verb: Verb,
    /// To what: `namespace/name`, or a node. `{n}` stands for the number of the day.
    pub on: String,
    /// The new image of a rollout, or of a Job.
    #[serde(default)]
    pub image: String,
    /// What is wrong with the pods that come of it: crash, image, unschedulable, probe, none.
    #[serde(default)]
    pub trouble: String,
    /// Key of a ConfigMap.
    #[serde(default)]
    pub key: String,
    /// Its new value.
    #[serde(default)]
    pub value: String,
    /// Replicas, times, or per cent of the load.
    #[serde(default)]
    pub count: u32,
}

/// What can be done; each is the method of `Sim` of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Verb {
    Rollout,
    Restart,
    Rollback,
    Scale,
    EditConfig,
    Oom,
    Load,
    FailProbes,
    Recover,
    BreakSelector,
    MendSelector,
    NodeDown,
    NodeUp,
    Cordon,
    Uncordon,
    RunJob,
    DropJob,
    DeletePodOf,
}

/// A script that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// No TOML of this form.
    #[error("the scenario cannot be read: {0}")]
    Form(#[from] toml::de::Error),
    /// A step after the end of the day or before the step above it.
    #[error(
        "step {number} of the scenario is at {at_secs} s: steps must be in order and within day_secs = {day_secs}"
    )]
    Order {
        /// Counted from 1.
        number: usize,
        /// Its time.
        at_secs: u32,
        /// The day's length.
        day_secs: u32,
    },
}

impl Script {
    /// From TOML.
    ///
    /// # Errors
    /// Where the form is wrong or steps are out of order.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let script: Script = toml::from_str(text)?;
        let mut last = 0;
        for (index, step) in script.steps.iter().enumerate() {
            if step.at_secs < last || step.at_secs >= script.day_secs {
                let (number, at_secs) = (index + 1, step.at_secs);
                return Err(ScriptError::Order { number, at_secs, day_secs: script.day_secs });
            }
            last = step.at_secs;
        }
        Ok(script)
    }
}

impl Step {
    /// Does it, on the given day.
    ///
    /// # Errors
    /// Where a name leads nowhere.
    pub fn perform(&self, sim: &mut Sim, day: u64) -> Result<(), ActionError> {
        let fill = |text: &str| text.replace("{n}", &day.to_string());
        let (on, image) = (fill(&self.on), fill(&self.image));
        match self.verb {
            Verb::Rollout => sim.rollout(&on, &image, &self.trouble),
            Verb::Restart => sim.restart(&on, &self.trouble),
            Verb::Rollback => sim.rollback(&on),
            Verb::Scale => sim.scale(&on, self.count),
            Verb::EditConfig => sim.edit_config(&on, &self.key, &fill(&self.value)),
            Verb::Oom => sim.oom(&on, self.count.max(1)),
            Verb::Load => sim.load(&on, self.count),
            Verb::FailProbes => sim.fail_probes(&on),
            Verb::Recover => sim.recover(&on),
            Verb::BreakSelector => sim.break_selector(&on, true),
            Verb::MendSelector => sim.break_selector(&on, false),
            Verb::NodeDown => sim.node_down(&on, true),
            Verb::NodeUp => sim.node_down(&on, false),
            Verb::Cordon => sim.cordon(&on, true),
            Verb::Uncordon => sim.cordon(&on, false),
            Verb::RunJob => sim.run_job(&on, &image, &self.trouble),
            Verb::DropJob => sim.drop_job(&on),
            Verb::DeletePodOf => sim.delete_pod_of(&on),
        }
    }
}

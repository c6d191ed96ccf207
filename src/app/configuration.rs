//! The configuration as a whole: settings, the dashboard's keys, and the options of connectors, which only their kinds
//! know. Called by whatever starts an engine, reloads it, or checks. Reads; builds connectors and sends nothing.

use std::sync::Arc;

use super::{connectors::Workshop, dashboard::key_problems};
use crate::{
    config::{self, Flags, Problem, Problems, Resolved, Settings, WatchSettings},
    connector::Pages,
    event::shell_word,
    status::{Called, Status},
    watch,
};

/// A problem with a connector of the file or the environment.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Its place in `settings.connectors`.
    pub index: usize,
    /// What, and where.
    pub problem: Problem,
    /// Only something to be filled in: a placeholder, a variable that is not set, a file that is not there.
    pub incomplete: bool,
}

/// A configuration with everything that is wrong with it.
#[derive(Debug, Clone)]
pub struct Looked {
    /// As far as it can be used.
    pub resolved: Resolved,
    /// What is wrong with file, environment and flags.
    pub problems: Vec<Problem>,
    /// What is wrong with connectors.
    pub connectors: Vec<Wrong>,
}

/// What has to stand in the commands that are named to a person: who runs them has neither this environment nor these
/// flags.
pub fn called(flags: &Flags, watch: &WatchSettings) -> Called {
    let mut scope = String::new();
    let mut flag = |name: &str, value: &str| scope.extend([" ", name, " ", &shell_word(value)]);
    if let Some(config) = &flags.config {
        flag("--config", &config.display().to_string());
    }
    watch.namespaces.iter().for_each(|n| flag("-n", n));
    watch.selector.iter().for_each(|s| flag("-l", s));
    let path =
        |path: &std::path::PathBuf| format!(" --kubeconfig {}", shell_word(&path.display().to_string()));
    let kubeconfig = flags.kubeconfig.as_ref().map(path).unwrap_or_default();
    Called { scope, kubeconfig, contexts: !flags.contexts.is_empty() }
}

/// Reads the configuration, and builds what is in it.
pub fn look(flags: &Flags) -> Looked {
    let config::Examined { resolved, mut problems } = config::examine_all(flags.clone());
    // Each at the place where the option was written.
    let origin = |path: &str, otherwise: &str| {
        let shown = resolved.shown.iter().find(|(p, _)| *p == path);
        shown.map_or_else(|| otherwise.to_owned(), |(_, sourced)| sourced.origin.clone())
    };
    problems.extend(key_problems(&resolved));
    for wrong in Pages::new(&resolved.settings.incidents).err().unwrap_or_default() {
        let origin = origin(&wrong.option, "configuration");
        problems.push(Problem { origin, path: wrong.option, message: wrong.message });
    }
    let mut connectors = Vec::new();
    match workshop(&resolved.settings) {
        Ok(workshop) => connectors = wrong(&resolved, &workshop),
        Err(mut problem) => {
            problem.origin = origin(&problem.path, "delivery");
            problems.push(problem);
            // The connectors may be wrong besides.
            let mut settings = resolved.settings.clone();
            settings.delivery.ca_file = None;
            if let Ok(workshop) = workshop(&settings) {
                connectors = wrong(&resolved, &workshop);
            }
        }
    }
    // What the environment's own check refused is not told again as an option.
    connectors.retain(|w: &Wrong| {
        w.problem.path != "api_url" || !problems.iter().any(|p| p.origin == w.problem.origin)
    });
    Looked { resolved, problems, connectors }
}

fn workshop(settings: &Settings) -> Result<Workshop, Problem> {
    Workshop::new(settings).map_err(|e| Problem {
        origin: "delivery".into(),
        path: "delivery.ca_file".into(),
        message: format!("{e:#}"),
    })
}

fn wrong(resolved: &Resolved, workshop: &Workshop) -> Vec<Wrong> {
    let mut all = Vec::new();
    for (index, spec) in resolved.settings.connectors.iter().enumerate() {
        let Err(problems) = workshop.build(spec) else { continue };
        let place = resolved.place(index);
        // One without a type, or a name, was told as such.
        let told = |option: &str| spec.kind.is_empty() || option == "name" && spec.name.is_empty();
        for problem in problems.into_iter().filter(|p| !told(&p.option)) {
            let message = match spec.name.as_str() {
                "" => problem.message.clone(),
                name => format!("{} (connector {name})", problem.message),
            };
            let incomplete = problem.incomplete;
            all.push(Wrong { index, problem: place.problem(&problem.option, message), incomplete });
        }
    }
    all
}

impl Looked {
    /// Everything that keeps an engine from starting: all but what is merely to be filled in.
    pub fn mistakes(&self) -> Vec<Problem> {
        let connectors = self.connectors.iter().filter(|w| !w.incomplete).map(|w| w.problem.clone());
        self.problems.iter().cloned().chain(connectors).collect()
    }

    /// Everything that keeps a running engine from taking it over: mistakes, and connectors that would fall silent.
    pub fn refused(&self, old: &Settings, status: &Status) -> Vec<Problem> {
        let silent = self.connectors.iter().filter(|w| w.incomplete).filter(|w| {
            let Some(spec) = self.resolved.settings.connectors.get(w.index) else { return false };
            let now = status.connectors.iter().find(|c| c.name == spec.name);
            let on = spec.enabled || now.is_some_and(|c| c.enabled);
            let as_before = old.connectors.contains(spec) && now.is_some_and(|c| c.state == "incomplete");
            on && !as_before
        });
        let silent: Vec<Problem> = silent.map(|w| w.problem.clone()).collect();
        self.mistakes().into_iter().chain(silent).collect()
    }

    /// The configuration, if an engine can start with it.
    ///
    /// # Errors
    /// Every mistake.
    pub fn usable(self) -> Result<Resolved, Problems> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() { Ok(self.resolved) } else { Err(Problems(mistakes)) }
    }
}

/// Ways to clusters, and to the store, that waiting does not mend.
pub fn hopeless(settings: &Settings) -> Vec<Problem> {
    let problem = |message| Problem { origin: "clusters".into(), path: String::new(), message };
    let dir = &settings.store.dir;
    let no_dir = (dir.exists() && !dir.is_dir()).then(|| Problem {
        origin: "store".into(),
        path: "store.dir".into(),
        message: format!("{} is no directory: name another with --data-dir", dir.display()),
    });
    watch::hopeless(&settings.clusters).into_iter().map(problem).chain(no_dir).collect()
}

/// Reads the configuration again for a running engine; each problem is logged, and then the old one stays.
///
/// # Errors
/// Every problem.
pub fn again(flags: &Flags, old: &Arc<Settings>, status: &Status) -> Result<Settings, Vec<Problem>> {
    let looked = look(flags);
    let mut problems = looked.refused(old, status);
    problems.extend(hopeless(&looked.resolved.settings));
    if problems.is_empty() {
        looked.resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        return Ok(looked.resolved.settings);
    }
    for problem in &problems {
        tracing::error!("{problem}");
    }
    tracing::error!(
        problems = problems.len(),
        "the new configuration cannot be used; the old one stays in force, all of it"
    );
    Err(problems)
}

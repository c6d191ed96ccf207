//! What people and accidents do to the cluster: the vocabulary of scenarios and tests.
//!
//! Each action names objects as `namespace/name`. It does only what a person, a machine or the load would do; what
//! follows from it is the controllers' business.

use serde_json::json;

use super::Sim;
use super::model::{Fault, Key, Task, Template};
use super::pod_shape;
use crate::demo::managed::seconds;

/// An action that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The name is not `namespace/name`.
    #[error("{0:?} is no name: write namespace/name")]
    Name(String),
    /// There is no such thing.
    #[error("there is no {kind} {name} in the simulated cluster")]
    Missing {
        /// workload, node, …
        kind: &'static str,
        /// As it was given.
        name: String,
    },
    /// The word for what is wrong is not known.
    #[error("{0:?} is no trouble: use crash, image, unschedulable, probe or none")]
    Trouble(String),
}

type Done = Result<(), ActionError>;

fn key(name: &str) -> Result<Key, ActionError> {
    let (namespace, name_) = name.split_once('/').ok_or_else(|| ActionError::Name(name.to_owned()))?;
    Ok((namespace.to_owned(), name_.to_owned()))
}

fn trouble(word: &str) -> Result<Fault, ActionError> {
    match word {
        "" | "none" => Ok(Fault::None),
        "crash" => Ok(Fault::Crash(1)),
        "image" => Ok(Fault::Image),
        "unschedulable" => Ok(Fault::TooBig),
        "probe" => Ok(Fault::Probe),
        other => Err(ActionError::Trouble(other.to_owned())),
    }
}

impl Sim {
    /// Rolls a workload out with another image; `trouble` says what is wrong with its pods (crash, image,
    /// unschedulable, probe, none).
    pub fn rollout(&mut self, app: &str, image: &str, trouble_: &str) -> Done {
        let fault = trouble(trouble_)?;
        self.change_template(app, "kubectl-set", |template| {
            image.clone_into(&mut template.image);
            template.fault = fault;
        })
    }

    /// `kubectl rollout restart`; pods come up with this trouble.
    pub fn restart(&mut self, app: &str, trouble_: &str) -> Done {
        let fault = trouble(trouble_)?;
        let now = self.text_now();
        self.change_template(app, "kubectl-rollout", |template| {
            template.restarted_at = Some(now);
            template.fault = fault;
        })
    }

    /// `kubectl rollout undo`: back to the template before the newest.
    pub fn rollback(&mut self, app: &str) -> Done {
        let wanted = self.app_key(app)?;
        let sets = self.apps.get(&wanted).map(|a| a.sets.clone()).unwrap_or_default();
        let older = sets.len().checked_sub(2).and_then(|index| sets.get(index));
        let older =
            older.ok_or_else(|| ActionError::Missing { kind: "older revision of", name: app.to_owned() })?;
        let template = older.template.clone();
        self.change_template(app, "kubectl", |t| *t = template)
    }

    /// `kubectl scale`.
    pub fn scale(&mut self, app: &str, replicas: u32) -> Done {
        let key = self.app_key(app)?;
        self.set_replicas(&key, replicas, "kubectl");
        self.reconcile_dirty();
        Ok(())
    }

    /// Sets a key of a ConfigMap.
    pub fn edit_config(&mut self, map: &str, data_key: &str, value: &str) -> Done {
        let at = key(map)?;
        self.writer("kubectl-edit")
            .update("configmaps", &at.0, &at.1, |object| object["data"][data_key] = json!(value))
            .map(drop)
            .map_err(|_| ActionError::Missing { kind: "ConfigMap", name: map.to_owned() })
    }

    /// The container of one running pod is killed by the kernel for its memory, so many times, 40 s apart.
    pub fn oom(&mut self, app: &str, times: u32) -> Done {
        let key = self.app_key(app)?;
        self.at(self.now, Task::OutOfMemory(key, times));
        Ok(())
    }

    pub(super) fn out_of_memory(&mut self, app: &Key, times: u32) {
        let Some(pod) = self.running_pods(app).into_iter().next() else { return };
        self.cluster.log(&pod.0, &pod.1, "level=warn msg=\"heap is at 98 % of the limit\"");
        self.end_container(&pod, 137, "OOMKilled", "");
        if times > 1 {
            self.after(40_000, Task::OutOfMemory(app.clone(), times - 1));
        }
    }

    /// The readiness probe of every pod of a workload begins to fail.
    pub fn fail_probes(&mut self, app: &str) -> Done {
        let key = self.app_key(app)?;
        for pod in self.running_pods(&key) {
            self.probe_fails(&pod);
        }
        self.reconcile_dirty();
        Ok(())
    }

    /// What fails in running pods of a workload (probes) is well again.
    pub fn recover(&mut self, app: &str) -> Done {
        let key = self.app_key(app)?;
        for pod in self.running_pods(&key) {
            self.heal(&pod);
        }
        Ok(())
    }

    /// The selector of a Service is edited so that it picks no pod, or back.
    pub fn break_selector(&mut self, service: &str, broken: bool) -> Done {
        let key = self.app_key(service)?;
        let value = if broken { format!("{}-v2", key.1) } else { key.1.clone() };
        let _ = self.writer("kubectl-edit").update("services", &key.0, &key.1, |object| {
            object["spec"]["selector"]["app.kubernetes.io/name"] = json!(value);
        });
        if let Some(app) = self.apps.get_mut(&key) {
            app.selector_fits = !broken;
        }
        self.after(60, Task::Reconcile(key));
        Ok(())
    }

    /// A node falls silent, or comes back.
    pub fn node_down(&mut self, node: &str, down: bool) -> Done {
        self.check_node(node)?;
        if down {
            self.lose_node(node);
        } else {
            self.restore_node(node);
        }
        Ok(())
    }

    /// A node is cordoned, or uncordoned.
    pub fn cordon(&mut self, node: &str, cordoned: bool) -> Done {
        self.check_node(node)?;
        self.cordon_node(node, cordoned);
        Ok(())
    }

    /// The load of an autoscaled workload, in per cent of what its maximum carries.
    pub fn load(&mut self, app: &str, percent: u32) -> Done {
        let key = self.app_key(app)?;
        let missing = || ActionError::Missing { kind: "autoscaler of", name: app.to_owned() };
        let scaler = self.scalers.get_mut(&key).ok_or_else(missing)?;
        scaler.load = scaler.max * 70 * percent / 100;
        self.at(self.now, Task::Scale(key));
        Ok(())
    }

    /// Starts a Job whose pods have this trouble; with `crash` it fails after its third try.
    pub fn run_job(&mut self, job: &str, image: &str, trouble_: &str) -> Done {
        let at = key(job)?;
        let mut template = Template::new(&at.1, image);
        template.fault = trouble(trouble_)?;
        if template.fault == Fault::TooBig {
            template.memory = "512Gi";
        }
        self.make_job(&at, template, 2, None);
        Ok(())
    }

    /// Deletes a Job and its pods.
    pub fn drop_job(&mut self, job: &str) -> Done {
        let at = key(job)?;
        self.delete_job(&at);
        Ok(())
    }

    /// Deletes one running pod, as a person does.
    pub fn delete_pod_of(&mut self, app: &str) -> Done {
        let key = self.app_key(app)?;
        if let Some(pod) = self.running_pods(&key).into_iter().next() {
            self.terminate(&pod, "kubectl");
        }
        self.reconcile_dirty();
        Ok(())
    }

    /// Deletes one pod by its name, as a person does.
    pub fn delete_pod(&mut self, pod: &str) -> Done {
        let at = key(pod)?;
        if !self.pods.contains_key(&at) {
            return Err(ActionError::Missing { kind: "pod", name: pod.to_owned() });
        }
        self.terminate(&at, "kubectl");
        self.reconcile_dirty();
        Ok(())
    }

    pub(super) fn set_replicas(&mut self, key: &Key, replicas: u32, manager: &str) {
        let Some(app) = self.apps.get_mut(key) else { return };
        app.replicas = replicas;
        let plural = app.kind.plural();
        let _ =
            self.writer(manager).update(plural, &key.0, &key.1, |o| o["spec"]["replicas"] = json!(replicas));
        self.dirty.insert(key.clone());
    }

    fn change_template(&mut self, app: &str, manager: &str, change: impl FnOnce(&mut Template)) -> Done {
        let key = self.app_key(app)?;
        let Some(app) = self.apps.get_mut(&key) else { return Ok(()) };
        change(&mut app.template);
        let (plural, template) = (app.kind.plural(), pod_shape::template(&app.template, None));
        let _ = self.writer(manager).update(plural, &key.0, &key.1, |o| o["spec"]["template"] = template);
        self.after(30, Task::Reconcile(key));
        Ok(())
    }

    fn app_key(&self, name: &str) -> Result<Key, ActionError> {
        let key = key(name)?;
        if self.apps.contains_key(&key) {
            return Ok(key);
        }
        Err(ActionError::Missing { kind: "workload", name: name.to_owned() })
    }

    fn check_node(&self, node: &str) -> Done {
        if self.nodes.contains_key(node) {
            return Ok(());
        }
        Err(ActionError::Missing { kind: "node", name: node.to_owned() })
    }

    /// The time as objects have it; for the script's placeholders.
    pub fn time_text(&self) -> String {
        seconds(self.now)
    }
}

//! Jobs and CronJobs: pods that end, retries with back-off, schedules.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Sim;
use super::kube_events::About;
use super::model::{Key, Owner, Task, Template};
use super::pod_shape;
use super::pods::NewPod;
use crate::demo::managed::seconds;

const CONTROLLER: &str = "kube-controller-manager";

/// A Job that exists.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub uid: String,
    pub template: Template,
    pub backoff_limit: u32,
    pub cron: Option<Key>,
    pub failed: u32,
    pub succeeded: u32,
    pub active: u32,
    pub started: Timestamp,
    pub ended: Option<(bool, Timestamp)>,
}

/// A CronJob that exists.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    pub uid: String,
    pub template: Template,
    pub every: SignedDuration,
    pub last: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
}

/// Jobs of a CronJob that are kept.
const KEPT: usize = 3;

impl Sim {
    /// Makes a Job; its first pod follows.
    pub(super) fn make_job(&mut self, key: &Key, template: Template, backoff_limit: u32, cron: Option<Key>) {
        let uid = self.cluster.next_uid();
        let mut spec = json!({"parallelism": 1, "completions": 1, "backoffLimit": backoff_limit, "suspend": false,
            "completionMode": "NonIndexed", "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/job-name": key.1}}, "spec": pod_shape::pod_spec(&template)}});
        spec["template"]["spec"]["restartPolicy"] = json!("Never");
        let mut meta = json!({"name": key.1, "namespace": key.0, "uid": uid});
        if let Some(cron) = &cron
            && let Some(owner) = self.crons.get(cron)
        {
            meta["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": cron.1, "uid": owner.uid,
                "controller": true, "blockOwnerDeletion": true}]);
        }
        let by = if cron.is_some() { CONTROLLER } else { "kubectl" };
        let object =
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec, "status": {}});
        if self.writer(by).create(object).is_err() {
            return;
        }
        let job = Job {
            uid,
            template,
            backoff_limit,
            cron,
            failed: 0,
            succeeded: 0,
            active: 0,
            started: self.now,
            ended: None,
        };
        self.jobs.insert(key.clone(), job);
        self.after(100, Task::JobPod(key.clone()));
    }

    /// Deletes a Job with its pods.
    pub(super) fn delete_job(&mut self, key: &Key) {
        if self.jobs.remove(key).is_none() {
            return;
        }
        let _ = self.writer("kubectl").delete("jobs", &key.0, &key.1);
        let mine = |owner: &Owner| matches!(owner, Owner::Job(of) if of == key);
        let pods: Vec<Key> = self.pods.values().filter(|p| mine(&p.owner)).map(|p| p.key.clone()).collect();
        for pod in pods {
            self.remove_pod(&pod);
        }
    }

    pub(super) fn job_pod(&mut self, key: &Key) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        if job.ended.is_some() {
            return;
        }
        job.active = 1;
        let (template, uid) = (job.template.clone(), job.uid.clone());
        let name = format!("{}-{}", key.1, self.rng.suffix(5));
        let reference = json!({"apiVersion": "batch/v1", "kind": "Job", "name": key.1, "uid": uid, "controller": true,
            "blockOwnerDeletion": true});
        let about = About::new("batch/v1", "Job", key, &uid);
        let text = format!("Created pod: {name}");
        self.make_pod(
            &key.0,
            NewPod { name, owner: Owner::Job(key.clone()), reference, template, node: None },
        );
        self.record(&about, "job-controller", (false, "SuccessfulCreate"), &text);
        self.write_job(key);
    }

    /// A pod of a Job ended: done, tried again after a back-off, or given up.
    pub(super) fn job_pod_ended(&mut self, pod: &Key, well: bool) {
        let Some(Owner::Job(key)) = self.pods.get(pod).map(|p| p.owner.clone()) else { return };
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&key) else { return };
        job.active = 0;
        let about = About::new("batch/v1", "Job", &key, &job.uid);
        if well {
            job.succeeded += 1;
            job.ended = Some((true, now));
            let cron = job.cron.clone();
            if let Some(cron) = cron.as_ref().and_then(|c| self.crons.get_mut(c)) {
                cron.last_success = Some(now);
            }
            self.record(&about, "job-controller", (false, "Completed"), "Job completed");
        } else {
            job.failed += 1;
            if job.failed > job.backoff_limit {
                job.ended = Some((false, now));
                let text = "Job has reached the specified backoff limit";
                self.record(&about, "job-controller", (true, "BackoffLimitExceeded"), text);
            } else {
                let backoff = 10_000_u64 << (job.failed - 1).min(5);
                self.after(backoff, Task::JobPod(key.clone()));
            }
        }
        self.write_job(&key);
        self.write_cron_of(&key);
    }

    fn write_job(&mut self, key: &Key) {
        let Some(job) = self.jobs.get(key).cloned() else { return };
        let mut status = json!({"startTime": seconds(job.started), "ready": job.active});
        for (name, count) in [("active", job.active), ("failed", job.failed), ("succeeded", job.succeeded)] {
            if count > 0 {
                status[name] = json!(count);
            }
        }
        if let Some((well, at)) = job.ended {
            let condition = |kind: &str, reason: &str, message: &str| {
                json!({"type": kind, "status": "True", "lastProbeTime": seconds(at), "lastTransitionTime": seconds(at),
                    "reason": reason, "message": message})
            };
            status["conditions"] = if well {
                status["completionTime"] = json!(seconds(at));
                json!([
                    condition(
                        "SuccessCriteriaMet",
                        "CompletionsReached",
                        "Reached expected number of succeeded pods"
                    ),
                    condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
                ])
            } else {
                let text = "Job has reached the specified backoff limit";
                json!([
                    condition("FailureTarget", "BackoffLimitExceeded", text),
                    condition("Failed", "BackoffLimitExceeded", text)
                ])
            };
        }
        let writer = self.writer(CONTROLLER).status();
        let _ = writer.update("jobs", &key.0, &key.1, |object| object["status"] = status);
    }

    /// Makes a CronJob that runs every so many minutes, on the minute.
    pub(super) fn make_cron(&mut self, key: &Key, template: Template, every_minutes: i64) {
        let uid = self.cluster.next_uid();
        let mut pod = pod_shape::pod_spec(&template);
        pod["restartPolicy"] = json!("Never");
        let object = json!({"apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {"name": key.1, "namespace": key.0, "uid": uid},
            "spec": {"schedule": format!("*/{every_minutes} * * * *"), "concurrencyPolicy": "Forbid", "suspend": false,
                "successfulJobsHistoryLimit": KEPT, "failedJobsHistoryLimit": 1,
                "jobTemplate": {"spec": {"backoffLimit": 1, "template": {"spec": pod}}}},
            "status": {}});
        let _ = self.writer("kubectl").create(object);
        let every = SignedDuration::from_mins(every_minutes);
        self.crons.insert(key.clone(), Cron { uid, template, every, last: None, last_success: None });
        self.plan_cron(key);
    }

    fn plan_cron(&mut self, key: &Key) {
        let Some(cron) = self.crons.get(key) else { return };
        let every = cron.every.as_secs().max(60);
        let next = (self.now.as_second() / every + 1) * every;
        // A second late, as the controller's work takes its time.
        if let Ok(at) = Timestamp::from_second(next) {
            self.at(at + SignedDuration::from_millis(400), Task::Cron(key.clone()));
        }
    }

    pub(super) fn run_cron(&mut self, key: &Key) {
        let now = self.now;
        let Some(cron) = self.crons.get_mut(key) else { return };
        let due = now.as_second() - now.as_second() % cron.every.as_secs().max(60);
        cron.last = Timestamp::from_second(due).ok();
        let (template, about) = (cron.template.clone(), About::new("batch/v1", "CronJob", key, &cron.uid));
        let job = (key.0.clone(), format!("{}-{}", key.1, due / 60));
        self.record(
            &about,
            "cronjob-controller",
            (false, "SuccessfulCreate"),
            &format!("Created job {}", job.1),
        );
        self.make_job(&job, template, 1, Some(key.clone()));
        let of = |j: &Job| j.cron.as_ref() == Some(key) && j.ended.is_some();
        let mut old: Vec<(Timestamp, Key)> =
            self.jobs.iter().filter(|(_, j)| of(j)).map(|(k, j)| (j.started, k.clone())).collect();
        old.sort();
        let surplus = old.len().saturating_sub(KEPT);
        for (_, job) in old.into_iter().take(surplus) {
            self.delete_job(&job);
        }
        self.write_cron_of(&job);
        self.plan_cron(key);
    }

    fn write_cron_of(&mut self, job: &Key) {
        let Some(key) = self.jobs.get(job).and_then(|j| j.cron.clone()) else { return };
        let Some(cron) = self.crons.get(&key) else { return };
        let active: Vec<Value> = self
            .jobs
            .iter()
            .filter(|(_, j)| j.cron.as_ref() == Some(&key) && j.ended.is_none())
            .map(|(k, j)| json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": k.0, "name": k.1, "uid": j.uid}))
            .collect();
        let mut status = json!({"lastScheduleTime": cron.last.map(seconds)});
        if !active.is_empty() {
            status["active"] = json!(active);
        }
        if let Some(at) = cron.last_success {
            status["lastSuccessfulTime"] = json!(seconds(at));
        }
        let writer = self.writer(CONTROLLER).status();
        let _ = writer.update("cronjobs", &key.0, &key.1, |object| object["status"] = status);
    }
}

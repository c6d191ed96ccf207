//! What the simulated API server refuses, as the `Status` object that a real one sends.
//!
//! Made by storage, access and faults; turned into a reply by the HTTP side.

use serde_json::{Value, json};

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code}): {message}")]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    /// `Forbidden`, `Expired`, `NotFound`, …
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Seconds for the header Retry-After.
    pub retry_after: Option<u32>,
}

impl Failure {
    /// Any other.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Failure { code, reason, message: message.into(), retry_after: None }
    }

    /// 410 for a version that is forgotten.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Failure::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 410 for a page of a list that is forgotten.
    pub fn expired_continue() -> Self {
        Failure::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new \
             list without the continue parameter.",
        )
    }

    /// 404 for an object.
    pub fn not_found(resource: &str, name: &str) -> Self {
        Failure::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
    }

    /// 404 for a path that is not served.
    pub fn no_route() -> Self {
        Failure::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409 for a name that is taken.
    pub fn exists(resource: &str, name: &str) -> Self {
        Failure::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
    }

    /// 409 for an outdated resourceVersion.
    pub fn conflict(resource: &str, name: &str) -> Self {
        Failure::new(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {resource} \"{name}\": the object has been modified; please apply \
                 your changes to the latest version and try again"
            ),
        )
    }

    /// 400 for parameters that cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(400, "BadRequest", message)
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let details = self.retry_after.map_or(json!({}), |secs| json!({"retryAfterSeconds": secs}));
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "details": details, "code": self.code})
    }
}

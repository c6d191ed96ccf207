//! Services that are told: one file each. A connector renders and sends; it never sleeps, retries or touches the
//! store. `dispatch` does all that.

mod bounds;
mod common;
mod def;
mod heartbeat;
pub mod http;
mod last_lines;
mod late;
mod notification;
mod options;
pub mod pages;
mod painchain;
pub mod payload;
mod sample_details;
pub mod samples;
mod signs;
mod slack;
pub mod template;
pub mod text;
mod webhook;
mod work;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use common::{COMMON, COST_DETAIL, Common, Conditions, Deliver};
pub use def::{Build, Built, COMMON_FIELDS, ConnectorDef, Field, Shape, build, def, settings_hash};
pub use heartbeat::heartbeat;
pub use http::{Clock, HttpClients, HttpError};
pub use last_lines::last_lines;
pub use notification::{DigestLine, Notification};
pub use options::{Options, Problem, is_placeholder};
pub use pages::Pages;

/// Every kind of connector, a line each.
pub const CONNECTORS: &[&ConnectorDef] = &[&painchain::DEF, &slack::DEF, &webhook::DEF];

/// What a service answered with, that a later message about the same thing needs: an issue number, a message id.
pub type Receipt = serde_json::Value;

/// A message, ready to send, without address, credentials or signature: it is stored with the claim, and is the
/// same on every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Rendered {
    /// MIME type of the body.
    pub content_type: String,
    /// The exact text sent.
    pub body: String,
    /// What a connector needs beside the body: an action, an issue number. Never secret.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub meta: serde_json::Value,
    /// The notification's id, for the place where the service looks.
    pub id: String,
    /// A fall-back was used, or something was cut: shown with the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The service has it.
    Delivered {
        /// For later messages about the same thing.
        receipt: Option<Receipt>,
        /// HTTP status or SMTP code.
        status: u16,
        /// The first 200 bytes of the answer.
        answer: String,
    },
    /// Try again. With reason `BadRequest` only a dozen times while it takes others: the answer is one that the service
    /// also gives to what it will never take.
    Retry {
        /// Why.
        reason: Reason,
        /// In words, secrets cut.
        detail: String,
        /// The service asked for at least this much silence: the whole destination pauses.
        after: Option<std::time::Duration>,
        /// HTTP status; 0 where there was no answer.
        status: u16,
    },
    /// It will never be taken.
    Reject {
        /// Why.
        reason: Reason,
        /// In words, with a hint what to do; secrets cut.
        detail: String,
        /// The next message would fail the same way (401, 403, 404, 410): the connector pauses itself.
        pause: bool,
        /// HTTP status.
        status: u16,
    },
}

/// Why an attempt failed: closed, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Name look-up, refused or broken connection.
    Network,
    /// TLS: certificate or handshake.
    Tls,
    /// No answer in time.
    Timeout,
    /// 408, 425, 429 or the service's own body for it.
    RateLimited,
    /// 5xx.
    ServerError,
    /// 400, 405, 413, 415, 422, or a body that says so.
    BadRequest,
    /// 401, 403.
    Unauthorized,
    /// 404, 410.
    NotFound,
    /// A success status with an answer that was no success.
    UnexpectedAnswer,
    /// We could not make the message.
    Render,
    /// The horizon passed.
    Expired,
}

impl Reason {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Network => "network",
            Reason::Tls => "tls",
            Reason::Timeout => "timeout",
            Reason::RateLimited => "rate_limited",
            Reason::ServerError => "server_error",
            Reason::BadRequest => "bad_request",
            Reason::Unauthorized => "unauthorized",
            Reason::NotFound => "not_found",
            Reason::UnexpectedAnswer => "unexpected_answer",
            Reason::Render => "render",
            Reason::Expired => "expired",
        }
    }
}

/// A message could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub String);

/// What a service answered to a question that sends nothing; one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Address and credentials are right, as far as can be asked.
    Works(String),
    /// It is there; what it would say to a message is not known.
    Answers(String),
    /// It is there, and says that it is not well.
    Unwell(String),
}

impl Checked {
    /// The line.
    pub fn line(&self) -> &str {
        match self {
            Checked::Works(line) | Checked::Answers(line) | Checked::Unwell(line) => line,
        }
    }
}

/// One configured service.
pub trait Connector: Send + Sync {
    /// The message, from frozen facts alone.
    fn render(&self, notification: &Notification, receipt: Option<&Receipt>)
    -> Result<Rendered, RenderError>;
    /// One attempt.
    fn deliver<'a>(&'a self, message: &'a Rendered) -> BoxFuture<'a, Outcome>;
    /// Whether the service can be reached and the settings are right, without sending anything that a person
    /// would see. An error is one line, too: it cannot be reached, or refuses us.
    fn check(&self) -> BoxFuture<'_, Result<Checked, String>>;
}

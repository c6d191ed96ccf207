//! The one integration binary: a file per behaviour, real parts, no network beyond loopback.

mod connector_painchain;
mod connector_slack;
mod connector_webhook;
mod dispatch;
mod support;

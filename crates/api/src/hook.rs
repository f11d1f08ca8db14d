//! What machines report, and what came of it.

use serde::{Deserialize, Serialize};
use taxiway_model::ids::{ReleaseId, StreamId};
use taxiway_model::metrics::Secret;

/// A signal as a machine sends it to `/v1/hooks/signal`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalRequest {
    /// The service; not needed where a release is named, or where there is only one.
    pub service: Option<String>,
    /// The environment; not needed where the service has only one.
    pub environment: Option<String>,
    /// The release it is about: of another one than that in flight it does nothing.
    pub release: Option<String>,
    /// `data-integrity`, `security`, `critical-bug` or `user-reports`.
    pub signal: String,
    /// What was seen.
    pub detail: String,
    /// The sender's key: the same one sent twice is one report.
    pub key: Option<String>,
}

/// The answer to a webhook that was understood, at least in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAnswer {
    /// What came of each alert or report, in their order.
    pub results: Vec<HookResult>,
}

/// What came of one alert or report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookResult {
    /// What it was about (`HighErrors`, `critical-bug`).
    pub what: String,
    /// What was done.
    pub done: Done,
    /// One sentence.
    pub said: String,
    /// The stream it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// The release it concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
}

/// What was done about an alert or report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The release goes back.
    RollsBack,
    /// It was put on record.
    Recorded,
    /// Nothing: it is over, it was known already, or nothing in flight can have caused it.
    Nothing,
    /// Nothing: it is not said what it means, or for which service.
    Unknown,
}

/// Take webhooks at an address from now on, or no longer at the one named so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenRequest {
    /// `ip:port`; none closes what an earlier request has opened.
    pub listen: Option<String>,
    /// Where the token lies.
    pub token: Option<Secret>,
}

/// Where webhooks are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The addresses in use.
    pub addresses: Vec<String>,
}

//! What users said.

use serde::{Deserialize, Serialize};
use taxiway_model::feedback::Kind;
use taxiway_model::ids::ReleaseId;
use taxiway_model::time::Timestamp;

/// How much was said of a release, or since the last one ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedbackView {
    /// All of it.
    pub all: u64,
    /// Problems; of a release in flight one a user, and those of its own version.
    pub problems: u64,
    /// Praise.
    pub praise: u64,
    /// The mean of the ratings in hundredths (350 is 3.5 of 5); none without one.
    pub rating_centi: Option<u64>,
    /// How many problems are usual, in words; none where nobody knows.
    pub usual: Option<String>,
    /// The newest pieces, oldest first.
    pub latest: Vec<Said>,
}

/// One piece of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When it came.
    pub at: Timestamp,
    /// The release it was said of.
    pub release: Option<ReleaseId>,
    /// The step that was on, by name.
    pub step: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// 1 to 5, where one was given.
    pub rating: Option<u8>,
    /// What was said.
    pub text: String,
}

/// Feedback as a person or a machine sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The service; not needed where a release is named, or where there is only one.
    pub service: Option<String>,
    /// The environment; not needed where the service has only one.
    pub environment: Option<String>,
    /// The release it is about; none: the one in flight, else the last one.
    pub release: Option<String>,
    /// The version the user had, where that is known.
    pub version: Option<String>,
    /// `problem`, `praise` or `remark`; none: by the rating.
    pub kind: Option<Kind>,
    /// 1 (bad) to 5 (good).
    pub rating: Option<u8>,
    /// What was said.
    pub text: String,
    /// Something that tells users apart; only a digest of it is kept.
    pub user: Option<String>,
    /// The sender's key: the same one sent twice is one piece of feedback.
    pub key: Option<String>,
}

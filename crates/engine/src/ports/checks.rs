//! Smoke tests and hooks, as the engine needs them.

use taxiway_model::decision::CheckOrder;
use taxiway_model::observation::CheckStatus;

/// Runs checks beside the engine.
pub trait Checks: Send + Sync {
    /// Begins an attempt, unless this very attempt is running or has ended. Returns at once.
    fn start(&self, order: &CheckOrder);

    /// Where an attempt is; none when this runner has never seen it (it was restarted).
    fn status(&self, effect: &str, attempt: u32) -> Option<CheckStatus>;
}

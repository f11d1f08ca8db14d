//! Where versions run, as the engine needs it.

use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::observation::WorkloadStatus;

/// Why a target did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The intent is older than one the target has seen.
    #[error("the target is at {current}, the order is of {given}: an old order is not carried out")]
    Stale {
        /// The order's generation.
        given: Generation,
        /// The newest one seen.
        current: Generation,
    },
    /// The target does not answer; worth another try.
    #[error("the target does not answer: {0}")]
    Unavailable(String),
}

/// A place where versions run.
pub trait Workload: Send + Sync {
    /// Makes exactly the desired instances run. Returns once the order is on its way (and would
    /// survive a crash of the caller), not when it is carried out; that is observed.
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), Error>;

    /// The instances of a stream as they are now. Cheap: it is asked at every tick.
    fn observe(&self, stream: &StreamId) -> Result<WorkloadStatus, Error>;

    /// Stops everything of a stream and forgets it; returns when nothing of it is left running.
    fn stop(&self, stream: &StreamId) -> Result<(), Error>;
}

//! Time, as the engine needs it.

use taxiway_model::time::Timestamp;

/// The only source of time. Wall time is for people and for deadlines that outlive a restart;
/// spans are measured on the monotonic clock.
pub trait Clock: Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;

    /// Milliseconds on a clock that never goes back and stops while the machine sleeps.
    fn monotonic_ms(&self) -> u64;
}

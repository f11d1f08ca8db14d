//! The system's clock: the one place where time enters.

use crate::ports::clock::Clock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use taxiway_model::time::Timestamp;

/// Wall clock and monotonic clock of this machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The clock, its monotonic side at zero now.
    #[expect(clippy::new_without_default, reason = "a clock that starts by accident hides a bug")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

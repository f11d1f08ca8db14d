//! The proxy's clocks: a monotonic one for leases, limits and latencies, and the wall clock for
//! what people read. Both in microseconds; reading the monotonic one is the only cost per request.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use taxiway_model::time::Timestamp;

thread_local! {
    static RECENT: Cell<u64> = const { Cell::new(0) };
}

/// Microseconds since the clock was made; never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// This point and `ms` milliseconds more.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// Microseconds since `earlier`; zero when that is later.
    pub fn since_us(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds since `earlier`; zero when that is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.since_us(earlier) / 1_000
    }
}

/// One clock for the process, shared by every core.
#[derive(Debug)]
pub struct Clock {
    base: Instant,
    /// Wall clock at `base`, in microseconds; refreshed so that a corrected wall clock is followed.
    wall_base: AtomicI64,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Self {
        let clock = Self { base: Instant::now(), wall_base: AtomicI64::new(0) };
        clock.follow_wall();
        clock
    }

    /// The monotonic time.
    pub fn now(&self) -> Mono {
        let now = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        RECENT.set(now);
        Mono(now)
    }

    /// The monotonic time as this thread last read it: for limits of seconds, on a core that reads
    /// the clock with every request and every sweep.
    pub fn recent(&self) -> Mono {
        Mono(RECENT.get())
    }

    /// The wall clock at a monotonic time.
    pub fn wall(&self, at: Mono) -> Timestamp {
        Timestamp(self.wall_base.load(Relaxed).saturating_add(i64::try_from(at.0).unwrap_or(i64::MAX)))
    }

    /// Takes over a wall clock that was set since; called about once a second.
    pub fn follow_wall(&self) {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        let now = i64::try_from(self.now().0).unwrap_or(i64::MAX);
        self.wall_base.store(wall.saturating_sub(now), Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

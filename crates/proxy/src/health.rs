//! Which instances get requests. Pure: outcomes and the time go in, a standing comes out.
//!
//! Passive: connections that fail in a row take an instance out for a while, longer each time;
//! then one request may try it. Active: probes that fail in a row take it out until enough of
//! them succeed. What the instance answers (5xx) is the judge's business, never health's: a proxy
//! that hides a canary's errors by avoiding it falsifies the measurement.

use crate::clock::Mono;
use crate::counts::{Counter, End};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use taxiway_model::control::Answered;
use taxiway_model::route::ActiveHealth;

/// Failures in a row that take an instance out. One refused connection happens at any restart.
const FAILURES_MAX: u32 = 3;
/// First time out; doubled each time, up to `OUT_MS_MAX`.
const OUT_MS: u64 = 500;
/// Longest time out: an instance that came back should not wait longer for its share.
const OUT_MS_MAX: u64 = 10_000;

/// The standing of one instance, shared by every core.
#[derive(Debug, Default)]
pub struct Health {
    /// Until when it gets nothing because of failed connections, in monotonic microseconds.
    out_until: AtomicU64,
    /// Non-zero while probes say it is ill.
    ill: AtomicU64,
    detail: Mutex<Detail>,
    cores: Box<[Core]>,
}

/// What one core counts; a cache line each, since cores write them all the time.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Core {
    open: Counter,
    answered: Counter,
    failed: Counter,
}

#[derive(Debug, Default)]
struct Detail {
    failures: u32,
    times_out: u32,
    probes_bad: u32,
    probes_good: u32,
    why: String,
}

impl Health {
    /// An instance nothing is known of, with room for the counts of so many cores.
    pub fn new(cores: usize) -> Self {
        Self { cores: (0..cores).map(|_| Core::default()).collect(), ..Self::default() }
    }

    /// Requests and streams a core has open at it.
    pub fn open(&self, core: usize) -> &Counter {
        &self.cores[core].open
    }

    /// Counts how a request ended here. Only the owning core may call this.
    pub fn ended(&self, core: usize, end: End) {
        let failed = match end {
            End::Status(code) => code >= 500,
            End::Timeout | End::ConnectError => true,
            End::Client => return,
        };
        self.cores[core].answered.bump();
        if failed {
            self.cores[core].failed.bump();
        }
    }

    /// The answer began well and broke off: the request, already counted, failed after all.
    pub fn broke_off(&self, core: usize) {
        self.cores[core].failed.bump();
    }

    /// What it has answered over all cores.
    pub fn answered(&self) -> Answered {
        self.cores.iter().fold(Answered::default(), |sum, core| Answered {
            requests: sum.requests + core.answered.get(),
            failed: sum.failed + core.failed.get(),
        })
    }

    /// Requests and streams open at it over all cores.
    pub fn open_total(&self) -> u64 {
        self.cores.iter().map(|core| core.open.get()).sum()
    }

    /// Whether it may get requests.
    pub fn is_in(&self, now: Mono) -> bool {
        self.ill.load(Relaxed) == 0 && self.out_until.load(Relaxed) <= now.0
    }

    /// Whether only failed connections, not probes, keep it out: the last resort when no other
    /// instance is in, since refusing everything on a guess is worse than one more failure.
    pub fn is_last_resort(&self) -> bool {
        self.ill.load(Relaxed) == 0
    }

    /// A connection was made or reused well. Cheap when there was nothing to forgive.
    pub fn succeeded(&self) {
        if self.out_until.load(Relaxed) != 0 {
            let mut detail = self.lock();
            detail.failures = 0;
            detail.times_out = 0;
            self.out_until.store(0, Relaxed);
        }
    }

    /// A connection failed.
    pub fn failed(&self, now: Mono, why: &str) {
        let mut detail = self.lock();
        detail.failures += 1;
        // Marks that there is something to forgive even before it is out.
        self.out_until.store(self.out_until.load(Relaxed).max(1), Relaxed);
        if detail.failures >= FAILURES_MAX && self.out_until.load(Relaxed) <= now.0 {
            let out_ms = (OUT_MS << detail.times_out.min(16)).min(OUT_MS_MAX);
            detail.times_out += 1;
            detail.why = format!("{} connections in a row failed: {why}", detail.failures);
            self.out_until.store(now.plus_ms(out_ms).0, Relaxed);
        }
    }

    /// A probe ended; `Err` says how it failed.
    pub fn probed(&self, rule: &ActiveHealth, result: Result<(), String>) {
        let mut detail = self.lock();
        match result {
            Ok(()) => {
                detail.probes_bad = 0;
                detail.probes_good += 1;
                if self.ill.load(Relaxed) != 0 && detail.probes_good >= rule.healthy_after.max(1) {
                    self.ill.store(0, Relaxed);
                }
            }
            Err(why) => {
                detail.probes_good = 0;
                detail.probes_bad += 1;
                if detail.probes_bad >= rule.unhealthy_after.max(1) {
                    detail.why = format!("{} health checks in a row failed: {why}", detail.probes_bad);
                    self.ill.store(1, Relaxed);
                }
            }
        }
    }

    /// Probing ended (the table no longer asks for it): what probes said no longer counts.
    pub fn forget_probes(&self) {
        self.ill.store(0, Relaxed);
    }

    /// Why it gets nothing at the moment; none while it is in.
    pub fn why_out(&self, now: Mono) -> Option<String> {
        if self.is_in(now) { None } else { Some(self.lock().why.clone()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Detail> {
        self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Mono = Mono(1_000_000);

    #[test]
    fn failures_in_a_row_take_it_out_for_longer_each_time() {
        let health = Health::default();
        health.failed(T, "refused");
        health.failed(T, "refused");
        health.succeeded();
        health.failed(T, "refused");
        health.failed(T, "refused");
        assert!(health.is_in(T), "two in a row are not enough");
        health.failed(T, "refused");
        assert!(!health.is_in(T) && health.is_last_resort());
        assert!(health.why_out(T).unwrap().contains("3 connections in a row failed: refused"));
        let back = T.plus_ms(OUT_MS);
        assert!(health.is_in(back), "one request may try it");
        health.failed(back, "refused");
        assert!(!health.is_in(back.plus_ms(OUT_MS)), "out for twice as long");
        assert!(health.is_in(back.plus_ms(2 * OUT_MS)));
        health.succeeded();
        health.failed(back, "refused");
        assert!(health.is_in(back), "a success wipes the slate");
    }

    #[test]
    fn probes_take_it_out_and_bring_it_back() {
        let rule = ActiveHealth {
            path: "/".into(),
            interval_ms: 1,
            timeout_ms: 1,
            unhealthy_after: 2,
            healthy_after: 3,
        };
        let health = Health::default();
        health.probed(&rule, Err("503".into()));
        assert!(health.is_in(T));
        health.probed(&rule, Err("503".into()));
        assert!(!health.is_in(T) && !health.is_last_resort());
        for _ in 0..2 {
            health.probed(&rule, Ok(()));
            assert!(!health.is_in(T));
        }
        health.probed(&rule, Ok(()));
        assert!(health.is_in(T));
    }
}

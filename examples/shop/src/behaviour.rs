//! What happens to a request before it is answered: how long it takes and whether it fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::args::{Args, Behaviour};
use crate::metrics::Metrics;

/// The longest an overloaded instance lets a request queue before it refuses it.
const QUEUE_MAX: Duration = Duration::from_millis(500);

/// The endpoints that do work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Catalogue,
    Search,
    Checkout,
}

impl Endpoint {
    /// The least time this endpoint takes, in microseconds; a tail comes on top.
    const fn floor_us(self) -> u64 {
        match self {
            Self::Catalogue => 4_500,
            Self::Search => 6_000,
            Self::Checkout => 7_500,
        }
    }
}

/// Why a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A bug of this version.
    Bug,
    /// More requests than this instance can serve.
    Overloaded,
    /// The shared dependency is down.
    DependencyDown,
    /// Not started yet.
    NotReady,
}

impl Failure {
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Bug => "internal error",
            Self::Overloaded => "too many requests for this instance",
            Self::DependencyDown => "the stock database is down",
            Self::NotReady => "still starting",
        }
    }
}

/// The changing part of one instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) args: Args,
    pub(crate) metrics: Metrics,
    started: Instant,
    draws: AtomicU64,
    seed: u64,
    /// When the single worker of an overloaded instance will have finished what is queued.
    busy_until: Mutex<Instant>,
    kept: Mutex<Vec<Box<[u8]>>>,
}

impl Instance {
    pub(crate) fn new(args: Args) -> Self {
        let started = Instant::now();
        // The process id keeps replicas from failing in step.
        let seed = u64::from(std::process::id()) << 32 | 0x5eed;
        let (busy_until, kept) = (Mutex::new(started), Mutex::default());
        let metrics = Metrics::default();
        Self { args, metrics, started, draws: AtomicU64::new(0), seed, busy_until, kept }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.started.elapsed() >= self.args.start_time()
    }

    /// Does the work of one request: takes its time, then succeeds or says why not.
    pub(crate) async fn work(&self, endpoint: Endpoint) -> Result<(), Failure> {
        if !self.is_ready() {
            return Err(Failure::NotReady);
        }
        if self.args.behaviour == Behaviour::Overload {
            tokio::time::sleep(self.queue()?).await;
        }
        tokio::time::sleep(self.service_time(endpoint)).await;
        if let Some(dependency) = &self.args.dependency
            && !dependency.is_up().await
        {
            return Err(Failure::DependencyDown);
        }
        if self.args.behaviour == Behaviour::Leak {
            self.leak();
        }
        if self.fails(endpoint) { Err(Failure::Bug) } else { Ok(()) }
    }

    /// A floor plus an exponential tail of 1.5 ms on average, so that p99 is a real tail (about 7 ms above the floor).
    fn service_time(&self, endpoint: Endpoint) -> Duration {
        let tail_us = -(1.0 - self.draw()).ln() * 1_500.0;
        let micros = endpoint.floor_us() + tail_us as u64;
        let factor = if self.args.behaviour == Behaviour::Slow { 3 } else { 1 };
        Duration::from_micros(micros * factor)
    }

    /// One worker that needs `1 / capacity` seconds per request: the wait in its queue, or a refusal.
    fn queue(&self) -> Result<Duration, Failure> {
        let now = Instant::now();
        let slot = Duration::from_secs(1) / self.args.capacity;
        let mut busy_until = self.busy_until.lock().expect("no holder of this lock panics");
        let begins = (*busy_until).max(now);
        if begins - now > QUEUE_MAX {
            return Err(Failure::Overloaded);
        }
        *busy_until = begins + slot;
        Ok(begins - now)
    }

    /// Keeps memory that nothing will read again; written to, so that it is resident and not merely reserved.
    fn leak(&self) {
        let mut kept = self.kept.lock().expect("no holder of this lock panics");
        kept.push(vec![0xa5; self.args.leak_kib * 1024].into_boxed_slice());
        let kept_kib = kept.len() * self.args.leak_kib;
        if kept_kib > self.args.heap_limit_mib * 1024 {
            crate::log::line(&format!("error: out of memory, {kept_kib} KiB in use"));
            std::process::exit(134);
        }
    }

    fn fails(&self, endpoint: Endpoint) -> bool {
        let concerned = match self.args.behaviour {
            Behaviour::Errors => true,
            Behaviour::Late => self.started.elapsed() >= Duration::from_secs(self.args.late_after_s),
            Behaviour::OneEndpoint => endpoint == Endpoint::Checkout,
            _ => false,
        };
        concerned && self.draw() * 100.0 < f64::from(self.args.error_share_percent())
    }

    /// The next number in [0, 1): splitmix64 over a counter.
    fn draw(&self) -> f64 {
        let count = self.draws.fetch_add(1, Ordering::Relaxed);
        let mut z = self.seed.wrapping_add(count.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

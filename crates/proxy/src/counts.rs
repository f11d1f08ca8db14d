//! What was seen of the traffic: per core, version and endpoint class. Each cell is written by
//! one core only and read by anyone, so counting costs no locked instruction and no sharing.

use crate::clock::{Clock, Mono};
use crate::histogram::Recorder;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use taxiway_model::control::Snapshot;
use taxiway_model::counts::Counts;
use taxiway_model::ids::VersionName;

/// Versions whose counts are kept after they have left the table. A release has two, and whoever
/// reads counts does so every second: the bound only keeps years of releases from piling up.
const FORMER_VERSIONS_MAX: usize = 8;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more. Only the owning core may call this.
    pub fn bump(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    /// One less. Only the owning core may call this.
    pub fn drop_one(&self) {
        self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
    }

    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How a request ended, as far as the version is to blame or to praise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An answer with this status.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// The instance refused, reset or broke the connection before an answer.
    ConnectError,
    /// The client (or the proxy's own limits) ended it: counts for nobody but is counted.
    Client,
}

/// One core's counts of one version and class.
#[derive(Debug, Default)]
pub struct Slot {
    requests: Counter,
    status: [Counter; 5],
    timeouts: Counter,
    connect_errors: Counter,
    latency: Recorder,
}

impl Slot {
    /// Counts a request that has its answer's head or will get none. `us`: since its arrival.
    pub fn ended(&self, end: End, us: u64) {
        self.requests.bump();
        match end {
            End::Status(code) => {
                self.status[usize::from(code / 100).clamp(1, 5) - 1].bump();
                self.latency.record(us);
            }
            End::Timeout => {
                self.timeouts.bump();
                self.latency.record(us);
            }
            End::ConnectError => self.connect_errors.bump(),
            End::Client => {}
        }
    }

    /// The answer began well and broke off: the request, already counted, failed after all.
    pub fn broke_off(&self) {
        self.connect_errors.bump();
    }

    fn add_to(&self, counts: &mut Counts) {
        counts.requests += self.requests.get();
        for (sum, one) in counts.status.iter_mut().zip(&self.status) {
            *sum += one.get();
        }
        counts.timeouts += self.timeouts.get();
        counts.connect_errors += self.connect_errors.get();
        self.latency.add_to(&mut counts.latency);
    }
}

/// One core's counts of one version.
#[derive(Debug, Default)]
pub struct VersionCounts {
    /// Requests, streams and tunnels not yet ended.
    pub open: Counter,
    first_routed: Counter,
    last_routed: Counter,
    /// Answers to mirrored requests.
    pub mirrored: Slot,
    classes: Mutex<BTreeMap<String, Arc<Slot>>>,
}

impl VersionCounts {
    /// Notes that a request was routed to the version.
    pub fn routed(&self, at: Mono) {
        let at = at.0.max(1);
        if self.first_routed.get() == 0 {
            self.first_routed.set(at);
        }
        self.last_routed.set(at);
    }

    /// The slot of an endpoint class.
    pub fn class(&self, name: &str) -> Arc<Slot> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        classes.entry(name.to_owned()).or_default().clone()
    }
}

/// Why the proxy answered a request itself, or did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refused {
    /// The table names no baseline.
    NoBaseline,
    /// The version has no instance that takes requests.
    NoInstance,
    /// Request head over the limits.
    HeadTooLarge,
    /// Request head not complete in time.
    HeadTimeout,
    /// Request body over the limit.
    BodyTooLarge,
    /// Request body stopped coming.
    BodyTimeout,
    /// Not HTTP, or ambiguous in a way that invites smuggling.
    BadRequest,
    /// CONNECT and other things a reverse proxy does not do.
    Unsupported,
    /// Too many open connections.
    ConnectionsMax,
    /// TLS handshake failed.
    TlsHandshake,
    /// The client stopped reading the answer.
    WriteTimeout,
    /// A mirrored copy was not sent: body too large, or too many copies under way.
    MirrorSkipped,
    /// An open stream was closed after the drain time.
    Drained,
    /// The instance refused or broke the connection; counted for its version too.
    InstanceFailed,
    /// The instance did not answer in time; counted for its version too.
    InstanceTimeout,
}

impl Refused {
    const ALL: [(Self, &'static str); 15] = [
        (Self::NoBaseline, "no_baseline"),
        (Self::NoInstance, "no_instance"),
        (Self::HeadTooLarge, "head_too_large"),
        (Self::HeadTimeout, "head_timeout"),
        (Self::BodyTooLarge, "body_too_large"),
        (Self::BodyTimeout, "body_timeout"),
        (Self::BadRequest, "bad_request"),
        (Self::Unsupported, "unsupported"),
        (Self::ConnectionsMax, "connections_max"),
        (Self::TlsHandshake, "tls_handshake"),
        (Self::WriteTimeout, "write_timeout"),
        (Self::MirrorSkipped, "mirror_skipped"),
        (Self::Drained, "drained"),
        (Self::InstanceFailed, "instance_failed"),
        (Self::InstanceTimeout, "instance_timeout"),
    ];
}

/// Everything counted for one service.
#[derive(Debug)]
pub struct Ledger {
    cores: usize,
    versions: Mutex<BTreeMap<VersionName, Arc<[VersionCounts]>>>,
    refused: [AtomicU64; Refused::ALL.len()],
}

impl Ledger {
    /// An empty ledger for so many cores.
    pub fn new(cores: usize) -> Self {
        Self { cores, versions: Mutex::default(), refused: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The counts of a version, one element per core.
    pub fn version(&self, name: &VersionName) -> Arc<[VersionCounts]> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let cores = self.cores;
        versions
            .entry(name.clone())
            .or_insert_with(|| (0..cores).map(|_| VersionCounts::default()).collect())
            .clone()
    }

    /// Forgets the oldest versions that are no longer in the table and have nothing open.
    pub fn prune(&self, in_table: &[VersionName]) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut former: Vec<_> = versions
            .iter()
            .filter(|(name, cores)| !in_table.contains(name) && cores.iter().all(|c| c.open.get() == 0))
            .map(|(name, cores)| (cores.iter().map(|c| c.last_routed.get()).max(), name.clone()))
            .collect();
        former.sort();
        let excess = former.len().saturating_sub(FORMER_VERSIONS_MAX);
        for (_, name) in &former[..excess] {
            versions.remove(name);
        }
    }

    /// Counts something the proxy refused.
    pub fn refuse(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Requests, streams and tunnels open over all versions and cores.
    pub fn open_total(&self) -> u64 {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.values().flat_map(|cores| cores.iter()).map(|core| core.open.get()).sum()
    }

    /// Adds everything counted to a snapshot.
    pub fn read(&self, clock: &Clock, snapshot: &mut Snapshot) {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, cores) in versions.iter() {
            let classes = snapshot.versions.entry(name.clone()).or_default();
            let mut mirrored = Counts::default();
            for core in cores.iter() {
                for (class, slot) in core.classes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    slot.add_to(classes.entry(class.clone()).or_default());
                }
                core.mirrored.add_to(&mut mirrored);
            }
            if mirrored.requests > 0 {
                snapshot.mirrored.insert(name.clone(), mirrored);
            }
            snapshot.open.insert(name.clone(), cores.iter().map(|core| core.open.get()).sum());
            let first = cores.iter().map(|c| c.first_routed.get()).filter(|at| *at > 0).min();
            let last = cores.iter().map(|c| c.last_routed.get()).filter(|at| *at > 0).max();
            if let (Some(first), Some(last)) = (first, last) {
                snapshot.first_routed.insert(name.clone(), clock.wall(Mono(first)));
                snapshot.last_routed.insert(name.clone(), clock.wall(Mono(last)));
            }
        }
        for (why, name) in Refused::ALL {
            let count = self.refused[why as usize].load(Relaxed);
            if count > 0 {
                snapshot.refused.insert(name.to_owned(), count);
            }
        }
    }
}

//! What was sent and what came back, per second and in all.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::latency::Latencies;

/// Latency quantiles in microseconds, over the requests that got an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50_us: u64,
    /// 95 of 100 requests are at least as fast.
    pub p95_us: u64,
    /// 99 of 100 requests are at least as fast.
    pub p99_us: u64,
    /// The slowest request.
    pub max_us: u64,
}

impl From<&Latencies> for Quantiles {
    fn from(latencies: &Latencies) -> Self {
        let at = |per_mille| latencies.quantile_us(per_mille).unwrap_or(0);
        Self { p50_us: at(500), p95_us: at(950), p99_us: at(990), max_us: latencies.max_us() }
    }
}

/// What one version answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VersionReport {
    /// Answers of this version.
    pub requests: u64,
    /// Those of them with a status of 500 or more.
    pub errors: u64,
    /// How long they took.
    pub latency: Quantiles,
}

/// What happened in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Requests that ended in this span, whichever way.
    pub requests: u64,
    /// Answers with a status below 500.
    pub ok: u64,
    /// Answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by the value of `x-version`; answers without that header stand under `none`.
    pub by_version: BTreeMap<String, VersionReport>,
    /// Requests that got no answer: connection refused, reset or closed.
    pub connection_errors: u64,
    /// Requests that got no answer in time.
    pub timeouts: u64,
    /// How often a user was answered by another version than the time before.
    pub version_changes: u64,
    /// How long all answers took.
    pub latency: Quantiles,
}

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answered {
        /// Its status code.
        status: u16,
        /// The value of `x-version`, when there was one.
        version: Option<String>,
    },
    /// The connection was refused, reset or closed before the whole answer was there.
    ConnectionError,
    /// No whole answer came in time.
    Timeout,
}

/// Counts while they grow.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    by_status: BTreeMap<u16, u64>,
    by_version: BTreeMap<String, (u64, Latencies)>,
    connection_errors: u64,
    timeouts: u64,
    version_changes: u64,
    latencies: Latencies,
}

impl Tally {
    /// Counts one request that took `latency_us` microseconds from the moment it was due.
    pub fn count(&mut self, outcome: &Outcome, latency_us: u64, changed_version: bool) {
        self.version_changes += u64::from(changed_version);
        match outcome {
            Outcome::ConnectionError => self.connection_errors += 1,
            Outcome::Timeout => self.timeouts += 1,
            Outcome::Answered { status, version } => {
                *self.by_status.entry(*status).or_default() += 1;
                let name = version.as_deref().unwrap_or("none");
                if !self.by_version.contains_key(name) {
                    self.by_version.insert(name.to_owned(), (0, Latencies::default()));
                }
                let (errors, latencies) = self.by_version.get_mut(name).expect("inserted above");
                *errors += u64::from(*status >= 500);
                latencies.record(latency_us);
                self.latencies.record(latency_us);
            }
        }
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        for (name, (errors, latencies)) in &other.by_version {
            let mine = self.by_version.entry(name.clone()).or_default();
            mine.0 += errors;
            mine.1.merge(latencies);
        }
        self.connection_errors += other.connection_errors;
        self.timeouts += other.timeouts;
        self.version_changes += other.version_changes;
        self.latencies.merge(&other.latencies);
    }

    /// The counts with their quantiles.
    pub fn report(&self) -> Report {
        let by_version = self.by_version.iter().map(|(name, (errors, latencies))| {
            let requests = latencies.total();
            (name.clone(), VersionReport { requests, errors: *errors, latency: latencies.into() })
        });
        Report {
            requests: self.latencies.total() + self.connection_errors + self.timeouts,
            ok: self.by_status.range(..500).map(|(_, count)| count).sum(),
            by_status: self.by_status.clone(),
            by_version: by_version.collect(),
            connection_errors: self.connection_errors,
            timeouts: self.timeouts,
            version_changes: self.version_changes,
            latency: (&self.latencies).into(),
        }
    }
}

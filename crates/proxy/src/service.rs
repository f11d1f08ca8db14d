//! One service as every core sees it: the table in force, the lease, counts, health.

use crate::clock::{Clock, Mono};
use crate::counts::Ledger;
use crate::error::Error;
use crate::health::Health;
use crate::table::Table;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use taxiway_model::control::Snapshot;
use taxiway_model::ids::{Generation, StreamId, VersionName};
use taxiway_model::route::{Applied, RouteTable};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// A table that was put in force, with what was looked up for it.
#[derive(Debug)]
pub struct Installed {
    /// The table.
    pub table: Table,
    /// Where the instances are, by the address in the table.
    pub addresses: BTreeMap<String, SocketAddr>,
    /// When it came into force.
    pub since: Timestamp,
}

/// Lets a change wait until no core is still deciding by what was before it. A core makes the
/// number odd while it decides; deciding takes a microsecond and never waits for anything.
#[derive(Debug, Default)]
pub struct Gate(AtomicU64);

impl Gate {
    /// Runs a decision. Only the owning core may call this.
    pub fn pass<T>(&self, decide: impl FnOnce() -> T) -> T {
        let passes = self.0.load(Relaxed);
        self.0.store(passes + 1, SeqCst);
        let decision = decide();
        self.0.store(passes + 2, SeqCst);
        decision
    }

    /// Waits until a decision that is being made now is made.
    pub fn wait(&self) {
        let passes = self.0.load(SeqCst);
        while passes % 2 == 1 && self.0.load(SeqCst) == passes {
            std::thread::yield_now();
        }
    }
}

/// What was done to a service last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// A table was put in force.
    Installed,
    /// Everything was given back, at this generation: only a newer table may expose a canary again.
    Returned(Generation),
}

/// One service and environment.
#[derive(Debug)]
pub struct Service {
    /// Which.
    pub stream: StreamId,
    /// The process's clock.
    pub clock: Arc<Clock>,
    /// What was counted.
    pub ledger: Ledger,
    /// Open client connections.
    pub connections: AtomicU32,
    /// Certificates, where clients come over TLS.
    pub tls: ArcSwapOption<rustls::ServerConfig>,
    installed: ArcSwap<Installed>,
    /// Increases with every table, so that a core sees with one load whether its view is old.
    epoch: AtomicU64,
    /// Until when the canary may have its share; zero when it may not.
    lease_until: AtomicU64,
    /// Held for microseconds: orders a return to the baseline and a table that is put in force.
    switched: Mutex<Switched>,
    health: Mutex<BTreeMap<(VersionName, String), Arc<Health>>>,
    gates: Arc<[Gate]>,
}

impl Service {
    /// A service with its first table.
    pub fn new(clock: Arc<Clock>, gates: Arc<[Gate]>, installed: Installed) -> Self {
        Self {
            stream: installed.table.source.stream.clone(),
            ledger: Ledger::new(gates.len()),
            connections: AtomicU32::new(0),
            tls: ArcSwapOption::empty(),
            installed: ArcSwap::from_pointee(installed),
            epoch: AtomicU64::new(1),
            lease_until: AtomicU64::new(0),
            switched: Mutex::new(Switched::Installed),
            health: Mutex::default(),
            gates,
            clock,
        }
    }

    /// The table in force.
    pub fn installed(&self) -> Arc<Installed> {
        self.installed.load_full()
    }

    /// The number of the table in force.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }

    /// Whether a table may replace the one in force.
    pub fn accepts(&self, table: &RouteTable) -> Result<(), Error> {
        self.check(table.generation, exposes(table), &self.lock_switched())
    }

    /// Puts a table in force, its lease counted from now. No request is decided by the old one
    /// once this returns.
    pub fn install(&self, installed: Installed, lease_ms: Option<u64>) -> Result<(), Error> {
        let mut switched = self.lock_switched();
        let source = &installed.table.source;
        let exposed = exposes(source);
        // Someone may have given everything back since the table was prepared.
        self.check(source.generation, exposed, &switched)?;
        let later = match *switched {
            Switched::Returned(at) => source.generation > at,
            Switched::Installed => true,
        };
        let names: Vec<_> = installed.table.versions.iter().map(|(name, _)| name.clone()).collect();
        let canary =
            |installed: &Installed| installed.table.source.canary.as_ref().map(|c| c.version.clone());
        // Another canary must not begin on the lease of the one before. The same one keeps it until
        // the new lease is set, so that its users do not fall back for a moment.
        if !later || canary(&installed) != canary(&self.installed()) {
            self.lease_until.store(0, SeqCst);
        }
        self.installed.store(Arc::new(installed));
        self.epoch.fetch_add(1, SeqCst);
        if later {
            *switched = Switched::Installed;
            match lease_ms {
                Some(lease_ms) => self.lease(lease_ms),
                None => self.lease_until.store(0, SeqCst),
            }
        }
        self.wait_for_cores();
        drop(switched);
        self.ledger.prune(&names);
        self.prune_health();
        Ok(())
    }

    fn check(&self, given: Generation, exposes: bool, switched: &Switched) -> Result<(), Error> {
        let stream = self.stream.clone();
        let seen = self.seen(switched);
        if given < seen {
            return Err(Error::Old { stream, given, seen });
        }
        match switched {
            Switched::Returned(at) if exposes && given <= *at => Err(Error::Returned { stream, seen: *at }),
            _ => Ok(()),
        }
    }

    /// The newest intent seen.
    fn seen(&self, switched: &Switched) -> Generation {
        let table = self.installed.load().table.source.generation;
        match switched {
            Switched::Returned(at) => table.max(*at),
            Switched::Installed => table,
        }
    }

    /// Lets the canary have its share for so long from now.
    pub fn lease(&self, lease_ms: u64) {
        self.lease_until.store(self.clock.now().plus_ms(lease_ms).0, SeqCst);
    }

    /// Extends the lease under the table in force.
    pub fn renew(&self, given: Generation, lease_ms: u64) -> Result<(), Error> {
        let switched = self.lock_switched();
        let (stream, seen) = (self.stream.clone(), self.seen(&switched));
        if given < seen {
            return Err(Error::Old { stream, given, seen });
        }
        if given > seen {
            return Err(Error::NotApplied { stream, given, seen });
        }
        if let Switched::Returned(seen) = *switched {
            return Err(Error::Returned { stream, seen });
        }
        self.lease(lease_ms);
        Ok(())
    }

    /// What is left of the lease, in milliseconds.
    pub fn lease_left_ms(&self) -> u64 {
        Mono(self.lease_until.load(SeqCst)).since_ms(self.clock.now())
    }

    /// Gives everything back to the baseline. No request is routed to the canary once this returns.
    pub fn to_baseline(&self, given: Generation) -> Result<(), Error> {
        let mut switched = self.lock_switched();
        let seen = self.seen(&switched);
        if given < seen {
            return Err(Error::Old { stream: self.stream.clone(), given, seen });
        }
        self.lease_until.store(0, SeqCst);
        *switched = Switched::Returned(given);
        self.wait_for_cores();
        Ok(())
    }

    /// Whether everything was given back under the table in force.
    pub fn returned(&self) -> bool {
        matches!(self.switched(), Switched::Returned(_))
    }

    /// What was done last.
    pub fn switched(&self) -> Switched {
        *self.lock_switched()
    }

    fn lock_switched(&self) -> MutexGuard<'_, Switched> {
        self.switched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the canary may have its share.
    pub fn lease_runs(&self, now: Mono) -> bool {
        self.lease_until.load(SeqCst) > now.0
    }

    /// What is in force, for whoever asks.
    pub fn applied(&self) -> Applied {
        let installed = self.installed();
        let canary = installed.table.source.canary.as_ref();
        let lease_runs = self.lease_runs(self.clock.now());
        Applied {
            generation: self.seen(&self.lock_switched()),
            weight: canary.filter(|_| lease_runs).map_or(WeightBp::ZERO, |c| c.weight),
            lease_ended: canary.is_some() && !lease_runs,
            since: installed.since,
        }
    }

    /// Everything counted since the process started.
    pub fn snapshot(&self, start: Timestamp) -> Snapshot {
        fail::fail_point!("proxy.before-counts-snapshot");
        let applied = self.applied();
        let now = self.clock.now();
        let mut snapshot = Snapshot {
            start,
            at: self.clock.wall(now),
            generation: applied.generation,
            weight: applied.weight,
            lease_ended: applied.lease_ended,
            ..Snapshot::default()
        };
        self.ledger.read(&self.clock, &mut snapshot);
        for ((version, address), health) in &*self.lock_health() {
            snapshot
                .answered_at
                .entry(version.clone())
                .or_default()
                .insert(address.clone(), health.answered());
            *snapshot.open_at.entry(address.clone()).or_default() += health.open_total();
            if let Some(why) = health.why_out(now) {
                snapshot.unhealthy.insert(address.clone(), why);
            }
        }
        snapshot
    }

    /// The standing of an instance.
    pub fn health(&self, version: &VersionName, address: &str) -> Arc<Health> {
        self.lock_health()
            .entry((version.clone(), address.to_owned()))
            .or_insert_with(|| Arc::new(Health::new(self.gates.len())))
            .clone()
    }

    fn prune_health(&self) {
        let installed = self.installed();
        let backends = &installed.table.source.backends;
        self.lock_health().retain(|(version, address), health| {
            health.open_total() > 0
                || backends.get(version).is_some_and(|list| list.iter().any(|b| b.address == *address))
        });
    }

    fn lock_health(&self) -> std::sync::MutexGuard<'_, BTreeMap<(VersionName, String), Arc<Health>>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_cores(&self) {
        for gate in self.gates.iter() {
            gate.wait();
        }
    }
}

/// Whether a table gives a canary anything at all.
fn exposes(table: &RouteTable) -> bool {
    table.canary.as_ref().is_some_and(|canary| {
        canary.weight > WeightBp::ZERO || canary.mirror > WeightBp::ZERO || canary.header.is_some()
    })
}

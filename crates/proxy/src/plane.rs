//! The whole data plane of a process: its cores and services, and the asks that change them.
//!
//! Two locks, so that going back waits for nothing: `applying` is held while a table is put in
//! force, disk writes included; `hosted` only for a look-up. `to_baseline` takes neither longer
//! than a look-up, and tells the disk afterwards.

use crate::clock::Clock;
use crate::core::{Core, Order};
use crate::error::Error;
use crate::persist::{self, Kept};
use crate::service::{Gate, Installed, Service, Switched};
use crate::table::Table;
use crate::takeover::LastWords;
use crate::tls::Fingerprint;
use crate::{listen, tls};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use taxiway_model::control::{Reply, Snapshot};
use taxiway_model::ids::{Generation, StreamId, VersionName};
use taxiway_model::route::{Applied, RouteTable};
use taxiway_model::time::Timestamp;

/// Sockets by the address they listen on.
pub type Sockets = BTreeMap<String, Vec<TcpListener>>;

/// The data plane of a process.
pub struct Plane {
    /// The process's clock.
    pub clock: Arc<Clock>,
    /// When it started; later than any earlier start on this data directory.
    pub start: Timestamp,
    /// Where tables are kept.
    pub directory: PathBuf,
    gates: Arc<[Gate]>,
    cores: Mutex<Vec<Core>>,
    core_count: usize,
    hosted: Mutex<BTreeMap<StreamId, Hosted>>,
    applying: Mutex<()>,
    /// Sockets of a predecessor that no table has claimed yet.
    inherited: Mutex<Sockets>,
    leaving: AtomicBool,
    replaced: AtomicBool,
}

struct Hosted {
    service: Arc<Service>,
    /// Kept beside those of the cores, to be handed to a successor.
    sockets: Sockets,
    fingerprint: Fingerprint,
}

/// Streams of a version that are to be closed later, because it lost its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draining {
    /// The service.
    pub stream: StreamId,
    /// The version.
    pub version: VersionName,
    /// How long its streams may go on.
    pub drain_ms: u64,
}

impl Plane {
    /// Starts the cores. Nothing is served yet.
    pub fn start(directory: PathBuf, core_count: usize, inherited: Sockets) -> Result<Self, Error> {
        let clock = Arc::new(Clock::new());
        let gates: Arc<[Gate]> = (0..core_count).map(|_| Gate::default()).collect();
        let start = clock.wall(clock.now());
        let cores = (0..core_count).map(|index| Core::start(index, gates.clone(), start.0 as u64));
        let cores = cores.collect::<Result<Vec<_>, _>>().map_err(Error::Start)?;
        Ok(Self {
            start,
            directory,
            gates,
            cores: Mutex::new(cores),
            core_count,
            hosted: Mutex::default(),
            applying: Mutex::default(),
            inherited: Mutex::new(inherited),
            leaving: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            clock,
        })
    }

    /// Puts a table in force and keeps it. Says whose streams are to be closed after a while.
    pub fn apply(&self, table: &RouteTable) -> Result<(Applied, Option<Draining>), Error> {
        let _one = lock(&self.applying);
        self.refuse_if_leaving()?;
        let stream = table.stream.clone();
        let lease_ms = table.canary.as_ref().map(|canary| canary.lease_ms);
        let before = self.service(&stream);
        if let Some(service) = &before {
            service.accepts(table)?;
        }
        let installed = self.prepare(table.clone())?;
        let draining = before.as_ref().and_then(|service| loses_share(&service.installed(), &installed));
        let exposes_more = match &before {
            Some(service) => exposure(table) > exposure(&service.installed().table.source),
            None => exposure(table) > 0,
        };
        let (sockets, new_tls) = self.open(&installed)?;
        let keep = || persist::keep(&self.directory, &Kept { table: table.clone(), returned: None });
        let kept = if exposes_more { keep() } else { Ok(()) };
        if let Err(source) = kept {
            return Err(Error::CannotKeep { path: persist::path(&self.directory, &stream), source });
        }
        let service = self.switch(installed, sockets, new_tls, lease_ms, before)?;
        if !exposes_more {
            // Less exposure is in force already, whatever the disk says.
            self.keep_if_possible(&service);
        }
        Ok((service.applied(), draining))
    }

    /// Serves a kept table, the canary without a lease.
    pub fn restore(&self, kept: Kept) -> Result<Applied, Error> {
        let _one = lock(&self.applying);
        let returned = kept.returned;
        let installed = self.prepare(kept.table)?;
        let (sockets, new_tls) = self.open(&installed)?;
        let service = self.switch(installed, sockets, new_tls, None, None)?;
        if let Some(generation) = returned {
            service.to_baseline(generation)?;
        }
        Ok(service.applied())
    }

    /// Does as the predecessor last said: what it gave back stays given back, and a canary has what
    /// is left of its lease.
    pub fn heed(&self, words: &LastWords) {
        for service in self.services() {
            let stream = service.stream.to_string();
            if let Some(generation) = words.returned.get(&stream) {
                // Refused only when a newer table came meanwhile, which is right.
                let _ = service.to_baseline(*generation);
                self.keep_if_possible(&service);
            } else if let Some(left_ms @ 1..) = words.leases_ms.get(&stream) {
                service.lease(*left_ms);
            }
        }
    }

    /// What a successor has to know, once this process takes no more orders.
    pub fn last_words(&self) -> LastWords {
        let mut words = LastWords::default();
        for service in self.services() {
            let stream = service.stream.to_string();
            match service.switched() {
                Switched::Returned(generation) => drop(words.returned.insert(stream, generation)),
                Switched::Installed => drop(words.leases_ms.insert(stream, service.lease_left_ms())),
            }
        }
        words
    }

    /// Gives everything back to the baseline. The caller keeps that on disk afterwards, with
    /// `keep_returned`: the disk has no say in it.
    pub fn to_baseline(
        &self,
        stream: &StreamId,
        generation: Generation,
    ) -> Result<(Applied, Option<Draining>), Error> {
        let service = self.service(stream).ok_or_else(|| Error::NoSuchService(stream.clone()))?;
        service.to_baseline(generation)?;
        // A successor may have read the state before: it has to be told itself.
        self.refuse_if_leaving()?;
        let installed = service.installed();
        let draining = installed.table.source.canary.as_ref().map(|canary| Draining {
            stream: stream.clone(),
            version: canary.version.clone(),
            drain_ms: canary.drain_ms,
        });
        Ok((service.applied(), draining))
    }

    /// Notes on disk what is in force.
    pub fn keep_returned(&self, stream: &StreamId) {
        let _one = lock(&self.applying);
        if let Some(service) = self.service(stream) {
            self.keep_if_possible(&service);
        }
    }

    /// Lets the canary have its share for so long from now.
    pub fn renew(&self, stream: &StreamId, generation: Generation, lease_ms: u64) -> Result<Applied, Error> {
        let service = self.service(stream).ok_or_else(|| Error::NoSuchService(stream.clone()))?;
        self.refuse_if_leaving()?;
        service.renew(generation, lease_ms)?;
        Ok(service.applied())
    }

    /// Counts of a service.
    pub fn counts(&self, stream: &StreamId) -> Result<Snapshot, Error> {
        let service = self.service(stream).ok_or_else(|| Error::NoSuchService(stream.clone()))?;
        Ok(service.snapshot(self.start))
    }

    /// Forgets a service, on disk too.
    pub fn remove(&self, stream: &StreamId) -> Result<(), Error> {
        let _one = lock(&self.applying);
        lock(&self.hosted).remove(stream);
        self.order_all(|| Order::Forget { stream: stream.clone() });
        persist::forget(&self.directory, stream)
            .map_err(|source| Error::Directory { path: persist::path(&self.directory, stream), source })
    }

    /// Closes the streams of a version, unless it has got a share again.
    pub fn cut(&self, draining: &Draining) {
        let Some(service) = self.service(&draining.stream) else { return };
        let table = &service.installed().table;
        let index = table.versions.iter().position(|(name, _)| *name == draining.version);
        let back = index.is_some_and(|index| {
            table.routes_to(index) && (!service.returned() || table.baseline == Some(index))
        });
        if !back {
            self.order_all(|| Order::Cut {
                stream: draining.stream.clone(),
                version: draining.version.clone(),
            });
        }
    }

    /// Who is there.
    pub fn hello(&self) -> Reply {
        let tables = self.services().into_iter().map(|s| (s.stream.to_string(), s.applied())).collect();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Reply::Hello { pid: std::process::id(), start: self.start, tables, program }
    }

    /// Every service.
    pub fn services(&self) -> Vec<Arc<Service>> {
        lock(&self.hosted).values().map(|hosted| hosted.service.clone()).collect()
    }

    /// Reads certificates again whose files have changed. One that cannot be read leaves the old
    /// one in use.
    pub fn reload_certificates(&self) {
        for hosted in lock(&self.hosted).values_mut() {
            let installed = hosted.service.installed();
            let Some(files) = &installed.table.source.listen.tls else { continue };
            let fingerprint = Fingerprint::of(files);
            if fingerprint == hosted.fingerprint {
                continue;
            }
            hosted.fingerprint = fingerprint;
            match tls::load(files) {
                Ok(config) => {
                    hosted.service.tls.store(Some(config));
                    tracing::info!(stream = %hosted.service.stream, "certificate reloaded");
                }
                Err(error) => {
                    tracing::error!(stream = %hosted.service.stream, %error, "certificate not reloaded; the old one stays in use");
                }
            }
        }
    }

    /// Copies of every listening socket, by address.
    pub fn sockets(&self) -> std::io::Result<Vec<(String, TcpListener)>> {
        let mut all = Vec::new();
        for hosted in lock(&self.hosted).values() {
            for (address, sockets) in &hosted.sockets {
                for socket in sockets {
                    all.push((address.clone(), socket.try_clone()?));
                }
            }
        }
        Ok(all)
    }

    /// Closes sockets of a predecessor that no table has claimed.
    pub fn drop_unclaimed(&self) {
        lock(&self.inherited).clear();
    }

    /// Accepts no more; open requests go on. `replaced`: a successor serves already.
    pub fn leave(&self, replaced: bool) {
        self.leaving.store(true, SeqCst);
        self.replaced.fetch_or(replaced, SeqCst);
        let _one = lock(&self.applying);
        for hosted in lock(&self.hosted).values_mut() {
            hosted.sockets.clear();
        }
        self.order_all(|| Order::Leave);
    }

    /// Whether a successor serves already.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(SeqCst)
    }

    /// Whether it accepts no more.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(SeqCst)
    }

    /// Open client connections, and streams and tunnels that outlive theirs.
    pub fn still_open(&self) -> u64 {
        let open = |service: &Arc<Service>| {
            u64::from(service.connections.load(Relaxed)) + service.ledger.open_total()
        };
        self.services().iter().map(open).sum()
    }

    /// Ends every core, open connections included.
    pub fn stop(&self) {
        for core in std::mem::take(&mut *lock(&self.cores)) {
            core.stop();
        }
    }

    /// Whether a service has a table in force.
    pub fn is_served(&self, stream: &StreamId) -> bool {
        self.service(stream).is_some()
    }

    fn service(&self, stream: &StreamId) -> Option<Arc<Service>> {
        lock(&self.hosted).get(stream).map(|hosted| hosted.service.clone())
    }

    fn refuse_if_leaving(&self) -> Result<(), Error> {
        if self.is_leaving() { Err(Error::Leaving) } else { Ok(()) }
    }

    fn prepare(&self, source: RouteTable) -> Result<Installed, Error> {
        let stream = source.stream.clone();
        let table = Table::compile(source).map_err(|source| Error::BadTable { stream, source })?;
        let mut addresses = BTreeMap::new();
        for backend in table.versions.iter().flat_map(|(_, backends)| backends) {
            let found = listen::resolve(&backend.address, "address of an instance")?;
            if let Some(first) = found.first() {
                addresses.insert(backend.address.clone(), *first);
            }
        }
        Ok(Installed { table, addresses, since: self.clock.wall(self.clock.now()) })
    }

    /// Opens what a table needs beyond what its service has. Nothing is changed by a failure.
    fn open(&self, installed: &Installed) -> Result<(Sockets, Option<Arc<rustls::ServerConfig>>), Error> {
        let source = &installed.table.source;
        let config = source.listen.tls.as_ref().map(tls::load).transpose()?;
        let mut opened = Sockets::new();
        for address in &source.listen.addresses {
            let owner = lock(&self.hosted)
                .iter()
                .find(|(_, hosted)| hosted.sockets.contains_key(address))
                .map(|(stream, _)| stream.clone());
            match owner {
                Some(owner) if owner == source.stream => {}
                Some(other) => {
                    let (address, stream) = (address.clone(), source.stream.clone());
                    return Err(Error::AddressOfAnother { address, stream, other });
                }
                None => {
                    let inherited = lock(&self.inherited).remove(address);
                    let sockets = match inherited {
                        Some(sockets) => sockets,
                        None => listen::open(address, self.core_count)?,
                    };
                    opened.insert(address.clone(), sockets);
                }
            }
        }
        Ok((opened, config))
    }

    /// Puts a prepared table in force, then opens and closes listeners as it says.
    fn switch(
        &self,
        installed: Installed,
        opened: Sockets,
        config: Option<Arc<rustls::ServerConfig>>,
        lease_ms: Option<u64>,
        before: Option<Arc<Service>>,
    ) -> Result<Arc<Service>, Error> {
        let source = installed.table.source.clone();
        let service = if let Some(service) = before {
            service.tls.store(config);
            service.install(installed, lease_ms)?;
            service
        } else {
            let service = Service::new(self.clock.clone(), self.gates.clone(), installed);
            service.tls.store(config);
            if let Some(lease_ms) = lease_ms {
                service.lease(lease_ms);
            }
            Arc::new(service)
        };
        let fingerprint = source.listen.tls.as_ref().map(Fingerprint::of).unwrap_or_default();
        let mut hosted = lock(&self.hosted);
        let entry = hosted.entry(source.stream.clone()).or_insert_with(|| Hosted {
            service: service.clone(),
            sockets: Sockets::new(),
            fingerprint: Fingerprint::default(),
        });
        entry.fingerprint = fingerprint;
        let wanted = &source.listen.addresses;
        let gone: Vec<_> =
            entry.sockets.keys().filter(|address| !wanted.contains(address)).cloned().collect();
        for address in gone {
            entry.sockets.remove(&address);
            self.order_all(|| Order::Unlisten { stream: source.stream.clone(), address: address.clone() });
        }
        for (address, sockets) in opened {
            self.spread(&service, &address, &sockets)?;
            entry.sockets.insert(address, sockets);
        }
        drop(hosted);
        self.order_all(|| Order::Refresh { stream: source.stream.clone() });
        Ok(service)
    }

    /// Gives each core its sockets; those of a predecessor may be more or fewer than cores.
    fn spread(&self, service: &Arc<Service>, address: &str, sockets: &[TcpListener]) -> Result<(), Error> {
        let cores = lock(&self.cores);
        for (index, core) in cores.iter().enumerate() {
            let own = sockets.iter().skip(index).step_by(cores.len().max(1));
            let own = if sockets.len() < cores.len() {
                vec![&sockets[index % sockets.len()]]
            } else {
                own.collect()
            };
            let own = own
                .into_iter()
                .map(TcpListener::try_clone)
                .collect::<Result<_, _>>()
                .map_err(Error::Start)?;
            core.order(Order::Listen { service: service.clone(), address: address.to_owned(), sockets: own });
        }
        Ok(())
    }

    fn keep_if_possible(&self, service: &Service) {
        if self.is_replaced() {
            // The file is the successor's now, which knows what was given back.
            return;
        }
        let table = service.installed().table.source.clone();
        let returned = match service.switched() {
            Switched::Returned(generation) => Some(generation),
            Switched::Installed => None,
        };
        if let Err(error) = persist::keep(&self.directory, &Kept { table, returned }) {
            tracing::error!(stream = %service.stream, %error, "the table in force could not be kept; a restarted proxy would begin with the one before");
        }
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        for core in lock(&self.cores).iter() {
            core.order(order());
        }
    }
}

/// How much of the traffic a table may give to a canary, for comparison.
fn exposure(table: &RouteTable) -> u32 {
    table.canary.as_ref().map_or(0, |canary| {
        u32::from(canary.weight.bp()) + u32::from(canary.mirror.bp()) + u32::from(canary.header.is_some())
    })
}

/// The canary of the table before, if the new table gives it nothing.
fn loses_share(before: &Installed, after: &Installed) -> Option<Draining> {
    let old = before.table.source.canary.as_ref()?;
    let index = after.table.versions.iter().position(|(name, _)| *name == old.version);
    if index.is_some_and(|index| after.table.routes_to(index)) {
        return None;
    }
    let new = after.table.source.canary.as_ref().filter(|canary| canary.version == old.version);
    let drain_ms = new.map_or(old.drain_ms, |canary| canary.drain_ms);
    Some(Draining { stream: after.table.source.stream.clone(), version: old.version.clone(), drain_ms })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! One service on one core: its view of the table, its pools, its dice.

use crate::clock::Mono;
use crate::counts::{End, Refused, Slot, VersionCounts};
use crate::pool::Pool;
use crate::service::{Installed, Service};
use crate::split::Dice;
use crate::table::{Asked, Choice};
use crate::watch::Watch;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use taxiway_model::ids::VersionName;
use taxiway_model::route::{Backend, UpstreamProtocol};

/// One service on one core.
pub struct Seat {
    /// Which core.
    pub core: usize,
    /// The service.
    pub service: Arc<Service>,
    /// The process is leaving: answers ask clients to come back over a new connection.
    pub leaving: Cell<bool>,
    gates: Arc<[crate::service::Gate]>,
    view: RefCell<Rc<View>>,
    dice: RefCell<Dice>,
    pools: RefCell<BTreeMap<PoolKey, Rc<Pool>>>,
}

type PoolKey = (VersionName, String, bool);

/// The table in force as one core uses it, with pools and counters at hand.
pub struct View {
    epoch: u64,
    /// The table.
    pub installed: Arc<Installed>,
    sides: Vec<Side>,
}

struct Side {
    counts: Arc<[VersionCounts]>,
    slots: Vec<Arc<Slot>>,
    pools: Vec<Rc<Pool>>,
    next: Cell<usize>,
}

/// A request that knows where it goes.
pub struct Routed {
    /// The view it was decided by.
    pub view: Rc<View>,
    /// Where it goes.
    pub choice: Choice,
}

impl Seat {
    /// A seat for a service on a core.
    pub fn new(
        core: usize,
        service: Arc<Service>,
        gates: Arc<[crate::service::Gate]>,
        seed: u64,
    ) -> Rc<Self> {
        let installed = service.installed();
        let seat = Rc::new(Self {
            core,
            leaving: Cell::new(false),
            gates,
            view: RefCell::new(Rc::new(View { epoch: 0, installed, sides: Vec::new() })),
            dice: RefCell::new(Dice::new(seed ^ (core as u64) << 48)),
            pools: RefCell::default(),
            service,
        });
        seat.view();
        seat
    }

    /// Decides where a request goes and notes it. The whole decision lies within the core's gate:
    /// a change of the table or the lease that was confirmed is obeyed, without exception.
    pub fn route(
        &self,
        headers: &http::HeaderMap,
        client: impl FnOnce(&Installed) -> std::net::IpAddr,
        now: Mono,
    ) -> Result<Routed, Refused> {
        self.gates[self.core].pass(|| {
            fail::fail_point!("proxy.before-route");
            let view = self.view();
            let client = client(&view.installed);
            let lease_runs = self.service.lease_runs(now);
            let mut dice = self.dice.borrow_mut();
            let choice = view.installed.table.decide(Asked { headers, client }, lease_runs, &mut dice);
            let mut choice = choice.ok_or(Refused::NoBaseline)?;
            view.pass_over_a_fresh_baseline_that_is_down(&mut choice, now);
            view.sides[choice.version].counts[self.core].routed(now);
            Ok(Routed { view, choice })
        })
    }

    /// The view of the table in force, renewed when the table has changed.
    pub fn view(&self) -> Rc<View> {
        let epoch = self.service.epoch();
        {
            let view = self.view.borrow();
            if view.epoch == epoch {
                return view.clone();
            }
        }
        let view = Rc::new(self.build(epoch));
        *self.view.borrow_mut() = view.clone();
        view
    }

    fn build(&self, epoch: u64) -> View {
        let installed = self.service.installed();
        let mut pools = std::mem::take(&mut *self.pools.borrow_mut());
        let mut kept = BTreeMap::new();
        let mut sides = Vec::with_capacity(installed.table.versions.len());
        for (name, backends) in &installed.table.versions {
            let counts = self.service.ledger.version(name);
            let slots = installed.table.classes.iter().map(|class| counts[self.core].class(class)).collect();
            let mut accepting = Vec::new();
            for backend in backends {
                let key = (name.clone(), backend.address.clone(), backend.protocol == UpstreamProtocol::H2c);
                let Some(pool) = pools.remove(&key).or_else(|| self.pool(&installed, name, backend)) else {
                    continue;
                };
                pool.retire(!backend.accepting);
                if backend.accepting {
                    accepting.push(pool.clone());
                }
                kept.insert(key, pool);
            }
            sides.push(Side { counts, slots, pools: accepting, next: Cell::new(self.core) });
        }
        // Instances that left the table finish what they have; nothing of theirs is kept.
        for pool in pools.values() {
            pool.retire(true);
        }
        let open = pools.into_iter().filter(|(_, pool)| pool.open().get() > 0);
        kept.extend(open);
        *self.pools.borrow_mut() = kept;
        View { epoch, installed, sides }
    }

    fn pool(&self, installed: &Installed, version: &VersionName, backend: &Backend) -> Option<Rc<Pool>> {
        let address = *installed.addresses.get(&backend.address)?;
        let health = self.service.health(version, &backend.address);
        Some(Pool::new(self.core, address, backend.protocol, health, self.service.clock.clone()))
    }

    /// Closes every connection to a version and the streams on them.
    pub fn cut(&self, version: &VersionName) {
        for ((name, _, _), pool) in self.pools.borrow().iter() {
            if name == version {
                for _ in 0..pool.cut() {
                    self.service.ledger.refuse(Refused::Drained);
                }
            }
        }
    }

    /// Closes connections to instances that were idle for long.
    pub fn prune(&self, now: Mono) {
        for pool in self.pools.borrow().values() {
            pool.prune(now);
        }
    }
}

impl View {
    /// A fresh baseline is there to be compared with: while none of its instances is well, its share
    /// is the baseline's, so that measuring costs nobody an answer. The canary has no such net, since
    /// that would hide its failures.
    fn pass_over_a_fresh_baseline_that_is_down(&self, choice: &mut Choice, now: Mono) {
        let table = &self.installed.table;
        let fresh = table.canary.as_ref().and_then(|canary| canary.fresh);
        let chosen = fresh.is_some_and(|(index, _)| index == choice.version);
        let well = || self.sides[choice.version].pools.iter().any(|pool| pool.health.is_in(now));
        if chosen
            && !well()
            && let Some(baseline) = table.baseline
        {
            choice.version = baseline;
        }
    }

    /// An instance of a version for the next request: the one with the fewest open requests of
    /// this core, in turn among equals; none when no instance may get any.
    pub fn instance(&self, version: usize, now: Mono) -> Option<Rc<Pool>> {
        let side = &self.sides[version];
        let count = side.pools.len();
        let start = side.next.get();
        side.next.set(start.wrapping_add(1));
        let turn = |offset: usize| &side.pools[start.wrapping_add(offset) % count];
        let healthy = (0..count).map(turn).filter(|pool| pool.health.is_in(now));
        let chosen = healthy.min_by_key(|pool| pool.open().get());
        chosen.or_else(|| (0..count).map(turn).find(|pool| pool.health.is_last_resort())).cloned()
    }
}

/// Counts one request of a version, exactly once, whatever becomes of it.
pub struct Tally {
    view: Rc<View>,
    core: usize,
    version: usize,
    class: usize,
    begun: Mono,
    ended: Option<End>,
    pool: Option<Rc<Pool>>,
    watch: Option<Arc<Watch>>,
    handed: bool,
}

impl Tally {
    /// Begins counting a request as open.
    pub fn begin(seat: &Seat, routed: &Routed, class: usize, begun: Mono, watch: Arc<Watch>) -> Self {
        let (view, version) = (routed.view.clone(), routed.choice.version);
        view.sides[version].counts[seat.core].open.bump();
        Self {
            view,
            core: seat.core,
            version,
            class,
            begun,
            ended: None,
            pool: None,
            watch: Some(watch),
            handed: false,
        }
    }

    /// The instance that serves it.
    pub fn at(&mut self, pool: Rc<Pool>) {
        pool.open().bump();
        self.pool = Some(pool);
    }

    /// The request has its answer's head, or will get none.
    pub fn end(&mut self, end: End, now: Mono) {
        if self.ended.is_none() {
            self.ended = Some(end);
            self.view.sides[self.version].slots[self.class].ended(end, now.since_us(self.begun));
            if let Some(pool) = &self.pool {
                pool.ended(end);
            }
        }
    }

    /// A piece of the answer was handed on (`true`), or the next is asked for.
    pub fn hands_on(&mut self, piece: bool) {
        if self.handed != piece
            && let Some(watch) = &self.watch
        {
            self.handed = piece;
            if piece { watch.handed_piece() } else { watch.wants_piece() }
        }
    }

    /// The answer broke off after its head. One that had failed already does not fail twice.
    pub fn broke_off(&mut self) {
        if matches!(self.ended, Some(End::Status(code)) if code < 500) {
            self.view.sides[self.version].slots[self.class].broke_off();
            if let Some(pool) = &self.pool {
                pool.broke_off();
            }
            self.ended = Some(End::ConnectError);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let side = &self.view.sides[self.version];
        if self.ended.is_none() {
            side.slots[self.class].ended(End::Client, 0);
        }
        side.counts[self.core].open.drop_one();
        if let Some(pool) = &self.pool {
            pool.open().drop_one();
        }
        self.hands_on(false);
        if let Some(watch) = self.watch.take() {
            watch.end();
        }
    }
}

/// Counts one mirrored request.
pub struct MirrorTally {
    view: Rc<View>,
    core: usize,
    version: usize,
}

impl MirrorTally {
    /// For a mirrored request to a version.
    pub fn new(seat: &Seat, view: Rc<View>, version: usize) -> Self {
        Self { view, core: seat.core, version }
    }

    /// The mirrored request has ended.
    pub fn end(&self, end: End, us: u64) {
        self.view.sides[self.version].counts[self.core].mirrored.ended(end, us);
    }
}

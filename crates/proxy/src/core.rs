//! One core of the data plane: a thread with its own runtime, listeners, connections and pools.
//! Cores share only the services, and of those only what they read.

use crate::connection;
use crate::seat::Seat;
use crate::service::{Gate, Service};
use crate::watch::{Ending, Watch};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use taxiway_model::ids::{StreamId, VersionName};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How often connections are looked through for those that take too long. Limits are in seconds.
const SWEEP_MS: u64 = 200;
/// While leaving: how long a connection must have been idle before it is closed unasked. A client
/// that keeps connections alive has then most likely nothing under way on it.
const LEAVING_IDLE_MS: u64 = 500;
/// Pause after a failed accept: out of file descriptors is the usual reason, and it passes.
const ACCEPT_PAUSE_MS: u64 = 20;

/// What a core is told.
pub enum Order {
    /// Accept connections for a service on these sockets.
    Listen {
        /// The service.
        service: Arc<Service>,
        /// The address as the table has it.
        address: String,
        /// Listening, non-blocking.
        sockets: Vec<std::net::TcpListener>,
    },
    /// Accept no more on an address of a service.
    Unlisten {
        /// The service.
        stream: StreamId,
        /// The address as the table has it.
        address: String,
    },
    /// Take notice of a new table even while no request comes.
    Refresh {
        /// The service.
        stream: StreamId,
    },
    /// Close everything open to a version.
    Cut {
        /// The service.
        stream: StreamId,
        /// The version.
        version: VersionName,
    },
    /// Close everything of a service.
    Forget {
        /// The service.
        stream: StreamId,
    },
    /// Accept no more, finish what is open.
    Leave,
}

/// The handle of a core.
pub struct Core {
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Core {
    /// Starts a core.
    pub fn start(index: usize, gates: Arc<[Gate]>, seed: u64) -> std::io::Result<Self> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, run(index, gates, seed, receiver));
        })?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Tells the core something; a core that has ended has nothing left to obey.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Ends the core, open connections included.
    pub fn stop(mut self) {
        drop(self.orders);
        if let Some(thread) = self.thread.take() {
            // A core that panicked has said so on stderr already.
            let _ = thread.join();
        }
    }
}

/// A client connection as the sweep sees it.
type Connection = (Weak<Seat>, Arc<Watch>);

struct State {
    seats: RefCell<BTreeMap<StreamId, Rc<Seat>>>,
    listeners: RefCell<BTreeMap<(StreamId, String), Vec<AbortHandle>>>,
    connections: RefCell<BTreeMap<u64, Connection>>,
    next_connection: Cell<u64>,
    leaving: Cell<bool>,
}

async fn run(index: usize, gates: Arc<[Gate]>, seed: u64, mut orders: mpsc::UnboundedReceiver<Order>) {
    let state = Rc::new(State {
        seats: RefCell::default(),
        listeners: RefCell::default(),
        connections: RefCell::default(),
        next_connection: Cell::new(0),
        leaving: Cell::new(false),
    });
    let mut sweep = tokio::time::interval(Duration::from_millis(SWEEP_MS));
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => state.obey(order, |service| Seat::new(index, service, gates.clone(), seed)),
                None => return,
            },
            _ = sweep.tick() => state.sweep(),
        }
    }
}

impl State {
    fn obey(self: &Rc<Self>, order: Order, make: impl FnOnce(Arc<Service>) -> Rc<Seat>) {
        match order {
            Order::Listen { service, address, sockets } => {
                let stream = service.stream.clone();
                let seat =
                    self.seats.borrow_mut().entry(stream.clone()).or_insert_with(|| make(service)).clone();
                let tasks = sockets.into_iter().filter_map(|socket| {
                    let listener = TcpListener::from_std(socket).ok()?;
                    let task = tokio::task::spawn_local(accept(self.clone(), seat.clone(), listener));
                    Some(task.abort_handle())
                });
                self.listeners.borrow_mut().entry((stream, address)).or_default().extend(tasks);
            }
            Order::Unlisten { stream, address } => {
                for task in self.listeners.borrow_mut().remove(&(stream, address)).into_iter().flatten() {
                    task.abort();
                }
            }
            Order::Refresh { stream } => {
                if let Some(seat) = self.seats.borrow().get(&stream) {
                    seat.view();
                }
            }
            Order::Cut { stream, version } => {
                if let Some(seat) = self.seats.borrow().get(&stream) {
                    seat.cut(&version);
                }
            }
            Order::Forget { stream } => self.forget(&stream),
            Order::Leave => self.leave(),
        }
    }

    fn forget(&self, stream: &StreamId) {
        self.listeners.borrow_mut().retain(|(of, _), tasks| {
            let goes = of == stream;
            if goes {
                tasks.iter().for_each(AbortHandle::abort);
            }
            !goes
        });
        self.seats.borrow_mut().remove(stream);
        for (seat, watch) in self.connections.borrow().values() {
            if seat.upgrade().is_none_or(|seat| seat.service.stream == *stream) {
                watch.finish(Ending::Drain);
            }
        }
    }

    fn leave(&self) {
        self.leaving.set(true);
        for (_, tasks) in std::mem::take(&mut *self.listeners.borrow_mut()) {
            tasks.iter().for_each(AbortHandle::abort);
        }
        for seat in self.seats.borrow().values() {
            seat.leaving.set(true);
        }
    }

    /// Ends connections that take too long, and upstream connections nobody needs.
    fn sweep(&self) {
        let seats: Vec<_> = self.seats.borrow().values().cloned().collect();
        let Some(now) = seats.first().map(|seat| seat.service.clock.now()) else { return };
        for seat in &seats {
            seat.prune(now);
        }
        for (seat, watch) in self.connections.borrow().values() {
            let Some(seat) = seat.upgrade() else { continue };
            let view = seat.view();
            if let Some(why) = watch.inspect(now, &view.installed.table.source.listen.limits) {
                seat.service.ledger.refuse(why);
            }
            if self.leaving.get() && watch.may_leave(now, LEAVING_IDLE_MS) {
                watch.finish(Ending::Drain);
            }
        }
    }
}

async fn accept(state: Rc<State>, seat: Rc<Seat>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                fail::fail_point!("proxy.after-accept");
                let id = state.next_connection.get();
                state.next_connection.set(id + 1);
                let watch = Watch::new(&seat.service.clock);
                state.connections.borrow_mut().insert(id, (Rc::downgrade(&seat), watch.clone()));
                let (state, seat) = (state.clone(), seat.clone());
                tokio::task::spawn_local(async move {
                    connection::handle(seat, stream, address, watch).await;
                    state.connections.borrow_mut().remove(&id);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

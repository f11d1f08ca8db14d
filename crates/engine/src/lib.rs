//! The engine: a boring loop around `decide`.
//!
//! For each stream: load the folded log, observe the world, let [`taxiway_decide::next`] choose,
//! let [`taxiway_decide::check`] disagree, append, carry out, look again. Intents are appended
//! before their effects, so a crash is repaired by the next tick repeating the intent. The one
//! exception is the way back to the baseline: it acts first, and neither the check nor the store
//! can stop it.
//!
//! Everything is synchronous; [`Runner`] spreads the ticks over a few threads. Only `execute`
//! calls a port that changes anything.

mod clock;
mod execute;
mod measure;
mod normal;
mod observe;
pub mod ports;
mod runner;
mod stored;
mod stream;
mod submit;
mod tick;

pub use clock::SystemClock;
pub use runner::Runner;
pub use stream::View;
pub use submit::Error as SubmitError;

use ports::checks::Checks;
use ports::clock::Clock;
use ports::log::Log;
use ports::metrics::Metrics;
use ports::traffic::Traffic;
use ports::workload::Workload;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use stream::Stream;
use taxiway_model::event::Event;
use taxiway_model::ids::StreamId;
use taxiway_model::record::Recorded;
use taxiway_model::time::Timestamp;

/// What the engine works with.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Where versions run.
    pub workload: Arc<dyn Workload>,
    /// What splits the traffic.
    pub traffic: Arc<dyn Traffic>,
    /// Smoke tests and hooks.
    pub checks: Arc<dyn Checks>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The engine of one log. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    ports: Ports,
    epoch: u64,
    streams: Mutex<BTreeMap<StreamId, Arc<Mutex<Stream>>>>,
    listeners: Mutex<Vec<SyncSender<Recorded<Event>>>>,
    metrics: OnceLock<Arc<dyn Metrics>>,
    time: Mutex<Time>,
}

/// The newest time given out, and the monotonic clock then.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
    at: Timestamp,
    monotonic_ms: u64,
}

/// Events a slow listener may lag behind before it is dropped and has to read the log instead.
const LISTENER_LAG_MAX: usize = 4_096;

impl Engine {
    /// Takes the lead of the log: any engine before this one is fenced.
    pub fn open(ports: Ports, owner: &str) -> Result<Self, ports::log::Error> {
        let epoch = ports.log.take_lead(owner)?;
        let known = ports.log.streams()?;
        let engine = Self {
            inner: Arc::new(Inner {
                ports,
                epoch,
                streams: Mutex::new(BTreeMap::new()),
                listeners: Mutex::new(Vec::new()),
                metrics: OnceLock::new(),
                time: Mutex::new(Time::default()),
            }),
        };
        for (stream, _) in known {
            engine.stream(&stream);
        }
        Ok(engine)
    }

    /// Asks this source for metrics by query; at most one, to be named before the first tick. An
    /// engine without one holds releases that want such metrics.
    pub fn measure_with(&self, metrics: Arc<dyn Metrics>) {
        // A second source would split what is counted between two memories: the first one stays.
        let _ = self.inner.metrics.set(metrics);
    }

    /// Every stream there is.
    pub fn streams(&self) -> Vec<StreamId> {
        lock(&self.inner.streams).keys().cloned().collect()
    }

    /// What is known of a stream; none when it has never been heard of.
    pub fn view(&self, stream: &StreamId) -> Option<View> {
        let stream = lock(&self.inner.streams).get(stream).cloned()?;
        let mut stream = lock(&stream);
        stream.load(self);
        Some(stream.view())
    }

    /// Every event appended from now on. A listener that lags too far is dropped: its channel ends.
    pub fn listen(&self) -> Receiver<Recorded<Event>> {
        let (sender, receiver) = sync_channel(LISTENER_LAG_MAX);
        lock(&self.inner.listeners).push(sender);
        receiver
    }

    /// The log itself, for reading and verifying.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.ports.log
    }

    fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    /// Time as decisions see it: the wall clock, or what the monotonic clock makes of the last time
    /// given out where the wall clock was set back. A deadline is never an hour late.
    fn now(&self) -> Timestamp {
        let clock = &self.inner.ports.clock;
        let (wall, monotonic_ms) = (clock.now(), clock.monotonic_ms());
        let mut time = lock(&self.inner.time);
        let at = wall.max(time.at.plus_ms(monotonic_ms.saturating_sub(time.monotonic_ms)));
        *time = Time { at, monotonic_ms };
        at
    }

    /// The log has a time: none before it is given out from now on.
    fn not_before(&self, at: Timestamp) {
        let now = self.now();
        lock(&self.inner.time).at = now.max(at);
    }

    fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        self.inner.metrics.get().cloned()
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    fn stream(&self, id: &StreamId) -> Arc<Mutex<Stream>> {
        let mut streams = lock(&self.inner.streams);
        let fresh = || Arc::new(Mutex::new(Stream::new(id.clone())));
        streams.entry(id.clone()).or_insert_with(fresh).clone()
    }

    fn tell(&self, recorded: &[Recorded<Event>]) {
        let mut listeners = lock(&self.inner.listeners);
        for event in recorded {
            listeners.retain(|listener| match listener.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            });
        }
    }
}

/// A poisoned lock means that a tick panicked: its stream is looked at again from the log, so the
/// value behind the lock may still be used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

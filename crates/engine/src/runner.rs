//! Spreads the ticks of all streams over a few threads.

use crate::{Engine, lock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use taxiway_model::ids::StreamId;

/// The longest sleep of an idle worker: bounds how late a lost wake-up can be.
const IDLE_MS: u64 = 1_000;

/// Ticks streams when they are due, each on one thread at a time.
pub struct Runner {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Due times are on the monotonic clock; timers are absolute, so that they never drift.
#[derive(Default)]
struct Queue {
    due: BTreeSet<(u64, StreamId)>,
    at: BTreeMap<StreamId, u64>,
    running: BTreeSet<StreamId>,
    /// Kicked while running: due again at once.
    again: BTreeSet<StreamId>,
    stop: bool,
}

impl Queue {
    fn set(&mut self, stream: StreamId, at_ms: u64) {
        if let Some(old) = self.at.remove(&stream) {
            self.due.remove(&(old, stream.clone()));
        }
        self.at.insert(stream.clone(), at_ms);
        self.due.insert((at_ms, stream));
    }

    fn take(&mut self, now_ms: u64) -> Option<StreamId> {
        let (at_ms, stream) = self.due.first()?.clone();
        if at_ms > now_ms {
            return None;
        }
        self.due.pop_first();
        self.at.remove(&stream);
        self.running.insert(stream.clone());
        Some(stream)
    }
}

impl Runner {
    /// Starts `threads` workers; every known stream is due at once.
    pub fn start(engine: Engine, threads: usize) -> std::io::Result<Self> {
        let mut queue = Queue::default();
        for stream in engine.streams() {
            queue.set(stream, 0);
        }
        let shared = Arc::new(Shared { engine, queue: Mutex::new(queue), changed: Condvar::new() });
        let workers = (0..threads.max(1))
            .map(|number| {
                let shared = Arc::clone(&shared);
                let name = format!("engine-{number}");
                std::thread::Builder::new().name(name).spawn(move || work(&shared))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, workers })
    }

    /// Makes a stream due now.
    pub fn kick(&self, stream: &StreamId) {
        let mut queue = lock(&self.shared.queue);
        if queue.running.contains(stream) {
            queue.again.insert(stream.clone());
        } else {
            queue.set(stream.clone(), 0);
        }
        self.shared.changed.notify_one();
    }

    /// Finishes the ticks under way and ends the workers.
    pub fn stop(self) {
        lock(&self.shared.queue).stop = true;
        self.shared.changed.notify_all();
        for worker in self.workers {
            // A worker that panicked has nothing more to say.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared) {
    let clock = &shared.engine.ports().clock;
    let mut queue = lock(&shared.queue);
    while !queue.stop {
        let now_ms = clock.monotonic_ms();
        let Some(stream) = queue.take(now_ms) else {
            let until = queue.due.first().map_or(IDLE_MS, |(at, _)| at.saturating_sub(now_ms).min(IDLE_MS));
            let wait = Duration::from_millis(until.max(1));
            let waited = shared.changed.wait_timeout(queue, wait);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        };
        drop(queue);
        let tick = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shared.engine.tick(&stream)));
        let next_ms = tick.unwrap_or_else(|_| {
            tracing::error!(%stream, "a tick panicked; the stream is looked at again");
            Some(IDLE_MS)
        });
        queue = lock(&shared.queue);
        queue.running.remove(&stream);
        let again = queue.again.remove(&stream);
        match next_ms {
            _ if again => queue.set(stream, 0),
            Some(in_ms) => queue.set(stream, now_ms + in_ms),
            None => {}
        }
    }
}

//! The supervisor's door and its thread.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use taxiway_engine::ports::workload::{self, Workload};
use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::observation::WorkloadStatus;
use tokio::runtime::Runtime;

use crate::proc::Identity;

use super::artifact::Artifacts;
use super::limits::{InForce, Limiter};
use super::ports::Ports;
use super::start::Starter;
use super::state::State;
use super::world::World;

/// Beyond the longest grace, how long a stop may take: killed processes are gone within milliseconds unless the kernel
/// itself is stuck.
const STOP_SLACK: Duration = Duration::from_secs(10);

/// Called with a stream in which an instance changed its phase; must return at once.
pub type OnChange = Box<dyn Fn(&StreamId) + Send + Sync>;

/// What a supervisor needs.
pub struct Config {
    /// Where it keeps its state (`processes/`), output (`output/`) and artifacts (`artifacts/`).
    pub data_dir: PathBuf,
    /// A control group (version 2) that is ours to divide, beyond those that are found.
    pub cgroup: Option<PathBuf>,
    /// Who wants to know of changes at once.
    pub on_change: Option<OnChange>,
}

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another one is at work.
    #[error("another supervisor works on {0}; stop it, or use another data directory")]
    Taken(PathBuf),
    /// The data directory cannot be used.
    #[error("the data directory {directory} cannot be used; check its rights and free space")]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The machine gives no thread.
    #[error("no thread for the supervisor")]
    Thread(#[source] std::io::Error),
}

struct Shared {
    world: Mutex<World>,
    moved: Condvar,
    on_change: Option<OnChange>,
}

/// Runs the instances of all streams of a data directory. Dropping it leaves them running for its successor; only
/// [`Workload::stop`] and [`Supervisor::stop_all`] end them.
pub struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
    in_force: InForce,
    limiter: Limiter,
}

impl Supervisor {
    /// Takes the data directory over, with all instances that an earlier supervisor left in it.
    ///
    /// # Errors
    /// When another supervisor holds the directory, or it cannot be written.
    pub fn open(config: Config) -> Result<Self, Error> {
        let directory = |source| Error::Directory { directory: config.data_dir.clone(), source };
        std::fs::create_dir_all(&config.data_dir).map_err(directory)?;
        let data_dir = config.data_dir.canonicalize().map_err(directory)?;
        let state = State::open(data_dir.join("processes")).map_err(directory)?;
        let state = state.ok_or_else(|| Error::Taken(data_dir.clone()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("supervisor-io")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let digest = Digest::of(data_dir.as_os_str().as_encoded_bytes());
        let prefix = hex::encode(&digest.0[..8]);
        let limiter = Limiter::detect(&format!("taxiway-{prefix}"), config.cgroup.as_deref());
        let me = Identity::of(std::process::id().cast_signed());
        let starter = Starter {
            state,
            limiter: limiter.clone(),
            artifacts: Artifacts::new(data_dir.join("artifacts")),
            outputs: data_dir.join("output"),
            ports: Ports::new(u16::from_be_bytes([digest.0[8], digest.0[9]])),
            prefix,
            starts: 0,
            me: me.map_or_else(String::new, |me| format!("{}.{}", me.pid, me.start_ticks)),
        };
        let handle = runtime.handle().clone();
        let streams = std::collections::BTreeMap::new();
        let mut world = World { streams, starter, runtime: handle, measured_at: None, closing: false };
        world.adopt();
        let shared =
            Arc::new(Shared { world: Mutex::new(world), moved: Condvar::new(), on_change: config.on_change });
        let (loop_shared, named) =
            (Arc::clone(&shared), std::thread::Builder::new().name("supervisor".to_owned()));
        let thread = named.spawn(move || loop_shared.run()).map_err(Error::Thread)?;
        let in_force = limiter.in_force();
        Ok(Self { shared, thread: Some(thread), runtime: Some(runtime), in_force, limiter })
    }

    /// What holds limits on this machine, for instances that have any.
    pub const fn limits_in_force(&self) -> InForce {
        self.in_force
    }

    /// Streams with instances or a desired state.
    pub fn streams(&self) -> Vec<StreamId> {
        self.shared.world().streams.keys().cloned().collect()
    }

    /// Stops everything of all streams at once; returns when nothing is left running.
    ///
    /// # Errors
    /// When something is left after the longest grace and ten seconds; it says what.
    pub fn stop_all(&self) -> Result<(), workload::Error> {
        let streams = self.streams();
        self.shared.end(&streams)?;
        self.limiter.remove();
        Ok(())
    }
}

impl Workload for Supervisor {
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), workload::Error> {
        let applied = self.shared.world().apply(desired);
        self.shared.moved.notify_all();
        applied.map_err(|current| workload::Error::Stale { given: desired.generation, current })
    }

    fn observe(&self, stream: &StreamId) -> Result<WorkloadStatus, workload::Error> {
        Ok(self.shared.world().observe(stream, Instant::now()))
    }

    fn stop(&self, stream: &StreamId) -> Result<(), workload::Error> {
        self.shared.end(std::slice::from_ref(stream))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.world().closing = true;
        self.shared.moved.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        if let Some(runtime) = self.runtime.take() {
            // Probes in progress concern nobody any more; this must also work within another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// A panic in one round must not make the baseline's instances unreachable to the next.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let mut world = self.world();
            if world.closing {
                return;
            }
            let (changed, wait) = world.round(Instant::now());
            drop(world);
            if let Some(on_change) = &self.on_change {
                changed.iter().for_each(on_change);
            }
            if !changed.is_empty() {
                self.moved.notify_all();
            }
            let world = self.world();
            if !world.closing {
                drop(self.moved.wait_timeout(world, wait).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Ends streams and waits until nothing of them is left.
    fn end(&self, streams: &[StreamId]) -> Result<(), workload::Error> {
        let mut world = self.world();
        let mut grace = Duration::ZERO;
        for stream in streams {
            if let Some(stream) = world.streams.get_mut(stream) {
                stream.ending = true;
                let graces = stream.slots.iter().map(|slot| slot.record.spec.version.target.stop_grace_ms);
                grace = grace.max(Duration::from_millis(graces.max().unwrap_or(0)));
            }
        }
        self.moved.notify_all();
        let deadline = Instant::now() + grace + STOP_SLACK;
        while streams.iter().any(|stream| world.streams.get(stream).is_some_and(|stream| stream.ending)) {
            if Instant::now() >= deadline {
                let left = streams.iter().filter(|stream| world.streams.contains_key(stream));
                let left: Vec<String> = left.map(ToString::to_string).collect();
                return Err(workload::Error::Unavailable(format!("still stopping: {}", left.join(", "))));
            }
            let wait = Duration::from_millis(20);
            world = self.moved.wait_timeout(world, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

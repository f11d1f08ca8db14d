//! What runs around the engine: the runner, the other processes of the family, and the way out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use taxiway_adapters::traffic::builtin::Builtin;
use taxiway_adapters::workload::process::Supervisor;
use taxiway_api::{ListenRequest, Listening, Problem};
use taxiway_engine::{Engine, Runner};
use taxiway_model::ids::{StreamId, VersionName};
use taxiway_model::service::{Provenance, ServiceSpec, Version};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::hooks::Hooks;
use super::version;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::family::{self, LOOK_MS, Program, Role, Watch, holder};

/// Threads that tick streams: ticks wait for the disk and for ports, so more than one; two suffice
/// for thousands of releases.
const RUNNER_THREADS: usize = 2;

/// How long open requests may take when everything is stopped.
const STOP_DRAIN_MS: u64 = 5_000;

/// How long a process of the family may take to end by itself before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// How long a process that only reads stays; the next question starts another one.
const READER_MAX: Duration = Duration::from_mins(1);

/// How long a start of the proxy may take.
const PROXY_MS_MAX: u64 = 5_000;

/// Wakes streams through a runner that may not exist yet: ports are made before the engine.
#[derive(Default)]
pub(super) struct Later {
    house: OnceLock<std::sync::Weak<House>>,
}

impl Later {
    pub(super) fn kick(&self, stream: &StreamId) {
        if let Some(house) = self.house.get().and_then(std::sync::Weak::upgrade) {
            house.kick(stream);
        }
    }

    pub(super) fn kick_all(&self) {
        if let Some(house) = self.house.get().and_then(std::sync::Weak::upgrade) {
            house.engine.streams().iter().for_each(|stream| house.kick(stream));
        }
    }
}

/// Everything that runs around the engine.
pub(super) struct House {
    data: Data,
    program: Program,
    engine: Engine,
    proxy: Arc<Builtin>,
    supervisor: Arc<Supervisor>,
    runner: Mutex<Option<Runner>>,
    watching: AtomicBool,
    left: watch::Sender<bool>,
    /// Whether leaving means to stop everything, or only this process.
    stop_all: AtomicBool,
    hooks: OnceLock<Arc<Hooks>>,
}

/// Resolves when the house is to be left.
#[derive(Clone)]
pub(super) struct Left(watch::Receiver<bool>);

impl Left {
    pub(super) async fn wait(mut self) {
        // An error says that the house is gone, which is as good.
        let _ = self.0.wait_for(|left| *left).await;
    }
}

impl House {
    pub(super) fn new(
        data: Data,
        program: Program,
        engine: Engine,
        proxy: Arc<Builtin>,
        supervisor: Arc<Supervisor>,
        later: &Later,
    ) -> Arc<Self> {
        let house = Arc::new(Self {
            data,
            program,
            engine,
            proxy,
            supervisor,
            runner: Mutex::new(None),
            watching: AtomicBool::new(false),
            left: watch::Sender::new(false),
            stop_all: AtomicBool::new(false),
            hooks: OnceLock::new(),
        });
        let _ = later.house.set(Arc::downgrade(&house));
        house
    }

    /// Starts everything beside the API: proxy, keeper, the engine's ticks.
    pub(super) fn wake_up(self: &Arc<Self>) -> Result<(), CliError> {
        let mut runner = self.runner();
        if runner.is_some() {
            return Ok(());
        }
        let unusable = |error: std::io::Error| {
            CliError::new(Code::DataUnusable, format!("{}: {error}", self.data.path().display()))
        };
        match std::fs::remove_file(self.data.stopped()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
        self.watching.store(true, Ordering::SeqCst);
        let house = Arc::clone(self);
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || house.watch())
            .map_err(unusable)?;
        self.await_proxy()?;
        fail::fail_point!("resident.wake.before_runner");
        *runner = Some(Runner::start(self.engine.clone(), RUNNER_THREADS).map_err(unusable)?);
        fail::fail_point!("resident.wake.after_runner");
        Ok(())
    }

    /// The first tick should find the proxy: a release must not begin by going without.
    fn await_proxy(&self) -> Result<(), CliError> {
        let hello = taxiway_model::control::Ask::Hello;
        for _ in 0..PROXY_MS_MAX / 20 {
            if self.proxy.ask(&hello).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = self.data.output(Role::Proxy);
        Err(CliError::new(Code::ProxyMissing, "it does not answer on its control socket")
            .hint(format!("see {}", output.display())))
    }

    /// Looks after keeper and proxy, and whether the data directory is still there.
    fn watch(self: Arc<Self>) {
        let mut watches = [Watch::new(Role::Proxy), Watch::new(Role::Keeper)];
        while self.watching.load(Ordering::SeqCst) {
            if !self.data.path().is_dir() {
                tracing::warn!("the data directory is gone: everything is stopped");
                self.begin_to_leave(true);
                return;
            }
            for watch in &mut watches {
                watch.look(&self.program, &self.data);
            }
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }

    fn kick(&self, stream: &StreamId) {
        if let Some(runner) = self.runner().as_ref() {
            runner.kick(stream);
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Takes webhooks from now on, whenever something runs here: a process that only reads takes none.
    pub(super) fn take_hooks(self: &Arc<Self>, hooks: Hooks) {
        let hooks = Arc::clone(self.hooks.get_or_init(|| Arc::new(hooks)));
        let house = Arc::downgrade(self);
        tokio::spawn(async move {
            while house.upgrade().is_some_and(|house| house.runner().is_none()) {
                tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
            }
            hooks.keep().await;
        });
    }

    fn runner(&self) -> MutexGuard<'_, Option<Runner>> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when the house is to be left.
    pub(super) fn left(&self) -> Left {
        Left(self.left.subscribe())
    }

    fn begin_to_leave(&self, stop_all: bool) {
        self.stop_all.fetch_or(stop_all, Ordering::SeqCst);
        self.left.send_replace(true);
    }

    /// Ends what runs, in this order: nobody restarts anything, nothing decides, no new requests,
    /// no instance.
    pub(super) fn leave(&self) {
        self.watching.store(false, Ordering::SeqCst);
        let runner = self.runner().take();
        if let Some(runner) = runner {
            runner.stop();
        }
        if !self.stop_all.load(Ordering::SeqCst) {
            return;
        }
        fail::fail_point!("resident.stop.before_keeper");
        if let Some(keeper) = holder(&self.data, Role::Keeper) {
            family::end(&keeper, STOP_GRACE);
        }
        fail::fail_point!("resident.stop.before_proxy");
        let proxy = holder(&self.data, Role::Proxy);
        if let Err(error) = self.proxy.shutdown(STOP_DRAIN_MS) {
            tracing::debug!(%error, "the proxy is ended by a signal instead");
        }
        if let Some(proxy) = proxy {
            await_end(&proxy, Duration::from_millis(STOP_DRAIN_MS));
            family::end(&proxy, STOP_GRACE);
        }
        fail::fail_point!("resident.stop.before_instances");
        if let Err(error) = self.supervisor.stop_all() {
            tracing::error!(%error, "some instance is left running");
            return;
        }
        fail::fail_point!("resident.stop.after_instances");
        if let Err(error) = self.data.note_all_stopped() {
            tracing::warn!(%error, "the mark that everything is stopped was not made");
        }
    }
}

fn await_end(process: &family::Identity, at_most: Duration) {
    let deadline = std::time::Instant::now() + at_most;
    while process.is_alive() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A reader that nobody wakes up leaves again.
pub(super) async fn leave_unless_woken(house: Arc<House>) {
    tokio::time::sleep(READER_MAX).await;
    if house.runner().is_none() {
        house.begin_to_leave(false);
    }
}

/// SIGTERM and SIGINT end this process and nothing else: the keeper has it back in a second.
pub(super) async fn signals(house: Arc<House>) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    house.begin_to_leave(false);
}

/// What the API sees of the house.
impl taxiway_server::House for Door {
    fn resolve(
        &self,
        service: &ServiceSpec,
        name: &VersionName,
        provenance: &Provenance,
    ) -> Result<Version, Problem> {
        version::resolve(service, name, provenance).map_err(|error| error.problem())
    }

    fn awake(&self) -> Result<(), Problem> {
        self.0.wake_up().map_err(|error| error.problem())
    }

    fn changed(&self, stream: &StreamId) {
        self.0.kick(stream);
    }

    fn stop(&self) {
        // From here on nobody starts anything, also not a keeper that lives a moment longer.
        if let Err(error) = std::fs::write(self.0.data.stopped(), b"") {
            tracing::warn!(%error, "the mark that everything is stopped was not made");
        }
        self.0.begin_to_leave(true);
    }

    fn listen(&self, request: &ListenRequest) -> Result<Listening, Problem> {
        self.awake()?;
        match self.0.hooks.get() {
            Some(hooks) => hooks.listen(request),
            None => {
                Err(CliError::new(Code::Unreachable, "it is only just starting").hint("try again").problem())
            }
        }
    }

    fn hooks(&self) -> Vec<String> {
        self.0.hooks.get().map(|hooks| hooks.lines()).unwrap_or_default()
    }

    fn troubles(&self) -> Vec<String> {
        if self.0.runner().is_some() {
            return self.0.hooks.get().map(|hooks| hooks.troubles()).unwrap_or_default();
        }
        vec![
            "nothing runs here since `taxiway stop`; `taxiway start` or a release starts it again".to_owned(),
        ]
    }
}

/// A handle of the house that the API may hold.
pub(super) struct Door(pub(super) Arc<House>);

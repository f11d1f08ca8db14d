//! The process around the data plane: directory, lock, control socket, signals, leaving.

use crate::control::{self, Leave};
use crate::error::Error;
use crate::plane::Plane;
use crate::takeover::{self, Inheritance};
use crate::{metrics, persist, probe};
use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The control socket's name within `<dir>/proxy`.
pub const CONTROL_SOCKET: &str = "control.sock";
/// How long open requests may take after a SIGTERM.
const TERM_DRAIN_MS: u64 = 30_000;
/// How often certificates, kept tables that could not be served and the wall clock are looked at.
const CHORES_MS: u64 = 1_000;
/// How often a leaving process looks whether everything has ended.
const LEAVING_POLL_MS: u64 = 10;

/// How a proxy is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The data directory; the proxy uses `proxy/` in it.
    pub dir: PathBuf,
    /// The control socket; `<dir>/proxy/control.sock` unless set.
    pub control_socket: Option<PathBuf>,
    /// A loopback address that answers GET with the metrics.
    pub metrics: Option<SocketAddr>,
    /// Threads that serve; as many as the machine has cores unless set.
    pub cores: Option<usize>,
    /// Take over from the proxy that serves this directory, if there is one, without losing a
    /// connection; without this, such a proxy is a reason not to start.
    pub takeover: bool,
}

impl Options {
    /// Where the control socket is.
    pub fn control_socket(&self) -> PathBuf {
        self.control_socket.clone().unwrap_or_else(|| self.directory().join(CONTROL_SOCKET))
    }

    fn directory(&self) -> PathBuf {
        self.dir.join("proxy")
    }
}

/// Serves until told to leave (`Ask::Shutdown`, SIGTERM, SIGINT) and open requests have ended.
pub fn run(options: Options) -> Result<(), Error> {
    start(options)?.wait()
}

/// A proxy that is up: its control socket answers, its kept tables are served.
pub struct Running {
    runtime: tokio::runtime::Runtime,
    plane: Arc<Plane>,
    leave: mpsc::Receiver<Leave>,
    lock: Arc<Mutex<Option<File>>>,
    control_socket: PathBuf,
}

/// Starts a proxy in this process.
#[expect(clippy::needless_pass_by_value, reason = "the process's options are given away at its start")]
pub fn start(options: Options) -> Result<Running, Error> {
    raise_descriptor_limit();
    let directory = options.directory();
    let mut inheritance = None;
    let lock = match prepare(&directory) {
        Err(Error::AlreadyServed { path }) if options.takeover => {
            inheritance = takeover::ask(&directory)?;
            if inheritance.is_none() {
                return Err(Error::AlreadyServed { path });
            }
            None
        }
        other => Some(other?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    let cores = options.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let inherited = inheritance.as_mut().map(Inheritance::take_sockets).unwrap_or_default();
    let plane = Arc::new(Plane::start(directory.clone(), cores.max(1), inherited)?);
    let unserved = restore(&plane)?;
    plane.drop_unclaimed();
    let lock = match inheritance {
        Some(inheritance) => {
            plane.heed(&inheritance.ready()?);
            prepare(&directory)?
        }
        None => lock.expect("taken above where nothing was inherited"),
    };
    let lock = Arc::new(Mutex::new(Some(lock)));
    let (sender, leave) = mpsc::channel(4);
    let entered = runtime.enter();
    offer_takeover(&plane, &lock, sender.clone())?;
    let listener = control::bind(&options.control_socket())?;
    runtime.spawn(control::serve(plane.clone(), listener, sender.clone()));
    runtime.spawn(probe::run(plane.clone()));
    runtime.spawn(chores(plane.clone(), unserved));
    runtime.spawn(signals(sender));
    if let Some(address) = options.metrics {
        let fail = |source| Error::Metrics { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(fail)?;
        runtime.spawn(metrics::serve(plane.clone(), listener));
    }
    drop(entered);
    Ok(Running { runtime, plane, leave, lock, control_socket: options.control_socket() })
}

/// Lets a successor take over: it gets the lock, and this process leaves.
fn offer_takeover(
    plane: &Arc<Plane>,
    lock: &Arc<Mutex<Option<File>>>,
    leave: mpsc::Sender<Leave>,
) -> Result<(), Error> {
    let (leaving, lock) = (plane.clone(), lock.clone());
    takeover::offer(plane.clone(), move || {
        leaving.leave(true);
        lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody listens only when the process is ending already.
        let _ = leave.blocking_send(Leave::After { drain_ms: TERM_DRAIN_MS });
        leaving.last_words()
    })
}

impl Running {
    /// Serves until told to leave and open requests have ended.
    pub fn wait(mut self) -> Result<(), Error> {
        let Leave::After { drain_ms } =
            self.runtime.block_on(self.leave.recv()).unwrap_or(Leave::After { drain_ms: 0 });
        self.end(drain_ms);
        Ok(())
    }

    /// Leaves now, open requests having so long to end.
    pub fn stop(self, drain_ms: u64) {
        self.end(drain_ms);
    }

    fn end(self, drain_ms: u64) {
        self.plane.leave(false);
        let plane = self.plane.clone();
        self.runtime.block_on(async move {
            let deadline = Instant::now() + Duration::from_millis(drain_ms);
            while plane.still_open() > 0 && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(LEAVING_POLL_MS)).await;
            }
        });
        self.plane.stop();
        self.runtime.shutdown_timeout(Duration::from_millis(500));
        if !self.plane.is_replaced() {
            // Nobody answers there any more; under the lock, so that these are nobody else's.
            let _ = fs::remove_file(takeover::path(&self.plane.directory));
            let _ = fs::remove_file(&self.control_socket);
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Raises the soft limit on open files to the hard one: every connection takes a descriptor, and
/// the usual soft limit of 1,024 is kept for programs that still use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays at {:?}", limit.current);
    }
}

fn prepare(directory: &Path) -> Result<File, Error> {
    let fail = |source| Error::Directory { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(fail)?;
    let path = directory.join("lock");
    let lock = File::create(&path).map_err(fail)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyServed { path }),
        Err(TryLockError::Error(source)) => Err(Error::Directory { path, source }),
    }
}

/// Serves every kept table; returns those that could not be served, to be tried again.
fn restore(plane: &Plane) -> Result<Vec<persist::Kept>, Error> {
    let fail = |source| Error::Directory { path: plane.directory.clone(), source };
    let mut unserved = Vec::new();
    for kept in persist::read_all(&plane.directory).map_err(fail)? {
        match kept {
            Ok(kept) => {
                if let Err(error) = plane.restore(kept.clone()) {
                    tracing::error!(stream = %kept.table.stream, %error, "kept table not served; trying again");
                    unserved.push(kept);
                }
            }
            Err(unreadable) => tracing::error!("{unreadable}"),
        }
    }
    Ok(unserved)
}

async fn chores(plane: Arc<Plane>, mut unserved: Vec<persist::Kept>) {
    loop {
        tokio::time::sleep(Duration::from_millis(CHORES_MS)).await;
        plane.clock.follow_wall();
        plane.reload_certificates();
        unserved.retain(|kept| !plane.is_served(&kept.table.stream) && plane.restore(kept.clone()).is_err());
    }
}

async fn signals(leave: mpsc::Sender<Leave>) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be received; use the control socket to shut down");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let _ = leave.send(Leave::After { drain_ms: TERM_DRAIN_MS }).await;
}

//! The runner's door.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use taxiway_engine::ports::checks::Checks;
use taxiway_model::decision::CheckOrder;
use taxiway_model::ids::Digest;
use taxiway_model::observation::CheckStatus;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::proc;

use super::evidence::{Evidence, Shelf};
use super::run;

/// How many checks run at once; the others wait their turn, their time limit with them.
const AT_ONCE_MAX: usize = 64;

/// How many attempts are remembered in memory; the rest is on disk.
const REMEMBERED_MAX: usize = 10_000;

/// The variable by which a check's processes are found again.
const MARKER: &str = "TAXIWAY_CHECK";

/// What commands inherit of our own environment; see the supervisor, which does the same for instances.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/// Called with the effect of an attempt that has ended; must return at once.
pub type OnEnd = Box<dyn Fn(&str) + Send + Sync>;

/// What a runner needs.
pub struct Config {
    /// Where it keeps evidence (`checks/`).
    pub data_dir: PathBuf,
    /// Who wants to know of ends at once.
    pub on_end: Option<OnEnd>,
}

/// Why there is no runner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory cannot be used.
    #[error(
        "the directory {directory} cannot be used for the evidence of checks; check its rights and free space"
    )]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The machine gives no thread.
    #[error("no thread for the checks")]
    Thread(#[source] std::io::Error),
}

type Attempts = BTreeMap<(String, u32), CheckStatus>;

struct Shared {
    attempts: Mutex<Attempts>,
    shelf: Shelf,
    turns: Semaphore,
    on_end: Option<OnEnd>,
    prefix: String,
    since_ticks: u64,
}

/// Runs checks beside the engine. Dropping it ends those that are running.
pub struct Runner {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Runner {
    /// Opens the evidence and ends what checks of a predecessor have left running.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn open(config: Config) -> Result<Self, Error> {
        let directory = config.data_dir.join("checks");
        let problem = |source| Error::Directory { directory: directory.clone(), source };
        let shelf = Shelf::open(directory.clone()).map_err(problem)?;
        let place = directory.canonicalize().map_err(problem)?;
        let prefix = hex::encode(&Digest::of(place.as_os_str().as_encoded_bytes()).0[..8]);
        let since_ticks = proc::since_ticks(&directory.join("since"));
        end_marked(since_ticks, &format!("{prefix}."));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("checks")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let shared = Shared {
            attempts: Mutex::default(),
            shelf,
            turns: Semaphore::new(AT_ONCE_MAX),
            on_end: config.on_end,
            prefix,
            since_ticks,
        };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    /// What an attempt said in full, once it has ended.
    pub fn evidence(&self, effect: &str, attempt: u32) -> Option<Evidence> {
        self.shared.shelf.read(effect, attempt)
    }
}

impl Checks for Runner {
    fn start(&self, order: &CheckOrder) {
        let key = (order.effect.clone(), order.attempt);
        let mut attempts = self.shared.attempts();
        if attempts.contains_key(&key) {
            return;
        }
        if let Some(evidence) = self.shared.shelf.read(&order.effect, order.attempt) {
            attempts.insert(key, evidence.status());
            return;
        }
        fail::fail_point!("checks.start.before");
        forget_some(&mut attempts);
        attempts.insert(key, CheckStatus::Running);
        drop(attempts);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(Arc::clone(&self.shared).play(order.clone()));
        }
    }

    fn status(&self, effect: &str, attempt: u32) -> Option<CheckStatus> {
        let known = self.shared.attempts().get(&(effect.to_owned(), attempt)).cloned();
        known.or_else(|| self.shared.shelf.read(effect, attempt).map(|evidence| evidence.status()))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        end_marked(self.shared.since_ticks, &format!("{}.", self.shared.prefix));
    }
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn play(self: Arc<Self>, order: CheckOrder) {
        let Ok(turn) = self.turns.acquire().await else { return };
        let marker =
            format!("{}.{}.{}.", self.prefix, Digest::of(order.effect.as_bytes()).short(), order.attempt);
        let inherited =
            INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        let mut environment: BTreeMap<String, String> = inherited.collect();
        environment.insert("TAXIWAY_EFFECT".to_owned(), order.effect.clone());
        environment.insert("TAXIWAY_ATTEMPT".to_owned(), order.attempt.to_string());
        environment.insert(MARKER.to_owned(), marker.clone());
        fail::fail_point!("checks.run.before");
        let evidence = run::run(&order, environment).await;
        drop(turn);
        if matches!(order.run, taxiway_model::plan::CheckRun::Command { .. }) {
            // What left the command's process group goes with it too.
            end_marked(self.since_ticks, &marker);
        }
        fail::fail_point!("checks.keep.before");
        self.shelf.keep(&evidence);
        fail::fail_point!("checks.keep.after");
        let status = evidence.status();
        tracing::info!(
            effect = order.effect,
            attempt = order.attempt,
            passed = evidence.passed,
            said = evidence.said,
            "check ended"
        );
        self.attempts().insert((order.effect.clone(), order.attempt), status);
        if let Some(on_end) = &self.on_end {
            on_end(&order.effect);
        }
    }
}

/// Ends every process of this user whose mark begins so.
fn end_marked(since_ticks: u64, prefix: &str) {
    let stats = proc::all();
    for (stat, marker) in proc::marked(&stats, since_ticks, MARKER, prefix) {
        tracing::warn!(pid = stat.pid, marker, "ended: left behind by a check");
        proc::signal(stat, Signal::SIGKILL);
    }
}

/// Makes room by forgetting ended attempts; they are still on disk.
fn forget_some(attempts: &mut Attempts) {
    if attempts.len() >= REMEMBERED_MAX {
        attempts.retain(|_, status| matches!(status, CheckStatus::Running));
    }
}

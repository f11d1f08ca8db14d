//! A data directory with a supervisor and one stream, everything in it ended with the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use taxiway_adapters::workload::process::{Config, Supervisor};
use taxiway_engine::ports::workload::{Error, Workload};
use taxiway_model::decision::{DesiredVersion, DesiredWorkload};
use taxiway_model::ids::{Digest, Generation, ReleaseId, StreamId, VersionName};
use taxiway_model::observation::{Instance, InstancePhase, WorkloadStatus};
use taxiway_model::route::UpstreamProtocol;
use taxiway_model::service::{Probe, ProbeAsk, ProcessLimits, ProcessTarget, Provenance, Version};

use super::role::{self, ROLE};

/// Longer than anything here takes, also on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    supervisor: Option<Supervisor>,
}

pub(crate) fn stream() -> StreamId {
    "shop/production".parse().unwrap()
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("control")).unwrap();
        let mut place = Self { directory, supervisor: None };
        place.open();
        place
    }

    pub(crate) fn config(&self) -> Config {
        Config { data_dir: self.directory.path().join("data"), cgroup: None, on_change: None }
    }

    pub(crate) fn open(&mut self) {
        self.supervisor = Some(Supervisor::open(self.config()).unwrap());
    }

    /// The supervisor goes, its instances stay.
    pub(crate) fn close(&mut self) {
        self.supervisor = None;
    }

    pub(crate) fn supervisor(&self) -> &Supervisor {
        self.supervisor.as_ref().unwrap()
    }

    pub(crate) fn control(&self, name: &str) -> PathBuf {
        self.directory.path().join("control").join(name)
    }

    pub(crate) fn set(&self, name: &str) {
        std::fs::write(self.control(name), "").unwrap();
    }

    pub(crate) fn unset(&self, name: &str) {
        std::fs::remove_file(self.control(name)).unwrap();
    }

    /// A version whose instances play a role.
    pub(crate) fn version(&self, name: &str, replicas: u32) -> DesiredVersion {
        let probe = |path: &str| Probe {
            ask: ProbeAsk::Http { path: path.to_owned() },
            interval_ms: 50,
            timeout_ms: 2_000,
            success_after: 1,
            failure_after: 2,
        };
        let control = self.directory.path().join("control").display().to_string();
        let target = ProcessTarget {
            command: role::command(),
            directory: self.directory.path().display().to_string(),
            artifact: None,
            port_from: 0,
            protocol: UpstreamProtocol::Http1,
            readiness: probe("/readyz"),
            health: probe("/healthz"),
            env: [(ROLE.to_owned(), "server".to_owned()), ("TEST_CONTROL".to_owned(), control)].into(),
            replicas,
            stop_grace_ms: 5_000,
            limits: ProcessLimits::default(),
        };
        let version = Version {
            name: VersionName::new(name).unwrap(),
            digest: Digest::of(name.as_bytes()),
            target,
            provenance: Provenance::default(),
        };
        DesiredVersion { version, replicas, release: ReleaseId::new("shop-production-1").unwrap() }
    }

    /// A version that runs a shell script.
    pub(crate) fn script(&self, name: &str, script: &str) -> DesiredVersion {
        let mut version = self.version(name, 1);
        version.version.target.command = ["/bin/sh", "-c", script].map(str::to_owned).into();
        version
    }

    pub(crate) fn apply(&self, generation: u64, versions: Vec<DesiredVersion>) -> Result<(), Error> {
        let desired = DesiredWorkload { stream: stream(), generation: Generation(generation), versions };
        self.supervisor().apply(&desired)
    }

    pub(crate) fn observe(&self) -> WorkloadStatus {
        self.supervisor().observe(&stream()).unwrap()
    }

    /// Looks again and again until `holds`.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&WorkloadStatus) -> bool) -> WorkloadStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.observe();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "never came: {what}; {status:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn wait_ready(&self, count: usize) -> WorkloadStatus {
        let ready = |one: &Instance| one.phase == InstancePhase::Ready;
        self.wait(&format!("{count} ready instances and no other"), |status| {
            status.instances.len() == count && status.instances.iter().all(ready)
        })
    }

    pub(crate) fn wait_why(&self, text: &str) -> Instance {
        let status = self.wait(text, |status| status.instances.iter().any(|one| one.why.contains(text)));
        status.instances.into_iter().find(|one| one.why.contains(text)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.supervisor.is_none() {
            self.open();
        }
        let stopped = self.supervisor().stop_all();
        if !std::thread::panicking() {
            stopped.unwrap();
        }
    }
}

/// What an instance answers to GET `path`.
pub(crate) fn get(instance: &Instance, path: &str) -> String {
    let mut stream = TcpStream::connect(&instance.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    // An instance that is told to crash closes without an answer.
    drop(stream.read_to_string(&mut answer));
    answer
}

/// Whether a process runs that is not a zombie.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn kill_hard(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// Waits for something beside the supervisor.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

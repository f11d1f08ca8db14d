//! A runner in a directory of its own.

use std::time::{Duration, Instant};

use taxiway_adapters::checks::{Config, Evidence, Runner};
use taxiway_engine::ports::checks::Checks;
use taxiway_model::decision::CheckOrder;
use taxiway_model::observation::CheckStatus;
use taxiway_model::plan::CheckRun;

pub(crate) struct Room {
    pub(crate) directory: tempfile::TempDir,
    runner: Option<Runner>,
}

impl Room {
    pub(crate) fn new() -> Self {
        let mut room = Self { directory: tempfile::tempdir().unwrap(), runner: None };
        room.open();
        room
    }

    pub(crate) fn open(&mut self) {
        let config = Config { data_dir: self.directory.path().join("data"), on_end: None };
        self.runner = Some(Runner::open(config).unwrap());
    }

    pub(crate) fn close(&mut self) {
        self.runner = None;
    }

    pub(crate) fn runner(&self) -> &Runner {
        self.runner.as_ref().unwrap()
    }

    /// A command in this room's directory.
    pub(crate) fn shell(&self, script: &str) -> CheckRun {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
        CheckRun::Command { command, directory: self.directory.path().display().to_string() }
    }

    pub(crate) fn start(&self, effect: &str, attempt: u32, timeout_ms: u64, run: CheckRun) {
        self.runner().start(&CheckOrder { effect: effect.to_owned(), attempt, run, timeout_ms });
    }

    /// Waits for the end of an attempt.
    pub(crate) fn end(&self, effect: &str, attempt: u32) -> Evidence {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.runner().status(effect, attempt) {
                Some(CheckStatus::Ended { passed, said }) => {
                    let evidence =
                        self.runner().evidence(effect, attempt).expect("what has ended is on disk");
                    assert_eq!((passed, said), (evidence.passed, evidence.said.clone()));
                    return evidence;
                }
                other => assert!(Instant::now() < deadline, "{effect} never ended: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn play(&self, effect: &str, timeout_ms: u64, run: CheckRun) -> Evidence {
        self.start(effect, 1, timeout_ms, run);
        self.end(effect, 1)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }
}

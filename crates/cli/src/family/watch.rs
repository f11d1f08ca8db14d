//! Seeing to it that a role is held: look, start what is missing, reap what ended.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Identity, Program, Role, holder, spawn};
use crate::data::Data;

/// Time between two looks: a killed process is back well within a second, and five looks at
/// `/proc` per second cost nothing that can be measured.
pub(crate) const LOOK_MS: u64 = 200;

/// How long a process that ends right after its start is let alone before the next try; doubled
/// each time up to the bound, forgotten when it lives for as long.
const PAUSE_MS_MIN: u64 = 250;
const PAUSE_MS_MAX: u64 = 5_000;

/// Somebody who watches one role.
#[derive(Debug)]
pub(crate) struct Watch {
    role: Role,
    started: Option<(Instant, Child)>,
    pause: Duration,
    not_before: Option<Instant>,
}

impl Watch {
    /// Watches a role.
    pub(crate) fn new(role: Role) -> Self {
        Self { role, started: None, pause: Duration::from_millis(PAUSE_MS_MIN), not_before: None }
    }

    /// Starts the role's process unless there is one, or one was started just now.
    pub(crate) fn look(&mut self, program: &Program, data: &Data) {
        let now = Instant::now();
        self.reap(now);
        if self.started.is_some() || holder(data, self.role).is_some() {
            return;
        }
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return;
        }
        fail::fail_point!("family.spawn.before");
        match spawn(program, data, self.role, &[]) {
            Ok(child) => {
                tracing::info!(role = %self.role, pid = child.id(), "started, because there was none");
                self.started = Some((now, child));
            }
            Err(error) => {
                tracing::error!(role = %self.role, %error, "cannot be started");
                self.back_off(now);
            }
        }
        fail::fail_point!("family.spawn.after");
    }

    /// Forgets a child of ours that has ended.
    fn reap(&mut self, now: Instant) {
        let Some((since, child)) = &mut self.started else { return };
        let (since, ended) = (*since, !matches!(child.try_wait(), Ok(None)));
        if !ended {
            return;
        }
        self.started = None;
        if now.duration_since(since) >= Duration::from_millis(PAUSE_MS_MAX) {
            self.pause = Duration::from_millis(PAUSE_MS_MIN);
            self.not_before = None;
        } else {
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Instant) {
        self.not_before = Some(now + self.pause);
        self.pause = (self.pause * 2).min(Duration::from_millis(PAUSE_MS_MAX));
    }
}

/// Ends a process: SIGTERM, and SIGKILL when it is still there after `grace`. Returns once it is
/// gone.
pub(crate) fn end(process: &Identity, grace: Duration) {
    for (signal, patience) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, Duration::from_secs(5))] {
        if !process.is_alive() {
            return;
        }
        let _ = kill(Pid::from_raw(process.pid), signal);
        let deadline = Instant::now() + patience;
        while process.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

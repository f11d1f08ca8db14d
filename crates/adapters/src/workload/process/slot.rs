//! One instance through all its starts: what is wanted, what runs, and the next thing to do about the difference.

use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use taxiway_model::decision::DesiredVersion;
use taxiway_model::ids::{Digest, StreamId};
use taxiway_model::observation::{Instance, InstancePhase};
use taxiway_model::time::{ForPeople, Timestamp};
use tokio::runtime::Handle;

use crate::child::describe;
use crate::proc::{self, Identity, Stat};

use super::command::{self, MARKER, Placeholders};
use super::limits::{Confinement, Mechanism};
use super::output;
use super::ports;
use super::probe::{Answers, Question};
use super::problem::Problem;
use super::state::Record;
use super::usage::{Groups, Usage};

/// Wait before the first restart; doubles with every crash in a row.
const BACKOFF_MS: u64 = 500;

/// The longest wait before a restart.
const BACKOFF_MS_MAX: u64 = 30_000;

/// An instance that has been up this long is not in a crash loop: its next crash is a first one.
const STABLE: Duration = Duration::from_mins(1);

/// An instance whose health check fails this long is restarted. Much longer than it takes to be called unhealthy,
/// since restarting what is only overloaded makes an overload worse.
const HUNG: Duration = Duration::from_secs(30);

/// One place for an instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) record: Record,
    /// Of the spec, to see whether the desired one is still the same.
    pub(super) digest: Digest,
    pub(super) wanted: bool,
    pub(super) life: Life,
    pub(super) problem: Option<Problem>,
    /// Why its last process ended.
    ended: Option<Problem>,
    crashes_in_row: u32,
    usage: Usage,
}

#[derive(Debug)]
pub(super) enum Life {
    /// No process; to be started at the given time.
    Down { again_at: Instant },
    /// A process runs.
    Up(Box<Up>),
    /// A process was asked to stop.
    Stopping { up: Box<Up>, asked_at: Instant, killed: bool, restart: bool },
    /// No process, and none wanted.
    Gone,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) identity: Identity,
    /// None when it was started by our predecessor: then its exit code is not for us to know.
    pub(super) child: Option<Child>,
    pub(super) started: Instant,
    pub(super) confinement: Confinement,
    /// Length of the output file at the start.
    pub(super) output_from: u64,
    pub(super) readiness: Answers,
    pub(super) health: Answers,
}

/// What a slot needs of its surroundings in one round.
pub(super) struct Round<'a> {
    pub(super) stream: &'a StreamId,
    pub(super) now: Instant,
    pub(super) runtime: &'a Handle,
    /// Set when this round measures.
    pub(super) groups: Option<&'a Groups>,
}

/// The digest over what a process was started with. The rest of a description (replicas, probes, grace) can change under
/// a running instance.
pub(super) fn spec_digest(spec: &DesiredVersion) -> Digest {
    let target = &spec.version.target;
    let started_with = (&target.command, &target.directory, &target.artifact, &target.env, &target.limits);
    Digest::of(&serde_json::to_vec(&started_with).expect("a target is plain data with string keys"))
}

impl Slot {
    pub(super) fn new(record: Record, life: Life) -> Self {
        let digest = spec_digest(&record.spec);
        Self {
            record,
            digest,
            wanted: true,
            life,
            problem: None,
            ended: None,
            crashes_in_row: 0,
            usage: Usage::default(),
        }
    }

    /// Its process ended while there was no supervisor.
    pub(super) fn ended_unseen(&mut self) {
        self.problem = Some(Problem::EndedUnseen);
        self.ended.clone_from(&self.problem);
        self.record.restarts = self.record.restarts.saturating_add(1);
    }

    /// One look at the instance, and at most one step towards what is wanted. Returns whether its record changed.
    /// Starting is not done here but by the supervisor, when [`Slot::is_due`].
    pub(super) fn step(&mut self, round: &Round<'_>) -> bool {
        match &self.life {
            Life::Down { .. } if !self.wanted => self.life = Life::Gone,
            Life::Down { .. } | Life::Gone => (),
            Life::Up(_) => return self.step_up(round),
            Life::Stopping { .. } => self.step_stopping(round),
        }
        false
    }

    /// Whether a process is wanted now and there is none.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wanted && matches!(self.life, Life::Down { again_at } if again_at <= now)
    }

    /// Whether the next round should come soon.
    pub(super) fn is_moving(&self) -> bool {
        match &self.life {
            Life::Down { .. } | Life::Stopping { .. } => true,
            Life::Up(up) => !up.readiness.passing || !self.wanted,
            Life::Gone => false,
        }
    }

    fn step_up(&mut self, round: &Round<'_>) -> bool {
        let Life::Up(up) = &mut self.life else { return false };
        if let Some(exit) = up.exit() {
            crash_seen();
            self.crashed(&exit, round.now);
            return true;
        }
        if !self.wanted {
            self.ask_to_stop(round.now, false);
            return false;
        }
        if let Some(groups) = round.groups {
            self.usage.update(up.identity.pid, &up.confinement, groups);
            if output::rotate(&self.record.output) {
                up.output_from = 0;
            }
        }
        if let Some(problem) = over_memory(&self.usage, up, &self.record) {
            self.end(problem, round.now, Duration::ZERO);
            return true;
        }
        if let Some(since) = up.health.failing_since
            && round.now - since >= HUNG
        {
            let for_ms = (round.now - since).as_millis() as u64;
            let problem = Problem::Hung { for_ms, why: up.health.last.clone() };
            self.end(problem, round.now, self.grace());
            return true;
        }
        self.ask(round)
    }

    /// Asks the probes; returns whether it became ready.
    fn ask(&mut self, round: &Round<'_>) -> bool {
        let Life::Up(up) = &mut self.life else { return false };
        let target = &self.record.spec.version.target;
        let question = |probe: &taxiway_model::service::Probe| {
            let with = Placeholders::new(&self.record, None);
            let mut ask = probe.ask.clone();
            if let taxiway_model::service::ProbeAsk::Command { command } = &mut ask {
                *command = with.fill_all(command);
            }
            Question {
                ask,
                port: self.record.port,
                protocol: target.protocol,
                timeout: Duration::from_millis(probe.timeout_ms.max(1)),
                directory: with.fill(&target.directory),
                environment: command::environment(round.stream, &self.record, &with),
            }
        };
        up.readiness.step(&target.readiness, round.now, round.runtime, || question(&target.readiness));
        // Before it is ready for the first time, a failing health check says nothing that readiness does not.
        if self.record.ready_since.is_some() {
            up.health.step(&target.health, round.now, round.runtime, || question(&target.health));
        }
        let first = up.readiness.passing && self.record.ready_since.is_none();
        if first {
            became_ready();
            self.record.ready_since = Some(wall_clock());
        }
        self.problem = if self.record.ready_since.is_none() {
            let for_ms = (round.now - up.started).as_millis() as u64;
            Some(Problem::NotReady { for_ms, why: up.readiness.last.clone() })
        } else if !up.readiness.passing {
            Some(Problem::LostReadiness(up.readiness.last.clone()))
        } else if !up.health.passing {
            Some(Problem::Unhealthy(up.health.last.clone()))
        } else {
            None
        };
        if round.now - up.started >= STABLE && self.problem.is_none() {
            self.crashes_in_row = 0;
        }
        first
    }

    /// It ended by itself: what it left behind goes too, then the wait before its restart begins.
    fn crashed(&mut self, exit: &str, now: Instant) {
        let Life::Up(up) = std::mem::replace(&mut self.life, Life::Gone) else { return };
        for stat in up.members(&self.record.marker, true) {
            proc::signal(&stat, Signal::SIGKILL);
        }
        let ran_ms = (now - up.started).as_millis() as u64;
        let last_line = output::last_line(&self.record.output, up.output_from);
        let limit = self.record.spec.version.target.limits.memory_bytes;
        self.problem = Some(match limit {
            Some(limit_bytes) if up.confinement.oom_kills() > 0 => {
                Problem::OverMemory { limit_bytes, held_by: up.confinement.memory.to_string() }
            }
            _ if self.record.ready_since.is_none() && !ports::is_free(self.record.port) => {
                Problem::PortTaken { port: self.record.port, exit: exit.to_owned() }
            }
            _ => Problem::Exited { exit: exit.to_owned(), ran_ms, last_line },
        });
        up.confinement.remove();
        self.go_down(now);
    }

    /// No process is left; the next start is a restart.
    fn go_down(&mut self, now: Instant) {
        self.record.identity = None;
        self.record.ready_since = None;
        self.ended.clone_from(&self.problem);
        self.usage = Usage::default();
        if self.wanted {
            self.record.restarts = self.record.restarts.saturating_add(1);
            self.wait_longer(now);
        } else {
            self.life = Life::Gone;
        }
    }

    /// The wait after a crash or after a start that failed.
    pub(super) fn wait_longer(&mut self, now: Instant) {
        let wait_ms = BACKOFF_MS.saturating_mul(1 << self.crashes_in_row.min(16)).min(BACKOFF_MS_MAX);
        self.crashes_in_row = self.crashes_in_row.saturating_add(1);
        self.life = Life::Down { again_at: now + Duration::from_millis(wait_ms) };
    }

    /// Ends a process that has to be replaced.
    fn end(&mut self, problem: Problem, now: Instant, grace: Duration) {
        tracing::warn!(instance = %self.name(), %problem, "restarting");
        self.problem = Some(problem);
        self.ask_to_stop(now, true);
        if grace.is_zero()
            && let Life::Stopping { up, killed, .. } = &mut self.life
        {
            up.signal_all(&self.record.marker, Signal::SIGKILL);
            *killed = true;
        }
    }

    fn ask_to_stop(&mut self, now: Instant, restart: bool) {
        if let Life::Up(up) = std::mem::replace(&mut self.life, Life::Gone) {
            fail::fail_point!("workload.stop.before_term");
            up.signal_all(&self.record.marker, Signal::SIGTERM);
            fail::fail_point!("workload.stop.after_term");
            self.life = Life::Stopping { up, asked_at: now, killed: false, restart };
        }
    }

    fn step_stopping(&mut self, round: &Round<'_>) {
        let grace = self.grace();
        let Life::Stopping { up, asked_at, killed, restart } = &mut self.life else { return };
        let ended = up.exit().is_some();
        let members = if ended || *killed { up.members(&self.record.marker, true) } else { Vec::new() };
        if ended && members.is_empty() {
            up.confinement.remove();
            if *restart && self.wanted {
                self.go_down(round.now);
            } else {
                self.life = Life::Gone;
            }
            return;
        }
        if *killed {
            // What was forked between the look and the signal gets it in the next round.
            for stat in &members {
                proc::signal(stat, Signal::SIGKILL);
            }
        } else if round.now - *asked_at >= grace {
            *killed = true;
            fail::fail_point!("workload.stop.before_kill");
            up.signal_all(&self.record.marker, Signal::SIGKILL);
            let problem = Problem::IgnoredTerm { grace_ms: grace.as_millis() as u64 };
            tracing::warn!(instance = %self.record.marker, %problem, "killed");
            output::note(&self.record.output, &problem.to_string());
            self.problem = Some(problem);
        }
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.record.spec.version.target.stop_grace_ms)
    }

    /// `v2-0`, for people.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.record.spec.version.name, self.record.number)
    }

    /// As the engine sees it.
    pub(super) fn observe(&self, now: Instant) -> Instance {
        let (phase, up) = match &self.life {
            Life::Down { .. } if self.crashes_in_row == 0 => (InstancePhase::Starting, None),
            Life::Down { .. } => (InstancePhase::Backoff, None),
            Life::Up(up) if self.record.ready_since.is_none() => (InstancePhase::Starting, Some(up)),
            Life::Up(up) if up.readiness.passing && up.health.passing => (InstancePhase::Ready, Some(up)),
            Life::Up(up) => (InstancePhase::Unhealthy, Some(up)),
            Life::Stopping { up, .. } => (InstancePhase::Stopping, Some(up)),
            Life::Gone => (InstancePhase::Stopping, None),
        };
        Instance {
            version: self.record.spec.version.name.clone(),
            number: self.record.number,
            address: format!("127.0.0.1:{}", self.record.port),
            phase,
            restarts: self.record.restarts,
            why: self.why(now),
            ready_since: self.record.ready_since,
            memory_bytes: self.usage.memory_bytes,
            cpu_milli: self.usage.cpu_milli,
            pid: up.map(|up| up.identity.pid.cast_unsigned()),
            output: self.record.output.display().to_string(),
        }
    }

    fn why(&self, now: Instant) -> String {
        let problem =
            self.problem.as_ref().or(self.ended.as_ref()).map(ToString::to_string).unwrap_or_default();
        let ms = |span: Duration| ForPeople(span.as_millis() as u64);
        match &self.life {
            Life::Down { again_at } if self.crashes_in_row > 0 && *again_at > now => {
                format!("{problem}; next start in {}", ms(*again_at - now))
            }
            Life::Stopping { asked_at, killed: false, restart: false, .. } => {
                let (since, grace) = (now - *asked_at, self.grace());
                format!("asked to stop {} ago, killed in {}", ms(since), ms(grace.saturating_sub(since)))
            }
            _ => problem,
        }
    }
}

impl Up {
    /// How it ended, once it has.
    fn exit(&mut self) -> Option<String> {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(Some(status)) => Some(describe(status)),
                Ok(None) => None,
                Err(error) => Some(format!("ended, but its status cannot be read ({error}),")),
            },
            None if self.identity.is_alive() => None,
            None => {
                Some("ended (started by an earlier supervisor, so its exit code is not known)".to_owned())
            }
        }
    }

    /// Every process of this instance. The group's number only counts while we have seen its leader without a gap
    /// (`tracked`): later it may be another's.
    fn members(&self, marker: &str, tracked: bool) -> Vec<Stat> {
        let mut members = members(&self.identity, marker, tracked);
        let grouped = self.confinement.members().into_iter().filter_map(Stat::read).filter(Stat::is_alive);
        members.extend(grouped.filter(|stat| stat.start_ticks >= self.identity.start_ticks));
        members
    }

    fn signal_all(&self, marker: &str, signal: Signal) {
        for stat in self.members(marker, true) {
            proc::signal(&stat, signal);
        }
    }
}

/// Every living process that an instance has started and that can be recognised as such.
pub(super) fn members(leader: &Identity, marker: &str, tracked: bool) -> Vec<Stat> {
    let mut stats = proc::all();
    stats.retain(|stat| stat.start_ticks >= leader.start_ticks);
    let marked = proc::marked(&stats, leader.start_ticks, MARKER, marker);
    let marked: Vec<i32> = marked.filter(|(_, value)| value == marker).map(|(stat, _)| stat.pid).collect();
    stats.retain(|stat| (tracked && stat.group == leader.pid) || marked.contains(&stat.pid));
    stats
}

/// Whether the supervisor itself has to hold the memory limit, and it is exceeded.
fn over_memory(usage: &Usage, up: &Up, record: &Record) -> Option<Problem> {
    let limit_bytes = record.spec.version.target.limits.memory_bytes?;
    if up.confinement.memory != Mechanism::Rlimit {
        return None;
    }
    // The sum over the group is seconds old at times; the process itself is looked at in every round.
    let leader = Stat::read(up.identity.pid).map_or(0, |stat| stat.rss_pages * proc::page_bytes());
    let held_by = Mechanism::Rlimit.to_string();
    (usage.memory_bytes.max(leader) > limit_bytes).then_some(Problem::OverMemory { limit_bytes, held_by })
}

fn crash_seen() {
    fail::fail_point!("workload.crash.seen");
}

fn became_ready() {
    fail::fail_point!("workload.ready.before_record");
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Where an instance's control groups are named after it.
pub(super) fn group_name(stream: &StreamId, record: &Record) -> String {
    format!("{}~{}.{}", super::state::file_name(stream), record.spec.version.name, record.number)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use taxiway_model::service::{Probe, ProbeAsk, ProcessLimits, ProcessTarget, Provenance, Version};

    use super::super::limits::Limiter;
    use super::*;

    fn spec() -> DesiredVersion {
        let probe = Probe {
            ask: ProbeAsk::Tcp,
            interval_ms: 1_000,
            timeout_ms: 100,
            success_after: 1,
            failure_after: 1,
        };
        let target = ProcessTarget {
            command: vec!["sleep".to_owned()],
            directory: "/".to_owned(),
            artifact: None,
            port_from: 0,
            protocol: taxiway_model::route::UpstreamProtocol::Http1,
            readiness: probe.clone(),
            health: probe,
            env: std::collections::BTreeMap::new(),
            replicas: 1,
            stop_grace_ms: 5_000,
            limits: ProcessLimits::default(),
        };
        let name = taxiway_model::ids::VersionName::new("v1").unwrap();
        let version = Version { name, digest: Digest::of(b"v1"), target, provenance: Provenance::default() };
        let release = taxiway_model::ids::ReleaseId::new("shop-production-1").unwrap();
        DesiredVersion { version, replicas: 1, release }
    }

    #[test]
    fn an_instance_whose_health_check_fails_for_long_is_restarted() {
        use std::os::unix::process::CommandExt;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let now = Instant::now();
        let mut up = Up {
            identity: Identity::of(child.id().cast_signed()).unwrap(),
            child: Some(child),
            started: now,
            confinement: Limiter::default().confine("x", &ProcessLimits::default()),
            output_from: 0,
            readiness: Answers::new(true, now),
            health: Answers::new(false, now),
        };
        up.health.failing_since = Some(now);
        let mut slot = Slot::new(Record::planned(spec(), 0), Life::Up(Box::new(up)));
        let stream = "shop/production".parse().unwrap();
        let round = |seconds| Round {
            stream: &stream,
            now: now + Duration::from_secs(seconds),
            runtime: runtime.handle(),
            groups: None,
        };
        slot.step(&round(29));
        assert!(matches!(slot.life, Life::Up(_)), "unhealthy is not hung");
        slot.step(&round(30));
        assert!(matches!(slot.life, Life::Stopping { restart: true, .. }), "{:?}", slot.life);
        assert!(slot.problem.as_ref().unwrap().to_string().contains("failed for 30s, so it was restarted"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(slot.life, Life::Stopping { .. }) {
            slot.step(&round(31));
            assert!(Instant::now() < deadline, "it never stopped");
        }
        assert!(matches!(slot.life, Life::Down { .. }) && slot.record.restarts == 1);
    }

    #[test]
    fn the_wait_before_a_restart_has_a_bound() {
        let now = Instant::now();
        let mut slot = Slot::new(Record::planned(spec(), 0), Life::Gone);
        let mut waits = Vec::new();
        for _ in 0..40 {
            slot.wait_longer(now);
            if let Life::Down { again_at } = slot.life {
                waits.push((again_at - now).as_millis());
            }
        }
        assert_eq!(waits[..7], [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
        assert!(waits[7..].iter().all(|wait| *wait == 30_000));
    }
}

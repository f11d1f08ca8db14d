//! The start of one instance: everything that can go wrong before there is a process has its name here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taxiway_model::ids::StreamId;
use tokio::runtime::Handle;

use crate::proc::Identity;

use super::artifact::Artifacts;
use super::command::{self, Placeholders};
use super::limits::Limiter;
use super::output;
use super::ports::Ports;
use super::probe::Answers;
use super::problem::Problem;
use super::slot::{Up, group_name};
use super::state::{Record, State};

/// What all starts share.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) state: State,
    pub(super) limiter: Limiter,
    pub(super) artifacts: Artifacts,
    pub(super) outputs: PathBuf,
    /// First part of every marker: which data directory.
    pub(super) prefix: String,
    pub(super) ports: Ports,
    /// Counts starts of this supervisor.
    pub(super) starts: u64,
    /// This supervisor, in markers.
    pub(super) me: String,
}

impl Starter {
    /// Starts an instance; `None` while its artifact is being fetched. The record is on disk before the process is
    /// there, so that no crash in between can lose it.
    pub(super) fn start(
        &mut self,
        stream: &StreamId,
        record: &mut Record,
        runtime: &Handle,
    ) -> Option<Result<Up, Problem>> {
        let Some(artifact) = &record.spec.version.target.artifact else {
            return Some(self.start_with(stream, record, None));
        };
        let from = Placeholders::new(record, None).fill(&artifact.from);
        let fetched = self.artifacts.get(artifact, &from, runtime)?;
        Some(fetched.and_then(|path| self.start_with(stream, record, Some(&path))))
    }

    fn start_with(
        &mut self,
        stream: &StreamId,
        record: &mut Record,
        artifact: Option<&Path>,
    ) -> Result<Up, Problem> {
        let version = record.spec.version.name.to_string();
        record.port = self.ports.take(record.port, record.spec.version.target.port_from, Instant::now())?;
        self.starts += 1;
        record.marker = format!("{}.{}.{}", self.prefix, self.me, self.starts);
        let directory = self.outputs.join(super::state::file_name(stream));
        record.output = output::path(&directory, record.spec.release.as_str(), &version, record.number);
        let with = Placeholders::new(record, artifact);
        let environment = command::environment(stream, record, &with);
        let confinement =
            self.limiter.confine(&group_name(stream, record), &record.spec.version.target.limits);
        record.groups.clone_from(&confinement.groups);
        let started = command::build(record, &environment, &with, &confinement).and_then(|mut command| {
            output::rotate(&record.output);
            let header = header(record, &confinement.memory.to_string(), &confinement.cpu.to_string());
            let file = output::open(&record.output, &header);
            let output_from = fs::metadata(&record.output).map_or(0, |file| file.len());
            let other = file.try_clone().map_err(|error| spawn_problem(record, &error))?;
            fail::fail_point!("workload.start.before_record");
            self.state.keep(stream, record);
            fail::fail_point!("workload.start.before_spawn");
            command.stdin(Stdio::null()).stdout(file).stderr(other);
            let child = spawn(&mut command).map_err(|error| spawn_problem(record, &error))?;
            // It cannot be gone before it is waited for.
            let identity = Identity::of(child.id().cast_signed()).ok_or_else(|| Problem::Spawn {
                program: record.spec.version.target.command[0].clone(),
                why: "it is not in /proc".to_owned(),
            })?;
            Ok((child, identity, output_from))
        });
        let (child, identity, output_from) = started.inspect_err(|_| confinement.remove())?;
        fail::fail_point!("workload.start.after_spawn");
        record.identity = Some(identity.clone());
        record.ready_since = None;
        self.state.keep(stream, record);
        fail::fail_point!("workload.start.after_record");
        let now = Instant::now();
        let (readiness, health) = (Answers::new(false, now), Answers::new(true, now));
        Ok(Up { identity, child: Some(child), started: now, confinement, output_from, readiness, health })
    }
}

/// The first line of a start in the output file. The command is not in it: arguments can hold secrets.
fn header(record: &Record, memory_by: &str, cpu_by: &str) -> String {
    let limits = &record.spec.version.target.limits;
    let bound = |limit: Option<String>, by: &str| {
        limit.map_or("no limit".to_owned(), |limit| format!("{limit} held by {by}"))
    };
    format!(
        "taxiway: release {} starts {}-{} on 127.0.0.1:{} (start {}; memory: {}; cpu: {})",
        record.spec.release,
        record.spec.version.name,
        record.number,
        record.port,
        record.restarts + 1,
        bound(limits.memory_bytes.map(|bytes| format!("{} MiB", bytes >> 20)), memory_by),
        bound(limits.cpu_milli.map(|milli| format!("{milli}/1000 of a core")), cpu_by),
    )
}

/// Spawns, patiently where the program's file is still open for writing somewhere: another thread's child holds a copy
/// of our descriptor between its fork and its exec while an artifact is being kept.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..10 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
    command.spawn()
}

fn spawn_problem(record: &Record, error: &std::io::Error) -> Problem {
    let program = record.spec.version.target.command.first().cloned().unwrap_or_default();
    Problem::Spawn { program, why: error.to_string() }
}

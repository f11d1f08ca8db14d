//! Starting the resident process on demand.

use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

use taxiway_api::Problem;

use super::Need;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::family::{Program, Role, holder, spawn};

/// How long a start may take: reading a log of a million events takes under three seconds.
const START_MS_MAX: u64 = 20_000;

/// How often a start may be killed by a signal before it is given up.
const KILLED_MAX: u32 = 3;

/// Last lines of the resident process's output shown when it could not start.
const LAST_WORDS: usize = 5;

/// Makes sure that somebody answers on the socket.
pub(super) fn ensure(data: &Data, need: Need) -> Result<(), CliError> {
    if need == Need::Act {
        unless_missing(std::fs::remove_file(data.stopped()), data)?;
    }
    if UnixStream::connect(data.socket()).is_ok() {
        return Ok(());
    }
    data.create()?;
    let more: &[&str] = if data.stopped().exists() { &["--reader"] } else { &[] };
    let deadline = Instant::now() + Duration::from_millis(START_MS_MAX);
    let (mut child, mut killed) = (None, 0);
    loop {
        if UnixStream::connect(data.socket()).is_ok() {
            return Ok(());
        }
        // Somebody else may be starting it, or it may have gone just now.
        if child.is_none() && holder(data, Role::Resident).is_none() {
            child = Some(start(data, more)?);
        }
        if let Some(ended) = child.as_mut().and_then(ended) {
            // Killed from outside: that says nothing of the next try.
            killed += u32::from(ended.signal().is_some());
            if !ended.success() && (ended.signal().is_none() || killed > KILLED_MAX) {
                return Err(why_not_started(data));
            }
            // Another one was faster and holds the seat; if that is gone again, we are next.
            child = None;
        }
        if Instant::now() > deadline {
            return Err(CliError::new(Code::Unreachable, "it does not answer on its socket")
                .hint(format!("see {}", data.output(Role::Resident).display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(data: &Data, more: &[&str]) -> Result<Child, CliError> {
    let unusable = |error: std::io::Error| {
        CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display()))
    };
    unless_missing(std::fs::remove_file(data.failure()), data)?;
    let program = Program::this().map_err(unusable)?;
    spawn(&program, data, Role::Resident, more).map_err(unusable)
}

fn ended(child: &mut Child) -> Option<std::process::ExitStatus> {
    child.try_wait().ok().flatten()
}

fn unless_missing(removed: std::io::Result<()>, data: &Data) -> Result<(), CliError> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display())))
        }
        _ => Ok(()),
    }
}

/// What the resident process left to be told, else its last words.
fn why_not_started(data: &Data) -> CliError {
    let left = std::fs::read(data.failure()).ok();
    if let Some(problem) = left.and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok()) {
        return problem.into();
    }
    let output = data.output(Role::Resident);
    let text = std::fs::read_to_string(&output).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n  ");
    CliError::new(Code::NotStarted, format!("its last words were\n  {last}"))
        .hint(format!("see {}", output.display()))
}

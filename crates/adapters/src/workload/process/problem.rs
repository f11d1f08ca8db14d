//! Why an instance is not well: each a sentence with what to do about it.

use std::path::PathBuf;

use taxiway_model::time::ForPeople;

/// What is wrong with an instance, or was when it last ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The command is empty.
    #[error("the command is empty; name a program in target.command")]
    NoCommand,
    /// The program is not there.
    #[error("there is no program {program}; build it or correct target.command ({looked})")]
    BinaryMissing {
        /// As written in the command, placeholders replaced.
        program: String,
        /// Where it was looked for.
        looked: String,
    },
    /// The program is there but may not be executed.
    #[error("{0} is not executable; run chmod +x on it")]
    NotExecutable(PathBuf),
    /// The working directory is not there.
    #[error("the working directory {0} does not exist; correct target.directory")]
    NoDirectory(PathBuf),
    /// The artifact is not there or cannot be read.
    #[error("the artifact {from} cannot be read: {why}; build it or correct target.artifact")]
    Artifact {
        /// Path or URL.
        from: String,
        /// What the system says.
        why: String,
    },
    /// The artifact is another one than was released.
    #[error(
        "the artifact {from} is {actual}, but this version is {expected}; a version never changes: release it under a new name"
    )]
    ArtifactDiffers {
        /// Path or URL.
        from: String,
        /// Its digest.
        actual: String,
        /// The digest of the version.
        expected: String,
    },
    /// The system did not start it.
    #[error("{program} could not be started: {why}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system says.
        why: String,
    },
    /// No port is free.
    #[error("no port from {from} to {to} is free; stop what listens there or change target.port_from")]
    NoPort {
        /// First tried.
        from: u16,
        /// Last tried.
        to: u16,
    },
    /// Another process listens on the port that the instance was given.
    #[error(
        "port {port} was taken by another process before the instance could listen ({exit}); it gets another port"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// How the instance ended.
        exit: String,
    },
    /// It ended by itself.
    #[error("{exit} {} after its start{}", ForPeople(*ran_ms), said(last_line))]
    Exited {
        /// `exited with code 1`, `was killed by signal 9 (SIGKILL)`, `ended while nobody watched`.
        exit: String,
        /// How long it ran.
        ran_ms: u64,
        /// The last line it wrote.
        last_line: String,
    },
    /// It ended while there was no supervisor.
    #[error("it ended while no supervisor ran")]
    EndedUnseen,
    /// It used more memory than it may.
    #[error("it was over its memory limit of {} MiB (held by {held_by}) and was ended; raise target.limits.memory or find the leak", limit_bytes >> 20)]
    OverMemory {
        /// The limit.
        limit_bytes: u64,
        /// What held it.
        held_by: String,
    },
    /// It is not ready yet.
    #[error("not ready after {}: {why}", ForPeople(*for_ms))]
    NotReady {
        /// Since its start.
        for_ms: u64,
        /// The last answer of the probe.
        why: String,
    },
    /// It was ready and is no longer.
    #[error("no longer ready: {0}")]
    LostReadiness(String),
    /// Its health check fails.
    #[error("its health check fails: {0}")]
    Unhealthy(String),
    /// Its health check failed for so long that it was restarted.
    #[error("its health check failed for {}, so it was restarted: {why}", ForPeople(*for_ms))]
    Hung {
        /// How long.
        for_ms: u64,
        /// The last answer of the probe.
        why: String,
    },
    /// It did not stop when asked.
    #[error("it ignored SIGTERM for {} and was killed; let it stop on SIGTERM or raise target.stop_grace", ForPeople(*grace_ms))]
    IgnoredTerm {
        /// The grace it had.
        grace_ms: u64,
    },
}

impl Problem {
    /// Whether another try without a change by a person is bound to fail in the same way.
    pub(super) const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::NoCommand
                | Self::BinaryMissing { .. }
                | Self::NotExecutable(_)
                | Self::NoDirectory(_)
                | Self::Artifact { .. }
                | Self::ArtifactDiffers { .. }
        )
    }
}

fn said(last_line: &str) -> String {
    if last_line.is_empty() { String::new() } else { format!("; it last wrote: {last_line}") }
}

//! How the process ends. Scripts branch on these numbers: one never changes its meaning.

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or released and sealed.
    Done = 0,
    /// A defect, or something of the machine gave way.
    Internal = 1,
    /// The command line or a file is wrong; nothing was started.
    BadInput = 2,
    /// A rule or the state of the service forbids it.
    Refused = 3,
    /// The release waits for a person.
    Waiting = 4,
    /// The release went back to the baseline.
    RolledBack = 5,
    /// The time given with `--timeout` is over; the release goes on.
    TimedOut = 6,
    /// Who asks may not (reserved for servers with logins).
    NotAllowed = 7,
    /// Something that is needed does not answer.
    Unreachable = 8,
    /// A person aborted the release.
    Aborted = 9,
    /// The release could not be carried out, and nothing is left of it.
    Failed = 10,
    /// What was checked does not hold: the log is damaged, or a replay differs.
    Damaged = 11,
    /// The verdict is INSUFFICIENT_DATA: `judge` was given too little to tell.
    MoreData = 12,
    /// Ctrl-C: detached, the release goes on.
    Detached = 130,
}

/// Every exit code with what it means, in order; the reference is written from this.
pub(crate) const ALL: &[(Exit, &str, &str)] = &[
    (
        Exit::Done,
        "done",
        "Done. For `release`: released and sealed, or what `--until` or `--detach` asked for is reached.",
    ),
    (Exit::Internal, "internal", "A defect, or the machine gave way under us (disk full, out of memory)."),
    (Exit::BadInput, "bad input", "The command line or a file is wrong. Nothing was started or changed."),
    (Exit::Refused, "refused", "A rule or the state of the service forbids it. Nothing was changed."),
    (
        Exit::Waiting,
        "waiting for a person",
        "The release waits for a person (approval, pause, a verdict of HOLD). It stays where it is, safe, until someone answers. For `judge`: the verdict is HOLD.",
    ),
    (
        Exit::RolledBack,
        "rolled back",
        "The release went back to the baseline, by itself or by `rollback`. For `judge`: the verdict is ROLLBACK.",
    ),
    (Exit::TimedOut, "timed out", "The time given with `--timeout` is over. The release goes on."),
    (Exit::NotAllowed, "not allowed", "Reserved: who asks may not."),
    (
        Exit::Unreachable,
        "unreachable",
        "Something that is needed does not answer: the resident process (also when `taxiway stop` ended it while a release was watched), or the place an artifact comes from.",
    ),
    (Exit::Aborted, "aborted", "A person aborted the release; everything is back on the baseline."),
    (
        Exit::Failed,
        "failed",
        "The release could not be carried out (instances never ready, no baseline to go back to), and nothing is left of it.",
    ),
    (
        Exit::Damaged,
        "damaged",
        "`log verify` found damage, or `replay` came to another verdict than the record.",
    ),
    (
        Exit::MoreData,
        "more data",
        "The verdict of `judge` is INSUFFICIENT_DATA: nothing is shown against the canary, and too little was seen to let it go on.",
    ),
    (
        Exit::Detached,
        "detached",
        "Ctrl-C ended the watching. The release goes on; `taxiway status --watch` follows it again.",
    ),
];

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

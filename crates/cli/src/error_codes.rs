//! The table of error codes: what each means and what to do about it.

use taxiway_api::Class;

use crate::exit::Exit;

/// The codes. A word, once published, never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BadYaml,
    BadFile,
    BadSeries,
    BadName,
    BadArgument,
    FileExists,
    NoData,
    DataUnusable,
    NoService,
    SeveralServices,
    ArtifactMissing,
    ArtifactChanged,
    ArtifactUnreachable,
    NoSuchStep,
    NoTraffic,
    SourceUnusable,
    Unreachable,
    NotStarted,
    StoreUnusable,
    StoreFull,
    ProxyMissing,
    NotUnderstood,
    Unauthorized,
    DemoParts,
    DemoFailed,
    Internal,
    VersionChanged,
    AlreadyReleased,
    InFlight,
    Suppressed,
    Held,
    StrategyNotAllowed,
    BadPlan,
    Preflight,
    NothingInFlight,
    NoSuchVersion,
    AlreadyReturning,
    NotWaiting,
}

/// One code with what the reference says of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) code: Code,
    pub(crate) word: &'static str,
    pub(crate) exit: Exit,
    pub(crate) title: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) next: &'static str,
    /// A refusal of the engine; it comes with its own title and sentence.
    pub(crate) from_model: bool,
}

const fn entry(
    code: Code,
    word: &'static str,
    exit: Exit,
    title: &'static str,
    meaning: &'static str,
    next: &'static str,
) -> Entry {
    Entry { code, word, exit, title, meaning, next, from_model: false }
}

const fn refusal(
    code: Code,
    word: &'static str,
    exit: Exit,
    meaning: &'static str,
    next: &'static str,
) -> Entry {
    Entry { code, word, exit, title: "refused", meaning, next, from_model: true }
}

/// Every code, in the order of the reference.
#[rustfmt::skip]
pub(crate) const CODES: &[Entry] = &[
    entry(Code::BadYaml, "bad_yaml", Exit::BadInput, "the description is not valid", "`taxiway.yaml` cannot be read as the description of a service. Every problem is shown with line, column and how to mend it.", "Mend the places shown; `taxiway check` tries again without releasing anything, `taxiway schema` gives editors the rules."),
    entry(Code::BadFile, "bad_file", Exit::BadInput, "a file cannot be read or written", "A file that was named does not exist, is a directory, or may not be read or written.", "Check path and permissions."),
    entry(Code::BadSeries, "bad_series", Exit::BadInput, "the figures cannot be read", "A file of figures (CSV, JSON, a histogram log, a recording) or the answer of a source is not what `judge` or `backtest` can read. The place is shown.", "Mend the place shown; docs/judge.md describes what is read."),
    entry(Code::BadName, "bad_name", Exit::BadInput, "not a valid name", "Names of services, versions and steps end up in file names and URLs: 1 to 63 letters, digits, `-`, `_` and `.`, beginning with a letter or digit.", "Choose another name."),
    entry(Code::BadArgument, "bad_argument", Exit::BadInput, "an argument is wrong", "An argument has a value that cannot be used.", "See `--help` of the verb."),
    entry(Code::FileExists, "file_exists", Exit::BadInput, "the file exists", "`taxiway init` does not write over a file.", "Name another file, or pass `--force`."),
    entry(Code::NoData, "no_data", Exit::BadInput, "nothing is kept here", "There is no data directory (`.taxiway`) here or in a folder above, so nothing was ever released from here.", "Run the verb beside `taxiway.yaml`, or name the directory with `--data` or `TAXIWAY_DATA`."),
    entry(Code::DataUnusable, "data_unusable", Exit::BadInput, "the data directory cannot be used", "It cannot be made or written, or its path is too long for a Unix socket (107 bytes).", "Name another one with `--data`."),
    entry(Code::NoService, "no_service", Exit::BadInput, "no such service", "The data directory knows no service of that name (and environment).", "`taxiway status` lists those it knows."),
    entry(Code::SeveralServices, "several_services", Exit::BadInput, "several services", "The data directory has more than one service, and none was named.", "Name one with `--service NAME` (and `--environment NAME`)."),
    entry(Code::ArtifactMissing, "artifact_missing", Exit::BadInput, "the artifact cannot be read", "The artifact (or, where none is declared, the program of the command) does not exist or cannot be read.", "Build it, or correct `target.artifact` or `target.command`."),
    entry(Code::ArtifactChanged, "artifact_changed", Exit::BadInput, "the artifact is another one", "The artifact's bytes do not have the digest that is declared for it.", "Somebody changed the artifact, or the digest is of another version. Nothing was started."),
    entry(Code::ArtifactUnreachable, "artifact_unreachable", Exit::Unreachable, "the artifact cannot be fetched", "The URL of the artifact does not answer, or not with the artifact.", "Try again; check the URL."),
    entry(Code::NoSuchStep, "no_such_step", Exit::BadInput, "no such step", "`--until step:<name>` names a step that the plan does not have.", "`taxiway release --dry-run` shows the steps."),
    entry(Code::NoTraffic, "no_traffic", Exit::Refused, "no traffic to reckon with", "A forecast needs to know how the running version answers: nothing was released there yet, or too few requests were seen lately.", "Say what is to be expected: `taxiway preflight --rps 100 --errors 0.1%`."),
    entry(Code::SourceUnusable, "source_unusable", Exit::Unreachable, "a source of metrics is of no use", "`taxiway check --sources` or `taxiway judge` asked a source: one does not answer, refuses who asks, or its question selects nothing of the version that runs. Each is named with what it says.", "Mend what is named: the address, the variable or file of the secret, the query or the labels of the sides; docs/sources.md has them by source."),
    entry(Code::Unreachable, "unreachable", Exit::Unreachable, "the resident process does not answer", "It is alive but does not answer on its socket, or went away in the middle of an answer.", "Try again; see `resident.log` in the data directory."),
    entry(Code::NotStarted, "not_started", Exit::Unreachable, "the resident process did not start", "It ended before it could answer. Its last words are shown.", "See `resident.log` in the data directory."),
    entry(Code::StoreUnusable, "store_unusable", Exit::Internal, "the log cannot be used", "The database of the log is damaged, read-only, or from a newer version. The proxy and running instances go on serving the baseline.", "`taxiway log verify` names the damage; make the directory writable again, or restore it from a copy."),
    entry(Code::StoreFull, "store_full", Exit::Internal, "the disk is full", "The log cannot be written. Releases stand still on the baseline's side until there is space.", "Free some space; everything goes on by itself."),
    entry(Code::ProxyMissing, "proxy_missing", Exit::Internal, "the proxy did not start", "The proxy process ended or does not answer on its control socket.", "See `proxy.log` in the data directory."),
    entry(Code::NotUnderstood, "not_understood", Exit::BadInput, "the report is not understood", "A webhook or a report is well-formed, but does not say what it means: no label names a service that is known here, or no rule says which signal the alert is. Nothing was rolled back.", "The answer names what is missing; `docs/webhooks.md` shows labels and rules."),
    entry(Code::Unauthorized, "unauthorized", Exit::Refused, "not allowed", "A sender of webhooks presented no token, or another one.", "Send `Authorization: Bearer <token>` with the token that `signals.token` or `taxiway start --token-file` names."),
    entry(Code::DemoParts, "demo_parts", Exit::Internal, "the demo's programs are missing", "The demo needs the example programs `shop` and `load` beside `taxiway`, and could not build them.", "In a clone of the repository: `cargo build --release -p taxiway-example-shop -p taxiway-example-load`."),
    entry(Code::DemoFailed, "demo_failed", Exit::Internal, "the demo could not be played", "A part of the demo ended or did not answer in time.", "The data directory that is named holds the logs of all its processes."),
    entry(Code::Internal, "internal", Exit::Internal, "a defect", "Something happened that should not.", "Please report it with the text shown."),
    refusal(Code::VersionChanged, "version_changed", Exit::Refused, "A version of that name is known with another digest: a version never changes its content.", "Give the new artifact or configuration a new version name."),
    refusal(Code::AlreadyReleased, "already_released", Exit::Refused, "This version already serves everything.", "Nothing to do."),
    refusal(Code::InFlight, "in_flight", Exit::Refused, "A release is in flight: of this very version, or `concurrency: refuse` is set.", "Follow it with `taxiway status --watch`, or abort it."),
    refusal(Code::Suppressed, "suppressed", Exit::Refused, "This artifact was rolled back a short while ago and is not tried again by itself.", "Release a mended version, or insist with `taxiway retry` or `release --again`."),
    refusal(Code::Held, "held", Exit::Refused, "A rollback by hand left a hold: nothing automatic may happen here until a person resumes.", "`taxiway resume`, or insist with `release --again`."),
    refusal(Code::StrategyNotAllowed, "strategy_not_allowed", Exit::Refused, "The strategy is not allowed in this kind of environment.", "Use canary, blue-green or rolling, or release to another environment."),
    refusal(Code::BadPlan, "bad_plan", Exit::BadInput, "The plan does not hold together.", "Mend the strategy in `taxiway.yaml`."),
    refusal(Code::Preflight, "preflight", Exit::Refused, "These steps would not see enough with the recent traffic, and `analysis.preflight` is `refuse`.", "`taxiway preflight` says what they would see; bake longer, begin with more weight, or write `preflight: warn`."),
    refusal(Code::NothingInFlight, "nothing_in_flight", Exit::Refused, "No release is in flight.", "`taxiway history` shows what has ended."),
    refusal(Code::NoSuchVersion, "no_such_version", Exit::BadInput, "There is no earlier version to go to, or none of that name.", "`taxiway history` names them."),
    refusal(Code::AlreadyReturning, "already_returning", Exit::Refused, "The release is already on its way back.", "Follow it with `taxiway status --watch`."),
    refusal(Code::NotWaiting, "not_waiting", Exit::Refused, "The release is not waiting for anybody.", "`taxiway explain` says what it waits for."),
];

impl Code {
    /// What the table says of it.
    pub(crate) fn entry(self) -> &'static Entry {
        CODES.iter().find(|entry| entry.code == self).expect("every code is in the table; a test holds it")
    }

    /// The class under which the API would tell it.
    pub(crate) fn class(self) -> Class {
        match self.entry().exit {
            Exit::BadInput => Class::BadInput,
            Exit::Refused => Class::Refused,
            Exit::Unreachable => Class::Unavailable,
            _ => Class::Defect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_every_code_is_in_the_table() {
        let mut words: Vec<_> = CODES.iter().map(|entry| entry.word).collect();
        words.sort_unstable();
        let count = words.len();
        words.dedup();
        assert_eq!(words.len(), count);
        assert_eq!(CODES.len(), Code::NotWaiting as usize + 1, "one entry for each code");
        for (at, entry) in CODES.iter().enumerate() {
            assert_eq!(entry.code as usize, at, "the table has the order of the enum");
        }
    }
}

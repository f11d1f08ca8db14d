//! The verbs that send one command: promote, pause, resume, abort, retry, rollback, signal.

use std::time::Duration;

use taxiway_api::{CommandAnswer, CommandRequest};
use taxiway_model::command::Command;
use taxiway_model::event;
use taxiway_model::ids::VersionName;

use crate::cli::Global;
use crate::client::{Client, Need, Wanted};
use crate::commands::release::of_outcome;
use crate::data::Data;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::{Ending, Follower, Show, Until, head};
use crate::output::{self, actor};

/// What all of them take.
#[derive(Debug, clap::Args)]
pub(crate) struct Simple {
    #[command(flatten)]
    wanted: Wanted,
    /// Why, for the record
    #[arg(long, default_value = "")]
    reason: String,
}

/// Go to the next step now
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    simple: Simple,
    /// To all of the traffic at once
    #[arg(long)]
    full: bool,
}

/// Back to the version before, or to any earlier one; leaves a hold, so that nothing automatic undoes it
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    simple: Simple,
    /// The version to go back to
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Wait until it is done (exit code 0), at most this long
    #[arg(long, value_name = "TIME", value_parser = crate::commands::span)]
    wait: Option<Duration>,
}

/// Report harm: the release goes back at once
#[derive(Debug, clap::Args)]
pub(crate) struct Signal {
    /// The kind of harm
    #[arg(value_enum)]
    kind: Kind,
    #[command(flatten)]
    simple: Simple,
    /// What was seen
    #[arg(long, default_value = "")]
    detail: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Data are damaged or lost
    DataIntegrity,
    /// A security finding
    Security,
    /// A critical bug
    CriticalBug,
    /// A spike of user reports
    UserReports,
}

pub(crate) fn promote(global: &Global, args: &Promote) -> Result<Exit, CliError> {
    send(global, &args.simple, "/v1/commands", Command::Promote { full: args.full })
}

pub(crate) fn pause(global: &Global, args: &Simple) -> Result<Exit, CliError> {
    send(global, args, "/v1/commands", Command::Pause)
}

pub(crate) fn resume(global: &Global, args: &Simple) -> Result<Exit, CliError> {
    send(global, args, "/v1/commands", Command::Resume)
}

pub(crate) fn abort(global: &Global, args: &Simple) -> Result<Exit, CliError> {
    send(global, args, "/v1/commands", Command::Abort)
}

pub(crate) fn retry(global: &Global, args: &Simple) -> Result<Exit, CliError> {
    // Which command it becomes is for the resident process to find out.
    send(global, args, "/v1/retry", Command::Resume)
}

pub(crate) fn signal(global: &Global, args: &Signal) -> Result<Exit, CliError> {
    let signal = match args.kind {
        Kind::DataIntegrity => event::Signal::DataIntegrity,
        Kind::Security => event::Signal::Security,
        Kind::CriticalBug => event::Signal::CriticalBug,
        Kind::UserReports => event::Signal::UserReports,
    };
    let detail = if args.detail.is_empty() { args.simple.reason.clone() } else { args.detail.clone() };
    send(global, &args.simple, "/v1/commands", Command::Signal { signal, detail, key: None })
}

pub(crate) fn rollback(global: &Global, args: &Rollback) -> Result<Exit, CliError> {
    let to = args.to.clone().map(VersionName::new).transpose()?;
    let client = connect(global)?;
    let from = head(&client)?;
    let answer = ask(&client, &args.simple, "/v1/commands", Command::Rollback { to })?;
    show(global, &answer);
    let (Some(timeout), Some(release)) = (args.wait, &answer.release) else { return Ok(Exit::Done) };
    let until = Until { step: None, timeout: Some(timeout), person: true };
    let show = if global.json { Show::Json } else { Show::Lines };
    Ok(match Follower::new(&client, &answer.stream, release, from, show).run(&until)? {
        // Back is what was asked for.
        Ending::Ended(entry) => match of_outcome(entry.outcome) {
            Exit::RolledBack | Exit::Aborted => Exit::Done,
            other => other,
        },
        Ending::TimedOut => Exit::TimedOut,
        Ending::Interrupted => Exit::Detached,
        Ending::Waiting(_) | Ending::Step => Exit::Waiting,
    })
}

fn connect(global: &Global) -> Result<Client, CliError> {
    Client::connect(&Data::find(global.data.as_deref())?, Need::Act)
}

fn send(global: &Global, args: &Simple, path: &str, command: Command) -> Result<Exit, CliError> {
    let answer = ask(&connect(global)?, args, path, command)?;
    show(global, &answer);
    Ok(Exit::Done)
}

fn ask(client: &Client, args: &Simple, path: &str, command: Command) -> Result<CommandAnswer, CliError> {
    let request = CommandRequest {
        stream: client.stream(&args.wanted)?,
        command,
        actor: actor(),
        reason: args.reason.clone(),
        origin: "cli".to_owned(),
        dedup: None,
    };
    client.post(path, &request)
}

fn show(global: &Global, answer: &CommandAnswer) {
    if global.json {
        output::json(answer);
        return;
    }
    let release = answer.release.as_ref().map_or_else(String::new, |release| format!("{release}: "));
    output::line(&format!("{release}{}", answer.said));
}

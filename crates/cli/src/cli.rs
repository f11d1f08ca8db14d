//! The command line.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;
use crate::error::CliError;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  taxiway demo                                      watch two releases of an example service
  taxiway init                                      write a taxiway.yaml
  taxiway check                                     look whether it is right
  taxiway release taxiway.yaml --version v2         take v2 to all of the traffic, or back
  taxiway status --watch                            follow it
  taxiway explain                                   why is it where it is?
  taxiway rollback                                  back to the version before

Exit codes: 0 done, 2 bad input, 3 refused, 4 waiting for a person, 5 rolled back, 6 timed out,
8 unreachable; `taxiway reference exit-codes` has them all.";

/// Takes a new version of a service to all of its traffic, safely, or back
#[derive(Debug, Parser)]
#[command(name = "taxiway", version, after_help = EXAMPLES, disable_help_subcommand = false, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Data directory [default: .taxiway beside taxiway.yaml]
    #[arg(long, global = true, value_name = "DIR", env = "TAXIWAY_DATA", hide_env = true)]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON: one object, or one a line where something is followed
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Never ask and never wait for a person; also assumed when the input is not a terminal
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// No colour, also with NO_COLOR set or TERM=dumb
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take a version to all of the traffic, step by step, or back
    Release(commands::release::Args),
    /// What the steps of a release would see with this traffic
    Preflight(commands::preflight::Args),
    /// Where every service is
    Status(commands::status::Args),
    /// Why a release is where it is, with the inputs of the decision
    Explain(commands::explain::Args),
    /// Go to the next step now, or with --full to all of the traffic
    Promote(commands::change::Promote),
    /// Stay at the current step
    Pause(commands::change::Simple),
    /// Go on after a pause or a hold
    Resume(commands::change::Simple),
    /// Back to the baseline; the release is over
    Abort(commands::change::Simple),
    /// Try again what failed: its checks while it is held, or the whole release
    Retry(commands::change::Simple),
    /// Back to the version before, or to any earlier one
    Rollback(commands::change::Rollback),
    /// Report harm: the release goes back at once
    Signal(commands::change::Signal),
    /// Keep what a user said; a spike of problems rolls back
    Feedback(commands::feedback::Args),
    /// Releases of the past
    History(commands::history::Args),
    /// The record of everything that happened
    Log(commands::log::Args),
    /// Judge again from the evidence on record, and compare
    Replay(commands::replay::Args),
    /// Judge two series of figures as a release would be judged, and write a report
    Judge(Box<commands::judge::Args>),
    /// Judge recorded releases again by another policy, side by side
    Backtest(commands::backtest::Args),
    /// Start what ran before `stop`, and with --listen take webhooks
    Start(commands::stop::Start),
    /// Stop every process of this data directory
    Stop(commands::stop::Args),
    /// Write a commented taxiway.yaml
    Init(commands::init::Args),
    /// Look whether a taxiway.yaml is right
    Check(commands::check::Args),
    /// Print the JSON Schema of taxiway.yaml
    Schema,
    /// Carry over an analysis of Kayenta, Argo Rollouts or Flagger
    Import(commands::import::Args),
    /// Watch an example service being released, for real
    Demo(crate::demo::Args),
    /// Print a completion script for a shell
    Completions(commands::shell::Completions),
    /// Print the manual page, or with --dir write one for every verb
    Man(commands::shell::Man),
    /// Print a page of the reference
    Reference(commands::shell::Reference),
    #[command(hide = true)]
    Resident(commands::hidden::Resident),
    #[command(hide = true)]
    Keep,
    #[command(hide = true)]
    Proxy(commands::hidden::Proxy),
}

/// Reads the command line and does what it says. The first value says whether JSON was asked for.
pub(crate) fn run() -> (bool, Result<Exit, CliError>) {
    // Clap ends the process itself: 0 for --help, 2 for what it does not understand.
    let Cli { global, verb } = Cli::parse();
    crate::output::set_up(&global);
    let json = global.json;
    (json, act(&global, verb))
}

/// The command line as clap has it, for completions and the reference.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

fn act(global: &Global, verb: Verb) -> Result<Exit, CliError> {
    use commands::{
        change, check, explain, hidden, history, init, log, release, replay, shell, status, stop,
    };
    match verb {
        Verb::Release(args) => release::run(global, &args),
        Verb::Preflight(args) => commands::preflight::run(global, &args),
        Verb::Status(args) => status::run(global, &args),
        Verb::Explain(args) => explain::run(global, &args),
        Verb::Promote(args) => change::promote(global, &args),
        Verb::Pause(args) => change::pause(global, &args),
        Verb::Resume(args) => change::resume(global, &args),
        Verb::Abort(args) => change::abort(global, &args),
        Verb::Retry(args) => change::retry(global, &args),
        Verb::Rollback(args) => change::rollback(global, &args),
        Verb::Signal(args) => change::signal(global, &args),
        Verb::Feedback(args) => commands::feedback::run(global, &args),
        Verb::History(args) => history::run(global, &args),
        Verb::Log(args) => log::run(global, &args),
        Verb::Replay(args) => replay::run(global, &args),
        Verb::Import(args) => commands::import::run(global, &args),
        Verb::Judge(args) => commands::judge::run(global, &args),
        Verb::Backtest(args) => commands::backtest::run(global, &args),
        Verb::Start(args) => stop::start(global, &args),
        Verb::Stop(args) => stop::run(global, &args),
        Verb::Init(args) => init::run(global, &args),
        Verb::Check(args) => check::run(global, &args),
        Verb::Schema => Ok(check::schema()),
        Verb::Demo(args) => crate::demo::run(global, &args),
        Verb::Completions(args) => Ok(shell::completions(&args)),
        Verb::Man(args) => shell::man(&args),
        Verb::Reference(args) => Ok(shell::reference(&args)),
        Verb::Resident(args) => hidden::resident(global, &args),
        Verb::Keep => hidden::keep(global),
        Verb::Proxy(args) => hidden::proxy(global, &args),
    }
}

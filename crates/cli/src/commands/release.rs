//! `taxiway release`: take a version to all of the traffic, or back.

use std::path::PathBuf;
use std::time::Duration;

use taxiway_api::{HistoryEntry, ReleaseSummary, StartAnswer, StartRequest, Status, Summary};
use taxiway_model::event::Outcome;
use taxiway_model::forecast::Forecast;
use taxiway_model::ids::{ReleaseId, VersionName};
use taxiway_model::service::Provenance;

use crate::cli::Global;
use crate::client::{Client, Need};
use crate::commands::check;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::follow::{Ending, Follower, Show, Until, head};
use crate::output::{self, actor};
use crate::view;

/// Take a version to all of the traffic, step by step, or back.
///
/// Runs until the release is sealed or back. Ctrl-C only stops watching: the release goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The description of the service
    #[arg(default_value = "taxiway.yaml")]
    file: PathBuf,
    /// The version to release
    #[arg(long)]
    version: String,
    /// The commit it was built from
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
    /// When that was committed (2026-11-20T12:00:00Z)
    #[arg(long, value_name = "TIME")]
    commit_time: Option<String>,
    /// The build that made it
    #[arg(long, value_name = "ID")]
    build_id: Option<String>,
    /// Why, for the record
    #[arg(long, default_value = "")]
    reason: String,
    /// Return as soon as it is accepted
    #[arg(long)]
    detach: bool,
    /// Print the plan and its digest, and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// With --dry-run: the regression to be found, as a ratio to the baseline (2x)
    #[arg(long, value_name = "RATIO", requires = "dry_run", value_parser = crate::commands::preflight::ratio)]
    detect: Option<u32>,
    /// Release it although its artifact was rolled back a short while ago, or a hold is in force
    #[arg(long)]
    again: bool,
    /// Return once the release has entered a step: step:<name>
    #[arg(long, value_name = "step:NAME", conflicts_with = "detach")]
    until: Option<String>,
    /// Return after this time with exit code 6; the release goes on (90s, 15m, 2h)
    #[arg(long, value_name = "TIME", value_parser = crate::commands::span)]
    timeout: Option<Duration>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    // All that can be wrong with the input is found before anything is started.
    let service = check::read(&args.file)?;
    let version = VersionName::new(args.version.clone())?;
    let provenance = provenance(args)?;
    let data = Data::for_file(global.data.as_deref(), &args.file)?;
    let until = args.until.as_deref().map(step_name).transpose()?;
    let client = Client::connect(&data, if args.dry_run { Need::Read } else { Need::Act })?;
    let request = StartRequest {
        service: Box::new(service),
        version,
        provenance,
        again: args.again,
        dry_run: args.dry_run,
        detect_bp: args.detect,
        actor: actor(),
        reason: args.reason.clone(),
        origin: "cli".to_owned(),
    };
    let from = if args.dry_run { 0 } else { head(&client)? };
    let answer = start(&client, &request)?;
    let step = until.map(|name| find_step(&answer, &name)).transpose()?;
    if args.dry_run {
        return Ok(print_plan(global, &answer));
    }
    let release = answer
        .release
        .clone()
        .ok_or_else(|| CliError::new(Code::Internal, "the release was accepted without a name"))?;
    announce(global, &answer, &release);
    if args.detach {
        if global.json {
            output::json(&answer);
        } else {
            output::line(release.as_str());
        }
        return Ok(Exit::Done);
    }
    let until = Until { step, timeout: args.timeout, person: !output::is_attended(global) };
    follow(global, &client, &answer, &release, from, &until)
}

/// Starts; when the answer is lost with the resident process, looks whether it was done.
pub(crate) fn start(client: &Client, request: &StartRequest) -> Result<StartAnswer, CliError> {
    let asked_at = jiff::Timestamp::now().as_microsecond();
    match client.post("/v1/releases", request) {
        Err(error) if error.exit() == Exit::Unreachable && !request.dry_run => {
            let dry = StartRequest { dry_run: true, ..request.clone() };
            let mut answer: StartAnswer = client.post_again("/v1/releases", &dry)?;
            let path = crate::client::of_stream("history", &answer.stream);
            let known: Vec<HistoryEntry> = client.get(&format!("{path}?limit=1")).unwrap_or_default();
            match known.first() {
                Some(last) if last.version == request.version && last.accepted_at.0 >= asked_at => {
                    answer.release = Some(last.release.clone());
                    Ok(answer)
                }
                _ => client.post("/v1/releases", request),
            }
        }
        other => other,
    }
}

fn provenance(args: &Args) -> Result<Provenance, CliError> {
    let commit_at = args.commit_time.as_deref().map(|text| {
        text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond).map_err(|error| {
            CliError::new(Code::BadArgument, format!("--commit-time {text}: {error}"))
                .hint("write it as 2026-11-20T12:00:00Z")
        })
    });
    Ok(Provenance {
        commit: args.commit.clone(),
        commit_at: commit_at.transpose()?,
        build_id: args.build_id.clone(),
    })
}

fn step_name(text: &str) -> Result<String, CliError> {
    let name = text.strip_prefix("step:").filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| {
        CliError::new(Code::BadArgument, format!("--until {text} is not understood"))
            .hint("write --until step:<name>")
    })
}

fn find_step(answer: &StartAnswer, name: &str) -> Result<u16, CliError> {
    let steps = &answer.plan.steps;
    let place = steps.iter().position(|step| step.name.as_str() == name);
    place.and_then(|place| u16::try_from(place).ok()).ok_or_else(|| {
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        let why = format!("the plan has no step {name}; it has {}", names.join(", "));
        let error = CliError::new(Code::NoSuchStep, why);
        match &answer.release {
            Some(release) => error
                .hint(format!("{release} was started and goes on: follow it with `taxiway status --watch`")),
            None => error,
        }
    })
}

fn print_plan(global: &Global, answer: &StartAnswer) -> Exit {
    if global.json {
        output::json(answer);
        return Exit::Done;
    }
    let plan = &answer.plan;
    let baseline = plan.baseline.as_ref().map_or("nothing".to_owned(), ToString::to_string);
    output::line(&format!(
        "{}: {} to replace {baseline}, preset {}",
        plan.stream, plan.version.name, plan.preset
    ));
    for step in &plan.steps {
        let mut parts = vec![format!("{:>7}", step.weight.to_string())];
        if step.header.is_some() {
            parts.push("and internal users".to_owned());
        }
        if step.mirror.bp() > 0 {
            parts.push(format!("mirrors {}", step.mirror));
        }
        if step.bake_ms > 0 {
            parts.push(format!("{} with evidence", view::span(step.bake_ms)));
        }
        parts.push(if step.analysis { "judged" } else { "not judged" }.to_owned());
        if step.approval {
            parts.push("a person promotes".to_owned());
        }
        for check in step.before.iter().chain(&step.after) {
            parts.push(format!("check {}", check.name));
        }
        output::line(&format!("  {:<16} {}", step.name, parts.join(", ")));
    }
    output::line(&format!("version {}", plan.version.digest));
    output::line(&format!("plan    {}", answer.plan_digest));
    if let Some(forecast) = &answer.forecast {
        // Its warnings are among those of the start.
        let table = Forecast { warnings: Vec::new(), ..(**forecast).clone() };
        output::line("");
        output::lines(&view::forecast(&table, &output::paper()));
    }
    for warning in &answer.warnings {
        output::say(&format!("warning: {warning}"));
    }
    Exit::Done
}

fn announce(global: &Global, answer: &StartAnswer, release: &ReleaseId) {
    if global.json {
        return;
    }
    for warning in &answer.warnings {
        output::say(&format!("warning: {warning}"));
    }
    let behind = answer.behind.as_ref().map_or_else(String::new, |other| format!(", behind {other}"));
    output::say(&format!(
        "{release}: {} to {} (plan {}){behind}",
        answer.plan.version.name,
        answer.stream,
        answer.plan_digest.short()
    ));
}

fn follow(
    global: &Global,
    client: &Client,
    answer: &StartAnswer,
    release: &ReleaseId,
    from: u64,
    until: &Until,
) -> Result<Exit, CliError> {
    let show = Show::fitting(global.json);
    let ending = Follower::new(client, &answer.stream, release, from, show).run(until)?;
    let word = |text: &str| {
        if !global.json {
            output::say(text);
        }
    };
    Ok(match ending {
        Ending::Ended(entry) => {
            close(global, client, &entry);
            of_outcome(entry.outcome)
        }
        Ending::Step => {
            word("the step is entered; the release goes on: `taxiway status --watch`");
            Exit::Done
        }
        Ending::Waiting(sentence) => {
            word(&format!(
                "{release} waits for a person: {sentence}\n  next: `taxiway explain`, then `taxiway resume`, `promote` or `abort`"
            ));
            if global.json {
                close_left(release, answer);
            }
            Exit::Waiting
        }
        Ending::TimedOut => {
            word(&format!("the time is over; {release} goes on: `taxiway status --watch`"));
            Exit::TimedOut
        }
        Ending::Interrupted => {
            word(&format!(
                "\ndetached: {release} goes on without you. `taxiway status --watch` follows it, `taxiway abort` ends it"
            ));
            Exit::Detached
        }
    })
}

fn close_left(_release: &ReleaseId, answer: &StartAnswer) {
    let left = ReleaseSummary {
        version: answer.plan.version.name.clone(),
        outcome: taxiway_api::OutcomeWord::Held,
        detect_ms: None,
        shift_ms: None,
        canary_requests: 0,
        failed_requests: 0,
    };
    output::json(&Summary { releases: vec![left] });
}

fn close(global: &Global, client: &Client, entry: &HistoryEntry) {
    if global.json {
        output::json(&Summary { releases: vec![ReleaseSummary::from(entry)] });
        return;
    }
    if entry.outcome != Some(Outcome::Released) {
        // What does not answer is often why; a port that is taken, for one.
        let status = client.get::<Status>(&crate::client::of_stream("status", &entry.stream));
        for silent in status.map(|status| status.unreachable).unwrap_or_default() {
            output::say(&format!("  {silent}"));
        }
    }
    let log = client.data().path().display().to_string();
    let next: &[(&str, &str)] = match entry.outcome {
        Some(Outcome::Released) if entry.baseline.is_none() => {
            &[("taxiway status", "where it is"), ("taxiway preflight", "what the next release would see")]
        }
        Some(Outcome::Released) => {
            &[("taxiway rollback", "back to the version before"), ("taxiway history", "releases so far")]
        }
        _ => &[
            ("taxiway explain --html report.html", "the evidence with charts"),
            ("taxiway log", "everything that happened"),
            ("taxiway replay", "judge again from the record"),
        ],
    };
    output::lines(&view::summary(std::slice::from_ref(entry), &log, next, &output::paper()));
}

/// The exit code of an outcome.
pub(crate) fn of_outcome(outcome: Option<Outcome>) -> Exit {
    match outcome {
        Some(Outcome::Released) => Exit::Done,
        Some(Outcome::RolledBack) => Exit::RolledBack,
        Some(Outcome::Aborted) => Exit::Aborted,
        Some(Outcome::Failed) => Exit::Failed,
        None => Exit::Waiting,
    }
}

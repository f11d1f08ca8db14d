//! `taxiway demo`: an example service, released for real.
//!
//! Nothing here is staged: the demo writes a folder with a `taxiway.yaml` and a file for each
//! version, sends traffic, and uses the same verbs as everybody. What the service does wrong is
//! the service's own doing.

mod parts;
mod scene;

use std::path::PathBuf;
use std::time::Duration;

use taxiway_api::{HistoryEntry, OutcomeWord, ReleaseSummary, StartRequest, Summary};
use taxiway_model::event::Outcome;
use taxiway_model::ids::VersionName;
use taxiway_model::service::Provenance;

use crate::cli::Global;
use crate::client::{Client, Need, of_stream};
use crate::commands::{check, release, stop};
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::follow::{Ending, Follower, Show, Until, head};
use crate::output;
use crate::view;
use parts::{Load, Parts};
use scene::{Scenario, Scene};

/// How long one release of the demo may take before something must be wrong.
const RELEASE_MAX: Duration = Duration::from_secs(85);

/// What makes a normal profile of a busy service, and for how long the demo waits for one at most: with
/// less traffic it would take a minute, and the release warns instead.
const PROFILE_REQUESTS: u64 = taxiway_decide::normal::BUSY_REQUESTS_MIN;
const PROFILE_MS: u64 = taxiway_decide::normal::BUSY_SPAN_MS_MIN;
const PROFILE_MS_MAX: u64 = 8_000;

/// How long v2 of the scenario `outage` is watched before its dependency goes down.
const OUTAGE_AFTER: Duration = Duration::from_secs(6);

/// Watch an example service being released, for real.
///
/// Starts v1 of a small shop with traffic on it, takes a healthy v2 to all of the traffic through a
/// canary, then v3, which fails 5 % of its requests and is rolled back by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Instead, release a v2 that behaves like this
    #[arg(long, value_enum)]
    scenario: Option<Scenario>,
    /// Leave everything running at the end
    #[arg(long)]
    keep: bool,
    /// Where the demo's files go
    #[arg(long, value_name = "DIR", default_value = "taxiway-demo")]
    dir: PathBuf,
    /// Requests per second
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    rate: u32,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let parts = Parts::find()?;
    let scene = Scene::set(&args.dir, &parts, args.scenario)?;
    let data = Data::for_file(global.data.as_deref(), &scene.file())?;
    if !global.json {
        output::say(&scene.introduction());
    }
    let played = play(global, args, &parts, &scene, &data);
    let stopped = match (&played, args.keep) {
        (Ok(_), true) => Ok(()),
        _ => stop::everything(&data),
    };
    let played = played?;
    stopped?;
    close(global, args, &scene, &data, &played);
    Ok(played.exit)
}

/// What came of it.
struct Played {
    entries: Vec<HistoryEntry>,
    summary: Summary,
    exit: Exit,
    load: Option<Load>,
}

fn play(global: &Global, args: &Args, parts: &Parts, scene: &Scene, data: &Data) -> Result<Played, CliError> {
    let client = Client::connect(data, Need::Act)?;
    let quiet = if global.json { Show::Json } else { Show::Lines };
    let (_, first) = one(&client, scene, "v1", "it is healthy, and the first version here", quiet)?;
    if !matches!(&first, Ending::Ended(entry) if entry.outcome == Some(Outcome::Released)) {
        return Err(CliError::new(Code::DemoFailed, format!("v1 did not come up: {first:?}"))
            .hint(format!("see {}", data.path().join("output").display())));
    }
    let load = Load::start(parts, scene, args.rate)?;
    watch_v1(args.rate, global.json);
    let mut played =
        Played { entries: Vec::new(), summary: Summary::default(), exit: Exit::Done, load: Some(load) };
    for (version, about, expected) in scene.releases() {
        if args.scenario == Some(Scenario::Outage) {
            scene.outage_after(OUTAGE_AFTER);
        }
        let (entry, ending) = one(&client, scene, version, about, Show::fitting(global.json))?;
        let outcome = match &ending {
            Ending::Ended(ended) => ended.outcome.map_or(OutcomeWord::Held, OutcomeWord::from),
            Ending::Waiting(_) => OutcomeWord::Held,
            Ending::Interrupted => {
                played.exit = Exit::Detached;
                break;
            }
            Ending::TimedOut | Ending::Step => {
                return Err(CliError::new(
                    Code::DemoFailed,
                    format!("{version} was neither released nor sent back in time"),
                )
                .hint(format!("`taxiway log --data {}` shows how far it came", data.path().display())));
            }
        };
        if expected.is_some_and(|expected| expected != outcome) {
            played.exit = Exit::Failed;
        }
        played.summary.releases.push(ReleaseSummary { outcome, ..ReleaseSummary::from(&entry) });
        played.entries.push(entry);
    }
    if !args.keep {
        played.load = None;
    } else if let Some(load) = &mut played.load {
        load.leave_running();
    }
    Ok(played)
}

/// Leaves v1 alone with its traffic until it is known how it answers.
fn watch_v1(rate: u32, json: bool) {
    // A second for the first requests to arrive.
    let span_ms = PROFILE_MS.max(PROFILE_REQUESTS * 1_000 / u64::from(rate)) + 1_000;
    if span_ms > PROFILE_MS_MAX {
        return;
    }
    if !json {
        output::say(&format!(
            "\nwatching v1 for {} s, so that it is known what is normal …",
            span_ms / 1_000
        ));
    }
    std::thread::sleep(Duration::from_millis(span_ms));
}

/// Releases one version and follows it to its end, as `taxiway release` does.
fn one(
    client: &Client,
    scene: &Scene,
    version: &str,
    about: &str,
    show: Show,
) -> Result<(HistoryEntry, Ending), CliError> {
    let request = StartRequest {
        service: Box::new(check::read(&scene.file())?),
        version: VersionName::new(version)?,
        provenance: Provenance::default(),
        again: false,
        detect_bp: None,
        dry_run: false,
        actor: output::actor(),
        reason: "taxiway demo".to_owned(),
        origin: "cli".to_owned(),
    };
    let from = head(client)?;
    let answer = release::start(client, &request)?;
    let id =
        answer.release.clone().ok_or_else(|| CliError::new(Code::Internal, "a release without a name"))?;
    if show != Show::Json {
        output::say(&format!(
            "\n$ taxiway release {} --version {version}      # {about}",
            scene.shown_file()
        ));
    }
    let mut follower = Follower::new(client, &answer.stream, &id, from, show);
    let until = Until { step: None, timeout: Some(RELEASE_MAX), person: !scene.goes_on_without_a_person() };
    let ending = follower.run(&until)?;
    let path = format!("{}?limit=5", of_stream("history", &answer.stream));
    let entries: Vec<HistoryEntry> = client.get(&path)?;
    let entry = entries.into_iter().find(|entry| entry.release == id);
    if let (Show::Live, Some(entry)) = (show, &entry) {
        output::lines(&view::summary(std::slice::from_ref(entry), "", &[], &output::paper()));
    }
    entry
        .map(|entry| (entry, ending))
        .ok_or_else(|| CliError::new(Code::Internal, "the release is not in the history"))
}

fn close(global: &Global, args: &Args, scene: &Scene, data: &Data, played: &Played) {
    if global.json {
        output::json(&played.summary);
        return;
    }
    let dir = scene.shown_dir();
    let with = |verb: &str| format!("cd {dir} && taxiway {verb}");
    let mut next = vec![
        (with("log"), "everything that happened"),
        (with("replay"), "judge again from the record"),
        (with("history"), "who released what, and how it ended"),
    ];
    if args.keep {
        next.insert(0, (with("status --watch"), "it is still running, with traffic"));
        next.push((with("stop"), "stop it"));
    } else {
        next.push(("taxiway demo --scenario slow".to_owned(), "another kind of failure"));
        next.push(("taxiway init".to_owned(), "describe your own service"));
    }
    let next: Vec<(&str, &str)> = next.iter().map(|(command, what)| (command.as_str(), *what)).collect();
    output::line("");
    // A live view has told each at its end.
    let told = Show::fitting(global.json) == Show::Live;
    output::lines(&view::summary(
        if told { &[] } else { &played.entries },
        &data.path().display().to_string(),
        &next,
        &output::paper(),
    ));
}

//! `taxiway backtest`: recorded releases judged again by other policies, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use taxiway_model::ids::ReleaseId;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_report::compare::{self, Comparison, Row};
use taxiway_report::recording::{Recording, Truth};
use taxiway_report::{course, html, text};

use super::judge::{ProfileName, Written, write};
use crate::cli::Global;
use crate::client::{Client, Need, Wanted};
use crate::commands::check;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::{peers, recordings};

/// Judge recorded releases again by another policy, side by side
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Releases of this data directory; without any and without --recording all of them
    releases: Vec<String>,
    /// A file of recordings (`taxiway log export`); may be given several times
    #[arg(long, value_name = "FILE")]
    recording: Vec<PathBuf>,
    /// A taxiway.yaml whose analysis is a policy to judge by; may be given several times
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// A preset to judge by; may be given several times
    #[arg(long, value_enum)]
    profile: Vec<ProfileName>,
    /// Another tool's judge: kayenta:FILE, argo:FILE, flagger:FILE[+FILE], ratio:2; may be given several times
    #[arg(long = "as", value_name = "PEER:FILE")]
    peers: Vec<String>,
    /// What a version turned out to be, for all recordings or one: healthy, bad, NAME=healthy, NAME=bad
    #[arg(long, value_name = "LABEL", value_parser = label)]
    label: Vec<Label>,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    to: Written,
}

/// What somebody says of a recording, or of all.
#[derive(Debug, Clone)]
struct Label {
    name: Option<String>,
    truth: Truth,
}

/// A policy with the name it goes by in the tables.
struct Judge {
    name: String,
    /// None: each recording's own.
    policy: Option<AnalysisPolicy>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let mut recordings = collect(global, args)?;
    for label in &args.label {
        let fits =
            |recording: &&mut Recording| label.name.as_ref().is_none_or(|name| *name == recording.head.name);
        let mut labelled = 0;
        for recording in recordings.iter_mut().filter(fits) {
            recording.head.truth = Some(label.truth);
            labelled += 1;
        }
        if labelled == 0 {
            let name = label.name.as_deref().unwrap_or_default();
            return Err(CliError::new(Code::BadArgument, format!("--label: there is no recording {name}")));
        }
    }
    let judges = judges(args, &recordings)?;
    let peers = peers::read(&args.peers)?;
    let mut left_out: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for recording in &recordings {
        for judge in &judges {
            let standard = || AnalysisPolicy::of(Profile::Standard);
            let policy =
                judge.policy.clone().or_else(|| recording.head.policy.clone()).unwrap_or_else(standard);
            let course = course::follow(recording, &policy);
            rows.push(compare::own_row(recording, &judge.name, &course));
            for note in course.left_out {
                left_out.entry(note).or_default().insert(&recording.head.name);
            }
        }
        rows.extend(peers.iter().map(|peer| compare::row(recording, &peer.name, peer.decision(recording))));
    }
    let of = |(note, names): (String, BTreeSet<&str>)| match names.len() {
        1 => format!("{}: {note}", names.into_iter().collect::<String>()),
        count => format!("in {count} recordings {note}"),
    };
    let mut notes: Vec<String> = left_out.into_iter().map(of).collect();
    notes.extend(peers.iter().flat_map(peers::Peer::unknown));
    let unknown = recordings.iter().filter(|recording| recording.truth().is_none()).count();
    if unknown > 0 {
        notes.push(format!(
            "of {unknown} recordings nobody knows what the version turned out to be; --label NAME=healthy or NAME=bad says so"
        ));
    }
    let comparison = Comparison::of(rows, notes);
    let json = comparison.to_json();
    write(global, &args.to, &text::comparison(&comparison), &json, || html::comparison(&comparison))?;
    Ok(Exit::Done)
}

/// From the files that are named, or from the log.
fn collect(global: &Global, args: &Args) -> Result<Vec<Recording>, CliError> {
    let mut all = Vec::new();
    for file in &args.recording {
        all.extend(recordings::read(file)?);
    }
    if all.is_empty() || !args.releases.is_empty() {
        let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
        let events = recordings::events(&client, &client.stream(&args.wanted)?)?;
        let wanted: Vec<ReleaseId> = if args.releases.is_empty() {
            recordings::started(&events)
        } else {
            args.releases.iter().cloned().map(ReleaseId::new).collect::<Result<_, _>>()?
        };
        for release in &wanted {
            let recording = recordings::of_release(&events, release)?;
            // A first release and a way back have nobody to be judged against.
            if !recording.windows.is_empty() || !args.releases.is_empty() {
                all.push(recording);
            }
        }
    }
    if all.is_empty() {
        let why = "there is no recorded release with evidence";
        return Err(
            CliError::new(Code::BadArgument, why).hint("name files with --recording, or release something")
        );
    }
    Ok(all)
}

/// What the recordings were judged by first, then what was asked for.
fn judges(args: &Args, recordings: &[Recording]) -> Result<Vec<Judge>, CliError> {
    let mut judges = Vec::new();
    if recordings.iter().any(|recording| recording.head.policy.is_some()) {
        judges.push(Judge { name: "as recorded".to_owned(), policy: None });
    }
    for file in &args.policy {
        let policy = check::read(file)?.analysis;
        judges.push(Judge { name: short(file), policy: Some(policy) });
    }
    for profile in &args.profile {
        let profile = Profile::from(*profile);
        let name = format!("profile {}", taxiway_report::words::profile(profile));
        judges.push(Judge { name, policy: Some(AnalysisPolicy::of(profile)) });
    }
    if judges.is_empty() {
        let profiles = [Profile::Standard, Profile::Strict].map(|profile| Judge {
            name: format!("profile {}", taxiway_report::words::profile(profile)),
            policy: Some(AnalysisPolicy::of(profile)),
        });
        judges.extend(profiles);
    }
    Ok(judges)
}

fn short(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn label(text: &str) -> Result<Label, String> {
    let (name, word) = match text.rsplit_once('=') {
        Some((name, word)) => (Some(name.to_owned()), word),
        None => (None, text),
    };
    match word {
        "healthy" => Ok(Label { name, truth: Truth::Healthy }),
        "bad" => Ok(Label { name, truth: Truth::Bad }),
        _ => Err(format!("'{text}' is neither healthy nor bad")),
    }
}

//! `taxiway log`: the record of everything that happened, and whether it is whole.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taxiway_api::{LogEntry, Update, Verified};
use taxiway_model::ids::ReleaseId;

use crate::cli::Global;
use crate::client::{Client, Line, Need, Wanted};
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::recordings;
use crate::output;
use crate::view;

/// The record of everything that happened
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    wanted: Wanted,
    /// Only records after this place
    #[arg(long, default_value_t = 0, value_name = "PLACE")]
    after: u64,
    /// Only the last so many
    #[arg(long, value_name = "COUNT", conflicts_with = "follow")]
    last: Option<usize>,
    /// Go on with what happens from now on
    #[arg(long, short = 'f')]
    follow: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read everything and compare every hash
    Verify {
        /// A kept checkpoint: also shows whether anything is missing at the end
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Print the evidence of releases as recordings, to be judged again by `backtest` anywhere
    Export {
        /// The releases; without any all that were started
        releases: Vec<String>,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Print a signed statement of the log's size and root, to be kept elsewhere
    Checkpoint,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    size: u64,
    root: String,
    note: String,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    match &args.what {
        None => print(global, &client, args),
        Some(What::Verify { checkpoint }) => verify(global, &client, checkpoint.as_ref()),
        Some(What::Export { releases, wanted }) => export(&client, releases, wanted),
        Some(What::Checkpoint) => {
            let made: Checkpoint = client.get("/v1/log/checkpoint")?;
            if global.json {
                output::json(&made);
            } else {
                output::line(made.note.trim_end());
            }
            Ok(Exit::Done)
        }
    }
}

fn export(client: &Client, releases: &[String], wanted: &Wanted) -> Result<Exit, CliError> {
    let events = recordings::events(client, &client.stream(wanted)?)?;
    let releases = if releases.is_empty() {
        recordings::started(&events)
    } else {
        releases.iter().cloned().map(ReleaseId::new).collect::<Result<_, _>>()?
    };
    for release in &releases {
        output::line(recordings::of_release(&events, release)?.to_lines().trim_end());
    }
    Ok(Exit::Done)
}

fn print(global: &Global, client: &Client, args: &Args) -> Result<Exit, CliError> {
    let chosen = args.wanted.service.is_some() || args.wanted.environment.is_some();
    let only = match chosen.then(|| client.stream(&args.wanted)).transpose()? {
        Some(stream) => format!("&service={}&environment={}", stream.service, stream.environment),
        None => String::new(),
    };
    let mut after = args.after;
    let mut kept: Vec<LogEntry> = Vec::new();
    loop {
        let entries: Vec<LogEntry> = client.get(&format!("/v1/log?after={after}{only}"))?;
        let Some(last) = entries.last() else { break };
        after = last.global;
        if let Some(count) = args.last {
            kept.extend(entries);
            kept.drain(..kept.len().saturating_sub(count));
        } else {
            for entry in &entries {
                show(global, entry);
            }
        }
    }
    for entry in &kept {
        show(global, entry);
    }
    if args.follow { follow(global, client, after, &only) } else { Ok(Exit::Done) }
}

fn show(global: &Global, entry: &LogEntry) {
    if global.json { output::json(entry) } else { output::told(&view::log_line(entry, &output::paper())) }
}

fn follow(global: &Global, client: &Client, after: u64, only: &str) -> Result<Exit, CliError> {
    let mut after = after;
    let mut lines = client.follow(&format!("/v1/updates?after={after}{only}"))?;
    loop {
        match lines.next(Duration::from_secs(1)) {
            Line::Interrupted => return Ok(Exit::Done),
            Line::Nothing => {}
            Line::End => {
                std::thread::sleep(Duration::from_millis(300));
                lines = client.follow(&format!("/v1/updates?after={after}{only}"))?;
            }
            Line::Text(text) => {
                if let Ok(Update::Event { entry }) = serde_json::from_slice(&text) {
                    after = entry.global;
                    show(global, &entry);
                }
            }
        }
    }
}

fn verify(global: &Global, client: &Client, checkpoint: Option<&PathBuf>) -> Result<Exit, CliError> {
    #[derive(Serialize)]
    struct Kept {
        checkpoint: Option<String>,
    }
    let checkpoint = checkpoint.map(|path| {
        std::fs::read_to_string(path)
            .map_err(|error| CliError::new(Code::BadFile, format!("{}: {error}", path.display())))
    });
    let verified: Verified =
        client.post_again("/v1/log/verify", &Kept { checkpoint: checkpoint.transpose()? })?;
    if global.json {
        output::json(&verified);
    } else if verified.ok {
        let compared = verified.checkpoint.map_or_else(
            || {
                "; a missing end shows only against a checkpoint kept elsewhere (`taxiway log checkpoint`)"
                    .to_owned()
            },
            |size| format!(", nothing of the checkpoint over {size} is missing"),
        );
        output::line(&format!(
            "{} records are whole (last {}){compared}",
            verified.records,
            verified.head.short()
        ));
    } else {
        output::line(&format!("{} records, {} damaged:", verified.records, verified.problems.len()));
        verified.problems.iter().for_each(|problem| output::line(&format!("  {problem}")));
    }
    Ok(if verified.ok { Exit::Done } else { Exit::Damaged })
}

//! `taxiway explain`: why is it where it is?

use std::path::{Path, PathBuf};

use taxiway_api::Explained;
use taxiway_model::ids::{ReleaseId, StreamId};
use taxiway_report::{Report, course, html};

use crate::cli::Global;
use crate::client::{Client, Need, Wanted, of_stream};
use crate::commands::judge::save;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::recordings;
use crate::output;
use crate::view;

/// Why a release is where it is, with the inputs of the decision
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this service
    name: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Everything: bands, queries with their selectors, inputs, the normal profile
    #[arg(long)]
    full: bool,
    /// Write a page with charts to this file instead: the evidence, the verdict and when it fell
    #[arg(long, value_name = "FILE", conflicts_with = "full")]
    html: Option<PathBuf>,
    /// The release the page is of [default: the one in flight, else the last one]
    #[arg(long, value_name = "RELEASE", requires = "html")]
    release: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    let mut wanted = args.wanted.clone();
    wanted.service = wanted.service.or_else(|| args.name.clone());
    let stream = client.stream(&wanted)?;
    if let Some(file) = &args.html {
        return page(&client, &stream, args.release.as_deref(), file);
    }
    let explained: Explained = client.get(&of_stream("explain", &stream))?;
    if global.json {
        output::json(&explained);
    } else {
        output::lines(&view::explain(&explained, args.full, &output::paper()));
    }
    Ok(Exit::Done)
}

/// Writes the report of a release, judged again from its evidence by its own policy.
fn page(client: &Client, stream: &StreamId, release: Option<&str>, file: &Path) -> Result<Exit, CliError> {
    let events = recordings::events(client, stream)?;
    let release = match release {
        Some(name) => Some(ReleaseId::new(name)?),
        None => recordings::started(&events).pop(),
    };
    let Some(release) = release else {
        let why = format!("nothing was ever released to {stream}");
        return Err(CliError::new(Code::BadArgument, why).hint("`taxiway release` begins one"));
    };
    let recording = recordings::of_release(&events, &release)?;
    let policy = recording.head.policy.clone().expect("a release's recording has its policy");
    let report = Report::of(&recording, &course::follow(&recording, &policy));
    save(file, &html::report(&report))?;
    output::line(&format!("{release}: {} in {}", report.headline, file.display()));
    Ok(Exit::Done)
}

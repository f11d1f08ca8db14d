//! `taxiway replay`: judge again from the evidence on record, and compare byte for byte.

use taxiway_api::Replayed;

use crate::cli::Global;
use crate::client::{Client, Need, Wanted, of_stream};
use crate::data::Data;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;

/// Judge again from the evidence on record, and compare byte for byte
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this release; without it the whole history of the service
    release: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    let stream = client.stream(&args.wanted)?;
    let release = args.release.clone().map(taxiway_model::ids::ReleaseId::new).transpose()?;
    let only = release.map_or_else(String::new, |release| format!("?release={release}"));
    let replayed: Replayed = client.get(&format!("{}{only}", of_stream("replay", &stream)))?;
    if global.json {
        output::json(&replayed);
    } else {
        let what = if args.release.is_some() { replayed.release.to_string() } else { stream.to_string() };
        output::line(&format!(
            "{what}: {} events, {} judgements made again, {} the same byte for byte",
            replayed.events, replayed.judgements, replayed.same
        ));
        replayed.different.iter().for_each(|line| output::line(&format!("  {line}")));
    }
    Ok(if replayed.different.is_empty() { Exit::Done } else { Exit::Damaged })
}

//! `taxiway history`: releases of the past.

use taxiway_api::HistoryEntry;

use crate::cli::Global;
use crate::client::{Client, Need, Wanted, of_stream};
use crate::data::Data;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::view;

/// Releases of the past, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    let stream = client.stream(&args.wanted)?;
    let path = format!("{}?limit={}", of_stream("history", &stream), args.limit);
    let entries: Vec<HistoryEntry> = client.get(&path)?;
    if global.json {
        output::json(&entries);
    } else {
        output::lines(&view::history(&entries, &output::paper()));
    }
    Ok(Exit::Done)
}

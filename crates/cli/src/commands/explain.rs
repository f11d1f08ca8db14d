//! `taxiway explain`: why is it where it is?

use taxiway_api::Explained;

use crate::cli::Global;
use crate::client::{Client, Need, Wanted, of_stream};
use crate::data::Data;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::view;

/// Why a release is where it is, with the inputs of the decision
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    let stream = client.stream(&args.wanted)?;
    let explained: Explained = client.get(&of_stream("explain", &stream))?;
    if global.json {
        output::json(&explained);
    } else {
        output::lines(&view::explain(&explained, &output::paper()));
    }
    Ok(Exit::Done)
}

//! Verbs that nobody types: the processes of the family.

use std::time::Duration;

use crate::cli::Global;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::family::{self, LOOK_MS, Program, Role, Seat, Watch};
use crate::{output, resident};

/// The resident process
#[derive(Debug, clap::Args)]
pub(crate) struct Resident {
    /// Only read: nothing is started until somebody wants to change something
    #[arg(long)]
    reader: bool,
}

fn own_data(global: &Global) -> Result<Data, CliError> {
    let data = global.data.as_deref().ok_or_else(|| CliError::new(Code::BadArgument, "--data is missing"))?;
    Data::at(data)
}

pub(crate) fn resident(global: &Global, args: &Resident) -> Result<Exit, CliError> {
    let data = own_data(global)?;
    output::log_to_stderr();
    resident::set_up_crash_points(&data);
    resident::run(&data, args.reader)
}

/// The keeper: sees to it that the resident process and the proxy run, and does nothing else.
pub(crate) fn keep(global: &Global) -> Result<Exit, CliError> {
    let data = own_data(global)?;
    output::log_to_stderr();
    family::detach_from_terminal();
    let unusable = |error: std::io::Error| {
        CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display()))
    };
    let program = Program::this().map_err(unusable)?;
    let Some(_seat) = Seat::take(&data, Role::Keeper).map_err(unusable)? else { return Ok(Exit::Done) };
    let mut watches = [Watch::new(Role::Resident), Watch::new(Role::Proxy)];
    while !data.is_stopped() {
        for watch in &mut watches {
            watch.look(&program, &data);
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
    Ok(Exit::Done)
}

/// The proxy: serves traffic and outlives everybody.
pub(crate) fn proxy(global: &Global) -> Result<Exit, CliError> {
    let data = own_data(global)?;
    output::log_to_stderr();
    family::detach_from_terminal();
    resident::set_up_crash_points(&data);
    let seat = Seat::take(&data, Role::Proxy)
        .map_err(|error| CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display())))?;
    if seat.is_none() {
        return Ok(Exit::Done);
    }
    let options = taxiway_proxy::Options { dir: data.path().to_owned(), ..taxiway_proxy::Options::default() };
    taxiway_proxy::run(options).map_err(|error| CliError::new(Code::ProxyMissing, error.to_string()))?;
    Ok(Exit::Done)
}

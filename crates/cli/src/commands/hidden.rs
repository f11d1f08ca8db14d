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

/// The proxy: serves traffic and outlives everybody
#[derive(Debug, clap::Args)]
pub(crate) struct Proxy {
    /// Take the listening sockets over from the proxy that runs, which then finishes what is open and leaves
    #[arg(long)]
    takeover: bool,
}

/// Looks for the seat after a takeover: the old proxy may drain for as long as its streams last, and
/// its seat is free the moment it leaves.
const SEAT_LOOK_MS: u64 = 50;

pub(crate) fn proxy(global: &Global, args: &Proxy) -> Result<Exit, CliError> {
    let data = own_data(global)?;
    output::log_to_stderr();
    family::detach_from_terminal();
    resident::set_up_crash_points(&data);
    let unusable = |error: std::io::Error| {
        CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display()))
    };
    let failed = |error: taxiway_proxy::Error| CliError::new(Code::ProxyMissing, error.to_string());
    let seat = Seat::take(&data, Role::Proxy).map_err(unusable)?;
    if seat.is_none() && !args.takeover {
        return Ok(Exit::Done);
    }
    let takeover = args.takeover;
    let options =
        taxiway_proxy::Options { dir: data.path().to_owned(), takeover, ..taxiway_proxy::Options::default() };
    let running = taxiway_proxy::start(options).map_err(failed)?;
    if seat.is_none() {
        // Beside serving, so that we can be told to leave while our predecessor still drains.
        std::thread::spawn(move || {
            loop {
                if let Ok(Some(seat)) = Seat::take(&data, Role::Proxy) {
                    // Ours until the process ends.
                    std::mem::forget(seat);
                    return;
                }
                std::thread::sleep(Duration::from_millis(SEAT_LOOK_MS));
            }
        });
    }
    running.wait().map_err(failed)?;
    Ok(Exit::Done)
}

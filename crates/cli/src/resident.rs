//! The resident process: where engine, store, supervisor, proxy driver and API are joined.

mod crash;
mod hooks;
mod house;
mod version;

pub(crate) use crash::set_up as set_up_crash_points;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use taxiway_adapters::checks;
use taxiway_adapters::metrics::Sources;
use taxiway_adapters::traffic::builtin::Builtin;
use taxiway_adapters::workload::process::{self, Supervisor};
use taxiway_engine::ports::log::Log;
use taxiway_engine::{Engine, Ports, SystemClock};
use taxiway_server::Desk;
use taxiway_store::sqlite;
use tokio::net::UnixListener;

use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::family::{self, Program, Role, Seat};
use house::House;

/// Runs the resident process until it is told to stop. Ends at once, and well, when another one
/// holds the seat: whoever started us finds that one on the socket.
pub(crate) fn run(data: &Data, reader: bool) -> Result<Exit, CliError> {
    family::detach_from_terminal();
    let program = Program::this().map_err(|error| unusable(data, &error))?;
    data.create()?;
    let Some(_seat) = Seat::take(data, Role::Resident).map_err(|error| unusable(data, &error))? else {
        return Ok(Exit::Done);
    };
    let served = serve(data, program, reader);
    if let Err(error) = &served {
        tracing::error!("{}", error.text());
        // For whoever waits for us on the socket; a full disk leaves them our last words instead.
        let _ = std::fs::write(data.failure(), serde_json::to_vec(&error.problem()).unwrap_or_default());
    }
    served
}

fn serve(data: &Data, program: Program, reader: bool) -> Result<Exit, CliError> {
    fail::fail_point!("resident.start.before_open");
    let log = open_log(data)?;
    let later = Arc::new(house::Later::default());
    let (kick, end) = (Arc::clone(&later), Arc::clone(&later));
    let supervisor = Supervisor::open(process::Config {
        data_dir: data.path().to_owned(),
        cgroup: None,
        on_change: Some(Box::new(move |stream| kick.kick(stream))),
    })
    .map_err(|error| CliError::new(Code::DataUnusable, error.to_string()))?;
    let supervisor = Arc::new(supervisor);
    let checks = checks::Runner::open(checks::Config {
        data_dir: data.path().to_owned(),
        on_end: Some(Box::new(move |_| end.kick_all())),
    })
    .map_err(|error| CliError::new(Code::DataUnusable, error.to_string()))?;
    let proxy = Arc::new(Builtin::new(data.proxy_socket()));
    let clock = Arc::new(SystemClock::new());
    let ports = Ports {
        log: Arc::clone(&log),
        workload: supervisor.clone(),
        traffic: proxy.clone(),
        checks: Arc::new(checks),
        clock: clock.clone(),
    };
    let engine =
        Engine::open(ports, &format!("pid {}", std::process::id())).map_err(|error| of_log(&error))?;
    let metrics = Sources::start().map_err(|error| unusable(data, &error))?;
    let metrics = Arc::new(metrics);
    engine.measure_with(metrics.clone());
    fail::fail_point!("resident.start.after_open");
    let house = House::new(data.clone(), program, engine.clone(), proxy, supervisor, &later);
    if !reader {
        house.wake_up()?;
    }
    let desk =
        Desk::new(engine, clock, Arc::new(house::Door(Arc::clone(&house)))).remembering(data.reports());
    listen(data, desk, &house, metrics)?;
    house.leave();
    Ok(Exit::Done)
}

fn open_log(data: &Data) -> Result<Arc<dyn Log>, CliError> {
    match sqlite::Store::open(data.path(), sqlite::Options::default()) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => {
            let code = match &error {
                sqlite::open::Error::Log { source: taxiway_engine::ports::log::Error::Full(_), .. } => {
                    Code::StoreFull
                }
                _ => Code::StoreUnusable,
            };
            Err(CliError::new(code, error.to_string())
                .hint("the proxy and running instances go on serving meanwhile"))
        }
    }
}

fn of_log(error: &taxiway_engine::ports::log::Error) -> CliError {
    use taxiway_engine::ports::log::Error;
    let code = if matches!(error, Error::Full(_)) { Code::StoreFull } else { Code::StoreUnusable };
    CliError::new(code, error.to_string())
}

/// Answers on the socket until the house is to be left.
fn listen(data: &Data, desk: Desk, house: &Arc<House>, metrics: Arc<Sources>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| unusable(data, &error))?;
    let socket = data.socket();
    // We hold the seat, so whatever lies there was left by one that is gone.
    let _ = std::fs::remove_file(&socket);
    let served = runtime.block_on(async {
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        tracing::info!(socket = %socket.display(), pid = std::process::id(), "the resident process answers");
        fail::fail_point!("resident.start.listening");
        let left = house.left();
        tokio::spawn(house::signals(Arc::clone(house)));
        tokio::spawn(house::leave_unless_woken(Arc::clone(house)));
        house.take_hooks(hooks::Hooks::new(data, house.engine().clone(), desk.clone(), runtime.handle().clone(), metrics));
        let answered = taxiway_server::serve(listener, desk, left.clone().wait());
        tokio::select! {
            answered = answered => answered,
            // Followers never hang up by themselves: they are cut off shortly after.
            () = async { left.wait().await; tokio::time::sleep(std::time::Duration::from_millis(300)).await } => Ok(()),
        }
    });
    let _ = std::fs::remove_file(&socket);
    runtime.shutdown_background();
    served.map_err(|error| unusable(data, &error))
}

fn unusable(data: &Data, error: &std::io::Error) -> CliError {
    CliError::new(Code::DataUnusable, format!("{}: {error}", data.path().display()))
}

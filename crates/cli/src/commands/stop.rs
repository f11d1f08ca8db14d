//! `taxiway stop` and `start`: everything of a data directory ends, with nothing left behind, or runs again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use taxiway_api::{ListenRequest, Listening};
use taxiway_model::metrics::Secret;

use crate::cli::Global;
use crate::client::{Client, Need};
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::family::{self, Role, holder};
use crate::output;

/// How long a graceful stop may take: the drain of the proxy, then the longest grace of an instance.
const STOP_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Start what ran before `stop`, and with --listen take webhooks
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// Take webhooks at this address from now on, also after a restart
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Close the address that an earlier --listen has opened
    #[arg(long, conflicts_with = "listen")]
    no_listen: bool,
    /// A file with the token that senders must present; needed on every address but loopback
    #[arg(long, value_name = "FILE", requires = "listen")]
    token_file: Option<PathBuf>,
    /// The same from a variable of the resident process's environment
    #[arg(long, value_name = "NAME", requires = "listen", conflicts_with = "token_file")]
    token_env: Option<String>,
}

pub(crate) fn run(global: &Global, _: &Args) -> Result<Exit, CliError> {
    let data = Data::find(global.data.as_deref())?;
    if !is_running(&data) && data.is_all_stopped() {
        say(global, "nothing was running");
        return Ok(Exit::Done);
    }
    everything(&data)?;
    say(global, "stopped: services, proxy, keeper and resident process");
    Ok(Exit::Done)
}

/// Tries to stop everything, should whoever stops the others be killed meanwhile.
const TRIES_MAX: u32 = 3;

/// Starts what ran before.
pub(crate) fn start(global: &Global, args: &Start) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Act)?;
    let () = client.post_again("/v1/awake", &())?;
    let mut addresses = Vec::new();
    if args.listen.is_some() || args.no_listen {
        let token_file = args.token_file.as_deref().map(std::path::absolute).transpose();
        let token_file = token_file.map_err(|error| CliError::new(Code::BadFile, error.to_string()))?;
        let token = token_file
            .map(|path| Secret::File(path.display().to_string()))
            .or_else(|| args.token_env.clone().map(Secret::Env));
        let request = ListenRequest { listen: args.listen.clone(), token };
        addresses = client.post_again::<_, Listening>("/v1/listen", &request)?.addresses;
    }
    if global.json {
        output::json(&serde_json::json!({ "started": true, "webhooks": addresses }));
        return Ok(Exit::Done);
    }
    output::line("everything runs; `taxiway status` shows where it is");
    for address in &addresses {
        output::line(&format!("webhooks are taken at http://{address}/v1/hooks/"));
    }
    Ok(Exit::Done)
}

const ROLES: [Role; 3] = [Role::Keeper, Role::Proxy, Role::Resident];

fn is_running(data: &Data) -> bool {
    ROLES.iter().any(|role| holder(data, *role).is_some())
}

/// Stops everything of a data directory; returns when it is gone.
pub(crate) fn everything(data: &Data) -> Result<(), CliError> {
    for _ in 0..TRIES_MAX {
        once(data)?;
        // Whoever stops the others may have been killed in the middle of it: its successor goes on.
        if data.is_all_stopped() {
            return Ok(());
        }
    }
    Err(CliError::new(Code::Internal, "some instance is left running")
        .hint(format!("see {}", data.output(Role::Resident).display())))
}

fn once(data: &Data) -> Result<(), CliError> {
    // One that is not there is started in order to be stopped: only it knows the instances.
    let client = Client::connect(data, Need::Read)?;
    let resident = holder(data, Role::Resident);
    let asked: Result<(), CliError> = client.post("/v1/stop", &());
    if let Err(error) = asked {
        tracing::debug!(?error, "the answer to stop was lost");
    }
    let deadline = Instant::now() + STOP_MAX;
    while resident.as_ref().is_some_and(family::Identity::is_alive) {
        if Instant::now() > deadline {
            let why = format!("it is still there after {} s", STOP_MAX.as_secs());
            return Err(CliError::new(Code::Unreachable, why)
                .hint(format!("see {}", data.output(Role::Resident).display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // What was started by hand or in the very moment of stopping.
    for role in ROLES {
        if let Some(left) = holder(data, role) {
            family::end(&left, Duration::from_secs(5));
        }
    }
    Ok(())
}

fn say(global: &Global, text: &str) {
    if global.json {
        output::json(&serde_json::json!({ "stopped": true }));
    } else {
        output::line(text);
    }
}

//! `taxiway status`: where every service is.

use std::time::{Duration, Instant};

use taxiway_api::{Status, Update};

use crate::cli::Global;
use crate::client::{Client, Line, Need, Wanted, of_stream};
use crate::data::Data;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::stopped;
use crate::output::{self, Screen};
use crate::view;

/// Where every service is
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this service
    name: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Follow it: drawn again on a terminal, a line or an object per change elsewhere
    #[arg(long, short = 'w')]
    watch: bool,
    /// End the following after this time (90s, 15m, 2h)
    #[arg(long, value_name = "TIME", value_parser = crate::commands::span, requires = "watch")]
    timeout: Option<Duration>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Read)?;
    let mut wanted = args.wanted.clone();
    wanted.service = wanted.service.or_else(|| args.name.clone());
    let one = wanted.service.is_some() || wanted.environment.is_some();
    if args.watch {
        let only = one.then(|| client.stream(&wanted)).transpose()?;
        return watch(global, &client, only.as_ref(), args.timeout);
    }
    if one {
        let status: Status = client.get(&of_stream("status", &client.stream(&wanted)?))?;
        show(global, &[status]);
    } else {
        show(global, &client.get::<Vec<Status>>("/v1/status")?);
    }
    Ok(Exit::Done)
}

fn show(global: &Global, statuses: &[Status]) {
    let paper = output::paper();
    match statuses {
        _ if global.json => output::json(&statuses),
        [one] => output::lines(&view::status(one, &paper)),
        several => output::lines(&view::fleet(several, &paper)),
    }
}

fn watch(
    global: &Global,
    client: &Client,
    only: Option<&taxiway_model::ids::StreamId>,
    timeout: Option<Duration>,
) -> Result<Exit, CliError> {
    let began = Instant::now();
    let mut path = format!("/v1/updates?after={}&figures=true", u64::MAX >> 1);
    if let Some(stream) = only {
        path = format!("{path}&service={}&environment={}", stream.service, stream.environment);
    }
    let live = output::is_watched() && !global.json;
    let mut screen = Screen::default();
    let mut statuses: Vec<Status> = Vec::new();
    let mut lines = client.follow(&path)?;
    loop {
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            return Ok(Exit::TimedOut);
        }
        match lines.next(Duration::from_millis(250)) {
            Line::Interrupted => return Ok(Exit::Done),
            // One that was stopped stays so: asking it again would wake it.
            Line::End if client.data().is_stopped() => return Err(stopped("nothing of it runs any more")),
            Line::End => {
                std::thread::sleep(Duration::from_millis(300));
                lines = client.follow(&path)?;
            }
            Line::Nothing => {}
            Line::Text(text) => {
                let Ok(Update::Status { status }) = serde_json::from_slice(&text) else { continue };
                if global.json {
                    output::json(&status);
                } else if !live {
                    output::line(&view::state_line(&status));
                }
                statuses.retain(|known| {
                    (&known.service, &known.environment) != (&status.service, &status.environment)
                });
                statuses.push(*status);
                if live {
                    statuses.sort_by(|a, b| (&a.service, &a.environment).cmp(&(&b.service, &b.environment)));
                    let paper = output::screen_paper();
                    screen.draw(&match statuses.as_slice() {
                        [one] => view::status(one, &paper),
                        several => view::fleet(several, &paper),
                    });
                }
            }
        }
    }
}

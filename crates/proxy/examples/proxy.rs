//! Runs the proxy alone: `proxy <dir> [table.json]`. The table, if given, is put in force at once
//! and its lease renewed for as long as the process lives.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;
use taxiway_model::control::{Ask, Reply};
use taxiway_model::route::RouteTable;
use taxiway_proxy::{Options, start};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = arguments.next().ok_or("usage: proxy <dir> [table.json]")?;
    let options = Options { dir: dir.into(), ..Options::default() };
    let socket = options.control_socket();
    let running = start(options)?;
    if let Some(path) = arguments.next() {
        let table: RouteTable = serde_json::from_slice(&std::fs::read(path)?)?;
        let mut control = BufReader::new(UnixStream::connect(socket)?);
        let renew = Ask::RenewLease {
            stream: table.stream.clone(),
            generation: table.generation,
            lease_ms: table.canary.as_ref().map_or(0, |canary| canary.lease_ms),
        };
        println!("{:?}", ask(&mut control, &Ask::Apply { table: Box::new(table) })?);
        std::thread::spawn(move || {
            while ask(&mut control, &renew).is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    }
    Ok(running.wait()?)
}

fn ask(
    control: &mut BufReader<UnixStream>,
    ask: &Ask,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    control.get_mut().write_all(&line)?;
    let mut answer = String::new();
    control.read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

//! The two load generators: `wrk` for throughput (closed loop), our own `load` for latency (open loop).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;
use crate::shell::{self, Error};

/// Connections of both generators.
pub(super) const CONNECTIONS: usize = 64;
/// Users that requests are spread over, so that sticky splits have something to stick to.
const USERS: usize = 1_000;
/// Open-loop rate of the latency runs.
const RATE: u64 = 5_000;

/// Requests are made once, before the run; picking one is all that is left to do for each.
fn script() -> String {
    format!(
        "local all, n = {{}}, 0\n\
         function init()\n\
         \x20 for user = 1, {USERS} do all[user] = wrk.format('GET', '/item?user=' .. user, {{ ['x-user'] = 'user-' .. user, Host = 'bench' }}) end\n\
         end\n\
         function request() n = n % {USERS} + 1; return all[n] end\n\
         function done(s)\n\
         \x20 io.write(string.format('counted %d %d %d\\n', s.requests, s.duration, s.errors.connect + s.errors.read + s.errors.write + s.errors.status + s.errors.timeout))\n\
         end\n"
    )
}

/// What a closed loop got through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Throughput {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    pub(super) errors: f64,
}

/// `wrk` with its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

impl Wrk {
    pub(super) fn new(program: PathBuf, folder: &Path) -> Result<Self, Error> {
        let path = folder.join("users.lua");
        std::fs::write(&path, script())
            .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { program, script: path })
    }

    pub(super) fn run(&self, address: SocketAddr, seconds: u64) -> Result<Throughput, Error> {
        let mut command = Command::new(&self.program);
        command.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &format!("{seconds}s"), "-s"]);
        command.arg(&self.script).arg(format!("http://{address}/"));
        let printed = shell::capture(&mut command)?;
        counted(&printed).ok_or_else(|| Error::new(format!("wrk printed no counts:\n{printed}")))
    }
}

fn counted(printed: &str) -> Option<Throughput> {
    let line = printed.lines().find_map(|line| line.strip_prefix("counted "))?;
    let numbers: Vec<f64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, microseconds, errors] = numbers.as_slice() else { return None };
    Some(Throughput { requests: *requests, seconds: microseconds / 1e6, errors: *errors })
}

/// What an open loop saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Requests without an answer or with a status of 500 or more.
    pub(super) failed: u64,
    /// Share of the answers that came from version `v2`.
    pub(super) canary_share: f64,
}

/// Our load generator, built for release.
pub(super) struct Load {
    program: PathBuf,
}

impl Load {
    pub(super) fn build(root: &Path) -> Result<Self, Error> {
        let mut build = shell::cargo(root);
        shell::run(build.args(["build", "-q", "--release", "-p", "taxiway-example-load", "--bin", "load"]))?;
        Ok(Self { program: shell::target(root).join("release/load") })
    }

    pub(super) fn run(&self, address: SocketAddr, seconds: u64, real_time: bool) -> Result<Latency, Error> {
        let mut command =
            if real_time { process::real_time(&self.program) } else { Command::new(&self.program) };
        command.arg(format!("http://{address}")).args(["--json", "--mix", "/item=1"]);
        for (option, number) in [
            ("--rate", RATE),
            ("--seconds", seconds),
            ("--connections", CONNECTIONS as u64),
            ("--users", USERS as u64),
        ] {
            command.args([option, &number.to_string()]);
        }
        let printed = shell::capture(&mut command)?;
        summary(&printed).ok_or_else(|| Error::new(format!("load printed no summary:\n{printed}")))
    }
}

fn summary(printed: &str) -> Option<Latency> {
    let last: serde_json::Value = serde_json::from_str(printed.lines().last()?).ok()?;
    let all = &last["summary"];
    let requests = all["requests"].as_u64()?;
    let ms = |quantile: &str| all["latency"][quantile].as_f64().map(|us| us / 1_000.0);
    let canary = all["by_version"]["v2"]["requests"].as_u64().unwrap_or(0);
    Some(Latency {
        p50_ms: ms("p50_us")?,
        p99_ms: ms("p99_us")?,
        failed: requests.saturating_sub(all["ok"].as_u64()?),
        canary_share: canary as f64 / requests.max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_own_report_is_passed_over() {
        let printed = "Running 10s test\n  2 threads\ncounted 1000 2000000 3\n";
        assert_eq!(counted(printed), Some(Throughput { requests: 1_000.0, seconds: 2.0, errors: 3.0 }));
        assert_eq!(counted("Running 10s test\n"), None);
    }

    #[test]
    fn the_summary_of_load_is_read() {
        let printed = "{\"second\":1}\n{\"summary\":{\"requests\":200,\"ok\":199,\"by_version\":{\"v2\":{\"requests\":20}},\
                       \"latency\":{\"p50_us\":250,\"p95_us\":1,\"p99_us\":1500,\"max_us\":1}}}\n";
        let read = summary(printed).expect("the line is whole");
        assert_eq!(read, Latency { p50_ms: 0.25, p99_ms: 1.5, failed: 1, canary_share: 0.1 });
        assert_eq!(summary("{\"second\":1}\n"), None);
    }
}

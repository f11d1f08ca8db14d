//! What the command line and the environment say, checked once.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::dependency::Dependency;

/// How a version of the shop behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Behaviour {
    /// Answers everything within some milliseconds.
    Healthy,
    /// Fails 5 % of the requests with 500.
    Errors,
    /// Takes three times as long for everything.
    Slow,
    /// Exits with code 1 right after its start.
    Crash,
    /// Keeps memory of every request until its heap limit kills it.
    Leak,
    /// Is not ready for the first seconds (`--start-ms`).
    SlowStart,
    /// Fails 20 % of the requests from the 40th second after its start on (`--late-after-s`).
    Late,
    /// Fails 30 % of the requests to `/checkout`, and only those.
    OneEndpoint,
    /// Is fine up to `--capacity` requests per second, then queues, then refuses.
    Overload,
    /// Is fine itself, but needs the dependency that `--dependency` names, which can fail for all versions at once.
    Outage,
}

/// A small shop over HTTP.
#[derive(Debug, Parser)]
#[command(name = "shop", about, disable_version_flag = true)]
pub(crate) struct Args {
    /// Port to listen on; 0 takes any free one. Without it, PORT from the environment.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: std::net::IpAddr,
    /// The version this instance says it is.
    #[arg(long, default_value = "v1")]
    pub(crate) version: String,
    /// The name of this instance; without it TAXIWAY_INSTANCE from the environment, else the process id.
    #[arg(long)]
    pub(crate) instance: Option<String>,
    /// How this version behaves.
    #[arg(long, value_enum, default_value = "healthy")]
    pub(crate) behaviour: Behaviour,
    /// Share of failing requests for errors, late and one-endpoint, in percent [default: 5, 20 and 30].
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) error_percent: Option<u8>,
    /// slow-start: milliseconds from start to ready.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) start_ms: u64,
    /// late: seconds from start to the first failing request.
    #[arg(long, default_value_t = 40)]
    pub(crate) late_after_s: u64,
    /// overload: requests per second that this instance can serve.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) capacity: u32,
    /// leak: KiB kept per request.
    #[arg(long, default_value_t = 256)]
    pub(crate) leak_kib: usize,
    /// leak: MiB at which the process runs out of memory, as a runtime with a fixed heap would.
    #[arg(long, default_value_t = 512)]
    pub(crate) heap_limit_mib: usize,
    /// What every request needs: a file (up while it exists and does not say "down"), or tcp:HOST:PORT (up while it
    /// accepts connections).
    #[arg(long, value_name = "PATH | tcp:HOST:PORT")]
    pub(crate) dependency: Option<Dependency>,
    /// Seconds that requests in progress get to finish after SIGTERM.
    #[arg(long, default_value_t = 10)]
    pub(crate) grace_s: u64,
}

impl Args {
    /// Fills in what the environment says and refuses what cannot work.
    pub(crate) fn resolve(mut self) -> Result<Self, String> {
        if self.port.is_none() {
            let text = std::env::var("PORT").map_err(|_| "no port: pass --port or set PORT".to_owned())?;
            let port =
                text.trim().parse().map_err(|_| format!("PORT is '{text}', not a port from 0 to 65535"))?;
            self.port = Some(port);
        }
        if self.instance.is_none() {
            let named = std::env::var("TAXIWAY_INSTANCE").ok().filter(|name| !name.is_empty());
            self.instance = Some(named.unwrap_or_else(|| std::process::id().to_string()));
        }
        if self.behaviour == Behaviour::Outage && self.dependency.is_none() {
            return Err("--behaviour outage needs --dependency, the thing that is going to fail".to_owned());
        }
        Ok(self)
    }

    /// Share of requests that fail while the behaviour fails, in percent.
    pub(crate) fn error_share_percent(&self) -> u8 {
        let usual = match self.behaviour {
            Behaviour::Errors => 5,
            Behaviour::Late => 20,
            Behaviour::OneEndpoint => 30,
            _ => 0,
        };
        self.error_percent.unwrap_or(usual)
    }

    /// Time from start to ready.
    pub(crate) fn start_time(&self) -> Duration {
        match self.behaviour {
            Behaviour::SlowStart => Duration::from_millis(self.start_ms),
            _ => Duration::ZERO,
        }
    }
}

//! `shop`: the service that `taxiway demo` releases.
//!
//! A version is told with `--behaviour` how it fails. Nothing here knows of Taxiway: it listens on a port, answers,
//! and stops on SIGTERM, as any service would.

mod args;
mod behaviour;
mod dependency;
mod listen;
mod log;
mod metrics;
mod service;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::parse().resolve() {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("shop: {problem}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shop: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(listen::run(args))
}

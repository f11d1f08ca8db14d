//! `taxiway`: takes a new version of a service to all of its traffic, safely, or back.
//!
//! The binary only joins: [`cli`] reads the command line, each verb has a file in `commands`, and
//! [`resident`] is where engine, store, supervisor and API are put together.

mod cli;
mod client;
mod commands;
mod data;
mod demo;
mod error;
mod error_codes;
mod exit;
mod family;
mod follow;
mod offline;
mod output;
mod reference;
mod resident;
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "views are complete beside the verbs that draw them"
)]
mod view;

fn main() -> std::process::ExitCode {
    let (json, ended) = cli::run();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::tell(&error, json);
            error.exit().into()
        }
    }
}

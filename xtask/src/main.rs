//! The repository's own chores: `cargo xtask` without arguments lists them.
//!
//! Stands alone: it imports no crate of the workspace, so that it builds in seconds and can judge all of them.

use std::process::ExitCode;

mod bench;
mod commands;
mod needs;
mod parts;
mod repo;
mod shell;
mod test;
mod tidy;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match commands::run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `cargo xtask bench judge` runs this.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    taxiway_judgebench::run(&arguments)
}

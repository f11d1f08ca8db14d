//! `taxiway-sim`: runs seeds; see [`taxiway_sim::command`].

fn main() -> std::process::ExitCode {
    taxiway_sim::command::main(std::env::args().skip(1))
}

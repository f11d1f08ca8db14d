//! How fast a log is replayed: `cargo run --release -p taxiway-sim --example bench_replay [events]`.
//!
//! The log is that of releases in the simulator, one after the other until there are enough events.

use std::time::Instant;
use taxiway_decide::replay::replay;
use taxiway_model::service::StrategyKind;
use taxiway_sim::behaviour::Behaviour;
use taxiway_sim::run::run;
use taxiway_sim::scenario::Scenario;

fn main() {
    let wanted: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(200_000);
    let logs: Vec<_> = [Behaviour::Healthy, Behaviour::Errors, Behaviour::Slow]
        .map(|behaviour| Scenario::calm(behaviour, StrategyKind::Canary))
        .into_iter()
        .map(|scenario| (scenario.stream(), run(&scenario, None).records))
        .collect();
    let began = Instant::now();
    let (mut events, mut judgements) = (0, 0);
    while events < wanted {
        for (stream, records) in &logs {
            let replayed = replay(stream.clone(), records);
            assert!(replayed.different.is_empty(), "{:?}", replayed.different.first());
            events += records.len();
            judgements += replayed.same;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_s = (events as f64 / seconds) as u64;
    println!(
        "{{\"events\":{events},\"judgements\":{judgements},\"seconds\":{seconds:.3},\"events_per_s\":{per_s}}}"
    );
}

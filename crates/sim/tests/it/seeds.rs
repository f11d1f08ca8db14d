//! Two thousand worlds, each under every invariant.

use taxiway_sim::command::Tally;
use taxiway_sim::run::run;
use taxiway_sim::scenario::Scenario;

const SEEDS: u64 = 2_000;

/// Worlds in which the judge may send a healthy version back: its false-alarm rate is 1 % (R4.4).
const FALSE_ALARMS_MAX: u64 = SEEDS / 100;

#[test]
fn every_invariant_holds_in_two_thousand_worlds() {
    // Two halves side by side where there are two cores.
    let half = |from: u64| {
        std::thread::spawn(move || {
            let mut tally = Tally::default();
            let mut broken = Vec::new();
            for seed in from..from + SEEDS / 2 {
                let outcome = run(&Scenario::of(seed), None);
                if let Some(what) = &outcome.broken {
                    broken.push(format!("{what}\n  repro: cargo xtask sim --seed {seed} --trace"));
                }
                tally.add(&outcome);
            }
            (tally, broken)
        })
    };
    let halves = [half(0), half(SEEDS / 2)].map(|half| half.join().expect("a run catches its panics"));
    let broken: Vec<_> = halves.iter().flat_map(|(_, broken)| broken.clone()).collect();
    assert!(broken.is_empty(), "{} seeds:\n{}", broken.len(), broken.join("\n"));
    let false_alarms: u64 = halves.iter().map(|(tally, _)| tally.false_alarms).sum();
    assert!(false_alarms <= FALSE_ALARMS_MAX, "{false_alarms} of {SEEDS} worlds have a false alarm");
    // The worlds are no idyll: engines die, and every kind of end occurs.
    for (tally, _) in &halves {
        assert!(tally.crashes > 100, "{tally}");
        let ends = tally.to_string();
        for end in [
            "Released",
            "RolledBack (Verdict)",
            "RolledBack (Source)",
            "Aborted",
            "Failed (NotReady)",
            "(Superseded)",
        ] {
            assert!(ends.contains(end), "nothing ended as {end}: {ends}");
        }
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let again = |seed| run(&Scenario::of(seed), None).trace;
    for seed in [3, 4] {
        assert_eq!(again(seed), again(seed), "seed {seed}");
    }
}

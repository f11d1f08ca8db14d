use taxiway_judgebench::Arguments;
use taxiway_judgebench::cells::{self, Size};
use taxiway_judgebench::golden;
use taxiway_judgebench::judges::{Judge, Strict};
use taxiway_judgebench::random::{Poisson, Random};
use taxiway_judgebench::report;
use taxiway_judgebench::traffic::{Cell, HORIZON_S, Scenario, Source};

fn cell(scenario: Scenario, ratio: f64) -> Cell {
    Cell { base: 0.01, rps: 100.0, ratio, scenario }
}

/// Mean and variance of a Poisson count are its parameter; 4.5 standard errors of either.
#[test]
fn samplers_have_the_right_moments() {
    const DRAWS: u32 = 40_000;
    for mean in [0.05, 0.5, 4.75, 47.5, 940.5] {
        let table = Poisson::new(mean);
        let mut random = Random::new(&[7, 11]);
        for kind in ["table", "products"] {
            let draw = |random: &mut Random| {
                (if kind == "table" { table.draw(random) } else { random.poisson(mean) }) as f64
            };
            let draws: Vec<f64> = (0..DRAWS).map(|_| draw(&mut random)).collect();
            let found = draws.iter().sum::<f64>() / f64::from(DRAWS);
            let variance = draws.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / f64::from(DRAWS);
            let error = (mean / f64::from(DRAWS)).sqrt();
            assert!((found - mean).abs() < 4.5 * error, "{kind} {mean}: {found}");
            let error = ((mean + 2.0 * mean * mean) / f64::from(DRAWS)).sqrt();
            assert!((variance - mean).abs() < 4.5 * error, "{kind} {mean}: variance {variance}");
        }
    }
    let mut random = Random::new(&[1]);
    let normals: Vec<f64> = (0..DRAWS).map(|_| random.normal()).collect();
    let mean = normals.iter().sum::<f64>() / f64::from(DRAWS);
    let square = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(DRAWS);
    assert!(mean.abs() < 4.5 / f64::from(DRAWS).sqrt() && (square - 1.0).abs() < 0.035, "{mean} {square}");
    let bursts: u64 = (0..DRAWS).map(|_| random.geometric(3.0)).sum();
    assert!((bursts as f64 / f64::from(DRAWS) - 3.0).abs() < 0.06, "{bursts}");
}

/// Every scenario has the cell's mean error rates on both sides; bursts and noise change the scatter, not the mean.
#[test]
fn scenarios_have_the_cells_rates() {
    for (scenario, name) in Scenario::ALL {
        let source = Source::new(cell(scenario, 2.0));
        let (mut canary, mut baseline) = ([0.0; 2], [0.0; 2]);
        for run in 0..30 {
            let run = source.run(&mut Random::new(&[3, run]));
            assert_eq!(run.seconds.len(), HORIZON_S);
            for window in &run.seconds[scenario.onset_s()..] {
                canary = [canary[0] + window.canary.total as f64, canary[1] + window.canary.bad as f64];
                baseline =
                    [baseline[0] + window.baseline.total as f64, baseline[1] + window.baseline.bad as f64];
            }
        }
        let ratio = canary[1] / canary[0] * baseline[0] / baseline[1];
        // Simpson's paradox: the canary is large when rates are high, (6.31 / 3.10) times as much.
        let expected = if scenario == Scenario::Drift { 4.07 } else { 2.0 };
        assert!((ratio / expected - 1.0).abs() < 0.12, "{name}: {ratio}");
    }
}

#[test]
fn a_seed_gives_the_same_figures_again() {
    let size = Size { healthy: 20, faulty: 20 };
    let group = &cells::groups(true)[0];
    let lines = |seed| -> Vec<String> { group.run(size, seed).iter().map(report::json).collect() };
    assert_eq!(lines(5), lines(5));
    assert_ne!(lines(5), lines(6));
}

/// Brief, 5.3: bounds of B1; on the ramp the information gathers step by step.
#[test]
fn bounds_are_the_briefs() {
    let bound = |base, rps, ratio, scenario| cells::bound_s(&Cell { base, rps, ratio, scenario });
    assert!((bound(0.01, 100.0, 2.0, Scenario::Constant) - 251.0).abs() < 1.0);
    assert!((bound(0.05, 1_000.0, 1.25, Scenario::Constant) - 64.0).abs() < 1.0);
    assert!((bound(0.001, 10.0, 1.25, Scenario::Constant) / 336_105.0 - 1.0).abs() < 1e-3);
    assert!((bound(0.01, 100.0, 2.0, Scenario::Late) - 251.0).abs() < 1.0);
    // The first step gives 900/1208 of what is needed, the second the rest at 1/251 a second.
    let ramp = bound(0.01, 100.0, 2.0, Scenario::Ramp);
    assert!((ramp - (900.0 + (1.0 - 900.0 / 1_202.0) * 251.0)).abs() < 10.0, "{ramp}");
}

/// A fault of 5x is found by our judge within minutes, an outage of both sides is not taken for one.
#[test]
fn our_judge_sees_faults_and_not_outages() {
    for run in 0..10 {
        let faulty = cell(Scenario::Constant, 5.0);
        let alarm = Strict::new(&faulty).alarm_s(&Source::new(faulty).run(&mut Random::new(&[8, run])));
        assert!(alarm.is_some_and(|second| second < 300), "{alarm:?}");
        let healthy = cell(Scenario::Outage, 1.0);
        let alarm = Strict::new(&healthy).alarm_s(&Source::new(healthy).run(&mut Random::new(&[9, run])));
        assert_eq!(alarm, None);
    }
}

#[test]
fn arguments_are_read_and_refused() {
    let parse = |line: &str| Arguments::parse(&line.split(' ').map(String::from).collect::<Vec<_>>());
    let quick = parse("--quick --json --seed 7").unwrap();
    assert!(quick.quick && quick.json && quick.seed == 7 && quick.healthy > 0);
    assert_eq!(parse("--fast").unwrap_err(), "unknown argument \"--fast\"");
    assert_eq!(parse("--seed").unwrap_err(), "--seed needs a number");
    assert_eq!(parse("--seed x").unwrap_err(), "--seed needs a number, not \"x\"");
}

/// What a script reads from `--json`.
#[test]
fn json_has_the_promised_fields() {
    let outcomes = cells::groups(true)[0].run(Size { healthy: 5, faulty: 5 }, 1);
    let healthy = report::json(&outcomes[0]);
    assert!(
        healthy.starts_with(r#"{"base":0.01,"rps":100,"ratio":1,"judge":"taxiway","false_alarm":0,"#),
        "{healthy}"
    );
    assert!(
        healthy.contains(r#""detected":null,"median_s":null,"mean_s":null,"bound_s":null}"#),
        "{healthy}"
    );
    let last = report::json(outcomes.last().unwrap());
    for field in ["false_alarm", "detected", "median_s", "mean_s", "bound_s"] {
        assert!(last.contains(&format!("\"{field}\":")), "{last}");
    }
    assert!(report::markdown(&outcomes).contains("| 1% | 100 | 2x | 251 |"));
}

/// The release build's bench finds the same digest, or fails.
#[test]
fn judgements_are_the_same_bytes_in_every_run_and_build() {
    assert_eq!(golden::digest(), golden::DIGEST);
}
